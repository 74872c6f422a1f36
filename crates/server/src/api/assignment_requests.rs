//! `/v1.0/identityGovernance/entitlementManagement/assignmentRequests`.

use accede_app::related::Related;
use accede_app::requests::{Answer, ForWhom, Narrowing, NewRequest, Request, RequestView, Whose};
use accede_app::{App, Caller};
use accede_domain::filter::{Filter, Op};
use accede_domain::id::{AssignmentId, PackageId, PolicyId, RequestId, UserId};
use accede_domain::permission::{Action, Reach};
use accede_domain::policy::QuestionKind;
use accede_domain::request::Type;
use accede_domain::schedule::{Expiration, Schedule};
use axum::Extension;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::body::{Key, NoBody, Object};
use super::error::{ApiError, Result};
use super::names::Parameters;
use super::query::{Query, Shape};
use super::repeat::Create;
use super::respond::{Wire, object};
use super::{access_packages, assignments, schedules, subjects, time};
use crate::auth::SignedIn;

const SET: &str = "identityGovernance/entitlementManagement/assignmentRequests";

static SHAPE: Shape = Shape {
    name: "accessPackageAssignmentRequest",
    properties: &[
        "id",
        "requestType",
        "state",
        "status",
        "schedule",
        "answers",
        "justification",
        "createdDateTime",
        "completedDateTime",
        "customExtensionCalloutInstances",
    ],
    navigations: &["accessPackage", "assignment", "requestor"],
};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    const BASE: &str = "/v1.0/identityGovernance/entitlementManagement/assignmentRequests";
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(BASE, get(list).post(create))
        .route(&at("/$count"), get(count))
        .route(&at("/filterByCurrentUser"), get(mine))
        .route(&at("/filterByCurrentUser/$count"), get(count_mine))
        .route(&at("/{id}"), get(read).delete(remove))
        .route(&at("/{id}/cancel"), post(cancel))
        .route(&at("/{id}/reprocess"), post(reprocess))
        .route(&at("/{id}/accessPackage"), get(package))
        .route(&at("/{id}/assignment"), get(assignment))
        .route(&at("/{id}/requestor"), get(requestor))
}

/// A request as Graph shows it, with what was expanded.
pub fn json(view: &RequestView, query: &Query, related: &Related) -> Map<String, Value> {
    let request = &view.summary.request;
    let ends = match (&request.schedule.expiration, request.end) {
        (Expiration::NotSpecified, Some(end)) => Expiration::AfterDateTime { end },
        (asked, _) => asked.clone(),
    };
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(request.id));
    object.insert("requestType".to_owned(), json!(request.request_type.name()));
    object.insert("state".to_owned(), json!(request.state.name()));
    object.insert("status".to_owned(), json!(request.state.status()));
    object.insert("createdDateTime".to_owned(), json!(time::text(request.created_at)));
    let completed = request.state.completed().map(time::text);
    object.insert("completedDateTime".to_owned(), json!(completed));
    object.insert("justification".to_owned(), json!(request.justification));
    object.insert("schedule".to_owned(), schedules::schedule(request.begins, &ends));
    object.insert("answers".to_owned(), answers(request));
    object.insert("customExtensionCalloutInstances".to_owned(), json!([]));
    object.insert("@accede.target".to_owned(), subjects::subject(&view.summary.beneficiary));
    if query.expands("requestor").is_some() {
        object.insert("requestor".to_owned(), subjects::subject(&view.summary.requestor));
    }
    if let Some(inner) = query.expands("accessPackage") {
        let package = related.package(request.package);
        let value = package.map(|package| access_packages::expanded(package, inner, related));
        object.insert("accessPackage".to_owned(), json!(value));
    }
    if let Some(inner) = query.expands("assignment") {
        let found = request.assignment.and_then(|id| related.assignment(id));
        let value = found.map(|summary| assignments::json(summary, inner, related));
        object.insert("assignment".to_owned(), json!(value));
    }
    object
}

