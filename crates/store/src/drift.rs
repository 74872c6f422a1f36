//! Findings of drift: where a target was seen to hold something else than what is wanted there.
//!
//! A finding is live until the difference is gone; a delivery, or a holder of a role, has at most one
//! live finding.

use accede_domain::Timestamp;
use accede_domain::drift::{Kind as Drift, State};
use accede_domain::filter::Direction;
use accede_domain::id::{DeliveryId, DriftFindingId, ResourceRoleId, SubjectId, TargetId};
use accede_domain::permission::Reach;

use crate::deliveries::{self, DeliveryRow};
use crate::filter::{Ask, Entity, Kind, Property};
use crate::findings::left;
use crate::many::within;
use crate::pages::{self, Listed, Source};
use crate::request_list::ListError;
use crate::requests::{limit_value, named};
use crate::{Result, Row, Sql, Tx, Value, params};

/// A role of a resource in a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which target.
    pub target: TargetId,
    /// The resource's id there.
    pub resource: String,
    /// The role's id there.
    pub role: String,
    /// The scope's id there.
    pub scope: String,
}

/// Somebody who holds a role in a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What the target calls them.
    pub id: String,
    /// Their name there, for people.
    pub name: Option<String>,
}

/// A difference between a target and what is wanted there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its id.
    pub id: DriftFindingId,
    /// What it is.
    pub kind: Drift,
    /// Where it stands.
    pub state: State,
    /// Of which role.
    pub place: Place,
    /// The role as it stands in a catalog.
    pub role: ResourceRoleId,
    /// The delivery, if the role is ours.
    pub delivery: Option<DeliveryId>,
    /// Whose role it is, if they are known here.
    pub subject: Option<SubjectId>,
    /// Who holds it, as the target says, if it is not ours.
    pub holder: Option<Holder>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
    /// Who repaired or dismissed it, by name.
    pub decided_by: Option<String>,
    /// Why, in their words.
    pub reason: Option<String>,
}

macro_rules! columns {
    () => {
        "f.id, f.kind, f.state, f.target_id, f.resource_origin_id, f.role_origin_id,
         f.scope_origin_id, f.role_id, f.delivery_id, f.subject_id, f.holder_id, f.holder_name,
         f.first_seen_at_ms, f.last_seen_at_ms, f.closed_at_ms, f.decided_by, f.reason"
    };
}
const WIDTH: usize = 17;

/// A finding `f` of extra access and a delivery `d` are of one role of one person.
macro_rules! same_key {
    () => {
        "d.subject_id = f.subject_id and d.target_id = f.target_id
             and d.resource_origin_id = f.resource_origin_id
             and d.role_origin_id = f.role_origin_id and d.scope_origin_id = f.scope_origin_id"
    };
}

/// The finding `f` is a repair that counts for the delivery `$1` since `$2`.
macro_rules! counts {
    () => {
        "f.first_seen_at_ms > $2 and f.state = 'repaired' and not exists (
             select 1 from drift_findings c where c.delivery_id = $1 and c.kind = 'contested'
                 and c.first_seen_at_ms >= f.first_seen_at_ms)"
    };
}

macro_rules! from_named {
    () => {
        "drift_findings f join targets t on t.id = f.target_id
             left join resource_roles o on o.id = f.role_id
             left join resources e on e.id = o.resource_id
             left join subjects s on s.id = f.subject_id
             left join users u on u.id = s.object_id"
    };
}

macro_rules! names {
    () => {
        "t.name, t.display_name, o.display_name, e.display_name, u.id, u.user_principal_name,
         u.display_name"
    };
}

impl Finding {
    fn from_row(row: &Row) -> Result<Finding> {
        let holder: Option<String> = row.get(10)?;
        let name: Option<String> = row.get(11)?;
        Ok(Finding {
            id: row.get(0)?,
            kind: named(Drift::parse, &row.get::<String>(1)?)?,
            state: named(State::parse, &row.get::<String>(2)?)?,
            place: Place {
                target: row.get(3)?,
                resource: row.get(4)?,
                role: row.get(5)?,
                scope: row.get(6)?,
            },
            role: row.get(7)?,
            delivery: row.get(8)?,
            subject: row.get(9)?,
            holder: holder.map(|id| Holder { id, name }),
            first_seen: row.get(12)?,
            last_seen: row.get(13)?,
            closed_at: row.get(14)?,
            decided_by: row.get(15)?,
            reason: row.get(16)?,
        })
    }
}

