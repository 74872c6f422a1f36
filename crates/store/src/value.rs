//! Values that go into a statement and come out of a row, the same on both engines.
//!
//! The database knows five column types: `uuid`, `bigint`, `text`, `boolean`, `bytea`. Instants are
//! `bigint` UTC milliseconds, JSON is `text`.

use accede_domain::Timestamp;
use accede_domain::id::{self, Id};
use uuid::Uuid;

use crate::error::{Error, Result};

/// One parameter of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL null, of whatever type the statement expects.
    Null,
    /// A `uuid`.
    Uuid(Uuid),
    /// A `bigint`.
    Int(i64),
    /// A `boolean`.
    Bool(bool),
    /// A `text`.
    Text(String),
    /// A `bytea`.
    Bytes(Vec<u8>),
}

impl Value {
    /// The value as JSON text.
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Value> {
        serde_json::to_string(value)
            .map(Value::Text)
            .map_err(|error| Error::Database(format!("a value cannot be written as JSON: {error}")))
    }

    /// The same value without owning it.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Uuid(uuid) => ValueRef::Uuid(*uuid),
            Value::Int(int) => ValueRef::Int(*int),
            Value::Bool(bool) => ValueRef::Bool(*bool),
            Value::Text(text) => ValueRef::Text(text),
            Value::Bytes(bytes) => ValueRef::Bytes(bytes),
        }
    }
}

/// One value of a row, as the engine holds it.
///
/// SQLite has neither uuids nor booleans of its own: a `uuid` comes back as 16 bytes and a
/// `boolean` as 0 or 1, so [`FromValue`] accepts those spellings too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueRef<'a> {
    /// SQL null.
    Null,
    /// A `uuid`.
    Uuid(Uuid),
    /// A `bigint`.
    Int(i64),
    /// A `boolean`.
    Bool(bool),
    /// A `text`.
    Text(&'a str),
    /// A `bytea`.
    Bytes(&'a [u8]),
}

impl ValueRef<'_> {
    fn kind(&self) -> &'static str {
        match self {
            ValueRef::Null => "null",
            ValueRef::Uuid(_) => "a uuid",
            ValueRef::Int(_) => "an integer",
            ValueRef::Bool(_) => "a boolean",
            ValueRef::Text(_) => "text",
            ValueRef::Bytes(_) => "bytes",
        }
    }
}

/// Types that can be read from a row.
pub trait FromValue: Sized {
    /// What a column must hold, for the message when it does not.
    const EXPECTED: &'static str;

    /// The value, or `None` when it is of another type or out of range.
    fn from_value(value: ValueRef<'_>) -> Option<Self>;
}

impl FromValue for Uuid {
    const EXPECTED: &'static str = "a uuid";

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Uuid(uuid) => Some(uuid),
            ValueRef::Bytes(bytes) => Uuid::from_slice(bytes).ok(),
            _ => None,
        }
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "a boolean";

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Bool(bool) => Some(bool),
            ValueRef::Int(0) => Some(false),
            ValueRef::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "text";

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    const EXPECTED: &'static str = "bytes";

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Bytes(bytes) => Some(bytes.to_vec()),
            // Sixteen bytes from SQLite are kept as a uuid, since nothing tells them apart.
            ValueRef::Uuid(uuid) => Some(uuid.as_bytes().to_vec()),
            _ => None,
        }
    }
}

impl FromValue for Timestamp {
    const EXPECTED: &'static str = "UTC milliseconds";

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Int(millis) => Timestamp::from_millisecond(millis).ok(),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            const EXPECTED: &'static str = concat!("an integer that fits ", stringify!($type));

            fn from_value(value: ValueRef<'_>) -> Option<Self> {
                match value {
                    ValueRef::Int(int) => <$type>::try_from(int).ok(),
                    _ => None,
                }
            }
        }
    )*};
}

integers!(i64, i32, i16, u64, u32, u16, u8, usize);

macro_rules! small_integers {
    ($($type:ty),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::Int(i64::from(value))
            }
        }
    )*};
}

small_integers!(i64, i32, i16, u32, u16, u8);

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Value::Uuid(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Value::Bytes(value.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Value::Bytes(value)
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Value::Int(value.as_millisecond())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl<T: Clone + Into<Value>> From<&T> for Value {
    fn from(value: &T) -> Self {
        value.clone().into()
    }
}

/// A blanket implementation over [`Id`] would collide with the ones above, so ids are listed.
macro_rules! ids {
    ($($name:ident),* $(,)?) => {$(
        impl From<id::$name> for Value {
            fn from(value: id::$name) -> Self {
                Value::Uuid(value.uuid())
            }
        }

        impl FromValue for id::$name {
            const EXPECTED: &'static str = "a uuid";

            fn from_value(value: ValueRef<'_>) -> Option<Self> {
                Uuid::from_value(value).map(Id::from_uuid)
            }
        }
    )*};
}

ids! {
    UserId, GroupId, AppId, SubjectId, CatalogId, TargetId, ResourceId, ResourceRoleId,
    ResourceScopeId, PackageId, PolicyId, RequestId, StageId, AssignmentId, DeliveryId, AttemptId,
    RoleAssignmentId, RoleDefinitionId, ResourceRequestId, PlanId, JobId, CauseId, GuardId,
    NoticeId, TaskId, DriftFindingId, HistoryId, AuditId,
}

/// The parameters of a statement: `params![id, "open", now]`.
#[macro_export]
macro_rules! params {
    () => { &[] as &[$crate::Value] };
    ($($value:expr),+ $(,)?) => { &[$($crate::Value::from($value)),+] as &[$crate::Value] };
}

/// One row of an answer.
#[derive(Debug)]
pub struct Row(pub(crate) Cells);

#[derive(Debug)]
pub(crate) enum Cells {
    Lite(Box<[Value]>),
    Pg(tokio_postgres::Row),
}

impl Row {
    /// The value of a column, counted from 0.
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T> {
        let value = self.value(index)?;
        T::from_value(value).ok_or_else(|| {
            Error::Corrupt(format!("column {index} must be {}, not {}", T::EXPECTED, value.kind()))
        })
    }

    /// The value that a column holds as JSON text.
    pub fn json<T: serde::de::DeserializeOwned>(&self, index: usize) -> Result<T> {
        match self.value(index)? {
            ValueRef::Text(text) => serde_json::from_str(text).map_err(|error| {
                Error::Corrupt(format!("column {index} does not hold the expected JSON: {error}"))
            }),
            other => Err(Error::Corrupt(format!(
                "column {index} must be JSON text, not {}",
                other.kind()
            ))),
        }
    }

    /// How many columns the row has.
    pub fn len(&self) -> usize {
        match &self.0 {
            Cells::Lite(values) => values.len(),
            Cells::Pg(row) => row.len(),
        }
    }

    /// Whether the row has no column at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a column as the engine holds it.
    pub fn value(&self, index: usize) -> Result<ValueRef<'_>> {
        match &self.0 {
            Cells::Lite(values) => values.get(index).map(Value::as_ref).ok_or_else(|| {
                Error::Corrupt(format!("there is no column {index}, only {}", values.len()))
            }),
            Cells::Pg(row) => crate::pg::value(row, index),
        }
    }
}
