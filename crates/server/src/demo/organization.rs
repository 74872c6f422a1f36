//! The demo's organization: Harbourline Shipping, with people, catalogs, packages, 240 requests and
//! three targets, one of which was down for the night.

use std::collections::BTreeMap;

use accede_app::approvals::Part;
use accede_app::catalogs::NewCatalog;
use accede_app::chaos::Chaos;
use accede_app::packages::{NewPackage, RoleChoice};
use accede_app::policies::PolicyDraft;
use accede_app::requests::{ForWhom, NewRequest};
use accede_app::resources::NewResource;
use accede_app::targets::{NewTarget, TargetChange};
use accede_app::tokens::Wish;
use accede_app::users::NewUser;
use accede_app::{App, Caller, Error, Listing, Principal, Result};
use accede_domain::SignedDuration;
use accede_domain::approval::Decision;
use accede_domain::id::{CatalogId, PackageId, PolicyId, SubjectId, TargetId, UserId};
use accede_domain::permission::Role;
use accede_domain::policy::{
    AllowedTargetScope, AnswerChoice, ApprovalSettings, ApprovalStage, Question, QuestionKind,
    RequestorSettings, SubjectSet, Terms,
};
use accede_domain::request::Type;
use accede_domain::schedule::{Expiration, Schedule};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::clock::DemoClock;
use crate::portal::Persona;

/// How many requests the demo begins with.
pub const REQUESTS: usize = 240;
/// The target that was down.
pub const BROKEN: &str = "crm";
const DOMAIN: &str = "harbourline.example";

const FIRST_NAMES: [&str; 12] = [
    "Mira", "Jonas", "Amara", "Felix", "Ingrid", "Tariq", "Lena", "Kofi", "Sofia", "Emil", "Priya",
    "Noah",
];
const LAST_NAMES: [&str; 5] = ["Osei", "Lindgren", "Haddad", "Varga", "Moreau"];

/// A person of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Somebody {
    /// Object id.
    pub user: UserId,
    /// Subject id.
    pub subject: SubjectId,
    /// Sign-in name.
    pub name: String,
    /// Full name.
    pub display_name: String,
}

/// A package with the policies it is assigned and asked for under.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The package.
    pub package: PackageId,
    /// Its name.
    pub name: &'static str,
    /// The policy for direct assignment.
    pub direct: PolicyId,
    /// The policy for those who ask.
    pub asked: PolicyId,
}

/// The organization.
pub struct Organization {
    /// Everybody but the personas, who got something.
    pub staff: Vec<Somebody>,
    /// The personas by first name.
    pub personas: BTreeMap<&'static str, Somebody>,
    /// The packages.
    pub offers: Vec<Offer>,
    /// The targets by name.
    pub targets: BTreeMap<&'static str, TargetId>,
}

/// Who a visitor can be: first name, last name, part.
const PERSONAS: [(&str, &str, &str); 7] = [
    ("Rita", "Okafor", "assignment manager of Marketing: reprocesses what failed"),
    ("Uma", "Patel", "employee: requests, follows, gives back"),
    ("Max", "Weber", "manager and approver: decides"),
    ("Olga", "Petrova", "catalog owner of Marketing: resources, roles"),
    ("Paul", "Nguyen", "access package manager of Marketing: packages, policies"),
    ("Cora", "Silva", "catalog reader of Marketing: sees, changes nothing"),
    ("Ada", "Lindqvist", "Global Administrator: everything"),
];

impl Organization {
    /// Who can be signed in as.
    pub fn sign_ins(&self) -> Vec<Persona> {
        let found = PERSONAS.iter().filter_map(|(first, _, part)| {
            let somebody = self.personas.get(first)?;
            Some(Persona {
                user_principal_name: somebody.name.clone(),
                display_name: somebody.display_name.clone(),
                part: (*part).to_owned(),
            })
        });
        found.collect()
    }

    /// A persona.
    ///
    /// # Errors
    ///
    /// Not found, for a name that is none.
    pub fn persona(&self, first: &str) -> Result<&Somebody> {
        self.personas.get(first).ok_or_else(|| Error::not_found("persona", first))
    }
}

