//! Filters and orders to SQL: the one place where query text is built instead of written.
//!
//! Each list has a static [`Entity`] that says which properties exist and which columns hold them.
//! What a reader asks is compiled against it into text made of these static pieces and numbered
//! parameters; nothing a reader writes is ever part of the text. Which rows a caller may see at all
//! is not decided here: that condition is the caller's own, beside the compiled one.

mod cursor;
mod list;

use accede_domain::filter::{Case, Filter, Literal, Op, Path, Place};
use accede_domain::nearest;

use crate::value::Value;

pub use list::{Ask, Plan};

/// A list that can be filtered, ordered and paged.
#[derive(Debug)]
pub struct Entity {
    /// Stable name; part of every cursor, so that one list's cursor is refused by another.
    pub name: &'static str,
    /// What can be filtered and ordered by.
    pub properties: &'static [Property],
    /// The columns of type `uuid` that together name one row; they end every order.
    pub unique: &'static [&'static str],
    /// The order if the reader asks for none: paths of sortable properties.
    pub order: &'static [(&'static str, accede_domain::filter::Direction)],
}

/// A property of a list's items.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    path: &'static str,
    column: &'static str,
    kind: Kind,
    nulls: Nulls,
    sorts: Sorts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nulls {
    Never,
    Possible,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sorts {
    No,
    Yes,
}

/// What a property holds, and so how it is compared.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A `uuid`; equality only.
    Id,
    /// A `text` in which case counts.
    Text,
    /// A `text` in which the case of A–Z does not count, on both engines alike. For names of people
    /// and things use [`Kind::Folded`].
    TextNoCase,
    /// A `text` in which case does not count, of which the column named here holds a copy in lower
    /// case (`str::to_lowercase`).
    Folded(&'static str),
    /// A `text` with one of these names; equality only, compared without case.
    Enum(&'static [&'static str]),
    /// Like `Enum`, where one name on the wire stands for several in the column.
    Mapped(&'static [(&'static str, &'static [&'static str])]),
    /// A `bigint` of UTC milliseconds.
    Instant,
    /// A `boolean`; equality only.
    Bool,
    /// A `bigint`.
    Int,
}

impl Kind {
    const fn describe(self) -> &'static str {
        match self {
            Kind::Id => "an id such as '5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004'",
            Kind::Text | Kind::TextNoCase | Kind::Folded(_) => "text in single quotes",
            Kind::Enum(_) | Kind::Mapped(_) => "one of its names in single quotes",
            Kind::Instant => "a date-time such as 2026-01-31T12:00:00Z",
            Kind::Bool => "true or false",
            Kind::Int => "a whole number",
        }
    }

    const fn only_equal(self) -> bool {
        matches!(self, Kind::Id | Kind::Enum(_) | Kind::Mapped(_) | Kind::Bool)
    }
}

impl Property {
    /// A property at `path` (spelled as on the wire) that `column` holds, always with a value, and
    /// not offered for ordering.
    pub const fn new(path: &'static str, column: &'static str, kind: Kind) -> Property {
        Property { path, column, kind, nulls: Nulls::Never, sorts: Sorts::No }
    }

    /// Its path as the wire spells it.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// The same, where the column may be null.
    pub const fn nullable(mut self) -> Property {
        self.nulls = Nulls::Possible;
        self
    }

    /// The same, offered for ordering. Make sure that an index carries it, or that lists are short.
    pub const fn sortable(mut self) -> Property {
        self.sorts = Sorts::Yes;
        self
    }
}

