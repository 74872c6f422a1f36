//! Form fields: a label, a hint, what was typed, and what is wrong with it.

use askama::Template;
use askama::filters::HtmlSafe;

use super::requests::Choosable;

/// What a field takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One line.
    Line {
        /// What was typed.
        value: String,
        /// The `type` of the element: `text`, `password`, `datetime-local`, `number`.
        of: &'static str,
        /// Longest text, in characters; any if 0.
        max: usize,
    },
    /// Several lines.
    Text {
        /// What was typed.
        value: String,
        /// Longest text, in characters; any if 0.
        max: usize,
        /// Lines shown.
        lines: u8,
    },
    /// One of a list.
    OneOf(Vec<Choosable>),
    /// One of a list that may be long: what is chosen is shown, the rest opens.
    Select(Vec<Choosable>),
    /// Any of a list.
    SomeOf(Vec<Choosable>),
    /// Yes or no.
    Check(bool),
    /// Nothing: a heading over the fields that follow.
    Heading,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "input.html")]
pub struct Input {
    name: String,
    label: String,
    kind: Kind,
    hint: Option<String>,
    error: Option<String>,
    is_required: bool,
    /// Shown only when another field has one of these values: `name value value`.
    when: Option<String>,
}

impl HtmlSafe for Input {}

impl Input {
    fn new(name: impl Into<String>, label: impl Into<String>, kind: Kind) -> Input {
        Input {
            name: name.into(),
            label: label.into(),
            kind,
            hint: None,
            error: None,
            is_required: false,
            when: None,
        }
    }

    /// One line of text.
    pub fn line(
        name: impl Into<String>,
        label: impl Into<String>,
        value: impl Into<String>,
        max: usize,
    ) -> Input {
        Input::typed(name, label, "text", value, max)
    }

    /// One line of this `type`.
    pub fn typed(
        name: impl Into<String>,
        label: impl Into<String>,
        of: &'static str,
        value: impl Into<String>,
        max: usize,
    ) -> Input {
        Input::new(name, label, Kind::Line { value: value.into(), of, max })
    }

    /// Several lines of text.
    pub fn text(
        name: impl Into<String>,
        label: impl Into<String>,
        value: impl Into<String>,
        max: usize,
    ) -> Input {
        Input::new(name, label, Kind::Text { value: value.into(), max, lines: 4 })
    }

    /// One of a list.
    pub fn one_of(
        name: impl Into<String>,
        label: impl Into<String>,
        choices: Vec<Choosable>,
    ) -> Input {
        Input::new(name, label, Kind::OneOf(choices))
    }

    /// One of a list that may be long.
    pub fn select(
        name: impl Into<String>,
        label: impl Into<String>,
        choices: Vec<Choosable>,
    ) -> Input {
        Input::new(name, label, Kind::Select(choices))
    }

    /// Any of a list.
    pub fn some_of(
        name: impl Into<String>,
        label: impl Into<String>,
        choices: Vec<Choosable>,
    ) -> Input {
        Input::new(name, label, Kind::SomeOf(choices))
    }

    /// Yes or no; sent as `yes`.
    pub fn check(name: impl Into<String>, label: impl Into<String>, is_set: bool) -> Input {
        Input::new(name, label, Kind::Check(is_set))
    }

    /// A heading over the fields that follow.
    pub fn heading(name: impl Into<String>, label: impl Into<String>) -> Input {
        Input::new(name, label, Kind::Heading)
    }

    /// With a word on what to enter.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Input {
        self.hint = Some(hint.into());
        self
    }

    /// With what is wrong with it.
    #[must_use]
    pub fn wrong(mut self, error: Option<String>) -> Input {
        self.error = error;
        self
    }

    /// It must not stay empty.
    #[must_use]
    pub fn required(mut self) -> Input {
        self.is_required = true;
        self
    }

    /// It only matters when `other` has one of `values`.
    #[must_use]
    pub fn when(mut self, other: &str, values: &[&str]) -> Input {
        self.when = Some(format!("{other} {}", values.join(" ")));
        self
    }

    /// Whether it says that this is wrong with it.
    pub fn tells(&self, wrong: &str) -> bool {
        self.error.as_deref() == Some(wrong)
    }

    /// Whether it is a set of choices, which a legend names rather than a label.
    const fn is_set(&self) -> bool {
        matches!(self.kind, Kind::OneOf(_) | Kind::SomeOf(_))
    }

    /// The attributes that say what belongs to the control.
    fn described(&self) -> String {
        let mut parts = Vec::new();
        if self.error.is_some() {
            parts.push(format!("{}-error", self.name));
        }
        if self.hint.is_some() {
            parts.push(format!("{}-hint", self.name));
        }
        parts.join(" ")
    }
}

/// A choice that is shown with these words.
pub fn choice(value: impl Into<String>, label: impl Into<String>, is_chosen: bool) -> Choosable {
    Choosable { value: value.into(), label: label.into(), is_chosen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_beside_the_field() {
        let field = Input::line("displayName", "Name", "<x>", 10)
            .required()
            .hint("Short.")
            .wrong(Some("Choose another name.".to_owned()))
            .to_string();

        assert!(field.contains("aria-invalid=\"true\""), "{field}");
        assert!(
            field.contains("aria-describedby=\"displayName-error displayName-hint\""),
            "{field}"
        );
        assert!(field.contains("id=\"displayName-error\""), "{field}");
        assert!(!field.contains("<x>"), "{field}");
    }

    #[test]
    fn a_list_marks_what_is_chosen() {
        let choices = vec![choice("a", "A", false), choice("b", "B", true)];
        let one = Input::one_of("o", "O", choices).to_string();

        assert!(one.contains("value=\"b\" checked"), "{one}");
    }
}
