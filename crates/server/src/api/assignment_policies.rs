//! `/v1.0/identityGovernance/entitlementManagement/assignmentPolicies`.
//!
//! A policy is replaced as a whole by PUT; what a read answers can be sent back as it is. What this
//! version does not have (escalation, reviews, automatic assignment, callouts, people of other
//! organizations, translated questions) is taken when it is switched off or empty, and refused by
//! name otherwise: a rule that is taken in silence and not kept would be worse than none.

use accede_app::App;
use accede_app::catalogs::CatalogWith;
use accede_app::packages::PackageWith;
use accede_app::policies::{PolicyDraft, PolicyView, StoredPolicy};
use accede_app::text::{MAX_DESCRIPTION, MAX_NAME};
use accede_domain::duration::Duration;
use accede_domain::id::{PackageId, PolicyId};
use accede_domain::policy::{
    AllowedTargetScope, AnswerChoice, ApprovalSettings, ApprovalStage, NotificationSettings,
    Question, QuestionKind, RequestorSettings, SubjectSet, Terms,
};
use accede_domain::schedule::Expiration;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::{Body, Key, Keys, Object};
use super::catalogs::counted;
use super::error::{ApiError, Result};
use super::query::{Query, Shape};
use super::repeat::{Create, IfMatch, etag};
use super::respond::Wire;
use super::users::searched;
use super::{access_packages, catalogs, schedules, short, time};
use crate::auth::SignedIn;

const SET: &str = "identityGovernance/entitlementManagement/assignmentPolicies";

/// The names that policies have.
pub static SHAPE: Shape = Shape {
    name: "accessPackageAssignmentPolicy",
    properties: &[
        "id",
        "displayName",
        "description",
        "allowedTargetScope",
        "specificAllowedTargets",
        "expiration",
        "requestorSettings",
        "requestApprovalSettings",
        "reviewSettings",
        "automaticRequestSettings",
        "notificationSettings",
        "questions",
        "createdDateTime",
        "modifiedDateTime",
    ],
    navigations: &["accessPackage", "catalog", "questions", "customExtensionStageSettings"],
};

static QUESTION: Shape = Shape {
    name: "accessPackageQuestion",
    properties: &[
        "id",
        "text",
        "localizations",
        "isRequired",
        "isAnswerEditable",
        "sequence",
        "isSingleLineQuestion",
        "regexPattern",
        "choices",
        "isMultipleSelectionAllowed",
    ],
    navigations: &[],
};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    const BASE: &str = "/v1.0/identityGovernance/entitlementManagement/assignmentPolicies";
    let at = |tail: &str| format!("{BASE}{tail}");
    Router::new()
        .route(BASE, get(list).post(create))
        .route(&at("/$count"), get(count))
        .route(&at("/{id}"), get(read).put(replace).delete(remove))
        .route(&at("/{id}/accessPackage"), get(package))
        .route(&at("/{id}/catalog"), get(catalog))
        .route(&at("/{id}/questions"), get(questions))
        .route(&at("/{id}/questions/$count"), get(count_questions))
        .route(&at("/{id}/questions/{question}"), get(question))
        .route(&at("/{id}/customExtensionStageSettings"), get(stage_settings))
}

/// A policy as Graph shows it.
pub fn json(stored: &StoredPolicy) -> Map<String, Value> {
    let policy = &stored.policy;
    let terms = &policy.terms;
    let mut object = Map::new();
    object.insert("@odata.etag".to_owned(), json!(etag(stored.version)));
    object.insert("id".to_owned(), json!(policy.id));
    object.insert("displayName".to_owned(), json!(policy.display_name));
    object.insert("description".to_owned(), json!(policy.description));
    object.insert("allowedTargetScope".to_owned(), json!(terms.allowed_target_scope.name()));
    object.insert("specificAllowedTargets".to_owned(), sets_json(&terms.specific_allowed_targets));
    object.insert("expiration".to_owned(), schedules::expiration(&terms.expiration));
    object.insert("requestorSettings".to_owned(), requestor_json(&terms.requestor_settings));
    let approval = approval_json(&terms.request_approval_settings);
    object.insert("requestApprovalSettings".to_owned(), approval);
    object.insert("reviewSettings".to_owned(), Value::Null);
    object.insert("automaticRequestSettings".to_owned(), Value::Null);
    object.insert("notificationSettings".to_owned(), json!(terms.notification_settings));
    let questions: Vec<_> = terms.questions.iter().map(question_json).collect();
    object.insert("questions".to_owned(), json!(questions));
    object.insert("createdDateTime".to_owned(), json!(time::text(stored.created_at)));
    object.insert("modifiedDateTime".to_owned(), json!(time::text(stored.modified_at)));
    object
}

