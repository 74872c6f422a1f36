//! What readers send: query options and form fields, each of which may come several times.

use std::str::FromStr;

use accede_app::Error;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use super::problem::Problem;
use super::session::Session;

/// Largest form, in bytes: a selection of 10,000 requests, each with its id.
pub const MAX_FORM: usize = 1 << 20;

/// Named values, in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// From `a=1&b=2`.
    pub fn parse(text: &[u8]) -> Fields {
        Fields(form_urlencoded::parse(text).into_owned().collect())
    }

    /// Of these names and values.
    pub fn of<const N: usize>(fields: [(&str, String); N]) -> Fields {
        Fields(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Adds a value.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first value of that name, without spaces around it; nothing if it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The same as [`Fields::get`], to keep.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Every value of that name that is not empty, without spaces around it.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let name = name.to_owned();
        self.0
            .iter()
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The first value of that name as it was typed; empty if there is none.
    pub fn typed(&self, name: &str) -> String {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .unwrap_or_default()
    }

    /// Whether there is a value of that name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of that name as an id or number; nothing if there is none or it is not one.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).and_then(|text| text.parse().ok())
    }
}

/// An address with options; those without a value are left out.
#[derive(Debug, Clone)]
pub struct Address {
    text: String,
    mark: char,
}

impl Address {
    /// An address without options.
    pub fn new(path: impl Into<String>) -> Address {
        Address { text: path.into(), mark: '?' }
    }

    /// With one option more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Address {
        if !value.as_ref().is_empty() {
            let value = utf8_percent_encode(value.as_ref(), NON_ALPHANUMERIC);
            self.text.push_str(&format!("{}{name}={value}", self.mark));
            self.mark = '&';
        }
        self
    }

    /// As text.
    pub fn text(self) -> String {
        self.text
    }
}

/// The options of an address.
#[derive(Debug)]
pub struct Asked(pub Fields);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked, Self::Rejection> {
        Ok(Asked(Fields::parse(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

/// The body of a form; one that is too large is refused with a page.
#[derive(Debug)]
pub struct Sent(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Sent, Response> {
        // A connection that broke is the other reason; nobody reads that answer.
        let too_large = |_| {
            let advice = "shorten what is typed, or select fewer at once";
            let limit = MAX_FORM;
            let error = Error::Limit { what: "the size of a form in bytes", limit, advice };
            Problem::from(error).into_response()
        };
        Bytes::from_request(request, state).await.map(Sent).map_err(too_large)
    }
}

/// A form that a signed-in reader sent from a page of this server.
#[derive(Debug)]
pub struct Posted {
    /// Who.
    pub session: Session,
    /// What.
    pub fields: Fields,
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Posted, Response> {
        let (mut parts, body) = request.into_parts();
        let session =
            <Session as FromRequestParts<S>>::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let Sent(body) = Sent::from_request(request, state).await?;
        let fields = Fields::parse(&body);
        let sent = fields.get("csrf").unwrap_or_default();
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(
            sent.as_bytes(),
            session.csrf.as_bytes(),
        );
        if session.csrf.is_empty() || same.is_err() {
            return Err(Problem::stale_form().into_response());
        }
        Ok(Posted { session, fields })
    }
}

/// The id in an address.
///
/// # Errors
///
/// Not found, as for one that does not exist: nobody types ids.
pub fn id<I: FromStr>(what: &'static str, text: &str) -> Result<I, Problem> {
    let shown: String = text.chars().take(80).collect();
    text.parse().map_err(|_| accede_app::Error::not_found(what, shown).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_come_several_times() {
        let fields = Fields::parse(b"state=delivered&state=denied&text=+a%26b+&empty=");
        assert_eq!(fields.all("state").collect::<Vec<_>>(), ["delivered", "denied"]);
        assert_eq!(fields.get("text"), Some("a&b"));
        assert_eq!(fields.typed("text"), " a&b ");
        assert!(!fields.has("empty"));
        assert!(!fields.has("missing"));
    }

    #[test]
    fn options_are_written_so_that_they_read_back_the_same() {
        let address =
            Address::new("/x").with("a", "1 & 2/ü").with("none", "").with("b", "c").text();
        let (path, query) = address.split_once('?').unwrap_or_default();
        let fields = Fields::parse(query.as_bytes());
        assert_eq!(path, "/x");
        assert_eq!(fields.get("a"), Some("1 & 2/ü"));
        assert_eq!(fields.get("b"), Some("c"));
        assert!(!query.contains("none"));
    }
}
