//! Assignment policies of an access package: the list, what one says, making, changing and deleting
//! one.

use accede_app::packages::{Package, PackageWith};
use accede_app::policies::{PolicyView, StoredPolicy};
use accede_app::{App, Error};
use accede_domain::id::PolicyId;
use accede_domain::policy::{
    AllowedTargetScope as Scope, Policy, Question, QuestionKind, SubjectSet, Terms,
};
use accede_domain::schedule::Expiration;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::confirm::ConfirmPage;
use super::form::{Asked, Fields, Posted, id};
use super::form_page::{Faults, FormPage, Wrong, again};
use super::packages::{below, gives_nothing, head, may_manage, must_manage, read};
use super::part::Frame;
use super::policy_form::{self, Before, SETTINGS, is_set};
use super::problem::Result;
use super::requests::PackageHead;
use super::session::Session;
use super::{Web, page, see, terms, words};

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/packages/{id}/policies", get(list))
        .route("/governance/packages/{id}/policies/new", get(new).post(create))
        .route("/governance/packages/{id}/policies/{policy}", get(show))
        .route("/governance/packages/{id}/policies/{policy}/edit", get(edit).post(change))
        .route("/governance/packages/{id}/policies/{policy}/delete", get(ask).post(delete))
}

/// Who may get a package.
#[derive(Debug, Template)]
#[template(path = "package_policies.html")]
pub struct PoliciesPage {
    frame: Frame,
    package: PackageHead,
    rows: Vec<Row>,
    may_manage: bool,
}

/// A policy of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    name: String,
    description: String,
    who: String,
    approval: String,
    lasts: String,
    questions: usize,
}

impl Row {
    fn of(policy: &Policy) -> Row {
        Row {
            id: policy.id.to_string(),
            name: policy.display_name.clone(),
            description: policy.description.clone(),
            who: who(&policy.terms),
            approval: terms::approval(&policy.terms),
            lasts: lasts(&policy.terms),
            questions: policy.terms.questions.len(),
        }
    }
}

/// Who may request under a policy.
fn who(terms: &Terms) -> String {
    match terms.allowed_target_scope {
        Scope::NotSpecified => "Nobody by themselves: administrators assign".to_owned(),
        Scope::SpecificDirectoryUsers => {
            terms::capital(&sets(&terms.specific_allowed_targets, ", "))
        }
        Scope::AllMemberUsers => "Every member of the organization".to_owned(),
        Scope::AllDirectoryUsers => "Everybody, guests included".to_owned(),
    }
}

fn sets(sets: &[SubjectSet], between: &str) -> String {
    sets.iter().map(words::subject_set).collect::<Vec<_>>().join(between)
}

fn lasts(policy: &Terms) -> String {
    let lasts = terms::lasts(&policy.expiration);
    let is_approved = policy.request_approval_settings.is_approval_required_for_add;
    match policy.expiration {
        Expiration::AfterDuration { .. } if is_approved => {
            format!("for {lasts}, from the approval")
        }
        Expiration::AfterDuration { .. } => format!("for {lasts}, from the request"),
        _ => lasts,
    }
}

async fn list(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let with = PackageWith { policies: true, role_scopes: true, ..PackageWith::default() };
    let view = read(&app, &session, &text, with).await?;
    let (frame, package) = head(&session, &view, "policies", "Policies");
    let notice = words::done(fields.get("done")).or_else(|| gives_nothing(&session, &view));
    let rows = view.policies.unwrap_or_default();
    page(&PoliciesPage {
        frame: frame.notice(notice),
        package,
        rows: rows.iter().map(|stored| Row::of(&stored.policy)).collect(),
        may_manage: may_manage(&session, &view.package),
    })
}

/// The policies of a package.
fn tab(package: &Package) -> String {
    format!("/governance/packages/{}/policies", package.id)
}

/// A frame under the policies of a package.
fn under(session: &Session, title: impl Into<String>, package: &Package) -> Frame {
    below(session, title, package).crumb("Policies", tab(package))
}

/// The policy of an address.
async fn find(app: &App, session: &Session, package: &str, policy: &str) -> Result<PolicyView> {
    let package = id("access package", package)?;
    let policy: PolicyId = id("assignment policy", policy)?;
    Ok(app.policy(&session.caller, Some(package), policy).await?)
}

