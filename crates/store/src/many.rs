//! Pieces of conditions that are built for a list of ids, and so cannot be literal texts.

use accede_domain::permission::Reach;

use crate::Value;

/// `$1, $2, …` for the items, which are added to the values; a list that holds nothing for none.
pub(crate) fn places<T: Clone + Into<Value>>(items: &[T], values: &mut Vec<Value>) -> String {
    if items.is_empty() {
        return "null".to_owned();
    }
    let mut places = Vec::with_capacity(items.len());
    for item in items {
        values.push(item.clone().into());
        places.push(format!("${}", values.len()));
    }
    places.join(", ")
}

/// `column in (…)` for the catalogs in reach; nothing if everything is.
pub(crate) fn within(reach: &Reach, column: &str, values: &mut Vec<Value>) -> Option<String> {
    match reach {
        Reach::Everywhere => None,
        Reach::Catalogs(list) => Some(format!("{column} in ({})", places(list, values))),
    }
}