fn answers(request: &Request) -> Value {
    let given: Vec<Answer> = serde_json::from_str(&request.answers).unwrap_or_default();
    let questions = &request.terms.questions;
    let shown = given.iter().map(|answer| {
        let question = questions.iter().find(|question| question.id == answer.question);
        let kind = match question.map(|question| &question.kind) {
            Some(QuestionKind::MultipleChoice { .. }) => {
                "#microsoft.graph.accessPackageMultipleChoiceQuestion"
            }
            _ => "#microsoft.graph.accessPackageTextInputQuestion",
        };
        json!({
            "@odata.type": "#microsoft.graph.accessPackageAnswerString",
            "displayValue": answer.display.as_ref().unwrap_or(&answer.value),
            "value": answer.value,
            "answeredQuestion": {
                "@odata.type": kind,
                "id": answer.question,
                "text": question.map(|question| question.text.clone()),
            },
        })
    });
    Value::Array(shown.collect())
}

/// What expanding these requests needs beside them.
async fn related(app: &App, views: &[RequestView], query: &Query) -> Result<Related> {
    let mut wanted = accede_app::related::Wanted::default();
    for view in views {
        let request = &view.summary.request;
        if query.expands("accessPackage").is_some() {
            wanted.packages.push(request.package);
        }
        if let (Some(inner), Some(id)) = (query.expands("assignment"), request.assignment) {
            wanted.assignments.push(id);
            if inner.expands("accessPackage").is_some() {
                wanted.packages.push(request.package);
            }
            if inner.expands("assignmentPolicy").is_some() {
                wanted.policies.extend(request.policy);
            }
        }
    }
    Ok(app.related(wanted).await?)
}

async fn listed(
    app: &App,
    caller: &Caller,
    wire: &Wire,
    query: &Query,
    whose: Whose,
    set: &str,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let narrowing = Narrowing::default();
    let page = app.list_requests(caller, whose, &narrowing, &query.listing()).await?;
    let related = related(app, &page.items, query).await?;
    Ok(wire.collection(set, query, page.map(|view| json(&view, query, &related))))
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    must_name_package(&caller, &query)?;
    let whose = Whose::Reach(caller.reach(Action::ReadRequests));
    listed(&app, &caller, &wire, &query, whose, SET).await
}

/// Callers with catalog roles only name one package (Graph, 1.5).
pub(super) fn must_name_package(caller: &Caller, query: &Query) -> Result<()> {
    let scoped = matches!(
        caller.reach(Action::ReadRequests),
        Reach::Catalogs(catalogs) if !catalogs.is_empty()
    );
    if scoped && !query.filter.as_ref().is_some_and(names_package) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "accessDenied",
            "with roles on catalogs only, name one access package: \
             $filter=accessPackage/id eq '…' (`--package` on the command line)",
        ));
    }
    Ok(())
}

fn names_package(filter: &Filter) -> bool {
    match filter {
        Filter::And(left, right) => names_package(left) || names_package(right),
        Filter::Compare { path, op: Op::Eq, .. } => path.folded() == "accesspackage/id",
        _ => false,
    }
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    must_name_package(&caller, &query)?;
    let whose = Whose::Reach(caller.reach(Action::ReadRequests));
    counted(&app, &caller, &wire, &query, whose).await
}

async fn counted(
    app: &App,
    caller: &Caller,
    wire: &Wire,
    query: &Query,
    whose: Whose,
) -> Result<Response> {
    let listing = accede_app::Listing { top: Some(1), count: true, ..query.listing() };
    let page = app.list_requests(caller, whose, &Narrowing::default(), &listing).await?;
    Ok(wire.count(page.count.unwrap_or(0)))
}

/// The values of `on=` and whose requests they mean.
pub(super) fn whose(caller: &Caller, parameters: &Parameters) -> Result<Whose> {
    let (user, subject) = caller.require_user()?;
    let on = parameters.require("on")?;
    let known: [(&str, Whose); 6] = [
        ("target", Whose::Target(subject)),
        ("createdBy", Whose::CreatedBy(subject)),
        ("approver", Whose::Approver(user)),
        ("targetOrRequestor", Whose::TargetOrRequestor(subject)),
        ("targetManager", Whose::TargetManager(user)),
        ("requestForOthers", Whose::CreatedBy(subject)),
    ];
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let message = format!("`on` is never `{on}`; it is one of {}", names.join(", "));
    known
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(on))
        .map(|(_, whose)| whose)
        .ok_or_else(|| ApiError::bad_request("on", message))
}

