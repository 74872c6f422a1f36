//! Reading a page of a list: the same few steps for every noun.

use crate::filter::{Ask, Entity, Plan};
use crate::request_list::ListError;
use crate::{Result, Row, Tx, Value};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
    /// How many items match in all, if that was asked.
    pub count: Option<i64>,
}

/// Where a list's rows come from.
pub(crate) struct Source<'a, T> {
    /// What can be filtered and ordered by.
    pub entity: &'static Entity,
    /// The columns that `read` reads.
    pub columns: &'a str,
    /// The tables.
    pub from: &'static str,
    /// Conditions that the caller sets, joined by `and`, on `values` as `$1`, `$2`, ….
    pub conditions: &'a [String],
    /// Their parameters.
    pub values: &'a [Value],
    /// One row.
    pub read: fn(&Row) -> Result<T>,
}

/// Reads the page that is asked for, and counts all items that match if `count`.
pub(crate) async fn page<T>(
    tx: &mut Tx<'_>,
    source: &Source<'_, T>,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<T>, ListError> {
    let condition = source.conditions.join(" and ");
    let condition = Some(condition.as_str()).filter(|text| !text.is_empty());
    let plan = Plan::new(source.entity, ask, source.values.len() + 1)?;
    let (sql, values) = plan.select(source.columns, source.from, condition, source.values);
    let mut rows = tx.query_text(&sql, &values).await?;
    let next = plan.cut(&mut rows)?;
    let total = if count {
        let (sql, values) = plan.count(source.from, condition, source.values);
        Some(tx.query_one_text(&sql, &values).await?.get(0)?)
    } else {
        None
    };
    let items = rows.iter().map(source.read).collect::<Result<Vec<T>>>()?;
    Ok(Listed { items, next, count: total })
}
