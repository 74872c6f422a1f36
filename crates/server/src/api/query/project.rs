//! `$select` and `$expand` against what a type has, and objects cut down to what was selected.

use accede_domain::nearest;
use serde_json::{Map, Value};

use super::Query;
use crate::api::error::{ApiError, Result};

/// The names that a type has on the wire.
#[derive(Debug)]
pub struct Shape {
    /// The type, such as `accessPackage`.
    pub name: &'static str,
    /// Its properties, `id` among them.
    pub properties: &'static [&'static str],
    /// Its navigation properties: what can be expanded.
    pub navigations: &'static [&'static str],
}

static ALL: std::sync::LazyLock<Query> = std::sync::LazyLock::new(Query::default);

impl Query {
    /// Refuses names in `$select` and `$expand` that the type does not have.
    ///
    /// # Errors
    ///
    /// `400` naming the name and the nearest that exist.
    pub fn fits(&self, shape: &Shape) -> Result<()> {
        for name in self.select.iter().filter(|name| *name != "*") {
            // `assignment/id` selects inside what is expanded; its first part must exist.
            let first = name.split('/').next().unwrap_or_default();
            let mut known = shape.properties.iter().chain(shape.navigations);
            if !known.any(|known| known.eq_ignore_ascii_case(first)) {
                return Err(no_such("$select", first, shape.name, shape.properties));
            }
        }
        for expand in self.expand.iter().filter(|expand| expand.name != "*") {
            let mut known = shape.navigations.iter();
            if !known.any(|known| known.eq_ignore_ascii_case(&expand.name)) {
                return Err(no_such("$expand", &expand.name, shape.name, shape.navigations));
            }
        }
        Ok(())
    }

    /// What is asked of a navigation property, if it is to be expanded.
    pub fn expands(&self, navigation: &str) -> Option<&Query> {
        let named = |name: &str| self.expand.iter().find(|e| e.name.eq_ignore_ascii_case(name));
        named(navigation).map(|expand| &expand.query).or_else(|| named("*").map(|_| &*ALL))
    }

    /// The object with what was selected only. Ids, annotations and what was expanded stay.
    pub fn project(&self, object: Map<String, Value>) -> Map<String, Value> {
        let all = self.select.is_empty() || self.select.iter().any(|name| name == "*");
        let selected = |key: &str| {
            let first = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
            self.select.iter().any(|name| first(name).eq_ignore_ascii_case(key))
        };
        let expanded = |key: &str, value: &Value| {
            let named = self.expand.iter().any(|expand| expand.name.eq_ignore_ascii_case(key));
            // `*` names nothing, but only objects can have been expanded.
            let nested = matches!(value, Value::Object(_) | Value::Array(_));
            named || (nested && self.expands(key).is_some())
        };
        object
            .into_iter()
            .filter(|(key, value)| {
                all || key == "id" || key.contains('@') || selected(key) || expanded(key, value)
            })
            .map(|(key, value)| {
                let value = match self.expands(&key) {
                    Some(inner) => inner.project_value(value),
                    None => value,
                };
                (key, value)
            })
            .collect()
    }

    fn project_value(&self, value: Value) -> Value {
        match value {
            Value::Object(object) => Value::Object(self.project(object)),
            Value::Array(items) => items.into_iter().map(|item| self.project_value(item)).collect(),
            other => other,
        }
    }
}

fn no_such(option: &str, name: &str, kind: &str, known: &[&'static str]) -> ApiError {
    let shown: String = name.chars().take(40).collect();
    let hint = match nearest::one(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "it has none".to_owned(),
        None => format!("it has {}", known.join(", ")),
    };
    let what = if option == "$expand" { "navigation property" } else { "property" };
    ApiError::bad_request(option, format!("`{option}`: {kind} has no {what} `{shown}`; {hint}"))
}