/// What a policy says.
#[derive(Debug, Template)]
#[template(path = "policy.html")]
pub struct PolicyPage {
    frame: Frame,
    address: String,
    description: String,
    may_manage: bool,
    panels: Vec<Panel>,
    questions: Vec<Told>,
}

/// Facts that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Panel {
    title: String,
    facts: Vec<(&'static str, String)>,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    text: String,
    answer: &'static str,
    /// The choices, or the pattern.
    takes: Vec<String>,
    is_required: bool,
}

impl Told {
    fn of(question: &Question) -> Told {
        let (answer, takes) = match &question.kind {
            QuestionKind::TextInput { is_single_line_question, regex_pattern } => (
                if *is_single_line_question { "a line of text" } else { "text" },
                regex_pattern.iter().map(|pattern| format!("matching {pattern}")).collect(),
            ),
            QuestionKind::MultipleChoice { choices, is_multiple_selection_allowed } => (
                if *is_multiple_selection_allowed { "any choices of" } else { "one choice of" },
                choices.iter().map(|choice| choice.text.clone()).collect(),
            ),
        };
        Told { text: question.text.clone(), answer, takes, is_required: question.is_required }
    }
}

/// What a policy says, in panels.
fn panels(terms: &Terms) -> Vec<Panel> {
    let needed = |is: bool| if is { "required" } else { "not required" }.to_owned();
    let settings = SETTINGS.iter().filter(|(name, _)| is_set(&terms.requestor_settings, name));
    let may: Vec<&str> = settings.map(|(_, words)| *words).collect();
    let allowed = match may.is_empty() {
        true => "Nothing.".to_owned(),
        false => format!("{}.", may.join(". ")),
    };
    let approval = &terms.request_approval_settings;
    let mut panels = vec![
        Panel {
            title: "Who may request it".to_owned(),
            facts: vec![
                ("For whom", who(terms)),
                ("Allowed", allowed),
                ("Justification", needed(approval.is_requestor_justification_required)),
            ],
        },
        Panel {
            title: "How long access lasts".to_owned(),
            facts: vec![("Access lasts", lasts(terms))],
        },
    ];
    if !approval.is_approval_required_for_add {
        let facts = vec![("Approval", terms::approval(terms))];
        panels.push(Panel { title: "Approval".to_owned(), facts });
        return panels;
    }
    for (n, stage) in approval.stages.iter().enumerate() {
        let wait = &stage.duration_before_automatic_denial;
        let mut facts = vec![
            ("Approvers", terms::capital(&sets(&stage.primary_approvers, " or "))),
            ("Within", terms::duration(wait)),
            ("Justification", needed(stage.is_approver_justification_required)),
        ];
        if !stage.fallback_primary_approvers.is_empty() {
            let fallback = terms::capital(&sets(&stage.fallback_primary_approvers, " or "));
            facts.insert(1, ("Fallback", fallback));
        }
        let title = match approval.stages.len() {
            1 => "Approval".to_owned(),
            _ => format!("Approval, stage {}", n + 1),
        };
        panels.push(Panel { title, facts });
    }
    panels
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path((package, policy)): Path<(String, String)>,
    Asked(fields): Asked,
) -> Result {
    let view = find(&app, &session, &package, &policy).await?;
    let policy = &view.stored.policy;
    let mut questions: Vec<&Question> = policy.terms.questions.iter().collect();
    questions.sort_by_key(|question| question.sequence);
    page(&PolicyPage {
        frame: under(&session, &policy.display_name, &view.package)
            .notice(words::done(fields.get("done"))),
        address: format!("{}/{}", tab(&view.package), policy.id),
        description: policy.description.clone(),
        may_manage: may_manage(&session, &view.package),
        panels: panels(&policy.terms),
        questions: questions.into_iter().map(Told::of).collect(),
    })
}

/// The form of a new policy.
fn new_form(session: &Session, package: &Package, typed: &Fields, wrong: &Wrong) -> FormPage {
    FormPage {
        frame: under(session, "New policy", package),
        lead: format!(
            "A policy says who may get {}, who approves it, and for how long they have it.",
            package.display_name
        ),
        action: format!("{}/new", tab(package)),
        hidden: Vec::new(),
        fields: policy_form::inputs(typed, wrong),
        button: "Create the policy",
        back: tab(package),
    }
}

