//! The mark where a page ended: opaque text on the wire, the values of the order's keys inside.
//!
//! A mark gives its holder nothing: its values become parameters of a query that the same caller
//! may ask anyway. So it is not signed; the digest only keeps it from being used where its values
//! would mean something else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::CursorProblem;
use crate::value::Value;

/// The layout written by this file; another layout gets another number.
const VERSION: u8 = 1;

/// Longest mark read, in characters.
const MOST: usize = 8192;

const NULL: u8 = 0;
const UUID: u8 = 1;
const INT: u8 = 2;
const FALSE: u8 = 3;
const TRUE: u8 = 4;
const TEXT: u8 = 5;

/// The mark after a row with these key values. `None` if a value cannot stand in a mark.
pub(super) fn encode(digest: u64, values: &[Value]) -> Option<String> {
    let mut bytes = vec![VERSION];
    bytes.extend(digest.to_be_bytes());
    for value in values {
        match value {
            Value::Null => bytes.push(NULL),
            Value::Uuid(id) => {
                bytes.push(UUID);
                bytes.extend(id.as_bytes());
            }
            Value::Int(number) => {
                bytes.push(INT);
                bytes.extend(number.to_be_bytes());
            }
            Value::Bool(flag) => bytes.push(if *flag { TRUE } else { FALSE }),
            Value::Text(text) => {
                bytes.push(TEXT);
                bytes.extend(u32::try_from(text.len()).ok()?.to_be_bytes());
                bytes.extend(text.as_bytes());
            }
            Value::Bytes(_) => return None,
        }
    }
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// The key values of a mark made for the query with this digest.
pub(super) fn decode(digest: u64, mark: &str) -> Result<Vec<Value>, CursorProblem> {
    if mark.len() > MOST {
        return Err(CursorProblem::Damaged);
    }
    let bytes = URL_SAFE_NO_PAD.decode(mark).map_err(|_| CursorProblem::Damaged)?;
    let mut rest = Rest(&bytes);
    if rest.array::<1>()? != [VERSION] {
        return Err(CursorProblem::Version);
    }
    if u64::from_be_bytes(rest.array()?) != digest {
        return Err(CursorProblem::OtherQuery);
    }
    let mut values = Vec::new();
    while !rest.0.is_empty() {
        let [tag] = rest.array()?;
        values.push(match tag {
            NULL => Value::Null,
            UUID => Value::Uuid(Uuid::from_bytes(rest.array()?)),
            INT => Value::Int(i64::from_be_bytes(rest.array()?)),
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            TEXT => {
                let length = u32::from_be_bytes(rest.array()?);
                let length = usize::try_from(length).map_err(|_| CursorProblem::Damaged)?;
                let text = rest.take(length)?;
                let text = std::str::from_utf8(text).map_err(|_| CursorProblem::Damaged)?;
                // No stored text has it, and PostgreSQL refuses it with an error of its own.
                if text.contains('\0') {
                    return Err(CursorProblem::Damaged);
                }
                Value::Text(text.to_owned())
            }
            _ => return Err(CursorProblem::Damaged),
        });
    }
    Ok(values)
}

/// Bytes not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CursorProblem> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CursorProblem::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CursorProblem> {
        self.take(N)?.try_into().map_err(|_| CursorProblem::Damaged)
    }
}

/// A digest that is the same on every machine and in every version (FNV-1a, 64 bits). The parts are
/// kept apart.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<u128>().prop_map(|bits| Value::Uuid(Uuid::from_u128(bits))),
            any::<i64>().prop_map(Value::Int),
            any::<bool>().prop_map(Value::Bool),
            "[^\0]{0,40}".prop_map(Value::Text),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            digest in any::<u64>(),
            values in prop::collection::vec(any_value(), 0..6),
        ) {
            let mark = encode(digest, &values).unwrap();

            prop_assert!(mark.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(decode(digest, &mark), Ok(values));
            prop_assert_eq!(decode(digest ^ 1, &mark), Err(CursorProblem::OtherQuery));
        }

        #[test]
        fn foreign_marks_are_refused_without_panic(
            mark in "[A-Za-z0-9_-]{0,80}",
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut ours = vec![VERSION];
            ours.extend(7_u64.to_be_bytes());
            ours.extend(bytes);

            let _ = decode(7, &mark);
            let _ = decode(7, &URL_SAFE_NO_PAD.encode(ours));
        }
    }

    #[test]
    fn a_damaged_mark_says_so() {
        let mark = encode(7, &[Value::Text("a".to_owned()), Value::Int(5)]).unwrap();

        let cut: String = mark.chars().take(mark.len() - 3).collect();
        assert_eq!(decode(7, &cut), Err(CursorProblem::Damaged));
        assert_eq!(decode(7, "%%%"), Err(CursorProblem::Damaged));
        assert_eq!(decode(7, &"A".repeat(9000)), Err(CursorProblem::Damaged));
        assert_eq!(decode(7, &URL_SAFE_NO_PAD.encode([9; 20])), Err(CursorProblem::Version));
        let nul = encode(7, &[Value::Text("\0".to_owned())]).unwrap();
        assert_eq!(decode(7, &nul), Err(CursorProblem::Damaged));
    }

    #[test]
    fn a_digest_keeps_its_parts_apart() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_eq!(digest(["requests"]), digest(["requests"]));
    }
}
