//! What the filter language accepts, refuses and means.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    match Filter::parse(text) {
        Ok(filter) => panic!("{text} was read as {filter}"),
        Err(error) => error.to_string(),
    }
}

/// Reads `text` and prints it canonically.
fn canonical(text: &str) -> String {
    let printed = parsed(text).to_string();
    assert_eq!(parsed(&printed), parsed(text), "{printed} differs from {text}");
    printed
}

#[test]
fn what_real_clients_send_is_read() {
    let id = "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004";
    for (sent, printed) in [
        (
            format!("accessPackage/Id eq '{id}' and state eq 'Delivered'"),
            format!("accessPackage/Id eq '{id}' and state eq 'Delivered'"),
        ),
        (format!("id in ('{id}', {id})"), format!("id in ('{id}',{id})")),
        (format!("target/objectid eq {id}"), format!("target/objectid eq {id}")),
    ] {
        assert_eq!(canonical(&sent), printed);
    }
    for (sent, printed) in [
        ("contains(tolower(displayName), 'X')", "contains(tolower(displayName),'X')"),
        ("startswith(originId,'g_')", "startswith(originId,'g_')"),
        (
            "(originSystem eq 'AadGroup' and resource/id eq 'x')",
            "originSystem eq 'AadGroup' and resource/id eq 'x'",
        ),
        ("displayName eq 'O''Brien''s'", "displayName eq 'O''Brien''s'"),
        ("createdDateTime ge 2026-01-01T00:00:00+02:00", "createdDateTime ge 2025-12-31T22:00:00Z"),
        ("createdDateTime ge 2026-01-01T00:00:00 02:00", "createdDateTime ge 2025-12-31T22:00:00Z"),
        ("createdDateTime lt 2026-01-01", "createdDateTime lt 2026-01-01T00:00:00Z"),
        (
            "createdDateTime lt 2026-01-01T00:00:00.1234567Z",
            "createdDateTime lt 2026-01-01T00:00:00.1234567Z",
        ),
        ("expiration/duration eq duration'P14D'", "expiration/duration eq duration'P14D'"),
        (
            "isHidden eq true AND NOT (catalog/id eq null)",
            "isHidden eq true and not catalog/id eq null",
        ),
        ("state eq microsoft.graph.accessPackageRequestState'delivered'", "state eq 'delivered'"),
        ("5 lt count or -3 ge count", "count gt 5 or count le -3"),
        ("contains(displayName,'a') eq false", "not contains(displayName,'a')"),
        ("size eq 1.5 or size eq 2e3", "size eq 1.5 or size eq 2000.0"),
        ("tolower(displayName) eq tolower('ÄB')", "tolower(displayName) eq 'äb'"),
        ("a eq 1 or b eq 2 and c eq 3", "a eq 1 or b eq 2 and c eq 3"),
        ("(a eq 1 or b eq 2) and c eq 3", "(a eq 1 or b eq 2) and c eq 3"),
        ("a eq 1 and (b eq 2 and c eq 3)", "a eq 1 and (b eq 2 and c eq 3)"),
        ("not(a eq 1)or(b eq 2)", "not a eq 1 or b eq 2"),
        ("displayName\teq\n''", "displayName eq ''"),
    ] {
        assert_eq!(canonical(sent), printed, "{sent}");
    }
}

#[test]
fn and_binds_closer_than_or() {
    let Filter::Or(_, right) = parsed("a eq 1 or b eq 2 and c eq 3") else { panic!("not an or") };

    assert!(matches!(*right, Filter::And(..)));
}

