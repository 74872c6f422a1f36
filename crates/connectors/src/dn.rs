//! Distinguished names (RFC 4514): parsed, compared, written in one spelling.

use std::fmt;

/// A distinguished name, the most specific part first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dn {
    /// Each part is one or more pairs of attribute and value.
    parts: Vec<Vec<(String, String)>>,
}

impl Dn {
    /// Reads a name; `None` if it is not one. The empty name is not one that we can use.
    pub fn parse(text: &str) -> Option<Dn> {
        let mut parts = Vec::new();
        for part in split(text, ',') {
            let pairs: Option<Vec<_>> = split(&part, '+').iter().map(|pair| read(pair)).collect();
            parts.push(pairs?);
        }
        Some(Dn { parts })
    }

    /// A spelling that is equal for names that are equal to a directory: whatever their case and
    /// blanks. Only for comparing.
    pub fn key(&self) -> String {
        let fold =
            |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let parts = self.parts.iter().map(|pairs| {
            let mut pairs: Vec<_> =
                pairs.iter().map(|(kind, value)| (kind.clone(), fold(value))).collect();
            pairs.sort();
            pairs
        });
        Dn { parts: parts.collect() }.to_string()
    }

    /// Answers whether this name is the other one or lies below it.
    pub fn is_within(&self, base: &Dn) -> bool {
        let Some(skip) = self.parts.len().checked_sub(base.parts.len()) else { return false };
        let tail = Dn { parts: self.parts.iter().skip(skip).cloned().collect() };
        tail.key() == base.key()
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pairs) in self.parts.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            for (index, (kind, value)) in pairs.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { "+" })?;
                write!(f, "{kind}={}", escape(value))?;
            }
        }
        Ok(())
    }
}

/// A value as it stands in a name.
pub fn escape(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(value.len());
    for (index, c) in value.chars().enumerate() {
        match c {
            '\0' => escaped.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => escaped.extend(['\\', c]),
            ' ' if index == 0 || index == last => escaped.push_str("\\ "),
            '#' if index == 0 => escaped.push_str("\\#"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Splits at a separator that is not escaped; the pieces keep their escapes.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            pieces.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

fn read(pair: &str) -> Option<(String, String)> {
    let (kind, value) = pair.split_once('=')?;
    let kind = kind.trim().to_lowercase();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if kind.is_empty() || !kind.chars().all(fits) {
        return None;
    }
    Some((kind, unescape(value.trim_start_matches(' '))?))
}

fn unescape(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    // Blanks at the end count only when they are escaped.
    let mut kept = 0;
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        let escaped = c == '\\';
        if escaped {
            let first = rest.next()?;
            match first.to_digit(16) {
                Some(high) => {
                    let low = rest.next()?.to_digit(16)?;
                    bytes.push(u8::try_from(high * 16 + low).ok()?);
                }
                None => bytes.extend(first.to_string().bytes()),
            }
        } else {
            bytes.extend(c.to_string().bytes());
        }
        if escaped || c != ' ' {
            kept = bytes.len();
        }
    }
    bytes.truncate(kept);
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_name_has_one_spelling() {
        let spell = |text: &str| Dn::parse(text).unwrap().to_string();
        assert_eq!(
            spell("CN=Crew , OU=groups,DC=example, dc=org"),
            "cn=Crew,ou=groups,dc=example,dc=org"
        );
        assert_eq!(spell(r"cn=Ek\2C Anna,dc=org"), r"cn=Ek\, Anna,dc=org");
        assert_eq!(spell(r"cn=L\C3\BC\ ,dc=org"), "cn=Lü\\ ,dc=org");
        assert_eq!(spell(r"cn=a+uid=b,dc=org"), "cn=a+uid=b,dc=org");
    }

    #[test]
    fn names_are_compared_as_directories_do() {
        let key = |text: &str| Dn::parse(text).unwrap().key();
        assert_eq!(key("CN=Order  Desk,DC=Org"), key("cn=order desk,dc=org"));
        assert_eq!(key("cn=a+uid=b,dc=org"), key("uid=b+cn=a,dc=org"));
        assert_ne!(key(r"cn=a\,dc=b,dc=org"), key("cn=a,dc=b,dc=org"));
    }

    #[test]
    fn a_name_within_a_base_is_told_from_one_that_only_ends_alike() {
        let dn = |text: &str| Dn::parse(text).unwrap();
        let base = dn("ou=groups,dc=example,dc=org");
        assert!(dn("cn=crew,OU=Groups,dc=example,dc=org").is_within(&base));
        assert!(base.is_within(&base));
        assert!(!dn("cn=crew,ou=othergroups,dc=example,dc=org").is_within(&base));
        assert!(!dn("dc=example,dc=org").is_within(&base));
        assert!(!dn(r"cn=x\,ou=groups,dc=example,dc=org").is_within(&base));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "crew", "=crew,dc=org", "cn=crew,,dc=org", r"cn=a\", r"cn=a\4", "c(n=a"] {
            assert_eq!(Dn::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_value_survives_being_written_and_read(value in "\\PC{0,12}|[ #,+\\\\=\"<>;\\x00]{0,6}") {
            let dn = Dn { parts: vec![vec![("cn".into(), value)], vec![("dc".into(), "org".into())]] };
            prop_assert_eq!(Dn::parse(&dn.to_string()), Some(dn));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}|[a-c=,+\\\\ 0-9f]{0,30}") {
            if let Some(dn) = Dn::parse(&text) {
                prop_assert_eq!(Dn::parse(&dn.to_string()), Some(dn));
            }
        }
    }
}
