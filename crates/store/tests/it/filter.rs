//! Filters and pages: the SQL means what the language means, on both engines, and holds no input.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::cmp::Ordering;

use accede_domain::Timestamp;
use accede_domain::filter::{
    Case, Direction, Filter, Literal, Op, OrderBy, Path, Place, PropertyValue, parse_order,
};
use accede_store::filter::{
    Ask, CursorProblem, Entity, FilterError, Kind, Plan, Property, compile,
};
use accede_store::testing::{empty_stores, plan};
use accede_store::{Engine, Error, Migration, Store, Tx, Value, params};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

const TABLES: &[Migration] = &[Migration {
    number: 1,
    name: "things",
    sql: "
create table things (
    id uuid primary key,
    origin_id text not null,
    name text,
    title text not null,
    title_key text not null,
    state text not null,
    phase text not null,
    created_at_ms bigint not null,
    ended_at_ms bigint,
    is_hidden boolean not null,
    attempts bigint,
    policy_id uuid
);
create index things_by_age on things (created_at_ms, id);
",
}];

const STATES: &[&str] = &["delivered", "deliveryFailed", "partiallyDelivered"];
/// `ended` stands for two phases of the column.
const PHASES: &[(&str, &[&str])] = &[("open", &["open"]), ("ended", &["ending", "expired"])];
const STORED_PHASES: &[&str] = &["open", "ending", "expired"];

const THINGS: Entity = Entity {
    name: "things",
    properties: &[
        Property::new("id", "t.id", Kind::Id),
        Property::new("originId", "t.origin_id", Kind::Text).sortable(),
        Property::new("name", "t.name", Kind::TextNoCase).nullable().sortable(),
        Property::new("title", "t.title", Kind::Folded("t.title_key")).sortable(),
        Property::new("state", "t.state", Kind::Enum(STATES)).sortable(),
        Property::new("phase", "t.phase", Kind::Mapped(PHASES)),
        Property::new("createdDateTime", "t.created_at_ms", Kind::Instant).sortable(),
        Property::new("endedDateTime", "t.ended_at_ms", Kind::Instant).nullable().sortable(),
        Property::new("isHidden", "t.is_hidden", Kind::Bool).sortable(),
        Property::new("attempts", "t.attempts", Kind::Int).nullable().sortable(),
        Property::new("policy/id", "t.policy_id", Kind::Id).nullable().sortable(),
    ],
    unique: &["t.id"],
    order: &[("createdDateTime", Direction::Descending)],
};

#[derive(Debug, Clone)]
struct Thing {
    id: Uuid,
    origin_id: String,
    name: Option<String>,
    title: String,
    state: &'static str,
    phase: &'static str,
    created: Timestamp,
    ended: Option<Timestamp>,
    hidden: bool,
    attempts: Option<i64>,
    policy: Option<Uuid>,
}

/// What the language sees of a thing.
fn property(thing: &Thing, path: &Path) -> Option<PropertyValue> {
    fn or_null<T>(value: Option<T>, some: impl Fn(T) -> PropertyValue) -> PropertyValue {
        value.map_or(PropertyValue::Null, some)
    }
    Some(match path.folded() {
        "id" => PropertyValue::Id(thing.id),
        "originid" => PropertyValue::Text(thing.origin_id.clone()),
        "name" => or_null(thing.name.clone(), PropertyValue::TextNoCase),
        "title" => PropertyValue::TextNoCase(thing.title.clone()),
        "state" => PropertyValue::Member(thing.state),
        "phase" => PropertyValue::Member(if thing.phase == "open" { "open" } else { "ended" }),
        "createddatetime" => PropertyValue::Instant(thing.created),
        "endeddatetime" => or_null(thing.ended, PropertyValue::Instant),
        "ishidden" => PropertyValue::Bool(thing.hidden),
        "attempts" => or_null(thing.attempts, PropertyValue::Int),
        "policy/id" => or_null(thing.policy, PropertyValue::Id),
        _ => return None,
    })
}

fn ids() -> impl Strategy<Value = Uuid> {
    (0_u128..4).prop_map(Uuid::from_u128)
}

fn instants() -> impl Strategy<Value = Timestamp> {
    (0_i64..4).prop_map(|ms| Timestamp::from_millisecond(1_767_225_600_000 + ms).unwrap())
}

/// Few letters, so that texts often meet; wildcards, quotes and backslashes among them.
fn ascii() -> impl Strategy<Value = String> {
    "[aAbB%_'\\\\]{0,4}"
}