async fn mine(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Extension(parameters): Extension<Parameters>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let whose = whose(&caller, &parameters)?;
    listed(&app, &caller, &wire, &query, whose, SET).await
}

async fn count_mine(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Extension(parameters): Extension<Parameters>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let whose = whose(&caller, &parameters)?;
    counted(&app, &caller, &wire, &query, whose).await
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&SHAPE)?;
    let view = app.get_request(&caller, id).await?;
    let related = related(&app, std::slice::from_ref(&view), &query).await?;
    Ok(wire.entity(SET, &query, json(&view, &query, &related)))
}

async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    Create { body, repeat }: Create,
) -> Result<Response> {
    let new = read_new(body)?;
    let request = app.submit_request_once(&caller, new, Some(&repeat)).await?;
    // Graph answers with the request as it was accepted; clients read it again to see how it goes.
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(request.id));
    object.insert("requestType".to_owned(), json!(request.request_type.name()));
    object.insert("state".to_owned(), json!("submitted"));
    object.insert("status".to_owned(), json!("Accepted"));
    object.insert("createdDateTime".to_owned(), Value::Null);
    object.insert("completedDateTime".to_owned(), Value::Null);
    object.insert("justification".to_owned(), json!(request.justification));
    object.insert("answers".to_owned(), answers(&request));
    object.insert("customExtensionCalloutInstances".to_owned(), json!([]));
    let asked = &request.schedule;
    let schedule = schedules::schedule(asked.start_date_time, &asked.expiration);
    object.insert("schedule".to_owned(), schedule);
    Ok(wire.created(SET, &request.id.to_string(), object))
}

fn read_new(mut body: Object) -> Result<NewRequest> {
    body.take_type(&["accessPackageAssignmentRequest"])?;
    let types = [
        "userAdd",
        "userRemove",
        "adminAdd",
        "adminRemove",
        "userUpdate",
        "adminUpdate",
        "approverRemove",
        "onBehalfAdd",
        "systemAdd",
        "systemUpdate",
        "systemRemove",
    ];
    let name = body.require_member("requestType", &types)?;
    let request_type = Type::parse(name).filter(|kind| *kind != Type::SystemRemove);
    let request_type = request_type.ok_or_else(|| {
        let what = match name {
            "onBehalfAdd" => "is not supported; send `userAdd` with `assignment.target`",
            "userUpdate" | "adminUpdate" | "approverRemove" => {
                "is not available in this version; send `userAdd`, `userRemove`, `adminAdd` or \
                 `adminRemove`"
            }
            _ => "is made by the service itself and cannot be sent",
        };
        body.wrong("requestType", format!("`{name}` {what}"))
    })?;
    let justification = body.take("justification")?;
    let schedule = match body.take::<Object>("schedule")? {
        Some(schedule) => schedules::read_schedule(schedule)?,
        None => Schedule::default(),
    };
    let answers = body.take::<Vec<Object>>("answers")?.unwrap_or_default();
    let answers = answers.into_iter().map(read_answer).collect::<Result<Vec<_>>>()?;
    let mut assignment: Object = body.require("assignment")?;
    let target = read_target(&mut assignment)?;
    let package: Option<PackageId> =
        same(&mut assignment, "accessPackageId", "accessPackage", "id")?;
    let policy: Option<PolicyId> =
        same(&mut assignment, "assignmentPolicyId", "assignmentPolicy", "id")?;
    let id: Option<AssignmentId> = assignment.take_id("id")?;
    // Scripts send what the service sets; it changes nothing.
    assignment.finish(&[
        "state",
        "status",
        "schedule",
        "expiredDateTime",
        "customExtensionCalloutInstances",
    ])?;
    body.finish(&[
        "state",
        "status",
        "completedDateTime",
        "customExtensionCalloutInstances",
        "accessPackage",
        "requestor",
    ])?;
    Ok(NewRequest {
        request_type,
        target,
        package,
        policy,
        assignment: id,
        schedule,
        justification,
        answers,
    })
}

