//! Lists of requests: what a reader may filter and order by, and whose requests they are.

use accede_domain::filter::Direction;
use accede_domain::id::{CatalogId, CauseId, RequestId, SubjectId, TargetId, UserId};
use accede_domain::permission::Reach;

use crate::causes::placeholders;
use crate::filter::{Ask, Entity, FilterError, Kind, Property};
use crate::pages::{self, Listed, Source};
use crate::requests::{Request, WIDTH, columns};
use crate::{Error, Result, Row, Tx, Value, params};

/// What requests can be filtered and ordered by, in Graph's property paths.
pub static REQUESTS: Entity = Entity {
    name: "assignmentRequests",
    properties: &[
        Property::new("id", "r.id", Kind::Id),
        Property::new(
            "requestType",
            "r.request_type",
            Kind::Enum(&["userAdd", "userRemove", "adminAdd", "adminRemove", "systemRemove"]),
        ),
        Property::new(
            "state",
            "r.state",
            Kind::Mapped(&[
                ("submitted", &["submitted"]),
                ("pendingApproval", &["pendingApproval"]),
                ("scheduled", &["scheduled"]),
                ("delivering", &["delivering", "canceling"]),
                ("delivered", &["delivered"]),
                ("partiallyDelivered", &["partiallyDelivered"]),
                ("deliveryFailed", &["deliveryFailed"]),
                ("denied", &["denied"]),
                ("canceled", &["canceled"]),
            ]),
        ),
        Property::new("createdDateTime", "r.created_at_ms", Kind::Instant).sortable(),
        Property::new("completedDateTime", "r.completed_at_ms", Kind::Instant)
            .nullable()
            .sortable(),
        Property::new("accessPackage/id", "r.package_id", Kind::Id),
        Property::new("accessPackage/displayName", "p.display_name", Kind::TextNoCase),
        Property::new("accessPackage/catalog/id", "p.catalog_id", Kind::Id),
        Property::new("requestor/id", "r.requestor_id", Kind::Id),
        Property::new("requestor/objectId", "q.object_id", Kind::Id),
        Property::new("requestor/displayName", "qu.display_name", Kind::TextNoCase),
        Property::new("requestor/principalName", "qu.user_principal_name", Kind::TextNoCase),
        Property::new("assignment/id", "r.assignment_id", Kind::Id).nullable(),
        Property::new("assignment/target/id", "r.subject_id", Kind::Id),
        Property::new("assignment/target/objectId", "b.object_id", Kind::Id),
        Property::new("assignment/assignmentPolicy/id", "r.policy_id", Kind::Id).nullable(),
        Property::new("assignmentPolicy/id", "r.policy_id", Kind::Id).nullable(),
    ],
    unique: &["r.id"],
    order: &[("createdDateTime", Direction::Descending)],
};

const FROM: &str = "requests r
     join packages p on p.id = r.package_id
     join subjects q on q.id = r.requestor_id
     join users qu on qu.id = q.object_id
     join subjects b on b.id = r.subject_id
     join users bu on bu.id = b.object_id
     left join policies o on o.id = r.policy_id";

const JOINED: &str = "p.display_name, p.catalog_id, q.object_id, qu.display_name,
     qu.user_principal_name, qu.mail, b.object_id, bu.display_name, bu.user_principal_name,
     bu.mail, o.display_name";

/// Whose requests a reader is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those of the catalogs in reach.
    Reach(Reach),
    /// Those for this subject.
    Target(SubjectId),
    /// Those by this subject.
    CreatedBy(SubjectId),
    /// Those for or by this subject.
    TargetOrRequestor(SubjectId),
    /// Those that await this person's decision.
    Approver(UserId),
    /// Those for this person's reports.
    TargetManager(UserId),
}

/// What requests are narrowed to beyond the filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Held up by this cause: wanting what it fails, or taking back what it does not let go.
    pub cause: Option<CauseId>,
    /// Held up in this target in the same sense.
    pub target: Option<TargetId>,
    /// With this text in the requestor's or beneficiary's name or sign-in name, whatever its case.
    pub text: Option<String>,
}