fn letters() -> impl Strategy<Value = String> {
    "[aAöÖ%_ßж]{0,4}"
}

fn things(runner: &mut TestRunner, count: u128) -> Vec<Thing> {
    let one = (
        (letters(), prop::option::of(ascii()), letters()),
        (prop::sample::select(STATES), prop::sample::select(STORED_PHASES)),
        (instants(), prop::option::of(instants()), any::<bool>()),
        (prop::option::of(0_i64..4), prop::option::of(ids())),
    );
    let of = |number: u128, runner: &mut TestRunner| {
        let (texts, states, (created, ended, hidden), (attempts, policy)) =
            one.new_tree(runner).unwrap().current();
        let ((origin_id, name, title), (state, phase)) = (texts, states);
        let id = Uuid::from_u128(number);
        Thing { id, origin_id, name, title, state, phase, created, ended, hidden, attempts, policy }
    };
    (0..count).map(|number| of(number, runner)).collect()
}

async fn worlds(things: &[Thing]) -> Vec<(&'static str, Store)> {
    let worlds = empty_stores().await;
    for (_, store) in &worlds {
        store.migrate(TABLES).await.unwrap();
        store.write::<_, Error, _>(async |tx| fill(tx, things).await).await.unwrap();
    }
    worlds
}

async fn fill(tx: &mut Tx<'_>, things: &[Thing]) -> Result<(), Error> {
    for thing in things {
        tx.execute(
            "insert into things (id, origin_id, name, title, title_key, state, phase,
                 created_at_ms, ended_at_ms, is_hidden, attempts, policy_id)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            params![
                thing.id,
                &thing.origin_id,
                thing.name.clone(),
                &thing.title,
                thing.title.to_lowercase(),
                thing.state,
                thing.phase,
                thing.created,
                thing.ended,
                thing.hidden,
                thing.attempts,
                thing.policy,
            ],
        )
        .await?;
    }
    Ok(())
}

fn known(path: &str) -> Path {
    let filter = Filter::parse(&format!("{path} eq null")).unwrap();
    filter.paths().into_iter().next().unwrap().clone()
}

/// Comparisons that fit the properties, so that every one of them runs.
fn leaves() -> impl Strategy<Value = Filter> {
    let equal = || prop::sample::select(vec![Op::Eq, Op::Ne]);
    let any_op = || prop::sample::select(vec![Op::Eq, Op::Ne, Op::Gt, Op::Ge, Op::Lt, Op::Le]);
    let case = || prop::sample::select(vec![Case::AsIs, Case::Lower]);
    // Half a millisecond, which no column holds, now and then.
    let instant = || {
        (instants(), any::<bool>()).prop_map(|(at, odd)| {
            let odd = std::time::Duration::from_micros(if odd { 500 } else { 0 });
            Literal::Instant(at + odd)
        })
    };
    let compared = prop_oneof![
        (Just("id"), equal(), ids().prop_map(Literal::Guid)),
        (Just("policy/ID"), equal(), ids().prop_map(|id| Literal::Text(id.to_string()))),
        (Just("originId"), any_op(), letters().prop_map(Literal::Text)),
        (Just("title"), any_op(), letters().prop_map(Literal::Text)),
        (Just("name"), any_op(), ascii().prop_map(Literal::Text)),
        (
            Just("state"),
            equal(),
            prop::sample::select(STATES).prop_map(|s| Literal::Text(s.to_uppercase()))
        ),
        (
            Just("phase"),
            equal(),
            prop::sample::select(vec!["open", "Ended"]).prop_map(|s| Literal::Text(s.to_owned()))
        ),
        (Just("CREATEDdatetime"), any_op(), instant()),
        (Just("endedDateTime"), any_op(), instant()),
        (Just("isHidden"), equal(), any::<bool>().prop_map(Literal::Bool)),
        (Just("attempts"), any_op(), (0_i64..4).prop_map(Literal::Int)),
    ];
    let compared = (compared, case()).prop_map(|((path, op, value), case)| {
        // `tolower` of non-ASCII text is what `Kind::Text` cannot do in SQL; see `Kind::Folded`.
        let case = if path == "originId" { Case::AsIs } else { case };
        Filter::Compare { path: known(path), case, op, value }
    });
    let null = (
        prop::sample::select(vec!["name", "endedDateTime", "attempts", "policy/id", "id"]),
        equal(),
    )
        .prop_map(|(path, op)| Filter::Compare {
            path: known(path),
            case: Case::AsIs,
            op,
            value: Literal::Null,
        });
    let list = prop_oneof![
        (Just("id"), prop::collection::vec(ids().prop_map(Literal::Guid), 1..4)),
        (
            Just("phase"),
            prop::collection::vec(
                prop::sample::select(vec!["open", "ended"])
                    .prop_map(|s| Literal::Text(s.to_owned())),
                1..3
            )
        ),
        (
            Just("endedDateTime"),
            prop::collection::vec(prop_oneof![instant(), Just(Literal::Null)], 1..4)
        ),
        (
            Just("attempts"),
            prop::collection::vec(
                prop_oneof![(0_i64..4).prop_map(Literal::Int), Just(Literal::Null)],
                1..4
            )
        ),
        (Just("name"), prop::collection::vec(ascii().prop_map(Literal::Text), 1..4)),
    ]
    .prop_map(|(path, values)| Filter::In { path: known(path), case: Case::AsIs, values });
    let place = || prop::sample::select(vec![Place::Anywhere, Place::Start, Place::End]);
    let text = prop_oneof![
        (Just("originId"), Just(Case::AsIs), letters()),
        (Just("title"), case(), letters()),
        (Just("name"), case(), ascii()),
    ];
    let text = (place(), text).prop_map(|(place, (path, case, text))| Filter::Text {
        place,
        path: known(path),
        case,
        text,
    });
    prop_oneof![4 => compared, 1 => null, 2 => list, 4 => text]
}

