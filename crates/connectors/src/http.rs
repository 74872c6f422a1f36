//! One HTTP client for targets: judged addresses, checked certificates, no redirects, no retries,
//! bounded answers, and a deadline for everything. Says what an answer's status means for trying
//! again; what it means for a role is the connector's business.

use std::error::Error;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::egress::{ConnectError, Denied, Policy, Resolver};
use crate::oauth::Credentials;
use crate::pace::Pace;
use crate::settings::{Field, Form, Problem, Reader, problem};
use crate::tls::Authorities;

/// The setting that lets [`address`] be an unencrypted one.
pub const ALLOW_PLAIN: Field = Field::new(
    "allowPlain",
    "Allow an unencrypted connection",
    "allows `http://` to another machine; default `false`",
)
.form(Form::Flag);

/// Largest answer about one object, in bytes.
pub const OBJECT_LIMIT: usize = 1024 * 1024;
/// Largest answer that is a list, in bytes.
pub const LIST_LIMIT: usize = 4 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the five seconds after which common servers close an unused connection, so that no
/// call is put on one that is just closing.
const IDLE: Duration = Duration::from_secs(4);
const LEAST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// How long a full disk is left alone.
const WAIT_FOR_STORAGE: Duration = Duration::from_secs(900);

/// How a kind of target speaks over HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// Which answers we take.
    pub accept: &'static str,
    /// What a body that we send is.
    pub content_type: &'static str,
    /// What it is to answer, for people: `a SCIM server`.
    pub server: &'static str,
}

/// A client for one address.
pub struct Http {
    base: Url,
    dialect: Dialect,
    credentials: Credentials,
    egress: Arc<Policy>,
    authorities: Authorities,
    pace: Pace,
    client: OnceLock<Result<Client, String>>,
}

/// One call.
pub struct Call<'a> {
    /// What to do.
    pub method: Method,
    /// Where, below the base address; already encoded.
    pub path: &'a str,
    /// What to send.
    pub body: Option<&'a Value>,
    /// The version that must still be there.
    pub if_match: Option<&'a str>,
    /// How many bytes of the answer are read at most.
    pub limit: usize,
}

/// What an answer carried.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// JSON, declared as JSON.
    Json(Value),
    /// Something else: a page for people, a broken answer.
    Other,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The version of the object.
    pub etag: Option<String>,
    /// How long we are asked to wait.
    pub retry_after: Option<Duration>,
    /// What it carried.
    pub body: Body,
    /// Whether it carried a page for people, which no program answers.
    pub is_page: bool,
    writes: bool,
}

impl Reply {
    /// One answer of those that a bulk call of SCIM brings (RFC 7644, 3.7.3).
    pub fn of_bulk(said: &Value) -> Option<Reply> {
        let status = said.get("status")?;
        // Some servers send an object, as an early draft had it.
        let status = status.get("code").unwrap_or(status);
        let number = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
        let body = said.get("response").cloned().map_or(Body::Empty, Body::Json);
        Some(Reply {
            status: u16::try_from(number).ok()?,
            etag: None,
            retry_after: None,
            body,
            is_page: false,
            writes: true,
        })
    }

    /// The JSON of an answer that reports success with a body.
    pub fn json(&self) -> Option<&Value> {
        match &self.body {
            Body::Json(value) if matches!(self.status, 200 | 201) => Some(value),
            _ => None,
        }
    }

    /// Answers whether this is an error that a SCIM server speaks, not one of a proxy before it.
    pub fn is_scim_error(&self) -> bool {
        let Body::Json(value) = &self.body else { return false };
        let names_error =
            |schema: &Value| schema.as_str() == Some("urn:ietf:params:scim:api:messages:2.0:Error");
        value
            .get("schemas")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(names_error))
    }

    /// The `scimType` of an error, if it is one that RFC 7644 knows.
    pub fn scim_type(&self) -> Option<&'static str> {
        const KNOWN: [&str; 10] = [
            "invalidFilter",
            "tooMany",
            "uniqueness",
            "mutability",
            "invalidSyntax",
            "invalidPath",
            "noTarget",
            "invalidValue",
            "invalidVers",
            "sensitive",
        ];
        let Body::Json(value) = &self.body else { return None };
        let said = value.get("scimType")?.as_str()?;
        KNOWN.into_iter().find(|known| *known == said)
    }

    /// The code of an error as OData has it; Microsoft Graph speaks so.
    pub fn odata_code(&self) -> Option<&str> {
        let Body::Json(value) = &self.body else { return None };
        value.get("error")?.get("code")?.as_str()
    }

    fn detail(&self) -> Option<&str> {
        let Body::Json(value) = &self.body else { return None };
        let said = value.get("detail").or_else(|| value.get("error")?.get("message"));
        said?.as_str().map(str::trim).filter(|detail| !detail.is_empty())
    }
}