/// A finding with the names its readers know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFinding {
    /// The finding.
    pub finding: Finding,
    /// The target's name.
    pub target_name: String,
    /// The target's name for people.
    pub target_display_name: String,
    /// The role's name, if it still exists.
    pub role_name: Option<String>,
    /// The resource's name, if it still exists.
    pub resource_name: Option<String>,
    /// The person, if they are known here.
    pub person: Option<FoundPerson>,
}

/// A person of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPerson {
    /// Their object id.
    pub user: accede_domain::id::UserId,
    /// Their sign-in name.
    pub user_principal_name: String,
    /// Their full name.
    pub display_name: String,
}

impl NamedFinding {
    fn from_row(row: &Row) -> Result<NamedFinding> {
        let user: Option<accede_domain::id::UserId> = row.get(WIDTH + 4)?;
        let person = match user {
            None => None,
            Some(user) => Some(FoundPerson {
                user,
                user_principal_name: row.get(WIDTH + 5)?,
                display_name: row.get(WIDTH + 6)?,
            }),
        };
        Ok(NamedFinding {
            finding: Finding::from_row(row)?,
            target_name: row.get(WIDTH)?,
            target_display_name: row.get(WIDTH + 1)?,
            role_name: row.get(WIDTH + 2)?,
            resource_name: row.get(WIDTH + 3)?,
            person,
        })
    }
}

/// What findings can be filtered and ordered by.
pub static FINDINGS: Entity = Entity {
    name: "drift findings",
    properties: &[
        Property::new("id", "f.id", Kind::Id),
        Property::new("kind", "f.kind", Kind::Enum(&Drift::NAMES)),
        Property::new("state", "f.state", Kind::Enum(&State::NAMES)),
        Property::new("targetId", "f.target_id", Kind::Id),
        Property::new("targetName", "t.name", Kind::TextNoCase),
        Property::new("firstSeenDateTime", "f.first_seen_at_ms", Kind::Instant).sortable(),
    ],
    unique: &["f.id"],
    order: &[("firstSeenDateTime", Direction::Descending)],
};

/// Adds a finding; [`crate::Error::Duplicate`] when there is a live one of the same delivery or
/// holder.
pub async fn insert(tx: &mut Tx<'_>, new: &Finding) -> Result<()> {
    let holder = new.holder.as_ref();
    tx.execute(
        "insert into drift_findings (id, kind, state, target_id, resource_origin_id,
             role_origin_id, scope_origin_id, role_id, delivery_id, subject_id, holder_id,
             holder_name, first_seen_at_ms, last_seen_at_ms, closed_at_ms, decided_by, reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        params![
            new.id,
            new.kind.name(),
            new.state.name(),
            new.place.target,
            new.place.resource.clone(),
            new.place.role.clone(),
            new.place.scope.clone(),
            new.role,
            new.delivery,
            new.subject,
            holder.map(|holder| holder.id.clone()),
            holder.and_then(|holder| holder.name.clone()),
            new.first_seen,
            new.last_seen,
            new.closed_at,
            new.decided_by.clone(),
            new.reason.clone()
        ],
    )
    .await?;
    Ok(())
}

/// Saves what changes of a finding: kind and place stay as they are.
pub async fn save(tx: &mut Tx<'_>, finding: &Finding) -> Result<()> {
    let holder = finding.holder.as_ref();
    tx.execute(
        "update drift_findings
         set state = $2, subject_id = $3, holder_name = $4, last_seen_at_ms = $5,
             closed_at_ms = $6, decided_by = $7, reason = $8
         where id = $1",
        params![
            finding.id,
            finding.state.name(),
            finding.subject,
            holder.and_then(|holder| holder.name.clone()),
            finding.last_seen,
            finding.closed_at,
            finding.decided_by.clone(),
            finding.reason.clone()
        ],
    )
    .await?;
    Ok(())
}