#[test]
fn errors_say_where_and_what_would_be_right() {
    for (text, error) in [
        ("", "expected a property, a function or `(`, found the end of the text (at position 0)"),
        (
            "state",
            "expected an operator: eq, ne, gt, ge, lt, le or in, found the end of the text (at position 5)",
        ),
        (
            "state eq",
            "expected a value; text goes in single quotes, found the end of the text (at position 8)",
        ),
        (
            "state eq delivered",
            "expected a value; text goes in single quotes, found `delivered` (at position 9)",
        ),
        ("state = 'x'", "expected a property, a value or a parenthesis, found `=` (at position 6)"),
        (
            "state eq 'x",
            "the text that starts here has no closing quote; a quote inside is written twice (at position 9)",
        ),
        (
            "state eq 'x' state",
            "expected `and`, `or` or the end of the filter, found `state` (at position 13)",
        ),
        ("(state eq 'x'", "expected `)`, found the end of the text (at position 13)"),
        (
            "state eq 'x')",
            "expected `and`, `or` or the end of the filter, found `)` (at position 12)",
        ),
        (
            "a/ eq 1",
            "expected the path of a property, such as `displayName` or `accessPackage/id`, found `a/` (at position 0)",
        ),
        ("id in ()", "expected a value; text goes in single quotes, found `)` (at position 7)"),
        ("id in ('a' 'b')", "expected `,` or `)`, found `'b'` (at position 11)"),
        ("a eq b/c", "expected a value; text goes in single quotes, found `b/c` (at position 5)"),
        (
            "a eq 1 and",
            "expected a property, a function or `(`, found the end of the text (at position 10)",
        ),
        (
            "a eq 2026-13-01T00:00:00Z",
            "`2026-13-01T00:00:00Z` is not a date-time with an offset, such as 2026-01-31T12:00:00Z (at position 5)",
        ),
        (
            "a eq 2026-01-01T00:00:00",
            "`2026-01-01T00:00:00` is not a date-time with an offset, such as 2026-01-31T12:00:00Z (at position 5)",
        ),
        (
            "a eq 10000-01-01T00:00:00Z",
            "`10000-01-01T00:00:00Z` is not a date-time with an offset, such as 2026-01-31T12:00:00Z (at position 5)",
        ),
        (
            "a eq 12abc",
            "`12abc` is not a number, a date, a date-time or an id; text goes in single quotes (at position 5)",
        ),
        ("a eq duration'14'", "`14` is not a duration, such as duration'P14D' (at position 5)"),
        (
            "a eq guid'14'",
            "`14` is not an id, such as 5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004 (at position 5)",
        ),
        (
            "a eq foo'14'",
            "`foo` is not supported here; before a quoted value only `duration` or an enum's name may stand (at position 5)",
        ),
        (
            "a has 'x'",
            "`has` is not supported here; use eq, ne, gt, ge, lt, le or in (at position 2)",
        ),
        (
            "toupper(a) eq 'X'",
            "`toupper` is not supported here; the functions are contains, startswith, endswith and tolower (at position 0)",
        ),
        (
            "identitySources/any(is:is/tenantId eq 'x')",
            "`identitySources/any` is not supported here; conditions on the members of a collection cannot be asked here (at position 0)",
        ),
        (
            "contains('a', displayName)",
            "expected a property, or `tolower` of one, as the first argument, found something else (at position 9)",
        ),
        (
            "contains(a, 5)",
            "expected a text in single quotes, found something else (at position 12)",
        ),
        ("a eq 'x\0y'", "text cannot contain the character U+0000 (at position 7)"),
        ("ä eq 1", "expected a property, a value or a parenthesis, found `ä` (at position 0)"),
        (
            "' OR 1=1 --",
            "the text that starts here has no closing quote; a quote inside is written twice (at position 0)",
        ),
    ] {
        assert_eq!(refused(text), error, "{text}");
    }
}

