//! Pages of a list: where one begins, in which order, and where the next begins.
//!
//! Paging is by key: a page begins after the last row of the page before, found through an index,
//! so a deep page costs what the first one costs, and rows that come or go do not shift it.

use accede_domain::filter::{Direction, Filter, OrderBy};

use super::cursor::{decode, digest, encode};
use super::{
    Clause, CursorProblem, Entity, FilterError, Kind, Nulls, Numbers, Sorts, compile, find, names,
};
use crate::error::{Error, Result};
use crate::value::{Row, Value, ValueRef};

/// What a reader asks of a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// Which items.
    pub filter: Option<&'a Filter>,
    /// In which order; the list's own if empty.
    pub order: &'a [OrderBy],
    /// Where the page before ended.
    pub after: Option<&'a str>,
    /// How many to leave out first.
    pub skip: usize,
    /// How many at most.
    pub top: usize,
}

/// A question compiled for one list. The caller brings the columns, the tables and its own
/// condition with parameters from `$1` on; the plan adds the reader's wishes.
#[derive(Debug, Clone)]
pub struct Plan {
    first: usize,
    filter: Option<Clause>,
    after: Option<Clause>,
    keys: Vec<Key>,
    digest: u64,
    skip: usize,
    top: usize,
}

/// One key of the order.
#[derive(Debug, Clone, Copy)]
struct Key {
    column: &'static str,
    kind: Kind,
    nulls: Nulls,
    direction: Direction,
}

impl Plan {
    /// Compiles what is asked. The caller's own parameters are numbered below `first`.
    ///
    /// # Errors
    ///
    /// What the list does not have, and marks of other pages; the error names the query option.
    pub fn new(entity: &'static Entity, ask: Ask<'_>, first: usize) -> Result<Plan, FilterError> {
        let filter = match ask.filter {
            Some(filter) => Some(compile(filter, entity.properties, first)?),
            None => None,
        };
        let keys = keys(entity, ask.order)?;
        let mut parts = vec![entity.name.to_owned()];
        parts.push(ask.filter.map(Filter::to_string).unwrap_or_default());
        parts.extend(ask.order.iter().map(|key| key.to_string().to_ascii_lowercase()));
        let digest = digest(parts.iter().map(String::as_str));
        let after = match ask.after {
            Some(mark) => {
                let values = decode(digest, mark).map_err(FilterError::Cursor)?;
                let filled = filter.as_ref().map_or(0, |clause| clause.values.len());
                Some(beyond(&keys, values, first + filled).map_err(FilterError::Cursor)?)
            }
            None => None,
        };
        Ok(Plan { first, filter, after, keys, digest, skip: ask.skip, top: ask.top })
    }

    /// The statement that reads the page and one row more: `columns`, then the order's keys.
    ///
    /// `own` is the caller's condition, if any, on its `parameters`.
    pub fn select(
        &self,
        columns: &str,
        from: &str,
        own: Option<&str>,
        parameters: &[Value],
    ) -> (String, Vec<Value>) {
        debug_assert_eq!(parameters.len() + 1, self.first, "the caller's parameters come first");
        let mut values = parameters.to_vec();
        let mut sql = format!("select {columns}");
        for key in &self.keys {
            sql.push_str(", ");
            sql.push_str(key.column);
        }
        sql.push_str(&format!("\nfrom {from}"));
        let conditions = [self.filter.as_ref(), self.after.as_ref()];
        restrict(&mut sql, &mut values, own, &conditions);
        sql.push_str("\norder by ");
        let terms: Vec<String> = self.keys.iter().map(Key::term).collect();
        sql.push_str(&terms.join(", "));
        values.push(Value::Int(i64::try_from(self.top.saturating_add(1)).unwrap_or(i64::MAX)));
        sql.push_str(&format!("\nlimit ${}", values.len()));
        if self.skip > 0 {
            values.push(Value::Int(i64::try_from(self.skip).unwrap_or(i64::MAX)));
            sql.push_str(&format!(" offset ${}", values.len()));
        }
        (sql, values)
    }

