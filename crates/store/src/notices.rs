//! Notices on their way out: a row for each, written with what it is about, kept until it is taken.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::NoticeId;
use accede_domain::notice::{Channel, State, Topic};

use crate::filter::{Ask, Entity, Kind, Property};
use crate::pages::{Listed, Source, page};
use crate::request_list::ListError;
use crate::requests::{limit_value, named};
use crate::{Result, Row, Sql, Tx, params};

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its id; what the message id of a mail and the id of a webhook call are made of.
    pub id: NoticeId,
    /// What happened. Nobody is told of the same event twice.
    pub event: String,
    /// What it is about.
    pub topic: Topic,
    /// How it goes out.
    pub channel: Channel,
    /// The address of a mail; empty for the webhook.
    pub recipient: String,
    /// The subject of a mail, one line.
    pub title: String,
    /// The text of a mail.
    pub body: String,
    /// The same for programs: a JSON object.
    pub data: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Counts claims; what a former claim came to is not recorded.
    pub epoch: i64,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next; while it is tried, when others may.
    pub next_at: Option<Timestamp>,
    /// When it was taken.
    pub sent_at: Option<Timestamp>,
    /// Why it was not taken the last time.
    pub error: Option<String>,
}

macro_rules! columns {
    () => {
        "n.id, n.event, n.topic, n.channel, n.recipient, n.title, n.body, n.data, n.created_at_ms,
         n.state, n.epoch, n.attempts, n.next_at_ms, n.sent_at_ms, n.error"
    };
}

/// What the list of notices can be asked.
static NOTICES: Entity = Entity {
    name: "notices",
    properties: &[
        Property::new("id", "n.id", Kind::Id),
        Property::new(
            "topic",
            "n.topic",
            Kind::Enum(&[
                "failures",
                "revocationsStuck",
                "targetsOutOfOrder",
                "targetsBack",
                "changeHeld",
                "deliveryLaidDown",
                "test",
            ]),
        ),
        Property::new("channel", "n.channel", Kind::Enum(&["mail", "webhook"])),
        Property::new("recipient", "n.recipient", Kind::TextNoCase),
        Property::new("state", "n.state", Kind::Enum(&["pending", "sent", "failed"])),
        Property::new("createdDateTime", "n.created_at_ms", Kind::Instant).sortable(),
    ],
    unique: &["n.id"],
    order: &[("createdDateTime", Direction::Descending)],
};

impl Notice {
    fn from_row(row: &Row) -> Result<Notice> {
        Ok(Notice {
            id: row.get(0)?,
            event: row.get(1)?,
            topic: named(Topic::parse, &row.get::<String>(2)?)?,
            channel: named(Channel::parse, &row.get::<String>(3)?)?,
            recipient: row.get(4)?,
            title: row.get(5)?,
            body: row.get(6)?,
            data: row.get(7)?,
            created_at: row.get(8)?,
            state: named(State::parse, &row.get::<String>(9)?)?,
            epoch: row.get(10)?,
            attempts: row.get(11)?,
            next_at: row.get(12)?,
            sent_at: row.get(13)?,
            error: row.get(14)?,
        })
    }
}

/// Adds a notice that is due at once, unless its recipient was told of the event before; whether it
/// was added.
pub async fn insert(tx: &mut Tx<'_>, new: &Notice) -> Result<bool> {
    let added = tx
        .execute(
            "insert into notices (id, event, topic, channel, recipient, title, body, data,
                 created_at_ms, state, epoch, attempts, next_at_ms)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', 0, 0, $9)
             on conflict do nothing",
            params![
                new.id,
                new.event.clone(),
                new.topic.name(),
                new.channel.name(),
                new.recipient.clone(),
                new.title.clone(),
                new.body.clone(),
                new.data.clone(),
                new.created_at
            ],
        )
        .await?;
    Ok(0 < added)
}

