//! Creates that are safe to repeat: a client that did not hear our answer sends its create again and
//! gets the object that was made the first time.
//!
//! The key is taken in the transaction that makes the object, so there is no moment in which one
//! exists without the other, and two that come at once wait for each other.

use accede_domain::Timestamp;
use accede_store::Tx;
use accede_store::crash::{Point, point};
use accede_store::creations::{self, Made};
use aws_lc_rs::digest;
use jiff::SignedDuration;

use crate::{Caller, Error, Principal, Result};

/// Longest key, in characters.
pub const MAX_KEY: usize = 255;
/// The code of the refusal of a key that was used for another body.
pub const REUSED: &str = "IdempotencyKeyReused";
/// How long a key is remembered.
pub const MEMORY: SignedDuration = SignedDuration::from_hours(24);
/// How long a create that carries no key of its own is recognised when it is sent again.
pub const UNNAMED_MEMORY: SignedDuration = SignedDuration::from_mins(10);
/// Old keys that each create forgets on its way, so that they never pile up.
const FORGET: usize = 4;

/// How a create says which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// `Idempotency-Key`: the same key with another body is a mistake.
    Named(String),
    /// `client-request-id`, which some clients reuse for everything they do: it counts only when
    /// the request says that it is sent again.
    Request {
        /// The id.
        id: String,
        /// Whether the client says that it has sent this before (`Retry-Attempt`).
        is_retry: bool,
    },
    /// Nothing: the body itself, if the client says that it has sent it before.
    Body {
        /// Whether the client says that it has sent this before (`Retry-Attempt`).
        is_retry: bool,
    },
}

/// A create that may be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    key: Key,
    route: String,
    body_hash: Vec<u8>,
}

impl Repeat {
    /// A create at `route` (its method and path) with this body.
    ///
    /// # Errors
    ///
    /// Invalid, for a key that is empty or longer than [`MAX_KEY`].
    pub fn new(key: Key, route: impl Into<String>, body: &[u8]) -> Result<Repeat> {
        let (header, text) = match &key {
            Key::Named(text) => ("Idempotency-Key", text.as_str()),
            Key::Request { id, .. } => ("client-request-id", id.as_str()),
            Key::Body { .. } => ("", "-"),
        };
        if text.is_empty() || MAX_KEY < text.chars().count() {
            return Err(Error::invalid(header, format!("must have 1 to {MAX_KEY} characters")));
        }
        let body_hash = digest::digest(&digest::SHA256, body).as_ref().to_vec();
        Ok(Repeat { key, route: route.into(), body_hash })
    }

    /// The key as it is stored: of one principal, one route and one name.
    fn stored(&self, caller: &Caller) -> String {
        let principal = match caller.principal {
            Principal::User { subject, .. } | Principal::App { subject, .. } => subject.to_string(),
            Principal::System => "system".to_owned(),
        };
        let mut context = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(bytes);
        };
        part(principal.as_bytes());
        part(self.route.as_bytes());
        match &self.key {
            Key::Named(text) => {
                part(b"named");
                part(text.as_bytes());
            }
            Key::Request { id, .. } => {
                part(b"request");
                part(id.as_bytes());
            }
            Key::Body { .. } => {
                part(b"body");
                part(&self.body_hash);
            }
        }
        let hash = context.finish();
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Takes the key of a create for the object with this id, in the transaction that makes it. `Some`
/// is the id of the object that was made when this create came first: answer with that one and make
/// nothing.
///
/// # Errors
///
/// A duplicate with the code [`REUSED`] when the key was used for something else.
pub(crate) async fn begin<I>(
    tx: &mut Tx<'_>,
    caller: &Caller,
    repeat: Option<&Repeat>,
    id: I,
    now: Timestamp,
) -> Result<Option<I>>
where
    I: std::fmt::Display + std::str::FromStr,
{
    let Some(repeat) = repeat else { return Ok(None) };
    creations::forget(tx, now - MEMORY, FORGET).await?;
    let key = repeat.stored(caller);
    let new = Made { object: id.to_string(), body_hash: repeat.body_hash.clone(), at: now };
    let before = creations::take(tx, &key, &new).await?;
    point(Point::CreationTaken);
    let Some(before) = before else { return Ok(None) };
    let same = before.body_hash == repeat.body_hash;
    let is_repeat = match &repeat.key {
        Key::Named(_) if before.at < now - MEMORY => false,
        Key::Named(_) if same => true,
        Key::Named(_) => {
            return Err(Error::Duplicate {
                code: REUSED,
                sentence:
                    "this `Idempotency-Key` was used for a request with another body; send a \
                           new key with a new request"
                        .to_owned(),
            });
        }
        Key::Request { is_retry, .. } => *is_retry && same,
        Key::Body { is_retry } => *is_retry && now - UNNAMED_MEMORY <= before.at,
    };
    if is_repeat && let Ok(id) = before.object.parse() {
        return Ok(Some(id));
    }
    creations::replace(tx, &key, &new).await?;
    Ok(None)
}
