//! My Access, Available: what the reader may request, and the form that requests it.

use std::collections::BTreeMap;

use accede_app::policies::{Linked, RequestablePackage};
use accede_app::requests::{Answer, ForWhom, Narrowing, NewRequest, Whose};
use accede_app::{App, Caller, Error, Listing};
use accede_domain::filter::Filter;
use accede_domain::id::{PackageId, PolicyId, RequestId};
use accede_domain::policy::{Bar, Policy, Question, QuestionKind};
use accede_domain::refusal::Refusal;
use accede_domain::request::Type;
use accede_domain::schedule::{Expiration, Schedule};
use accede_domain::separation::Conflict;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use uuid::Uuid;

use super::form::{Address, Asked, Fields, Posted, id};
use super::input::{Input, choice};
use super::part::{Frame, Notice, Place, Tone};
use super::problem::{Result, again, sentence};
use super::session::Session;
use super::{Web, frame, page, see, terms};

/// Packages on a page.
const ON_A_PAGE: usize = 24;
/// Longest text to search for, in characters.
const MAX_TEXT: usize = 100;
/// Longest justification and answer, in characters.
const MAX_WORDS: usize = 4_000;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/my/packages", get(list))
        .route("/my/packages/{id}", get(show))
        .route("/my/packages/{id}/request", post(submit))
}

/// A package that can be requested.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Card {
    id: String,
    name: String,
    catalog: String,
    description: String,
    gives: String,
    is_held: bool,
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "my_packages.html")]
pub struct MyPackagesPage {
    frame: Frame,
    text: String,
    cards: Vec<Card>,
    next: Option<String>,
    first: Option<String>,
}

async fn list(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let text: String = fields.get("text").unwrap_or_default().chars().take(MAX_TEXT).collect();
    let after = fields.get("after").map(str::to_owned);
    let listing = Listing { top: Some(ON_A_PAGE), after: after.clone(), ..Listing::default() };
    let search = Some(text.as_str()).filter(|text| !text.is_empty());
    let found = app.requestable_packages(&session.caller, &listing, search).await?;
    let address = Address::new("/my/packages").with("text", &text);
    page(&MyPackagesPage {
        frame: frame(Some(&session), "Available", Place::Available)
            .notice(super::words::done(fields.get("done"))),
        cards: found.items.iter().map(card).collect(),
        next: found.next.map(|mark| address.clone().with("after", mark).text()),
        first: after.map(|_| address.text()),
        text,
    })
}

fn card(found: &RequestablePackage) -> Card {
    let mut names: Vec<&str> =
        found.gives.iter().map(|given| given.resource.display_name.as_str()).collect();
    names.dedup();
    let more = names.len().saturating_sub(4);
    let mut gives = names.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    if 0 < more {
        gives.push_str(&format!(" and {more} more"));
    }
    Card {
        id: found.package.id.to_string(),
        name: found.package.display_name.clone(),
        catalog: found.catalog.display_name.clone(),
        description: found.package.description.clone(),
        gives,
        is_held: found.is_held,
    }
}

/// A policy under which the reader may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    id: String,
    name: String,
    description: String,
    approval: String,
    lasts: String,
}

impl Offer {
    fn of(policy: &Policy) -> Offer {
        Offer {
            id: policy.id.to_string(),
            name: policy.display_name.clone(),
            description: policy.description.clone(),
            approval: terms::approval(&policy.terms),
            lasts: terms::lasts(&policy.terms.expiration),
        }
    }
}

/// The form of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Form {
    policy: String,
    inputs: Vec<Input>,
}

/// A package and the form that requests it.
#[derive(Debug, Template)]
#[template(path = "my_package.html")]
pub struct MyPackagePage {
    frame: Frame,
    id: String,
    description: String,
    catalog: String,
    gives: Vec<(String, String)>,
    policies: Vec<Offer>,
    chosen: Option<Offer>,
    form: Option<Form>,
}

