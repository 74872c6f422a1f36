//! How we prove to a target over HTTP who we are: by a token that it gave, or by one that is fetched
//! with client credentials (RFC 6749, 4.4) and fetched anew before it ends or when it is refused.

use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::egress::Policy;
use crate::http::{self, Body, Http, Reply};
use crate::settings::{Field, Problem, Reader, problem};

/// Where tokens are fetched.
pub const TOKEN_URL: Field = Field::new(
    "tokenUrl",
    "Address of tokens",
    "where tokens are fetched with `clientId` and `clientSecret`; without it the token is `bearerToken`",
);
/// Who fetches them.
pub const CLIENT_ID: Field =
    Field::new("clientId", "Client id", "who we are at `tokenUrl`; required with it");
/// What for.
pub const SCOPE: Field =
    Field::new("scope", "Scope", "what is asked for at `tokenUrl`, if it wants a scope");
/// Both ways' secrets; one of them is needed.
pub const SECRETS: &[Field] = &[
    Field::new(
        "bearerToken",
        "Bearer token",
        "the token that the target gave for this server; not with `tokenUrl`",
    ),
    Field::new("clientSecret", "Client secret", "the secret of `clientId`; with `tokenUrl` only"),
];

/// How long a token is believed that does not say how long it lasts.
const LIFETIME: Duration = Duration::from_secs(300);
/// Longest time that a token is kept, whatever it says.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// What proves who we are.
pub enum Credentials {
    /// A token for good.
    Bearer(String),
    /// Client credentials, and the token that they brought last.
    Client(Box<Client>),
    /// The secret that each call is signed with.
    Signature(String),
}

/// Client credentials.
pub struct Client {
    url: Url,
    id: String,
    secret: String,
    scope: Option<String>,
    token: tokio::sync::Mutex<Option<(String, Instant)>>,
}

impl Credentials {
    /// Reads them from the settings of a target.
    ///
    /// # Errors
    ///
    /// The first problem: neither way is given, or both, or one by half.
    pub fn read(reader: &Reader<'_>, egress: &Policy) -> Result<Credentials, Problem> {
        let url = match reader.has("tokenUrl") {
            true => Some(http::address(reader, "tokenUrl", "https://login.example/token", egress)?),
            false => None,
        };
        match (reader.given_secret("bearerToken"), url) {
            (Some(token), None) => {
                let half = ["clientId", "scope"].into_iter().find(|name| reader.has(name));
                if let Some(name) = half {
                    return Err(problem(name, "goes with `tokenUrl` only; give it or remove this"));
                }
                if reader.given_secret("clientSecret").is_some() {
                    let sentence = "goes with `tokenUrl` only; give it or remove this";
                    return Err(Problem::new("secrets.clientSecret", sentence));
                }
                Ok(Credentials::Bearer(word("bearerToken", token)?.to_owned()))
            }
            (Some(_), Some(_)) => {
                let sentence = "does not go with `tokenUrl`, where tokens are fetched; remove one";
                Err(Problem::new("secrets.bearerToken", sentence))
            }
            (None, Some(url)) => Ok(Credentials::Client(Box::new(Client {
                url,
                id: reader.required("clientId", "accede")?.to_owned(),
                secret: reader.secret("clientSecret", "the secret of `clientId`")?.to_owned(),
                scope: reader.text("scope")?.map(str::to_owned),
                token: tokio::sync::Mutex::default(),
            }))),
            (None, None) => {
                let sentence = "is missing; give the token that the target gave, or `tokenUrl`, \
                                `clientId` and the secret `clientSecret`";
                Err(Problem::new("secrets.bearerToken", sentence))
            }
        }
    }

