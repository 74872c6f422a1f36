//! What an LDAP server answers, read without trusting its form, and what its result codes (RFC 4511)
//! say about trying again.

use accede_domain::fault::{Class, Fault};
use ldap3::{LdapError, LdapResult, ResultEntry};
use uuid::Uuid;

/// A result that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u32,
    pub(super) text: String,
}

/// What an operation came to, once it was answered.
pub(super) type Answer<T> = Result<T, Refusal>;

/// An entry of a search, read without trusting its form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) dn: String,
    pub(super) attributes: Vec<(String, Vec<String>)>,
    /// The id that Active Directory never changes, if it was asked for.
    pub(super) guid: Option<Uuid>,
}

impl Entry {
    pub(super) fn read(entry: ResultEntry) -> Option<Entry> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        let mut tags = entry.0.match_id(4)?.expect_constructed()?.into_iter();
        let dn = text(tags.next()?.expect_primitive()?)?;
        let (mut attributes, mut guid) = (Vec::new(), None);
        for attribute in tags.next()?.expect_constructed()? {
            let mut pair = attribute.expect_constructed()?.into_iter();
            let name = text(pair.next()?.expect_primitive()?)?;
            let values = pair.next()?.expect_constructed()?;
            if name.eq_ignore_ascii_case("objectGUID") {
                let bytes = values.into_iter().next().and_then(|value| value.expect_primitive());
                guid = bytes.and_then(|bytes| Uuid::from_slice_le(&bytes).ok());
                continue;
            }
            // A value that is no text cannot be one that we compare with.
            let values = values.into_iter().filter_map(|v| v.expect_primitive().and_then(text));
            attributes.push((name, values.collect()));
        }
        Some(Entry { dn, attributes, guid })
    }

    pub(super) fn values(&self, name: &str) -> &[String] {
        let found = self.attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, values)| values.as_slice())
    }
}

/// The part of a long attribute that its name announces, such as `member;range=0-1499`: where the
/// next part begins, or nothing if this is the last one.
pub(super) fn next_part(name: &str, attribute: &str) -> Option<Option<u32>> {
    let (known, options) = name.split_once(';')?;
    let range = options.split(';').find_map(|option| {
        let option = option.to_ascii_lowercase();
        option.strip_prefix("range=").map(str::to_owned)
    })?;
    let (first, last) = range.split_once('-')?;
    let first: u32 = first.parse().ok()?;
    if !known.eq_ignore_ascii_case(attribute) {
        return None;
    }
    match last {
        "*" => Some(None),
        // A part that ends before it begins would be asked for without end.
        last => Some(Some(last.parse::<u32>().ok().filter(|last| first <= *last)?.checked_add(1)?)),
    }
}

/// The entries of a search, and whether they are all that there are.
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    pub(super) complete: bool,
}

/// A successful result, for a search that we end ourselves.
pub(super) trait DefaultSuccess {
    fn default_success() -> Self;
}

impl DefaultSuccess for LdapResult {
    fn default_success() -> LdapResult {
        LdapResult {
            rc: 0,
            matched: String::new(),
            text: String::new(),
            refs: Vec::new(),
            ctrls: Vec::new(),
        }
    }
}

/// What a search came to. References to other servers mean that a part of the answer lies elsewhere,
/// unless they are those of Active Directory, which point from a domain to its neighbours at every
/// search from its top.
pub(super) fn collect(
    entries: Vec<ResultEntry>,
    result: LdapResult,
    heeds_references: bool,
) -> Answer<Found> {
    let count = entries.len();
    let entries: Vec<Entry> = entries.into_iter().filter_map(Entry::read).collect();
    // An entry that cannot be read is one that we do not know of.
    let readable = entries.len() == count;
    match result.rc {
        0 => {
            let whole = !heeds_references || result.refs.is_empty();
            Ok(Found { entries, complete: readable && whole })
        }
        // A limit of size, time or administration was reached: what came is true, but not all.
        3 | 4 | 11 if !entries.is_empty() || result.rc == 4 => {
            Ok(Found { entries, complete: false })
        }
        _ => Err(refusal(result)),
    }
}

pub(super) fn refusal(result: LdapResult) -> Refusal {
    Refusal { code: result.rc, text: result.text }
}

