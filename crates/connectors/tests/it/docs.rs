//! The pages of `docs/connectors` name every setting and secret there is, and no other.

use std::collections::BTreeSet;
use std::path::Path;

use accede_connectors::kinds::KINDS;
use accede_connectors::settings::{COMMON, Field};

/// The names in the first column of the table under this heading.
fn rows(page: &str, heading: &str) -> BTreeSet<String> {
    let table = page.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    table
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('`').nth(1).unwrap_or(line).to_owned())
        .collect()
}

#[test]
fn every_setting_and_secret_of_a_kind_is_on_its_page() {
    let names = |fields: &[&[Field]]| -> BTreeSet<String> {
        fields.concat().iter().map(|field| field.name.to_owned()).collect()
    };
    for kind in KINDS {
        let page = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs/connectors")
            .join(format!("{}.md", kind.name));
        let page = std::fs::read_to_string(&page)
            .unwrap_or_else(|error| panic!("{}: {error}", page.display()));

        assert_eq!(rows(&page, "| Setting |"), names(&[kind.settings, COMMON]), "{}", kind.name);
        assert_eq!(rows(&page, "| Secret |"), names(&[kind.secrets]), "{}", kind.name);
    }
}

/// What `docs/adding-a-connector.md` promises of every kind.
#[test]
fn every_kind_is_one_file_and_one_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for kind in KINDS {
        let name = kind.name;
        for path in
            [format!("crates/connectors/src/{name}.rs"), format!("docs/connectors/{name}.md")]
        {
            assert!(root.join(&path).is_file(), "the kind `{name}` has no {path}");
        }
        for field in [kind.settings, kind.secrets].concat() {
            assert!(!field.label.is_empty() && !field.meaning.is_empty(), "{name}: {}", field.name);
        }
    }
}