fn filters() -> impl Strategy<Value = Filter> {
    leaves().prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| Filter::And(Box::new(left), Box::new(right))),
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| Filter::Or(Box::new(left), Box::new(right))),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

async fn found(store: &Store, ask: Ask<'_>) -> (Vec<Uuid>, Option<String>) {
    let plan = Plan::new(&THINGS, ask, 1).unwrap();
    let (sql, values) = plan.select("t.id", "things t", None, &[]);
    store
        .read::<_, Error, _>(async |tx| {
            let mut rows = tx.query_text(&sql, &values).await?;
            let next = plan.cut(&mut rows)?;
            let ids = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<Uuid>, _>>()?;
            Ok((ids, next))
        })
        .await
        .unwrap_or_else(|error| panic!("{error} in {sql} with {values:?}"))
}

#[tokio::test]
async fn sql_means_what_the_language_means() {
    let mut runner = TestRunner::deterministic();
    let things = things(&mut runner, 60);
    let worlds = worlds(&things).await;

    let mut some = 0;
    for _ in 0..500 {
        let filter = filters().new_tree(&mut runner).unwrap().current();
        let matching = |thing: &&Thing| filter.matches(&|path| property(thing, path)).unwrap();
        let mut expected: Vec<Uuid> =
            things.iter().filter(matching).map(|thing| thing.id).collect();
        expected.sort();
        some += usize::from(!expected.is_empty() && expected.len() < things.len());

        for (name, store) in &worlds {
            let ask = Ask { filter: Some(&filter), top: 100, ..Ask::default() };
            let (mut ids, next) = found(store, ask).await;
            ids.sort();
            assert_eq!((ids, next), (expected.clone(), None), "{filter} on {name}");
        }
    }
    assert!(some > 200, "only {some} of the filters told things apart");
}