/// What was typed into the form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Typed {
    answers: BTreeMap<Uuid, Vec<String>>,
    justification: String,
    has_period: bool,
    begins: String,
    ends: String,
}

impl Typed {
    fn read(fields: &Fields, policy: &Policy) -> Typed {
        let answers = policy.terms.questions.iter().map(|question| {
            let given = fields.all(&answer_name(question)).map(str::to_owned).collect();
            (question.id, given)
        });
        Typed {
            answers: answers.collect(),
            justification: fields.typed("justification"),
            has_period: fields.has("period"),
            begins: fields.typed("begins"),
            ends: fields.typed("ends"),
        }
    }

    /// What was asked and answered in an earlier request.
    fn of(request: &accede_app::requests::Request) -> Typed {
        let answers: Vec<Answer> = serde_json::from_str(&request.answers).unwrap_or_default();
        let values = |answer: Answer| {
            let is_choice = request.terms.questions.iter().any(|question| {
                question.id == answer.question
                    && matches!(question.kind, QuestionKind::MultipleChoice { .. })
            });
            let values = if is_choice {
                answer.value.split(';').map(|value| value.trim().to_owned()).collect()
            } else {
                vec![answer.value]
            };
            (answer.question, values)
        };
        Typed {
            answers: answers.into_iter().map(values).collect(),
            justification: request.justification.clone().unwrap_or_default(),
            ..Typed::default()
        }
    }

    fn schedule(&self) -> Result<Schedule, Error> {
        let moment = |text: &str, path: &str| match terms::moment(text) {
            Some(Ok(at)) => Ok(Some(at)),
            Some(Err(())) => {
                Err(Error::invalid(path, "this is not a date and time, such as 2026-06-01T09:00"))
            }
            None => Ok(None),
        };
        if !self.has_period {
            return Ok(Schedule::default());
        }
        let start = moment(&self.begins, START)?;
        let end = moment(&self.ends, END)?;
        if start.is_none() && end.is_none() {
            let said = "say from when or until when you need it, or clear this box";
            return Err(Error::invalid("schedule", said));
        }
        Ok(Schedule {
            start_date_time: start,
            expiration: end
                .map_or(Expiration::NotSpecified, |end| Expiration::AfterDateTime { end }),
        })
    }

    fn answers(&self, policy: &Policy) -> Vec<Answer> {
        let one = |question: &Question| {
            let value = self.answers.get(&question.id)?.join(";");
            (!value.is_empty()).then_some(Answer { question: question.id, value, display: None })
        };
        policy.terms.questions.iter().filter_map(one).collect()
    }
}

fn answer_name(question: &Question) -> String {
    format!("answer-{}", question.id)
}

/// What is wrong with a request, at its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wrong {
    answers: BTreeMap<Uuid, String>,
    justification: Option<String>,
    period: Option<String>,
    begins: Option<String>,
    ends: Option<String>,
    notice: Option<Notice>,
}

/// Where the API names a start that is wrong.
const START: &str = "schedule.startDateTime";
/// Where the API names an end that is wrong.
const END: &str = "schedule.expiration.endDateTime";