/// A policy with what was expanded.
pub fn shown(view: &PolicyView, query: &Query) -> Map<String, Value> {
    let mut object = json(&view.stored);
    if query.expands("accessPackage").is_some() {
        let package = access_packages::json(&view.package);
        object.insert("accessPackage".to_owned(), json!(package));
    }
    if query.expands("catalog").is_some() {
        object.insert("catalog".to_owned(), json!(catalogs::json(&view.catalog)));
    }
    if query.expands("customExtensionStageSettings").is_some() {
        object.insert("customExtensionStageSettings".to_owned(), json!([]));
    }
    object
}

/// Refuses what policies do not have, and anything expanded inside what is expanded.
///
/// # Errors
///
/// `400` naming the name.
pub fn fits(query: &Query) -> Result<()> {
    query.fits(&SHAPE)?;
    if let Some(inner) = query.expands("accessPackage") {
        leaf(inner, &access_packages::SHAPE)?;
    }
    if let Some(inner) = query.expands("catalog") {
        leaf(inner, &catalogs::SHAPE)?;
    }
    Ok(())
}

fn leaf(query: &Query, shape: &Shape) -> Result<()> {
    query.fits(shape)?;
    if let Some(inner) = query.expand.iter().find(|expand| expand.name != "*") {
        let message = format!(
            "`$expand`: `{}` cannot be expanded inside a policy's {}; read that by itself",
            inner.name, shape.name
        );
        return Err(ApiError::bad_request("$expand", message));
    }
    Ok(())
}

fn sets_json(sets: &[SubjectSet]) -> Value {
    let sets = sets.iter().map(|set| match set {
        SubjectSet::SingleUser { user, description } => json!({
            "@odata.type": "#microsoft.graph.singleUser",
            "userId": user,
            "description": description,
        }),
        SubjectSet::GroupMembers { group, description } => json!({
            "@odata.type": "#microsoft.graph.groupMembers",
            "groupId": group,
            "description": description,
        }),
        SubjectSet::RequestorManager { level } => json!({
            "@odata.type": "#microsoft.graph.requestorManager",
            "managerLevel": level,
        }),
    });
    Value::Array(sets.collect())
}

fn requestor_json(settings: &RequestorSettings) -> Value {
    let mut value = json!(settings);
    if let Some(object) = value.as_object_mut() {
        object.insert("onBehalfRequestors".to_owned(), json!([]));
    }
    value
}

fn approval_json(settings: &ApprovalSettings) -> Value {
    let stages = settings.stages.iter().map(|stage| {
        json!({
            "durationBeforeAutomaticDenial": stage.duration_before_automatic_denial.to_string(),
            "isApproverJustificationRequired": stage.is_approver_justification_required,
            "isEscalationEnabled": false,
            "durationBeforeEscalation": "PT0S",
            "primaryApprovers": sets_json(&stage.primary_approvers),
            "fallbackPrimaryApprovers": sets_json(&stage.fallback_primary_approvers),
            "escalationApprovers": [],
            "fallbackEscalationApprovers": [],
            "approverInformationVisibility": "default",
        })
    });
    json!({
        "isApprovalRequiredForAdd": settings.is_approval_required_for_add,
        "isApprovalRequiredForUpdate": settings.is_approval_required_for_update,
        "isRequestorJustificationRequired": settings.is_requestor_justification_required,
        "stages": stages.collect::<Vec<_>>(),
    })
}

