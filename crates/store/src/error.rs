//! What can go wrong between us and the database, in sentences that say what to do.
//!
//! No driver type leaves this crate: both engines' errors become one of these.

/// Shorthand for the results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store could not do what was asked.
///
/// It is `Clone` because everybody whose work shares one commit gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A row that must exist does not.
    #[error("no such row")]
    NotFound,
    /// Somebody else changed the row since it was read.
    #[error("the row was changed by somebody else; read it again and repeat")]
    Stale,
    /// A row with the same unique values exists.
    #[error("a row with the same `{constraint}` exists already")]
    Duplicate {
        /// `table.column[,column]`, or the index's name where it covers expressions.
        constraint: String,
    },
    /// A row holds something that this program cannot have written.
    #[error("the database holds something unexpected: {0}; restore a backup or report a bug")]
    Corrupt(String),
    /// Another process holds the database.
    #[error("{0}")]
    Locked(String),
    /// The database cannot be reached or its disk does not work; that can pass without us. Nothing
    /// of what was asked is saved.
    #[error("{0}")]
    Unavailable(String),
    /// The connection broke while the change was being committed: it may be saved or not.
    #[error(
        "the connection to PostgreSQL was lost during the commit, so it is not known whether the \
         change was saved; look before you repeat it"
    )]
    Uncertain,
    /// The database was written by a newer version of this program.
    #[error(
        "the database has schema {database} but this program knows schemas up to {program}; \
         start the newer version, or restore a backup made before the upgrade"
    )]
    NewerSchema {
        /// The schema that the database has.
        database: i64,
        /// The newest schema that this program knows.
        program: i64,
    },
    /// The database could lose what it has confirmed.
    #[error("{0}")]
    NotDurable(String),
    /// No space is left, or the disk takes no more.
    #[error("no space is left for the database: {0}; free some and try again")]
    Full(String),
    /// Anything else that the database answered.
    #[error("{0}")]
    Database(String),
}

impl Error {
    /// Whether it says something about where the database lives and nothing about what was asked: it
    /// meets everybody who writes, and can pass without us.
    pub fn is_outage(&self) -> bool {
        matches!(self, Error::Locked(_) | Error::Unavailable(_) | Error::Full(_))
    }

    /// The same, with what it is about.
    pub(crate) fn at(self, place: &str) -> Error {
        match self {
            Error::Database(reason) => Error::Database(format!("{place}: {reason}")),
            Error::Unavailable(reason) => Error::Unavailable(format!("{place}: {reason}")),
            Error::Locked(reason) => Error::Locked(format!("{place}: {reason}")),
            Error::Corrupt(reason) => Error::Corrupt(format!("{place}: {reason}")),
            Error::Full(reason) => Error::Full(format!("{place}: {reason}")),
            other => other,
        }
    }
}

/// The whole chain of causes in one line, for drivers that hide the reason in the source.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