impl Wrong {
    fn of(error: &Error, policy: &Policy, typed: &Typed) -> Wrong {
        let mut wrong = Wrong::default();
        match error {
            Error::Invalid { path, sentence: why } if path.starts_with("answers") => {
                let place = path.split(['[', ']']).nth(1).and_then(|n| n.parse::<usize>().ok());
                let answered = typed.answers(policy);
                if let Some(answer) = place.and_then(|n| answered.get(n)) {
                    let said = misshapen(policy, answer.question, why);
                    wrong.answers.insert(answer.question, said.unwrap_or_else(|| sentence(why)));
                }
            }
            Error::Invalid { path, sentence: why } if path == "justification" => {
                wrong.justification = Some(sentence(why));
            }
            Error::Invalid { path, sentence: why } if path == "schedule" => {
                wrong.period = Some(sentence(why));
            }
            Error::Invalid { path, sentence: why } if path == START => {
                wrong.begins = Some(sentence(why));
            }
            Error::Invalid { path, sentence: why } if path == END => {
                wrong.ends = Some(sentence(why));
            }
            Error::Refused(Refusal::Rule { code: "InvalidSchedule", .. }) => {
                wrong.ends = Some("Choose an end that lies in the future, after the start.".into());
            }
            Error::Refused(Refusal::RequestorJustificationRequired) => {
                wrong.justification = Some(NO_REASON.to_owned());
            }
            other => wrong.notice = Some(refused(other)),
        }
        if wrong.notice.is_none() {
            // Beside the first fault, which the verb named: whatever else is left open.
            wrong.answers.extend(unanswered(policy, &typed.answers(policy)));
            let asks_why =
                policy.terms.request_approval_settings.is_requestor_justification_required;
            if asks_why && typed.justification.trim().is_empty() {
                wrong.justification = Some(NO_REASON.to_owned());
            }
            let text = "The request was not sent. Correct what is marked below.";
            wrong.notice = Some(Notice::new(Tone::Bad, text));
        }
        wrong
    }
}

const NO_REASON: &str = "Say why you need it.";

/// What to say of an answer that its question's pattern refused.
fn misshapen(policy: &Policy, question: Uuid, why: &str) -> Option<String> {
    let asked = policy.terms.questions.iter().find(|one| one.id == question)?;
    match &asked.kind {
        QuestionKind::TextInput { regex_pattern: Some(pattern), .. } if why.contains(pattern) => {
            Some(format!(
                "The answer does not have the form that is asked for (the pattern {pattern})."
            ))
        }
        _ => None,
    }
}

fn unanswered(policy: &Policy, answered: &[Answer]) -> Vec<(Uuid, String)> {
    let is_open = |question: &&Question| {
        question.is_required && answered.iter().all(|answer| answer.question != question.id)
    };
    let tell = |question: &Question| (question.id, "Answer this question.".to_owned());
    policy.terms.questions.iter().filter(is_open).map(tell).collect()
}

/// Why a request was refused, and where to go from there.
fn refused(error: &Error) -> Notice {
    let link = |label: &str, href: String| Some((label.to_owned(), href));
    let (text, link) = match error {
        Error::Refused(Refusal::RequestOpen(open)) => (
            "You already have an open request for this access package.".to_owned(),
            link("See that request", format!("/my/requests/{open}")),
        ),
        Error::Refused(Refusal::AlreadyAssigned(held)) => (
            "You already have this access package.".to_owned(),
            link("See your access", format!("/my/access/{held}")),
        ),
        Error::Refused(Refusal::Incompatible(Conflict::Package(held))) => (
            format!(
                "Separation of duties: nobody may have this access package and {} together, and \
                 you have that one. Give it back first.",
                held.name
            ),
            link("See your access", "/my/access".to_owned()),
        ),
        Error::Refused(Refusal::Incompatible(Conflict::Group(held))) => (
            format!(
                "Separation of duties: members of the group {} may not have this access package, \
                 and you are one.",
                held.name
            ),
            None,
        ),
        Error::Refused(Refusal::NoPolicy(_)) => (
            "No policy of this access package admits you at present. Ask the owner of its catalog \
             who may request it."
                .to_owned(),
            None,
        ),
        other => (sentence(&other.to_string()), None),
    };
    Notice { tone: Tone::Bad, text, link }
}

/// What somebody finds by the link of a package that no policy lets them request.
#[derive(Debug, Template)]
#[template(path = "my_package_closed.html")]
pub struct ClosedPage {
    frame: Frame,
    reasons: Vec<&'static str>,
}