/// An id given flat, nested, or both alike.
fn same<I>(object: &mut Object, flat: &str, nested: &str, key: &str) -> Result<Option<I>>
where
    I: std::str::FromStr + PartialEq,
    I::Err: std::fmt::Display,
{
    let direct: Option<I> = object.take_id(flat)?;
    let inner: Option<I> = match object.take::<Object>(nested)? {
        Some(mut inner) => inner.take_id(key)?,
        None => None,
    };
    match (direct, inner) {
        (Some(direct), Some(inner)) if direct != inner => {
            let what = format!("contradicts `{}`; send one of them", object.path_of(nested));
            Err(object.wrong(flat, what))
        }
        (direct, inner) => Ok(direct.or(inner)),
    }
}

fn read_target(assignment: &mut Object) -> Result<ForWhom> {
    let flat: Option<UserId> = assignment.take_id("targetId")?;
    let (mut nested, mut email): (Option<UserId>, Option<String>) = (None, None);
    if let Some(mut target) = assignment.take::<Object>("target")? {
        nested = target.take_id("objectId")?;
        email = target.take("email")?;
        target.finish(&[
            "displayName",
            "principalName",
            "subjectType",
            "subjectLifecycle",
            "onPremisesSecurityIdentifier",
        ])?;
    }
    match (flat, nested) {
        (Some(flat), Some(nested)) if flat != nested => {
            Err(assignment.wrong("targetId", "contradicts `assignment.target.objectId`"))
        }
        (Some(user), _) | (None, Some(user)) => Ok(ForWhom::User(user)),
        (None, None) => Ok(email.map_or(ForWhom::Caller, ForWhom::Email)),
    }
}

fn read_answer(mut object: Object) -> Result<Answer> {
    object.take_type(&["accessPackageAnswerString", "accessPackageAnswer"])?;
    let display = object.take("displayValue")?;
    let value: Option<String> = object.take("value")?;
    let mut question: Object = object.require("answeredQuestion")?;
    let id = question.require_id("id")?;
    object.finish(&[])?;
    Ok(Answer { question: id, value: value.unwrap_or_default(), display })
}

async fn cancel(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    _: NoBody,
) -> Result<StatusCode> {
    app.cancel_request(&caller, id).await?;
    Ok(StatusCode::OK)
}

/// Retries delivery. `202`: accepted, the worker does the rest.
async fn reprocess(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    _: NoBody,
) -> Result<StatusCode> {
    app.reprocess_request(&caller, id).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn remove(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
) -> Result<StatusCode> {
    app.delete_request(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn package(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.get_request(&caller, id).await?;
    let wanted = accede_app::related::Wanted {
        packages: vec![view.summary.request.package],
        ..Default::default()
    };
    let related = app.related(wanted).await?;
    let package = related.package(view.summary.request.package).ok_or_else(|| absent(id))?;
    let object = access_packages::expanded(package, &query, &related);
    Ok(wire.entity("identityGovernance/entitlementManagement/accessPackages", &query, object))
}

async fn assignment(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.get_request(&caller, id).await?;
    let assignment = view.summary.request.assignment.ok_or_else(|| absent(id))?;
    let summary = app.get_assignment(&caller, assignment).await?;
    let related = assignments::related(&app, std::slice::from_ref(&summary), &query).await?;
    let object = assignments::json(&summary, &query, &related);
    Ok(wire.entity(assignments::SET, &query, object))
}

async fn requestor(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<RequestId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let view = app.get_request(&caller, id).await?;
    let object = object(subjects::subject(&view.summary.requestor));
    Ok(wire.entity("identityGovernance/entitlementManagement/subjects", &query, object))
}

fn absent(id: RequestId) -> ApiError {
    ApiError::not_found(format!("assignment request `{id}` has none"))
}
