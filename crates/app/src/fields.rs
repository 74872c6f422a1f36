//! What people write into the fields of users, groups and applications: what is kept and what is
//! refused.

use crate::{Error, Result};

/// Longest display name, in characters.
pub const MAX_NAME: usize = 256;
/// Longest first or last name, job title, department, company.
pub const MAX_SHORT: usize = 128;
/// Longest sign-in name and mail address (RFC 5321: 64 before the at sign, 254 in all).
pub const MAX_ADDRESS: usize = 254;
/// Longest part before the at sign.
const MAX_LOCAL: usize = 64;
/// Longest number in the personnel system.
pub const MAX_EMPLOYEE_ID: usize = 64;
/// Longest short name of a group.
pub const MAX_NICKNAME: usize = 64;

/// A text without blanks around it, not empty, at most `max` characters.
///
/// # Errors
///
/// Invalid, naming the path.
pub fn required(path: &str, text: &str, max: usize) -> Result<String> {
    optional(path, Some(text), max)?.ok_or_else(|| Error::invalid(path, "cannot be blank"))
}

/// A text without blanks around it, nothing if it is empty.
pub(crate) fn optional(path: &str, text: Option<&str>, max: usize) -> Result<Option<String>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let length = text.chars().count();
    if max < length {
        let sentence = format!("has {length} characters; the limit is {max}");
        return Err(Error::invalid(path, sentence));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(path, "cannot contain line breaks or control characters"));
    }
    Ok(Some(text.to_owned()))
}

/// A sign-in name: `name@domain`, without blanks and signs that would be read as something else.
///
/// # Errors
///
/// Invalid, naming the path.
pub fn principal_name(path: &str, text: &str) -> Result<String> {
    let text = required(path, text, MAX_ADDRESS)?;
    address(&text).map_err(|why| {
        let shown: String = text.chars().take(60).collect();
        let sentence =
            format!("`{shown}` is not a sign-in name such as mira@harbourline.example: it {why}");
        Error::invalid(path, sentence)
    })?;
    Ok(text)
}

/// A mail address; nothing if it is empty.
///
/// # Errors
///
/// Invalid, naming the path.
pub fn mail(path: &str, text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = optional(path, text, MAX_ADDRESS)? else { return Ok(None) };
    address(&text).map_err(|why| {
        let shown: String = text.chars().take(60).collect();
        let sentence =
            format!("`{shown}` is not a mail address such as mira@harbourline.example: it {why}");
        Error::invalid(path, sentence)
    })?;
    Ok(Some(text))
}

/// The short name of a group: no blanks, and only what an address may have before its at sign.
pub(crate) fn nickname(path: &str, text: &str) -> Result<String> {
    let text = required(path, text, MAX_NICKNAME)?;
    match text.chars().find(|c| !local(*c)) {
        Some(c) => {
            Err(Error::invalid(path, format!("cannot contain `{c}`; use letters, digits and -._")))
        }
        None => Ok(text),
    }
}

/// Whether a sign may stand before the at sign. Letters of every script may: people have names.
fn local(c: char) -> bool {
    c.is_alphanumeric() || "!#$&'*+-/=?^_`{|}~.".contains(c)
}

fn address(text: &str) -> Result<(), String> {
    let Some((name, domain)) = text.rsplit_once('@') else {
        return Err("has no `@`".to_owned());
    };
    if name.is_empty() || domain.is_empty() {
        return Err("has nothing on one side of the `@`".to_owned());
    }
    if MAX_LOCAL < name.chars().count() {
        return Err(format!("has more than {MAX_LOCAL} characters before the `@`"));
    }
    if let Some(c) = name.chars().find(|c| !local(*c)) {
        return Err(format!("cannot contain `{c}` before the `@`"));
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().count() <= 63
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !domain.split('.').all(label) {
        return Err(format!(
            "has no domain such as harbourline.example after the `@` but `{domain}`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn sign_in_names_have_a_name_and_a_domain() {
        for good in [
            "mira@harbourline.example",
            "Mira.O'Neil+test@sub.harbourline.example",
            "søren@blåbær.example",
            "guest_partner.example#EXT#@harbourline.example",
            "root@localhost",
        ] {
            assert_eq!(principal_name("userPrincipalName", good).unwrap(), good);
        }
        let long = format!("{}@harbourline.example", "a".repeat(65));
        for bad in [
            "",
            " ",
            "mira",
            "@harbourline.example",
            "mira@",
            "mi ra@harbourline.example",
            "mira@harbour line.example",
            "mira@-a.example",
            "mira@a..example",
            "a@b@c.example",
            "mira\n@harbourline.example",
            "<mira@harbourline.example>",
            "mira@harbourline.example,x",
            long.as_str(),
        ] {
            let refused = principal_name("userPrincipalName", bad).unwrap_err();
            assert!(refused.to_string().starts_with("`userPrincipalName`: "), "{refused}");
        }
    }

    #[test]
    fn blank_is_nothing_where_nothing_is_allowed() {
        assert_eq!(optional("jobTitle", Some("  "), 9).unwrap(), None);
        assert_eq!(mail("mail", None).unwrap(), None);
        assert!(required("displayName", "\u{7}", 9).is_err());
        assert!(optional("jobTitle", Some("ä".repeat(10).as_str()), 9).is_err());
    }

    #[test]
    fn a_nickname_fits_before_an_at_sign() {
        assert_eq!(nickname("mailNickname", " crane-crew ").unwrap(), "crane-crew");
        for bad in ["", "crane crew", "crew@home", "crew,", "a".repeat(65).as_str()] {
            assert!(nickname("mailNickname", bad).is_err(), "{bad}");
        }
    }
}
