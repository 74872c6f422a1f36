//! A page that searches and lists, with a button beside each row that adds it: one for roles,
//! access packages and groups.

use accede_app::{Error, Listing};
use accede_domain::filter::Filter;
use askama::Template;

use super::form::{Address, Fields};
use super::part::Frame;
use super::problem::Result;

/// Rows on a page.
const ON_A_PAGE: usize = 50;
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

/// What is searched for, by the field of that name in an address or a form.
pub fn search(fields: &Fields, name: &str) -> String {
    fields.get(name).unwrap_or_default().chars().take(MAX_SEARCH).collect()
}

/// The filter for what has this text in one of these properties, whatever its case; nothing for no
/// text.
///
/// # Errors
///
/// A text that no filter can hold.
pub fn matching(text: &str, properties: &[&str]) -> Result<Option<Filter>> {
    if text.is_empty() {
        return Ok(None);
    }
    let quoted = text.to_lowercase().replace('\'', "''");
    let parts: Vec<String> = properties
        .iter()
        .map(|property| format!("contains(tolower({property}),'{quoted}')"))
        .collect();
    let filter = Filter::parse(&parts.join(" or "));
    filter.map(Some).map_err(|error| Error::invalid("text", error.to_string()).into())
}

/// What somebody searched for in a list by name, and where in it they are.
///
/// # Errors
///
/// A text that no filter can hold.
pub fn listing(fields: &Fields) -> Result<(String, Listing)> {
    let search = search(fields, "search");
    let listing = Listing {
        filter: matching(&search, &["displayName"])?,
        top: Some(ON_A_PAGE),
        after: fields.owned("after"),
        ..Listing::default()
    };
    Ok((search, listing))
}

/// The address of the next page of a search.
pub fn next(action: &str, search: &str, mark: Option<String>) -> Option<String> {
    mark.map(|mark| Address::new(action).with("search", search).with("after", mark).text())
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