/// Makes the organization and its past: the broken target refuses everything since last evening.
///
/// # Errors
///
/// Any verb's; none is expected in an empty deployment.
pub async fn make(app: &App, clock: &DemoClock) -> Result<Organization> {
    let system = Caller::system();
    clock.move_back(SignedDuration::from_hours(24 * 40));
    let personas = make_personas(app, &system).await?;
    let max = personas.get("Max").map(|max| max.user);
    let staff = make_staff(app, &system, max).await?;
    let targets = make_targets(app, &system).await?;
    let (marketing, fleet) = make_catalogs(app, &system, &personas).await?;
    // Two of them: Max, who has no manager himself, cannot decide about his own requests.
    let fallbacks: Vec<UserId> = ["Max", "Olga"]
        .into_iter()
        .filter_map(|one| personas.get(one))
        .map(|one| one.user)
        .collect();
    let offers = make_offers(app, &system, marketing, fleet, &fallbacks).await?;
    let organization = Organization { staff, personas, offers, targets };
    make_past(app, clock, &organization).await?;
    clock.move_back(SignedDuration::ZERO);
    Ok(organization)
}

async fn person(app: &App, caller: &Caller, new: NewUser) -> Result<Somebody> {
    let made = app.create_user(caller, new).await?;
    Ok(Somebody {
        user: made.id,
        subject: made.subject,
        name: made.user_principal_name,
        display_name: made.display_name,
    })
}

fn named(first: &str, last: &str) -> NewUser {
    let name = format!("{}.{}@{DOMAIN}", first.to_lowercase(), last.to_lowercase());
    NewUser {
        user_principal_name: name.clone(),
        display_name: format!("{first} {last}"),
        given_name: Some(first.to_owned()),
        surname: Some(last.to_owned()),
        mail: Some(name),
        company_name: Some("Harbourline Shipping".to_owned()),
        ..NewUser::default()
    }
}

async fn make_personas(app: &App, caller: &Caller) -> Result<BTreeMap<&'static str, Somebody>> {
    let mut personas = BTreeMap::new();
    let mut max = None;
    let managed = ["Max", "Rita", "Uma", "Olga", "Paul", "Cora", "Ada"];
    for first in managed {
        let Some((_, last, _)) = PERSONAS.iter().find(|(name, ..)| *name == first) else {
            continue;
        };
        let title = match first {
            "Max" => "Head of Marketing",
            "Uma" => "Campaign planner",
            _ => "Identity team",
        };
        let new = NewUser {
            job_title: Some(title.to_owned()),
            department: Some("Marketing".to_owned()),
            manager: max.filter(|_| first == "Uma"),
            ..named(first, last)
        };
        let somebody = person(app, caller, new).await?;
        if first == "Max" {
            max = Some(somebody.user);
        }
        personas.insert(first, somebody);
    }
    if let Some(ada) = personas.get("Ada") {
        let wish = Wish { roles: vec!["Global Administrator".to_owned()], ..Wish::default() };
        app.issue_user_token(&ada.name, &wish).await?;
    }
    Ok(personas)
}

async fn make_staff(app: &App, caller: &Caller, manager: Option<UserId>) -> Result<Vec<Somebody>> {
    let mut staff = Vec::new();
    for (n, last) in LAST_NAMES.iter().enumerate() {
        for first in FIRST_NAMES {
            let department = if n < 3 { "Marketing" } else { "Fleet" };
            let new =
                NewUser { department: Some(department.to_owned()), manager, ..named(first, last) };
            staff.push(person(app, caller, new).await?);
        }
    }
    Ok(staff)
}

fn settings(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(settings) => settings,
        _ => Map::new(),
    }
}

