//! Notices: written as rows with what they are about, sent by the worker, listed for those who run
//! the server.

use accede_connectors::mail;
use accede_domain::SignedDuration;
use accede_domain::Timestamp;
use accede_domain::id::NoticeId;
use accede_domain::notice::{self, Channel, State};
use accede_domain::permission::{Action, Reach};
use accede_domain::refusal::Refusal;
use accede_domain::retry;
use accede_store::Tx;
use accede_store::crash::{Point, point};
use accede_store::notices::{self, Notice};
use serde_json::json;

use crate::letters::{Letter, Links};
use crate::list::{Listing, Page, ask};
use crate::worker::report;
use crate::{App, Caller, Error, Result, audit, letters};

pub use accede_connectors::hook::Hook as Webhook;
pub use accede_connectors::mail::{
    SERVER_FORM, Server as MailServer, is_address as is_mail_address,
};
pub use accede_connectors::signature::{SECRET_FORM, Secret};
pub use accede_domain::notice::{Channel as NoticeChannel, State as NoticeState};
pub use accede_store::notices::Notice as SentNotice;

/// Notices of each channel that are sent at once.
const BATCH: usize = 20;
/// How often in a row, before what else is due has its turn.
const BATCHES: usize = 50;
/// For how long a notice belongs to whoever sends it; longer than a call takes.
const LEASE: SignedDuration = SignedDuration::from_secs(90);
/// How long notices are kept that were taken or given up.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Notices that are forgotten in one turn.
const FORGOTTEN: usize = 1_000;
/// What it is called in errors and in the audit log.
const WHAT: &str = "notice";

/// Who is told.
pub(crate) enum Audience<'a> {
    /// Those who run the server, and the webhook.
    Operators,
    /// One person, by mail.
    Person(&'a str),
}