/// Reads a finding and holds its row until the transaction ends.
pub async fn lock(tx: &mut Tx<'_>, id: DriftFindingId) -> Result<Option<Finding>> {
    const LITE: &str = concat!("select ", columns!(), " from drift_findings f where f.id = $1");
    const PG: &str =
        concat!("select ", columns!(), " from drift_findings f where f.id = $1 for update");
    let row = tx.query_opt(Sql::new(LITE, PG), params![id]).await?;
    row.map(|row| Finding::from_row(&row)).transpose()
}

/// The live finding of a delivery, held until the transaction ends.
pub async fn lock_live_of(tx: &mut Tx<'_>, delivery: DeliveryId) -> Result<Option<Finding>> {
    const LITE: &str = concat!(
        "select ",
        columns!(),
        " from drift_findings f where f.delivery_id = $1 and f.closed_at_ms is null"
    );
    const PG: &str = concat!(
        "select ",
        columns!(),
        " from drift_findings f where f.delivery_id = $1 and f.closed_at_ms is null for update"
    );
    let row = tx.query_opt(Sql::new(LITE, PG), params![delivery]).await?;
    row.map(|row| Finding::from_row(&row)).transpose()
}

/// How many differences of a delivery, found since `since`, a call of ours ended, extra access of the
/// same role and person included; what was before the
/// last time that it was contested does not count any more.
pub async fn repairs(tx: &mut Tx<'_>, delivery: DeliveryId, since: Timestamp) -> Result<i64> {
    let row = tx
        .query_one(
            concat!(
                "select (select count(*) from drift_findings f where f.delivery_id = $1
                         and f.kind <> 'contested' and ",
                counts!(),
                ") + (select count(*) from deliveries d join drift_findings f on f.kind = 'extra' and ",
                same_key!(),
                " where d.id = $1 and ",
                counts!(),
                ")"
            ),
            params![delivery, since],
        )
        .await?;
    row.get(0)
}

/// The live findings of holders of a role, held until the transaction ends.
pub async fn lock_live_at(tx: &mut Tx<'_>, place: &Place) -> Result<Vec<Finding>> {
    const LITE: &str = concat!(
        "select ",
        columns!(),
        " from drift_findings f
         where f.target_id = $1 and f.resource_origin_id = $2 and f.role_origin_id = $3
             and f.scope_origin_id = $4 and f.closed_at_ms is null and f.holder_id is not null
         order by f.id"
    );
    const PG: &str = concat!(
        "select ",
        columns!(),
        " from drift_findings f
         where f.target_id = $1 and f.resource_origin_id = $2 and f.role_origin_id = $3
             and f.scope_origin_id = $4 and f.closed_at_ms is null and f.holder_id is not null
         order by f.id for update"
    );
    let (resource, role) = (place.resource.clone(), place.role.clone());
    let values = params![place.target, resource, role, place.scope.clone()].to_vec();
    let rows = tx.query(Sql::new(LITE, PG), &values).await?;
    rows.iter().map(Finding::from_row).collect()
}

/// Closes findings of holders of roles that no package gives any more; says how many.
pub async fn close_forgotten(tx: &mut Tx<'_>, target: TargetId, now: Timestamp) -> Result<u64> {
    tx.execute(
        "update drift_findings
         set state = 'gone', closed_at_ms = $2
         where target_id = $1 and closed_at_ms is null and holder_id is not null
             and not exists (
                 select 1 from resources e join resource_roles o on o.resource_id = e.id
                     join resource_role_scopes x on x.role_id = o.id
                     join resource_scopes c on c.id = x.scope_id
                     join packages p on p.id = x.package_id
                 where p.deleted_at_ms is null and e.target_id = drift_findings.target_id
                     and e.origin_id = drift_findings.resource_origin_id
                     and o.origin_id = drift_findings.role_origin_id
                     and c.origin_id = drift_findings.scope_origin_id)",
        params![target, now],
    )
    .await
}

