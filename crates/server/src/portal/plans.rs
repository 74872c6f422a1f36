//! The reprocess plan: what would be tried again and what would not, before anything happens.

use accede_app::reprocess::{PlanView, Selection, Summary};
use accede_app::{App, Caller, Error};
use accede_domain::id::{PlanId, RequestId};
use accede_domain::{SignedDuration, Timestamp};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};

use super::form::{Address, Asked, Posted, id};
use super::part::{Badge, Deed, Frame, Place, When, grouped, how_long, plural};
use super::problem::{Result, sentence};
use super::requests::Choice;
use super::session::{Session, own_page};
use super::{Web, frame, page, see, words};

/// Requests shown of a plan at once. Each is read by itself.
const ON_A_PAGE: usize = 20;

/// The routes of this page.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/plans", post(make))
        .route("/governance/plans/{id}", get(show))
        .route("/governance/plans/{id}/run", post(run))
}

/// A target system's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TargetPart {
    name: String,
    roles: String,
    /// Of 1000, for the bar.
    share: i64,
}

/// Requests left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reason {
    words: String,
    example: String,
    requests: String,
}

/// A request of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    request: String,
    person: String,
    package: String,
    state: Option<Badge>,
    causes: Vec<String>,
    /// Why it is left out.
    skip: Option<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "plan.html")]
pub struct PlanPage {
    frame: Frame,
    id: String,
    digest: String,
    eligible: i64,
    skipped: i64,
    targets: Vec<TargetPart>,
    reasons: Vec<Reason>,
    duration: String,
    made: When,
    by: String,
    expires: When,
    run: Deed,
    job: Option<String>,
    back: String,
    items: Vec<Item>,
    next: Option<String>,
}

impl PlanPage {
    fn button(&self) -> String {
        format!("Reprocess {}", plural(self.eligible, "request"))
    }

    const fn is_run(&self) -> bool {
        self.job.is_some()
    }

    fn eligible(&self) -> String {
        grouped(self.eligible)
    }

    fn skipped(&self) -> String {
        grouped(self.skipped)
    }
}

/// Makes a plan of the rows that were ticked, or of everything that matches.
async fn make(State(app): State<App>, Posted { session, fields }: Posted) -> Result {
    let choice = Choice::read(&fields);
    let back = fields
        .get("back")
        .map_or_else(|| choice.address().text(), |back| own_page(Some(back)).to_owned());
    let selection = if fields.has("everything") || fields.has("matching") {
        choice.selection()?
    } else {
        let ids: Vec<RequestId> = fields.all("id").filter_map(|id| id.parse().ok()).collect();
        if ids.is_empty() {
            let mark = if back.contains('?') { '&' } else { '?' };
            return Ok(see(format!("{back}{mark}done=unticked")));
        }
        Selection { ids: Some(ids), ..Selection::default() }
    };
    let view = app.plan_reprocess(&session.caller, &selection).await?;
    let address = Address::new(format!("/governance/plans/{}", view.plan.id)).with("back", back);
    Ok(see(address.text()))
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(plan): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let plan: PlanId = id("reprocess plan", &plan)?;
    let view = app.get_plan(&session.caller, plan).await?;
    let after = fields.parsed("after").unwrap_or(0);
    let back = own_page(fields.get("back"));
    let mut found = app.plan_items(&session.caller, plan, after, ON_A_PAGE + 1).await?;
    let more = ON_A_PAGE < found.len();
    found.truncate(ON_A_PAGE);
    let next = found.last().filter(|_| more).map(|last| {
        let address = Address::new(format!("/governance/plans/{plan}"));
        address.with("after", last.position.to_string()).with("back", back).text()
    });
    let mut items = Vec::with_capacity(found.len());
    for item in found {
        let skip = item.skip.map(|(code, _)| words::skipped(&code));
        items.push(read(&app, &session.caller, item.request, skip).await?);
    }
    let frame = frame(Some(&session), "Reprocess plan", Place::Jobs)
        .crumb("Reprocess jobs", "/governance/jobs")
        .notice(words::done(fields.get("done")));
    page(&build(frame, &view, app.now(), back, items, next))
}

