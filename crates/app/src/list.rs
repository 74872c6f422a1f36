//! Lists: what a reader may ask of one, and a page of it.

use accede_domain::filter::{Filter, OrderBy};
use accede_store::filter::Ask;

use crate::{Error, Result};

/// Items on a page when nothing is asked.
pub const DEFAULT_TOP: usize = 100;
/// Most items on a page.
pub const MAX_TOP: usize = 999;

/// What a reader asks of a list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Which items, in Graph's property paths.
    pub filter: Option<Filter>,
    /// In which order; the list's own if empty.
    pub order: Vec<OrderBy>,
    /// How many on a page; [`DEFAULT_TOP`] if `None`, never above [`MAX_TOP`].
    pub top: Option<usize>,
    /// How many to leave out first.
    pub skip: usize,
    /// Where the page before ended, as that page said.
    pub after: Option<String>,
    /// Whether to count all items that match.
    pub count: bool,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one. Opaque.
    pub next: Option<String>,
    /// How many items match in all, if that was asked.
    pub count: Option<i64>,
}

impl<T> Page<T> {
    /// The same page of other items.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next, count: self.count }
    }
}

impl<T> From<accede_store::Listed<T>> for Page<T> {
    fn from(listed: accede_store::Listed<T>) -> Page<T> {
        Page { items: listed.items, next: listed.next, count: listed.count }
    }
}

/// What the store is asked for a listing.
///
/// # Errors
///
/// Invalid, for more than [`MAX_TOP`] or nothing on a page.
pub(crate) fn ask(listing: &Listing) -> Result<Ask<'_>> {
    let top = listing.top.unwrap_or(DEFAULT_TOP);
    if !(1..=MAX_TOP).contains(&top) {
        return Err(Error::invalid("$top", format!("ask for 1 to {MAX_TOP} items on a page")));
    }
    Ok(Ask {
        filter: listing.filter.as_ref(),
        order: &listing.order,
        after: listing.after.as_deref(),
        skip: listing.skip,
        top,
    })
}