/// A question as Graph shows it.
pub fn question_json(question: &Question) -> Map<String, Value> {
    let mut object = Map::new();
    let kind = match &question.kind {
        QuestionKind::TextInput { .. } => "#microsoft.graph.accessPackageTextInputQuestion",
        QuestionKind::MultipleChoice { .. } => {
            "#microsoft.graph.accessPackageMultipleChoiceQuestion"
        }
    };
    object.insert("@odata.type".to_owned(), json!(kind));
    object.insert("id".to_owned(), json!(question.id));
    object.insert("text".to_owned(), json!(question.text));
    object.insert("localizations".to_owned(), json!([]));
    object.insert("isRequired".to_owned(), json!(question.is_required));
    object.insert("isAnswerEditable".to_owned(), json!(question.is_answer_editable));
    object.insert("sequence".to_owned(), json!(question.sequence));
    match &question.kind {
        QuestionKind::TextInput { is_single_line_question, regex_pattern } => {
            object.insert("isSingleLineQuestion".to_owned(), json!(is_single_line_question));
            object.insert("regexPattern".to_owned(), json!(regex_pattern));
        }
        QuestionKind::MultipleChoice { choices, is_multiple_selection_allowed } => {
            let choices: Vec<_> = choices
                .iter()
                .map(|choice| {
                    json!({
                        "actualValue": choice.actual_value,
                        "text": choice.text,
                        "localizations": [],
                    })
                })
                .collect();
            object.insert("choices".to_owned(), json!(choices));
            object.insert(
                "isMultipleSelectionAllowed".to_owned(),
                json!(is_multiple_selection_allowed),
            );
        }
    }
    object
}

const UNAVAILABLE: &str = "is not available in this version";

/// Reads a policy; the package it names, and what it says. With `whole`, every member must be there.
fn draft(mut body: Object, whole: bool) -> Result<(Option<PackageId>, PolicyDraft)> {
    body.take_type(&["accessPackageAssignmentPolicy"])?;
    if whole {
        let members = [
            "displayName",
            "description",
            "allowedTargetScope",
            "specificAllowedTargets",
            "expiration",
            "requestorSettings",
            "requestApprovalSettings",
            "questions",
        ];
        if let Some(missing) = members.into_iter().find(|name| !body.has(name)) {
            return Err(body.wrong(
                missing,
                "is required: PUT replaces the policy as a whole; read it, change it, and send \
                 all of it",
            ));
        }
    }
    let package = match body.take::<Object>("accessPackage")? {
        Some(mut package) => package.take_id("id")?,
        None => None,
    };
    let display_name = body.require_text("displayName", MAX_NAME)?;
    let description = body.take_text("description", MAX_DESCRIPTION)?.unwrap_or_default();
    let terms = Terms {
        allowed_target_scope: scope(&mut body)?,
        specific_allowed_targets: sets(&mut body, "specificAllowedTargets")?,
        expiration: match body.take::<Object>("expiration")? {
            Some(expiration) => schedules::read_expiration(expiration)?,
            None => Expiration::NotSpecified,
        },
        requestor_settings: match body.take::<Object>("requestorSettings")? {
            Some(settings) => requestor(settings)?,
            None => RequestorSettings::default(),
        },
        request_approval_settings: match body.take::<Object>("requestApprovalSettings")? {
            Some(settings) => approval(settings)?,
            None => ApprovalSettings::default(),
        },
        questions: body
            .take::<Vec<Object>>("questions")?
            .unwrap_or_default()
            .into_iter()
            .map(read_question)
            .collect::<Result<_>>()?,
        notification_settings: match body.take::<Object>("notificationSettings")? {
            Some(mut settings) => {
                let disabled = settings.take("isAssignmentNotificationDisabled")?;
                settings.finish(&[])?;
                NotificationSettings {
                    is_assignment_notification_disabled: disabled.unwrap_or(false),
                }
            }
            None => NotificationSettings::default(),
        },
    };
    if let Some(mut review) = body.take::<Object>("reviewSettings")?
        && review.take("isEnabled")? == Some(true)
    {
        return Err(review.wrong("isEnabled", format!("{UNAVAILABLE}: send false or leave it out")));
    }
    if let Some(mut automatic) = body.take::<Object>("automaticRequestSettings")?
        && automatic.take("requestAccessForAllowedTargets")? == Some(true)
    {
        let what = format!("{UNAVAILABLE}: send null for `automaticRequestSettings`");
        return Err(automatic.wrong("requestAccessForAllowedTargets", what));
    }
    empty(&mut body, "customExtensionStageSettings")?;
    empty(&mut body, "customExtensionHandlers")?;
    body.finish(&["catalog"])?;
    Ok((package, PolicyDraft { display_name, description, terms }))
}

