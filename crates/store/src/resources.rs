//! Resources of catalogs with their roles and scopes, and the requests that brought them there.

use accede_domain::Timestamp;
use accede_domain::filter::Direction;
use accede_domain::id::{
    CatalogId, PackageId, ResourceId, ResourceRequestId, ResourceRoleId, ResourceScopeId, TargetId,
};
use accede_domain::permission::Reach;

use crate::filter::{Ask, Entity, Kind, Property};
use crate::many::{places, within};
use crate::pages::{self, Listed, Source};
use crate::request_list::ListError;
use crate::requests::limit_value;
use crate::{Result, Row, Sql, Tx, Value, params};

/// A resource in a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its id.
    pub id: ResourceId,
    /// In which catalog.
    pub catalog: CatalogId,
    /// In which target it lives.
    pub target: TargetId,
    /// That target's name: Graph's `originSystem`.
    pub origin_system: String,
    /// Its id in the target.
    pub origin_id: String,
    /// Name for people.
    pub display_name: String,
    /// What it is.
    pub description: Option<String>,
    /// Whether access that somebody had before is left alone when an assignment ends.
    pub keep_pre_existing: bool,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed or read again from its target.
    pub modified_at: Timestamp,
}

/// A role of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: ResourceRoleId,
    /// Of which resource.
    pub resource: ResourceId,
    /// Its id in the target, such as `Member_{resource}`.
    pub origin_id: String,
    /// Name for people.
    pub display_name: String,
    /// What it gives.
    pub description: Option<String>,
}

/// A scope of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Its id.
    pub id: ResourceScopeId,
    /// Of which resource.
    pub resource: ResourceId,
    /// Its id in the target; the resource's own for the root scope.
    pub origin_id: String,
    /// Name for people.
    pub display_name: String,
    /// What it covers.
    pub description: Option<String>,
    /// Whether it is the whole resource.
    pub is_root: bool,
}

macro_rules! columns {
    () => {
        "r.id, r.catalog_id, r.target_id, t.name, r.origin_id, r.display_name, r.description,
         r.keep_pre_existing, r.created_at_ms, r.modified_at_ms"
    };
}
pub(crate) use columns;

macro_rules! role_columns {
    () => {
        "o.id, o.resource_id, o.origin_id, o.display_name, o.description"
    };
}
macro_rules! scope_columns {
    () => {
        "s.id, s.resource_id, s.origin_id, s.display_name, s.description, s.is_root_scope"
    };
}
impl Resource {
    pub(crate) fn from_row(row: &Row) -> Result<Resource> {
        Self::from_row_at(row, 0)
    }

    pub(crate) fn from_row_at(row: &Row, first: usize) -> Result<Resource> {
        Ok(Resource {
            id: row.get(first)?,
            catalog: row.get(first + 1)?,
            target: row.get(first + 2)?,
            origin_system: row.get(first + 3)?,
            origin_id: row.get(first + 4)?,
            display_name: row.get(first + 5)?,
            description: row.get(first + 6)?,
            keep_pre_existing: row.get(first + 7)?,
            created_at: row.get(first + 8)?,
            modified_at: row.get(first + 9)?,
        })
    }
}

impl Role {
    pub(crate) fn from_row(row: &Row) -> Result<Role> {
        Ok(Role {
            id: row.get(0)?,
            resource: row.get(1)?,
            origin_id: row.get(2)?,
            display_name: row.get(3)?,
            description: row.get(4)?,
        })
    }
}

impl Scope {
    pub(crate) fn from_row(row: &Row) -> Result<Scope> {
        Ok(Scope {
            id: row.get(0)?,
            resource: row.get(1)?,
            origin_id: row.get(2)?,
            display_name: row.get(3)?,
            description: row.get(4)?,
            is_root: row.get(5)?,
        })
    }
}

/// Adds a resource; [`crate::Error::Duplicate`] when the catalog has it already.
pub async fn insert(tx: &mut Tx<'_>, resource: &Resource) -> Result<()> {
    tx.execute(
        "insert into resources (id, catalog_id, target_id, origin_id, display_name, description,
             keep_pre_existing, created_at_ms, modified_at_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            resource.id,
            resource.catalog,
            resource.target,
            &resource.origin_id,
            &resource.display_name,
            resource.description.clone(),
            resource.keep_pre_existing,
            resource.created_at,
            resource.modified_at
        ],
    )
    .await?;
    Ok(())
}

