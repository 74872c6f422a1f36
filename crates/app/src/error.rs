//! What a verb can answer instead of a result. `server/src/api/error.rs` is the only translation to
//! status codes.

use accede_domain::refusal::Refusal;

/// Shorthand for the results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or the caller may not know that it does.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// What was looked for: `assignment request`, `catalog`.
        what: &'static str,
        /// The id, as given.
        id: String,
    },
    /// The caller sees it but may not do this.
    #[error("this needs {need}")]
    Forbidden {
        /// What one must be for it.
        need: String,
    },
    /// The caller is not known.
    #[error("{0}")]
    Unauthenticated(String),
    /// A rule said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something in the input is wrong.
    #[error("`{path}`: {sentence}")]
    Invalid {
        /// The property, such as `assignment.targetId`, or the query option, such as `$filter`.
        path: String,
        /// What is wrong and what to send instead.
        sentence: String,
    },
    /// Something of the same name exists.
    #[error("{sentence}")]
    Duplicate {
        /// Machine code such as `DuplicateKey`.
        code: &'static str,
        /// What exists, and what to do.
        sentence: String,
    },
    /// Somebody changed it since it was read.
    #[error("it was changed by somebody else; read it again and repeat")]
    Stale,
    /// Too many tries; wait.
    #[error("{sentence}")]
    Throttled {
        /// Why.
        sentence: String,
        /// Seconds to wait.
        retry_after: u64,
    },
    /// Too many items; named limit.
    #[error("{what} is limited to {limit}; {advice}")]
    Limit {
        /// What.
        what: &'static str,
        /// How many.
        limit: usize,
        /// What to do.
        advice: &'static str,
    },
    /// A target system did not answer as needed; the message is the target's.
    #[error("target system `{target}`: {fault}")]
    Target {
        /// Its name.
        target: String,
        /// What it answered.
        fault: accede_domain::fault::Fault,
    },
    /// No space is left on the database's disk.
    #[error(
        "the server's disk is full or takes no more; nothing was changed, ask its operator to free \
         some space"
    )]
    Full,
    /// Another process holds the database's file.
    #[error(
        "another process holds the database; nothing was changed, try again in a minute; if it stays \
         so, the server's operator must end that process"
    )]
    Locked(#[source] accede_store::Error),
    /// The database does not answer at present.
    #[error("the database is not available at present; nothing was changed, try again later")]
    Unavailable(#[source] accede_store::Error),
    /// The connection to the database broke while a change was being saved.
    #[error(
        "the connection to the database broke while this was being saved, so it is not known whether \
         it was; look before you repeat it"
    )]
    Uncertain(#[source] accede_store::Error),
    /// A fault of ours. The chain is logged; the reader gets the request's id.
    #[error("something went wrong on the server")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Input that is wrong at `path`.
    pub fn invalid(path: impl Into<String>, sentence: impl Into<String>) -> Error {
        Error::Invalid { path: path.into(), sentence: sentence.into() }
    }

    /// Something that does not exist for this caller.
    pub fn not_found(what: &'static str, id: impl ToString) -> Error {
        Error::NotFound { what, id: id.to_string() }
    }

    /// Whether it is about where the database lives and not about what was asked: the same would meet
    /// everybody else, and the same may go well later.
    pub fn is_outage(&self) -> bool {
        matches!(self, Error::Full | Error::Locked(_) | Error::Unavailable(_) | Error::Uncertain(_))
    }

    /// A fault of ours.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Internal(cause.into())
    }
}

impl From<accede_store::Error> for Error {
    fn from(error: accede_store::Error) -> Error {
        use accede_store::Error as Store;
        match error {
            Store::Stale => Error::Stale,
            Store::Full(_) => Error::Full,
            Store::Locked(_) => Error::Locked(error),
            Store::Unavailable(_) => Error::Unavailable(error),
            Store::Uncertain => Error::Uncertain(error),
            Store::NotFound
            | Store::Duplicate { .. }
            | Store::Corrupt(_)
            | Store::NewerSchema { .. }
            | Store::NotDurable(_)
            | Store::Database(_) => Error::Internal(Box::new(error)),
        }
    }
}

impl From<accede_store::request_list::ListError> for Error {
    fn from(error: accede_store::request_list::ListError) -> Error {
        match error {
            accede_store::request_list::ListError::Ask(error) => error.into(),
            accede_store::request_list::ListError::Store(error) => error.into(),
        }
    }
}

impl From<accede_store::filter::FilterError> for Error {
    fn from(error: accede_store::filter::FilterError) -> Error {
        Error::invalid(error.option(), error.to_string())
    }
}
