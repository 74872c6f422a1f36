//! Filters as canonical text: what parses to the same tree again.

use std::fmt::{self, Display, Formatter};

use super::{Case, Direction, Filter, Literal, OrderBy, Path};

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Filter::And(left, right) => {
                group(f, left, matches!(**left, Filter::Or(..)))?;
                f.write_str(" and ")?;
                group(f, right, matches!(**right, Filter::Or(..) | Filter::And(..)))
            }
            Filter::Or(left, right) => {
                group(f, left, false)?;
                f.write_str(" or ")?;
                group(f, right, matches!(**right, Filter::Or(..)))
            }
            Filter::Not(inner) => {
                f.write_str("not ")?;
                group(f, inner, matches!(**inner, Filter::Or(..) | Filter::And(..)))
            }
            Filter::Compare { path, case, op, value } => {
                property(f, path, *case)?;
                write!(f, " {} {value}", op.name())
            }
            Filter::In { path, case, values } => {
                property(f, path, *case)?;
                f.write_str(" in (")?;
                for (place, value) in values.iter().enumerate() {
                    f.write_str(if place == 0 { "" } else { "," })?;
                    value.fmt(f)?;
                }
                f.write_str(")")
            }
            Filter::Text { place, path, case, text } => {
                write!(f, "{}(", place.name())?;
                property(f, path, *case)?;
                f.write_str(",")?;
                quoted(f, text)?;
                f.write_str(")")
            }
        }
    }
}

fn group(f: &mut Formatter<'_>, filter: &Filter, parentheses: bool) -> fmt::Result {
    match parentheses {
        true => write!(f, "({filter})"),
        false => filter.fmt(f),
    }
}

fn property(f: &mut Formatter<'_>, path: &Path, case: Case) -> fmt::Result {
    match case {
        Case::AsIs => f.write_str(path.as_str()),
        Case::Lower => write!(f, "tolower({path})"),
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("null"),
            Literal::Bool(flag) => flag.fmt(f),
            Literal::Int(number) => number.fmt(f),
            // The debug form always has a fraction or an exponent, so it stays apart from integers.
            Literal::Real(number) => write!(f, "{number:?}"),
            Literal::Text(text) => quoted(f, text),
            Literal::Guid(id) => id.fmt(f),
            Literal::Instant(at) => at.fmt(f),
            Literal::Duration(duration) => write!(f, "duration'{duration}'"),
        }
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Display for OrderBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.direction {
            Direction::Ascending => self.path.fmt(f),
            Direction::Descending => write!(f, "{} desc", self.path),
        }
    }
}
