//! Notices: what people were told by mail and by webhook, and whether it arrived.

use accede_app::notices::{NoticeChannel, NoticeState, SentNotice};
use accede_app::{App, Caller, Listing};
use accede_domain::id::NoticeId;
use accede_domain::permission::Action;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::form::{Asked, Posted, id};
use super::part::{Badge, Frame, Notice, Place, Tone, When, grouped};
use super::problem::{Result, again, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Notices on a page.
const ROWS: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/notices", get(list))
        .route("/governance/notices/test", post(test))
        .route("/governance/notices/{id}", get(show))
        .route("/governance/notices/{id}/send", post(send))
}

/// A notice in words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    id: String,
    title: String,
    to: String,
    state: Badge,
    at: When,
}

impl Shown {
    fn of(notice: &SentNotice) -> Shown {
        Shown {
            id: notice.id.to_string(),
            title: notice.title.clone(),
            to: match notice.channel {
                NoticeChannel::Mail => notice.recipient.clone(),
                NoticeChannel::Webhook => "the webhook".to_owned(),
            },
            state: words::notice_state(notice.state, notice.error.is_some()),
            at: When::minute(notice.created_at),
        }
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "notices.html")]
pub struct NoticesPage {
    frame: Frame,
    mail: String,
    webhook: String,
    may_test: bool,
    rows: Vec<Shown>,
    more: Option<String>,
}

/// One of them.
#[derive(Debug, Template)]
#[template(path = "notice.html")]
pub struct NoticePage {
    frame: Frame,
    row: Shown,
    tries: String,
    sent: Option<When>,
    next: Option<When>,
    error: Option<String>,
    body: String,
    may_send: bool,
}

fn counted(addresses: i64) -> String {
    match addresses {
        1 => "the address".to_owned(),
        many => format!("the {} addresses", grouped(many)),
    }
}

fn manages(caller: &Caller) -> bool {
    !caller.reach(Action::ManageTargets).is_empty()
}

async fn notices_page(
    app: &App,
    session: &Session,
    after: Option<&str>,
    notice: Option<Notice>,
) -> Result<NoticesPage> {
    let listing =
        Listing { top: Some(ROWS), after: after.map(str::to_owned), ..Listing::default() };
    let found = app.list_notices(&session.caller, &listing).await?;
    let settings = &app.settings().notices;
    let mail = match (&settings.mail, settings.to.len(), settings.tells_managers) {
        (None, ..) => "none is sent: the server's settings name no mail server".to_owned(),
        (Some(_), 0, false) => "to nobody: the server's settings name no address".to_owned(),
        (Some(_), 0, true) => "to those who manage assignments".to_owned(),
        (Some(_), to, managers) => {
            let own = i64::try_from(to).unwrap_or(i64::MAX);
            let also = if managers { ", and to those who manage assignments" } else { "" };
            format!("to {} of the server's settings{also}", counted(own))
        }
    };
    let webhook = match settings.webhook {
        Some(_) => "the one of the server's settings",
        None => "none: the server's settings name no webhook",
    };
    Ok(NoticesPage {
        frame: frame(Some(session), "Notices", Place::Notices).notice(notice),
        mail,
        webhook: webhook.to_owned(),
        may_test: manages(&session.caller),
        rows: found.items.iter().map(Shown::of).collect(),
        more: found.next.map(|next| format!("/governance/notices?after={next}")),
    })
}

async fn list(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let notice = words::done(fields.get("done"));
    page(&notices_page(&app, &session, fields.get("after"), notice).await?)
}

async fn notice_page(
    app: &App,
    session: &Session,
    text: &str,
    notice: Option<Notice>,
) -> Result<NoticePage> {
    let found = app.get_notice(&session.caller, id("notice", text)?).await?;
    let row = Shown::of(&found);
    Ok(NoticePage {
        frame: frame(Some(session), &row.title, Place::Notices)
            .crumb("Notices", "/governance/notices")
            .notice(notice),
        tries: match found.attempts {
            1 => "once".to_owned(),
            tries => format!("{} times", grouped(tries)),
        },
        sent: found.sent_at.map(When::minute),
        next: found.next_at.map(When::minute),
        may_send: found.state == NoticeState::Failed && manages(&session.caller),
        error: found.error,
        body: found.body,
        row,
    })
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let notice = words::done(fields.get("done"));
    page(&notice_page(&app, &session, &text, notice).await?)
}

async fn send(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    let notice: NoticeId = id("notice", &text)?;
    match app.send_notice_again(&session.caller, notice).await {
        Ok(_) => Ok(see(format!("/governance/notices/{notice}?done=notified"))),
        Err(error) => {
            let told = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let again_page = notice_page(&app, &session, &text, Some(told)).await?;
            again(error, |_| page(&again_page))
        }
    }
}

async fn test(State(app): State<App>, Posted { session, .. }: Posted) -> Result {
    match app.test_notices(&session.caller).await {
        Ok(_) => Ok(see("/governance/notices?done=notified")),
        Err(error) => {
            let told = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let again_page = notices_page(&app, &session, None, Some(told)).await?;
            again(error, |_| page(&again_page))
        }
    }
}

#[cfg(test)]
mod samples {
    use super::super::samples::{NASTY, at, frame};
    use super::*;

    fn shown(state: NoticeState) -> Shown {
        Shown {
            id: "9a1d".to_owned(),
            title: NASTY.to_owned(),
            to: NASTY.to_owned(),
            state: words::notice_state(state, true),
            at: When::minute(at(0)),
        }
    }

    impl NoticesPage {
        /// Some and none.
        pub fn samples() -> Vec<NoticesPage> {
            let page = |rows: Vec<Shown>| NoticesPage {
                frame: frame("Notices", Place::Notices),
                mail: NASTY.to_owned(),
                webhook: NASTY.to_owned(),
                may_test: !rows.is_empty(),
                more: rows.first().map(|_| "/governance/notices?after=x".to_owned()),
                rows,
            };
            vec![page(NoticeState::ALL.map(shown).to_vec()), page(Vec::new())]
        }
    }

    impl NoticePage {
        /// In each state.
        pub fn samples() -> Vec<NoticePage> {
            NoticeState::ALL
                .into_iter()
                .map(|state| NoticePage {
                    frame: frame(NASTY, Place::Notices).crumb("Notices", "/governance/notices"),
                    row: shown(state),
                    tries: "3 tries".to_owned(),
                    sent: (state == NoticeState::Sent).then(|| When::minute(at(9))),
                    next: (state == NoticeState::Pending).then(|| When::minute(at(9))),
                    error: Some(NASTY.to_owned()),
                    body: NASTY.to_owned(),
                    may_send: state == NoticeState::Failed,
                })
                .collect()
        }
    }
}