/// Refuses a list that is not empty: it is of something that this version does not have.
fn empty(object: &mut Object, name: &str) -> Result<()> {
    match object.take_value(name) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(items)) if items.is_empty() => Ok(()),
        Some(_) => Err(object.wrong(name, format!("{UNAVAILABLE}: send an empty list"))),
    }
}

/// The scopes of Graph that this version does not have.
const OTHER_SCOPES: [&str; 6] = [
    "specificConnectedOrganizationUsers",
    "specificDirectoryServicePrincipals",
    "allDirectoryServicePrincipals",
    "allConfiguredConnectedOrganizationUsers",
    "allExternalUsers",
    "allDirectoryAgentIdentities",
];

fn scope(body: &mut Object) -> Result<AllowedTargetScope> {
    let ours = AllowedTargetScope::ALL.map(AllowedTargetScope::name);
    let known: Vec<&'static str> = ours.into_iter().chain(OTHER_SCOPES).collect();
    let Some(name) = body.take_member("allowedTargetScope", &known)? else {
        return Ok(AllowedTargetScope::NotSpecified);
    };
    AllowedTargetScope::parse(name).ok_or_else(|| {
        let what = format!("is `{name}`, which {UNAVAILABLE}; there are {}", ours.join(", "));
        body.wrong("allowedTargetScope", what)
    })
}

/// The subject sets of Graph that this version does not have.
const OTHER_SETS: [&str; 10] = [
    "connectedOrganizationMembers",
    "singleServicePrincipal",
    "attributeRuleMembers",
    "targetManager",
    "internalSponsors",
    "externalSponsors",
    "targetUserSponsors",
    "targetApplicationOwners",
    "targetAgentIdentitySponsorsOrOwners",
    "unknownFutureValue",
];

fn sets(object: &mut Object, name: &str) -> Result<Vec<SubjectSet>> {
    let all = object.take::<Vec<Object>>(name)?.unwrap_or_default();
    all.into_iter().map(set).collect()
}

fn set(mut object: Object) -> Result<SubjectSet> {
    let ours = ["singleUser", "groupMembers", "requestorManager"];
    let known: Vec<&'static str> = ours.into_iter().chain(OTHER_SETS).collect();
    let set = match object.require_type(&known)? {
        "singleUser" => {
            let user = object.require_id("userId")?;
            SubjectSet::SingleUser { user, description: None }
        }
        "groupMembers" => {
            let group = object.require_id("groupId")?;
            SubjectSet::GroupMembers { group, description: None }
        }
        "requestorManager" => {
            let level = object.take_int("managerLevel", 1..=2)?.unwrap_or(1);
            SubjectSet::RequestorManager { level: u8::try_from(level).unwrap_or(1) }
        }
        other => {
            let what = format!(
                "is `#microsoft.graph.{other}`, which {UNAVAILABLE}; there are singleUser, \
                 groupMembers and requestorManager"
            );
            return Err(object.wrong("@odata.type", what));
        }
    };
    object.finish(&["description"])?;
    Ok(set)
}

fn requestor(mut object: Object) -> Result<RequestorSettings> {
    let mut flag = |name: &str| Ok::<bool, ApiError>(object.take(name)?.unwrap_or(false));
    let settings = RequestorSettings {
        enable_targets_to_self_add_access: flag("enableTargetsToSelfAddAccess")?,
        enable_targets_to_self_update_access: flag("enableTargetsToSelfUpdateAccess")?,
        enable_targets_to_self_remove_access: flag("enableTargetsToSelfRemoveAccess")?,
        allow_custom_assignment_schedule: flag("allowCustomAssignmentSchedule")?,
        enable_on_behalf_requestors_to_add_access: flag("enableOnBehalfRequestorsToAddAccess")?,
        enable_on_behalf_requestors_to_update_access: flag(
            "enableOnBehalfRequestorsToUpdateAccess",
        )?,
        enable_on_behalf_requestors_to_remove_access: flag(
            "enableOnBehalfRequestorsToRemoveAccess",
        )?,
    };
    empty(&mut object, "onBehalfRequestors")?;
    object.finish(&[])?;
    Ok(settings)
}

