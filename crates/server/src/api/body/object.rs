//! A JSON object whose properties are taken out one by one.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use accede_domain::Timestamp;
use accede_domain::duration::Duration;
use accede_domain::nearest;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::api::error::{ApiError, Result};
use crate::api::time;

/// Most items of a list in a body.
pub const MAX_ITEMS: usize = 1000;
/// Longest text where nothing shorter is asked for, in characters.
pub const MAX_TEXT: usize = 4000;

/// A JSON object that remembers where it stands in the body and what was asked of it.
#[derive(Debug)]
pub struct Object {
    path: String,
    fields: Vec<Field>,
    asked: Vec<String>,
}

#[derive(Debug)]
struct Field {
    name: String,
    folded: String,
    value: Value,
}

/// What a partial update does to one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<T> {
    /// It was not sent.
    Keep,
    /// It was sent as null.
    Clear,
    /// It was sent.
    Set(T),
}

impl<T> Change<T> {
    /// The new value of a property that may be absent.
    pub fn over(self, old: Option<T>) -> Option<T> {
        match self {
            Change::Keep => old,
            Change::Clear => None,
            Change::Set(new) => Some(new),
        }
    }
}

/// A value that can be read from JSON, tolerantly.
pub trait FromJson: Sized {
    /// Reads the value at `path`, which is not null.
    fn from_json(value: Value, path: &str) -> Result<Self>;
}

impl Object {
    /// The whole body.
    pub(in crate::api) fn root(value: Value) -> Result<Object> {
        Object::new(value, String::new())
    }

    fn new(value: Value, path: String) -> Result<Object> {
        let map: Map<String, Value> = match value {
            Value::Object(map) => map,
            other => {
                let name =
                    if path.is_empty() { "the body".to_owned() } else { format!("`{path}`") };
                let message = format!("{name} must be a JSON object, not {}", kind(&other));
                let about = if path.is_empty() { "body" } else { path.as_str() };
                return Err(ApiError::invalid_model(about, message));
            }
        };
        let mut fields: Vec<Field> = Vec::with_capacity(map.len());
        for (name, value) in map {
            let folded = fold(&name);
            if let Some(twin) = fields.iter().find(|field| field.folded == folded) {
                let message = format!("`{name}` is given twice, the other time as `{}`", twin.name);
                return Err(ApiError::invalid_model(&join(&path, &name), message));
            }
            fields.push(Field { name, folded, value });
        }
        Ok(Object { path, fields, asked: Vec::new() })
    }

    /// The path of one of its properties, such as `assignment.targetId`.
    pub fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// Whether the property was sent, even as null.
    pub fn has(&self, name: &str) -> bool {
        let folded = fold(name);
        self.fields.iter().any(|field| field.folded == folded)
    }

    /// An error about one of its properties: "`path` " and what is wrong with it.
    pub fn wrong(&self, name: &str, what: impl Display) -> ApiError {
        let path = self.path_of(name);
        ApiError::invalid_model(&path, format!("`{path}` {what}"))
    }

    /// Takes a property out as it is.
    pub fn take_value(&mut self, name: &str) -> Option<Value> {
        self.asked.push(name.to_owned());
        let folded = fold(name);
        let place = self.fields.iter().position(|field| field.folded == folded)?;
        Some(self.fields.swap_remove(place).value)
    }

    /// Takes a property out; `None` if it was not sent or is null.
    ///
    /// # Errors
    ///
    /// `400` naming the path if it is of the wrong type.
    pub fn take<T: FromJson>(&mut self, name: &str) -> Result<Option<T>> {
        match self.take_value(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::from_json(value, &self.path_of(name)).map(Some),
        }
    }

    fn missing(&self, name: &str) -> ApiError {
        let bind = fold(&format!("{name}@odata.bind"));
        if self.fields.iter().any(|field| field.folded == bind) {
            let sentence = format!("is not read as a link; send `\"{name}\": {{ \"id\": \"…\" }}`");
            return self.wrong(&format!("{name}@odata.bind"), sentence);
        }
        self.wrong(name, "is required")
    }

    /// Takes out a property that must be there.
    ///
    /// # Errors
    ///
    /// Like [`Object::take`], and if it is absent or null.
    pub fn require<T: FromJson>(&mut self, name: &str) -> Result<T> {
        self.take(name)?.ok_or_else(|| self.missing(name))
    }