/// Adds a role to a resource.
pub async fn insert_role(tx: &mut Tx<'_>, role: &Role) -> Result<()> {
    tx.execute(
        "insert into resource_roles (id, resource_id, origin_id, display_name, description)
         values ($1, $2, $3, $4, $5)",
        params![
            role.id,
            role.resource,
            &role.origin_id,
            &role.display_name,
            role.description.clone()
        ],
    )
    .await?;
    Ok(())
}

/// Adds a scope to a resource.
pub async fn insert_scope(tx: &mut Tx<'_>, scope: &Scope) -> Result<()> {
    tx.execute(
        "insert into resource_scopes (id, resource_id, origin_id, display_name, description,
             is_root_scope)
         values ($1, $2, $3, $4, $5, $6)",
        params![
            scope.id,
            scope.resource,
            &scope.origin_id,
            &scope.display_name,
            scope.description.clone(),
            scope.is_root
        ],
    )
    .await?;
    Ok(())
}

/// Reads a resource.
pub async fn get(tx: &mut Tx<'_>, id: ResourceId) -> Result<Option<Resource>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from resources r join targets t on t.id = r.target_id where r.id = $1"
        ),
        params![id],
    )
    .await?
    .map(|row| Resource::from_row(&row))
    .transpose()
}

/// Reads several resources, in no order.
pub async fn get_all(tx: &mut Tx<'_>, ids: &[ResourceId]) -> Result<Vec<Resource>> {
    let mut values = Vec::new();
    let list = places(ids, &mut values);
    let text = format!(
        "select {} from resources r join targets t on t.id = r.target_id where r.id in ({list})",
        columns!()
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(Resource::from_row).collect()
}

/// The resources of several catalogs, by name, at most `limit`.
pub async fn of_catalogs(
    tx: &mut Tx<'_>,
    catalogs: &[CatalogId],
    limit: usize,
) -> Result<Vec<Resource>> {
    let mut values = Vec::new();
    let list = places(catalogs, &mut values);
    values.push(limit_value(limit).into());
    let text = format!(
        "select {} from resources r join targets t on t.id = r.target_id
         where r.catalog_id in ({list}) order by r.display_name, r.id limit ${}",
        columns!(),
        values.len()
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(Resource::from_row).collect()
}

/// Finds a catalog's resource by what it is in its target.
pub async fn find(
    tx: &mut Tx<'_>,
    catalog: CatalogId,
    target: TargetId,
    origin_id: &str,
) -> Result<Option<Resource>> {
    tx.query_opt(
        concat!(
            "select ",
            columns!(),
            " from resources r join targets t on t.id = r.target_id
             where r.catalog_id = $1 and r.target_id = $2 and r.origin_id = $3"
        ),
        params![catalog, target, origin_id],
    )
    .await?
    .map(|row| Resource::from_row(&row))
    .transpose()
}

/// Reads a resource and holds its row until the transaction ends.
pub async fn lock(tx: &mut Tx<'_>, id: ResourceId) -> Result<Option<Resource>> {
    const LITE: &str = concat!(
        "select ",
        columns!(),
        " from resources r join targets t on t.id = r.target_id where r.id = $1"
    );
    const PG: &str = concat!(
        "select ",
        columns!(),
        " from resources r join targets t on t.id = r.target_id where r.id = $1 for update of r"
    );
    tx.query_opt(Sql::new(LITE, PG), params![id])
        .await?
        .map(|row| Resource::from_row(&row))
        .transpose()
}

/// Saves a resource's names and whether pre-existing access is kept.
pub async fn save(tx: &mut Tx<'_>, resource: &Resource) -> Result<()> {
    tx.execute(
        "update resources
         set display_name = $2, description = $3, keep_pre_existing = $4, modified_at_ms = $5
         where id = $1",
        params![
            resource.id,
            &resource.display_name,
            resource.description.clone(),
            resource.keep_pre_existing,
            resource.modified_at
        ],
    )
    .await?;
    Ok(())
}

/// Gives a role its present names.
pub async fn save_role(tx: &mut Tx<'_>, role: &Role) -> Result<()> {
    tx.execute(
        "update resource_roles set display_name = $2, description = $3 where id = $1",
        params![role.id, &role.display_name, role.description.clone()],
    )
    .await?;
    Ok(())
}

/// Deletes a role that no package uses; says whether it did.
pub async fn delete_unused_role(tx: &mut Tx<'_>, id: ResourceRoleId) -> Result<bool> {
    let changed = tx
        .execute(
            "delete from resource_roles
             where id = $1
                 and not exists (select 1 from resource_role_scopes where role_id = $1)",
            params![id],
        )
        .await?;
    Ok(changed == 1)
}

/// Deletes a resource that no package uses, with its roles and scopes.
pub async fn delete(tx: &mut Tx<'_>, id: ResourceId) -> Result<()> {
    for sql in [
        "delete from resource_roles where resource_id = $1",
        "delete from resource_scopes where resource_id = $1",
        "delete from resources where id = $1",
    ] {
        tx.execute(sql, params![id]).await?;
    }
    Ok(())
}

/// The roles of several resources, by name.
pub async fn roles(tx: &mut Tx<'_>, resources: &[ResourceId]) -> Result<Vec<Role>> {
    let mut values = Vec::new();
    let list = places(resources, &mut values);
    let text = format!(
        "select {} from resource_roles o where o.resource_id in ({list})
         order by o.display_name, o.id",
        role_columns!()
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(Role::from_row).collect()
}

/// The scopes of several resources, the root first.
pub async fn scopes(tx: &mut Tx<'_>, resources: &[ResourceId]) -> Result<Vec<Scope>> {
    let mut values = Vec::new();
    let list = places(resources, &mut values);
    let text = format!(
        "select {} from resource_scopes s where s.resource_id in ({list})
         order by (case when s.is_root_scope then 0 else 1 end), s.display_name, s.id",
        scope_columns!()
    );
    let rows = tx.query_text(&text, &values).await?;
    rows.iter().map(Scope::from_row).collect()
}

/// Reads a role.
pub async fn role(tx: &mut Tx<'_>, id: ResourceRoleId) -> Result<Option<Role>> {
    tx.query_opt(
        concat!("select ", role_columns!(), " from resource_roles o where o.id = $1"),
        params![id],
    )
    .await?
    .map(|row| Role::from_row(&row))
    .transpose()
}

/// Reads a scope.
pub async fn scope(tx: &mut Tx<'_>, id: ResourceScopeId) -> Result<Option<Scope>> {
    tx.query_opt(
        concat!("select ", scope_columns!(), " from resource_scopes s where s.id = $1"),
        params![id],
    )
    .await?
    .map(|row| Scope::from_row(&row))
    .transpose()
}

/// The packages that give a role of this resource, by name, at most `limit`.
pub async fn packages_using(
    tx: &mut Tx<'_>,
    id: ResourceId,
    limit: usize,
) -> Result<Vec<(PackageId, String)>> {
    let rows = tx
        .query(
            "select distinct p.id, p.display_name
             from resource_roles o join resource_role_scopes x on x.role_id = o.id
                 join packages p on p.id = x.package_id
             where o.resource_id = $1 order by p.display_name, p.id limit $2",
            params![id, limit_value(limit)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// What a resource request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestType {
    /// Add a resource to a catalog.
    AdminAdd,
    /// Change it.
    AdminUpdate,
    /// Remove it.
    AdminRemove,
}

impl RequestType {
    /// Every type.
    pub const ALL: [RequestType; 3] =
        [RequestType::AdminAdd, RequestType::AdminUpdate, RequestType::AdminRemove];

    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            RequestType::AdminAdd => "adminAdd",
            RequestType::AdminUpdate => "adminUpdate",
            RequestType::AdminRemove => "adminRemove",
        }
    }

    /// The type of that name, matched without case.
    pub fn parse(name: &str) -> Option<RequestType> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// A resource as a request named it; kept when the resource is gone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Its id in the target.
    pub origin_id: String,
    /// Its target's name.
    pub origin_system: String,
    /// Its name for people at that time.
    pub display_name: String,
    /// What it was.
    pub description: Option<String>,
}

/// The record of adding, changing or removing a resource. Its state is always `delivered`: a
/// request that cannot be fulfilled is refused and leaves no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRequest {
    /// Its id.
    pub id: ResourceRequestId,
    /// What was asked.
    pub request_type: RequestType,
    /// In which catalog; `None` once that was deleted.
    pub catalog: Option<CatalogId>,
    /// Which resource.
    pub resource: Option<ResourceId>,
    /// The resource as it was then.
    pub named: Named,
    /// When.
    pub created_at: Timestamp,
}

macro_rules! request_columns {
    () => {
        "q.id, q.request_type, q.catalog_id, q.resource_id, q.resource, q.created_at_ms"
    };
}
impl ResourceRequest {
    pub(crate) fn from_row(row: &Row) -> Result<ResourceRequest> {
        Ok(ResourceRequest {
            id: row.get(0)?,
            request_type: crate::requests::named(RequestType::parse, &row.get::<String>(1)?)?,
            catalog: row.get(2)?,
            resource: row.get(3)?,
            named: row.json(4)?,
            created_at: row.get(5)?,
        })
    }
}

/// Records a resource request.
pub async fn insert_request(tx: &mut Tx<'_>, request: &ResourceRequest) -> Result<()> {
    tx.execute(
        "insert into resource_requests (id, request_type, state, catalog_id, resource_id, resource,
             created_at_ms)
         values ($1, $2, 'delivered', $3, $4, $5, $6)",
        params![
            request.id,
            request.request_type.name(),
            request.catalog,
            request.resource,
            Value::json(&request.named)?,
            request.created_at
        ],
    )
    .await?;
    Ok(())
}

/// Reads a resource request.
pub async fn request(tx: &mut Tx<'_>, id: ResourceRequestId) -> Result<Option<ResourceRequest>> {
    tx.query_opt(
        concat!("select ", request_columns!(), " from resource_requests q where q.id = $1"),
        params![id],
    )
    .await?
    .map(|row| ResourceRequest::from_row(&row))
    .transpose()
}

/// What resources can be filtered and ordered by, in Graph's property paths.
pub static RESOURCES: Entity = Entity {
    name: "resources",
    properties: &[
        Property::new("id", "r.id", Kind::Id),
        Property::new("displayName", "r.display_name", Kind::TextNoCase).sortable(),
        Property::new("description", "r.description", Kind::TextNoCase).nullable(),
        Property::new("originId", "r.origin_id", Kind::Text),
        Property::new("originSystem", "t.name", Kind::TextNoCase),
        Property::new("environment/id", "r.target_id", Kind::Id),
        Property::new("catalog/id", "r.catalog_id", Kind::Id),
        Property::new("createdDateTime", "r.created_at_ms", Kind::Instant).sortable(),
        Property::new("modifiedDateTime", "r.modified_at_ms", Kind::Instant).sortable(),
    ],
    unique: &["r.id"],
    order: &[("displayName", Direction::Ascending)],
};

/// What roles can be filtered and ordered by, in Graph's property paths.
pub static ROLES: Entity = Entity {
    name: "resourceRoles",
    properties: &[
        Property::new("id", "o.id", Kind::Id),
        Property::new("displayName", "o.display_name", Kind::TextNoCase).sortable(),
        Property::new("originId", "o.origin_id", Kind::Text),
        Property::new("originSystem", "t.name", Kind::TextNoCase),
        Property::new("resource/id", "o.resource_id", Kind::Id),
        Property::new("resource/originId", "r.origin_id", Kind::Text),
        Property::new("resource/originSystem", "t.name", Kind::TextNoCase),
        Property::new("resource/displayName", "r.display_name", Kind::TextNoCase),
    ],
    unique: &["o.id"],
    order: &[("displayName", Direction::Ascending)],
};

/// What scopes can be filtered and ordered by, in Graph's property paths.
pub static SCOPES: Entity = Entity {
    name: "resourceScopes",
    properties: &[
        Property::new("id", "s.id", Kind::Id),
        Property::new("displayName", "s.display_name", Kind::TextNoCase).sortable(),
        Property::new("originId", "s.origin_id", Kind::Text),
        Property::new("originSystem", "t.name", Kind::TextNoCase),
        Property::new("isRootScope", "s.is_root_scope", Kind::Bool),
        Property::new("resource/id", "s.resource_id", Kind::Id),
        Property::new("resource/originId", "r.origin_id", Kind::Text),
        Property::new("resource/originSystem", "t.name", Kind::TextNoCase),
    ],
    unique: &["s.id"],
    order: &[("displayName", Direction::Ascending)],
};

/// What resource requests can be filtered and ordered by, in Graph's property paths.
pub static RESOURCE_REQUESTS: Entity = Entity {
    name: "resourceRequests",
    properties: &[
        Property::new("id", "q.id", Kind::Id),
        Property::new(
            "requestType",
            "q.request_type",
            Kind::Enum(&["adminAdd", "adminUpdate", "adminRemove"]),
        ),
        Property::new("state", "q.state", Kind::Enum(&["delivered"])),
        Property::new("catalog/id", "q.catalog_id", Kind::Id).nullable(),
        Property::new("resource/id", "q.resource_id", Kind::Id).nullable(),
        Property::new("createdDateTime", "q.created_at_ms", Kind::Instant).sortable(),
    ],
    unique: &["q.id"],
    order: &[("createdDateTime", Direction::Descending)],
};

/// Which part of a list is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// What the reader may see.
    pub reach: &'a Reach,
    /// Of one catalog only.
    pub catalog: Option<CatalogId>,
    /// In one target only.
    pub target: Option<TargetId>,
}

