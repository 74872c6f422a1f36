//! A page that is one form: what to enter, and what was wrong with what was entered.

use accede_app::Error;
use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::input::Input;
use super::page;
use super::part::{Frame, Notice, Tone};
use super::problem::{Problem, Result, sentence};

/// The page.
#[derive(Debug, Template)]
#[template(path = "form_page.html")]
pub struct FormPage {
    /// Its heading says what the form makes.
    pub frame: Frame,
    /// What the reader should know first.
    pub lead: String,
    /// Where the form goes.
    pub action: String,
    /// What it carries: name and value.
    pub hidden: Vec<(&'static str, String)>,
    /// What to enter.
    pub fields: Vec<Input>,
    /// What the button does.
    pub button: &'static str,
    /// Where to go without doing it.
    pub back: String,
}

/// Which fields are wrong, and what was said about each.
#[derive(Debug, Clone, Default)]
pub struct Wrong(Vec<(String, String)>);

impl Wrong {
    /// What is wrong with this field.
    pub fn with(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(path, _)| path == name).map(|(_, text)| text.clone())
    }
}

/// Everything that is wrong with a form, gathered while it is read.
#[derive(Debug, Default)]
pub struct Faults(Vec<Error>);

impl Faults {
    /// What was read, or nothing after noting what is wrong with its field.
    ///
    /// # Errors
    ///
    /// What is not about a field.
    pub fn keep<T>(&mut self, read: Result<T, Error>) -> Result<Option<T>, Error> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error @ Error::Invalid { .. }) => {
                self.0.push(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes what is wrong with a field.
    pub fn add(&mut self, field: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Error::invalid(field, advice));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether somebody else was faster.
    pub fn is_stale(&self) -> bool {
        matches!(self.0.as_slice(), [Error::Stale])
    }

    /// Writes the form again with all of it, like [`again`].
    ///
    /// # Errors
    ///
    /// Like [`again`].
    pub fn again(self, build: impl FnOnce(&Wrong) -> FormPage) -> Result {
        let mut faults = self.0.into_iter();
        let first = faults.next().unwrap_or(Error::Stale);
        again_with(first, also(faults.map(Err)), build)
    }
}

impl From<Error> for Faults {
    fn from(error: Error) -> Faults {
        Faults(vec![error])
    }
}

/// What can be seen to be wrong with a form beside the first fault that its verb names, so that all
/// of it is told at once. What is not about a field is left out.
pub fn also(checks: impl IntoIterator<Item = Result<(), Error>>) -> Vec<(String, String)> {
    let told = |check: Result<(), Error>| match check {
        Err(Error::Invalid { path, sentence: text }) => Some((path, sentence(&text))),
        _ => None,
    };
    checks.into_iter().filter_map(told).collect()
}

/// Writes the form again with what a verb found wrong, keeping what was typed. Refusals that have
/// nothing to do with a field stand above it; what is not about the form becomes a page of its own.
///
/// # Errors
///
/// What is not about the form: not found, forbidden, a fault of ours.
pub fn again(error: Error, build: impl FnOnce(&Wrong) -> FormPage) -> Result {
    again_with(error, Vec::new(), build)
}

/// The same, with what is wrong [`also`].
///
/// # Errors
///
/// Like [`again`].
pub fn again_with(
    error: Error,
    also: Vec<(String, String)>,
    build: impl FnOnce(&Wrong) -> FormPage,
) -> Result {
    let (wrong, told) = match error {
        Error::Invalid { path, sentence: text } => (Some((path, sentence(&text))), None),
        Error::Duplicate { sentence: text, .. } => {
            (Some(("displayName".to_owned(), sentence(&text))), None)
        }
        Error::Refused(refusal) => (None, Some(sentence(&refusal.to_string()))),
        Error::Target { fault, .. } => (None, Some(sentence(&fault.to_string()))),
        error => return Err(Problem::from(error)),
    };
    let first = wrong.as_ref().map(|(_, text)| text.clone());
    let mut form = build(&Wrong(wrong.into_iter().chain(also).collect()));
    let beside = |text: &String| form.fields.iter().any(|field| field.tells(text));
    let told = told.or(first.filter(|text| !beside(text)));
    if let Some(text) = told {
        form.frame.notice = Some(Notice::new(Tone::Bad, text));
    }
    refused(&form)
}

fn refused(form: &FormPage) -> Result<Response> {
    Ok((StatusCode::BAD_REQUEST, page(form)?).into_response())
}

#[cfg(test)]
impl FormPage {
    /// One of every kind of field, with something wrong.
    pub fn samples() -> Vec<FormPage> {
        use super::input::choice;
        use super::part::Place;
        use super::samples::{NASTY, frame};
        let choices = || vec![choice("a", "Published", true), choice("b", NASTY, false)];
        vec![FormPage {
            frame: frame("New catalog", Place::Catalogs)
                .crumb("Catalogs", "/governance/catalogs")
                .notice(Some(Notice::new(Tone::Bad, "The catalog is not published."))),
            lead: "A catalog holds resources and the access packages made of them.".to_owned(),
            action: "/governance/catalogs/new".to_owned(),
            hidden: vec![("version", "1".to_owned())],
            fields: vec![
                Input::line("displayName", "Name", NASTY, 256)
                    .required()
                    .hint("People read it.")
                    .wrong(Some("There is a catalog of this name.".to_owned())),
                Input::text("description", "Description", NASTY, 1_000),
                Input::heading("part", NASTY).hint(NASTY),
                Input::typed("secrets.token", "Token", "password", "", 0),
                Input::one_of("one", "One of these", choices()),
                Input::select("long", "One of many", choices())
                    .wrong(Some("Choose one.".to_owned())),
                Input::some_of("some", "Some of these", choices()),
                Input::check("keep", "Keep what was there before", true),
            ],
            button: "Create the catalog",
            back: "/governance/catalogs".to_owned(),
        }]
    }
}