/// Why a policy does not let the reader ask. Whom it names stays with those who may read it.
const fn barred(bar: Bar) -> &'static str {
    match bar {
        Bar::NotNamed => {
            "It can be requested by people and members of groups that its policies name. You are \
             none of them."
        }
        Bar::Guest => "It can be requested by members of the organization. You are a guest.",
        Bar::OnlyManager => "Only your manager can request it for you.",
        Bar::Closed => "It is meant for you, but nobody can request it at present.",
        Bar::OnlyAssigned => "It is given by administrators, without a request.",
    }
}

fn closed(session: &Session, name: &str, bars: &[Bar], is_held: bool) -> ClosedPage {
    let held = Notice {
        tone: Tone::Info,
        text: "You have this access package.".to_owned(),
        link: Some(("See your access".to_owned(), "/my/access".to_owned())),
    };
    ClosedPage {
        frame: frame(Some(session), name, Place::Available)
            .crumb("Available", "/my/packages")
            .notice(is_held.then_some(held)),
        reasons: bars.iter().map(|bar| barred(*bar)).collect(),
    }
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(package): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let package: PackageId = id("access package", &package)?;
    let found = match app.linked_package(&session.caller, package).await? {
        Linked::Open(found) => found,
        Linked::Closed { package, bars, is_held } => {
            return page(&closed(&session, &package.display_name, &bars, is_held));
        }
    };
    let policy = chosen(&found, fields.parsed("policy"));
    let typed = match fields.parsed::<RequestId>("like") {
        Some(like) => Typed::of(&app.get_request(&session.caller, like).await?.summary.request),
        None => Typed::default(),
    };
    let open = open_request(&app, &session.caller, package).await?;
    let frame = frame_of(&session, &found);
    page(&build(frame, &found, policy, &typed, &Wrong::default(), open))
}

fn frame_of(session: &Session, found: &RequestablePackage) -> Frame {
    frame(Some(session), &found.package.display_name, Place::Available)
        .crumb("Available", "/my/packages")
}

/// The policy to ask under: the named one, or the only one there is.
fn chosen(found: &RequestablePackage, named: Option<PolicyId>) -> Option<&Policy> {
    match (named, found.policies.as_slice()) {
        (_, [only]) => Some(only),
        (Some(named), all) => all.iter().find(|policy| policy.id == named),
        (None, _) => None,
    }
}

/// The reader's open request for this package.
async fn open_request(app: &App, caller: &Caller, package: PackageId) -> Result<Option<RequestId>> {
    let (_, subject) = caller.require_user()?;
    let states = ["submitted", "pendingApproval", "scheduled", "delivering"];
    let states: Vec<String> = states.iter().map(|state| format!("state eq '{state}'")).collect();
    let filter = format!("accessPackage/id eq '{package}' and ({})", states.join(" or "));
    let filter = Filter::parse(&filter).map_err(Error::internal)?;
    let listing = Listing { filter: Some(filter), top: Some(1), ..Listing::default() };
    let whose = Whose::Target(subject);
    let open = app.list_requests(caller, whose, &Narrowing::default(), &listing).await?;
    Ok(open.items.first().map(|view| view.summary.request.id))
}

fn build(
    frame: Frame,
    found: &RequestablePackage,
    policy: Option<&Policy>,
    typed: &Typed,
    wrong: &Wrong,
    open: Option<RequestId>,
) -> MyPackagePage {
    let mut frame = frame.notice(wrong.notice.clone());
    let may_ask = match (found.is_held, open) {
        (true, _) => {
            frame.notice = Some(Notice {
                tone: Tone::Info,
                text: "You have this access package.".to_owned(),
                link: Some(("See your access".to_owned(), "/my/access".to_owned())),
            });
            false
        }
        (false, Some(open)) => {
            let open = Error::Refused(Refusal::RequestOpen(open));
            frame.notice = Some(Notice { tone: Tone::Info, ..refused(&open) });
            false
        }
        (false, None) => true,
    };
    MyPackagePage {
        frame,
        id: found.package.id.to_string(),
        description: found.package.description.clone(),
        catalog: found.catalog.display_name.clone(),
        gives: found
            .gives
            .iter()
            .map(|given| (given.resource.display_name.clone(), given.role.display_name.clone()))
            .collect(),
        policies: if may_ask { found.policies.iter().map(Offer::of).collect() } else { Vec::new() },
        chosen: policy.map(Offer::of),
        form: policy.filter(|_| may_ask).map(|policy| Form {
            policy: policy.id.to_string(),
            inputs: inputs(policy, typed, wrong),
        }),
    }
}