/// Live findings whose difference is over, with when the target last acknowledged a change: those
/// whose delivery is settled, and extra access that was taken away.
pub async fn over(
    tx: &mut Tx<'_>,
    limit: usize,
) -> Result<Vec<(DriftFindingId, Option<Timestamp>)>> {
    let rows = tx
        .query(
            "select f.id, d.acknowledged_at_ms
             from drift_findings f join deliveries d on d.id = f.delivery_id
             where f.closed_at_ms is null and f.delivery_id is not null and d.phase = 'settled'
             order by f.id limit $1",
            params![limit_value(limit)],
        )
        .await?;
    let mut found: Vec<_> =
        rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect::<Result<_>>()?;
    let taken = tx
        .query(
            concat!(
                "select f.id, d.acknowledged_at_ms from drift_findings f join deliveries d on ",
                same_key!(),
                " where f.closed_at_ms is null and f.holder_id is not null and not d.wanted
                     and d.phase = 'settled' and d.observed = 'absent'
                     and d.acknowledged_at_ms >= f.first_seen_at_ms
                     and (d.verified_at_ms is not null or d.ready_at_ms is null)
                 order by f.id limit $1"
            ),
            params![limit_value(limit)],
        )
        .await?;
    for row in &taken {
        found.push((row.get(0)?, row.get(1)?));
    }
    Ok(found)
}