/// The order of two things by one key: missing values first ascending, last descending.
fn ordered(left: &Thing, right: &Thing, key: &OrderBy) -> Ordering {
    let value = |thing: &Thing| match property(thing, &key.path).unwrap() {
        PropertyValue::Null => (0, 0, Vec::new()),
        PropertyValue::Id(id) => (1, 0, id.as_bytes().to_vec()),
        PropertyValue::Text(text) | PropertyValue::TextNoCase(text) => (1, 0, text.into_bytes()),
        PropertyValue::Member(name) => (1, 0, name.as_bytes().to_vec()),
        PropertyValue::Instant(at) => (1, at.as_millisecond(), Vec::new()),
        PropertyValue::Bool(flag) => (1, i64::from(flag), Vec::new()),
        PropertyValue::Int(number) => (1, number, Vec::new()),
    };
    let ascending = value(left).cmp(&value(right));
    match key.direction {
        Direction::Ascending => ascending,
        Direction::Descending => ascending.reverse(),
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let mut runner = TestRunner::deterministic();
    let things = things(&mut runner, 60);
    let worlds = worlds(&things).await;

    for order in [
        "",
        "createdDateTime",
        "createdDateTime desc",
        "endedDateTime",
        "endedDateTime desc",
        "endedDateTime desc,createdDateTime",
        "attempts,endedDateTime desc,title",
        "createdDateTime,attempts desc",
        "createdDateTime desc,originId",
        "isHidden,state desc,policy/id,name desc",
        "title,name",
    ] {
        let keys = if order.is_empty() { Vec::new() } else { parse_order(order).unwrap() };
        let own = parse_order("createdDateTime desc").unwrap();
        let effective = if keys.is_empty() { &own } else { &keys };
        let last = effective.last().unwrap().direction;
        let mut expected = things.clone();
        expected.sort_by(|left, right| {
            let by_id = left.id.cmp(&right.id);
            let by_id = if last == Direction::Descending { by_id.reverse() } else { by_id };
            effective
                .iter()
                .fold(Ordering::Equal, |so_far, key| so_far.then(ordered(left, right, key)))
                .then(by_id)
        });
        let filter = Filter::parse("isHidden eq false or attempts ne 2").unwrap();
        expected.retain(|thing| filter.matches(&|path| property(thing, path)).unwrap());

        for (name, store) in &worlds {
            let mut ids = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let ask = Ask {
                    filter: Some(&filter),
                    order: &keys,
                    after: after.as_deref(),
                    skip: 0,
                    top: 7,
                };
                let (page, next) = found(store, ask).await;
                assert!(page.len() == 7 || next.is_none(), "{order} on {name}");
                ids.extend(page);
                after = next;
                if after.is_none() {
                    break;
                }
            }
            let expected: Vec<Uuid> = expected.iter().map(|thing| thing.id).collect();
            assert_eq!(ids, expected, "`{order}` on {name}");
        }
    }
}

#[tokio::test]
async fn a_page_can_begin_further_on_and_be_counted() {
    let mut runner = TestRunner::deterministic();
    let things = things(&mut runner, 20);
    let filter = Filter::parse("isHidden eq true").unwrap();
    let hidden = things.iter().filter(|thing| thing.hidden).count();

    for (name, store) in &worlds(&things).await {
        let all = found(store, Ask { top: 20, ..Ask::default() }).await.0;
        let (page, next) = found(store, Ask { skip: 3, top: 5, ..Ask::default() }).await;
        assert_eq!(page, all[3..8], "{name}");
        let after = found(store, Ask { after: next.as_deref(), top: 20, ..Ask::default() }).await.0;
        assert_eq!(after, all[8..], "{name}");

        let ask = Ask { filter: Some(&filter), top: 1, ..Ask::default() };
        let plan = Plan::new(&THINGS, ask, 2).unwrap();
        let own = Some("t.origin_id <> $1");
        let count = |(sql, values): (String, Vec<Value>)| async move {
            let read = store
                .read::<i64, Error, _>(async |tx| tx.query_one_text(&sql, &values).await?.get(0));
            usize::try_from(read.await.unwrap()).unwrap()
        };
        assert_eq!(count(plan.count("things t", own, params!["nobody"])).await, hidden, "{name}");
        let (sql, values) = plan.select("t.id", "things t", own, params!["nobody"]);
        let rows =
            store.read::<_, Error, _>(async |tx| tx.query_text(&sql, &values).await).await.unwrap();
        assert_eq!(rows.len(), hidden.min(2), "{name}");
    }
}

#[tokio::test]
async fn a_deep_page_is_found_through_the_index() {
    let mut runner = TestRunner::deterministic();
    let things = things(&mut runner, 50);

    for (name, store) in &worlds(&things).await {
        for order in ["createdDateTime", "createdDateTime desc"] {
            let order = parse_order(order).unwrap();
            let (_, next) = found(store, Ask { order: &order, top: 5, ..Ask::default() }).await;
            let ask = Ask { order: &order, after: next.as_deref(), top: 5, ..Ask::default() };
            let (sql, values) =
                Plan::new(&THINGS, ask, 1).unwrap().select("t.id", "things t", None, &[]);
            let sql: &'static str = sql.leak();
            let told = store
                .read::<String, Error, _>(async |tx| {
                    if tx.engine() == Engine::Postgres {
                        tx.execute("set local enable_seqscan = off", &[]).await?;
                        tx.execute("set local enable_bitmapscan = off", &[]).await?;
                        tx.execute("set local enable_sort = off", &[]).await?;
                    }
                    plan(tx, sql, &values).await
                })
                .await
                .unwrap();
            let told_lower = told.to_lowercase();
            assert!(told_lower.contains("things_by_age"), "{name}: {told}");
            assert!(!told_lower.contains("temp b-tree"), "{name}: {told}");
            assert!(!told_lower.contains("sort"), "{name}: {told}");
            assert!(!told_lower.contains("scan t "), "{name}: {told}");
        }
    }
}

