//! Notices to a webhook: one signed POST a call, never tried twice here.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use accede_domain::Timestamp;
use reqwest::{Client, header};
use url::Url;

use crate::egress::{Policy, Resolver};
use crate::mail::Untaken;
use crate::signature::{ID_HEADER, SIGNATURE_HEADER, Secret, TIME_HEADER};
use crate::tls::Authorities;

/// How long one call may take, everything included.
const DEADLINE: Duration = Duration::from_secs(20);

/// A webhook that is told what happened.
#[derive(Debug, Clone)]
pub struct Hook {
    url: Url,
    secret: Secret,
    egress: Arc<Policy>,
    client: Arc<OnceLock<Result<Client, String>>>,
}

impl Hook {
    /// A webhook at an address, with the secret that its receiver knows too.
    pub fn new(url: Url, secret: Secret, egress: Arc<Policy>) -> Hook {
        Hook { url, secret, egress, client: Arc::default() }
    }

    fn client(&self) -> Result<&Client, Untaken> {
        let client = self.client.get_or_init(|| {
            let tls = Authorities::Machine.client_config().map_err(|error| error.to_string())?;
            Client::builder()
                .tls_backend_preconfigured(tls)
                .dns_resolver(Resolver(Arc::clone(&self.egress)))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .timeout(DEADLINE)
                .user_agent(concat!("accede/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| error.to_string())
        });
        client.as_ref().map_err(|error| Untaken::now(format!("no HTTP client: {error}")))
    }

    /// Posts a JSON body under an id that is the same each time it is sent.
    ///
    /// # Errors
    ///
    /// There is no answer, or another one than 2xx. What is answered `410 Gone` is not to be sent
    /// again, as the specification of Standard Webhooks says.
    pub async fn post(&self, id: &str, at: Timestamp, body: String) -> Result<(), Untaken> {
        let permits =
            |ip| self.egress.permits(ip).map_err(|denied| Untaken::now(denied.to_string()));
        self.egress.permits_url(&self.url).map_err(|denied| Untaken::now(denied.to_string()))?;
        let response = self
            .client()?
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(ID_HEADER, id)
            .header(TIME_HEADER, at.as_second().to_string())
            .header(SIGNATURE_HEADER, self.secret.sign(id, at.as_second(), &body))
            .body(body)
            .send()
            .await
            .map_err(|error| Untaken::now(unanswered(error)))?;
        if let Some(peer) = response.remote_addr() {
            permits(peer.ip())?;
        }
        match response.status().as_u16() {
            200..=299 => Ok(()),
            410 => Err(Untaken::ever("the webhook answered 410 Gone")),
            status => Err(Untaken::now(format!("the webhook answered {status}"))),
        }
    }
}

/// What went wrong, without the address, which may hold a secret.
fn unanswered(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