async fn make_targets(app: &App, caller: &Caller) -> Result<BTreeMap<&'static str, TargetId>> {
    let mut targets = BTreeMap::new();
    for (name, display_name, what, resources) in [
        ("hr", "HR portal", "time sheets and badges", ["badges", "deck-register"].as_slice()),
        ("wiki", "Team wiki", "pages by team", ["newsroom", "marketing", "crew"].as_slice()),
        (
            BROKEN,
            "Customer CRM",
            "customers and campaigns",
            ["campaigns", "power-users"].as_slice(),
        ),
    ] {
        let new = NewTarget {
            name: name.to_owned(),
            display_name: Some(display_name.to_owned()),
            description: Some(format!("A simulated target: {what}")),
            kind: "chaos".to_owned(),
            settings: settings(json!({
                "name": chaos_name(name), "mode": "ok", "latencyMs": 0, "resources": resources,
            })),
            secrets: BTreeMap::new(),
            catalog_owners_may_add: true,
        };
        targets.insert(name, app.create_target(caller, &new, None).await?.id);
    }
    Ok(targets)
}

/// The name under which a demo target keeps its truth in this process.
pub fn chaos_name(target: &str) -> String {
    format!("demo-{target}")
}

async fn make_catalogs(
    app: &App,
    caller: &Caller,
    personas: &BTreeMap<&'static str, Somebody>,
) -> Result<(CatalogId, CatalogId)> {
    let mut made = Vec::new();
    for (name, description, resources) in [
        (
            "Marketing",
            "What marketing works with",
            [
                (BROKEN, "campaigns"),
                (BROKEN, "power-users"),
                ("wiki", "newsroom"),
                ("wiki", "marketing"),
            ]
            .as_slice(),
        ),
        (
            "Vessel Operations",
            "Access for crews",
            [("hr", "deck-register"), ("hr", "badges"), ("wiki", "crew")].as_slice(),
        ),
    ] {
        let new = NewCatalog {
            display_name: name.to_owned(),
            description: description.to_owned(),
            state: accede_app::catalogs::State::Published,
            is_externally_visible: false,
        };
        let catalog = app.create_catalog(caller, &new, None).await?.id;
        for (target, resource) in resources {
            let new = NewResource {
                catalog,
                origin_system: (*target).to_owned(),
                origin_id: (*resource).to_owned(),
                display_name: Some(title(resource)),
                description: None,
                keep_pre_existing: false,
            };
            app.add_resource(caller, &new, None).await?;
        }
        made.push(catalog);
    }
    let (Some(marketing), Some(fleet)) = (made.first().copied(), made.get(1).copied()) else {
        return Err(Error::not_found("catalog", "Marketing"));
    };
    for (first, role) in [
        ("Olga", Role::CatalogOwner),
        ("Paul", Role::AccessPackageManager),
        ("Rita", Role::AssignmentManager),
        ("Cora", Role::CatalogReader),
    ] {
        if let Some(somebody) = personas.get(first) {
            let principal = somebody.user.0;
            app.create_role_assignment(caller, principal, role.definition(), Some(marketing))
                .await?;
        }
    }
    Ok((marketing, fleet))
}

