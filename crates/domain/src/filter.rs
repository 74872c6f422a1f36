//! The `$filter` and `$orderby` language: text to a closed tree and back.
//!
//! Nothing here knows which properties exist or where they are kept: `store` compiles a [`Filter`]
//! into SQL against its table of properties, [`Filter::matches`] evaluates it on values in memory,
//! and both mean the same. The grammar is the part of OData 4 that entitlement management clients
//! send; what lies outside is refused by name, never half understood.

mod lex;
mod matches;
mod order;
mod parse;
mod print;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use uuid::Uuid;

pub use matches::{MatchError, PropertyValue};
pub use order::{Direction, OrderBy, parse_order};

use crate::duration::Duration;

/// Longest filter or order text, in characters.
pub const MAX_LENGTH: usize = 4096;

/// Most nodes of a filter: every comparison, `and`, `or`, `not`, and every value of an `in` list.
pub const MAX_NODES: usize = 100;

/// Deepest nesting of parentheses and `not`.
pub const MAX_DEPTH: usize = 32;

/// Most properties to order by.
pub const MAX_ORDER: usize = 5;

/// A condition on one item of a list.
///
/// Every condition is either true or false: a property without a value (`null`) is equal to `null`
/// only, is neither greater nor less than anything, and contains nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Both hold.
    And(Box<Filter>, Box<Filter>),
    /// One holds, or both.
    Or(Box<Filter>, Box<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A property compared with one value.
    Compare {
        /// The property.
        path: Path,
        /// Whether it was written as `tolower(path)`.
        case: Case,
        /// How they are compared.
        op: Op,
        /// The value.
        value: Literal,
    },
    /// A property equal to one of several values.
    In {
        /// The property.
        path: Path,
        /// Whether it was written as `tolower(path)`.
        case: Case,
        /// The values; at least one.
        values: Vec<Literal>,
    },
    /// A property that has a text at its start, at its end or anywhere.
    Text {
        /// Where the text has to be.
        place: Place,
        /// The property.
        path: Path,
        /// Whether it was written as `tolower(path)`.
        case: Case,
        /// The text.
        text: String,
    },
}

/// Which letters count as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Case {
    /// As the property itself decides.
    AsIs,
    /// `tolower(path)`: compared without case, the given text too, because clients send
    /// `contains(tolower(displayName), 'X')` without lowering `X`.
    Lower,
}

/// Where a text has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// `contains`
    Anywhere,
    /// `startswith`
    Start,
    /// `endswith`
    End,
}

impl Place {
    /// The function's name.
    pub const fn name(self) -> &'static str {
        match self {
            Place::Anywhere => "contains",
            Place::Start => "startswith",
            Place::End => "endswith",
        }
    }
}

/// How a property is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Equal.
    Eq,
    /// Not equal; a property without a value is not equal to any value.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
}

impl Op {
    /// The operator's name.
    pub const fn name(self) -> &'static str {
        match self {
            Op::Eq => "eq",
            Op::Ne => "ne",
            Op::Gt => "gt",
            Op::Ge => "ge",
            Op::Lt => "lt",
            Op::Le => "le",
        }
    }

    /// The operator that holds exactly when this one does not, for two values that both exist.
    pub const fn inverted(self) -> Op {
        match self {
            Op::Eq => Op::Ne,
            Op::Ne => Op::Eq,
            Op::Gt => Op::Le,
            Op::Ge => Op::Lt,
            Op::Lt => Op::Ge,
            Op::Le => Op::Gt,
        }
    }
}

/// A property's path, such as `accessPackage/id`, compared without case.
#[derive(Debug, Clone)]
pub struct Path {
    text: String,
    folded: String,
}

