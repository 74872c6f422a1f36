//! A client of a server's HTTP API, for the commands that need one.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use url::Url;

use super::{Code, Failure};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long an import may take.
const IMPORT_PATIENCE: Duration = Duration::from_secs(900);
/// Where entitlement management is.
pub const EM: &str = "/v1.0/identityGovernance/entitlementManagement";

/// Which server, as whom, and how to answer.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The server, such as `https://accede.example`
    #[arg(long, value_name = "URL", env = "ACCEDE_SERVER")]
    pub server: Option<String>,
    /// Bearer token, such as one from `accede token`
    #[arg(long, value_name = "TOKEN", env = "ACCEDE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Tables for people, or JSON for scripts
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
}

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and sentences
    Table,
    /// JSON
    Json,
}

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

impl Connection {
    /// The client.
    ///
    /// # Errors
    ///
    /// No server, no token, or something that is not an address.
    pub fn client(&self) -> Result<Client, Failure> {
        let usage = |sentence: String| Failure::new(sentence).with(Code::Usage);
        let server = self.server.as_deref().filter(|server| !server.is_empty());
        let server = server.ok_or_else(|| {
            usage("which server? Name it with --server URL or in ACCEDE_SERVER".to_owned())
        })?;
        let wrong = || usage(format!("`{server}` is not an address such as http://127.0.0.1:8080"));
        let base = Url::parse(server).map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong());
        }
        let token = self.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| {
            usage(
                "as whom? Give a token with --token or in ACCEDE_TOKEN; `accede token` makes one"
                    .to_owned(),
            )
        })?;
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .user_agent(concat!("accede/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::new(crate::chain(&error)))?;
        Ok(Client { http, base, token: token.to_owned() })
    }
}

impl Client {
    /// Reads.
    ///
    /// # Errors
    ///
    /// The server's, or that it cannot be reached.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let mut url = self.address(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(self.http.get(url)).await
    }

    /// The first items of a list, at most `most`, from as many pages as it takes.
    ///
    /// # Errors
    ///
    /// Like [`Client::get`].
    pub async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        most: usize,
    ) -> Result<Vec<Value>, Failure> {
        let mut page = self.get(path, query).await?;
        let mut found = items(&page);
        while found.len() < most {
            let Some(next) = page.get("@odata.nextLink").and_then(Value::as_str) else { break };
            page = self.follow(next).await?;
            found.extend(items(&page));
        }
        found.truncate(most);
        Ok(found)
    }

    /// Follows an `@odata.nextLink`, which must lead to the same server.
    ///
    /// # Errors
    ///
    /// Like [`Client::get`].
    async fn follow(&self, link: &str) -> Result<Value, Failure> {
        let url = Url::parse(link).ok().filter(|url| {
            // The server may know itself by another name; the token goes only where it came from.
            url.path().starts_with("/v1.0/") || url.path().starts_with("/accede/v1/")
        });
        let sent =
            url.ok_or_else(|| Failure::new("the server sent a link that leads elsewhere"))?;
        let mut url = self.address(sent.path())?;
        url.set_query(sent.query());
        self.send(self.http.get(url)).await
    }

    /// Does something.
    ///
    /// # Errors
    ///
    /// Like [`Client::get`].
    pub async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let mut request = self.http.post(self.address(path)?);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }

    /// Sends a CSV file.
    ///
    /// # Errors
    ///
    /// Like [`Client::get`].
    pub async fn post_csv(
        &self,
        path: &str,
        query: &[(&str, &str)],
        csv: Vec<u8>,
    ) -> Result<Value, Failure> {
        let mut url = self.address(path)?;
        url.query_pairs_mut().extend_pairs(query);
        let request = self.http.post(url).timeout(IMPORT_PATIENCE);
        self.send(request.header("content-type", "text/csv").body(csv)).await
    }

    /// Where a page of the server's portal is, for people.
    pub(super) fn page(&self, path: &str) -> Result<String, Failure> {
        Ok(self.address(path)?.to_string())
    }

    /// The name of a target system that is named by name or id. Who may not read target systems has
    /// what they wrote taken for its name.
    ///
    /// # Errors
    ///
    /// There is none, or like [`Client::get`].
    pub(super) async fn target_name(&self, target: &str) -> Result<String, Failure> {
        match self.get(&super::remote::target_path(target, ""), &[]).await {
            Ok(found) => Ok(super::table::at(&found, "/name")),
            Err(failure) if failure.code == Code::NotAllowed => Ok(target.to_owned()),
            Err(failure) => Err(failure),
        }
    }

    fn address(&self, path: &str) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        let whole = format!("{}{path}", self.base.path().trim_end_matches('/'));
        url.set_path(&whole);
        Ok(url)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let request = request.bearer_auth(&self.token).header("accept", "application/json");
        let response = request.send().await.map_err(|error| {
            let sentence = format!("{} cannot be reached: {}", self.base, root(&error));
            Failure::new(sentence).with(Code::Unreachable)
        })?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| {
            let sentence = format!("the answer of {} broke off: {}", self.base, root(&error));
            Failure::new(sentence).with(Code::Unreachable)
        })?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        let told = body.pointer("/error/message").and_then(Value::as_str);
        let sentence = told.map_or_else(
            || format!("{} answered {status}; is it an Accede server?", self.base),
            super::table::plain,
        );
        let code = match status.as_u16() {
            400 | 413 | 415 => Code::Usage,
            401 | 403 => Code::NotAllowed,
            404 => Code::NotFound,
            409 | 412 | 422 | 429 => Code::Refused,
            502..=504 => Code::Unreachable,
            _ => Code::Failed,
        };
        Err(Failure::new(sentence).with(code))
    }
}

/// The innermost cause, which says what happened; the outer ones repeat the address.
fn root(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(cause) = at.source() {
        at = cause;
    }
    at.to_string()
}
/// The items of a page.
pub(super) fn items(page: &Value) -> Vec<Value> {
    page.get("value").and_then(Value::as_array).cloned().unwrap_or_default()
}