impl Http {
    /// A client for everything below `base`, which has no trailing slash. Connects to nothing yet.
    pub fn new(
        base: Url,
        dialect: Dialect,
        credentials: Credentials,
        egress: Arc<Policy>,
        authorities: Authorities,
        pace: Pace,
    ) -> Http {
        Http { base, dialect, credentials, egress, authorities, pace, client: OnceLock::new() }
    }

    /// The address that everything is below.
    pub fn base(&self) -> &Url {
        &self.base
    }

    fn client(&self) -> Result<&Client, Fault> {
        let client = self.client.get_or_init(|| {
            // Reading the machine's authorities takes time that a plain address need not pay.
            let encrypts =
                self.base.scheme() == "https" || matches!(self.credentials, Credentials::Client(_));
            let tls = match encrypts {
                true => self.authorities.client_config(),
                false => {
                    Authorities::Only(Arc::new(rustls::RootCertStore::empty())).client_config()
                }
            };
            Client::builder()
                .tls_backend_preconfigured(tls.map_err(|error| error.to_string())?)
                .dns_resolver(Resolver(Arc::clone(&self.egress)))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .http1_only()
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE)
                .user_agent(concat!("accede/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| error.to_string())
        });
        client.as_ref().map_err(|error| {
            Fault::new(Class::Target, "client", format!("no HTTP client could be made: {error}"))
        })
    }

    /// Makes one call, once. A call that a fetched token was refused for did not happen; it is made
    /// with a new one.
    ///
    /// # Errors
    ///
    /// There is no answer, or none that can be read within limits. A call that changes something
    /// and may have arrived is Unknown.
    pub async fn send(&self, call: Call<'_>, deadline: Instant) -> Result<Reply, Fault> {
        match &self.credentials {
            Credentials::Bearer(token) => self.send_with(token, &call, deadline).await,
            Credentials::Client(client) => {
                let token = client.token(self, deadline).await?;
                let reply = self.send_with(&token, &call, deadline).await?;
                if reply.status != 401 {
                    return Ok(reply);
                }
                client.forget(&token).await;
                let token = client.token(self, deadline).await?;
                self.send_with(&token, &call, deadline).await
            }
            Credentials::Signature(_) => {
                let message = "a call without a signature was not sent";
                Err(Fault::new(Class::Unsupported, "unsigned", message))
            }
        }
    }

    /// Posts a body that is signed in its headers to the base address, once.
    ///
    /// # Errors
    ///
    /// There is no answer, or none that can be read within limits. A call that may have arrived is
    /// Unknown.
    pub async fn post_signed(
        &self,
        headers: &[(&'static str, String)],
        body: String,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        let mut request = self
            .client()?
            .post(self.base.clone())
            .header(header::ACCEPT, self.dialect.accept)
            .header(header::CONTENT_TYPE, self.dialect.content_type)
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let exchange = self.exchange(&self.base, request, OBJECT_LIMIT, true);
        self.timely(exchange, true, deadline).await
    }

    async fn send_with(
        &self,
        token: &str,
        call: &Call<'_>,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        let text = format!("{}{}", self.base.as_str().trim_end_matches('/'), call.path);
        let url = Url::parse(&text).map_err(|error| {
            Fault::new(Class::Permanent, "malformed-id", format!("no address can be made: {error}"))
        })?;
        let mut request = self
            .client()?
            .request(call.method.clone(), url.clone())
            .bearer_auth(token)
            .header(header::ACCEPT, self.dialect.accept);
        if let Some(version) = call.if_match {
            request = request.header(header::IF_MATCH, version);
        }
        if let Some(body) = call.body {
            request = request
                .header(header::CONTENT_TYPE, self.dialect.content_type)
                .body(body.to_string());
        }
        let writes = call.method != Method::GET;
        self.pace.turn(deadline).await?;
        self.timely(self.exchange(&url, request, call.limit, writes), writes, deadline).await
    }

    /// Posts a form to another address, once, without a token. It changes nothing there.
    ///
    /// # Errors
    ///
    /// There is no answer, or none that can be read within limits.
    pub async fn post_form(
        &self,
        url: &Url,
        form: String,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        let request = self
            .client()?
            .post(url.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        self.timely(self.exchange(url, request, OBJECT_LIMIT, false), false, deadline).await
    }

    async fn timely(
        &self,
        exchange: impl Future<Output = Result<Reply, Fault>>,
        writes: bool,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        if deadline <= Instant::now() {
            let message = "the target is too slow: there was no time left for this call";
            return Err(Fault::new(Class::Transient, "deadline", message));
        }
        match tokio::time::timeout_at(deadline, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let class = if writes { Class::Unknown } else { Class::Transient };
                let message = "the call was sent and no answer came in time";
                Err(Fault::new(class, "timeout", message))
            }
        }
    }

    async fn exchange(
        &self,
        url: &Url,
        request: RequestBuilder,
        limit: usize,
        writes: bool,
    ) -> Result<Reply, Fault> {
        // Names are judged when they are resolved; addresses never are resolved.
        self.egress.permits_url(url).map_err(|denied| denied.fault())?;
        let mut response = request.send().await.map_err(|error| self.unanswered(&error, writes))?;
        if let Some(peer) = response.remote_addr() {
            // INVARIANT: the address at the other end is what counts.
            self.egress.permits(peer.ip()).map_err(|denied| denied.fault())?;
        }
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| self.unanswered(&error, writes))?
        {
            if limit < bytes.len() + chunk.len() {
                let class = if writes { Class::Unknown } else { Class::Transient };
                let message = format!("the answer is longer than {limit} bytes");
                tracing::warn!(limit, "a target's answer is longer than we read");
                return Err(Fault::new(class, "answer-too-large", message));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status,
            etag: text_of(&headers, header::ETAG).map(str::to_owned),
            retry_after: retry_after(&headers),
            body: body(&headers, &bytes),
            is_page: !bytes.is_empty() && content_type(&headers) == "text/html",
            writes,
        })
    }

    fn unanswered(&self, error: &reqwest::Error, writes: bool) -> Fault {
        for cause in causes(error) {
            if let Some(denied) = cause.downcast_ref::<Denied>() {
                return denied.fault();
            }
            match cause.downcast_ref::<ConnectError>() {
                Some(ConnectError::Denied(denied)) => return denied.fault(),
                Some(ConnectError::Dns { host, .. }) => {
                    let message =
                        format!("the name `{host}` could not be resolved; check `baseUrl`");
                    return Fault::new(Class::Target, "dns", message);
                }
                _ => {}
            }
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                let message = match error {
                    rustls::Error::InvalidCertificate(_) => format!(
                        "the target's certificate is not accepted ({error}); renew it, or give its \
                         authority in `caCertificate`"
                    ),
                    _ => format!("no secure connection: {error}"),
                };
                return Fault::new(Class::Target, "tls", message);
            }
        }
        let last = causes(error).last().map(ToString::to_string).unwrap_or_default();
        if error.is_connect() || error.is_builder() {
            let message = format!("the target could not be reached: {last}");
            return Fault::new(Class::Transient, "unreachable", message);
        }
        let class = if writes { Class::Unknown } else { Class::Transient };
        let message = format!("the connection was lost after the call was sent: {last}");
        Fault::new(class, "connection-lost", self.credentials.without_secrets(&message))
    }

    /// What an answer that is not the wanted one says about trying again. A 404 or 410 here means
    /// that the address is wrong; who knows better asks before.
    pub fn fault(&self, reply: &Reply) -> Fault {
        let status = reply.status;
        let mut code = format!("http-{status}");
        let not_ours = format!("the answer is not what {} answers", self.dialect.server);
        let not_ours_at_all = format!("{not_ours}; check `baseUrl`");
        let (class, remedy) = match status {
            202 => (Class::Unknown, "it was accepted and may happen later"),
            200..=299 if reply.writes => {
                code = "unreadable-answer".to_owned();
                (Class::Unknown, not_ours.as_str())
            }
            200..=299 => {
                code = "unreadable-answer".to_owned();
                (Class::Target, not_ours_at_all.as_str())
            }
            300..=399 => (Class::Target, "redirects are not followed; check `baseUrl`"),
            400 | 422 => {
                if let Some(kind) = reply.scim_type() {
                    code = format!("{code}-{kind}");
                }
                (Class::Permanent, "")
            }
            401 => (Class::Target, self.credentials.remedy()),
            403 => (Class::Permanent, "the token may not do this"),
            404 | 410 => (Class::Target, "nothing is found here; check `baseUrl`"),
            405 | 501 => (Class::Unsupported, "the target cannot do this"),
            406 | 414 | 415 | 428 | 431 => (Class::Target, "the target does not take our calls"),
            408 => (Class::Transient, ""),
            409 | 412 | 423 | 425 => (Class::Transient, "the object is being changed"),
            413 => (Class::Permanent, "the call is too large for the target"),
            429 => (Class::Throttled, "the target asks to slow down"),
            503 if reply.retry_after.is_some() => (Class::Throttled, "the target asks to wait"),
            504 if reply.writes => (Class::Unknown, "the call may have arrived"),
            500 | 502..=504 | 507 => (Class::Transient, ""),
            _ => {
                tracing::warn!(status, unclassified = true, "an HTTP status is not in our table");
                (if 500 <= status { Class::Transient } else { Class::Permanent }, "")
            }
        };
        let mut message = format!("the target answered {status}");
        for (separator, more) in [(": ", reply.detail().unwrap_or_default()), ("; ", remedy)] {
            if !more.is_empty() {
                message.push_str(separator);
                message.push_str(more);
            }
        }
        let wait = reply.retry_after.or((status == 507).then_some(WAIT_FOR_STORAGE));
        Fault::new(class, code, self.credentials.without_secrets(&message)).after(wait)
    }
}

/// Reads the address of a target, or of something beside it, from its settings.
///
/// # Errors
///
/// It is no address that secrets may be sent to.
pub fn address(
    reader: &Reader<'_>,
    name: &str,
    example: &str,
    egress: &Policy,
) -> Result<Url, Problem> {
    let text = reader.required(name, example)?.trim_end_matches('/');
    let url = Url::parse(text)
        .map_err(|_| problem(name, format!("is not an address; give it like `{example}`")))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(problem(name, "must begin with `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(problem(name, "must not hold a password; use the secret `bearerToken`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(problem(name, "must end with the path, without `?` or `#`"));
    }
    egress.permits_url(&url).map_err(|denied| problem(name, format!("is refused: {denied}")))?;
    let near = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    };
    // Read even where it is not needed: a wrong value is not kept.
    let allows_plain = reader.flag("allowPlain", false)?;
    if url.scheme() == "http" && !near && !allows_plain {
        let sentence = "would send secrets unencrypted; use `https://`, or set `allowPlain`";
        return Err(problem(name, sentence));
    }
    Ok(url)
}

/// A part of an address, encoded whole: a slash in an id does not lead elsewhere.
pub fn encode(part: &str) -> String {
    percent_encoding::utf8_percent_encode(part, SEGMENT).to_string()
}

const SEGMENT: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// An error and what caused it, the outermost first. An I/O error hides what it wraps from
/// `source`, so it is asked itself.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next
        && causes.len() < 16
    {
        causes.push(error);
        let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match hidden {
            Some(hidden) => Some(hidden),
            None => error.source(),
        };
    }
    causes
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The wait that an answer asks for, between a second and an hour. A date is measured against the
/// answer's own `Date`, so no clock but the target's is asked.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text_of(headers, header::RETRY_AFTER)?;
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(text).ok()?;
            let now = httpdate::parse_http_date(text_of(headers, header::DATE)?).ok()?;
            until.duration_since(now).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.clamp(LEAST_WAIT, LONGEST_WAIT))
}

