//! Filter text to tokens.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::{Literal, MAX_LENGTH, Problem, SyntaxError, shown};
use crate::duration::Duration;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    Comma,
    /// A name: keyword, function or path; which one, the parser knows.
    Word(&'a str),
    Literal(Literal),
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed<'a> {
    pub token: Token<'a>,
    /// First byte.
    pub at: usize,
    /// One past the last byte.
    pub end: usize,
}

const INSTANT: &str = "a date-time with an offset, such as 2026-01-31T12:00:00Z";

/// Reads tokens one by one.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Result<Lexer<'a>, SyntaxError> {
        let length = text.chars().count();
        if length > MAX_LENGTH {
            return Err(SyntaxError { at: 0, problem: Problem::TooLong(length) });
        }
        Ok(Lexer { text, at: 0 })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next token; [`Token::End`] for ever after the last.
    pub fn next(&mut self) -> Result<Placed<'a>, SyntaxError> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let at = self.at;
        let token = match self.rest().chars().next() {
            None => Token::End,
            Some('(') => self.single(Token::Open),
            Some(')') => self.single(Token::Close),
            Some(',') => self.single(Token::Comma),
            Some('\'') => Token::Literal(Literal::Text(self.quoted()?)),
            Some(first) if first.is_ascii_digit() || matches!(first, '-' | '+') => {
                Token::Literal(self.numeric()?)
            }
            Some(first) if first.is_ascii_alphabetic() || matches!(first, '_' | '$' | '@') => {
                self.word()?
            }
            Some(other) => {
                let found = format!("`{}`", other.escape_debug());
                let expected = "a property, a value or a parenthesis";
                return Err(SyntaxError { at, problem: Problem::Expected { expected, found } });
            }
        };
        Ok(Placed { token, at, end: self.at })
    }

    fn single(&mut self, token: Token<'a>) -> Token<'a> {
        self.at += 1;
        token
    }

    /// The text from here on as long as `part` says so.
    fn run(&self, part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !part(c)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// `'text'` with quotes inside doubled; the lexer stands on the opening quote.
    fn quoted(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((offset, c)) = chars.next() {
            match c {
                '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                    chars.next();
                    text.push('\'');
                }
                '\'' => {
                    self.at = start + offset + 1;
                    return Ok(text);
                }
                '\0' => return Err(SyntaxError { at: start + offset, problem: Problem::Nul }),
                c => text.push(c),
            }
        }
        Err(SyntaxError { at: start, problem: Problem::OpenText })
    }

    /// Number, date, date-time or GUID.
    fn numeric(&mut self) -> Result<Literal, SyntaxError> {
        let at = self.at;
        let run = self.run(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | ':' | '.'));
        self.at += run.len();
        let bad = |wanted| {
            Err(SyntaxError { at, problem: Problem::BadValue { text: shown(run), wanted } })
        };
        if let Some(id) = guid(run) {
            return Ok(Literal::Guid(id));
        }
        if run.contains(':') {
            // A client that forgot to encode the plus of `+02:00` sent a blank.
            let whole = self.text.get(at..self.at + 6).filter(|_| !has_offset(run));
            if let Some(at) = whole.and_then(|text| instant(&text.replacen(' ', "+", 1))) {
                self.at += 6;
                return Ok(Literal::Instant(at));
            }
            return instant(run).map(Literal::Instant).map_or_else(|| bad(INSTANT), Ok);
        }
        if let Some(at) = instant(run) {
            return Ok(Literal::Instant(at));
        }
        if let Ok(number) = run.parse::<i64>() {
            return Ok(Literal::Int(number));
        }
        match run.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Literal::Real(number)),
            _ => bad("a number, a date, a date-time or an id; text goes in single quotes"),
        }
    }

    /// A name, a GUID that begins with a letter, or a typed value such as `duration'P14D'`.
    fn word(&mut self) -> Result<Token<'a>, SyntaxError> {
        let at = self.at;
        let run = self.run(|c| c.is_ascii_alphanumeric() || c == '-');
        if let Some(id) = guid(run) {
            self.at += run.len();
            return Ok(Token::Literal(Literal::Guid(id)));
        }
        let name =
            self.run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '$' | '@'));
        self.at += name.len();
        if !self.rest().starts_with('\'') {
            return Ok(Token::Word(name));
        }
        let text = self.quoted()?;
        let bad = |wanted| {
            let text = shown(&text);
            Err(SyntaxError { at, problem: Problem::BadValue { text, wanted } })
        };
        let literal = match name.to_ascii_lowercase().as_str() {
            "duration" => match text.parse::<Duration>() {
                Ok(duration) => Literal::Duration(duration),
                Err(_) => return bad("a duration, such as duration'P14D'"),
            },
            "guid" => match guid(&text) {
                Some(id) => Literal::Guid(id),
                None => return bad("an id, such as 5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004"),
            },
            "datetime" | "datetimeoffset" | "date" => match instant(&text) {
                Some(at) => Literal::Instant(at),
                None => return bad(INSTANT),
            },
            // An enum's member, written with the enum's qualified name.
            qualified if qualified.contains('.') => Literal::Text(text),
            _ => {
                let problem = Problem::NotSupported {
                    what: shown(name),
                    instead: "before a quoted value only `duration` or an enum's name may stand",
                };
                return Err(SyntaxError { at, problem });
            }
        };
        Ok(Token::Literal(literal))
    }
}

fn guid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

fn has_offset(text: &str) -> bool {
    text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']))
}

/// An ISO 8601 date-time with an offset, or a date, which stands for its first instant in UTC.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let shape = text.get(..10)?.bytes().enumerate().all(|(place, byte)| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    match text.as_bytes().get(10) {
        _ if !shape => None,
        None => {
            let date: Date = text.parse().ok()?;
            Some(date.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp())
        }
        Some(b'T' | b't') => text.parse().ok(),
        Some(_) => None,
    }
}