impl Refusal {
    /// What RFC 4511's result codes say about trying again.
    pub(super) fn fault(&self) -> Fault {
        let (class, name, remedy) = match self.code {
            1 => (Class::Target, "operations error", ""),
            2 => (Class::Target, "protocol error", ""),
            3 => (Class::Transient, "time limit exceeded", ""),
            7 => (Class::Target, "sign-in method not supported", ""),
            8 => {
                (Class::Target, "stronger authentication required", "use `ldaps://` or `startTls`")
            }
            10 => {
                (Class::Target, "referral", "give the address of the server that holds the groups")
            }
            11 => (Class::Transient, "administrative limit exceeded", ""),
            12 => (Class::Unsupported, "control not supported", ""),
            13 => (Class::Target, "confidentiality required", "use `ldaps://` or `startTls`"),
            14 => (Class::Target, "sign-in is not complete", ""),
            16 => (Class::Permanent, "no such attribute", ""),
            17 => (Class::Permanent, "undefined attribute", "check `groupKind`"),
            18 => (Class::Permanent, "inappropriate matching", ""),
            19 => (Class::Permanent, "constraint violation", ""),
            20 => (Class::Permanent, "value exists", ""),
            21 => (Class::Permanent, "invalid attribute syntax", ""),
            32 => (Class::Permanent, "no such object", ""),
            34 => (Class::Permanent, "invalid name", ""),
            48 => (Class::Target, "inappropriate authentication", "check `bindDn`"),
            49 => (Class::Target, "invalid credentials", "check `bindDn` and `bindPassword`"),
            50 => {
                (Class::Permanent, "insufficient access rights", "let `bindDn` change this group")
            }
            51 => (Class::Transient, "busy", ""),
            52 => (Class::Transient, "unavailable", ""),
            53 => (Class::Permanent, "unwilling to perform", ""),
            54 => (Class::Target, "loop detected", ""),
            64 => (Class::Permanent, "naming violation", ""),
            65 => (Class::Permanent, "object class violation", ""),
            66 | 67 | 69 => (Class::Permanent, "not allowed on this entry", ""),
            68 => (Class::Permanent, "entry already exists", ""),
            71 => (Class::Permanent, "affects several servers", ""),
            80 => (Class::Transient, "other error", ""),
            code => {
                tracing::warn!(
                    code,
                    unclassified = true,
                    "an LDAP result code is not in our table"
                );
                (Class::Permanent, "unexpected result", "")
            }
        };
        let mut message = format!("the directory answered {}: {name}", self.code);
        for more in [self.text.trim(), remedy] {
            if !more.is_empty() {
                message.push_str("; ");
                message.push_str(more);
            }
        }
        Fault::new(class, format!("ldap-{}", self.code), message)
    }
}

pub(super) fn lost(error: &LdapError, if_sent: Class) -> Fault {
    match error {
        // The request never left this machine.
        LdapError::OpSend { .. } | LdapError::IdScrubSend { .. } => {
            Fault::new(Class::Transient, "unreachable", "the connection was lost before the call")
        }
        _ => {
            let message = format!("the connection was lost after the call was sent ({error})");
            Fault::new(if_sent, "connection-lost", message)
        }
    }
}

pub(super) fn too_slow(class: Class) -> Fault {
    Fault::new(class, "timeout", "the call was sent and no answer came in time")
}

/// What went wrong between the connection and the sign-in; nothing was asked for yet.
pub(super) fn not_secured(error: LdapError) -> Fault {
    match error {
        LdapError::LdapResult { result } => {
            let message = format!(
                "the directory refused StartTLS ({}); use `ldaps://`, or set `startTls` to false",
                result.rc
            );
            Fault::new(Class::Target, "tls", message)
        }
        LdapError::Io { source } => match source.get_ref().and_then(|e| e.downcast_ref()) {
            Some(error @ rustls::Error::InvalidCertificate(_)) => {
                let message = format!(
                    "the directory's certificate is not accepted ({error}); renew it, or give its \
                     authority in `caCertificate`"
                );
                Fault::new(Class::Target, "tls", message)
            }
            Some(error) => {
                Fault::new(Class::Target, "tls", format!("no secure connection: {error}"))
            }
            None => Fault::new(Class::Transient, "unreachable", format!("no connection: {source}")),
        },
        LdapError::Rustls { source } => {
            Fault::new(Class::Target, "tls", format!("no secure connection: {source}"))
        }
        LdapError::DNSName { .. } => {
            let message = "the host in `url` is not a name that a certificate can have";
            Fault::new(Class::Target, "tls", message)
        }
        error => Fault::new(Class::Transient, "unreachable", format!("no connection: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_long_attribute_are_read_to_the_last() {
        let table = [
            ("member;range=0-1499", Some(Some(1500))),
            ("Member;Range=1500-2999", Some(Some(3000))),
            ("member;range=3000-*", Some(None)),
            ("member;binary;range=0-9", Some(Some(10))),
            ("member", None),
            ("member;binary", None),
            ("memberOf;range=0-1499", None),
            ("member;range=", None),
            ("member;range=0", None),
            ("member;range=x-9", None),
            ("member;range=10-9", None),
            ("member;range=0-4294967295", None),
            ("member;range=-1-9", None),
        ];
        for (name, expected) in table {
            assert_eq!(next_part(name, "member"), expected, "{name}");
        }
    }
}