/// A person in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Somebody {
    /// Subject id.
    pub subject: SubjectId,
    /// Object id.
    pub user: UserId,
    /// Full name.
    pub display_name: String,
    /// Sign-in name.
    pub user_principal_name: String,
    /// Mail address.
    pub mail: Option<String>,
}

/// A request in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The request.
    pub request: Request,
    /// Its package's name.
    pub package_name: String,
    /// Its package's catalog.
    pub catalog: CatalogId,
    /// Who asked.
    pub requestor: Somebody,
    /// Who receives or loses access.
    pub beneficiary: Somebody,
    /// Its policy's name.
    pub policy_name: Option<String>,
}

impl Summary {
    fn from_row(row: &Row) -> Result<Summary> {
        let request = Request::from_row(row)?;
        let somebody = |subject: SubjectId, first: usize| -> Result<Somebody> {
            Ok(Somebody {
                subject,
                user: row.get(first)?,
                display_name: row.get(first + 1)?,
                user_principal_name: row.get(first + 2)?,
                mail: row.get(first + 3)?,
            })
        };
        Ok(Summary {
            requestor: somebody(request.requestor, WIDTH + 2)?,
            beneficiary: somebody(request.subject, WIDTH + 6)?,
            package_name: row.get(WIDTH)?,
            catalog: row.get(WIDTH + 1)?,
            policy_name: row.get(WIDTH + 10)?,
            request,
        })
    }
}

/// Restricts requests to those that deliveries of a kind hold up: because they want them, or because
/// they are under way to take them back.
fn held_up(deliveries: &str) -> String {
    format!(
        "r.id in (select h.id
             from deliveries d join reasons x on x.delivery_id = d.id
                 join requests h on h.assignment_id = x.assignment_id
             where {deliveries} and (x.is_live or h.state in ('delivering', 'canceling')))"
    )
}

/// The condition for whose requests and what narrowing; its values are added.
fn condition(whose: &Whose, narrowing: &Narrowing, values: &mut Vec<Value>) -> String {
    let mut parts: Vec<String> = Vec::new();
    let place = |values: &mut Vec<Value>, value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    match whose {
        Whose::Reach(Reach::Everywhere) => {}
        Whose::Reach(Reach::Catalogs(list)) => {
            parts.push(format!("p.catalog_id in ({})", placeholders(list, values)));
        }
        Whose::Target(subject) => {
            parts.push(format!("r.subject_id = {}", place(values, (*subject).into())));
        }
        Whose::CreatedBy(subject) => {
            parts.push(format!("r.requestor_id = {}", place(values, (*subject).into())));
        }
        Whose::TargetOrRequestor(subject) => {
            let at = place(values, (*subject).into());
            parts.push(format!("(r.subject_id = {at} or r.requestor_id = {at})"));
        }
        Whose::Approver(user) => {
            let at = place(values, (*user).into());
            parts.push(format!(
                "r.state = 'pendingApproval' and r.id in (select t.request_id
                     from stage_approvers x join approval_stages t on t.id = x.stage_id
                     where x.approver_id = {at} and t.status = 'InProgress')"
            ));
        }
        Whose::TargetManager(user) => {
            parts.push(format!("bu.manager_id = {}", place(values, (*user).into())));
        }
    }
    if let Some(cause) = narrowing.cause {
        let at = place(values, cause.into());
        parts.push(held_up(&format!("d.cause_id = {at} and d.phase <> 'settled'")));
    }
    if let Some(target) = narrowing.target {
        let at = place(values, target.into());
        parts.push(held_up(&format!("d.target_id = {at} and {}", crate::deliveries::undone!())));
    }
    if let Some(text) = &narrowing.text {
        let like: String = text
            .to_lowercase()
            .chars()
            .flat_map(|c| if matches!(c, '%' | '_' | '\\') { vec!['\\', c] } else { vec![c] })
            .collect();
        let at = place(values, Value::Text(format!("%{like}%")));
        parts.push(format!(
            "(lower(qu.display_name) like {at} escape '\\' or lower(bu.display_name) like {at}
                 escape '\\' or qu.user_principal_name_key like {at} escape '\\'
                 or bu.user_principal_name_key like {at} escape '\\')"
        ));
    }
    parts.join(" and ")
}