/// What a reader asks that this list cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No such property.
    #[error("`{path}` cannot be filtered here; the properties are {known}")]
    Unknown {
        /// What was asked for.
        path: String,
        /// What there is, nearest first.
        known: String,
    },
    /// No such order.
    #[error("this list cannot be ordered by `{path}`; it can be by {known}")]
    NotSortable {
        /// What was asked for.
        path: String,
        /// What there is, nearest first.
        known: String,
    },
    /// A value that the property cannot have.
    #[error("`{path}` is compared with {wanted}, not with {found}")]
    Mismatch {
        /// The property.
        path: String,
        /// What kind of value is wanted.
        wanted: &'static str,
        /// What was given.
        found: String,
    },
    /// A name that the property's enum does not have.
    #[error("`{path}` is never '{found}'; it is one of {members}")]
    NotAMember {
        /// The property.
        path: String,
        /// What was given.
        found: String,
        /// What there is, nearest first.
        members: String,
    },
    /// An operator that makes no sense for the property.
    #[error("`{path}` cannot be compared by {operator}; use {instead}")]
    Operator {
        /// The property.
        path: String,
        /// The operator or function.
        operator: &'static str,
        /// What can be used.
        instead: &'static str,
    },
    /// A place in a list that we did not hand out, or handed out for other questions.
    #[error("the page mark {0}; start again from the first page")]
    Cursor(CursorProblem),
}

/// What is wrong with the place where a page should begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorProblem {
    /// Not something we wrote.
    #[error("is damaged")]
    Damaged,
    /// Written by another version.
    #[error("was made by another version of the server")]
    Version,
    /// Made for another list, filter or order.
    #[error("belongs to another list, filter or order")]
    OtherQuery,
}

impl FilterError {
    /// The query option at fault.
    pub const fn option(&self) -> &'static str {
        match self {
            FilterError::NotSortable { .. } => "$orderby",
            FilterError::Cursor(_) => "$skiptoken",
            FilterError::Unknown { .. }
            | FilterError::Mismatch { .. }
            | FilterError::NotAMember { .. }
            | FilterError::Operator { .. } => "$filter",
        }
    }
}

/// A condition and the parameters it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The condition; in parentheses where that matters.
    pub sql: String,
    /// Its parameters, in the order of their numbers.
    pub values: Vec<Value>,
}

/// Compiles a filter into a condition whose first parameter is `$first`.
///
/// # Errors
///
/// Properties, values and operators that the list does not have; each error names what there is.
pub fn compile(
    filter: &Filter,
    properties: &[Property],
    first: usize,
) -> Result<Clause, FilterError> {
    let mut compiler = Compiler { properties, numbers: Numbers::from(first), sql: String::new() };
    compiler.condition(filter, false)?;
    Ok(Clause { sql: compiler.sql, values: compiler.numbers.values })
}

/// Hands out numbered parameters.
#[derive(Debug)]
struct Numbers {
    first: usize,
    values: Vec<Value>,
}

impl Numbers {
    const fn from(first: usize) -> Numbers {
        Numbers { first, values: Vec::new() }
    }

    /// The text that stands for `value`.
    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.first + self.values.len() - 1)
    }
}

struct Compiler<'a> {
    properties: &'a [Property],
    numbers: Numbers,
    sql: String,
}

/// What a literal means to a property.
enum Meaning {
    /// This value, exactly.
    Value(Value),
    /// One of these; an enum's member that the column spells in several ways.
    Several(&'static [&'static str]),
    /// An instant between two milliseconds, which no column can hold: the one before.
    Between(i64),
}