async fn new(State(app): State<App>, session: Session, Path(text): Path<String>) -> Result {
    let package = read(&app, &session, &text, PackageWith::default()).await?.package;
    must_manage(&session, &package)?;
    page(&new_form(&session, &package, &Before::new().fields, &Wrong::default()))
}

async fn create(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let package = read(&app, &session, &text, PackageWith::default()).await?.package;
    must_manage(&session, &package)?;
    let made = match Before::new().read(&app, &session, &fields).await {
        Ok(form) => app
            .create_policy(&session.caller, package.id, &form.draft, None)
            .await
            .map_err(|error| Faults::from(form.located(error))),
        Err(faults) => Err(faults),
    };
    match made {
        Ok(view) => Ok(see(format!("{}/{}?done=created", tab(&package), view.stored.policy.id))),
        Err(faults) => faults.again(|wrong| new_form(&session, &package, &fields, wrong)),
    }
}

/// The form of a policy that exists. `version` is the one that saving replaces.
fn edit_form(
    session: &Session,
    view: &PolicyView,
    typed: &Fields,
    version: i64,
    wrong: &Wrong,
) -> FormPage {
    let policy = &view.stored.policy;
    let back = format!("{}/{}", tab(&view.package), policy.id);
    FormPage {
        frame: under(session, "Edit the policy", &view.package).crumb(&policy.display_name, &back),
        lead: "It holds for requests made from now on. What was requested before keeps the terms \
               it began with."
            .to_owned(),
        action: format!("{back}/edit"),
        hidden: vec![
            ("version", version.to_string()),
            ("questions", typed.get("questions").unwrap_or_default().to_owned()),
        ],
        fields: policy_form::inputs(typed, wrong),
        button: "Save",
        back,
    }
}

async fn edit(
    State(app): State<App>,
    session: Session,
    Path((package, policy)): Path<(String, String)>,
) -> Result {
    let view = find(&app, &session, &package, &policy).await?;
    must_manage(&session, &view.package)?;
    let before = Before::of(&app, &session, &view.stored.policy).await?;
    let version = view.stored.version;
    page(&edit_form(&session, &view, &before.fields, version, &Wrong::default()))
}

/// Somebody else changed a policy while the form was open: `now` is what it is since.
fn overtaken(now: &StoredPolicy) -> Error {
    let text = format!(
        "somebody else changed it since you opened this page; it is called `{}` now. What you typed \
         is below: save again to put it in place of theirs",
        now.policy.display_name
    );
    Error::invalid("version", text)
}

async fn change(
    State(app): State<App>,
    Path((package, policy)): Path<(String, String)>,
    Posted { session, fields }: Posted,
) -> Result {
    let view = find(&app, &session, &package, &policy).await?;
    must_manage(&session, &view.package)?;
    let stored = &view.stored;
    // What the form was opened on; without it, as it stands now.
    let opened = fields.parsed("version").unwrap_or(stored.version);
    let before = Before::of(&app, &session, &stored.policy).await?;
    let saved = if opened == stored.version {
        match before.read(&app, &session, &fields).await {
            Ok(form) => app
                .replace_policy(&session.caller, stored.policy.id, None, &form.draft, Some(opened))
                .await
                .map_err(|error| Faults::from(form.located(error))),
            Err(faults) => Err(faults),
        }
    } else {
        Err(Error::Stale.into())
    };
    let faults = match saved {
        Ok(_) => return Ok(see(format!("{}/{policy}?done=saved", tab(&view.package)))),
        Err(faults) => faults,
    };
    if !faults.is_stale() {
        return faults.again(|wrong| edit_form(&session, &view, &fields, opened, wrong));
    }
    let now = find(&app, &session, &package, &policy).await?;
    let version = now.stored.version;
    again(overtaken(&now.stored), |wrong| edit_form(&session, &now, &fields, version, wrong))
}