fn approval(mut object: Object) -> Result<ApprovalSettings> {
    let settings = ApprovalSettings {
        is_approval_required_for_add: object.take("isApprovalRequiredForAdd")?.unwrap_or(false),
        is_approval_required_for_update: object
            .take("isApprovalRequiredForUpdate")?
            .unwrap_or(false),
        is_requestor_justification_required: object
            .take("isRequestorJustificationRequired")?
            .unwrap_or(false),
        stages: object
            .take::<Vec<Object>>("stages")?
            .unwrap_or_default()
            .into_iter()
            .map(stage)
            .collect::<Result<_>>()?,
    };
    object.finish(&[])?;
    Ok(settings)
}

fn stage(mut object: Object) -> Result<ApprovalStage> {
    let kinds = ["accessPackageApprovalStage", "accessPackageDynamicApprovalStage"];
    if object.take_type(&kinds)? == Some("accessPackageDynamicApprovalStage") {
        let what = format!("is a dynamic stage, which {UNAVAILABLE}; name the approvers");
        return Err(object.wrong("@odata.type", what));
    }
    if object.take("isEscalationEnabled")? == Some(true) {
        return Err(object.wrong("isEscalationEnabled", format!("{UNAVAILABLE}: send false")));
    }
    // Without escalation its wait means nothing, whatever clients send with it.
    let _unused: Option<Duration> = object.take("durationBeforeEscalation")?;
    empty(&mut object, "escalationApprovers")?;
    empty(&mut object, "fallbackEscalationApprovers")?;
    let visibility = ["default", "notVisible", "visible"];
    let shown = object.take_member("approverInformationVisibility", &visibility)?;
    if let Some(other @ ("notVisible" | "visible")) = shown {
        let what = format!("is `{other}`, which {UNAVAILABLE}: send `default`");
        return Err(object.wrong("approverInformationVisibility", what));
    }
    let stage = ApprovalStage {
        duration_before_automatic_denial: object
            .take("durationBeforeAutomaticDenial")?
            .unwrap_or_else(|| Duration::days(DEFAULT_DECISION_DAYS)),
        is_approver_justification_required: object
            .take("isApproverJustificationRequired")?
            .unwrap_or(false),
        primary_approvers: sets(&mut object, "primaryApprovers")?,
        fallback_primary_approvers: sets(&mut object, "fallbackPrimaryApprovers")?,
    };
    object.finish(&[])?;
    Ok(stage)
}

/// Days until a stage that nobody decides denies, if nothing is said (features.md, APC-07).
const DEFAULT_DECISION_DAYS: u16 = 14;

fn read_question(mut object: Object) -> Result<Question> {
    let kinds = ["accessPackageTextInputQuestion", "accessPackageMultipleChoiceQuestion"];
    let is_text = object.require_type(&kinds)? == "accessPackageTextInputQuestion";
    empty(&mut object, "localizations")?;
    let sequence = object.take_int("sequence", 0..=i64::from(i32::MAX))?.unwrap_or(0);
    let id: Option<Uuid> = object.take("id")?;
    let question = Question {
        id: id.unwrap_or_else(Uuid::nil),
        text: object.require("text")?,
        is_required: object.take("isRequired")?.unwrap_or(false),
        is_answer_editable: object.take("isAnswerEditable")?.unwrap_or(false),
        sequence: i32::try_from(sequence).unwrap_or(i32::MAX),
        kind: if is_text {
            QuestionKind::TextInput {
                is_single_line_question: object.take("isSingleLineQuestion")?.unwrap_or(false),
                regex_pattern: object
                    .take::<String>("regexPattern")?
                    .filter(|pattern| !pattern.is_empty()),
            }
        } else {
            QuestionKind::MultipleChoice {
                choices: object
                    .take::<Vec<Object>>("choices")?
                    .unwrap_or_default()
                    .into_iter()
                    .map(choice)
                    .collect::<Result<_>>()?,
                is_multiple_selection_allowed: object
                    .take("isMultipleSelectionAllowed")?
                    .unwrap_or(false),
            }
        },
    };
    object.finish(&[])?;
    Ok(question)
}

fn choice(mut object: Object) -> Result<AnswerChoice> {
    empty(&mut object, "localizations")?;
    let choice = AnswerChoice {
        actual_value: object.require("actualValue")?,
        text: object.require("text")?,
    };
    object.finish(&[])?;
    Ok(choice)
}

