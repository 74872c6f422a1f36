//! Asking before something is taken away: one page for all of it.

use accede_app::Error;
use askama::Template;

use super::page;
use super::part::{Frame, Notice, Tone};
use super::problem::{Result, again, sentence};

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

impl ConfirmPage {
    /// The page again, saying why it could not be done.
    ///
    /// # Errors
    ///
    /// What is not about the deed: not found, forbidden, a fault of ours.
    pub fn refused(mut self, error: Error) -> Result {
        again(error, |error| {
            self.frame.notice = Some(Notice::new(Tone::Bad, sentence(&error.to_string())));
            page(&self)
        })
    }
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
