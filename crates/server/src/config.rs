//! The settings of a deployment: `accede.toml`, then `ACCEDE_SECTION__KEY` of the environment, then
//! the command line. What is not known is an error that names the nearest known setting; what does
//! not fit is an error that names the setting, its value and the form it should have.

mod notices;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use accede_app::Settings;
use accede_app::egress::Policy;
use accede_domain::drift::{Extra, Missing};
use accede_domain::duration::Duration;
use accede_domain::guard::{Limit, Limits};
use accede_domain::nearest;
use accede_domain::retry::Retry;
use jiff::SignedDuration;
use url::Url;

use table::{Kind, SETTINGS, Setting};

/// The file's name in a data directory.
pub const FILE: &str = "accede.toml";

/// The levels of the log, from quiet to loud.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Something in the configuration is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// The settings of a deployment, read and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: String,
    /// Where the server is reached from outside.
    pub public_url: Option<Url>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// How long a client may be silent.
    pub client_timeout: std::time::Duration,
    /// The PostgreSQL database, if it is one.
    pub database_url: Option<String>,
    /// Most connections to it.
    pub pool_size: usize,
    /// What verbs and the worker need.
    pub settings: Settings,
    /// How events are written.
    pub log_format: LogFormat,
    /// Which events are written.
    pub log_level: String,
}

/// A value as it was written, and where.
#[derive(Debug, Clone)]
struct Written {
    value: Raw,
    origin: String,
}

#[derive(Debug, Clone)]
enum Raw {
    Text(String),
    Number(i64),
    List(Vec<String>),
    Other(&'static str),
}

impl Raw {
    fn shown(&self) -> String {
        let text = match self {
            Raw::Text(text) => text.clone(),
            Raw::Number(number) => number.to_string(),
            Raw::List(list) => list.join(","),
            Raw::Other(kind) => (*kind).to_owned(),
        };
        let short: String = text.chars().take(60).collect();
        if short.len() < text.len() { format!("{short}…") } else { short }
    }
}

/// What was written, by key; later places win.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    written: BTreeMap<&'static str, Written>,
}