/// Extra access of people who are known here to roles that packages give, open at a target and seen at
/// `since` or later, that nothing keeps from being taken away and no second person released before; by
/// id.
pub async fn takeable(
    tx: &mut Tx<'_>,
    target: TargetId,
    since: Timestamp,
) -> Result<Vec<DriftFindingId>> {
    let rows = tx
        .query(
            concat!(
                "select f.id from drift_findings f
                 where f.target_id = $1 and f.state = 'open' and f.kind = 'extra'
                     and f.subject_id is not null and f.last_seen_at_ms >= $2
                     and not exists (select 1 from resources e where e.target_id = f.target_id
                         and e.origin_id = f.resource_origin_id and e.keep_pre_existing)
                     and exists (
                         select 1 from resources e join resource_roles o on o.resource_id = e.id
                             join resource_role_scopes x on x.role_id = o.id
                             join resource_scopes c on c.id = x.scope_id
                             join packages p on p.id = x.package_id
                         where p.deleted_at_ms is null and e.target_id = f.target_id
                             and e.origin_id = f.resource_origin_id
                             and o.origin_id = f.role_origin_id and c.origin_id = f.scope_origin_id)
                     and not exists (select 1 from deliveries d where ",
                same_key!(),
                " and (d.wanted or d.phase <> 'settled' or d.observed = 'present'
                         or d.keep_pre_existing or d.acknowledged_at_ms >= f.last_seen_at_ms
                         or ",
                left!(),
                "))
                     and not exists (select 1 from extra_plans n join guards g on g.id = n.guard_id
                         where n.finding_id = f.id and g.state = 'released')
                 order by f.id"
            ),
            params![target, since],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Whether a resource says, in any catalog, that access which existed before is kept.
pub async fn is_kept(tx: &mut Tx<'_>, place: &Place) -> Result<bool> {
    let row = tx
        .query_one(
            "select count(*) from resources
             where target_id = $1 and origin_id = $2 and keep_pre_existing",
            params![place.target, place.resource.clone()],
        )
        .await?;
    Ok(row.get::<i64>(0)? != 0)
}

/// Live findings of a target that wait for a person, last looked at before `before`: those of grants
/// that were given up; with their deliveries, longest ago first.
pub async fn waiting(
    tx: &mut Tx<'_>,
    target: TargetId,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<(DriftFindingId, DeliveryRow)>> {
    let text = format!(
        "select {}, f.id
         from drift_findings f join deliveries d on d.id = f.delivery_id
         where f.target_id = $1 and f.closed_at_ms is null and f.delivery_id is not null
             and f.last_seen_at_ms < $2 and d.phase = 'failed'
         order by f.last_seen_at_ms, f.id limit $3",
        deliveries::columns!()
    );
    let rows = tx.query_text(&text, params![target, before, limit_value(limit)]).await?;
    rows.iter().map(|row| Ok((row.get(deliveries::WIDTH)?, DeliveryRow::from_row(row)?))).collect()
}

/// Only what a reader may know of: what is delivered for packages of their catalogs, and who else
/// holds roles of their catalogs' resources.
fn reachable(reach: &Reach, values: &mut Vec<Value>) -> Vec<String> {
    let ours = within(reach, "p.catalog_id", values);
    let theirs = within(reach, "r.catalog_id", values);
    let Some((ours, theirs)) = ours.zip(theirs) else { return Vec::new() };
    vec![format!(
        "(f.delivery_id is not null and exists (select 1 from reasons x
              join assignments a on a.id = x.assignment_id join packages p on p.id = a.package_id
              where x.delivery_id = f.delivery_id and {ours})
          or f.delivery_id is null and exists (select 1 from resources r
              where r.target_id = f.target_id and r.origin_id = f.resource_origin_id and {theirs}))"
    )]
}

/// A page of the findings in reach, newest first if no order is asked.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    reach: &Reach,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<NamedFinding>, ListError> {
    let mut values = Vec::new();
    let conditions = reachable(reach, &mut values);
    let source = Source {
        entity: &FINDINGS,
        columns: concat!(columns!(), ", ", names!()),
        from: from_named!(),
        conditions: &conditions,
        values: &values,
        read: NamedFinding::from_row,
    };
    pages::page(tx, &source, ask, count).await
}

/// A finding in reach.
pub async fn get(
    tx: &mut Tx<'_>,
    reach: &Reach,
    id: DriftFindingId,
) -> Result<Option<NamedFinding>> {
    let mut values = params![id].to_vec();
    let conditions = reachable(reach, &mut values);
    let mut text =
        concat!("select ", columns!(), ", ", names!(), " from ", from_named!(), " where f.id = $1")
            .to_owned();
    for condition in conditions {
        text.push_str(" and ");
        text.push_str(&condition);
    }
    let rows = tx.query_text(&text, &values).await?;
    rows.first().map(NamedFinding::from_row).transpose()
}

/// How many findings of a target in reach are open, by kind; of all targets if `None`.
pub async fn open(
    tx: &mut Tx<'_>,
    reach: &Reach,
    target: Option<TargetId>,
) -> Result<Vec<(Drift, i64)>> {
    let mut values: Vec<Value> = target.map(Value::from).into_iter().collect();
    let mut conditions = vec!["f.state = 'open'".to_owned()];
    conditions.extend(target.map(|_| "f.target_id = $1".to_owned()));
    conditions.extend(reachable(reach, &mut values));
    let text = format!(
        "select f.kind, count(*) from drift_findings f where {}
         group by f.kind order by f.kind",
        conditions.join(" and ")
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(|row| Ok((named(Drift::parse, &row.get::<String>(0)?)?, row.get(1)?))).collect()
}

/// Forgets findings that were closed before; says how many.
pub async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<u64> {
    tx.execute("delete from drift_findings where closed_at_ms < $1", params![before]).await
}

/// Extra access was seen once more, and this is who has it as far as that is known now.
pub async fn see_holder(
    tx: &mut Tx<'_>,
    id: DriftFindingId,
    subject: Option<SubjectId>,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "update drift_findings set last_seen_at_ms = $2, subject_id = $3 where id = $1",
        params![id, now, subject],
    )
    .await?;
    Ok(())
}

/// A difference was seen once more.
pub async fn touch(tx: &mut Tx<'_>, id: DriftFindingId, now: Timestamp) -> Result<()> {
    tx.execute("update drift_findings set last_seen_at_ms = $2 where id = $1", params![id, now])
        .await?;
    Ok(())
}
