//! Every setting there is, with its form and its default.

use accede_app::notices::{SECRET_FORM, SERVER_FORM};
use accede_domain::drift::{Extra, Missing};

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Address and port to listen on.
    Address,
    /// An address of the web, or empty.
    Web,
    /// The address of a PostgreSQL database, or empty.
    Database,
    /// A whole number in this range.
    Number(i64, i64),
    /// The same, or `none`.
    NumberOrNone(i64, i64),
    /// A length of time in ISO 8601, longer than nothing.
    Time,
    /// The same, or `none`.
    TimeOrNone,
    /// Networks.
    Networks,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Which events are logged.
    Level,
    /// The address of a mail server, or empty. A password may stand in it.
    MailServer,
    /// A mail address, or empty.
    Mail,
    /// Mail addresses.
    Mails,
    /// An address of the web with a path, or empty. A secret may stand in it.
    Page,
    /// The secret of a webhook, or empty.
    Secret,
}

impl Kind {
    /// Whether a value may hold a secret, so that it is never shown.
    pub(super) const fn hides(self) -> bool {
        matches!(self, Kind::Database | Kind::MailServer | Kind::Page | Kind::Secret)
    }

    /// What a value looks like.
    pub(super) fn form(self) -> String {
        match self {
            Kind::Address => "an address and a port, such as 127.0.0.1:8080".to_owned(),
            Kind::Web => "an address such as https://accede.example, or empty".to_owned(),
            Kind::Database => {
                "an address such as postgres://accede@db.example/accede, or empty".to_owned()
            }
            Kind::NumberOrNone(from, to) => {
                format!("a whole number from {from} to {to}, or `none`")
            }
            Kind::Number(from, to) => format!("a whole number from {from} to {to}"),
            Kind::Time => "a duration in ISO 8601, longer than zero, without months and years, such as \
                           PT24H or PT0.5S"
                .to_owned(),
            Kind::TimeOrNone => {
                "a duration in ISO 8601, longer than zero, without months and years, such as P14D or \
                 PT0.5S, or `none`"
                    .to_owned()
            }
            Kind::Networks => {
                "a list of networks such as 10.0.0.0/8 or 127.0.0.1 (in the environment, separated \
                 by commas)"
                    .to_owned()
            }
            Kind::MailServer => SERVER_FORM.to_owned(),
            Kind::Mail => "a mail address such as accede@example.com".to_owned(),
            Kind::Mails => {
                "a list of mail addresses (in the environment, separated by commas)".to_owned()
            }
            Kind::Page => "an address such as https://hooks.example/accede".to_owned(),
            Kind::Secret => SECRET_FORM.to_owned(),
            Kind::Word(words) => format!("one of {}", words.join(", ")),
            Kind::Level => {
                "error, warn, info, debug or trace, or a list such as info,accede_app=debug"
                    .to_owned()
            }
        }
    }
}

/// A setting.
pub(super) struct Setting {
    pub key: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub about: &'static str,
}

const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting { key, kind, default, about }
}

