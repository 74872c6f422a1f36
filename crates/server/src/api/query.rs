//! Query options: what a reader asks of a list or an object, in OData's words.
//!
//! Clients differ in how they write them: keys with and without `$`, `%24` for it, `+` for a blank,
//! any case. All of that is read; what we do not know is refused by name instead of ignored,
//! because a forgotten filter shows everything.

mod expand;
mod project;

use accede_app::Listing;
use accede_app::list::MAX_TOP;
use accede_domain::filter::{self, Filter, OrderBy, parse_order};
use accede_domain::nearest;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::error::{ApiError, Result};
use super::openapi::{self, Operation};

pub use expand::Expand;
pub use project::Shape;

/// Longest query string, in bytes.
pub const MAX_QUERY: usize = 16_384;
/// Most levels of `$expand`.
pub const MAX_EXPAND_DEPTH: usize = 3;
/// Most navigation properties expanded by one request, on all levels together.
pub const MAX_EXPANDS: usize = 20;
/// Most names in `$select`.
pub const MAX_SELECT: usize = 100;
/// Most items that can be skipped; beyond, follow the `@odata.nextLink`s.
pub const MAX_SKIP: usize = 100_000;
/// Longest `$search`, in characters.
pub const MAX_SEARCH: usize = 256;

/// The options of one request, or of one expanded property.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// `$filter`
    pub filter: Option<Filter>,
    /// `$orderby`; empty if not asked.
    pub order: Vec<OrderBy>,
    /// `$select`, names as sent; empty if not asked.
    pub select: Vec<String>,
    /// `$expand`
    pub expand: Vec<Expand>,
    /// `$top`, from 1 to [`MAX_TOP`], or to what the list allows.
    pub top: Option<usize>,
    /// `$skip`, at most [`MAX_SKIP`].
    pub skip: usize,
    /// `$skiptoken`, as we wrote it into a link.
    pub skiptoken: Option<String>,
    /// `$count`
    pub count: bool,
    /// `$search`, without its quotes.
    pub search: Option<String>,
    /// `@id` or `$id`: what a `$ref` is about.
    pub id: Option<String>,
    /// Parameters that are not OData's, in the order sent.
    pub other: Vec<(String, String)>,
    seen: Vec<&'static str>,
    /// Largest `$top`, if it is not [`MAX_TOP`].
    most: Option<usize>,
}

/// What may be asked, without `$`.
const OPTIONS: [&str; 11] = [
    "filter",
    "orderby",
    "select",
    "expand",
    "top",
    "skip",
    "skiptoken",
    "count",
    "search",
    "format",
    "id",
];

impl Query {
    /// Reads a raw query string.
    ///
    /// # Errors
    ///
    /// `400` naming the option: unknown, twice, unreadable, or over its limit.
    pub fn parse(raw: &str) -> Result<Query> {
        Query::default().read(raw)
    }