fn content_type(headers: &HeaderMap) -> String {
    let kind = text_of(headers, header::CONTENT_TYPE).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn body(headers: &HeaderMap, bytes: &[u8]) -> Body {
    if bytes.is_empty() {
        return Body::Empty;
    }
    let kind = content_type(headers);
    let is_json = kind == "application/json" || kind.ends_with("+json");
    match serde_json::from_slice(bytes) {
        Ok(value) if is_json => Body::Json(value),
        _ => Body::Other,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn http() -> Http {
        let base = Url::parse("https://wiki.example/scim").unwrap();
        let credentials = Credentials::Bearer("s3cret".into());
        let dialect = Dialect { accept: "*/*", content_type: "text/plain", server: "a server" };
        let (egress, pace) = (Arc::default(), Pace::default());
        Http::new(base, dialect, credentials, egress, Authorities::Machine, pace)
    }

    fn reply(status: u16, writes: bool, body: Body) -> Reply {
        Reply { status, etag: None, retry_after: None, body, is_page: false, writes }
    }

    #[test]
    fn each_status_has_the_class_of_the_table() {
        use Class::*;
        let read_and_write: &[(u16, Class, Class)] = &[
            (202, Unknown, Unknown),
            (200, Target, Unknown),
            (204, Target, Unknown),
            (301, Target, Target),
            (302, Target, Target),
            (304, Target, Target),
            (400, Permanent, Permanent),
            (401, Target, Target),
            (403, Permanent, Permanent),
            (404, Target, Target),
            (405, Unsupported, Unsupported),
            (406, Target, Target),
            (408, Transient, Transient),
            (409, Transient, Transient),
            (410, Target, Target),
            (412, Transient, Transient),
            (413, Permanent, Permanent),
            (414, Target, Target),
            (415, Target, Target),
            (418, Permanent, Permanent),
            (422, Permanent, Permanent),
            (423, Transient, Transient),
            (425, Transient, Transient),
            (428, Target, Target),
            (429, Throttled, Throttled),
            (431, Target, Target),
            (500, Transient, Transient),
            (501, Unsupported, Unsupported),
            (502, Transient, Transient),
            (503, Transient, Transient),
            (504, Transient, Unknown),
            (507, Transient, Transient),
            (599, Transient, Transient),
        ];
        for (status, read, write) in read_and_write {
            for (writes, class) in [(false, read), (true, write)] {
                let fault = http().fault(&reply(*status, writes, Body::Other));
                assert_eq!(fault.class, *class, "{status}, writes: {writes}");
            }
        }
    }

    #[test]
    fn the_kind_of_a_scim_error_is_part_of_its_code_only_if_it_is_known() {
        let said = |kind: &str| {
            let body = json!({"scimType": kind, "detail": "no such value; your token is s3cret"});
            http().fault(&reply(400, true, Body::Json(body)))
        };
        assert_eq!(said("invalidValue").code, "http-400-invalidValue");
        assert_eq!(said("user 4711 is bad").code, "http-400");
        assert!(said("invalidValue").message.contains("no such value"));
        assert!(!said("invalidValue").message.contains("s3cret"), "secrets stay out of messages");
    }

    #[test]
    fn a_wait_is_read_as_seconds_or_as_a_date_against_the_answers_own_clock() {
        let wait = |pairs: &[(header::HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(name, value.parse().unwrap());
            }
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        let (after, date) = (header::RETRY_AFTER, header::DATE);
        assert_eq!(wait(&[(after.clone(), "120")]), Some(120));
        assert_eq!(wait(&[(after.clone(), "0")]), Some(1));
        assert_eq!(wait(&[(after.clone(), "999999")]), Some(3_600));
        let until = (after.clone(), "Wed, 21 Oct 2015 07:28:30 GMT");
        assert_eq!(wait(&[until.clone(), (date, "Wed, 21 Oct 2015 07:28:00 GMT")]), Some(30));
        assert_eq!(wait(&[until]), None);
        assert_eq!(wait(&[(after, "soon")]), None);
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_page_for_people_is_not_json_whatever_it_is_called() {
        let read = |kind: &'static str, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            body(&headers, text.as_bytes())
        };
        assert_eq!(read("text/html", "{}"), Body::Other);
        assert_eq!(read("application/json", "<html>"), Body::Other);
        assert_eq!(read("application/scim+json; charset=utf-8", "{}"), Body::Json(json!({})));
        assert_eq!(read("text/html", ""), Body::Empty);
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_address() {
        assert_eq!(encode("../Users/1?x#y"), "%2E%2E%2FUsers%2F1%3Fx%23y");
        assert_eq!(encode("5d2b7f66-80a4"), "5d2b7f66-80a4");
    }
}