/// Every setting. `docs/settings.md` is made of this table.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        "server.listen",
        Kind::Address,
        "127.0.0.1:8080",
        "Where the server listens. Port 0 takes a free one. Behind anything but this machine, put a \
         proxy that speaks TLS in front.",
    ),
    setting(
        "server.public_url",
        Kind::Web,
        "",
        "Where people and clients reach the server, without a path. Links, paging and the portal's \
         cookie use it; with `https` the cookie is `Secure`. Empty: the host that the client names.",
    ),
    setting(
        "server.trusted_proxies",
        Kind::Networks,
        "",
        "Proxies whose `X-Forwarded-For` says where a client really is. Failed sign-ins are counted \
         by that address.",
    ),
    setting(
        "server.client_timeout",
        Kind::Time,
        "PT75S",
        "How long a client may be silent before its connection is closed: between connecting, or the \
         last answer, and the end of a request's headers; and between two pieces of a body. Longer \
         than a proxy in front keeps its idle connections, which is often a minute.",
    ),
    setting(
        "database.url",
        Kind::Database,
        "",
        "A PostgreSQL database, which several servers can share. Empty: SQLite in the data \
         directory.",
    ),
    setting(
        "database.pool_size",
        Kind::Number(2, 500),
        "16",
        "Most connections to PostgreSQL for transactions.",
    ),
    setting(
        "reprocess.window",
        Kind::TimeOrNone,
        "P14D",
        "How long after its first completion a request can be reprocessed; `none`: for ever.",
    ),
    setting(
        "reprocess.four_eyes_above",
        Kind::NumberOrNone(1, 1_000_000),
        "none",
        "A reprocess plan with more requests than this is run by another person than who made it; \
         `none`: who made it runs it.",
    ),
    setting(
        "delivery.grant_window",
        Kind::Time,
        "PT24H",
        "How long a grant is tried by itself before it rests as failed. Revocations never give up.",
    ),
    setting(
        "delivery.backoff_base",
        Kind::Time,
        "PT5S",
        "The longest first wait before a delivery is tried again; it doubles with each try. A target in \
         trouble is checked after six times as long, see docs/api/targets.md.",
    ),
    setting("delivery.backoff_cap", Kind::Time, "PT1H", "The longest wait between two tries."),
    setting(
        "delivery.read_back",
        Kind::TimeOrNone,
        "PT2S",
        "How long after a change a target that can be read is asked whether it is so; `none`: \
         never.",
    ),
    setting(
        "delivery.calls",
        Kind::Number(1, 1_000),
        "64",
        "Most calls to targets at once, all targets together.",
    ),
    setting(
        "guards.window",
        Kind::Time,
        "PT1H",
        "How far back derived changes are counted together, see docs/api/guards.md.",
    ),
    setting(
        "guards.revocations_least",
        Kind::Number(0, 1_000_000),
        "25",
        "So many such removals at one target system never wait for a second person.",
    ),
    setting(
        "guards.revocations_percent",
        Kind::Number(0, 100),
        "10",
        "So large a share of what the target system holds does not wait either, in percent.",
    ),
    setting(
        "guards.revocations_most",
        Kind::Number(0, 1_000_000),
        "500",
        "More removals than this always wait.",
    ),
    setting(
        "guards.grants_least",
        Kind::Number(0, 1_000_000),
        "50",
        "So many roles that are given this way never wait for a second person.",
    ),
    setting(
        "guards.grants_percent",
        Kind::Number(0, 100),
        "10",
        "So large a share of what the target system holds does not wait either, in percent.",
    ),
    setting(
        "drift.every",
        Kind::TimeOrNone,
        "P1D",
        "How often targets are compared with what is wanted there, see docs/api/drift.md; `none`: only \
         when somebody asks.",
    ),
    setting(
        "drift.missing",
        Kind::Word(&Missing::NAMES),
        "repair",
        "What is done about a role that somebody took away in a target: `repair` gives it again, \
         `report` tells it and waits for a person. A target's setting `drift` goes before it.",
    ),
    setting(
        "drift.extra",
        Kind::Word(&Extra::NAMES),
        "report",
        "What is done about a role that a person holds in a target and no assignment gives them: \
         `report` tells it, `revoke` takes it away, see docs/api/drift.md. A target's setting \
         `driftExtra` goes before it.",
    ),
    setting(
        "egress.allow",
        Kind::Networks,
        "",
        "Networks that targets may be in. Empty: public and private networks, never loopback. As soon \
         as it names a network that is not loopback, only what it names is allowed. A loopback \
         network, such as 127.0.0.0/8, is allowed only when it is listed, and listing nothing else \
         restricts nothing else; link-local and metadata addresses never are allowed.",
    ),
    setting("egress.deny", Kind::Networks, "", "Networks that targets may not be in."),
    setting(
        "notices.smtp",
        Kind::MailServer,
        "",
        "The mail server that takes notices, see docs/api/notices.md. Empty: no mail is sent.",
    ),
    setting(
        "notices.from",
        Kind::Mail,
        "",
        "The address that mail comes from. Needed with `notices.smtp`.",
    ),
    setting(
        "notices.to",
        Kind::Mails,
        "",
        "The addresses of those who run the server: they are told of everything but the tasks of others.",
    ),
    setting(
        "notices.managers",
        Kind::Word(&["yes", "no"]),
        "yes",
        "Whether catalog owners and access package assignment managers with a mail address are told \
         what is newly not delivered in their catalogs.",
    ),
    setting(
        "notices.digest",
        Kind::TimeOrNone,
        "PT1H",
        "How often it is told at most what is newly not delivered, by cause; `none`: never.",
    ),
    setting(
        "notices.webhook",
        Kind::Page,
        "",
        "A webhook that is told the same: `https`, or `http` on this machine. An address that \
         `egress.allow` and `egress.deny` do not permit is refused at the start and at each call. Empty: \
         none.",
    ),
    setting(
        "notices.webhook_secret",
        Kind::Secret,
        "",
        "The secret with which calls of the webhook are signed. Needed with `notices.webhook`.",
    ),
    setting(
        "log.format",
        Kind::Word(&["text", "json"]),
        "text",
        "How events are written to standard error.",
    ),
    setting("log.level", Kind::Level, "info", "Which events are written."),
];
