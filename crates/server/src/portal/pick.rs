//! A page that searches and lists, with a button beside each row that adds it: one for roles,
//! access packages and groups.

use accede_domain::filter::Filter;
use askama::Template;

use super::form::Fields;
use super::part::Frame;

/// Rows on a page.
pub const ON_A_PAGE: usize = 50;
/// Longest text to search for, in characters.
const MAX_SEARCH: usize = 100;

/// The page.
#[derive(Debug, Template)]
#[template(path = "pick.html")]
pub struct PickPage {
    /// Its heading says what is added.
    pub frame: Frame,
    /// What the reader should know first: sentences.
    pub lead: Vec<String>,
    /// Where the search and every row's form go.
    pub action: String,
    /// What is searched: the name of a list's first column.
    pub noun: &'static str,
    /// The names of the other columns.
    pub columns: Vec<&'static str>,
    /// What was searched for.
    pub search: String,
    /// What can be added.
    pub rows: Vec<Pick>,
    /// What to say where there is nothing.
    pub empty: String,
    /// Where to go without adding anything.
    pub back: String,
    /// The next page.
    pub next: Option<String>,
}

/// What can be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// Its name.
    pub name: String,
    /// What is said under the name.
    pub under: String,
    /// The other columns.
    pub cells: Vec<String>,
    /// What its button sends: name and value.
    pub hidden: Vec<(&'static str, String)>,
    /// What its button adds, for who cannot see the row.
    pub spoken: String,
}

/// What is searched for, by an address or a form.
pub fn search(fields: &Fields) -> String {
    fields.get("search").unwrap_or_default().chars().take(MAX_SEARCH).collect()
}

/// The filter for names with this text in them, whatever its case; nothing for no text.
pub fn named(text: &str) -> Option<Filter> {
    let quoted = text.replace('\'', "''");
    match text.is_empty() {
        true => None,
        false => Filter::parse(&format!("contains(tolower(displayName),'{quoted}')")).ok(),
    }
}

#[cfg(test)]
impl PickPage {
    /// Some, and none.
    pub fn samples() -> Vec<PickPage> {
        use super::part::Place;
        use super::samples::{NASTY, frame};
        let row = Pick {
            name: NASTY.to_owned(),
            under: "Marketing".to_owned(),
            cells: vec![NASTY.to_owned(), "Customer CRM".to_owned()],
            hidden: vec![("role", "1".to_owned())],
            spoken: NASTY.to_owned(),
        };
        let of = |rows: Vec<Pick>| PickPage {
            frame: frame("Add a resource role", Place::Packages)
                .crumb("Access packages", "/governance/packages"),
            lead: vec!["Who has the access package gets the role at once.".to_owned()],
            action: "/governance/packages/1/roles/add".to_owned(),
            noun: "Resource",
            columns: vec!["Role", "Target system"],
            search: NASTY.to_owned(),
            next: (!rows.is_empty()).then(|| "/x".to_owned()),
            rows,
            empty: "The catalog has no resource of this name.".to_owned(),
            back: "/governance/packages/1/roles".to_owned(),
        };
        vec![of(vec![row]), of(vec![])]
    }
}