/// The page that asks before a policy is deleted.
async fn deletion(
    app: &App,
    session: &Session,
    package: &str,
    policy: &str,
) -> Result<ConfirmPage> {
    let view = find(app, session, package, policy).await?;
    must_manage(session, &view.package)?;
    let policy = &view.stored.policy;
    let back = format!("{}/{}", tab(&view.package), policy.id);
    Ok(ConfirmPage {
        frame: under(session, format!("Delete {}?", policy.display_name), &view.package)
            .crumb(&policy.display_name, &back),
        sentences: vec![
            format!(
                "Nobody can get {} under it any more. It goes for good, with its questions.",
                view.package.display_name
            ),
            "It cannot be deleted while somebody has the access package under it, or waits for it."
                .to_owned(),
        ],
        action: format!("{back}/delete"),
        hidden: Vec::new(),
        button: "Delete the policy".to_owned(),
        back,
    })
}

async fn ask(
    State(app): State<App>,
    session: Session,
    Path((package, policy)): Path<(String, String)>,
) -> Result {
    page(&deletion(&app, &session, &package, &policy).await?)
}

async fn delete(
    State(app): State<App>,
    Path((package, policy)): Path<(String, String)>,
    Posted { session, .. }: Posted,
) -> Result {
    let view = find(&app, &session, &package, &policy).await?;
    match app.delete_policy(&session.caller, view.stored.policy.id, None).await {
        Ok(()) => Ok(see(format!("{}?done=deleted", tab(&view.package)))),
        Err(error) => deletion(&app, &session, &package, &policy).await?.refused(error),
    }
}

#[cfg(test)]
pub mod samples_of {
    //! Samples of these pages.

    use super::*;
    use crate::portal::part::Place;
    use crate::portal::samples::{NASTY, frame};

    /// One policy, none.
    pub fn lists() -> Vec<PoliciesPage> {
        let row = Row {
            id: "1".to_owned(),
            name: NASTY.to_owned(),
            description: NASTY.to_owned(),
            who: "Every member".to_owned(),
            approval: "The requestor's manager, within 14 days".to_owned(),
            lasts: "for 180 days".to_owned(),
            questions: 2,
        };
        let page = |rows, may_manage| PoliciesPage {
            frame: frame("Policies", Place::Packages),
            package: PackageHead { id: "a7c0".to_owned(), name: NASTY.to_owned(), tab: "policies" },
            rows,
            may_manage,
        };
        vec![page(vec![row], true), page(vec![], false)]
    }

    /// With two stages and questions, for who may change it and who may not.
    pub fn pages() -> Vec<PolicyPage> {
        let facts = vec![("For whom it is", NASTY.to_owned()), ("Must say why", "no".to_owned())];
        let question = |takes: &[&str]| Told {
            text: NASTY.to_owned(),
            answer: "one choice of",
            takes: takes.iter().map(|text| (*text).to_owned()).collect(),
            is_required: true,
        };
        let page = |questions, may_manage| PolicyPage {
            frame: frame(NASTY, Place::Packages).crumb("Policies", "/governance/packages/1"),
            address: "/governance/packages/1/policies/2".to_owned(),
            description: NASTY.to_owned(),
            may_manage,
            panels: vec![
                Panel { title: "Who may request it".to_owned(), facts: facts.clone() },
                Panel { title: "Approval, stage 1".to_owned(), facts: facts.clone() },
                Panel { title: "Approval, stage 2".to_owned(), facts: facts.clone() },
            ],
            questions,
        };
        vec![page(vec![question(&[NASTY, "Spring"]), question(&[])], true), page(vec![], false)]
    }

    /// A new policy, with words in every kind of field.
    pub fn forms() -> Vec<FormPage> {
        let mut fields = Before::new().fields;
        for (name, value) in [
            ("displayName", NASTY),
            ("targets", NASTY),
            ("s1.approvers", NASTY),
            ("s1.approvers.manager", "1"),
            ("q1.text", NASTY),
            ("q1.pattern", NASTY),
            ("q2.text", NASTY),
            ("q2.kind", "several"),
            ("q2.choices", NASTY),
            ("q2.required", "yes"),
        ] {
            fields.add(name, value);
        }
        vec![FormPage {
            frame: frame("New policy", Place::Packages),
            lead: "A policy says who may get it.".to_owned(),
            action: "/governance/packages/1/policies/new".to_owned(),
            hidden: Vec::new(),
            fields: policy_form::inputs(&fields, &Wrong::default()),
            button: "Create the policy",
            back: "/governance/packages/1/policies".to_owned(),
        }]
    }
}