impl Sources {
    /// Reads a file, if it is there.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no TOML, or has a setting that is not known.
    pub fn file(&mut self, path: &Path, must_exist: bool) -> Result<(), ConfigError> {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            // What is in the way of the directory is told by whoever makes it.
            Err(error)
                if !must_exist
                    && matches!(
                        error.kind(),
                        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                    ) =>
            {
                return Ok(());
            }
            Err(error) => {
                return Err(ConfigError(format!("the settings `{name}` cannot be read: {error}")));
            }
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            ConfigError(format!("the settings `{name}` are not TOML: {}", error.to_string().trim()))
        })?;
        for (section, value) in table {
            let toml::Value::Table(keys) = value else {
                return Err(unknown(&section, &name));
            };
            for (key, value) in keys {
                let raw = match value {
                    toml::Value::String(text) => Raw::Text(text),
                    toml::Value::Integer(number) => Raw::Number(number),
                    toml::Value::Array(items) => texts(&items),
                    toml::Value::Float(_) => Raw::Other("a number with a fraction"),
                    toml::Value::Boolean(true) => Raw::Other("true"),
                    toml::Value::Boolean(false) => Raw::Other("false"),
                    toml::Value::Datetime(_) => Raw::Other("a date"),
                    toml::Value::Table(_) => Raw::Other("a table"),
                };
                self.put(&format!("{section}.{key}"), raw, &name)?;
            }
        }
        Ok(())
    }

    /// Reads `ACCEDE_SECTION__KEY` variables.
    ///
    /// # Errors
    ///
    /// One that is not known.
    pub fn environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix("ACCEDE_") else { continue };
            let Some((section, key)) = rest.split_once("__") else {
                // Other variables of ours look like that too; one that names a setting means it.
                let meant =
                    |setting: &&Setting| setting.key.replace('.', "_").eq_ignore_ascii_case(rest);
                if let Some(setting) = SETTINGS.iter().find(meant) {
                    let right = setting.key.to_uppercase().replace('.', "__");
                    return Err(ConfigError(format!(
                        "`{name}` is not read; for `{}` write ACCEDE_{right}",
                        setting.key
                    )));
                }
                continue;
            };
            let known = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
            self.put(&known, Raw::Text(value), &name)?;
        }
        Ok(())
    }

    /// A value of the command line.
    ///
    /// # Errors
    ///
    /// Not known.
    pub fn flag(&mut self, key: &str, value: &str, flag: &str) -> Result<(), ConfigError> {
        self.put(key, Raw::Text(value.to_owned()), flag)
    }

    fn put(&mut self, key: &str, value: Raw, origin: &str) -> Result<(), ConfigError> {
        let found = SETTINGS.iter().find(|setting| setting.key == key);
        let found = found.ok_or_else(|| unknown(key, origin))?;
        self.written.insert(found.key, Written { value, origin: origin.to_owned() });
        Ok(())
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// The first value that does not fit.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let egress = Policy::parse(&self.list("egress.allow")?, &self.list("egress.deny")?)
            .map_err(|error| ConfigError(error.to_string()))?;
        let retry = Retry {
            base: self.time("delivery.backoff_base")?,
            cap: self.time("delivery.backoff_cap")?,
            grant_window: self.time("delivery.grant_window")?,
            read_back_after: self.time_or_none("delivery.read_back")?,
            ..Retry::default()
        };
        if retry.cap < retry.base {
            return Err(ConfigError(
                "`delivery.backoff_cap` is shorter than `delivery.backoff_base`; make it at least \
                 as long"
                    .to_owned(),
            ));
        }
        let egress = Arc::new(egress);
        let settings = Settings {
            notices: self.notices(&egress)?,
            reprocess_window: self.time_or_none("reprocess.window")?,
            four_eyes_above: self.number_or_none("reprocess.four_eyes_above")?,
            retry,
            guards: self.guards()?,
            guard_window: self.time("guards.window")?,
            drift_every: self.time_or_none("drift.every")?,
            drift_missing: Missing::parse(&self.word("drift.missing")?).unwrap_or_default(),
            drift_extra: Extra::parse(&self.word("drift.extra")?).unwrap_or_default(),
            egress,
            worker_calls: self.number("delivery.calls")?,
        };
        Ok(Config {
            listen: self.listen()?,
            public_url: self.web("server.public_url")?,
            trusted_proxies: self.networks("server.trusted_proxies")?,
            client_timeout: self
                .time("server.client_timeout")?
                .try_into()
                .map_err(|_| self.misfit("server.client_timeout"))?,
            database_url: self.database()?,
            pool_size: self.number("database.pool_size")?,
            settings,
            log_format: match self.word("log.format")?.as_str() {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            log_level: self.level()?,
        })
    }

    fn written(&self, key: &'static str) -> (Written, Kind) {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        let (kind, default) =
            setting.map_or((Kind::Web, ""), |setting| (setting.kind, setting.default));
        let written = self.written.get(key).cloned().unwrap_or_else(|| Written {
            value: Raw::Text(default.to_owned()),
            origin: "the default".to_owned(),
        });
        (written, kind)
    }

    fn text(&self, key: &'static str) -> Result<String, ConfigError> {
        let (written, kind) = self.written(key);
        match written.value {
            Raw::Text(text) => Ok(text.trim().to_owned()),
            Raw::Number(number) => Ok(number.to_string()),
            Raw::List(_) | Raw::Other(_) => Err(misfit(key, kind, &written)),
        }
    }

    fn misfit(&self, key: &'static str) -> ConfigError {
        let (written, kind) = self.written(key);
        misfit(key, kind, &written)
    }

    fn list(&self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let (written, kind) = self.written(key);
        match written.value {
            Raw::List(list) => Ok(list),
            Raw::Text(text) => Ok(text
                .split(',')
                .map(|item| item.trim().to_owned())
                .filter(|item| !item.is_empty())
                .collect()),
            Raw::Number(_) | Raw::Other(_) => Err(misfit(key, kind, &written)),
        }
    }

    fn networks(&self, key: &'static str) -> Result<Vec<ipnet::IpNet>, ConfigError> {
        self.list(key)?
            .iter()
            .map(|text| {
                let single = text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
                single.or_else(|_| text.parse()).map_err(|_| self.misfit(key))
            })
            .collect()
    }

    fn number(&self, key: &'static str) -> Result<usize, ConfigError> {
        let (_, kind) = self.written(key);
        let number = self.text(key)?.parse::<i64>().map_err(|_| self.misfit(key))?;
        match kind {
            Kind::Number(from, to) if (from..=to).contains(&number) => {
                usize::try_from(number).map_err(|_| self.misfit(key))
            }
            _ => Err(self.misfit(key)),
        }
    }

    fn number_or_none(&self, key: &'static str) -> Result<Option<i64>, ConfigError> {
        if self.text(key)?.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        let Kind::NumberOrNone(from, to) = self.written(key).1 else {
            return Err(self.misfit(key));
        };
        let number: i64 = self.text(key)?.parse().map_err(|_| self.misfit(key))?;
        if (from..=to).contains(&number) { Ok(Some(number)) } else { Err(self.misfit(key)) }
    }

    fn guards(&self) -> Result<Limits, ConfigError> {
        let count = |key| Ok(i64::try_from(self.number(key)?).unwrap_or(i64::MAX));
        Ok(Limits {
            grants: Limit {
                least: count("guards.grants_least")?,
                percent: count("guards.grants_percent")?,
                most: None,
            },
            revocations: Limit {
                least: count("guards.revocations_least")?,
                percent: count("guards.revocations_percent")?,
                most: Some(count("guards.revocations_most")?),
            },
        })
    }

    fn time(&self, key: &'static str) -> Result<SignedDuration, ConfigError> {
        let duration: Duration = self.text(key)?.parse().map_err(|_| self.misfit(key))?;
        let fixed = duration.fixed().filter(|length| !length.is_zero());
        let fixed = fixed.ok_or_else(|| self.misfit(key))?;
        SignedDuration::try_from(fixed).map_err(|_| self.misfit(key))
    }

    fn time_or_none(&self, key: &'static str) -> Result<Option<SignedDuration>, ConfigError> {
        match self.text(key)?.eq_ignore_ascii_case("none") {
            true => Ok(None),
            false => self.time(key).map(Some),
        }
    }

    fn word(&self, key: &'static str) -> Result<String, ConfigError> {
        let text = self.text(key)?.to_lowercase();
        match self.written(key).1 {
            Kind::Word(words) if words.contains(&text.as_str()) => Ok(text),
            _ => Err(self.misfit(key)),
        }
    }

    fn level(&self) -> Result<String, ConfigError> {
        let text = self.text("log.level")?;
        let filter = tracing_subscriber::EnvFilter::builder().parse(&text);
        // A word alone that is no level would be read as the name of a module, and all else be quiet.
        let fits = filter.is_ok()
            && text.split(',').map(str::trim).all(|part| {
                part.contains(['=', '['])
                    || LEVELS.iter().any(|level| part.eq_ignore_ascii_case(level))
            });
        if fits { Ok(text) } else { Err(self.misfit("log.level")) }
    }

    fn listen(&self) -> Result<String, ConfigError> {
        let text = self.text("server.listen")?;
        let fits = text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok() && !host.contains(['/', ' '])
        });
        if fits { Ok(text) } else { Err(self.misfit("server.listen")) }
    }

    fn web(&self, key: &'static str) -> Result<Option<Url>, ConfigError> {
        let text = self.text(key)?;
        if text.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.query().is_none()
                && url.fragment().is_none()
                && url.path().trim_matches('/').is_empty()
        });
        url.map(Some).ok_or_else(|| self.misfit(key))
    }

    fn database(&self) -> Result<Option<String>, ConfigError> {
        let text = self.text("database.url")?;
        if text.is_empty() {
            return Ok(None);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Some(text));
        }
        Err(self.misfit("database.url"))
    }
}