/// Takes notices of a channel that are due, oldest first, until `until`; commit before they are sent.
pub async fn claim(
    tx: &mut Tx<'_>,
    channel: Channel,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Notice>> {
    let sql = Sql {
        lite: concat!(
            "select ",
            columns!(),
            " from notices n where n.state = 'pending' and n.next_at_ms <= $1 and n.channel = $3
             order by n.next_at_ms limit $2"
        ),
        pg: concat!(
            "select ",
            columns!(),
            " from notices n where n.state = 'pending' and n.next_at_ms <= $1 and n.channel = $3
             order by n.next_at_ms limit $2 for update skip locked"
        ),
    };
    let rows = tx.query(sql, params![now, limit_value(limit), channel.name()]).await?;
    let mut claimed = rows.iter().map(Notice::from_row).collect::<Result<Vec<_>>>()?;
    for notice in &mut claimed {
        notice.epoch += 1;
        notice.attempts += 1;
        notice.next_at = Some(until);
        tx.execute(
            "update notices set epoch = $2, attempts = $3, next_at_ms = $4 where id = $1",
            params![notice.id, notice.epoch, notice.attempts, until],
        )
        .await?;
    }
    Ok(claimed)
}

/// Records what became of a claimed notice, under its claim's epoch; whether the claim still held.
pub async fn settle(tx: &mut Tx<'_>, notice: &Notice) -> Result<bool> {
    let changed = tx
        .execute(
            "update notices set state = $3, next_at_ms = $4, sent_at_ms = $5, error = $6
             where id = $1 and epoch = $2 and state = 'pending'",
            params![
                notice.id,
                notice.epoch,
                notice.state.name(),
                notice.next_at,
                notice.sent_at,
                notice.error.clone()
            ],
        )
        .await?;
    Ok(0 < changed)
}

/// Makes a notice that failed due again, as if it were new; whether there was one that had failed.
pub async fn renew(tx: &mut Tx<'_>, id: NoticeId, now: Timestamp) -> Result<bool> {
    let changed = tx
        .execute(
            "update notices set state = 'pending', attempts = 0, next_at_ms = $2, created_at_ms = $2
             where id = $1 and state = 'failed'",
            params![id, now],
        )
        .await?;
    Ok(0 < changed)
}

/// A notice.
pub async fn get(tx: &mut Tx<'_>, id: NoticeId) -> Result<Option<Notice>> {
    let sql = concat!("select ", columns!(), " from notices n where n.id = $1");
    tx.query_opt(sql, params![id]).await?.map(|row| Notice::from_row(&row)).transpose()
}

/// A page of the list, the newest first.
///
/// # Errors
///
/// What the list does not have, or the database's.
pub async fn list(tx: &mut Tx<'_>, ask: Ask<'_>, count: bool) -> Result<Listed<Notice>, ListError> {
    let source = Source {
        entity: &NOTICES,
        columns: columns!(),
        from: "notices n",
        conditions: &[],
        values: &[],
        read: Notice::from_row,
    };
    page(tx, &source, ask, count).await
}

/// How many notices stand in each state, for metrics.
pub async fn counts(tx: &mut Tx<'_>) -> Result<Vec<(State, i64)>> {
    let mut counts = Vec::with_capacity(State::ALL.len());
    for state in State::ALL {
        let row = tx
            .query_one("select count(*) from notices where state = $1", params![state.name()])
            .await?;
        counts.push((state, row.get(0)?));
    }
    Ok(counts)
}

/// Forgets what was not sent yet: it was another deployment's to tell.
pub async fn forget_pending(tx: &mut Tx<'_>) -> Result<u64> {
    tx.execute("delete from notices where state = 'pending'", &[]).await
}

/// Forgets notices that were taken or given up before `before`, at most `limit`.
pub async fn forget(tx: &mut Tx<'_>, before: Timestamp, limit: usize) -> Result<u64> {
    tx.execute(
        "delete from notices where id in
             (select id from notices where created_at_ms < $1 and state <> 'pending'
              order by created_at_ms limit $2)",
        params![before, limit_value(limit)],
    )
    .await
}