    /// What to do when the target does not accept the token.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Credentials::Bearer(_) => "the token is not accepted; set `bearerToken` anew",
            Credentials::Client(_) => {
                "the token is not accepted; check `clientId`, `scope` and what the client may do"
            }
            Credentials::Signature(_) => {
                "the signature is not accepted; set `signingSecret` anew, and compare both clocks"
            }
        }
    }

    /// A text of a target without the secrets that it may repeat.
    pub fn without_secrets(&self, text: &str) -> String {
        let hide = |text: &str, secret: &str| match secret.is_empty() {
            true => text.to_owned(),
            false => text.replace(secret, "…"),
        };
        match self {
            Credentials::Bearer(token) | Credentials::Signature(token) => hide(text, token),
            Credentials::Client(client) => {
                let text = hide(text, &client.secret);
                // Whoever fetches a new one meanwhile has nothing that this answer could repeat.
                match client.token.try_lock().ok().as_deref() {
                    Some(Some((token, _))) => hide(&text, token),
                    Some(None) | None => text,
                }
            }
        }
    }
}

impl Client {
    /// The token, fetched if there is none that still lasts. One fetches while the others wait.
    ///
    /// # Errors
    ///
    /// A target fault, if the client is refused or what answers is no token endpoint.
    pub async fn token(&self, http: &Http, deadline: Instant) -> Result<String, Fault> {
        let mut kept = self.token.lock().await;
        if let Some((token, until)) = &*kept
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let asked = Instant::now();
        let reply = http.post_form(&self.url, self.form(), deadline).await?;
        let (token, lifetime) = read(&reply).map_err(|fault| Fault {
            message: self.url.host_str().map_or_else(String::new, |host| format!("{host}: "))
                + &fault.message,
            ..fault
        })?;
        // Fetched anew a little early, so that none ends on its way.
        let until = asked + lifetime.min(LONGEST).mul_f32(0.9);
        *kept = Some((token.clone(), until));
        Ok(token)
    }

    fn form(&self) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &self.id);
        form.append_pair("client_secret", &self.secret);
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        form.finish()
    }

    /// Forgets a token that was refused, unless another one was fetched meanwhile.
    pub async fn forget(&self, refused: &str) {
        let mut kept = self.token.lock().await;
        if kept.as_ref().is_some_and(|(token, _)| token == refused) {
            *kept = None;
        }
    }
}

/// The token in an answer, and how long it lasts.
fn read(reply: &Reply) -> Result<(String, Duration), Fault> {
    let text = |name: &str| match &reply.body {
        Body::Json(value) => value.get(name).and_then(Value::as_str),
        Body::Empty | Body::Other => None,
    };
    let status = reply.status;
    if let (200, Some(token)) = (status, text("access_token")) {
        let number = reply.json().and_then(|value| value.get("expires_in"));
        let seconds = number.and_then(|number| {
            number.as_u64().or_else(|| number.as_str().and_then(|text| text.parse().ok()))
        });
        let usable = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
        let bearer = text("token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        if usable && bearer {
            return Ok((token.to_owned(), seconds.map_or(LIFETIME, Duration::from_secs)));
        }
    }
    // RFC 6749, 5.2; and what servers say whose client is not allowed there at all.
    const KNOWN: [&str; 6] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ];
    let said = text("error").filter(|said| KNOWN.contains(said)).unwrap_or_default();
    let (class, code, remedy) = match status {
        400 | 401 | 403 => {
            (Class::Target, "oauth-refused", "check `clientId`, `clientSecret` and `scope`")
        }
        429 => (Class::Throttled, "oauth-429", "it asks to slow down"),
        503 if reply.retry_after.is_some() => (Class::Throttled, "oauth-503", "it asks to wait"),
        408 | 500..=599 => (Class::Transient, "oauth-unavailable", "it has trouble of its own"),
        _ => (Class::Target, "oauth-url", "no token came back; check `tokenUrl`"),
    };
    let message = format!("no token was given ({status} {said}): {remedy}").replace(" )", ")");
    Err(Fault::new(class, code, message).after(reply.retry_after))
}

fn word<'t>(name: &str, text: &'t str) -> Result<&'t str, Problem> {
    match text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(text),
        false => {
            let sentence =
                "must be one word of ASCII letters, digits and signs; check what was pasted";
            Err(Problem::new(format!("secrets.{name}"), sentence))
        }
    }
}
