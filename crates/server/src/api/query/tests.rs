//! What query strings are read, refused and how they cut objects.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use serde_json::{Value, json};

use super::*;

fn parsed(raw: &str) -> Query {
    Query::parse(raw).unwrap_or_else(|error| panic!("{raw}: {}", error.message()))
}

fn refused(raw: &str) -> (String, String) {
    match Query::parse(raw) {
        Ok(query) => panic!("{raw} was read as {query:?}"),
        Err(error) => {
            assert_eq!(error.status(), 400);
            (error.target().unwrap_or_default().to_owned(), error.message().to_owned())
        }
    }
}

#[test]
fn every_spelling_of_an_option_is_read() {
    for raw in [
        "$filter=state%20eq%20%27delivered%27&$top=5&$count=true",
        "%24filter=state+eq+%27delivered%27&%24top=5&%24count=true",
        "filter=state eq 'delivered'&top=5&count=TRUE",
        "$Filter=state eq 'delivered'&$TOP=5&&$Count=true&",
    ] {
        let query = parsed(raw);
        assert_eq!(query.filter.unwrap().to_string(), "state eq 'delivered'", "{raw}");
        assert_eq!((query.top, query.count), (Some(5), true), "{raw}");
    }
}

#[test]
fn options_become_a_listing() {
    let query =
        parsed("$orderby=createdDateTime desc&$skip=20&$skiptoken=abc&$search=\"sales team\"");
    let listing = query.listing();

    assert_eq!(listing.order.first().unwrap().to_string(), "createdDateTime desc");
    assert_eq!((listing.skip, listing.after.as_deref()), (20, Some("abc")));
    assert_eq!(query.search.as_deref(), Some("sales team"));
    assert_eq!(parsed("$format=json&$filter=&$orderby=&$select=").listing().filter, None);
}

#[test]
fn parameters_that_are_not_odata_are_kept_aside() {
    let query = parsed("api-version=1.0&dryRun=true&@id=https://x/v1.0/users/7");

    assert_eq!(query.other("DryRun"), Some("true"));
    assert_eq!(query.id.as_deref(), Some("https://x/v1.0/users/7"));
}

#[test]
fn what_is_unknown_or_twice_is_named() {
    for (raw, target, told) in [
        ("$filtr=a eq 1", "$filtr", "`$filtr` is not a query option here; did you mean `$filter`?"),
        ("$deltatoken=x", "$deltatoken", "there are $filter, $orderby"),
        ("$top=1&top=2", "$top", "`$top` is given twice"),
        ("$filter=a eq 1&%24FILTER=b eq 2", "$filter", "`$filter` is given twice"),
        ("$top=-1", "$top", "`$top` is a whole number from 1 to 999, the limit, not `-1`"),
        ("$top=1e9", "$top", "from 1 to 999, the limit, not `1e9`"),
        ("$top=1000000000", "$top", "from 1 to 999, the limit"),
        ("$top=99999999999999999999999999", "$top", "from 1 to 999, the limit"),
        ("$top=", "$top", "from 1 to 999, the limit"),
        ("$skip=100001", "$skip", "from 0 to 100000, the limit"),
        ("$count=maybe", "$count", "`$count` is true or false, not `maybe`"),
        ("$format=xml", "$format", "`$format` is json, not `xml`"),
        ("$filter=state eq", "$filter", "expected a value"),
        ("$orderby=a b", "$orderby", "`$orderby`: expected `asc`, `desc`"),
        ("$filter=%FF", "query", "not valid UTF-8"),
        ("$filter=a eq '%00'", "query", "U+0000"),
        ("$expand=a(", "$expand", "a `(` that is never closed"),
        ("$expand=a)", "$expand", "a `)` too many"),
        ("$expand=a($filter=b eq 'c)", "$expand", "a quote that is never closed"),
        ("$expand=a(b=1)", "b", "`b` is not a query option here"),
        ("$expand=a($skiptoken=1)", "$skiptoken", "is not a query option here"),
        ("$expand=a/b", "$expand", "expected the name of a navigation property, found `a/b`"),
        ("$expand=a($expand=b)x", "$expand", "expected the end after `a(…)`"),
        ("$expand=a,A", "$expand", "names `A` twice"),
        ("$expand=a($top=1;top=2)", "$top", "given twice"),
    ] {
        let (about, message) = refused(raw);
        assert_eq!(about, target, "{raw}");
        assert!(message.contains(told), "{raw}: {message}");
    }
}