impl Path {
    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path in lower case, as tables of properties spell it.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    fn new(text: &str) -> Path {
        Path { text: text.to_owned(), folded: text.to_ascii_lowercase() }
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for Path {}

/// A value written in a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction or an exponent; always finite.
    Real(f64),
    /// `'text'`, or the name of an enum's member.
    Text(String),
    /// A bare GUID.
    Guid(Uuid),
    /// A date-time, or a date, which is its first instant in UTC.
    Instant(Timestamp),
    /// `duration'P14D'`
    Duration(Duration),
}

/// What a literal means to a property of some type. Quoted forms are accepted, because clients
/// quote ids always, and instants, booleans and numbers at times.
impl Literal {
    /// As text.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Literal::Text(text) => Some(text.clone()),
            Literal::Guid(id) => Some(id.to_string()),
            Literal::Null
            | Literal::Bool(_)
            | Literal::Int(_)
            | Literal::Real(_)
            | Literal::Instant(_)
            | Literal::Duration(_) => None,
        }
    }

    /// As an id; only the usual form with hyphens.
    pub fn as_id(&self) -> Option<Uuid> {
        match self {
            Literal::Guid(id) => Some(*id),
            Literal::Text(text) if text.len() == 36 => Uuid::try_parse(text).ok(),
            _ => None,
        }
    }

    /// As an instant.
    pub fn as_instant(&self) -> Option<Timestamp> {
        match self {
            Literal::Instant(at) => Some(*at),
            Literal::Text(text) => lex::instant(text),
            _ => None,
        }
    }

    /// As true or false.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Literal::Bool(flag) => Some(*flag),
            Literal::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Literal::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// As a whole number.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Literal::Int(number) => Some(*number),
            Literal::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Filter, SyntaxError> {
        parse::filter(text)
    }

    /// Every property the filter looks at, in the order written, repeated if it is.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Filter::And(left, right) | Filter::Or(left, right) => {
                let mut paths = left.paths();
                paths.extend(right.paths());
                paths
            }
            Filter::Not(inner) => inner.paths(),
            Filter::Compare { path, .. } | Filter::In { path, .. } | Filter::Text { path, .. } => {
                vec![path]
            }
        }
    }
}

/// A filter or order that cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (at position {at})")]
pub struct SyntaxError {
    /// Where, in bytes from the start of the text.
    pub at: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a filter or order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Longer than [`MAX_LENGTH`].
    #[error("the text is {0} characters long; the limit is {MAX_LENGTH}")]
    TooLong(usize),
    /// More than [`MAX_NODES`].
    #[error(
        "the filter has more than {MAX_NODES} nodes (comparisons, values, `and`, `or`, `not`); \
         the limit is {MAX_NODES}, ask in several requests"
    )]
    TooManyNodes,
    /// Deeper than [`MAX_DEPTH`].
    #[error("the filter is nested deeper than {MAX_DEPTH} levels; the limit is {MAX_DEPTH}")]
    TooDeep,
    /// More than [`MAX_ORDER`].
    #[error("the order names more than {MAX_ORDER} properties; the limit is {MAX_ORDER}")]
    TooManyKeys,
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What would have been right.
        expected: &'static str,
        /// What stands there, in backticks, or that it ends.
        found: String,
    },
    /// Part of OData that we do not have.
    #[error("`{what}` is not supported here; {instead}")]
    NotSupported {
        /// What was asked for.
        what: String,
        /// What there is.
        instead: &'static str,
    },
    /// A value that cannot be read.
    #[error("`{text}` is not {wanted}")]
    BadValue {
        /// The value's text.
        text: String,
        /// What it should have been, with an example.
        wanted: &'static str,
    },
    /// A quote without its partner.
    #[error("the text that starts here has no closing quote; a quote inside is written twice")]
    OpenText,
    /// The character U+0000, which no stored text contains.
    #[error("text cannot contain the character U+0000")]
    Nul,
    /// The same property twice in an order.
    #[error("`{0}` is named twice; name each property once")]
    Twice(String),
}

/// A piece of somebody's input, short enough for a sentence.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let mut piece: String = text.chars().take(MOST).collect();
    if piece.len() < text.len() {
        piece.push('…');
    }
    piece
}
