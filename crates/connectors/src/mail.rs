//! Mail over SMTP, one message a call, never tried twice here.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::egress::Policy;

/// How long one message may take, everything included.
const DEADLINE: Duration = Duration::from_secs(20);
/// What the address of a mail server must look like.
pub const SERVER_FORM: &str = "an address such as smtp://user:password@mail.example:587 (STARTTLS), \
    smtps://mail.example:465 (TLS from the start) or smtp://127.0.0.1:25?tls=none";

/// Why a notice did not go out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Untaken {
    /// It will never be taken as it is; trying again is of no use.
    pub is_final: bool,
    /// What was answered, for people.
    pub message: String,
}

impl Untaken {
    /// It may be taken later.
    pub fn now(message: impl Into<String>) -> Untaken {
        Untaken { is_final: false, message: cut(message.into()) }
    }

    /// It will not be taken.
    pub fn ever(message: impl Into<String>) -> Untaken {
        Untaken { is_final: true, message: cut(message.into()) }
    }
}

fn cut(message: String) -> String {
    message.chars().take(500).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    /// TLS from the start.
    Whole,
    /// A plain greeting, then TLS, or nothing is sent.
    StartTls,
    /// None.
    None,
}

/// A mail server that takes our mail.
#[derive(Clone)]
pub struct Server {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<Credentials>,
    egress: Arc<Policy>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("host", &self.host).field("port", &self.port).finish()
    }
}

/// One message to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What is between `<` and `>` of its message id, before the `@`. The same letter has the same,
    /// so that a receiver can tell that it came twice.
    pub id: String,
    /// Who writes: `Accede <accede@example.com>` or only the address.
    pub from: String,
    /// To whom.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// Whether an address can be written to: `rita@example.com` or `Rita <rita@example.com>`.
pub fn is_address(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

impl Server {
    /// Reads the address of a mail server, of the form [`SERVER_FORM`]; `None` for any other.
    pub fn parse(address: &str, egress: Arc<Policy>) -> Option<Server> {
        let url = Url::parse(address).ok()?;
        let (encryption, port) = match (url.scheme(), url.query()) {
            ("smtps", None) => (Encryption::Whole, 465),
            ("smtp", None) => (Encryption::StartTls, 587),
            ("smtp", Some("tls=none")) => (Encryption::None, 25),
            _ => return None,
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return None;
        }
        let plain = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).ok();
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => return None,
            (user, Some(password)) => Some(Credentials::new(plain(user)?, plain(password)?)),
        };
        Some(Server {
            host: url.host_str().filter(|host| !host.is_empty())?.to_owned(),
            port: url.port().unwrap_or(port),
            encryption,
            credentials,
            egress,
        })
    }

    /// Gives the server one letter.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or does not take it. If the connection broke after the letter
    /// was sent it may have been taken.
    pub async fn send(&self, letter: &Letter) -> Result<(), Untaken> {
        let message = message(letter)?;
        match tokio::time::timeout(DEADLINE, self.give(message)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Untaken::now("the mail server did not answer in time")),
        }
    }

    async fn give(&self, message: Message) -> Result<(), Untaken> {
        // The library looks the name up by itself, so it gets an address that was judged before.
        let found = self.egress.resolve(&self.host, self.port).await;
        let found = found.map_err(|error| Untaken::now(error.to_string()))?;
        let address =
            found.first().ok_or_else(|| Untaken::now("the mail server has no address"))?;
        let parameters = || {
            TlsParameters::builder(self.host.clone())
                .build()
                .map_err(|error| Untaken::now(format!("no TLS configuration: {error}")))
        };
        let tls = match self.encryption {
            Encryption::Whole => Tls::Wrapper(parameters()?),
            Encryption::StartTls => Tls::Required(parameters()?),
            Encryption::None => Tls::None,
        };
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
                .port(self.port)
                .hello_name(ClientId::default())
                .timeout(Some(DEADLINE))
                .tls(tls);
        if let Some(credentials) = &self.credentials {
            transport = transport.credentials(credentials.clone());
        }
        match transport.build().send(message).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let text = chain(&error);
                // Wrong credentials are mended in the settings, and the letter is as good as before.
                let refuses_us = error.status().is_some_and(|code| {
                    let code: u16 = code.into();
                    matches!(code, 530 | 534 | 535 | 538)
                });
                match error.is_permanent() && !refuses_us {
                    true => Err(Untaken::ever(text)),
                    false => Err(Untaken::now(text)),
                }
            }
        }
    }
}

fn message(letter: &Letter) -> Result<Message, Untaken> {
    let address = |what: &str, text: &str| {
        text.parse::<Mailbox>()
            .map_err(|error| Untaken::ever(format!("`{text}` is no address to {what}: {error}")))
    };
    let from = address("write from", &letter.from)?;
    let id = format!("<{}@{}>", letter.id, from.email.domain());
    Message::builder()
        .from(from)
        .to(address("write to", &letter.to)?)
        .message_id(Some(id))
        .subject(one_line(&letter.subject))
        .header(ContentType::TEXT_PLAIN)
        .body(letter.text.clone())
        .map_err(|error| Untaken::ever(format!("no mail can be made of it: {error}")))
}

/// Whatever a name brings along, a subject stays one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn server(address: &str) -> Option<(String, u16, Encryption, bool)> {
        let server = Server::parse(address, Arc::default())?;
        Some((server.host, server.port, server.encryption, server.credentials.is_some()))
    }

    #[test]
    fn a_mail_server_is_read_from_its_address() {
        let host = "mail.example".to_owned();
        assert_eq!(
            server("smtp://ada:p%40ss@mail.example"),
            Some((host.clone(), 587, Encryption::StartTls, true))
        );
        assert_eq!(server("smtps://mail.example"), Some((host, 465, Encryption::Whole, false)));
        assert_eq!(
            server("smtp://127.0.0.1:2525?tls=none"),
            Some(("127.0.0.1".to_owned(), 2525, Encryption::None, false))
        );
        for bad in [
            "mail.example",
            "https://mail.example",
            "smtp://mail.example?tls=maybe",
            "smtps://mail.example?tls=none",
            "smtp://mail.example/path",
            "smtp://ada@mail.example",
            "smtp://",
        ] {
            assert_eq!(server(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let server = Server::parse("smtp://ada:canary@mail.example", Arc::default()).unwrap();
        assert!(!format!("{server:?}").contains("canary"));
    }

    #[test]
    fn a_letter_has_the_same_id_each_time_and_one_line_of_subject() {
        let letter = Letter {
            id: "0198".to_owned(),
            from: "Accede <accede@harbourline.example>".to_owned(),
            to: "rita@harbourline.example".to_owned(),
            subject: "3 roles\r\nBcc: mallory@evil.example".to_owned(),
            text: "Hello\n.\nworld".to_owned(),
        };
        let text = String::from_utf8(message(&letter).unwrap().formatted()).unwrap();
        assert!(text.contains("Message-ID: <0198@harbourline.example>\r\n"), "{text}");
        assert!(text.contains("Subject: 3 roles Bcc: mallory@evil.example\r\n"), "{text}");
        assert!(!text.contains("\r\nBcc:"), "{text}");
        let nobody = Letter { to: "nobody".to_owned(), ..letter };
        assert!(message(&nobody).unwrap_err().is_final);
    }
}