impl Compiler<'_> {
    /// Writes a condition that is never null: `not` is pushed down to the comparisons, and a
    /// missing value counts as in [`Filter`].
    fn condition(&mut self, filter: &Filter, negated: bool) -> Result<(), FilterError> {
        match filter {
            Filter::And(left, right) => {
                self.pair(left, right, negated, if negated { "or" } else { "and" })
            }
            Filter::Or(left, right) => {
                self.pair(left, right, negated, if negated { "and" } else { "or" })
            }
            Filter::Not(inner) => self.condition(inner, !negated),
            Filter::Compare { path, case, op, value } => {
                let property = self.property(path)?;
                let op = *op;
                if *value == Literal::Null {
                    let is_null = match op {
                        Op::Eq => !negated,
                        Op::Ne => negated,
                        Op::Gt | Op::Ge | Op::Lt | Op::Le => {
                            return Err(operator(path, op.name(), "eq or ne with null"));
                        }
                    };
                    self.null(property, is_null);
                    return Ok(());
                }
                if property.kind.only_equal() && !matches!(op, Op::Eq | Op::Ne) {
                    return Err(operator(path, op.name(), "eq, ne or in"));
                }
                self.compare(path, property, *case, op, value, negated)
            }
            Filter::In { path, case, values } => {
                let property = self.property(path)?;
                self.list(path, property, *case, values, negated)
            }
            Filter::Text { place, path, case, text } => {
                let property = self.property(path)?;
                let Some((expression, text)) = folded(property, *case, text) else {
                    return Err(operator(path, place.name(), comparisons(property.kind)));
                };
                self.text(property, &expression, *place, &text, negated);
                Ok(())
            }
        }
    }

    fn pair(
        &mut self,
        left: &Filter,
        right: &Filter,
        negated: bool,
        word: &str,
    ) -> Result<(), FilterError> {
        self.sql.push('(');
        self.condition(left, negated)?;
        self.sql.push(' ');
        self.sql.push_str(word);
        self.sql.push(' ');
        self.condition(right, negated)?;
        self.sql.push(')');
        Ok(())
    }

    fn null(&mut self, property: Property, is_null: bool) {
        self.sql.push_str(property.column);
        self.sql.push_str(if is_null { " is null" } else { " is not null" });
    }

    /// Adds the rows without a value to a condition written by `write`.
    fn or_null(&mut self, property: Property, with_nulls: bool, write: impl FnOnce(&mut Self)) {
        if with_nulls && property.nulls == Nulls::Possible {
            self.sql.push('(');
            write(self);
            self.sql.push_str(" or ");
            self.null(property, true);
            self.sql.push(')');
        } else {
            write(self);
        }
    }

    fn compare(
        &mut self,
        path: &Path,
        property: Property,
        case: Case,
        op: Op,
        value: &Literal,
        negated: bool,
    ) -> Result<(), FilterError> {
        let (expression, meaning) = meaning(path, property, case, value)?;
        // A missing value is not equal, not greater, not less: it fulfils what is denied.
        let with_nulls = (op == Op::Ne) != negated;
        let op = if negated { op.inverted() } else { op };
        let sign = match op {
            Op::Eq => "=",
            Op::Ne => "<>",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::Lt => "<",
            Op::Le => "<=",
        };
        match meaning {
            Meaning::Value(value) => self.or_null(property, with_nulls, |this| {
                let parameter = this.numbers.bind(value);
                this.sql.push_str(&format!("{expression} {sign} {parameter}"));
            }),
            Meaning::Several(names) => self.or_null(property, with_nulls, |this| {
                let names = names.iter().map(|name| Value::Text((*name).to_owned())).collect();
                this.within(&expression, names, op == Op::Ne);
            }),
            // Nothing equals it; greater than it is greater than the millisecond before.
            Meaning::Between(before) => match op {
                Op::Eq => self.sql.push_str("1 = 0"),
                Op::Ne => self.sql.push_str("1 = 1"),
                Op::Gt | Op::Ge | Op::Lt | Op::Le => {
                    self.or_null(property, with_nulls, |this| {
                        let sign = if matches!(op, Op::Gt | Op::Ge) { ">" } else { "<=" };
                        let parameter = this.numbers.bind(Value::Int(before));
                        this.sql.push_str(&format!("{expression} {sign} {parameter}"));
                    });
                }
            },
        }
        Ok(())
    }

    fn list(
        &mut self,
        path: &Path,
        property: Property,
        case: Case,
        literals: &[Literal],
        negated: bool,
    ) -> Result<(), FilterError> {
        let mut expression = property.column.to_owned();
        let mut values = Vec::new();
        for literal in literals.iter().filter(|literal| **literal != Literal::Null) {
            let (compared, meaning) = meaning(path, property, case, literal)?;
            expression = compared;
            match meaning {
                Meaning::Value(value) => values.push(value),
                Meaning::Several(names) => {
                    values.extend(names.iter().map(|name| Value::Text((*name).to_owned())));
                }
                Meaning::Between(_) => {}
            }
        }
        let null = literals.contains(&Literal::Null);
        match (values.is_empty(), null, negated) {
            (true, true, _) => self.null(property, !negated),
            (true, false, false) => self.sql.push_str("1 = 0"),
            (true, false, true) => self.sql.push_str("1 = 1"),
            // `null not in (…)` is null, which is as good as false.
            (false, true, true) => self.within(&expression, values, true),
            (false, true, false) | (false, false, true) => {
                self.or_null(property, true, |this| this.within(&expression, values, negated));
            }
            (false, false, false) => self.within(&expression, values, false),
        }
        Ok(())
    }

    fn within(&mut self, expression: &str, values: Vec<Value>, negated: bool) {
        let parameters: Vec<String> =
            values.into_iter().map(|value| self.numbers.bind(value)).collect();
        let word = if negated { "not in" } else { "in" };
        self.sql.push_str(&format!("{expression} {word} ({})", parameters.join(", ")));
    }

    /// Writes a search for `text`.
    ///
    /// `like` minds case on PostgreSQL and not on SQLite, so it serves only where both sides are in
    /// lower case already. Where case counts, the text is cut out and compared.
    fn text(
        &mut self,
        property: Property,
        expression: &str,
        place: Place,
        text: &str,
        negated: bool,
    ) {
        if text.is_empty() {
            self.null(property, negated);
            return;
        }
        let exact = expression == property.column;
        self.or_null(property, negated, |this| {
            if negated {
                this.sql.push_str("not ");
            }
            let condition = if exact {
                let parameter = this.numbers.bind(Value::Text(text.to_owned()));
                let text = format!("cast({parameter} as text)");
                match place {
                    Place::Anywhere => {
                        format!("(replace({expression}, {text}, '') <> {expression})")
                    }
                    Place::Start => format!("(substr({expression}, 1, length({text})) = {text})"),
                    Place::End => format!(
                        "(length({text}) <= length({expression}) and substr({expression}, \
                         length({expression}) - length({text}) + 1) = {text})"
                    ),
                }
            } else {
                let parameter = this.numbers.bind(Value::Text(pattern(place, text)));
                format!("({expression} like {parameter} escape '\\')")
            };
            this.sql.push_str(&condition);
        });
    }

    fn property(&self, path: &Path) -> Result<Property, FilterError> {
        find(self.properties, path).ok_or_else(|| FilterError::Unknown {
            path: path.as_str().to_owned(),
            known: names(path, self.properties.iter().map(|property| property.path)),
        })
    }
}

