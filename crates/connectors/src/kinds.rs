//! The kinds of targets: one line each.

use std::sync::Arc;

use accede_domain::fault::{Class, Fault};

use crate::egress::Policy;
use crate::settings::{Field, Problem, Reader, nearest};
use crate::{Connector, Settings, chaos, graph, ldap, manual, postgres, scim, webhook};

/// A kind of target that can be opened from settings.
pub struct Kind {
    /// What `kind` says.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// What it reaches, as one sentence of a person who chooses between kinds.
    pub meaning: &'static str,
    /// Its settings, beside [`crate::settings::COMMON`].
    pub settings: &'static [Field],
    /// Its secrets.
    pub secrets: &'static [Field],
    open: Open,
}

type Open = fn(&Settings, &Reader<'_>, Arc<Policy>) -> Result<Arc<dyn Connector>, Problem>;

/// Every kind. The built-in directory is not among them: it needs no settings and always exists.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "scim",
        title: "SCIM 2.0",
        meaning: "an application that takes users and groups over HTTPS by the SCIM standard",
        settings: scim::SETTINGS,
        secrets: scim::SECRETS,
        open: scim::open,
    },
    Kind {
        name: "ldap",
        title: "LDAP directory",
        meaning: "groups of a directory server, reached over LDAPS or LDAP with StartTLS",
        settings: ldap::SETTINGS,
        secrets: ldap::SECRETS,
        open: ldap::open,
    },
    Kind {
        name: "postgres",
        title: "PostgreSQL",
        meaning: "roles of a PostgreSQL cluster, given to the login roles that people have there",
        settings: postgres::SETTINGS,
        secrets: postgres::SECRETS,
        open: postgres::open,
    },
    Kind {
        name: "graph",
        title: "Microsoft Graph",
        meaning: "security groups of another Accede or of an Entra tenant, over Microsoft Graph v1.0",
        settings: graph::SETTINGS,
        secrets: graph::SECRETS,
        open: graph::open,
    },
    Kind {
        name: "webhook",
        title: "Webhook",
        meaning: "any system or ticket desk that takes signed events over HTTPS",
        settings: webhook::SETTINGS,
        secrets: webhook::SECRETS,
        open: webhook::open,
    },
    Kind {
        name: "manual",
        title: "A person's task",
        meaning: "what only a person can give and take: keys, desks, systems without an interface",
        settings: manual::SETTINGS,
        secrets: &[],
        open: manual::open,
    },
    Kind {
        name: "chaos",
        title: "Test target",
        meaning: "nothing real: a target in the server's memory that fails as you tell it to",
        settings: chaos::SETTINGS,
        secrets: &[],
        open: chaos::open,
    },
];

/// Checks settings and secrets as [`open`] would, connecting to nothing.
///
/// # Errors
///
/// The first problem, with the field's path.
pub fn validate(kind: &str, settings: &Settings, egress: &Policy) -> Result<(), Problem> {
    let kind = named(kind)?;
    let reader = read(kind, settings)?;
    match kind.name {
        // Opening a chaos target changes how it behaves, and checking must not.
        "chaos" => chaos::check(&reader).map(drop),
        _ => (kind.open)(settings, &reader, Arc::new(egress.clone())).map(drop),
    }
}

/// Opens a connector. Nothing is connected to before its first call.
///
/// # Errors
///
/// A target fault, when settings or secrets do not fit.
pub fn open(
    kind: &str,
    settings: Settings,
    egress: Arc<Policy>,
) -> Result<Arc<dyn Connector>, Fault> {
    let opened =
        named(kind).and_then(|kind| (kind.open)(&settings, &read(kind, &settings)?, egress));
    opened.map_err(|problem| Fault::new(Class::Target, "settings", problem.to_string()))
}

fn read<'s>(kind: &Kind, settings: &'s Settings) -> Result<Reader<'s>, Problem> {
    Reader::new(&settings.settings, &settings.secrets, kind.settings, kind.secrets)
}

fn named(name: &str) -> Result<&'static Kind, Problem> {
    KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| {
        let known = KINDS.iter().map(|kind| kind.name);
        let all = known.clone().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
        let hint = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {all}"),
        };
        Problem::new("kind", format!("`{name}` is not a kind of target; {hint}"))
    })
}
