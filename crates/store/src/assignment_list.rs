//! Lists of assignments: what a reader may filter and order by, and whose assignments they are.

use accede_domain::filter::Direction;
use accede_domain::id::{AssignmentId, CatalogId, PackageId};
use accede_domain::permission::Reach;

use crate::assignments::{Assignment, WIDTH, columns};
use crate::causes::placeholders;
use crate::filter::{Ask, Entity, Kind, Property};
use crate::pages::{self, Listed, Source};
use crate::request_list::{ListError, Somebody, Whose};
use crate::{Result, Row, Tx, Value, params};

/// What assignments can be filtered and ordered by, in Graph's property paths.
pub static ASSIGNMENTS: Entity = Entity {
    name: "assignments",
    properties: &[
        Property::new("id", "a.id", Kind::Id),
        Property::new(
            "state",
            "a.state",
            Kind::Mapped(&[
                ("delivering", &["delivering", "ending"]),
                ("partiallyDelivered", &["partiallyDelivered"]),
                ("delivered", &["delivered"]),
                ("deliveryFailed", &["deliveryFailed"]),
                ("expired", &["expired"]),
            ]),
        ),
        Property::new("createdDateTime", "a.created_at_ms", Kind::Instant).sortable(),
        Property::new("expiredDateTime", "a.expired_at_ms", Kind::Instant).nullable().sortable(),
        Property::new("accessPackage/id", "a.package_id", Kind::Id),
        Property::new("accessPackage/displayName", "p.display_name", Kind::TextNoCase),
        Property::new("accessPackage/catalog/id", "p.catalog_id", Kind::Id),
        Property::new("assignmentPolicy/id", "a.policy_id", Kind::Id).nullable(),
        Property::new("target/id", "a.subject_id", Kind::Id),
        Property::new("target/objectId", "b.object_id", Kind::Id),
        Property::new("target/displayName", "bu.display_name", Kind::TextNoCase),
        Property::new("target/principalName", "bu.user_principal_name", Kind::TextNoCase),
    ],
    unique: &["a.id"],
    order: &[("createdDateTime", Direction::Descending)],
};

const FROM: &str = "assignments a
     join packages p on p.id = a.package_id
     join subjects b on b.id = a.subject_id
     join users bu on bu.id = b.object_id
     left join policies o on o.id = a.policy_id";

const JOINED: &str = "p.display_name, p.description, p.catalog_id, b.object_id, bu.display_name,
     bu.user_principal_name, bu.mail, o.display_name";

/// An assignment in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The assignment.
    pub assignment: Assignment,
    /// Its package's name.
    pub package_name: String,
    /// Its package's description.
    pub package_description: String,
    /// Its package's catalog.
    pub catalog: CatalogId,
    /// Who has it.
    pub beneficiary: Somebody,
    /// Its policy's name.
    pub policy_name: Option<String>,
}

impl Summary {
    fn from_row(row: &Row) -> Result<Summary> {
        let assignment = Assignment::from_row(row)?;
        Ok(Summary {
            package_name: row.get(WIDTH)?,
            package_description: row.get(WIDTH + 1)?,
            catalog: row.get(WIDTH + 2)?,
            beneficiary: Somebody {
                subject: assignment.subject,
                user: row.get(WIDTH + 3)?,
                display_name: row.get(WIDTH + 4)?,
                user_principal_name: row.get(WIDTH + 5)?,
                mail: row.get(WIDTH + 6)?,
            },
            policy_name: row.get(WIDTH + 7)?,
            assignment,
        })
    }
}

fn condition(whose: &Whose, values: &mut Vec<Value>) -> String {
    match whose {
        Whose::Reach(Reach::Everywhere) => String::new(),
        Whose::Reach(Reach::Catalogs(list)) => {
            format!("p.catalog_id in ({})", placeholders(list, values))
        }
        Whose::Target(subject) | Whose::TargetOrRequestor(subject) => {
            values.push((*subject).into());
            format!("a.subject_id = ${}", values.len())
        }
        Whose::CreatedBy(subject) => {
            values.push((*subject).into());
            format!(
                "exists (select 1 from requests r
                     where r.assignment_id = a.id and r.requestor_id = ${})",
                values.len()
            )
        }
        Whose::TargetManager(user) => {
            values.push((*user).into());
            format!("bu.manager_id = ${}", values.len())
        }
        Whose::Approver(user) => {
            values.push((*user).into());
            format!(
                "exists (select 1 from requests r join approval_stages t on t.request_id = r.id
                     where r.assignment_id = a.id and t.reviewed_by = ${})",
                values.len()
            )
        }
    }
}

/// Those who have one package and another one as well.
#[derive(Debug, Clone, Copy)]
pub struct Both {
    /// The package whose assignments are listed.
    pub package: PackageId,
    /// The other one.
    pub other: PackageId,
}

/// A page of assignments, where the next one begins, and how many match in all if that was asked.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    whose: &Whose,
    both: Option<Both>,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Summary>, ListError> {
    let mut values = Vec::new();
    let mut conditions = Vec::new();
    let own = condition(whose, &mut values);
    if !own.is_empty() {
        conditions.push(own);
    }
    if let Some(both) = both {
        values.push(both.package.into());
        values.push(both.other.into());
        let (one, two) = (values.len() - 1, values.len());
        conditions.push(format!(
            "a.package_id = ${one} and a.state not in ('ending', 'expired')
             and exists (select 1 from assignments x
                 where x.subject_id = a.subject_id and x.package_id = ${two}
                     and x.state not in ('ending', 'expired'))"
        ));
    }
    let source = Source {
        entity: &ASSIGNMENTS,
        columns: &format!("{}{JOINED}", concat!(columns!(), ", ")),
        from: FROM,
        conditions: &conditions,
        values: &values,
        read: Summary::from_row,
    };
    pages::page(tx, &source, ask, count).await
}

/// One assignment with its names.
pub async fn get(tx: &mut Tx<'_>, id: AssignmentId) -> Result<Option<Summary>> {
    let sql = format!("select {}{JOINED} from {FROM} where a.id = $1", concat!(columns!(), ", "));
    tx.query_opt_text(&sql, params![id]).await?.map(|row| Summary::from_row(&row)).transpose()
}