fn text(filter: &str) -> (String, Vec<Value>) {
    let filter = Filter::parse(filter).unwrap();
    let clause = compile(&filter, THINGS.properties, 3).unwrap();
    (clause.sql, clause.values)
}

#[test]
fn filters_become_conditions_with_numbered_parameters() {
    let id = Uuid::from_u128(7);
    for (filter, sql, values) in [
        (format!("ID eq '{id}'"), "t.id = $3", params![id].to_vec()),
        ("state eq 'DELIVERED'".into(), "t.state = $3", params!["delivered"].to_vec()),
        ("phase eq 'ended'".into(), "t.phase in ($3, $4)", params!["ending", "expired"].to_vec()),
        (
            "not (attempts gt 2)".into(),
            "(t.attempts <= $3 or t.attempts is null)",
            params![2].to_vec(),
        ),
        (
            "isHidden eq true and (originId eq 'a' or policy/id eq null)".into(),
            "(t.is_hidden = $3 and (t.origin_id = $4 or t.policy_id is null))",
            params![true, "a"].to_vec(),
        ),
        (
            "contains(tolower(title),'A_%\\')".into(),
            "(t.title_key like $3 escape '\\')",
            params!["%a\\_\\%\\\\%"].to_vec(),
        ),
        (
            "startswith(name,'Ab')".into(),
            "(lower(t.name) like $3 escape '\\')",
            params!["ab%"].to_vec(),
        ),
        (
            "attempts in (1,null)".into(),
            "(t.attempts in ($3) or t.attempts is null)",
            params![1].to_vec(),
        ),
        ("createdDateTime eq 2026-01-01T00:00:00.0005Z".into(), "1 = 0", Vec::new()),
    ] {
        assert_eq!(text(&filter), (sql.to_owned(), values), "{filter}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let told = |text: &str| {
        let filter = Filter::parse(text).unwrap();
        compile(&filter, THINGS.properties, 1).unwrap_err().to_string()
    };
    for (filter, error) in [
        (
            "ttle eq 'a'",
            "`ttle` cannot be filtered here; the properties are `title`, `name`, `state`, ",
        ),
        (
            "id eq 'x'",
            "`id` is compared with an id such as '5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004', not with 'x'",
        ),
        ("policy/id in ('x')", "`policy/id` is compared with an id"),
        ("state eq 'deliverd'", "`state` is never 'deliverd'; it is one of `delivered`, "),
        ("phase eq 'ending'", "`phase` is never 'ending'; it is one of `ended`, `open`"),
        ("state gt 'a'", "`state` cannot be compared by gt; use eq, ne or in"),
        ("contains(state,'a')", "`state` cannot be compared by contains; use eq, ne or in"),
        (
            "startswith(createdDateTime,'2026')",
            "`createdDateTime` cannot be compared by startswith; use eq, ne, gt, ge, lt, le or in",
        ),
        ("attempts lt null", "`attempts` cannot be compared by lt; use eq or ne with null"),
        ("attempts eq 'a'", "`attempts` is compared with a whole number, not with 'a'"),
        (
            "createdDateTime gt 5",
            "`createdDateTime` is compared with a date-time such as 2026-01-31T12:00:00Z, not with 5",
        ),
        ("isHidden eq 1", "`isHidden` is compared with true or false, not with 1"),
        ("title eq 5", "`title` is compared with text in single quotes, not with 5"),
        ("attempts eq 1.5", "`attempts` is compared with a whole number, not with 1.5"),
    ] {
        let told = told(filter);
        assert!(told.starts_with(error), "{filter}: {told}");
    }
    let order = parse_order("phase").unwrap();
    let error = Plan::new(&THINGS, Ask { order: &order, ..Ask::default() }, 1).unwrap_err();
    assert_eq!(error.option(), "$orderby");
    assert!(
        error.to_string().starts_with("this list cannot be ordered by `phase`; it can be by `")
    );
    assert!(!error.to_string().contains("`phase`,"));
}

#[tokio::test]
async fn a_mark_serves_only_the_question_it_was_made_for() {
    let mut runner = TestRunner::deterministic();
    let things = things(&mut runner, 20);
    let filter = Filter::parse("isHidden eq true or isHidden eq false").unwrap();
    let other = Filter::parse("isHidden eq false").unwrap();
    let order = parse_order("title").unwrap();

    let worlds = worlds(&things).await;
    let (_, store) = worlds.first().unwrap();
    let ask = Ask { filter: Some(&filter), order: &order, top: 5, ..Ask::default() };
    let mark = found(store, ask).await.1.unwrap();
    let refused = |ask: Ask<'_>| match Plan::new(&THINGS, ask, 1) {
        Err(FilterError::Cursor(problem)) => problem,
        other => panic!("{other:?}"),
    };

    let with = |after| Ask { after: Some(after), ..ask };
    assert!(Plan::new(&THINGS, with(&mark), 1).is_ok());
    assert_eq!(refused(Ask { filter: Some(&other), ..with(&mark) }), CursorProblem::OtherQuery);
    assert_eq!(refused(Ask { filter: None, ..with(&mark) }), CursorProblem::OtherQuery);
    assert_eq!(refused(Ask { order: &[], ..with(&mark) }), CursorProblem::OtherQuery);
    assert_eq!(refused(with("AAAA")), CursorProblem::Version);
    assert_eq!(refused(with("nonsense!")), CursorProblem::Damaged);
    assert_eq!(refused(with(&mark[..mark.len() - 4])), CursorProblem::Damaged);
}