impl Part<'_> {
    fn conditions(&self, values: &mut Vec<Value>) -> Vec<String> {
        let mut conditions: Vec<String> =
            within(self.reach, "r.catalog_id", values).into_iter().collect();
        if let Some(catalog) = self.catalog {
            values.push(catalog.into());
            conditions.push(format!("r.catalog_id = ${}", values.len()));
        }
        if let Some(target) = self.target {
            values.push(target.into());
            conditions.push(format!("r.target_id = ${}", values.len()));
        }
        conditions
    }
}

/// A page of resources.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page(
    tx: &mut Tx<'_>,
    part: Part<'_>,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Resource>, ListError> {
    let mut values = Vec::new();
    let conditions = part.conditions(&mut values);
    let source = Source {
        entity: &RESOURCES,
        columns: columns!(),
        from: "resources r join targets t on t.id = r.target_id",
        conditions: &conditions,
        values: &values,
        read: Resource::from_row,
    };
    pages::page(tx, &source, ask, count).await
}

/// A page of the roles of resources.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page_of_roles(
    tx: &mut Tx<'_>,
    part: Part<'_>,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Role>, ListError> {
    let mut values = Vec::new();
    let conditions = part.conditions(&mut values);
    let source = Source {
        entity: &ROLES,
        columns: role_columns!(),
        from: "resource_roles o join resources r on r.id = o.resource_id
             join targets t on t.id = r.target_id",
        conditions: &conditions,
        values: &values,
        read: Role::from_row,
    };
    pages::page(tx, &source, ask, count).await
}

