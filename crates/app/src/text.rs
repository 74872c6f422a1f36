//! Names and descriptions that people write: what is kept of them and what is refused.

use crate::{Error, Result};

/// Longest display name, in characters.
pub const MAX_NAME: usize = 256;
/// Longest justification of a decision, in characters.
pub const MAX_JUSTIFICATION: usize = 4_000;
/// Longest description, in characters.
pub const MAX_DESCRIPTION: usize = 4_000;

/// A display name without blanks around it.
///
/// # Errors
///
/// Invalid at `path`: empty, too long, or with characters that cannot be seen.
pub(crate) fn name(path: &str, text: &str) -> Result<String> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 {
        return Err(Error::invalid(path, "cannot be blank"));
    }
    if MAX_NAME < length {
        let sentence = format!("has {length} characters; the limit is {MAX_NAME}");
        return Err(Error::invalid(path, sentence));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(path, "cannot contain line breaks or control characters"));
    }
    Ok(text.to_owned())
}

/// A description as it was written.
///
/// # Errors
///
/// Invalid at `path`: too long, or with control characters other than line breaks and tabs.
pub(crate) fn description(path: &str, text: &str) -> Result<String> {
    let length = text.chars().count();
    if MAX_DESCRIPTION < length {
        let sentence = format!("has {length} characters; the limit is {MAX_DESCRIPTION}");
        return Err(Error::invalid(path, sentence));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Error::invalid(path, "cannot contain control characters"));
    }
    Ok(text.to_owned())
}

/// A justification without blanks around it; none if nothing is left.
///
/// # Errors
///
/// Invalid, if it is longer than people write.
pub(crate) fn justification(text: Option<&str>) -> Result<Option<String>> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    check_justification(text)?;
    Ok(text.map(str::to_owned))
}

/// Refuses a justification that is longer than people write.
pub(crate) fn check_justification(text: Option<&str>) -> Result<()> {
    if text.is_some_and(|text| MAX_JUSTIFICATION < text.chars().count()) {
        let sentence = format!("at most {MAX_JUSTIFICATION} characters");
        return Err(Error::invalid("justification", sentence));
    }
    Ok(())
}

/// `a`, `b`, `c` and 4 more: names for a sentence, of which there are `total`.
pub(crate) fn some_names<'a>(names: impl Iterator<Item = &'a str>, total: usize) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = names.take(SHOWN).map(|name| format!("`{name}`")).collect();
    match total.checked_sub(shown.len()) {
        Some(rest) if 0 < rest => format!("{} and {rest} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn names_lose_the_blanks_around_them_and_nothing_else() {
        assert_eq!(name("displayName", "  Vessel  Operations ").unwrap(), "Vessel  Operations");
        assert!(name("displayName", " \n ").is_err());
        assert!(name("displayName", "a\nb").is_err());
        assert!(name("displayName", &"ä".repeat(MAX_NAME)).is_ok());
        assert!(name("displayName", &"ä".repeat(MAX_NAME + 1)).is_err());
    }

    #[test]
    fn descriptions_may_have_lines() {
        assert_eq!(description("description", "a\r\n\tb").unwrap(), "a\r\n\tb");
        assert!(description("description", "a\0b").is_err());
    }

    #[test]
    fn a_sentence_names_three_and_counts_the_rest() {
        assert_eq!(some_names(["a", "b"].into_iter(), 2), "`a`, `b`");
        assert_eq!(some_names(["a", "b", "c", "d"].into_iter(), 9), "`a`, `b`, `c` and 6 more");
    }
}
