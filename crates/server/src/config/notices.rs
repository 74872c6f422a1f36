//! Whom notices go to, read from the settings.

use std::sync::Arc;

use accede_app::egress::Policy;
use accede_app::notices::{MailServer, Secret, Webhook, is_mail_address};
use accede_app::settings::Notices;
use url::Url;

use super::{ConfigError, Sources};

impl Sources {
    /// Reads `notices.…`.
    pub(super) fn notices(&self, egress: &Arc<Policy>) -> Result<Notices, ConfigError> {
        let from = self.text("notices.from")?;
        if !from.is_empty() && !is_mail_address(&from) {
            return Err(self.misfit("notices.from"));
        }
        let server = self.text("notices.smtp")?;
        let mail = match (server.is_empty(), from.is_empty()) {
            (true, _) => None,
            (false, true) => return Err(needs("notices.smtp", "notices.from")),
            (false, false) => {
                let server = MailServer::parse(&server, Arc::clone(egress));
                Some((server.ok_or_else(|| self.misfit("notices.smtp"))?, from))
            }
        };
        let to = self.list("notices.to")?;
        if to.iter().any(|address| !is_mail_address(address)) {
            return Err(self.misfit("notices.to"));
        }
        if !to.is_empty() && mail.is_none() {
            return Err(needs("notices.to", "notices.smtp"));
        }
        let portal = self.web("server.public_url")?;
        Ok(Notices {
            mail,
            to,
            webhook: self.webhook(egress)?,
            digest: self.time_or_none("notices.digest")?,
            tells_managers: self.word("notices.managers")? == "yes",
            portal: portal.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        })
    }

    fn webhook(&self, egress: &Arc<Policy>) -> Result<Option<Webhook>, ConfigError> {
        let (url, secret) = (self.text("notices.webhook")?, self.text("notices.webhook_secret")?);
        if url.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(&url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.username().is_empty()
        });
        let url = url.ok_or_else(|| self.misfit("notices.webhook"))?;
        if url.scheme() == "http" && !is_near(&url) {
            let text = "`notices.webhook` speaks `http` to another machine; write `https`";
            return Err(ConfigError(text.to_owned()));
        }
        egress.permits_url(&url).map_err(|denied| {
            ConfigError(format!("`notices.webhook` is refused: {denied}; see `egress.allow`"))
        })?;
        if secret.is_empty() {
            return Err(needs("notices.webhook", "notices.webhook_secret"));
        }
        let secret = Secret::parse(&secret).ok_or_else(|| self.misfit("notices.webhook_secret"))?;
        Ok(Some(Webhook::new(url, secret, Arc::clone(egress))))
    }
}

/// Whether an address is on this machine.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn needs(key: &str, other: &str) -> ConfigError {
    ConfigError(format!("`{key}` needs `{other}`; set both, or none, see docs/settings.md"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Notices, String> {
        let mut sources = Sources::default();
        for line in text.lines() {
            let (key, value) = line.split_once('=').unwrap();
            sources.flag(key, value, "test").unwrap();
        }
        sources.read().map(|config| config.settings.notices).map_err(|error| error.to_string())
    }

    #[test]
    fn whom_notices_go_to_is_read_whole() {
        let notices = read(
            "notices.smtp=smtp://ada:pw@mail.example\nnotices.from=Accede <accede@x.example>\n\
             notices.to=ops@x.example, ada@x.example\nnotices.managers=no\nnotices.digest=none\n\
             notices.webhook=https://hooks.example/T0/x\n\
             notices.webhook_secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\
             server.public_url=https://accede.example/",
        )
        .unwrap();
        assert_eq!(notices.to, ["ops@x.example", "ada@x.example"]);
        assert_eq!(notices.mail.unwrap().1, "Accede <accede@x.example>");
        assert!(notices.webhook.is_some() && notices.digest.is_none() && !notices.tells_managers);
        assert_eq!(notices.portal.as_deref(), Some("https://accede.example"));
    }

    #[test]
    fn a_webhook_is_judged_like_the_address_of_a_target() {
        let secret = "notices.webhook_secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for (address, says) in [
            ("http://hooks.example/canary", "speaks `http` to another machine"),
            ("http://10.0.0.1/canary", "speaks `http` to another machine"),
            ("https://169.254.169.254/canary", "`notices.webhook` is refused"),
            ("http://127.0.0.1:9/canary", "see `egress.allow`"),
        ] {
            let told = read(&format!("notices.webhook={address}\n{secret}")).unwrap_err();
            assert!(told.contains(says) && !told.contains("canary"), "{told}");
        }
        let near = "egress.allow=127.0.0.0/8\nnotices.webhook=http://127.0.0.1:9/x";
        assert!(read(&format!("{near}\n{secret}")).unwrap().webhook.is_some());
    }

    #[test]
    fn halves_are_refused_and_secrets_are_never_shown() {
        for (text, says) in [
            ("notices.smtp=smtp://mail.example", "`notices.smtp` needs `notices.from`"),
            ("notices.to=ops@x.example", "`notices.to` needs `notices.smtp`"),
            ("notices.webhook=https://hooks.example", "needs `notices.webhook_secret`"),
            ("notices.from=accede", "`notices.from` in test is `accede`; it is a mail address"),
            (
                "notices.smtp=smtp://ada:canary@mail.example?x\nnotices.from=a@x.example",
                "`notices.smtp` in test does not fit",
            ),
            (
                "notices.webhook=https://hooks.example\nnotices.webhook_secret=canary",
                "`notices.webhook_secret` in test does not fit; it is `whsec_`",
            ),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(says) && !told.contains("canary"), "{told}");
        }
    }
}