fn inputs(policy: &Policy, typed: &Typed, wrong: &Wrong) -> Vec<Input> {
    let terms = &policy.terms;
    let mut questions: Vec<&Question> = terms.questions.iter().collect();
    questions.sort_by_key(|question| question.sequence);
    let mut inputs: Vec<Input> = questions
        .into_iter()
        .map(|question| {
            let given = typed.answers.get(&question.id).cloned().unwrap_or_default();
            let error = wrong.answers.get(&question.id).cloned();
            let input = asked(question, &given).wrong(error);
            if question.is_required { input.required() } else { input }
        })
        .collect();
    let needs = terms.request_approval_settings.is_requestor_justification_required;
    let why = Input::text("justification", "Why do you need it?", &typed.justification, MAX_WORDS)
        .hint("Whoever decides about your request reads this.")
        .wrong(wrong.justification.clone());
    inputs.push(if needs { why.required() } else { why });
    if terms.requestor_settings.allow_custom_assignment_schedule {
        inputs.push(
            Input::check("period", "I need it for a period of my own", typed.has_period)
                .hint(format!("Otherwise access begins at once and lasts {}.", terms_lasts(policy)))
                .wrong(wrong.period.clone()),
        );
        inputs.push(
            Input::typed("begins", "From (UTC)", "datetime-local", &typed.begins, 0)
                .hint("Empty: at once.")
                .when("period", &["yes"])
                .wrong(wrong.begins.clone()),
        );
        inputs.push(
            Input::typed("ends", "Until (UTC)", "datetime-local", &typed.ends, 0)
                .hint("Empty: as long as the policy allows. Never longer than that.")
                .when("period", &["yes"])
                .wrong(wrong.ends.clone()),
        );
    }
    inputs
}

fn terms_lasts(policy: &Policy) -> String {
    terms::lasts(&policy.terms.expiration)
}

/// A question as a field.
fn asked(question: &Question, given: &[String]) -> Input {
    let name = answer_name(question);
    let text = given.first().cloned().unwrap_or_default();
    match &question.kind {
        QuestionKind::TextInput { is_single_line_question: true, .. } => {
            Input::line(name, &question.text, text, MAX_WORDS)
        }
        QuestionKind::TextInput { .. } => Input::text(name, &question.text, text, MAX_WORDS),
        QuestionKind::MultipleChoice { choices, is_multiple_selection_allowed } => {
            let choices = choices
                .iter()
                .map(|one| choice(&one.actual_value, &one.text, given.contains(&one.actual_value)))
                .collect();
            if *is_multiple_selection_allowed {
                Input::some_of(name, &question.text, choices)
            } else {
                Input::one_of(name, &question.text, choices)
            }
        }
    }
}