    /// Takes out what a partial update does to a property.
    ///
    /// # Errors
    ///
    /// Like [`Object::take`].
    pub fn change<T: FromJson>(&mut self, name: &str) -> Result<Change<T>> {
        match self.take_value(name) {
            None => Ok(Change::Keep),
            Some(Value::Null) => Ok(Change::Clear),
            Some(value) => T::from_json(value, &self.path_of(name)).map(Change::Set),
        }
    }

    /// Takes out what a partial update sets a property to that cannot be without a value.
    ///
    /// # Errors
    ///
    /// Like [`Object::take`], and if it is null.
    pub fn set<T: FromJson>(&mut self, name: &str) -> Result<Option<T>> {
        match self.change(name)? {
            Change::Keep => Ok(None),
            Change::Clear => Err(self.wrong(name, "cannot be null")),
            Change::Set(value) => Ok(Some(value)),
        }
    }

    /// Takes out a text of at most `most` characters.
    ///
    /// # Errors
    ///
    /// Like [`Object::take`], and if it is longer.
    pub fn take_text(&mut self, name: &str, most: usize) -> Result<Option<String>> {
        let text: Option<String> = self.take(name)?;
        text.map(|text| self.short(name, text, most)).transpose()
    }

    /// Takes out a text that must be there, is not blank, and has at most `most` characters.
    ///
    /// # Errors
    ///
    /// Like [`Object::take_text`], and if it is absent, null or blank.
    pub fn require_text(&mut self, name: &str, most: usize) -> Result<String> {
        match self.take_text(name, most)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            Some(_) => Err(self.wrong(name, "cannot be blank")),
            None => Err(self.wrong(name, "is required")),
        }
    }

    /// Takes out what a partial update does to a text of at most `most` characters.
    ///
    /// # Errors
    ///
    /// Like [`Object::take_text`].
    pub fn change_text(&mut self, name: &str, most: usize) -> Result<Change<String>> {
        match self.change(name)? {
            Change::Set(text) => self.short(name, text, most).map(Change::Set),
            other => Ok(other),
        }
    }

    fn short(&self, name: &str, text: String, most: usize) -> Result<String> {
        let length = text.chars().count();
        if length > most {
            let what = format!("has {length} characters; the limit is {most}");
            return Err(self.wrong(name, what));
        }
        Ok(text)
    }

    /// Takes out a whole number within `range`.
    ///
    /// # Errors
    ///
    /// Like [`Object::take`], and if it is out of range.
    pub fn take_int(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        let number: Option<i64> = self.take(name)?;
        match number {
            Some(number) if !range.contains(&number) => {
                let (least, most) = (range.start(), range.end());
                Err(self.wrong(name, format!("is {number}; it must be from {least} to {most}")))
            }
            number => Ok(number),
        }
    }

    /// Takes out an id.
    ///
    /// # Errors
    ///
    /// Like [`Object::take`], and if it is not an id.
    pub fn take_id<I: FromStr>(&mut self, name: &str) -> Result<Option<I>>
    where
        I::Err: Display,
    {
        let text: Option<String> = self.take(name)?;
        let Some(text) = text else { return Ok(None) };
        let id = text.trim().parse().map_err(|error| {
            let path = self.path_of(name);
            ApiError::invalid_model(&path, format!("`{path}`: {error}"))
        });
        id.map(Some)
    }

    /// Takes out an id that must be there.
    ///
    /// # Errors
    ///
    /// Like [`Object::take_id`], and if it is absent or null.
    pub fn require_id<I: FromStr>(&mut self, name: &str) -> Result<I>
    where
        I::Err: Display,
    {
        self.take_id(name)?.ok_or_else(|| self.wrong(name, "is required"))
    }

    /// Takes out the name of one of an enum's `members`, matched without case.
    ///
    /// # Errors
    ///
    /// Like [`Object::take`], and if it is none of them.
    pub fn take_member(
        &mut self,
        name: &str,
        members: &[&'static str],
    ) -> Result<Option<&'static str>> {
        let text: Option<String> = self.take(name)?;
        let Some(text) = text else { return Ok(None) };
        let found = members.iter().find(|member| member.eq_ignore_ascii_case(text.trim()));
        found.copied().map(Some).ok_or_else(|| {
            let members = nearest::sorted(&text, members.iter().copied());
            let listed: Vec<String> = members.iter().map(|name| format!("`{name}`")).collect();
            let shown: String = text.chars().take(40).collect();
            self.wrong(name, format!("is never `{shown}`; it is one of {}", listed.join(", ")))
        })
    }

    /// Takes out the name of one of an enum's `members`, which must be there.
    ///
    /// # Errors
    ///
    /// Like [`Object::take_member`], and if it is absent or null.
    pub fn require_member(&mut self, name: &str, members: &[&'static str]) -> Result<&'static str> {
        self.take_member(name, members)?.ok_or_else(|| self.wrong(name, "is required"))
    }

    /// Takes out `@odata.type` and answers which of `types` it names (without namespace); `None` if
    /// it was not sent. A leading `#`, the namespace and the case do not matter.
    ///
    /// # Errors
    ///
    /// If it names another type.
    pub fn take_type(&mut self, types: &[&'static str]) -> Result<Option<&'static str>> {
        let text: Option<String> = self.take("@odata.type")?;
        let Some(text) = text else { return Ok(None) };
        let bare = text.trim().trim_start_matches('#');
        let bare = strip_namespace(bare);
        let found = types.iter().find(|known| known.eq_ignore_ascii_case(bare));
        found.copied().map(Some).ok_or_else(|| {
            let known = nearest::sorted(bare, types.iter().copied());
            let known: Vec<String> =
                known.iter().map(|name| format!("`#microsoft.graph.{name}`")).collect();
            let shown: String = text.chars().take(80).collect();
            let what = format!("is `{shown}`; it can be {}", known.join(", "));
            self.wrong("@odata.type", what)
        })
    }

    /// Takes out which of `types` the object is, which must be said.
    ///
    /// # Errors
    ///
    /// Like [`Object::take_type`], and if it was not sent.
    pub fn require_type(&mut self, types: &[&'static str]) -> Result<&'static str> {
        self.take_type(types)?.ok_or_else(|| self.wrong("@odata.type", "is required"))
    }

    /// Takes out the id that a link such as `"@odata.id": "https://…/users/7"` points to: its last
    /// segment, whatever comes before it. `name` is `@odata.id` or `environment@odata.bind`.
    ///
    /// # Errors
    ///
    /// Like [`Object::take`], and if there is no id in it.
    pub fn take_link(&mut self, name: &str) -> Result<Option<String>> {
        let text: Option<String> = self.take(name)?;
        let Some(text) = text else { return Ok(None) };
        match link(&text) {
            Some(id) => Ok(Some(id)),
            None => Err(self.wrong(
                name,
                "must be a link that ends with an id, such as \
                                          https://graph.microsoft.com/v1.0/users/{id}",
            )),
        }
    }

    /// Ends the reading: whatever nobody took must be read-only or an annotation.
    ///
    /// `read_only` are the properties that clients send back as they read them; they change
    /// nothing. `id`, `createdDateTime` and `modifiedDateTime` always are.
    ///
    /// # Errors
    ///
    /// `400` naming the first property that is neither, and the nearest known one.
    pub fn finish(self, read_only: &[&str]) -> Result<()> {
        let ignored = |field: &Field| {
            let annotation = field.name.contains('@') && !field.folded.ends_with("@odata.bind");
            let known = ["id", "createdDateTime", "modifiedDateTime"];
            annotation || known.iter().chain(read_only).any(|known| fold(known) == field.folded)
        };
        let Some(field) = self.fields.iter().find(|field| !ignored(field)) else { return Ok(()) };
        let path = self.path_of(&field.name);
        let shown: String = path.chars().take(80).collect();
        let asked = self.asked.iter().map(String::as_str).filter(|name| !name.contains('@'));
        let hint = match nearest::one(&field.name, asked.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let mut asked: Vec<&str> = asked.collect();
                asked.dedup();
                match asked.is_empty() {
                    true => "nothing can be set here".to_owned(),
                    false => format!("what can be set is {}", asked.join(", ")),
                }
            }
        };
        let message = format!("`{shown}` is not a property that can be set here; {hint}");
        Err(ApiError::invalid_model(&path, message))
    }
}

/// The id at the end of a link: `…/users/7`, `…/users('7')`, `…/users/7/$ref`.
pub(in crate::api) fn link(text: &str) -> Option<String> {
    let text = text.trim().split(['?', '#']).next()?.trim_end_matches('/');
    let text = text.strip_suffix("/$ref").unwrap_or(text);
    let last = text.rsplit('/').next()?;
    let id = match last.split_once('(') {
        Some((_, inside)) => inside.strip_suffix(')')?.trim_matches('\''),
        None => last,
    };
    let id = percent_encoding::percent_decode_str(id).decode_utf8().ok()?;
    (!id.is_empty() && !id.contains('\0')).then(|| id.into_owned())
}

/// `Target_Id`, `targetId` and `target_id` are one name.
fn fold(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// `microsoft.graph.singleUser` without its namespace.
fn strip_namespace(name: &str) -> &str {
    const NAMESPACE: &str = "microsoft.graph.";
    match name.get(..NAMESPACE.len()) {
        Some(start) if start.eq_ignore_ascii_case(NAMESPACE) => {
            name.get(NAMESPACE.len()..).unwrap_or_default()
        }
        _ => name,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn mismatch(path: &str, wanted: &str, value: &Value) -> ApiError {
    let found = match value {
        Value::String(text) => {
            let shown: String = text.chars().take(40).collect();
            format!("the text `{shown}`")
        }
        other => kind(other).to_owned(),
    };
    ApiError::invalid_model(path, format!("`{path}` must be {wanted}, not {found}"))
}

impl FromJson for String {
    fn from_json(value: Value, path: &str) -> Result<String> {
        let Value::String(text) = value else { return Err(mismatch(path, "text", &value)) };
        if text.contains('\0') {
            let message = format!("`{path}` contains the character U+0000, which no text may have");
            return Err(ApiError::invalid_model(path, message));
        }
        let length = text.chars().count();
        if length > MAX_TEXT {
            let message = format!("`{path}` has {length} characters; the limit is {MAX_TEXT}");
            return Err(ApiError::invalid_model(path, message));
        }
        Ok(text)
    }
}

impl FromJson for bool {
    fn from_json(value: Value, path: &str) -> Result<bool> {
        match &value {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(mismatch(path, "true or false", &value)),
        }
    }
}

impl FromJson for i64 {
    fn from_json(value: Value, path: &str) -> Result<i64> {
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| mismatch(path, "a whole number", &value))
    }
}

impl FromJson for Uuid {
    fn from_json(value: Value, path: &str) -> Result<Uuid> {
        let id = value.as_str().map(str::trim).filter(|text| text.len() == 36);
        id.and_then(|text| Uuid::try_parse(text).ok()).ok_or_else(|| {
            mismatch(path, "an id such as 5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004", &value)
        })
    }
}

impl FromJson for Timestamp {
    fn from_json(value: Value, path: &str) -> Result<Timestamp> {
        match value.as_str() {
            Some(text) => time::instant(path, text),
            None => Err(mismatch(path, "a date-time such as 2026-01-31T12:00:00Z", &value)),
        }
    }
}

impl FromJson for Duration {
    fn from_json(value: Value, path: &str) -> Result<Duration> {
        let Some(text) = value.as_str() else {
            return Err(mismatch(path, "a duration such as P14D", &value));
        };
        text.parse().map_err(|error: accede_domain::duration::MalformedDuration| {
            ApiError::invalid_model(path, format!("`{path}`: {error}"))
        })
    }
}

impl FromJson for Object {
    fn from_json(value: Value, path: &str) -> Result<Object> {
        Object::new(value, path.to_owned())
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: Value, path: &str) -> Result<Vec<T>> {
        let Value::Array(items) = value else { return Err(mismatch(path, "a list", &value)) };
        if items.len() > MAX_ITEMS {
            let message = format!("`{path}` has {} items; the limit is {MAX_ITEMS}", items.len());
            return Err(ApiError::invalid_model(path, message));
        }
        let item = |(place, item)| T::from_json(item, &format!("{path}[{place}]"));
        items.into_iter().enumerate().map(item).collect()
    }
}