    /// The statement that counts all items that match, on this page or not.
    pub fn count(
        &self,
        from: &str,
        own: Option<&str>,
        parameters: &[Value],
    ) -> (String, Vec<Value>) {
        let mut values = parameters.to_vec();
        let mut sql = format!("select count(*)\nfrom {from}");
        restrict(&mut sql, &mut values, own, &[self.filter.as_ref()]);
        (sql, values)
    }

    /// Takes the row too many off what [`Plan::select`] found, and says where the next page begins
    /// if there was one.
    ///
    /// # Errors
    ///
    /// Corrupt, when the rows are not those of this plan.
    pub fn cut(&self, rows: &mut Vec<Row>) -> Result<Option<String>> {
        if rows.len() <= self.top {
            return Ok(None);
        }
        rows.truncate(self.top);
        let Some(last) = rows.last() else { return Ok(None) };
        let odd = || Error::Corrupt("a list was read without the keys of its order".to_owned());
        let start = last.len().checked_sub(self.keys.len()).ok_or_else(odd)?;
        let mut values = Vec::new();
        for (place, key) in self.keys.iter().enumerate() {
            values.push(key.value(last, start + place)?);
        }
        encode(self.digest, &values).map(Some).ok_or_else(odd)
    }
}

fn restrict(
    sql: &mut String,
    values: &mut Vec<Value>,
    own: Option<&str>,
    clauses: &[Option<&Clause>],
) {
    let mut word = "\nwhere ";
    if let Some(own) = own {
        sql.push_str(word);
        sql.push_str(&format!("({own})"));
        word = "\n  and ";
    }
    for clause in clauses.iter().flatten() {
        sql.push_str(word);
        sql.push_str(&clause.sql);
        values.extend(clause.values.iter().cloned());
        word = "\n  and ";
    }
}

/// The wished order, or the list's own, ended by what makes it total.
fn keys(entity: &'static Entity, order: &[OrderBy]) -> Result<Vec<Key>, FilterError> {
    let mut keys = Vec::new();
    for wish in order {
        let property = find(entity.properties, &wish.path)
            .filter(|property| property.sorts == Sorts::Yes)
            .ok_or_else(|| {
                let sortable = entity.properties.iter().filter(|p| p.sorts == Sorts::Yes);
                FilterError::NotSortable {
                    path: wish.path.as_str().to_owned(),
                    known: names(&wish.path, sortable.map(|property| property.path)),
                }
            })?;
        let direction = wish.direction;
        keys.push(Key {
            column: property.column,
            kind: property.kind,
            nulls: property.nulls,
            direction,
        });
    }
    if order.is_empty() {
        for (path, direction) in entity.order {
            let own = entity.properties.iter().find(|property| property.path == *path);
            debug_assert!(own.is_some(), "{path} is not a property of {}", entity.name);
            keys.extend(own.map(|property| Key {
                column: property.column,
                kind: property.kind,
                nulls: property.nulls,
                direction: *direction,
            }));
        }
    }
    // The same way as the key before, so that one index can carry the whole order.
    let direction = keys.last().map_or(Direction::Ascending, |key| key.direction);
    for column in entity.unique {
        if !keys.iter().any(|key| key.column == *column) {
            keys.push(Key { column, kind: Kind::Id, nulls: Nulls::Never, direction });
        }
    }
    Ok(keys)
}

