//! Filters evaluated on values in memory: for short lists, and to check the SQL they compile to.

use std::cmp::Ordering;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Case, Filter, Literal, Op, Path, Place};

/// What an item has at a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyValue {
    /// Nothing.
    Null,
    /// An id; equality only.
    Id(Uuid),
    /// Text in which case counts.
    Text(String),
    /// Text in which case does not count, such as a display name.
    TextNoCase(String),
    /// An enum's member; equality only, without case.
    Member(&'static str),
    /// An instant.
    Instant(Timestamp),
    /// True or false; equality only.
    Bool(bool),
    /// A whole number.
    Int(i64),
}

/// A filter that does not fit the items it is asked about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// Items have no such property.
    #[error("`{0}` is not a property that can be filtered here")]
    Unknown(String),
    /// The value or operator makes no sense for the property.
    #[error("`{path}` cannot be compared this way; it is {kind}")]
    Mismatch {
        /// The property.
        path: String,
        /// What kind of property it is.
        kind: &'static str,
    },
}

impl Filter {
    /// Whether the item whose properties `read` returns fulfils the filter. `read` answers `None`
    /// for a property that items do not have at all. Both sides of `and` and `or` are always
    /// looked at, so an unknown property is an error whatever the data.
    pub fn matches(
        &self,
        read: &dyn Fn(&Path) -> Option<PropertyValue>,
    ) -> Result<bool, MatchError> {
        let known =
            |path: &Path| read(path).ok_or_else(|| MatchError::Unknown(path.as_str().to_owned()));
        match self {
            Filter::And(left, right) => Ok(left.matches(read)? & right.matches(read)?),
            Filter::Or(left, right) => Ok(left.matches(read)? | right.matches(read)?),
            Filter::Not(inner) => Ok(!inner.matches(read)?),
            Filter::Compare { path, case, op, value } => {
                compare(path, &known(path)?, *case, *op, value)
            }
            Filter::In { path, case, values } => {
                let held = known(path)?;
                let mut found = false;
                for value in values {
                    found |= compare(path, &held, *case, Op::Eq, value)?;
                }
                Ok(found)
            }
            Filter::Text { place, path, case, text } => {
                let held = known(path)?;
                let (held, text) = match (held, case) {
                    (PropertyValue::Null, _) => return Ok(false),
                    (PropertyValue::Text(held), Case::AsIs) => (held, text.clone()),
                    (PropertyValue::Text(held) | PropertyValue::TextNoCase(held), _) => {
                        (held.to_lowercase(), text.to_lowercase())
                    }
                    (other, _) => return Err(mismatch(path, &other)),
                };
                Ok(match place {
                    Place::Anywhere => held.contains(&text),
                    Place::Start => held.starts_with(&text),
                    Place::End => held.ends_with(&text),
                })
            }
        }
    }
}

fn compare(
    path: &Path,
    held: &PropertyValue,
    case: Case,
    op: Op,
    value: &Literal,
) -> Result<bool, MatchError> {
    let wrong = || mismatch(path, held);
    let equality = matches!(op, Op::Eq | Op::Ne);
    if *value == Literal::Null {
        return match op {
            Op::Eq => Ok(*held == PropertyValue::Null),
            Op::Ne => Ok(*held != PropertyValue::Null),
            Op::Gt | Op::Ge | Op::Lt | Op::Le => Err(wrong()),
        };
    }
    let text = || value.as_text().ok_or_else(wrong);
    let ordering = match held {
        PropertyValue::Null => return Ok(op == Op::Ne),
        PropertyValue::Id(held) if equality => held.cmp(&value.as_id().ok_or_else(wrong)?),
        PropertyValue::Text(held) if case == Case::AsIs => held.cmp(&text()?),
        PropertyValue::Text(held) | PropertyValue::TextNoCase(held) => {
            held.to_lowercase().cmp(&text()?.to_lowercase())
        }
        PropertyValue::Member(held) if equality => match held.eq_ignore_ascii_case(&text()?) {
            true => Ordering::Equal,
            false => Ordering::Less,
        },
        PropertyValue::Instant(held) => held.cmp(&value.as_instant().ok_or_else(wrong)?),
        PropertyValue::Bool(held) if equality => held.cmp(&value.as_bool().ok_or_else(wrong)?),
        PropertyValue::Int(held) => held.cmp(&value.as_int().ok_or_else(wrong)?),
        PropertyValue::Id(_) | PropertyValue::Member(_) | PropertyValue::Bool(_) => {
            return Err(wrong());
        }
    };
    Ok(match op {
        Op::Eq => ordering.is_eq(),
        Op::Ne => ordering.is_ne(),
        Op::Gt => ordering.is_gt(),
        Op::Ge => ordering.is_ge(),
        Op::Lt => ordering.is_lt(),
        Op::Le => ordering.is_le(),
    })
}

fn mismatch(path: &Path, held: &PropertyValue) -> MatchError {
    let kind = match held {
        PropertyValue::Null => "without a value",
        PropertyValue::Id(_) => "an id, compared by eq, ne and in with ids",
        PropertyValue::Text(_) | PropertyValue::TextNoCase(_) => {
            "text, compared with text in single quotes"
        }
        PropertyValue::Member(_) => "one of a list of names, compared by eq, ne and in",
        PropertyValue::Instant(_) => "a date-time, compared with values like 2026-01-31T12:00:00Z",
        PropertyValue::Bool(_) => "true or false, compared by eq and ne",
        PropertyValue::Int(_) => "a whole number",
    };
    MatchError::Mismatch { path: path.as_str().to_owned(), kind }
}