#[test]
fn limits_are_named_and_cost_nothing() {
    let begin = std::time::Instant::now();
    let nested = "$expand=a($expand=b($expand=c($expand=d)))";
    assert!(refused(nested).1.contains("nested deeper than 3 levels; the limit is 3"));
    let deep = format!("$expand={}{}", "a($expand=".repeat(1200), ")".repeat(1200));
    assert!(refused(&deep).1.contains("the limit is 3"));
    let wide: Vec<String> = (0..21).map(|n| format!("a{n}")).collect();
    assert!(refused(&format!("$expand={}", wide.join(","))).1.contains("the limit is 20"));
    let inner: Vec<String> = (0..20).map(|n| format!("a{n}")).collect();
    let inner = format!("$expand=x($expand={})", inner.join(","));
    assert!(refused(&inner).1.contains("the limit is 20"));
    let select = format!("$select={}", ["a"; 101].join(","));
    assert!(refused(&select).1.contains("the limit is 100"));
    assert!(refused(&format!("$search={}", "a".repeat(257))).1.contains("the limit is 256"));
    assert!(refused(&format!("$filter={}", "a".repeat(20_000))).1.contains("the limit is 16384"));
    let nodes = format!("$filter={}", ["a eq 1"; 51].join(" or "));
    assert!(refused(&nodes).1.contains("the limit is 100"));
    assert!(begin.elapsed().as_millis() < 500, "{:?}", begin.elapsed());
}

#[test]
fn expands_nest() {
    let query = parsed(
        "$expand=accessPackage,requestor,assignment($expand=target($select=id,objectId);\
         $filter=state eq 'a;b,(c')",
    );

    let assignment = query.expands("Assignment").unwrap();
    assert_eq!(assignment.filter.as_ref().unwrap().to_string(), "state eq 'a;b,(c'");
    assert_eq!(assignment.expands("target").unwrap().select, ["id", "objectId"]);
    assert_eq!(query.expands("policy"), None);
    assert_eq!(parsed("$expand=*").expands("anything"), Some(&Query::default()));
}

const PACKAGE: Shape = Shape {
    name: "accessPackage",
    properties: &["id", "displayName", "description"],
    navigations: &["catalog", "assignmentPolicies"],
};

#[test]
fn names_that_a_type_lacks_are_refused() {
    let told = |raw: &str| match parsed(raw).fits(&PACKAGE) {
        Ok(()) => String::new(),
        Err(error) => error.message().to_owned(),
    };

    assert_eq!(told("$select=ID,displayname,catalog&$expand=Catalog,assignmentPolicies"), "");
    assert_eq!(told("$select=*,catalog/id&$expand=*"), "");
    assert_eq!(
        told("$select=displayNme"),
        "`$select`: accessPackage has no property `displayNme`; did you mean `displayName`?"
    );
    assert_eq!(
        told("$select=zzz"),
        "`$select`: accessPackage has no property `zzz`; it has id, displayName, description"
    );
    assert_eq!(
        told("$expand=displayName"),
        "`$expand`: accessPackage has no navigation property `displayName`; it has catalog, \
         assignmentPolicies"
    );
}

#[test]
fn objects_are_cut_to_what_was_selected() {
    let object = json!({
        "@odata.type": "#microsoft.graph.accessPackage", "id": "1", "displayName": "a",
        "description": "b", "catalog": { "id": "2", "displayName": "c", "state": "published" },
        "assignmentPolicies": [{ "id": "3", "displayName": "d" }],
    });
    let cut = |raw: &str| {
        let Value::Object(object) = object.clone() else { panic!("not an object") };
        Value::Object(parsed(raw).project(object))
    };

    assert_eq!(cut(""), object);
    assert_eq!(
        cut("$select=DisplayName&$expand=catalog($select=state),assignmentPolicies($select=id)"),
        json!({
            "@odata.type": "#microsoft.graph.accessPackage", "id": "1", "displayName": "a",
            "catalog": { "id": "2", "state": "published" }, "assignmentPolicies": [{ "id": "3" }],
        })
    );
    assert_eq!(
        cut("$select=displayName&$expand=*"),
        json!({
            "@odata.type": "#microsoft.graph.accessPackage", "id": "1", "displayName": "a",
            "catalog": { "id": "2", "displayName": "c", "state": "published" },
            "assignmentPolicies": [{ "id": "3", "displayName": "d" }],
        })
    );
}
