//! Asking before something is taken away: one page for all of it.

use askama::Template;

use super::part::Frame;

/// The page that asks.
#[derive(Debug, Template)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    /// Its heading is the question.
    pub frame: Frame,
    /// What would happen.
    pub sentences: Vec<String>,
    /// Where the form goes.
    pub action: String,
    /// What it carries: name and value.
    pub hidden: Vec<(&'static str, String)>,
    /// What the button does, as a verb and its object.
    pub button: String,
    /// Where to go without doing it.
    pub back: String,
}

#[cfg(test)]
impl ConfirmPage {
    /// One with words of others, one with a hidden field.
    pub fn samples() -> Vec<ConfirmPage> {
        use super::part::Place;
        use super::samples::{NASTY, frame};
        let of = |name: &str, hidden| ConfirmPage {
            frame: frame(format!("Give back {name}?"), Place::MyAccess),
            sentences: vec![
                format!("You lose everything that {name} gives you, unless you have it otherwise."),
                "To get it again you have to request it again.".to_owned(),
            ],
            action: "/my/access/1/return".to_owned(),
            hidden,
            button: "Give it back".to_owned(),
            back: "/my/access".to_owned(),
        };
        vec![of("Campaign", vec![]), of(NASTY, vec![("version", "3".to_owned())])]
    }
}