fn texts(items: &[toml::Value]) -> Raw {
    let texts: Option<Vec<String>> =
        items.iter().map(|item| item.as_str().map(|text| text.trim().to_owned())).collect();
    texts.map_or(Raw::Other("a list of other things than texts"), Raw::List)
}

fn misfit(key: &str, kind: Kind, written: &Written) -> ConfigError {
    if kind.hides() {
        let text = format!("`{key}` in {} does not fit; it is {}", written.origin, kind.form());
        return ConfigError(text);
    }
    ConfigError(format!(
        "`{key}` in {} is `{}`; it is {}",
        written.origin,
        written.value.shown(),
        kind.form()
    ))
}

fn unknown(key: &str, origin: &str) -> ConfigError {
    let shown: String = key.chars().take(60).collect();
    // What stands outside a section is compared with the names inside them.
    let part = |setting: &Setting| match (shown.contains('.'), setting.key.split_once('.')) {
        (false, Some((_, name))) => name,
        _ => setting.key,
    };
    let near = nearest::sorted(&shown, SETTINGS.iter().map(part));
    let near = near.first().copied().unwrap_or_default();
    let near = SETTINGS.iter().find(|setting| part(setting) == near);
    let near = near.map_or("", |setting| setting.key);
    ConfigError(format!(
        "there is no setting `{shown}` ({origin}); the nearest is `{near}`, see docs/settings.md"
    ))
}

