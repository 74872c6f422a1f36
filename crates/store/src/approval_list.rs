//! Lists of approvals: of which requests somebody is, was or will be an approver, or has asked.

use accede_domain::filter::Direction;
use accede_domain::id::{RequestId, SubjectId, UserId};

use crate::filter::{Ask, Entity, Kind, Property};
use crate::pages::{self, Listed, Source};
use crate::request_list::ListError;
use crate::{Row, Tx, Value};

/// What approvals can be filtered and ordered by. An approval's id is its request's.
pub static APPROVALS: Entity = Entity {
    name: "approvals",
    properties: &[
        Property::new("id", "r.id", Kind::Id),
        Property::new("createdDateTime", "r.created_at_ms", Kind::Instant).sortable(),
    ],
    unique: &["r.id"],
    order: &[("createdDateTime", Direction::Descending)],
};

/// Which approvals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Involved {
    /// With an open stage that awaits this person.
    Awaited(UserId),
    /// With a stage that this person is or was asked to decide.
    Asked(UserId),
    /// Of requests for this subject.
    About(SubjectId),
    /// Of requests that this subject made.
    By(SubjectId),
}

const FROM_APPROVERS: &str = "stage_approvers x join approval_stages t on t.id = x.stage_id
     join requests r on r.id = t.request_id";

impl Involved {
    fn from(self) -> &'static str {
        match self {
            Involved::Awaited(_) | Involved::Asked(_) => FROM_APPROVERS,
            Involved::About(_) | Involved::By(_) => "requests r",
        }
    }

    /// Only the first of somebody's stages counts, so that no approval is listed twice.
    fn condition(self) -> &'static str {
        match self {
            Involved::Awaited(_) => {
                "x.approver_id = $1 and t.status = 'InProgress' and r.state = 'pendingApproval'"
            }
            Involved::Asked(_) => {
                "x.approver_id = $1 and not exists (
                     select 1 from approval_stages e join stage_approvers y on y.stage_id = e.id
                     where e.request_id = t.request_id and e.position < t.position
                         and y.approver_id = x.approver_id)"
            }
            Involved::About(_) => {
                "r.subject_id = $1
                 and exists (select 1 from approval_stages t where t.request_id = r.id)"
            }
            Involved::By(_) => {
                "r.requestor_id = $1
                 and exists (select 1 from approval_stages t where t.request_id = r.id)"
            }
        }
    }

    fn value(self) -> Value {
        match self {
            Involved::Awaited(user) | Involved::Asked(user) => user.into(),
            Involved::About(subject) | Involved::By(subject) => subject.into(),
        }
    }
}

/// A page of approvals, as the ids of their requests; newest first if no order is asked.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    involved: Involved,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<RequestId>, ListError> {
    let source = Source {
        entity: &APPROVALS,
        columns: "r.id",
        from: involved.from(),
        conditions: &[involved.condition().to_owned()],
        values: &[involved.value()],
        read: |row: &Row| row.get(0),
    };
    pages::page(tx, &source, ask, count).await
}