fn find(properties: &[Property], path: &Path) -> Option<Property> {
    let wanted = |property: &&Property| property.path.eq_ignore_ascii_case(path.folded());
    properties.iter().find(wanted).copied()
}

/// Known names for a sentence, nearest first.
fn names<'a>(path: &Path, known: impl Iterator<Item = &'a str>) -> String {
    list_of(nearest::sorted(path.as_str(), known))
}

fn list_of(names: Vec<&str>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn operator(path: &Path, operator: &'static str, instead: &'static str) -> FilterError {
    FilterError::Operator { path: path.as_str().to_owned(), operator, instead }
}

const fn comparisons(kind: Kind) -> &'static str {
    if kind.only_equal() { "eq, ne or in" } else { "eq, ne, gt, ge, lt, le or in" }
}

/// The expression that is compared and the text it is compared with; `None` if it is not text.
fn folded(property: Property, case: Case, text: &str) -> Option<(String, String)> {
    let column = property.column;
    match (property.kind, case) {
        (Kind::Text, Case::AsIs) => Some((column.to_owned(), text.to_owned())),
        (Kind::Text, Case::Lower) | (Kind::TextNoCase, _) => {
            Some((format!("lower({column})"), text.to_ascii_lowercase()))
        }
        (Kind::Folded(lowered), _) => Some((lowered.to_owned(), text.to_lowercase())),
        (
            Kind::Id | Kind::Enum(_) | Kind::Mapped(_) | Kind::Instant | Kind::Bool | Kind::Int,
            _,
        ) => None,
    }
}