async fn submit(
    State(app): State<App>,
    Path(package): Path<String>,
    Posted { session, fields }: Posted,
) -> Result<Response> {
    let package: PackageId = id("access package", &package)?;
    let Linked::Open(found) = app.linked_package(&session.caller, package).await? else {
        return Ok(see(format!("/my/packages/{package}")));
    };
    let Some(policy) = chosen(&found, fields.parsed("policy")) else {
        return Ok(see(format!("/my/packages/{package}")));
    };
    let typed = Typed::read(&fields, policy);
    let submitted = match typed.schedule() {
        Ok(schedule) => {
            let new = NewRequest {
                request_type: Type::UserAdd,
                target: ForWhom::Caller,
                package: Some(package),
                policy: Some(policy.id),
                assignment: None,
                schedule,
                justification: Some(typed.justification.clone()),
                answers: typed.answers(policy),
            };
            app.submit_request(&session.caller, new).await
        }
        Err(error) => Err(error),
    };
    match submitted {
        Ok(request) => Ok(see(format!("/my/requests/{}?done=submitted", request.id))),
        Err(error) => again(error, |error| {
            let wrong = Wrong::of(error, policy, &typed);
            page(&build(frame_of(&session, &found), &found, Some(policy), &typed, &wrong, None))
        }),
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "tests fail by panicking")]
fn sample_policy(text: &str, n: u128) -> Policy {
    let terms = serde_json::from_str(text).expect("the sample's terms are well formed");
    Policy {
        id: PolicyId(Uuid::from_u128(n)),
        package: PackageId(Uuid::from_u128(1)),
        display_name: "Marketing staff".to_owned(),
        description: "For everybody who works on a campaign.".to_owned(),
        terms,
    }
}

#[cfg(test)]
impl MyPackagesPage {
    /// Several, none at all, and none that match.
    pub fn samples() -> Vec<MyPackagesPage> {
        use super::samples::{NASTY, frame};
        let card = |n: usize, name: &str, is_held| Card {
            id: n.to_string(),
            name: name.to_owned(),
            catalog: "Marketing".to_owned(),
            description: "What a campaign needs: the site, the mailing tool, the figures."
                .to_owned(),
            gives: "Campaign site, Mailing tool and 2 more".to_owned(),
            is_held,
        };
        let of = |text: &str, cards: Vec<Card>| MyPackagesPage {
            frame: frame("Available", Place::Available),
            text: text.to_owned(),
            next: (!cards.is_empty()).then(|| "/my/packages?after=x".to_owned()),
            first: None,
            cards,
        };
        let cards =
            vec![card(1, "Campaign", false), card(2, NASTY, false), card(3, "Intranet", true)];
        vec![of("", cards), of("", vec![]), of(NASTY, vec![])]
    }
}

#[cfg(test)]
const SAMPLE_TERMS: &str = r##"{
    "allowedTargetScope": "allMemberUsers",
    "expiration": {"type": "afterDuration", "duration": "P30D"},
    "requestorSettings": {"enableTargetsToSelfAddAccess": true, "allowCustomAssignmentSchedule": true},
    "requestApprovalSettings": {"isApprovalRequiredForAdd": true, "isRequestorJustificationRequired": true,
        "stages": [{"durationBeforeAutomaticDenial": "P14D",
            "primaryApprovers": [{"@odata.type": "#microsoft.graph.requestorManager", "managerLevel": 1}]}]},
    "questions": [
        {"id": "00000000-0000-0000-0000-000000000001", "text": "Which campaign <b>?", "isRequired": true,
         "@odata.type": "#microsoft.graph.accessPackageMultipleChoiceQuestion",
         "choices": [{"actualValue": "spring", "text": "Spring"}, {"actualValue": "autumn", "text": "Autumn"}]},
        {"id": "00000000-0000-0000-0000-000000000002", "text": "Which regions?", "isRequired": false,
         "@odata.type": "#microsoft.graph.accessPackageMultipleChoiceQuestion", "isMultipleSelectionAllowed": true,
         "choices": [{"actualValue": "n", "text": "North"}, {"actualValue": "s", "text": "South"}]},
        {"id": "00000000-0000-0000-0000-000000000003", "text": "Cost centre", "isRequired": true,
         "@odata.type": "#microsoft.graph.accessPackageTextInputQuestion", "isSingleLineQuestion": true,
         "regexPattern": "[0-9]{4}"}]}"##;

