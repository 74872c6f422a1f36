//! What PostgreSQL and the way to it say, in our words; and what that means for trying again.

use std::error::Error as StdError;

use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;

use crate::error::{Error, chain};
use crate::lite::read_only;

/// Whether a transaction failed because another one was in its way.
pub(crate) fn competed(cause: &tokio_postgres::Error) -> bool {
    matches!(cause.code(), Some(code) if *code == SqlState::T_R_SERIALIZATION_FAILURE
        || *code == SqlState::T_R_DEADLOCK_DETECTED)
}

/// Whether the server has trouble of its own: connections (class 08), resources (53), an operator
/// who stops it (57), its disk (58).
fn passing(code: &SqlState) -> bool {
    let stops = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::DATABASE_DROPPED,
        SqlState::IDLE_SESSION_TIMEOUT,
        SqlState::IO_ERROR,
    ];
    stops.contains(code) || code.code().starts_with("08") || code.code().starts_with("53")
}

/// Whether the connection broke or the server shuts it down.
pub(crate) fn cut_off(cause: &tokio_postgres::Error) -> bool {
    match cause.code() {
        Some(code) => {
            *code == SqlState::ADMIN_SHUTDOWN
                || *code == SqlState::CRASH_SHUTDOWN
                || *code == SqlState::CANNOT_CONNECT_NOW
        }
        None => cause.is_closed() || source::<std::io::Error>(cause),
    }
}

fn source<T: StdError + 'static>(cause: &tokio_postgres::Error) -> bool {
    cause.source().is_some_and(|source| source.is::<T>())
}

pub(crate) fn lost() -> Error {
    Error::Unavailable(
        "the connection to PostgreSQL was lost; nothing was saved, try again".to_owned(),
    )
}

/// Where a server is and which of its databases is meant, without the password.
pub(crate) fn place(config: &tokio_postgres::Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let host = match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        format!("`{host}:{port}`")
    });
    hosts.collect::<Vec<_>>().join(" or ")
}

/// A connection could not be made, or the server does not want it.
pub(crate) fn unreachable_server(place: &str, cause: &tokio_postgres::Error) -> Error {
    if let Some(db) = cause.as_db_error() {
        let code = db.code();
        let advice = if *code == SqlState::INVALID_CATALOG_NAME {
            "create it, or name another in `database.url`"
        } else if [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            SqlState::INSUFFICIENT_PRIVILEGE,
        ]
        .contains(code)
        {
            "check the user and the password in `database.url`, and the server's pg_hba.conf"
        } else if *code == SqlState::TOO_MANY_CONNECTIONS {
            "raise its `max_connections`, or lower `database.pool_size`"
        } else {
            "its log may say more"
        };
        let message = db.message();
        return Error::Unavailable(format!(
            "PostgreSQL at {place} refuses the connection: {message}; {advice}"
        ));
    }
    let reason = chain(cause);
    let advice = if reason.contains("certificate") {
        "its certificate must be one that this system trusts (SSL_CERT_FILE can name another \
         list), or say `sslmode=disable` where the network is trusted"
    } else if reason.contains("password missing") {
        "give one in `database.url`"
    } else {
        "check the address in `database.url`, and that it runs"
    };
    Error::Unavailable(format!("PostgreSQL at {place} cannot be reached: {reason}; {advice}"))
}

/// What PostgreSQL says, in our words.
pub(crate) fn error(cause: &tokio_postgres::Error) -> Error {
    let Some(db) = cause.as_db_error() else {
        return if cut_off(cause) {
            lost()
        } else {
            Error::Database(format!("PostgreSQL: {}", chain(cause)))
        };
    };
    if *db.code() == SqlState::UNIQUE_VIOLATION {
        return Error::Duplicate { constraint: constraint(db) };
    }
    if *db.code() == SqlState::DISK_FULL {
        return Error::Full(db.message().to_owned());
    }
    if passing(db.code()) {
        return Error::Unavailable(format!(
            "PostgreSQL is not available: {} (code {}); nothing was saved, try again",
            db.message(),
            db.code().code()
        ));
    }
    if *db.code() == SqlState::READ_ONLY_SQL_TRANSACTION {
        return read_only();
    }
    let place = db.constraint().map(|name| format!(" `{name}`")).unwrap_or_default();
    Error::Database(format!("PostgreSQL: {}{place} (code {})", db.message(), db.code().code()))
}

/// `Key (a, b)=(1, 2) already exists.` as `table.a,b`; an index over expressions by its name.
fn constraint(db: &tokio_postgres::error::DbError) -> String {
    let columns = db
        .detail()
        .and_then(|detail| detail.split_once('('))
        .and_then(|(_, rest)| rest.split_once(")=("))
        .map(|(columns, _)| columns.replace(", ", ","))
        .filter(|columns| {
            columns.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ',')
        });
    match (db.table(), columns) {
        (Some(table), Some(columns)) => format!("{table}.{columns}"),
        _ => db.constraint().unwrap_or("unique").to_owned(),
    }
}