/// A `like` pattern for a text in lower case.
fn pattern(place: Place, text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    if place != Place::Start {
        pattern.push('%');
    }
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    if place != Place::End {
        pattern.push('%');
    }
    pattern
}

/// What a literal other than null means to a property, and the expression to compare it with.
fn meaning(
    path: &Path,
    property: Property,
    case: Case,
    literal: &Literal,
) -> Result<(String, Meaning), FilterError> {
    let mismatch = || FilterError::Mismatch {
        path: path.as_str().to_owned(),
        wanted: property.kind.describe(),
        found: excerpt(&literal.to_string()),
    };
    let column = || property.column.to_owned();
    let text = || literal.as_text().ok_or_else(mismatch);
    match property.kind {
        Kind::Id => {
            let id = literal.as_id().ok_or_else(mismatch)?;
            Ok((column(), Meaning::Value(Value::Uuid(id))))
        }
        Kind::Text | Kind::TextNoCase | Kind::Folded(_) => {
            let (expression, text) = folded(property, case, &text()?).ok_or_else(mismatch)?;
            Ok((expression, Meaning::Value(Value::Text(text))))
        }
        Kind::Enum(members) => {
            let text = text()?;
            let member = members.iter().find(|member| member.eq_ignore_ascii_case(&text));
            let member =
                member.ok_or_else(|| not_a_member(path, &text, members.iter().copied()))?;
            Ok((column(), Meaning::Value(Value::Text((*member).to_owned()))))
        }
        Kind::Mapped(members) => {
            let text = text()?;
            let member = members.iter().find(|(member, _)| member.eq_ignore_ascii_case(&text));
            let names = || members.iter().map(|(member, _)| *member);
            let (_, stored) = member.ok_or_else(|| not_a_member(path, &text, names()))?;
            Ok((column(), Meaning::Several(stored)))
        }
        Kind::Instant => {
            let nanos = literal.as_instant().ok_or_else(mismatch)?.as_nanosecond();
            let before = i64::try_from(nanos.div_euclid(1_000_000)).map_err(|_| mismatch())?;
            let meaning = match nanos.rem_euclid(1_000_000) {
                0 => Meaning::Value(Value::Int(before)),
                _ => Meaning::Between(before),
            };
            Ok((column(), meaning))
        }
        Kind::Bool => {
            let flag = literal.as_bool().ok_or_else(mismatch)?;
            Ok((column(), Meaning::Value(Value::Bool(flag))))
        }
        Kind::Int => {
            let number = literal.as_int().ok_or_else(mismatch)?;
            Ok((column(), Meaning::Value(Value::Int(number))))
        }
    }
}

fn not_a_member<'a>(
    path: &Path,
    found: &str,
    members: impl Iterator<Item = &'a str>,
) -> FilterError {
    FilterError::NotAMember {
        path: path.as_str().to_owned(),
        found: excerpt(found),
        members: list_of(nearest::sorted(found, members)),
    }
}

/// A piece of somebody's input, short enough for a sentence.
fn excerpt(text: &str) -> String {
    const MOST: usize = 60;
    let mut piece: String = text.chars().take(MOST).collect();
    if piece.len() < text.len() {
        piece.push('…');
    }
    piece
}