#[cfg(test)]
impl MyPackagePage {
    /// To fill in, refused with what is wrong, with a choice of policies, and held already.
    pub fn samples() -> Vec<MyPackagePage> {
        use super::samples::{NASTY, frame};
        let policy = sample_policy(SAMPLE_TERMS, 7);
        let of = |form: Option<Form>, chosen: Option<Offer>, policies, notice| MyPackagePage {
            frame: frame("Campaign", Place::Available)
                .crumb("Available", "/my/packages")
                .notice(notice),
            id: "1".to_owned(),
            description: format!("What a campaign needs. {NASTY}"),
            catalog: "Marketing".to_owned(),
            gives: vec![("Campaign site".to_owned(), "Member".to_owned())],
            policies,
            chosen,
            form,
        };
        let fields = Fields::parse(
            b"answer-00000000-0000-0000-0000-000000000001=spring&justification=%3Cb%3E&period=yes&\
              answer-00000000-0000-0000-0000-000000000003=12",
        );
        let typed = Typed::read(&fields, &policy);
        let form = |wrong: &Wrong| {
            Some(Form { policy: "7".to_owned(), inputs: inputs(&policy, &typed, wrong) })
        };
        let error = Error::invalid("answers[1].value", "the answer to `Cost centre` must match");
        let wrong = Wrong::of(&error, &policy, &typed);
        let held = Error::Refused(Refusal::RequestOpen(RequestId(Uuid::from_u128(3))));
        let other = Offer { id: "8".to_owned(), ..Offer::of(&policy) };
        vec![
            of(form(&Wrong::default()), Some(Offer::of(&policy)), vec![], None),
            of(form(&wrong), Some(Offer::of(&policy)), vec![], wrong.notice.clone()),
            of(None, None, vec![Offer::of(&policy), other], None),
            of(None, Some(Offer::of(&policy)), vec![], Some(refused(&held))),
        ]
    }
}

#[cfg(test)]
impl ClosedPage {
    /// Every reason, and none.
    pub fn samples() -> Vec<ClosedPage> {
        use super::samples::{NASTY, frame};
        let of = |bars: &[Bar]| ClosedPage {
            frame: frame(NASTY, Place::Available).crumb("Available", "/my/packages"),
            reasons: bars.iter().map(|bar| barred(*bar)).collect(),
        };
        let all = [Bar::NotNamed, Bar::Guest, Bar::OnlyManager, Bar::Closed, Bar::OnlyAssigned];
        vec![of(&all), of(&[])]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn what_is_wrong_is_told_at_its_question() {
        let policy = sample_policy(SAMPLE_TERMS, 7);
        let fields = Fields::parse(
            b"answer-00000000-0000-0000-0000-000000000001=spring&\
              answer-00000000-0000-0000-0000-000000000003=12",
        );
        let typed = Typed::read(&fields, &policy);
        let third = Uuid::from_u128(3);

        let error = Error::invalid("answers[1].value", "the answer must match `[0-9]{4}`");
        assert!(Wrong::of(&error, &policy, &typed).answers.contains_key(&third));

        let empty = Typed::read(&Fields::default(), &policy);
        let error = Error::invalid("answers", "answer the required question `Cost centre`");
        let wrong = Wrong::of(&error, &policy, &empty);
        assert_eq!(wrong.answers.len(), 2, "both required questions are marked");
        assert!(!wrong.answers.contains_key(&Uuid::from_u128(2)));
    }

    #[test]
    fn an_own_period_is_read_in_utc() {
        let mut typed = Typed { begins: "2026-06-01T09:00".to_owned(), ..Typed::default() };
        assert_eq!(typed.schedule().unwrap(), Schedule::default(), "the box is not ticked");
        typed.has_period = true;
        let schedule = typed.schedule().unwrap();
        assert_eq!(schedule.start_date_time, Some("2026-06-01T09:00:00Z".parse().unwrap()));
        typed.ends = "soon".to_owned();
        assert!(typed.schedule().is_err());
        let bare = Typed { has_period: true, ..Typed::default() };
        assert!(bare.schedule().is_err(), "a period that says nothing is no period");
    }
}