#[test]
fn every_limit_is_named_in_its_error() {
    let terms = |count: usize| vec!["a eq 1"; count].join(" or ");
    assert!(Filter::parse(&terms(50)).is_ok());
    assert!(refused(&terms(51)).contains("the limit is 100"));

    let values = |count: usize| format!("a in ({})", vec!["1"; count].join(","));
    assert!(Filter::parse(&values(99)).is_ok());
    assert!(refused(&values(100)).contains("the limit is 100"));

    let nested = |depth: usize| format!("{}a eq 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(32)).is_ok());
    assert!(refused(&nested(33)).contains("the limit is 32"));
    assert!(refused(&"(".repeat(4000)).contains("the limit is 32"));
    assert!(refused(&"not ".repeat(1000)).contains("the limit is 32"));
    assert!(refused(&"tolower(".repeat(500)).contains("the limit is 32"));

    let long = |length: usize| format!("a eq '{}'", "é".repeat(length - 7));
    assert!(Filter::parse(&long(4096)).is_ok());
    assert_eq!(
        refused(&long(4097)),
        "the text is 4097 characters long; the limit is 4096 (at position 0)"
    );

    let keys = |count: usize| (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
    assert_eq!(parse_order(&keys(5)).unwrap().len(), 5);
    assert!(parse_order(&keys(6)).unwrap_err().to_string().contains("the limit is 5"));
}

#[test]
fn orders_are_read() {
    let order = |text: &str| {
        let keys = parse_order(text).unwrap();
        keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };

    assert_eq!(order("displayName"), "displayName");
    assert_eq!(order("displayName ASC,createdDateTime DESC"), "displayName, createdDateTime desc");
    for (text, error) in [
        (
            "",
            "expected a property, such as `displayName`, found the end of the text (at position 0)",
        ),
        (
            "a,",
            "expected a property, such as `displayName`, found the end of the text (at position 2)",
        ),
        (
            "a upwards",
            "expected `asc`, `desc`, `,` or the end of the order, found `upwards` (at position 2)",
        ),
        ("a,A desc", "`A` is named twice; name each property once (at position 2)"),
        (
            "tolower(a)",
            "expected `asc`, `desc`, `,` or the end; functions cannot order a list, found `(` (at position 7)",
        ),
    ] {
        assert_eq!(parse_order(text).unwrap_err().to_string(), error, "{text}");
    }
}

/// A request of which some properties have no value.
fn property(path: &Path) -> Option<PropertyValue> {
    Some(match path.folded() {
        "id" => PropertyValue::Id("5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004".parse().unwrap()),
        "displayname" => PropertyValue::TextNoCase("Sales Örebro".to_owned()),
        "originid" => PropertyValue::Text("g_Sales".to_owned()),
        "state" => PropertyValue::Member("deliveryFailed"),
        "createddatetime" => PropertyValue::Instant("2026-01-01T00:00:00Z".parse().unwrap()),
        "ishidden" => PropertyValue::Bool(true),
        "attempts" => PropertyValue::Int(3),
        "completeddatetime" => PropertyValue::Null,
        _ => return None,
    })
}

#[test]
fn filters_mean_what_they_say() {
    for (text, meaning) in [
        ("id eq '5D2B7F66-80A4-4F9E-8F0B-3B1B2C600004'", true),
        ("id ne 5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004", false),
        ("displayName eq 'sales ÖREBRO'", true),
        ("contains(tolower(displayName), 'ÖRE')", true),
        ("startswith(displayName, 'sales') and endswith(displayName, 'BRO')", true),
        ("contains(originId, 'sales')", false),
        ("contains(tolower(originId), 'sAles')", true),
        ("originId eq 'G_sales' or originId eq 'g_Sales'", true),
        ("tolower(originId) eq 'G_sales'", true),
        ("state eq 'DeliveryFailed'", true),
        ("state in ('delivered', 'denied')", false),
        ("createdDateTime ge 2026-01-01T01:00:00+01:00", true),
        ("createdDateTime gt 2026-01-01", false),
        ("createdDateTime eq '2026-01-01T00:00:00Z'", true),
        ("isHidden eq true and isHidden ne false", true),
        ("attempts gt 2 and attempts le 3 and 4 gt attempts", true),
        ("completedDateTime eq null", true),
        ("completedDateTime ne null", false),
        ("completedDateTime lt 2099-01-01", false),
        ("not (completedDateTime lt 2099-01-01)", true),
        ("completedDateTime ne 2099-01-01", true),
        ("completedDateTime in (null, 2099-01-01)", true),
        ("not contains(completedDateTime, 'x')", true),
    ] {
        assert_eq!(parsed(text).matches(&property), Ok(meaning), "{text}");
    }
}

#[test]
fn filters_that_do_not_fit_are_errors() {
    for (text, error) in [
        ("nothing eq 1", "`nothing` is not a property that can be filtered here"),
        (
            "isHidden eq true or nothing eq 1",
            "`nothing` is not a property that can be filtered here",
        ),
        (
            "id eq 'x'",
            "`id` cannot be compared this way; it is an id, compared by eq, ne and in with ids",
        ),
        (
            "id gt '5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004'",
            "`id` cannot be compared this way; it is an id, compared by eq, ne and in with ids",
        ),
        (
            "createdDateTime eq 'yesterday'",
            "`createdDateTime` cannot be compared this way; it is a date-time, compared with values like 2026-01-31T12:00:00Z",
        ),
        ("attempts eq 1.5", "`attempts` cannot be compared this way; it is a whole number"),
        ("attempts lt null", "`attempts` cannot be compared this way; it is a whole number"),
        (
            "contains(state, 'x')",
            "`state` cannot be compared this way; it is one of a list of names, compared by eq, ne and in",
        ),
    ] {
        assert_eq!(parsed(text).matches(&property).unwrap_err().to_string(), error, "{text}");
    }
}

fn any_path() -> impl Strategy<Value = Path> {
    let words = ["and", "or", "not", "in", "eq", "ne", "true", "false", "null"];
    "[a-zA-Z_][a-zA-Z0-9_]{0,8}(/[a-zA-Z][a-zA-Z0-9]{0,8}){0,2}"
        .prop_filter("keywords are no paths", move |text| {
            !words.contains(&text.to_ascii_lowercase().as_str())
        })
        .prop_map(|text| Path::new(&text))
}

fn any_literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        any::<i64>().prop_map(Literal::Int),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Literal::Real),
        "[^\0]{0,20}".prop_map(Literal::Text),
        any::<u128>().prop_map(|bits| Literal::Guid(Uuid::from_u128(bits))),
        (0_i64..253_000_000_000, 0_i32..1_000_000_000).prop_map(|(seconds, nanos)| {
            Literal::Instant(Timestamp::new(seconds, nanos).unwrap())
        }),
        (0_u16..30_000).prop_map(|days| Literal::Duration(Duration::days(days))),
    ]
}