/// The rows after the one with these key values.
fn beyond(keys: &[Key], values: Vec<Value>, first: usize) -> Result<Clause, CursorProblem> {
    if keys.len() != values.len() {
        return Err(CursorProblem::Damaged);
    }
    let pairs: Vec<(&Key, Value)> = keys.iter().zip(values).collect();
    if !pairs.iter().all(|(key, value)| key.holds(value)) {
        return Err(CursorProblem::Damaged);
    }
    let mut numbers = Numbers::from(first);
    let one_way = keys.first().is_some_and(|lead| {
        keys.iter().all(|key| key.direction == lead.direction && key.nulls == Nulls::Never)
    });
    if one_way {
        let columns: Vec<&str> = keys.iter().map(|key| key.column).collect();
        let sign = keys.first().map_or(">", |key| key.sign());
        let parameters: Vec<String> =
            pairs.into_iter().map(|(_, value)| numbers.bind(value)).collect();
        let sql = format!("({}) {sign} ({})", columns.join(", "), parameters.join(", "));
        return Ok(Clause { sql, values: numbers.values });
    }
    // a after va, or a equal va and (b after vb, or b equal vb and (…))
    let mut sql = String::new();
    let mut open = 0;
    for (place, (key, value)) in pairs.into_iter().enumerate() {
        let parameter = match value {
            Value::Null => None,
            value => Some(numbers.bind(value)),
        };
        let last = place + 1 == keys.len();
        if place == 0
            && let (Nulls::Never, Some(parameter)) = (key.nulls, &parameter)
        {
            // Says nothing new, but lets the index of the first key find the place.
            sql.push_str(&format!("{} {}= {parameter} and ", key.column, key.sign()));
        }
        sql.push('(');
        open += 1;
        sql.push_str(&key.after(parameter.as_deref()));
        if !last {
            sql.push_str(" or (");
            open += 1;
            sql.push_str(&key.equal(parameter.as_deref()));
            sql.push_str(" and ");
        }
    }
    sql.push_str(&")".repeat(open));
    Ok(Clause { sql: format!("({sql})"), values: numbers.values })
}

impl Key {
    /// Missing values come before all others ascending, after all others descending; said in words,
    /// because the engines differ when nothing is said.
    fn term(&self) -> String {
        let Key { column, .. } = self;
        let way = match self.direction {
            Direction::Ascending => "asc",
            Direction::Descending => "desc",
        };
        match self.nulls {
            Nulls::Never => format!("{column} {way}"),
            Nulls::Possible => format!("({column} is not null) {way}, {column} {way}"),
        }
    }

    const fn sign(&self) -> &'static str {
        match self.direction {
            Direction::Ascending => ">",
            Direction::Descending => "<",
        }
    }

    fn after(&self, parameter: Option<&str>) -> String {
        let Key { column, .. } = self;
        let sign = self.sign();
        match (parameter, self.direction, self.nulls) {
            (None, Direction::Ascending, _) => format!("{column} is not null"),
            (None, Direction::Descending, _) => "1 = 0".to_owned(),
            (Some(parameter), Direction::Descending, Nulls::Possible) => {
                format!("({column} {sign} {parameter} or {column} is null)")
            }
            (Some(parameter), _, _) => format!("{column} {sign} {parameter}"),
        }
    }

    fn equal(&self, parameter: Option<&str>) -> String {
        match parameter {
            None => format!("{} is null", self.column),
            Some(parameter) => format!("{} = {parameter}", self.column),
        }
    }

    /// Whether the key's column can hold the value.
    fn holds(&self, value: &Value) -> bool {
        match (self.kind, value) {
            (_, Value::Null) => self.nulls == Nulls::Possible,
            (Kind::Id, Value::Uuid(_))
            | (Kind::Instant | Kind::Int, Value::Int(_))
            | (Kind::Bool, Value::Bool(_))
            | (
                Kind::Text | Kind::TextNoCase | Kind::Folded(_) | Kind::Enum(_) | Kind::Mapped(_),
                Value::Text(_),
            ) => true,
            (_, _) => false,
        }
    }

    /// The key's value in a row; SQLite keeps ids as bytes and booleans as numbers.
    fn value(&self, row: &Row, index: usize) -> Result<Value> {
        if row.value(index)? == ValueRef::Null {
            return Ok(Value::Null);
        }
        Ok(match self.kind {
            Kind::Id => Value::Uuid(row.get(index)?),
            Kind::Instant | Kind::Int => Value::Int(row.get(index)?),
            Kind::Bool => Value::Bool(row.get(index)?),
            Kind::Text | Kind::TextNoCase | Kind::Folded(_) | Kind::Enum(_) | Kind::Mapped(_) => {
                Value::Text(row.get(index)?)
            }
        })
    }
}