/// A page of the scopes of resources.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page_of_scopes(
    tx: &mut Tx<'_>,
    part: Part<'_>,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<Scope>, ListError> {
    let mut values = Vec::new();
    let conditions = part.conditions(&mut values);
    let source = Source {
        entity: &SCOPES,
        columns: scope_columns!(),
        from: "resource_scopes s join resources r on r.id = s.resource_id
             join targets t on t.id = r.target_id",
        conditions: &conditions,
        values: &values,
        read: Scope::from_row,
    };
    pages::page(tx, &source, ask, count).await
}

/// A page of the resource requests in reach.
///
/// # Errors
///
/// A filter, order or mark that this list does not have.
pub async fn page_of_requests(
    tx: &mut Tx<'_>,
    reach: &Reach,
    ask: Ask<'_>,
    count: bool,
) -> Result<Listed<ResourceRequest>, ListError> {
    let mut values = Vec::new();
    let conditions: Vec<String> = within(reach, "q.catalog_id", &mut values).into_iter().collect();
    let source = Source {
        entity: &RESOURCE_REQUESTS,
        columns: request_columns!(),
        from: "resource_requests q",
        conditions: &conditions,
        values: &values,
        read: ResourceRequest::from_row,
    };
    pages::page(tx, &source, ask, count).await
}

/// Lets what was delivered for a resource's roles know whether pre-existing access is kept.
pub async fn spread_keep_pre_existing(tx: &mut Tx<'_>, id: ResourceId, keep: bool) -> Result<u64> {
    tx.execute(
        "update deliveries set keep_pre_existing = $2
         where role_id in (select id from resource_roles where resource_id = $1)",
        params![id, keep],
    )
    .await
}
