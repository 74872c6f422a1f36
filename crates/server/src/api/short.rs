//! Short lists that are read whole: filtered, ordered and cut into pages here.
//!
//! For what hangs on one object and has a named limit, such as a package's resource roles. Long
//! lists are filtered and paged by the database.

use std::cmp::Ordering;

use accede_app::Page;
use accede_app::list::{DEFAULT_TOP, MAX_TOP};
use accede_domain::filter::{Direction, Path, PropertyValue};
use serde_json::{Map, Value};

use super::error::{ApiError, Result};
use super::query::Query;

/// A page of these objects, as the query asks for it.
///
/// # Errors
///
/// `400` for properties that the objects do not have, and for marks that are not ours.
pub fn page(query: &Query, items: Vec<Map<String, Value>>) -> Result<Page<Map<String, Value>>> {
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        let fits = match &query.filter {
            None => true,
            Some(filter) => filter
                .matches(&|path: &Path| property(&item, path))
                .map_err(|error| ApiError::invalid_filter(error.to_string()))?,
        };
        if fits && found(query, &item)? {
            kept.push(item);
        }
    }
    for key in query.order.iter().rev() {
        if kept.iter().any(|item| property(item, &key.path).is_none()) {
            let message = format!("`$orderby`: there is no property `{}` here", key.path.as_str());
            return Err(ApiError::bad_request("$orderby", message));
        }
        kept.sort_by(|a, b| {
            let order = compare(property(a, &key.path), property(b, &key.path));
            if key.direction == Direction::Descending { order.reverse() } else { order }
        });
    }
    let count = query.count.then(|| i64::try_from(kept.len()).unwrap_or(i64::MAX));
    let start = match &query.skiptoken {
        None => query.skip,
        Some(mark) => mark.parse::<usize>().map_err(|_| {
            let message = "the page mark is damaged; start again from the first page";
            ApiError::bad_request("$skiptoken", message)
        })?,
    };
    let top = query.top.unwrap_or(DEFAULT_TOP);
    if !(1..=MAX_TOP).contains(&top) {
        let message = format!("ask for 1 to {MAX_TOP} items on a page");
        return Err(ApiError::bad_request("$top", message));
    }
    let end = start.saturating_add(top);
    let next = (end < kept.len()).then(|| end.to_string());
    let items = kept.into_iter().skip(start).take(top).collect();
    Ok(Page { items, next, count })
}

/// Whether an object's name has the text of `$search`.
fn found(query: &Query, item: &Map<String, Value>) -> Result<bool> {
    let Some(text) = &query.search else { return Ok(true) };
    let name = item.get("displayName").and_then(Value::as_str).ok_or_else(|| {
        let message = "this list cannot be searched; use `$filter`";
        ApiError::bad_request("$search", message)
    })?;
    Ok(name.to_lowercase().contains(&text.to_lowercase()))
}

/// How many of these objects match.
///
/// # Errors
///
/// Like [`page`].
pub fn count(query: &Query, items: Vec<Map<String, Value>>) -> Result<i64> {
    let mut all = query.clone();
    (all.count, all.top, all.skip, all.skiptoken) = (true, None, 0, None);
    Ok(page(&all, items)?.count.unwrap_or_default())
}

/// What an object has at a path, read as the filter language needs it.
fn property(item: &Map<String, Value>, path: &Path) -> Option<PropertyValue> {
    let mut parts = path.as_str().split('/');
    let first = parts.next()?;
    let mut name = first.to_owned();
    let mut value = member(item, first)?;
    for part in parts {
        value = member(value.as_object()?, part)?;
        part.clone_into(&mut name);
    }
    Some(match value {
        Value::Null => PropertyValue::Null,
        Value::Bool(flag) => PropertyValue::Bool(*flag),
        Value::Number(number) => PropertyValue::Int(number.as_i64()?),
        Value::String(text) if name.to_ascii_lowercase().ends_with("datetime") => {
            PropertyValue::Instant(text.parse().ok()?)
        }
        Value::String(text) => PropertyValue::TextNoCase(text.clone()),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Missing values come first.
fn compare(a: Option<PropertyValue>, b: Option<PropertyValue>) -> Ordering {
    use PropertyValue as P;
    match (a, b) {
        (Some(P::Bool(a)), Some(P::Bool(b))) => a.cmp(&b),
        (Some(P::Int(a)), Some(P::Int(b))) => a.cmp(&b),
        (Some(P::Instant(a)), Some(P::Instant(b))) => a.cmp(&b),
        (Some(P::TextNoCase(a)), Some(P::TextNoCase(b))) => a.to_lowercase().cmp(&b.to_lowercase()),
        (Some(P::Null) | None, Some(P::Null) | None) => Ordering::Equal,
        (Some(P::Null) | None, _) => Ordering::Less,
        (_, Some(P::Null) | None) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use serde_json::json;

    fn items() -> Vec<Map<String, Value>> {
        [
            ("b", 1, "2026-01-01T00:00:00Z"),
            ("A", 2, "2026-02-01T00:00:00Z"),
            ("c", 3, "2026-03-01T00:00:00Z"),
        ]
        .into_iter()
        .map(|(name, n, at)| {
            json!({ "displayName": name, "n": n, "createdDateTime": at,
                    "inner": { "id": name }, "none": null })
            .as_object()
            .unwrap()
            .clone()
        })
        .collect()
    }

    fn names(query: &str) -> String {
        let page = page(&Query::parse(query).unwrap(), items()).unwrap();
        page.items.iter().map(|item| item["displayName"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn short_lists_are_filtered_ordered_and_paged() {
        assert_eq!(names(""), "bAc");
        assert_eq!(names("$orderby=displayName"), "Abc");
        assert_eq!(names("$orderby=createdDateTime desc"), "cAb");
        assert_eq!(names("$filter=displayName eq 'a'"), "A");
        assert_eq!(names("$filter=createdDateTime ge 2026-02-01T00:00:00Z"), "Ac");
        assert_eq!(names("$filter=inner/id eq 'c'"), "c");
        assert_eq!(names("$filter=none eq null and n ne 1"), "Ac");
        assert_eq!(names("$top=2"), "bA");
        assert_eq!(names("$top=2&$skiptoken=2"), "c");
        assert_eq!(names("$skip=1"), "Ac");
        assert_eq!(names("$search=\"a\""), "A");
    }

    #[test]
    fn what_a_short_list_does_not_have_is_refused() {
        for query in ["$filter=x eq 1", "$orderby=x", "$skiptoken=zz"] {
            let refused = page(&Query::parse(query).unwrap(), items()).unwrap_err();
            assert_eq!(refused.status(), 400, "{query}");
        }
    }

    #[test]
    fn the_count_is_of_all_that_match() {
        let query = Query::parse("$top=1&$count=true&$filter=n gt 1").unwrap();

        let page = page(&query, items()).unwrap();

        assert_eq!((page.items.len(), page.count, page.next), (1, Some(2), Some("1".to_owned())));
    }
}