/// The same filter with every value replaced by another of its kind and no other change of shape.
fn blinded(filter: &Filter) -> Filter {
    let literal = |literal: &Literal| match literal {
        Literal::Text(_) => Literal::Text("x".to_owned()),
        other => other.clone(),
    };
    match filter {
        Filter::And(left, right) => Filter::And(blinded(left).into(), blinded(right).into()),
        Filter::Or(left, right) => Filter::Or(blinded(left).into(), blinded(right).into()),
        Filter::Not(inner) => Filter::Not(blinded(inner).into()),
        Filter::Compare { path, case, op, value } => {
            Filter::Compare { path: path.clone(), case: *case, op: *op, value: literal(value) }
        }
        Filter::In { path, case, values } => Filter::In {
            path: path.clone(),
            case: *case,
            values: values.iter().map(literal).collect(),
        },
        Filter::Text { place, path, case, .. } => {
            Filter::Text { place: *place, path: path.clone(), case: *case, text: "x".to_owned() }
        }
    }
}

proptest! {
    /// Text that a reader writes never reaches SQL: whatever it is, the SQL stays the same.
    #[test]
    fn no_text_of_a_reader_becomes_sql(
        hostile in "(' OR 1=1 --|[^\0]{1,30}|'; drop table things; --|\\$1|%_\\\\)",
        property in prop::sample::select(vec!["originId", "name", "title"]),
        shape in 0..4,
    ) {
        let quoted = hostile.replace('\'', "''");
        let sent = match shape {
            0 => format!("{property} eq '{quoted}'"),
            1 => format!("not ({property} in ('{quoted}', '{quoted}'))"),
            2 => format!("contains({property},'{quoted}') or endswith(tolower({property}),'{quoted}')"),
            _ => format!("'{quoted}' lt {property}"),
        };
        let filter = Filter::parse(&sent).unwrap();
        let clause = compile(&filter, THINGS.properties, 1).unwrap();
        let plain = compile(&blinded(&filter), THINGS.properties, 1).unwrap();

        prop_assert_eq!(&clause.sql, &plain.sql);
        prop_assert_eq!(clause.values.len(), plain.values.len());
        prop_assert!(clause.sql.is_ascii());
    }

    /// Paths that do not exist are told, never used.
    #[test]
    fn no_path_of_a_reader_becomes_sql(path in "[a-zA-Z_][a-zA-Z0-9_]{0,12}(/[a-z]{1,6})?") {
        if let Ok(filter) = Filter::parse(&format!("{path} eq null")) {
            let exists = THINGS.properties.iter().any(|p| p.path().eq_ignore_ascii_case(&path));
            prop_assert_eq!(compile(&filter, THINGS.properties, 1).is_ok(), exists);
        }
    }
}