async fn read(app: &App, caller: &Caller, id: RequestId, skip: Option<String>) -> Result<Item> {
    let view = match app.get_request(caller, id).await {
        Ok(view) => view,
        Err(Error::NotFound { .. }) => {
            return Ok(Item {
                request: id.to_string(),
                person: "Unknown".to_owned(),
                package: String::new(),
                state: None,
                causes: Vec::new(),
                skip,
            });
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Item {
        request: id.to_string(),
        person: view.summary.beneficiary.display_name,
        package: view.summary.package_name,
        state: Some(words::request_state(&view.summary.request.state)),
        causes: view.causes,
        skip,
    })
}

fn build(
    frame: Frame,
    view: &PlanView,
    now: Timestamp,
    back: &str,
    items: Vec<Item>,
    next: Option<String>,
) -> PlanPage {
    let plan = &view.plan;
    let run = if plan.job.is_some() || plan.eligible == 0 {
        // The page's first sentence says it.
        Deed::Hidden
    } else if view.expires < now {
        Deed::Not {
            why: "This plan is too old to be run: things may have changed since.".to_owned(),
            link: Some(("Select again".to_owned(), back.to_owned())),
        }
    } else if view.awaits_somebody_else {
        Deed::not(
            "This plan is so large that somebody else runs it: give the address of this page to a \
             person who may reprocess in every catalog.",
        )
    } else {
        Deed::Ready
    };
    let Summary { targets, skipped, estimated_seconds } = &view.summary;
    let most = targets.iter().map(|target| target.deliveries).max().unwrap_or(1).max(1);
    PlanPage {
        frame,
        id: plan.id.to_string(),
        digest: plan.digest.clone(),
        eligible: plan.eligible,
        skipped: plan.skipped,
        targets: targets
            .iter()
            .map(|target| TargetPart {
                name: target.display_name.clone(),
                roles: grouped(target.deliveries),
                share: target.deliveries.saturating_mul(1000) / most,
            })
            .collect(),
        reasons: skipped
            .iter()
            .map(|reason| Reason {
                words: words::skipped(&reason.code),
                example: sentence(&reason.example),
                requests: grouped(reason.requests),
            })
            .collect(),
        duration: estimate(*estimated_seconds),
        made: When::minute(plan.created_at),
        by: plan.created_by.clone(),
        expires: When::minute(view.expires),
        run,
        job: plan.job.map(|job| job.to_string()),
        back: back.to_owned(),
        items,
        next,
    }
}

fn estimate(seconds: u64) -> String {
    match i64::try_from(seconds).unwrap_or(i64::MAX) {
        0 | 1 => "about a second".to_owned(),
        seconds => format!("about {}", how_long(SignedDuration::from_secs(seconds))),
    }
}

async fn run(
    State(app): State<App>,
    Path(plan): Path<String>,
    Posted { session, fields }: Posted,
) -> Result<Response> {
    let plan: PlanId = id("reprocess plan", &plan)?;
    let digest = fields.get("digest").unwrap_or_default();
    let view = app.run_plan(&session.caller, plan, digest).await?;
    Ok(see(format!("/governance/jobs/{}", view.job.id)))
}

#[cfg(test)]
impl PlanPage {
    /// Ready with some left out, run already, nothing to do, too old.
    pub fn samples() -> Vec<PlanPage> {
        use super::samples::{NASTY, at, frame};
        use accede_app::reprocess::{ByReason, ByTarget, Plan};
        use accede_domain::id::JobId;
        let uuid = uuid::Uuid::from_u128;
        let view = |eligible, job: Option<u128>| PlanView {
            plan: Plan {
                id: PlanId(uuid(1)),
                created_by: "rita@contoso.example".to_owned(),
                creator: None,
                created_at: at(0),
                filter: "{}".to_owned(),
                digest: "sha256:00".to_owned(),
                eligible,
                skipped: 2,
                summary: "{}".to_owned(),
                job: job.map(|n| JobId(uuid(n))),
            },
            summary: Summary {
                targets: vec![
                    ByTarget {
                        target: "hr".to_owned(),
                        display_name: "HR SCIM".to_owned(),
                        deliveries: 2_412,
                    },
                    ByTarget {
                        target: "ldap".to_owned(),
                        display_name: NASTY.to_owned(),
                        deliveries: 588,
                    },
                ],
                skipped: vec![ByReason {
                    code: "ReprocessWindowExpired".to_owned(),
                    example:
                        "the request was first completed at 2026-05-20T09:00:00Z and could be \
                              reprocessed until 2026-06-03T09:00:00Z; cancel it where possible and \
                              request the access package anew"
                            .to_owned(),
                    requests: 2,
                }],
                estimated_seconds: 31,
            },
            expires: at(15),
            needs_second_person: eligible == 3_001,
            awaits_somebody_else: eligible == 3_001,
        };
        let item = |n: usize, person: &str, skip: Option<&str>| Item {
            request: format!("5d2b7f66-80a4-4f9e-8f0b-3b1b2c60000{n}"),
            person: person.to_owned(),
            package: "Campaign".to_owned(),
            state: Some(words::request_state_named("partiallyDelivered")),
            causes: vec!["the server answered 503 Service Unavailable".to_owned()],
            skip: skip.map(str::to_owned),
        };
        let items = vec![
            item(1, "Uma Jensen", None),
            item(2, NASTY, None),
            item(3, "Ben Okafor", Some("The window for reprocessing is over.")),
        ];
        let sample = |view: &PlanView, now| {
            let frame =
                frame("Reprocess plan", Place::Jobs).crumb("Reprocess jobs", "/governance/jobs");
            let back = "/governance/packages/1/requests?state=deliveryFailed";
            build(
                frame,
                view,
                at(now),
                back,
                items.clone(),
                Some("/governance/plans/1?after=3".to_owned()),
            )
        };
        vec![
            sample(&view(3_000, None), 1),
            sample(&view(3_000, Some(7)), 1),
            sample(&view(0, None), 1),
            sample(&view(3_000, None), 60),
            sample(&view(3_001, None), 1),
        ]
    }
}