async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    fits(&query)?;
    let page = app.policies(&caller, None, &searched(&query, access_packages::SEARCHED)?).await?;
    Ok(wire.collection(SET, &query, page.map(|view| shown(&view, &query))))
}

async fn count(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let page =
        app.policies(&caller, None, &counted(searched(&query, access_packages::SEARCHED)?)).await?;
    Ok(wire.count(page.count.unwrap_or_default()))
}

async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    wire: Wire,
    create: Create,
) -> Result<Response> {
    let (package, draft) = draft(create.body, false)?;
    let package = package.ok_or_else(|| {
        ApiError::invalid_model("accessPackage.id", "`accessPackage.id` is required")
    })?;
    let view = app.create_policy(&caller, package, &draft, Some(&create.repeat)).await?;
    Ok(wire.created(SET, &view.stored.policy.id.to_string(), json(&view.stored)))
}

async fn read(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PolicyId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    fits(&query)?;
    let view = app.policy(&caller, None, id).await?;
    Ok(wire.entity(SET, &query, shown(&view, &query)))
}

async fn replace(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PolicyId>,
    IfMatch(expected): IfMatch,
    wire: Wire,
    Body(body): Body,
) -> Result<Response> {
    let (package, draft) = draft(body, true)?;
    let view = app.replace_policy(&caller, id, package, &draft, expected).await?;
    Ok(wire.entity(SET, &Query::default(), json(&view.stored)))
}

async fn remove(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PolicyId>,
    IfMatch(expected): IfMatch,
) -> Result<Response> {
    app.delete_policy(&caller, id, expected).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn package(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PolicyId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let policy = app.policy(&caller, None, id).await?;
    let with: PackageWith = access_packages::with(&query)?;
    let view = app.package(&caller, None, policy.package.id, with).await?;
    Ok(wire.entity(access_packages::SET, &query, access_packages::shown(&view, &query)))
}

async fn catalog(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PolicyId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    leaf(&query, &catalogs::SHAPE)?;
    let policy = app.policy(&caller, None, id).await?;
    let view = app.catalog(&caller, policy.catalog.id, CatalogWith::default()).await?;
    Ok(wire.entity(catalogs::SET, &query, catalogs::json(&view.catalog)))
}

async fn questions_of(
    app: &App,
    caller: &accede_app::Caller,
    id: PolicyId,
    query: &Query,
) -> Result<Vec<Map<String, Value>>> {
    query.fits(&QUESTION)?;
    let view = app.policy(caller, None, id).await?;
    Ok(view.stored.policy.terms.questions.iter().map(question_json).collect())
}

async fn questions(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PolicyId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = questions_of(&app, &caller, id, &query).await?;
    let set = format!("{SET}('{id}')/questions");
    Ok(wire.collection(&set, &query, short::page(&query, items)?))
}

async fn count_questions(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PolicyId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    let items = questions_of(&app, &caller, id, &query).await?;
    Ok(wire.count(short::count(&query, items)?))
}

/// The id of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct QuestionId(Uuid);

impl std::str::FromStr for QuestionId {
    type Err = accede_domain::id::MalformedId;

    fn from_str(text: &str) -> std::result::Result<QuestionId, Self::Err> {
        let malformed = || accede_domain::id::MalformedId(text.chars().take(80).collect());
        Some(text)
            .filter(|text| text.len() == 36)
            .and_then(|text| Uuid::try_parse(text).ok())
            .map(QuestionId)
            .ok_or_else(malformed)
    }
}

async fn question(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Keys(id, QuestionId(question)): Keys<PolicyId, QuestionId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    query.fits(&QUESTION)?;
    let view = app.policy(&caller, None, id).await?;
    let all = &view.stored.policy.terms.questions;
    let found = all.iter().find(|known| known.id == question);
    let missing = || accede_app::Error::not_found("question", question);
    let set = format!("{SET}('{id}')/questions");
    Ok(wire.entity(&set, &query, question_json(found.ok_or_else(missing)?)))
}

/// Callouts at stages: none in this version.
async fn stage_settings(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    Key(id): Key<PolicyId>,
    wire: Wire,
    query: Query,
) -> Result<Response> {
    app.policy(&caller, None, id).await?;
    let set = format!("{SET}('{id}')/customExtensionStageSettings");
    Ok(wire.collection(&set, &query, short::page(&query, Vec::new())?))
}