    fn read(mut self, raw: &str) -> Result<Query> {
        if raw.len() > MAX_QUERY {
            return Err(ApiError::bad_request(
                "query",
                format!("the query string is {} bytes long; the limit is {MAX_QUERY}", raw.len()),
            ));
        }
        let mut expands = 0;
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decoded(key)?, decoded(value)?);
            let bare = key.trim().trim_start_matches(['$', '@']);
            match option(bare) {
                Some(option) => self.set(option, &value, 1, &mut expands)?,
                None if key.trim().starts_with('$') => return Err(unknown(&key)),
                None => self.other.push((key, value)),
            }
        }
        Ok(self)
    }

    /// Reads what a list of our own API is asked, which takes what its description declares and
    /// nothing else. `$format` is taken everywhere.
    ///
    /// # Errors
    ///
    /// Like [`Query::parse`]; `400` naming an option that the list does not take.
    fn of(operation: &Operation, raw: &str) -> Result<Query> {
        let query = Query { most: Some(operation.most()), ..Query::default() }.read(raw)?;
        let takes = |option: &str| {
            operation.query.iter().any(|name| name.trim_start_matches('$') == option)
        };
        let strange = query.seen.iter().find(|option| **option != "format" && !takes(option));
        let Some(strange) = strange else { return Ok(query) };
        let known = match operation.query {
            [] => "no query options".to_owned(),
            [one] => format!("`{one}` only"),
            some => some.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        };
        let option = format!("${strange}");
        let message = format!("`{option}` is not taken here; this takes {known}");
        Err(ApiError::bad_request(&option, message))
    }

    /// A parameter that is not OData's.
    pub fn other(&self, name: &str) -> Option<&str> {
        let found = self.other.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// What a verb that lists is asked.
    pub fn listing(&self) -> Listing {
        Listing {
            filter: self.filter.clone(),
            order: self.order.clone(),
            top: self.top,
            skip: self.skip,
            after: self.skiptoken.clone(),
            count: self.count,
        }
    }

    fn set(
        &mut self,
        option: &'static str,
        value: &str,
        depth: usize,
        expands: &mut usize,
    ) -> Result<()> {
        if self.seen.contains(&option) {
            let message = format!("`${option}` is given twice; give it once");
            return Err(ApiError::bad_request(&format!("${option}"), message));
        }
        self.seen.push(option);
        let value = value.trim();
        let syntax = |error: filter::SyntaxError| {
            ApiError::bad_request("$orderby", format!("`$orderby`: {error}"))
        };
        match option {
            "filter" if value.is_empty() => {}
            "filter" => self.filter = Some(Filter::parse(value)?),
            "orderby" if value.is_empty() => {}
            "orderby" => self.order = parse_order(value).map_err(syntax)?,
            "select" => self.select = names(value)?,
            "expand" => self.expand = expand::parse(value, depth, expands)?,
            "top" => self.top = Some(number("$top", value, 1, self.most.unwrap_or(MAX_TOP))?),
            "skip" => self.skip = number("$skip", value, 0, MAX_SKIP)?,
            "skiptoken" => self.skiptoken = Some(value.to_owned()),
            "count" => self.count = flag("$count", value)?,
            "search" => self.search = search(value)?,
            "format" => format(value)?,
            _ => self.id = Some(value.to_owned()),
        }
        Ok(())
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query> {
        let raw = parts.uri.query().unwrap_or_default();
        let path = parts.extensions.get::<MatchedPath>();
        match path.and_then(|path| openapi::operation(&parts.method, path.as_str())) {
            Some(operation) => Query::of(operation, raw),
            None => Query::parse(raw),
        }
    }
}

fn option(bare: &str) -> Option<&'static str> {
    OPTIONS.into_iter().find(|option| option.eq_ignore_ascii_case(bare))
}

fn unknown(key: &str) -> ApiError {
    let shown: String = key.trim().chars().take(40).collect();
    let known: Vec<String> = OPTIONS.iter().map(|option| format!("${option}")).collect();
    let hint = match nearest::one(&shown, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    };
    ApiError::bad_request(&shown, format!("`{shown}` is not a query option here; {hint}"))
}

/// Percent-decoded, `+` read as a blank.
fn decoded(text: &str) -> Result<String> {
    let blanks = text.replace('+', " ");
    let wrong = |what: &str| ApiError::bad_request("query", format!("the query string {what}"));
    let decoded = percent_decode_str(&blanks).decode_utf8();
    let decoded = decoded.map_err(|_| wrong("is not valid UTF-8 once decoded"))?;
    if decoded.contains('\0') {
        return Err(wrong("contains the character U+0000"));
    }
    Ok(decoded.into_owned())
}

fn number(option: &str, value: &str, least: usize, limit: usize) -> Result<usize> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    // Digits that do not fit a number are over the limit too.
    let number = digits.then(|| value.parse::<usize>().unwrap_or(usize::MAX));
    number.filter(|number| (least..=limit).contains(number)).ok_or_else(|| {
        let shown: String = value.chars().take(40).collect();
        ApiError::bad_request(
            option,
            format!(
                "`{option}` is a whole number from {least} to {limit}, the limit, not `{shown}`"
            ),
        )
    })
}

fn flag(option: &str, value: &str) -> Result<bool> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        let shown: String = value.chars().take(40).collect();
        let message = format!("`{option}` is true or false, not `{shown}`");
        Err(ApiError::bad_request(option, message))
    }
}

fn names(value: &str) -> Result<Vec<String>> {
    let names: Vec<String> = value
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if names.len() > MAX_SELECT {
        let message =
            format!("`$select` names {} properties; the limit is {MAX_SELECT}", names.len());
        return Err(ApiError::bad_request("$select", message));
    }
    Ok(names)
}

fn search(value: &str) -> Result<Option<String>> {
    let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(value);
    if text.chars().count() > MAX_SEARCH {
        let message = format!("`$search` is too long; the limit is {MAX_SEARCH} characters");
        return Err(ApiError::bad_request("$search", message));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Answers are JSON whatever is asked; asking for something else is an error.
fn format(value: &str) -> Result<()> {
    let kind = value.split(';').next().unwrap_or_default().trim();
    if ["json", "application/json", ""].iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let shown: String = value.chars().take(40).collect();
    Err(ApiError::bad_request("$format", format!("`$format` is json, not `{shown}`")))
}

#[cfg(test)]
mod tests;
