//! The few places where SQLite and PostgreSQL want different words, side by side.

use std::borrow::Cow;

/// Which database a store uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite, inside this process.
    Sqlite,
    /// PostgreSQL, over the network.
    Postgres,
}

impl Engine {
    /// The engine's usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        }
    }
}

/// A statement as each engine wants to read it; a plain text is the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sql {
    /// For SQLite.
    pub lite: &'static str,
    /// For PostgreSQL.
    pub pg: &'static str,
}

impl Sql {
    /// Two texts that do the same, one for each engine.
    pub const fn new(lite: &'static str, pg: &'static str) -> Sql {
        Sql { lite, pg }
    }

    /// The text for that engine.
    pub const fn text(self, engine: Engine) -> &'static str {
        match engine {
            Engine::Sqlite => self.lite,
            Engine::Postgres => self.pg,
        }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Sql {
        Sql { lite: text, pg: text }
    }
}

/// Holds the rows that a `select` reads until the transaction ends.
///
/// SQLite has one writer at a time, so there is nothing to hold.
pub const fn for_update(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " for update",
    }
}

/// Like [`for_update`], passing over rows that somebody else holds: the claim of a worker.
pub const fn for_update_skip_locked(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " for update skip locked",
    }
}

/// Turns `$1` into `?1`.
///
/// SQLite takes `$2` for a *name* and numbers names by first appearance, so `select $2, $1` would
/// bind the wrong way round. Quoted text, quoted names and comments are left alone.
pub(crate) fn numbered(sql: &str) -> Cow<'_, str> {
    if !sql.contains('$') {
        return Cow::Borrowed(sql);
    }
    let mut out = String::with_capacity(sql.len());
    for piece in pieces(sql) {
        match piece.strip_prefix('$') {
            Some(number) if number.starts_with(|c: char| c.is_ascii_digit()) => {
                out.push('?');
                out.push_str(number);
            }
            _ => out.push_str(piece),
        }
    }
    Cow::Owned(out)
}

/// How many parameters a text wants: the highest number after a `$`.
pub(crate) fn placeholders(sql: &str) -> usize {
    pieces(sql)
        .filter_map(|piece| {
            let number = piece.strip_prefix('$')?;
            let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
            number.get(..end)?.parse().ok()
        })
        .max()
        .unwrap_or(0)
}

/// Cuts a text before each `$`, quote and comment, and after each quoted text and comment; joined,
/// the pieces give it back.
fn pieces(sql: &str) -> impl Iterator<Item = &str> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        let first = *rest.as_bytes().first()?;
        let after =
            |end: Option<usize>, skipped: usize| end.map_or(rest.len(), |end| end + skipped);
        let tail = rest.get(1..).unwrap_or("");
        let length = match first {
            b'\'' | b'"' => after(tail.find(char::from(first)), 2),
            b'-' if rest.starts_with("--") => after(rest.find('\n'), 0),
            b'/' if rest.starts_with("/*") => after(rest.find("*/"), 2),
            // The first character may be part of one of several bytes; those are no signs.
            _ => after(rest.bytes().skip(1).position(|b| b"$'\"-/".contains(&b)), 1),
        };
        let (piece, next) = rest.split_at(length);
        rest = next;
        Some(piece)
    })
}

