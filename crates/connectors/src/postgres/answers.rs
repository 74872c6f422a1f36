//! What PostgreSQL answers, and what its codes (SQLSTATE) say about trying again. Never judged by words.

use std::error::Error as _;

use accede_domain::fault::{Class, Fault};
use tokio_postgres::error::{DbError, Severity};

/// How far a call had come when something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Signing in; nothing was asked for yet.
    Connecting,
    /// Reading, or inside a transaction that nobody else has seen yet.
    Working,
    /// The commit was sent: it may have happened.
    Committing,
}

/// What an error means.
pub(super) fn fault(error: &tokio_postgres::Error, stage: Stage) -> Fault {
    match error.as_db_error() {
        Some(said) => answered(said, stage),
        None => unanswered(error, stage),
    }
}

fn answered(said: &DbError, stage: Stage) -> Fault {
    let state = said.code().code();
    let ends = matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    let (mut class, remedy) = classify(state);
    // A session that ends while it commits may have committed (the server waits for its standbys
    // after it did).
    if stage == Stage::Committing && ends {
        class = Class::Unknown;
    }
    // Whatever keeps us from signing in keeps us from everything.
    if stage == Stage::Connecting && matches!(class, Class::Permanent | Class::Unsupported) {
        class = Class::Target;
    }
    let mut message = format!("the database answered {state}: {}", said.message());
    for more in [said.detail().unwrap_or_default(), remedy] {
        if !more.is_empty() {
            message.push_str("; ");
            message.push_str(more);
        }
    }
    Fault::new(class, format!("sql-{state}"), message)
}

/// The class of a SQLSTATE, and what to do about it where we know that.
fn classify(state: &str) -> (Class, &'static str) {
    match state {
        "40003" => (Class::Unknown, "what became of it is not known"),
        "40001" | "40P01" | "55P03" | "57014" => (Class::Transient, ""),
        // Two sessions that change memberships at once; PostgreSQL calls it an internal error.
        "XX000" => (Class::Transient, ""),
        "28P01" => (Class::Target, "check `user` and `password`"),
        "28000" => (Class::Target, "check `user`, and the server's pg_hba.conf"),
        "3D000" => (Class::Target, "check `database`"),
        "25006" => (Class::Target, "give the address of the primary, not of a standby, in `host`"),
        // The database or the server does not take connections now.
        "55000" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => (Class::Target, ""),
        "42501" => (Class::Permanent, "give our role the role with ADMIN OPTION"),
        "0LP01" => (Class::Permanent, "a role cannot be a member of itself"),
        "42704" => (Class::Permanent, "the role does not exist any more"),
        "42710" => (Class::Permanent, ""),
        "2BP01" => (Class::Permanent, "others depend on it; take that away in the database first"),
        "0A000" => (Class::Unsupported, ""),
        _ => match state.get(..2).unwrap_or_default() {
            "08" | "25" | "58" => (Class::Transient, ""),
            "53" => (Class::Target, "the server is short of connections, memory or disk"),
            "0L" | "22" | "28" | "42" => (Class::Permanent, ""),
            group => {
                tracing::warn!(state, unclassified = true, "a SQLSTATE is not in our table");
                let own_trouble = matches!(group, "40" | "55" | "57" | "F0" | "P0" | "XX");
                (if own_trouble { Class::Transient } else { Class::Permanent }, "")
            }
        },
    }
}

fn unanswered(error: &tokio_postgres::Error, stage: Stage) -> Fault {
    let mut causes = Vec::new();
    let mut tls = None;
    let mut next = error.source();
    let mut broken = error.is_closed();
    while let Some(cause) = next
        && causes.len() < 8
    {
        causes.push(cause.to_string());
        let io = cause.downcast_ref::<std::io::Error>();
        broken |= io.is_some();
        let hidden = io.and_then(std::io::Error::get_ref).and_then(|inner| inner.downcast_ref());
        tls = tls.or(hidden).or(cause.downcast_ref::<rustls::Error>());
        next = cause.source();
    }
    let said = causes.last().cloned().unwrap_or_else(|| error.to_string());
    match (stage, tls) {
        (_, Some(error @ rustls::Error::InvalidCertificate(_))) => {
            let message = format!(
                "the server's certificate is not accepted ({error}); renew it, or give its \
                 authority in `caCertificate`"
            );
            Fault::new(Class::Target, "tls", message)
        }
        (Stage::Connecting, Some(error)) => {
            Fault::new(Class::Target, "tls", format!("no secure connection: {error}"))
        }
        (Stage::Connecting, None) if broken => {
            Fault::new(Class::Transient, "unreachable", format!("no connection: {said}"))
        }
        (Stage::Connecting, None) => {
            let message = format!("no session came about: {said}; check `sslMode` and `user`");
            Fault::new(Class::Target, "handshake", message)
        }
        (Stage::Working, _) => {
            let message = format!("the connection was lost before anything was changed: {said}");
            Fault::new(Class::Transient, "connection-lost", message)
        }
        (Stage::Committing, _) => {
            let message = format!("the connection was lost during the commit: {said}");
            Fault::new(Class::Unknown, "connection-lost", message)
        }
    }
}

/// No answer came within the time of a call.
pub(super) fn too_slow(stage: Stage) -> Fault {
    let (class, code, message) = match stage {
        Stage::Connecting => (Class::Transient, "unreachable", "no connection came about in time"),
        Stage::Working => (Class::Transient, "timeout", "no answer came before the commit"),
        Stage::Committing => (Class::Unknown, "timeout", "no answer to the commit came in time"),
    };
    Fault::new(class, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_classified_by_its_code() {
        let table = [
            ("40001", Class::Transient),
            ("40P01", Class::Transient),
            ("55P03", Class::Transient),
            ("57014", Class::Transient),
            ("08006", Class::Transient),
            ("08P01", Class::Transient),
            ("XX000", Class::Transient),
            ("58030", Class::Transient),
            ("25P03", Class::Transient),
            ("40003", Class::Unknown),
            ("53100", Class::Target),
            ("53200", Class::Target),
            ("53300", Class::Target),
            ("57P01", Class::Target),
            ("57P02", Class::Target),
            ("57P03", Class::Target),
            ("28000", Class::Target),
            ("28P01", Class::Target),
            ("3D000", Class::Target),
            ("25006", Class::Target),
            ("42704", Class::Permanent),
            ("42710", Class::Permanent),
            ("42501", Class::Permanent),
            ("42601", Class::Permanent),
            ("0LP01", Class::Permanent),
            ("2BP01", Class::Permanent),
            ("22021", Class::Permanent),
            ("0A000", Class::Unsupported),
            // Not in the table: ours to look at, and tried again where the server blames itself.
            ("XX999", Class::Transient),
            ("99999", Class::Permanent),
            ("", Class::Permanent),
        ];
        for (state, class) in table {
            assert_eq!(classify(state).0, class, "{state}");
        }
    }
}
