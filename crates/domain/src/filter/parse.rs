//! Tokens to a filter, by precedence climbing: `not` binds closest, then `and`, then `or`.

use super::lex::{Lexer, Placed, Token};
use super::{
    Case, Filter, Literal, MAX_DEPTH, MAX_NODES, Op, Path, Place, Problem, SyntaxError, shown,
};

const OR: u8 = 1;
const AND: u8 = 2;

/// Reads a whole filter.
pub(super) fn filter(text: &str) -> Result<Filter, SyntaxError> {
    let mut parser = Parser::new(text)?;
    let filter = parser.expression(OR)?;
    match parser.next.token {
        Token::End => Ok(filter),
        _ => parser.expected("`and`, `or` or the end of the filter"),
    }
}

/// One token of foresight over a [`Lexer`].
pub(super) struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    pub next: Placed<'a>,
    nodes: usize,
    depth: usize,
}

/// One side of a comparison.
enum Operand {
    Path(Path, Case),
    Literal(Literal),
    Test(Filter),
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Result<Parser<'a>, SyntaxError> {
        let mut lexer = Lexer::new(text)?;
        let next = lexer.next()?;
        Ok(Parser { text, lexer, next, nodes: 0, depth: 0 })
    }

    /// Moves on and returns the token it stood on.
    pub fn advance(&mut self) -> Result<Placed<'a>, SyntaxError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// Says what should stand where the parser stands.
    pub fn expected<T>(&self, expected: &'static str) -> Result<T, SyntaxError> {
        let found = match self.text.get(self.next.at..self.next.end) {
            None | Some("") => "the end of the text".to_owned(),
            Some(found) => format!("`{}`", shown(found)),
        };
        Err(SyntaxError { at: self.next.at, problem: Problem::Expected { expected, found } })
    }

    fn fail<T>(&self, at: usize, problem: Problem) -> Result<T, SyntaxError> {
        Err(SyntaxError { at, problem })
    }

    fn node(&mut self) -> Result<(), SyntaxError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return self.fail(self.next.at, Problem::TooManyNodes);
        }
        Ok(())
    }

    fn deeper(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(self.next.at, Problem::TooDeep);
        }
        Ok(())
    }

    /// Whether the parser stands on this keyword.
    pub fn on(&self, keyword: &str) -> bool {
        matches!(self.next.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        match self.next.token {
            Token::Close => self.advance().map(drop),
            _ => self.expected("`)`"),
        }
    }

    /// Terms joined by operators that bind at least as close as `least`.
    fn expression(&mut self, least: u8) -> Result<Filter, SyntaxError> {
        let mut left = self.term()?;
        loop {
            let strength = if self.on("and") {
                AND
            } else if self.on("or") {
                OR
            } else {
                return Ok(left);
            };
            if strength < least {
                return Ok(left);
            }
            self.advance()?;
            self.node()?;
            let right = Box::new(self.expression(strength + 1)?);
            let left_side = Box::new(left);
            left = match strength {
                AND => Filter::And(left_side, right),
                _ => Filter::Or(left_side, right),
            };
        }
    }

    /// A comparison, a negated term, or a filter in parentheses.
    fn term(&mut self) -> Result<Filter, SyntaxError> {
        if self.on("not") {
            self.advance()?;
            self.node()?;
            self.deeper()?;
            let inner = self.term()?;
            self.depth -= 1;
            return Ok(Filter::Not(Box::new(inner)));
        }
        if self.next.token == Token::Open {
            self.advance()?;
            self.deeper()?;
            let inner = self.expression(OR)?;
            self.close()?;
            self.depth -= 1;
            return Ok(inner);
        }
        self.node()?;
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Filter, SyntaxError> {
        let left = self.operand("a property, a function or `(`")?;
        if let (Operand::Path(path, case), true) = (&left, self.on("in")) {
            let values = self.list()?;
            return Ok(Filter::In { path: path.clone(), case: *case, values });
        }
        let Some(op) = self.operator()? else {
            return match left {
                Operand::Test(filter) => Ok(filter),
                Operand::Path(..) | Operand::Literal(_) => {
                    self.expected("an operator: eq, ne, gt, ge, lt, le or in")
                }
            };
        };
        let at = self.next.at;
        let right = self.operand("a value; text goes in single quotes")?;
        match (left, op, right) {
            (Operand::Path(path, case), op, Operand::Literal(value)) => {
                Ok(Filter::Compare { path, case, op, value })
            }
            (Operand::Literal(value), op, Operand::Path(path, case)) => {
                Ok(Filter::Compare { path, case, op: mirrored(op), value })
            }
            (Operand::Test(filter), Op::Eq, Operand::Literal(Literal::Bool(true)))
            | (Operand::Test(filter), Op::Ne, Operand::Literal(Literal::Bool(false))) => Ok(filter),
            (Operand::Test(filter), Op::Eq, Operand::Literal(Literal::Bool(false)))
            | (Operand::Test(filter), Op::Ne, Operand::Literal(Literal::Bool(true))) => {
                self.node()?;
                Ok(Filter::Not(Box::new(filter)))
            }
            (Operand::Path(..), _, Operand::Path(path, _)) => self.fail(
                at,
                Problem::Expected {
                    expected: "a value; text goes in single quotes",
                    found: format!("`{}`", shown(path.as_str())),
                },
            ),
            _ => self.fail(
                at,
                Problem::Expected {
                    expected: "a comparison of one property with one value",
                    found: "something else".to_owned(),
                },
            ),
        }
    }

    fn operator(&mut self) -> Result<Option<Op>, SyntaxError> {
        let Token::Word(word) = self.next.token else { return Ok(None) };
        let op = match word.to_ascii_lowercase().as_str() {
            "eq" => Op::Eq,
            "ne" => Op::Ne,
            "gt" => Op::Gt,
            "ge" => Op::Ge,
            "lt" => Op::Lt,
            "le" => Op::Le,
            "has" | "add" | "sub" | "mul" | "div" | "divby" | "mod" => {
                let what = word.to_owned();
                let instead = "use eq, ne, gt, ge, lt, le or in";
                return self.fail(self.next.at, Problem::NotSupported { what, instead });
            }
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(op))
    }

    /// `in ('a', 'b')`; the parser stands on `in`.
    fn list(&mut self) -> Result<Vec<Literal>, SyntaxError> {
        self.advance()?;
        if self.next.token != Token::Open {
            return self.expected("`(` and a list of values");
        }
        let mut values = Vec::new();
        loop {
            self.advance()?;
            self.node()?;
            match self.operand("a value; text goes in single quotes")? {
                Operand::Literal(value) => values.push(value),
                Operand::Path(..) | Operand::Test(_) => {
                    return self.expected("only values in the list; text goes in single quotes");
                }
            }
            match self.next.token {
                Token::Comma => {}
                Token::Close => break,
                _ => return self.expected("`,` or `)`"),
            }
        }
        self.close()?;
        Ok(values)
    }

    /// A path, a value or a function call.
    fn operand(&mut self, expected: &'static str) -> Result<Operand, SyntaxError> {
        let word = match &self.next.token {
            Token::Literal(value) => {
                let value = value.clone();
                self.advance()?;
                return Ok(Operand::Literal(value));
            }
            Token::Word(word) => *word,
            _ => return self.expected(expected),
        };
        if let Some(value) = constant(word) {
            self.advance()?;
            return Ok(Operand::Literal(value));
        }
        if matches!(word.to_ascii_lowercase().as_str(), "eq" | "ne" | "and" | "or" | "in" | "not") {
            return self.expected(expected);
        }
        let at = self.next.at;
        let name = self.advance()?;
        if self.next.token == Token::Open && name.end == self.next.at {
            return self.call(word, at);
        }
        path(word, at).map(|path| Operand::Path(path, Case::AsIs))
    }

    /// A function; the parser stands on its opening parenthesis.
    fn call(&mut self, name: &str, at: usize) -> Result<Operand, SyntaxError> {
        let place = match name.to_ascii_lowercase().as_str() {
            "contains" => Some(Place::Anywhere),
            "startswith" => Some(Place::Start),
            "endswith" => Some(Place::End),
            "tolower" => None,
            lambda if lambda.ends_with("/any") || lambda.ends_with("/all") => {
                let instead = "conditions on the members of a collection cannot be asked here";
                return self.fail(at, Problem::NotSupported { what: shown(name), instead });
            }
            _ => {
                let instead = "the functions are contains, startswith, endswith and tolower";
                return self.fail(at, Problem::NotSupported { what: shown(name), instead });
            }
        };
        self.deeper()?;
        self.advance()?;
        let argument_at = self.next.at;
        let argument = self.operand("a property")?;
        let Some(place) = place else {
            self.close()?;
            self.depth -= 1;
            return match argument {
                Operand::Path(path, _) => Ok(Operand::Path(path, Case::Lower)),
                Operand::Literal(Literal::Text(text)) => {
                    Ok(Operand::Literal(Literal::Text(text.to_lowercase())))
                }
                Operand::Literal(_) | Operand::Test(_) => self.fail(
                    argument_at,
                    Problem::Expected {
                        expected: "a property or a text in `tolower`",
                        found: "something else".to_owned(),
                    },
                ),
            };
        };
        let Operand::Path(path, case) = argument else {
            let found = "something else".to_owned();
            let expected = "a property, or `tolower` of one, as the first argument";
            return self.fail(argument_at, Problem::Expected { expected, found });
        };
        if self.next.token != Token::Comma {
            return self.expected("`,` and a text in single quotes");
        }
        self.advance()?;
        let text_at = self.next.at;
        let text = match self.operand("a text in single quotes")? {
            Operand::Literal(Literal::Text(text)) => text,
            Operand::Literal(Literal::Guid(id)) => id.to_string(),
            Operand::Path(..) | Operand::Literal(_) | Operand::Test(_) => {
                let found = "something else".to_owned();
                let expected = "a text in single quotes";
                return self.fail(text_at, Problem::Expected { expected, found });
            }
        };
        self.close()?;
        self.depth -= 1;
        Ok(Operand::Test(Filter::Text { place, path, case, text }))
    }
}

fn constant(word: &str) -> Option<Literal> {
    if word.eq_ignore_ascii_case("true") {
        Some(Literal::Bool(true))
    } else if word.eq_ignore_ascii_case("false") {
        Some(Literal::Bool(false))
    } else if word.eq_ignore_ascii_case("null") {
        Some(Literal::Null)
    } else {
        None
    }
}

/// A well-formed property path.
pub(super) fn path(text: &str, at: usize) -> Result<Path, SyntaxError> {
    let named = |part: &str| {
        !part.is_empty()
            && part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if text.split('/').all(named) {
        return Ok(Path::new(text));
    }
    let found = format!("`{}`", shown(text));
    let expected = "the path of a property, such as `displayName` or `accessPackage/id`";
    Err(SyntaxError { at, problem: Problem::Expected { expected, found } })
}

/// The operator that says the same with the sides exchanged.
fn mirrored(op: Op) -> Op {
    match op {
        Op::Eq => Op::Eq,
        Op::Ne => Op::Ne,
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
    }
}