/// A page of requests, where the next one begins, and how many match in all if that was asked.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    whose: &Whose,
    narrowing: &Narrowing,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Summary>, ListError> {
    let mut values = Vec::new();
    let own = condition(whose, narrowing, &mut values);
    let conditions: &[String] = if own.is_empty() { &[] } else { &[own] };
    let source = Source {
        entity: &REQUESTS,
        columns: &format!("{}{JOINED}", concat!(columns!(), ", ")),
        from: FROM,
        conditions,
        values: &values,
        read: Summary::from_row,
    };
    pages::page(tx, &source, ask, count).await
}

/// One request with its names.
pub async fn get(tx: &mut Tx<'_>, id: RequestId) -> Result<Option<Summary>> {
    let sql = format!("select {}{JOINED} from {FROM} where r.id = $1", concat!(columns!(), ", "));
    tx.query_opt_text(&sql, params![id]).await?.map(|row| Summary::from_row(&row)).transpose()
}

/// What a reprocess plan needs to know of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The request.
    pub request: Request,
    /// Its package's catalog.
    pub catalog: CatalogId,
    /// Whether its subject may hold access.
    pub is_active: bool,
    /// Whether its assignment has ended.
    pub is_ended: bool,
    /// The end of its assignment, if it has one and it ends.
    pub end: Option<accede_domain::Timestamp>,
}

/// The requests that match, as candidates for reprocessing, oldest first, at most `limit`.
///
/// # Errors
///
/// A filter that this list does not have.
pub async fn candidates(
    tx: &mut Tx<'_>,
    whose: &Whose,
    narrowing: &Narrowing,
    filter: Option<&accede_domain::filter::Filter>,
    ids: Option<&[RequestId]>,
    limit: usize,
) -> Result<Vec<Candidate>, ListError> {
    let mut values = Vec::new();
    let mut parts = Vec::new();
    let condition = condition(whose, narrowing, &mut values);
    if !condition.is_empty() {
        parts.push(condition);
    }
    if let Some(filter) = filter {
        let clause = crate::filter::compile(filter, REQUESTS.properties, values.len() + 1)?;
        parts.push(clause.sql);
        values.extend(clause.values);
    }
    if let Some(ids) = ids {
        let places: Vec<String> = ids
            .iter()
            .map(|id| {
                values.push((*id).into());
                format!("${}", values.len())
            })
            .collect();
        let places = if places.is_empty() { "null".to_owned() } else { places.join(", ") };
        parts.push(format!("r.id in ({places})"));
    }
    let restriction =
        if parts.is_empty() { String::new() } else { format!("where {}", parts.join(" and ")) };
    values.push(crate::requests::limit_value(limit).into());
    let sql = format!(
        "select {}p.catalog_id, b.is_active, a.end_at_ms, a.ended_at_ms
         from {FROM} left join assignments a on a.id = r.assignment_id
         {restriction} order by r.created_at_ms, r.id limit ${}",
        concat!(columns!(), ", "),
        values.len()
    );
    let rows = tx.query_text(&sql, &values).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let request = Request::from_row(row)?;
        let end: Option<accede_domain::Timestamp> = row.get(WIDTH + 2)?;
        found.push(Candidate {
            catalog: row.get(WIDTH)?,
            is_active: row.get(WIDTH + 1)?,
            is_ended: row.get::<Option<accede_domain::Timestamp>>(WIDTH + 3)?.is_some(),
            end: end.or(request.end),
            request,
        });
    }
    Ok(found)
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The reader asked for something the list does not have.
    #[error(transparent)]
    Ask(#[from] FilterError),
    /// The database.
    #[error(transparent)]
    Store(#[from] Error),
}
