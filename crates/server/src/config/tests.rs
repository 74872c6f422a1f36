//! Settings are read, checked and refused in words that help.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

fn from_file(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    std::fs::write(&path, text).unwrap();
    let mut sources = Sources::default();
    sources.file(&path, true)?;
    sources.read()
}

fn from_environment(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut sources = Sources::default();
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    sources.environment(pairs)?;
    sources.read()
}

#[test]
fn without_a_word_the_defaults_are_those_of_the_engine() {
    let config = Sources::default().read().unwrap();

    let defaults = Settings::default();
    assert_eq!(config.listen, "127.0.0.1:8080");
    assert_eq!(config.settings.retry, defaults.retry);
    assert_eq!(config.settings.reprocess_window, defaults.reprocess_window);
    assert_eq!(config.settings.worker_calls, defaults.worker_calls);
    assert_eq!(config.database_url, None);
}

#[test]
fn the_file_is_read_and_the_environment_wins() {
    let text = "[reprocess]\nwindow = \"PT1H\"\n[delivery]\nbackoff_base = \"PT0.2S\"\n\
                calls = 8\n[egress]\nallow = [\"127.0.0.0/8\"]\n[database]\npool_size = \"20\"";
    let config = from_file(text).unwrap();
    assert_eq!(config.settings.reprocess_window, Some(SignedDuration::from_hours(1)));
    assert_eq!(config.settings.retry.base, SignedDuration::from_millis(200));
    assert_eq!(config.settings.worker_calls, 8);
    assert_eq!(config.pool_size, 20);
    let loopback = "127.0.0.1".parse().unwrap();
    assert!(config.settings.egress.permits(loopback).is_ok());

    let config = from_environment(&[
        ("ACCEDE_REPROCESS__WINDOW", "none"),
        ("ACCEDE_EGRESS__ALLOW", "127.0.0.1, 10.0.0.0/8"),
        ("ACCEDE_DELIVERY__READ_BACK", "none"),
        ("ACCEDE_SERVER", "http://127.0.0.1"),
        ("PATH", "/bin"),
    ])
    .unwrap();
    assert_eq!(config.settings.reprocess_window, None);
    assert_eq!(config.settings.retry.read_back_after, None);
    assert!(config.settings.egress.permits(loopback).is_ok());
}

#[test]
fn an_unknown_setting_names_the_nearest() {
    for (text, near) in [
        ("[reproces]\nwindow = \"P1D\"", "`reprocess.window`"),
        ("[delivery]\nbackof_cap = \"P1D\"", "`delivery.backoff_cap`"),
        ("listen = \"x\"", "`server.listen`"),
    ] {
        let error = from_file(text).unwrap_err().to_string();
        assert!(error.contains("there is no setting"), "{error}");
        assert!(error.contains(near), "{error}");
        assert!(error.contains(FILE), "{error}");
    }
    let error = from_environment(&[("ACCEDE_LOG__LEVLE", "info")]).unwrap_err().to_string();
    assert!(error.contains("ACCEDE_LOG__LEVLE") && error.contains("`log.level`"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_is_told_with_the_form() {
    for (name, value, told) in [
        ("ACCEDE_REPROCESS__WINDOW", "14 days", "such as P14D"),
        ("ACCEDE_REPROCESS__WINDOW", "P1M", "without months and years, such as P14D"),
        ("ACCEDE_REPROCESS__WINDOW", "-P1D", "such as P14D"),
        ("ACCEDE_DELIVERY__BACKOFF_BASE", "PT0S", "longer than zero"),
        ("ACCEDE_DELIVERY__BACKOFF_CAP", "P1Y", "without months and years, such as PT24H"),
        ("ACCEDE_DELIVERY__CALLS", "0", "from 1 to 1000"),
        ("ACCEDE_DELIVERY__CALLS", "many", "from 1 to 1000"),
        ("ACCEDE_EGRESS__ALLOW", "10.0.0.0/33", "egress.allow"),
        ("ACCEDE_EGRESS__ALLOW", "169.254.169.254", "never be allowed"),
        ("ACCEDE_SERVER__LISTEN", "8080", "such as 127.0.0.1:8080"),
        ("ACCEDE_SERVER__PUBLIC_URL", "accede.example", "such as https://accede.example"),
        ("ACCEDE_SERVER__PUBLIC_URL", "https://a.example/path", "https://accede.example"),
        ("ACCEDE_SERVER__TRUSTED_PROXIES", "proxy", "10.0.0.0/8"),
        ("ACCEDE_DATABASE__POOL_SIZE", "1", "from 2 to 500"),
        ("ACCEDE_LOG__FORMAT", "xml", "one of text, json"),
        ("ACCEDE_LOG__LEVEL", "a=b=c", "error, warn, info"),
        ("ACCEDE_LOG__LEVEL", "loud", "error, warn, info"),
        ("ACCEDE_REPROCESS_WINDOW", "P1D", "write ACCEDE_REPROCESS__WINDOW"),
        ("ACCEDE_DELIVERY__BACKOFF_CAP", "PT1S", "at least as long"),
    ] {
        let error = from_environment(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(told), "{name}={value}: {error}");
    }
    let error = from_environment(&[("ACCEDE_DATABASE__URL", "mysql://u:secret@h/d")]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("postgres://") && !error.contains("secret"), "{error}");
    let error = from_file("[log]\nlevel = true").unwrap_err().to_string();
    assert!(error.contains("`log.level`") && error.contains("is `true`; it is"), "{error}");
    assert!(from_file("[log").unwrap_err().to_string().contains("not TOML"));
}

#[test]
fn the_document_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
    if std::env::var_os("ACCEDE_BLESS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == document(), "run again with ACCEDE_BLESS=1 and look at docs/settings.md");
}