impl App {
    /// Where the portal is, for links.
    pub(crate) fn links(&self) -> Links<'_> {
        Links(self.settings().notices.portal.as_deref())
    }

    /// Writes a notice for each who is to be told. Nobody is told of one event twice.
    pub(crate) async fn tell(
        &self,
        tx: &mut Tx<'_>,
        event: &str,
        letter: &Letter,
        audience: Audience<'_>,
        now: Timestamp,
    ) -> Result<usize> {
        let settings = &self.settings().notices;
        let mut to: Vec<(Channel, &str)> = Vec::new();
        match audience {
            Audience::Operators => {
                if settings.webhook.is_some() {
                    to.push((Channel::Webhook, ""));
                }
                if settings.mail.is_some() {
                    to.extend(settings.to.iter().map(|address| (Channel::Mail, address.as_str())));
                }
            }
            Audience::Person(address) if settings.mail.is_some() => {
                to.push((Channel::Mail, address));
            }
            Audience::Person(_) => {}
        }
        let mut told = 0;
        for (channel, recipient) in to {
            let row = Notice {
                id: self.mint(now),
                event: event.to_owned(),
                topic: letter.topic,
                channel,
                recipient: recipient.to_owned(),
                title: letter.title.clone(),
                body: letter.body.clone(),
                data: letter.data.to_string(),
                created_at: now,
                state: State::Pending,
                epoch: 0,
                attempts: 0,
                next_at: Some(now),
                sent_at: None,
                error: None,
            };
            told += usize::from(notices::insert(tx, &row).await?);
            point(Point::NoticeWritten);
        }
        Ok(told)
    }

    /// Sends what is due; says how many were tried.
    ///
    /// # Errors
    ///
    /// The database's. What a mail server or the webhook says is kept with the notice.
    pub async fn send_notices(&self) -> Result<usize> {
        let now = self.now();
        let until = retry::after(now, LEASE);
        let claimed = self
            .store()
            .write(async |tx| {
                let mut claimed = Vec::new();
                // A mail server that takes its time keeps nothing from the webhook.
                for channel in Channel::ALL {
                    claimed.extend(notices::claim(tx, channel, now, until, BATCH).await?);
                }
                Ok::<_, Error>(claimed)
            })
            .await?;
        let count = claimed.len();
        if 0 < count {
            point(Point::NoticeClaimed);
        }
        let sending = claimed.into_iter().map(async |notice| {
            let outcome = self.send(&notice).await;
            point(Point::NoticeSent);
            self.settle_notice(notice, outcome).await
        });
        for outcome in futures_util::future::join_all(sending).await {
            outcome?;
        }
        Ok(count)
    }

    async fn send(&self, notice: &Notice) -> std::result::Result<(), mail::Untaken> {
        let settings = &self.settings().notices;
        match (notice.channel, &settings.mail, &settings.webhook) {
            (Channel::Mail, Some((server, from)), _) => {
                let letter = mail::Letter {
                    id: notice.id.to_string(),
                    from: from.clone(),
                    to: notice.recipient.clone(),
                    subject: format!("[Accede] {}", notice.title),
                    text: notice.body.clone(),
                };
                server.send(&letter).await
            }
            (Channel::Webhook, _, Some(hook)) => {
                let data: serde_json::Value =
                    serde_json::from_str(&notice.data).unwrap_or(serde_json::Value::Null);
                let body = json!({
                    "type": notice.topic.name(),
                    "timestamp": notice.created_at.to_string(),
                    "title": notice.title,
                    "data": data,
                });
                hook.post(&notice.id.to_string(), self.now(), body.to_string()).await
            }
            (Channel::Mail, None, _) => {
                Err(mail::Untaken::now("no mail server is set (`notices.smtp`)"))
            }
            (Channel::Webhook, _, None) => {
                Err(mail::Untaken::now("no webhook is set (`notices.webhook`)"))
            }
        }
    }

    async fn settle_notice(
        &self,
        mut notice: Notice,
        outcome: std::result::Result<(), mail::Untaken>,
    ) -> Result<()> {
        let now = self.now();
        let chance = self.entropy().chance();
        match outcome {
            Ok(()) => {
                (notice.state, notice.next_at) = (State::Sent, None);
                (notice.sent_at, notice.error) = (Some(now), None);
            }
            Err(untaken) => {
                let next = notice::next_try(notice.created_at, notice.attempts, chance, now)
                    .filter(|_| !untaken.is_final);
                if next.is_none() {
                    notice.state = State::Failed;
                    tracing::error!(
                        notice = %notice.id,
                        topic = notice.topic.name(),
                        channel = notice.channel.name(),
                        error = untaken.message,
                        "a notice could not be sent and is given up"
                    );
                } else {
                    tracing::warn!(
                        notice = %notice.id,
                        channel = notice.channel.name(),
                        error = untaken.message,
                        "a notice could not be sent and is tried again"
                    );
                }
                (notice.next_at, notice.error) = (next, Some(untaken.message));
            }
        }
        self.store().write(async |tx| Ok::<_, Error>(notices::settle(tx, &notice).await?)).await?;
        point(Point::NoticeSettled);
        Ok(())
    }

    /// Sends what is due. For the worker.
    pub(crate) async fn send_all(&self) {
        for _ in 0..BATCHES {
            match self.send_notices().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return report::<(), _>("notices", Err(error)),
            }
        }
    }

    /// Forgets notices that were taken or given up long ago.
    ///
    /// # Errors
    ///
    /// The database's.
    pub(crate) async fn forget_notices(&self) -> Result<()> {
        let before = retry::before(self.now(), KEPT);
        self.store()
            .write(async |tx| Ok::<_, Error>(notices::forget(tx, before, FORGOTTEN).await?))
            .await?;
        Ok(())
    }

    /// A page of the notices, the newest first.
    ///
    /// # Errors
    ///
    /// Forbidden unless the caller may read everything: notices tell of every catalog.
    pub async fn list_notices(&self, caller: &Caller, listing: &Listing) -> Result<Page<Notice>> {
        may_read(caller)?;
        let asked = ask(listing)?;
        let listed = self
            .store()
            .read(async |tx| Ok::<_, Error>(notices::list(tx, asked, listing.count).await?))
            .await?;
        Ok(listed.into())
    }

    /// One notice.
    ///
    /// # Errors
    ///
    /// Forbidden, not found.
    pub async fn get_notice(&self, caller: &Caller, id: NoticeId) -> Result<Notice> {
        may_read(caller)?;
        let found =
            self.store().read(async |tx| Ok::<_, Error>(notices::get(tx, id).await?)).await?;
        found.ok_or_else(|| Error::not_found(WHAT, id))
    }

    /// Sends a notice again that was given up.
    ///
    /// # Errors
    ///
    /// Forbidden, not found; refused if it was taken, or is on its way.
    pub async fn send_notice_again(&self, caller: &Caller, id: NoticeId) -> Result<Notice> {
        caller.may_somewhere(Action::ManageTargets)?;
        let now = self.now();
        let found = self
            .store()
            .write(async |tx| {
                let found = notices::get(tx, id).await?;
                let found = found.ok_or_else(|| Error::not_found(WHAT, id))?;
                if !notices::renew(tx, id, now).await? {
                    let sentence = match found.state {
                        State::Sent => {
                            "the notice was taken already; only one that failed is sent again"
                        }
                        State::Pending | State::Failed => "the notice is on its way already",
                    };
                    let code = "NoticeNotFailed";
                    return Err(Refusal::Rule { code, sentence: sentence.to_owned() }.into());
                }
                let event = audit::Event {
                    action: "notice sent again",
                    object_type: WHAT,
                    object_id: id.to_string(),
                    catalog: None,
                    detail: json!({ "topic": found.topic.name() }),
                };
                audit::record(self, tx, caller, event, now).await?;
                let found = notices::get(tx, id).await?;
                found.ok_or_else(|| Error::not_found(WHAT, id))
            })
            .await?;
        self.wake();
        Ok(found)
    }

    /// Writes a notice that says nothing, to see whether it arrives; says how many were written.
    ///
    /// # Errors
    ///
    /// Forbidden; refused if the settings name nobody whom notices go to.
    pub async fn test_notices(&self, caller: &Caller) -> Result<usize> {
        caller.may_somewhere(Action::ManageTargets)?;
        let now = self.now();
        let letter = letters::test(&caller.name, self.links());
        let told = self
            .store()
            .write(async |tx| {
                let event = format!("test/{}/{}", caller.name, now.as_millisecond());
                let told = self.tell(tx, &event, &letter, Audience::Operators, now).await?;
                if told == 0 {
                    let sentence = "the settings name nobody whom notices go to; set \
                                    `notices.webhook`, or `notices.smtp` and `notices.to`"
                        .to_owned();
                    return Err(Refusal::Rule { code: "NoRecipient", sentence }.into());
                }
                let event = audit::Event {
                    action: "notices tested",
                    object_type: WHAT,
                    object_id: now.as_millisecond().to_string(),
                    catalog: None,
                    detail: json!({ "recipients": told }),
                };
                audit::record(self, tx, caller, event, now).await?;
                Ok::<_, Error>(told)
            })
            .await?;
        self.wake();
        Ok(told)
    }
}

/// Notices tell of every catalog, so whoever reads them reads requests everywhere.
fn may_read(caller: &Caller) -> Result<()> {
    caller.may_somewhere(Action::ReadTargets)?;
    match caller.reach(Action::ReadRequests) {
        Reach::Everywhere => Ok(()),
        Reach::Catalogs(_) => {
            Err(Error::Forbidden { need: "a directory role that reads every catalog".to_owned() })
        }
    }
}