/// Reads everything there is: the file `config` or, without it, `accede.toml` in the data
/// directory; the environment; the flags.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn load(
    data: &Path,
    config: Option<&PathBuf>,
    flags: &[(&str, Option<&str>, &str)],
) -> Result<Config, ConfigError> {
    let mut sources = Sources::default();
    match config {
        Some(path) => sources.file(path, true)?,
        None => sources.file(&data.join(FILE), false)?,
    }
    sources.environment(std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    }))?;
    for (key, value, flag) in flags {
        if let Some(value) = value {
            sources.flag(key, value, flag)?;
        }
    }
    sources.read()
}

/// An address to listen on, from a flag.
///
/// # Errors
///
/// It is none.
pub fn listen(text: &str, flag: &str) -> Result<String, ConfigError> {
    let mut sources = Sources::default();
    sources.flag("server.listen", text, flag)?;
    sources.listen()
}

/// `docs/settings.md`.
pub fn document() -> String {
    let mut text = String::from(
        "# Settings\n\nAccede reads its settings from `accede.toml` in the data directory, or from \
         the file that `--config` names.\nEach can also be given as an environment variable, which \
         wins over the file: `section.key` is `ACCEDE_SECTION__KEY`\n(`reprocess.window` is \
         `ACCEDE_REPROCESS__WINDOW`). Flags of the command line win over both.\n\nAn unknown setting \
         is an error that names the nearest known one. Durations are ISO 8601 (`P14D`, `PT1H`, \
         `PT0.5S`); days\nhave 24 hours, months and years are not accepted.\n\n```toml\n[server]\n\
         listen = \"127.0.0.1:8080\"\n\n[reprocess]\nwindow = \"P14D\"\n\n[egress]\nallow = \
         [\"10.0.0.0/8\", \"127.0.0.0/8\"]\n```\n\nBeside these, `ACCEDE_KEY_FILE` names the key \
         file if it is not `accede.key` in the data directory, `ACCEDE_DATA`\nthe data directory, \
         and `ACCEDE_SERVER` and `ACCEDE_TOKEN` are for the commands that speak to a server\n([the \
         command line](cli.md)).\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (group, _) = setting.key.split_once('.').unwrap_or((setting.key, ""));
        if group != section {
            let _ = write!(text, "\n## {group}\n");
            section = group;
        }
        let default = if setting.default.is_empty() { "empty" } else { setting.default };
        let variable = setting.key.to_uppercase().replace('.', "__");
        let _ = write!(
            text,
            "\n### `{}`\n\n{}\n\n- Form: {}\n- Default: {}\n- Environment: `ACCEDE_{variable}`\n",
            setting.key,
            setting.about,
            setting.kind.form(),
            if setting.default.is_empty() { default.to_owned() } else { format!("`{default}`") },
        );
    }
    text
}

#[cfg(test)]
mod tests;