fn any_case() -> impl Strategy<Value = Case> {
    prop_oneof![Just(Case::AsIs), Just(Case::Lower)]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let op = prop_oneof![
        Just(Op::Eq),
        Just(Op::Ne),
        Just(Op::Gt),
        Just(Op::Ge),
        Just(Op::Lt),
        Just(Op::Le),
    ];
    let place = prop_oneof![Just(Place::Anywhere), Just(Place::Start), Just(Place::End)];
    let leaf = prop_oneof![
        (any_path(), any_case(), op, any_literal())
            .prop_map(|(path, case, op, value)| Filter::Compare { path, case, op, value }),
        (any_path(), any_case(), prop::collection::vec(any_literal(), 1..4))
            .prop_map(|(path, case, values)| Filter::In { path, case, values }),
        (place, any_path(), any_case(), "[^\0]{0,20}")
            .prop_map(|(place, path, case, text)| Filter::Text { place, path, case, text }),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| Filter::And(Box::new(left), Box::new(right))),
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| Filter::Or(Box::new(left), Box::new(right))),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn printing_and_parsing_is_the_identity(filter in any_filter()) {
        let printed = filter.to_string();

        prop_assert_eq!(Filter::parse(&printed), Ok(filter), "{}", printed);
    }

    #[test]
    fn any_text_is_read_or_refused_without_panic(text in "\\PC{0,200}") {
        if let Err(error) = Filter::parse(&text) {
            prop_assert!(error.at <= text.len());
        }
        let _ = parse_order(&text);
    }

    #[test]
    fn any_mix_of_tokens_is_read_or_refused_without_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "(", ")", ",", "'", "'a'", "eq", "in", "not", "and", "or", "a/b", "tolower(",
                "contains(", "1", "-", "2026-01-01", "T00:00:00", "+", ":", "null", " ", "é", "duration'",
            ]),
            0..30,
        ),
    ) {
        let text = parts.join(" ");
        if let Ok(filter) = Filter::parse(&text) {
            let printed = filter.to_string();
            prop_assert_eq!(Filter::parse(&printed), Ok(filter), "{}", printed);
        }
        let glued = parts.concat();
        if let Ok(filter) = Filter::parse(&glued) {
            let printed = filter.to_string();
            prop_assert_eq!(Filter::parse(&printed), Ok(filter), "{}", printed);
        }
    }
}
