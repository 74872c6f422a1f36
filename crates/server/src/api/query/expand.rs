//! `$expand`: navigation properties, each with options of its own in parentheses.

use super::{MAX_EXPAND_DEPTH, MAX_EXPANDS, Query, option, unknown};
use crate::api::error::{ApiError, Result};

/// One navigation property to expand.
#[derive(Debug, Clone, PartialEq)]
pub struct Expand {
    /// Its name as sent, or `*` for all.
    pub name: String,
    /// What is asked of it.
    pub query: Query,
}

/// Reads `assignment($expand=target;$select=id),accessPackage`.
pub(super) fn parse(value: &str, depth: usize, count: &mut usize) -> Result<Vec<Expand>> {
    if depth > MAX_EXPAND_DEPTH {
        return Err(wrong(format!(
            "`$expand` is nested deeper than {MAX_EXPAND_DEPTH} levels; the limit is \
             {MAX_EXPAND_DEPTH}, ask for the rest in another request"
        )));
    }
    let mut expands: Vec<Expand> = Vec::new();
    for item in split(value, ',')? {
        let item = item.trim();
        if item.is_empty() {
            continue;
        }
        *count += 1;
        if *count > MAX_EXPANDS {
            return Err(wrong(format!(
                "`$expand` names more than {MAX_EXPANDS} properties; the limit is {MAX_EXPANDS}"
            )));
        }
        let (name, options) = match item.split_once('(') {
            None => (item, None),
            Some((name, rest)) => match rest.strip_suffix(')') {
                Some(options) => (name.trim_end(), Some(options)),
                None => {
                    return Err(wrong(format!("`$expand`: expected the end after `{name}(…)`")));
                }
            },
        };
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name != "*" && (name.is_empty() || !word) {
            let shown: String = name.chars().take(40).collect();
            return Err(wrong(format!(
                "`$expand`: expected the name of a navigation property, found `{shown}`; inner \
                 ones are written as `assignment($expand=target)`"
            )));
        }
        if expands.iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
            return Err(wrong(format!("`$expand` names `{name}` twice; name it once")));
        }
        let mut query = Query::default();
        for pair in split(options.unwrap_or_default(), ';')? {
            if pair.trim().is_empty() {
                continue;
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let known = option(key.trim().trim_start_matches('$'));
            let inner = known.filter(|known| !matches!(*known, "skiptoken" | "format" | "id"));
            let inner = inner.ok_or_else(|| unknown(key))?;
            query.set(inner, value, depth + 1, count)?;
        }
        expands.push(Expand { name: name.to_owned(), query });
    }
    Ok(expands)
}

fn wrong(message: String) -> ApiError {
    ApiError::bad_request("$expand", message)
}

/// The parts between separators that stand outside of parentheses and quotes.
fn split(text: &str, separator: char) -> Result<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut open, mut quoted) = (0, 0_usize, false);
    for (place, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' => open += 1,
            ')' => {
                let closed = open.checked_sub(1);
                open = closed.ok_or_else(|| {
                    wrong("`$expand` has a `)` too many; every `(` needs one `)`".to_owned())
                })?;
            }
            c if c == separator && open == 0 => {
                parts.push(text.get(start..place).unwrap_or_default());
                start = place + c.len_utf8();
            }
            _ => {}
        }
    }
    if open > 0 || quoted {
        let what = if quoted { "a quote" } else { "a `(`" };
        return Err(wrong(format!("`$expand` has {what} that is never closed")));
    }
    parts.push(text.get(start..).unwrap_or_default());
    Ok(parts)
}
