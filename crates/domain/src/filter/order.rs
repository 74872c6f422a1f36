//! `$orderby`: a list of properties, each ascending or descending.

use super::lex::Token;
use super::parse::{Parser, path};
use super::{MAX_ORDER, Path, Problem, SyntaxError};

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    /// The property.
    pub path: Path,
    /// Which end comes first.
    pub direction: Direction,
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Small values first; properties without a value before all.
    Ascending,
    /// Large values first; properties without a value after all.
    Descending,
}

/// Reads `displayName, createdDateTime desc`.
pub fn parse_order(text: &str) -> Result<Vec<OrderBy>, SyntaxError> {
    let mut parser = Parser::new(text)?;
    let mut keys: Vec<OrderBy> = Vec::new();
    loop {
        let at = parser.next.at;
        let Token::Word(word) = parser.next.token else {
            return parser.expected("a property, such as `displayName`");
        };
        let path = path(word, at)?;
        parser.advance()?;
        if parser.next.token == Token::Open {
            return parser.expected("`asc`, `desc`, `,` or the end; functions cannot order a list");
        }
        let direction =
            if parser.on("desc") { Direction::Descending } else { Direction::Ascending };
        if parser.on("desc") || parser.on("asc") {
            parser.advance()?;
        }
        if keys.iter().any(|key| key.path == path) {
            let problem = Problem::Twice(path.as_str().to_owned());
            return Err(SyntaxError { at, problem });
        }
        if keys.len() == MAX_ORDER {
            return Err(SyntaxError { at, problem: Problem::TooManyKeys });
        }
        keys.push(OrderBy { path, direction });
        match parser.next.token {
            Token::Comma => parser.advance().map(drop)?,
            Token::End => return Ok(keys),
            _ => return parser.expected("`asc`, `desc`, `,` or the end of the order"),
        }
    }
}
