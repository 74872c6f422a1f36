//! What failures have in common: a message without what differs from row to row.
//!
//! Two deliveries that failed of the same cause read differently: another id, another time, another
//! name in quotes. [`fingerprint`] takes those out, so that 3,000 rows become four causes. It
//! groups; it never classifies.

/// Longest fingerprint, in characters.
pub const FINGERPRINT_LIMIT: usize = 160;

/// The message with ids, numbers, addresses and quoted names replaced by `…`.
pub fn fingerprint(message: &str) -> String {
    let mut words = Vec::new();
    for word in unquoted(message).split_whitespace() {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '…');
        if differs(core) {
            words.push(word.replace(core, "…"));
        } else {
            words.push(word.to_owned());
        }
    }
    words.dedup();
    words.join(" ").chars().take(FINGERPRINT_LIMIT).collect()
}

/// Whether a word is of the kind that changes from row to row: a number, an id, an address.
fn differs(word: &str) -> bool {
    if word.is_empty() {
        return false;
    }
    let has_digit = word.chars().any(|c| c.is_ascii_digit());
    // A short number with a name to it is a code that means something: `http-503`, `LDAP 50`.
    let is_short_number = word.len() <= 3 && word.chars().all(|c| c.is_ascii_digit());
    let is_code = word.len() <= 8 && word.chars().any(|c| c.is_ascii_alphabetic());
    word.contains('@')
        || word.contains("://")
        || word.contains('=')
        || (has_digit && !is_short_number && !is_code)
        || (has_digit && word.len() >= 16)
}

/// The text with everything between quotes or backticks replaced by `…`.
fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(['"', '`', '\'']) {
        let quote = rest.chars().nth(before.chars().count()).unwrap_or('"');
        out.push_str(before);
        match after.split_once(quote) {
            // An apostrophe inside a word opens nothing.
            Some(_) if quote == '\'' && before.ends_with(char::is_alphanumeric) => {
                out.push(quote);
                rest = after;
            }
            Some((_, after)) => {
                out.push(quote);
                out.push('…');
                out.push(quote);
                rest = after;
            }
            None => {
                out.push(quote);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_times_and_names_do_not_tell_causes_apart() {
        let one = "group 5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004 not found at 2026-05-02T09:00:12Z";
        let two = "group 1f007f66-80a4-4f9e-8f0b-3b1b2c600006 not found at 2026-05-03T10:30:00Z";

        assert_eq!(fingerprint(one), fingerprint(two));
        assert_eq!(fingerprint(one), "group … not found at …");
        assert_eq!(fingerprint("user `mira` is locked"), fingerprint("user `uma` is locked"));
        assert_eq!(fingerprint("no mail for mira@x.org"), fingerprint("no mail for uma@y.org"));
        assert_eq!(fingerprint("cn=a,dc=x is read-only"), fingerprint("cn=b,dc=x is read-only"));
    }

    #[test]
    fn codes_tell_causes_apart() {
        assert_ne!(fingerprint("the target answered 503"), fingerprint("the target answered 403"));
        assert_ne!(fingerprint("error E1002 x"), fingerprint("error E1003 x"));
    }

    #[test]
    fn an_apostrophe_is_not_a_quote() {
        assert_eq!(fingerprint("the group doesn't exist"), "the group doesn't exist");
    }
}
