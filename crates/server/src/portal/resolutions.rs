//! Settling one role by hand: it was done in the target system, or it is not to be tried any longer.

use accede_app::App;
use accede_app::deliveries::Named;
use accede_app::text::MAX_JUSTIFICATION;
use accede_domain::id::{DeliveryId, RequestId};
use accede_domain::permission::Action;
use accede_domain::resolution::Resolution;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::form::{Address, Asked, Fields, Posted, id};
use super::form_page::{FormPage, Wrong, again};
use super::input::{Input, choice};
use super::part::Place;
use super::problem::Result;
use super::session::Session;
use super::tasks::{handover, handover_fields};
use super::{Web, frame, page, see};

/// Besides what a resolution is: a person gets a task for it.
const HAND_TO_PERSON: &str = "handToPerson";

/// The routes of this page.
pub fn routes() -> Router<Web> {
    Router::new().route("/governance/deliveries/{id}/resolve", get(show).post(resolve))
}

/// Where a role is settled by hand, coming from a request's page.
pub fn address(delivery: &str, request: &str) -> String {
    Address::new(format!("/governance/deliveries/{delivery}/resolve"))
        .with("request", request)
        .text()
}

/// Where the reader came from: a request, or the list of what is stuck.
fn origin(fields: &Fields) -> Option<RequestId> {
    fields.parsed("request")
}

fn back(request: Option<RequestId>) -> String {
    match request {
        Some(request) => format!("/governance/requests/{request}"),
        None => "/governance/failures".to_owned(),
    }
}

/// What follows when somebody did it themselves.
const LOOKED_UP: &str =
    "It is looked up there at once; where nothing can be looked up, what you say counts.";

fn form(session: &Session, named: &Named, typed: &Fields, wrong: &Wrong) -> FormPage {
    let row = &named.row;
    let role = named.role_name.as_deref().unwrap_or(&row.key.role);
    let resource = named.resource_name.as_deref().unwrap_or(&row.key.resource);
    let target = &named.target_display_name;
    let chosen = typed.get("resolution");
    let is = |resolution: Resolution| chosen == Some(resolution.name());
    let option =
        |resolution: Resolution, label: String| choice(resolution.name(), label, is(resolution));
    let hand_over = choice(
        HAND_TO_PERSON,
        "Hand it to a person: they get a task, and the target system is not called meanwhile.",
        chosen == Some(HAND_TO_PERSON),
    );
    let [who, due] =
        handover_fields(typed, wrong).map(|field| field.when("resolution", &[HAND_TO_PERSON]));
    let mut choices = Vec::new();
    let lead = if row.delivery.wanted {
        choices.push(option(
            Resolution::DoneOutside,
            format!("Somebody gave the role in {target} itself. {LOOKED_UP}"),
        ));
        choices.push(hand_over.clone());
        choices.push(option(
            Resolution::GiveUp,
            "Give it up: it is not tried any longer, until somebody reprocesses the request."
                .to_owned(),
        ));
        format!("{role} of {resource} should be given in {target} and is not.")
    } else {
        choices.push(choice(
            Resolution::DoneOutside.name(),
            format!("Somebody took the role away in {target} itself. {LOOKED_UP}"),
            chosen != Some(HAND_TO_PERSON),
        ));
        choices.push(hand_over.clone());
        format!(
            "{role} of {resource} should be taken away in {target} and is not. A removal is never \
             given up."
        )
    };
    let request = origin(typed);
    FormPage {
        frame: frame(Some(session), "Settle by hand", Place::Failures)
            .crumb("Failures", "/governance/failures"),
        lead,
        action: format!("/governance/deliveries/{}/resolve", row.id),
        hidden: request.map(|request| ("request", request.to_string())).into_iter().collect(),
        fields: vec![
            Input::one_of("resolution", "What happened", choices)
                .required()
                .wrong(wrong.with("resolution")),
            who,
            due,
            Input::text(
                "justification",
                "Who did what, what is to be done, or why it is given up",
                typed.typed("justification"),
                MAX_JUSTIFICATION,
            )
            .required()
            .hint("It stands on the timeline of the request.")
            .wrong(wrong.with("justification")),
        ],
        button: "Settle it",
        back: back(request),
    }
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(delivery): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let delivery: DeliveryId = id("delivery", &delivery)?;
    let named = app.may_with_delivery(&session.caller, delivery, Action::Reprocess).await?;
    page(&form(&session, &named, &fields, &Wrong::default()))
}

async fn resolve(
    State(app): State<App>,
    Path(delivery): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let delivery: DeliveryId = id("delivery", &delivery)?;
    let named = app.may_with_delivery(&session.caller, delivery, Action::Reprocess).await?;
    let justification = fields.typed("justification");
    if fields.get("resolution") == Some(HAND_TO_PERSON) {
        let handed = match handover(&fields, "justification") {
            Ok(to) => app.hand_to_person(&session.caller, delivery, &to).await,
            Err(error) => Err(error),
        };
        return match handed {
            Ok(_) => Ok(see(format!("{}?done=handed", back(origin(&fields))))),
            Err(error) => again(error, |wrong| form(&session, &named, &fields, wrong)),
        };
    }
    let resolved = match fields.get("resolution").and_then(Resolution::parse) {
        Some(resolution) => {
            app.resolve_delivery(&session.caller, delivery, resolution, &justification).await
        }
        None => Err(accede_app::Error::invalid("resolution", "choose what happened")),
    };
    match resolved {
        Ok(resolved) => {
            let done = if resolved.changed { "resolved" } else { "waiting" };
            Ok(see(format!("{}?done={done}", back(origin(&fields)))))
        }
        Err(error) => again(error, |wrong| form(&session, &named, &fields, wrong)),
    }
}