/// One statement of a migration as that engine wants it.
///
/// Migrations are written with the five column types of PostgreSQL. SQLite gets its own types,
/// `STRICT` tables, and `WITHOUT ROWID` where the key is a uuid or composite: sixteen random-free
/// bytes are a good clustered key, and the second b-tree is saved. PostgreSQL gets its texts
/// compared byte by byte, as SQLite does, whatever the cluster's locale is: the same order on both.
pub(crate) fn statement(sql: &str, engine: Engine) -> String {
    let tokens = tokens(sql);
    let words: Vec<String> = tokens
        .iter()
        .filter(|token| token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
        .map(|word| word.to_ascii_lowercase())
        .collect();
    let starts = |prefix: &[&str]| {
        prefix.len() <= words.len() && prefix.iter().zip(&words).all(|(p, word)| p == word)
    };
    let table = starts(&["create", "table"]);
    if !table && !starts(&["alter", "table"]) {
        return sql.to_owned();
    }
    let mut out = String::with_capacity(sql.len() + 64);
    let mut previous = "";
    for token in &tokens {
        let lower = token.to_ascii_lowercase();
        // After `(` or `,` stands a column's name, even where it is spelled like a type.
        let named = matches!(previous, "(" | ",");
        out.push_str(match (engine, lower.as_str()) {
            _ if named => token,
            (Engine::Sqlite, "uuid" | "bytea") => "blob",
            (Engine::Sqlite, "bigint" | "boolean") => "integer",
            // `cast(x as text)` names a type that cannot carry a collation.
            (Engine::Postgres, "text") if !previous.eq_ignore_ascii_case("as") => {
                "text collate \"C\""
            }
            _ => token,
        });
        if !token.trim().is_empty() {
            previous = token;
        }
    }
    if table && engine == Engine::Sqlite {
        out.push_str(if clustered(&tokens) { " strict, without rowid" } else { " strict" });
    }
    out
}

/// Whether a table's key is a uuid in its first column, or spans several columns.
fn clustered(tokens: &[&str]) -> bool {
    let solid: Vec<String> = tokens
        .iter()
        .filter(|token| !token.trim().is_empty() && !token.starts_with("--"))
        .map(|token| token.to_ascii_lowercase())
        .collect();
    let composite = solid.windows(3).any(|window| {
        matches!(window, [primary, key, open] if primary == "primary" && key == "key" && open == "(")
    });
    let name = solid.iter().position(|token| token == "(").map(|open| open + 1);
    let column = name.and_then(|name| solid.get(name + 1..name + 4));
    let uuid = column.is_some_and(
        |column| matches!(column, [a, b, c] if a == "uuid" && b == "primary" && c == "key"),
    );
    composite || uuid
}

/// Cuts a text into words, quoted texts, comments, blanks and single signs; joined they give it back.
fn tokens(sql: &str) -> Vec<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => {
                rest.get(1..).and_then(|tail| tail.find(first)).map_or(rest.len(), |end| end + 2)
            }
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c if c.is_whitespace() => rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, tail) = rest.split_at(length);
        found.push(token);
        rest = tail;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_numbers_outside_quotes_and_comments() {
        assert_eq!(numbered("select $2, $1"), "select ?2, ?1");
        assert_eq!(numbered("select 'a $1', \"b$1\", $12"), "select 'a $1', \"b$1\", ?12");
        assert_eq!(
            numbered("select 'it''s $1' -- $3\n, $1 - 1"),
            "select 'it''s $1' -- $3\n, ?1 - 1"
        );
        assert_eq!(numbered("/* $1 */ select $1 / 2"), "/* $1 */ select ?1 / 2");
        assert_eq!(numbered("select 'open $1"), "select 'open $1");
        assert_eq!(numbered("select 'ü', $1, ü$2, $$"), "select 'ü', ?1, ü?2, $$");
    }

    #[test]
    fn the_highest_number_tells_how_many_parameters_there_are() {
        assert_eq!(placeholders("select 1"), 0);
        assert_eq!(placeholders("select $2, $10, $1, '$11' -- $12"), 10);
        assert_eq!(placeholders("select $1::text, $$"), 1);
    }

    #[test]
    fn tables_get_the_shape_each_engine_likes() {
        let table =
            "create table deliveries (id uuid primary key, at_ms bigint not null, on_ boolean)";
        assert_eq!(
            statement(table, Engine::Sqlite),
            "create table deliveries (id blob primary key, at_ms integer not null, on_ integer) \
             strict, without rowid"
        );
        assert_eq!(statement(table, Engine::Postgres), table);
        assert_eq!(
            statement("create table t (a text primary key, b bytea)", Engine::Sqlite),
            "create table t (a text primary key, b blob) strict"
        );
        assert_eq!(
            statement("create table t (a uuid, b uuid, primary key (a, b))", Engine::Sqlite),
            "create table t (a blob, b blob, primary key (a, b)) strict, without rowid"
        );
        assert_eq!(
            statement(
                "create table t (a text check (cast(b as text) <> 'text'))",
                Engine::Postgres
            ),
            "create table t (a text collate \"C\" check (cast(b as text) <> 'text'))"
        );
        assert_eq!(
            statement("alter table t add column c boolean not null default false", Engine::Sqlite),
            "alter table t add column c integer not null default false"
        );
        let index = "create unique index open_ on t (a) where uuid = 'boolean'";
        assert_eq!(statement(index, Engine::Sqlite), index);
    }
}