/// `power-users` → `Power users`.
fn title(origin: &str) -> String {
    let text = origin.replace('-', " ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

async fn make_offers(
    app: &App,
    caller: &Caller,
    marketing: CatalogId,
    fleet: CatalogId,
    fallbacks: &[UserId],
) -> Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for (catalog, name, description, roles) in [
        (
            marketing,
            "Campaign",
            "Plan and run campaigns: the CRM's campaigns and the marketing pages of the wiki",
            [(BROKEN, "campaigns"), ("wiki", "marketing")].as_slice(),
        ),
        (
            marketing,
            "CRM power user",
            "Change segments and export customers in the CRM",
            [(BROKEN, "power-users")].as_slice(),
        ),
        (
            marketing,
            "Newsroom",
            "Write and publish news on the wiki",
            [("wiki", "newsroom")].as_slice(),
        ),
        (
            fleet,
            "Deck Officer Starter",
            "First-week access for deck officers",
            [("hr", "deck-register"), ("wiki", "crew")].as_slice(),
        ),
    ] {
        let new = NewPackage {
            catalog,
            display_name: name.to_owned(),
            description: description.to_owned(),
            is_hidden: false,
        };
        let package = app.create_package(caller, &new, None).await?.id;
        for (target, resource) in roles {
            let choice = RoleChoice {
                role_origin_id: Some(format!("Member_{resource}")),
                resource_origin_id: Some((*resource).to_owned()),
                origin_system: Some((*target).to_owned()),
                ..RoleChoice::default()
            };
            app.add_role_scope(caller, package, &choice, None).await?;
        }
        let direct = policy(app, caller, package, "Direct assignment", Terms::default()).await?;
        let asked =
            policy(app, caller, package, "Employees ask", asked_terms(name, fallbacks)).await?;
        offers.push(Offer { package, name, direct, asked });
    }
    Ok(offers)
}

async fn policy(
    app: &App,
    caller: &Caller,
    package: PackageId,
    name: &str,
    terms: Terms,
) -> Result<PolicyId> {
    let draft = PolicyDraft {
        display_name: name.to_owned(),
        description: match name {
            "Direct assignment" => "Administrators assign".to_owned(),
            _ => "Employees request, their manager approves".to_owned(),
        },
        terms,
    };
    Ok(app.create_policy(caller, package, &draft, None).await?.stored.policy.id)
}

fn asked_terms(package: &str, fallbacks: &[UserId]) -> Terms {
    let one = |user: &UserId| SubjectSet::SingleUser { user: *user, description: None };
    let days = |text: &str| text.parse().unwrap_or(accede_domain::duration::Duration::zero());
    let questions = if package == "Campaign" { campaign_questions() } else { Vec::new() };
    Terms {
        allowed_target_scope: AllowedTargetScope::AllMemberUsers,
        expiration: Expiration::AfterDuration { duration: days("P180D") },
        requestor_settings: RequestorSettings {
            enable_targets_to_self_add_access: true,
            enable_targets_to_self_remove_access: true,
            allow_custom_assignment_schedule: true,
            ..RequestorSettings::default()
        },
        request_approval_settings: ApprovalSettings {
            is_approval_required_for_add: true,
            is_requestor_justification_required: true,
            stages: vec![ApprovalStage {
                duration_before_automatic_denial: days("P14D"),
                is_approver_justification_required: false,
                primary_approvers: vec![SubjectSet::RequestorManager { level: 1 }],
                fallback_primary_approvers: fallbacks.iter().map(one).collect(),
            }],
            ..ApprovalSettings::default()
        },
        questions,
        ..Terms::default()
    }
}

fn campaign_questions() -> Vec<Question> {
    vec![
        Question {
            id: Uuid::nil(),
            text: "Cost centre (four digits)".to_owned(),
            is_required: true,
            is_answer_editable: true,
            sequence: 1,
            kind: QuestionKind::TextInput {
                is_single_line_question: true,
                regex_pattern: Some("[0-9]{4}".to_owned()),
            },
        },
        Question {
            id: Uuid::nil(),
            text: "Region".to_owned(),
            is_required: false,
            is_answer_editable: true,
            sequence: 2,
            kind: QuestionKind::MultipleChoice {
                choices: ["North", "South", "Baltic"]
                    .map(|text| AnswerChoice {
                        actual_value: text.to_lowercase(),
                        text: text.to_owned(),
                    })
                    .to_vec(),
                is_multiple_selection_allowed: false,
            },
        },
    ]
}

fn as_person(somebody: &Somebody) -> Caller {
    Caller {
        principal: Principal::User { user: somebody.user, subject: somebody.subject },
        name: somebody.name.clone(),
        ..Caller::system()
    }
}

async fn assign(app: &App, offer: &Offer, somebody: &Somebody) -> Result<()> {
    let new = NewRequest {
        request_type: Type::AdminAdd,
        target: ForWhom::User(somebody.user),
        package: Some(offer.package),
        policy: Some(offer.direct),
        assignment: None,
        schedule: Schedule::default(),
        justification: None,
        answers: Vec::new(),
    };
    app.submit_request(&Caller::system(), new).await.map(drop)
}

/// The requests of the last weeks: two failed long ago, most while the CRM was down last night, and
/// a few await Max.
async fn make_past(app: &App, clock: &DemoClock, organization: &Organization) -> Result<()> {
    let [campaign, others @ ..] = organization.offers.as_slice() else { return Ok(()) };
    set_mode(app, organization, "refuse").await?;
    let (asking, assigned) = organization.staff.split_at(8.min(organization.staff.len()));
    let (old, assigned) = assigned.split_at(2.min(assigned.len()));
    for (days, somebody) in [20, 15].into_iter().zip(old) {
        clock.move_back(SignedDuration::from_hours(24 * days));
        assign(app, campaign, somebody).await?;
        app.work_until_idle().await?;
    }
    set_mode(app, organization, "ok").await?;
    clock.move_back(SignedDuration::from_hours(24 * 6));
    for somebody in assigned.iter().take(10) {
        assign(app, campaign, somebody).await?;
    }
    app.work_until_idle().await?;
    clock.move_back(SignedDuration::from_hours(30));
    for somebody in asking {
        ask(app, campaign, somebody).await?;
    }
    clock.move_back(SignedDuration::from_hours(10));
    set_mode(app, organization, "refuse").await?;
    for somebody in assigned.iter().skip(10) {
        assign(app, campaign, somebody).await?;
    }
    for offer in others {
        for somebody in &organization.staff {
            assign(app, offer, somebody).await?;
        }
    }
    let max = as_person(organization.persona("Max")?);
    let five = Listing { top: Some(5), ..Listing::default() };
    let awaited = app.list_approvals(&max, Part::Awaited, &five).await?.items;
    for (n, approval) in awaited.iter().enumerate() {
        let Some(stage) = approval.stages.first() else { continue };
        let decision = if n < 3 { Decision::Deny } else { Decision::Approve };
        let why = (n < 3).then_some("not in this quarter's plan");
        app.decide(&max, approval.request, stage.row.id, decision, why).await?;
    }
    app.work_until_idle().await
}

async fn ask(app: &App, offer: &Offer, somebody: &Somebody) -> Result<()> {
    let policies = app.applicable_policies(&as_person(somebody), offer.package, None).await?;
    let questions = policies.first().map(|policy| policy.terms.questions.clone());
    let answers = questions
        .unwrap_or_default()
        .iter()
        .map(|question| accede_app::requests::Answer {
            question: question.id,
            value: match question.kind {
                QuestionKind::TextInput { .. } => "4711".to_owned(),
                QuestionKind::MultipleChoice { .. } => "baltic".to_owned(),
            },
            display: None,
        })
        .collect();
    let new = NewRequest {
        request_type: Type::UserAdd,
        target: ForWhom::Caller,
        package: Some(offer.package),
        policy: Some(offer.asked),
        assignment: None,
        schedule: Schedule::default(),
        justification: Some("Joining the Baltic campaign".to_owned()),
        answers,
    };
    app.submit_request(&as_person(somebody), new).await.map(drop)
}

/// Breaks or mends the CRM, as its administrators would.
///
/// # Errors
///
/// The verb's.
pub async fn set_mode(app: &App, organization: &Organization, mode: &str) -> Result<()> {
    let Some(target) = organization.targets.get(BROKEN) else { return Ok(()) };
    let change = TargetChange {
        settings: settings(json!({
            "mode": mode,
            "code": "licence-exhausted",
            "message": "no licence is left; ask the CRM's administrators for more seats",
        })),
        ..TargetChange::default()
    };
    app.change_target(&Caller::system(), *target, &change).await.map(drop)
}

/// What the broken target itself says: how many roles people have there, and how often the role that
/// was given most often was really given.
pub fn truth() -> (usize, usize) {
    let chaos = Chaos::named(&chaos_name(BROKEN));
    let mut given: BTreeMap<(SubjectId, String), usize> = BTreeMap::new();
    for logged in chaos.log().into_iter().filter(|logged| logged.changed) {
        *given.entry((logged.subject, logged.role.role)).or_default() += 1;
    }
    (chaos.truth().len(), given.into_values().max().unwrap_or(0))
}
