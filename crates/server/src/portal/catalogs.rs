//! Catalogs: what they hold, who looks after them.

use accede_app::catalogs::{
    Catalog, CatalogChange, CatalogView, CatalogWith, NewCatalog, State as Open,
};
use accede_app::resources::{NewResource, ResourceView, ResourceWith, Which};
use accede_app::role_assignments::DirectoryObject;
use accede_app::{App, Listing};
use accede_domain::filter::Filter;
use accede_domain::id::{CatalogId, ResourceId, RoleAssignmentId, TargetId};
use accede_domain::permission::{Action, Role};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use uuid::Uuid;

use super::confirm::ConfirmPage;
use super::form::{Address, Asked, Fields, Posted, id};
use super::form_page::{FormPage, Wrong, again};
use super::input::{Input, choice};
use super::part::{Badge, Frame, Notice, Place, SignInName, Tone, When, plural};
use super::problem::{self, Result, sentence};
use super::session::Session;
use super::{Web, frame, page, see, words};

/// Catalogs on a page.
const ON_A_PAGE: usize = 100;
/// Resources of a target to choose from at once.
const MAX_FOUND: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/catalogs", get(list))
        .route("/governance/catalogs/new", get(new).post(create))
        .route("/governance/catalogs/{id}", get(show))
        .route("/governance/catalogs/{id}/edit", get(edit).post(change))
        .route("/governance/catalogs/{id}/delete", get(ask_delete).post(delete))
        .route("/governance/catalogs/{id}/resources/add", get(choose).post(add))
        .route("/governance/catalogs/{id}/resources/{resource}/remove", get(ask).post(remove))
        .route("/governance/catalogs/{id}/roles/add", post(give))
        .route("/governance/catalogs/{id}/roles/{assignment}/remove", post(take))
}

fn state(open: Open) -> Badge {
    match open {
        Open::Published => Badge::new(Tone::Ok, "ok", "Enabled"),
        Open::Unpublished => Badge::new(Tone::Idle, "off", "Not enabled"),
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "catalogs.html")]
pub struct CatalogsPage {
    frame: Frame,
    rows: Vec<Row>,
    may_create: bool,
    next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    name: String,
    description: String,
    state: Badge,
    packages: usize,
    resources: usize,
    changed: When,
}

impl Row {
    fn of(view: &CatalogView) -> Row {
        Row {
            id: view.catalog.id.to_string(),
            name: view.catalog.display_name.clone(),
            description: view.catalog.description.clone(),
            state: state(view.catalog.state),
            packages: view.packages.as_ref().map_or(0, Vec::len),
            resources: view.resources.as_ref().map_or(0, Vec::len),
            changed: When::minute(view.catalog.modified_at),
        }
    }
}

async fn list(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let after = fields.get("after").map(str::to_owned);
    let listing = Listing { top: Some(ON_A_PAGE), after, ..Listing::default() };
    let with = CatalogWith { packages: true, resources: Some(ResourceWith::default()) };
    let found = app.catalogs(&session.caller, &listing, with).await?;
    let address = Address::new("/governance/catalogs");
    page(&CatalogsPage {
        frame: frame(Some(&session), "Catalogs", Place::Catalogs)
            .notice(words::done(fields.get("done"))),
        rows: found.items.iter().map(Row::of).collect(),
        may_create: session.caller.may_everywhere(Action::CreateCatalog).is_ok(),
        next: found.next.map(|mark| address.with("after", mark).text()),
    })
}

/// The form of a catalog, new or not.
fn form(frame: Frame, action: String, typed: &Fields, wrong: &Wrong, is_new: bool) -> FormPage {
    let opened = typed.get("state") != Some("unpublished");
    FormPage {
        frame,
        lead:
            "A catalog holds resources, and the access packages made of them. Who looks after it \
               is decided per catalog."
                .to_owned(),
        back: action.trim_end_matches("/new").trim_end_matches("/edit").to_owned(),
        action,
        hidden: Vec::new(),
        fields: vec![
            Input::line("displayName", "Name", typed.typed("displayName"), 256)
                .required()
                .wrong(wrong.with("displayName")),
            Input::text("description", "Description", typed.typed("description"), 1_024)
                .hint("People who request from it read it.")
                .wrong(wrong.with("description")),
            Input::one_of(
                "state",
                "Enabled",
                vec![
                    choice("published", "Yes: its access packages can be requested", opened),
                    choice("unpublished", "No: only administrators assign them", !opened),
                ],
            ),
            Input::check("external", "Enabled for external users", typed.has("external"))
                .hint("Guests can request its access packages where a policy admits them."),
        ],
        button: if is_new { "Create the catalog" } else { "Save" },
    }
}

fn opened(fields: &Fields) -> Open {
    match fields.get("state") {
        Some("unpublished") => Open::Unpublished,
        _ => Open::Published,
    }
}

async fn new(session: Session, Asked(fields): Asked) -> Result {
    session.caller.may_everywhere(Action::CreateCatalog)?;
    page(&new_form(&session, &fields, &Wrong::default()))
}

fn new_form(session: &Session, fields: &Fields, wrong: &Wrong) -> FormPage {
    let frame = frame(Some(session), "New catalog", Place::Catalogs)
        .crumb("Catalogs", "/governance/catalogs");
    form(frame, "/governance/catalogs/new".to_owned(), fields, wrong, true)
}

async fn create(State(app): State<App>, Posted { session, fields }: Posted) -> Result {
    let new = NewCatalog {
        display_name: fields.get("displayName").unwrap_or_default().to_owned(),
        description: fields.get("description").unwrap_or_default().to_owned(),
        state: opened(&fields),
        is_externally_visible: fields.has("external"),
    };
    match app.create_catalog(&session.caller, &new, None).await {
        Ok(catalog) => Ok(see(format!("/governance/catalogs/{}?done=created", catalog.id))),
        Err(error) => again(error, |wrong| new_form(&session, &fields, wrong)),
    }
}

fn edit_form(session: &Session, catalog: &Catalog, fields: &Fields, wrong: &Wrong) -> FormPage {
    let frame = below(session, "Edit the catalog", catalog);
    form(frame, format!("/governance/catalogs/{}/edit", catalog.id), fields, wrong, false)
}

/// A frame under the page of a catalog.
fn below(session: &Session, title: impl Into<String>, catalog: &Catalog) -> Frame {
    frame(Some(session), title, Place::Catalogs)
        .crumb("Catalogs", "/governance/catalogs")
        .crumb(&catalog.display_name, format!("/governance/catalogs/{}", catalog.id))
}

async fn edit(State(app): State<App>, session: Session, Path(catalog): Path<String>) -> Result {
    let catalog: CatalogId = id("catalog", &catalog)?;
    session.caller.may_on(Action::EditCatalog, catalog, Action::ReadCatalog, "catalog", catalog)?;
    let view = app.catalog(&session.caller, catalog, CatalogWith::default()).await?;
    let external = if view.catalog.is_externally_visible { "yes" } else { "" };
    let fields = Fields::of([
        ("displayName", view.catalog.display_name.clone()),
        ("description", view.catalog.description.clone()),
        ("state", view.catalog.state.name().to_owned()),
        ("external", external.to_owned()),
    ]);
    page(&edit_form(&session, &view.catalog, &fields, &Wrong::default()))
}

async fn change(
    State(app): State<App>,
    Path(catalog): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let catalog: CatalogId = id("catalog", &catalog)?;
    // Rights speak before what is typed.
    session.caller.may_on(Action::EditCatalog, catalog, Action::ReadCatalog, "catalog", catalog)?;
    let change = CatalogChange {
        display_name: Some(fields.get("displayName").unwrap_or_default().to_owned()),
        description: Some(fields.get("description").unwrap_or_default().to_owned()),
        state: Some(opened(&fields)),
        is_externally_visible: Some(fields.has("external")),
        ..CatalogChange::default()
    };
    match app.change_catalog(&session.caller, catalog, &change).await {
        Ok(_) => Ok(see(format!("/governance/catalogs/{catalog}?done=saved"))),
        Err(error) => {
            let view = app.catalog(&session.caller, catalog, CatalogWith::default()).await?;
            again(error, |wrong| edit_form(&session, &view.catalog, &fields, wrong))
        }
    }
}

/// The page that asks before a catalog is deleted.
async fn deletion(app: &App, session: &Session, catalog: CatalogId) -> Result<ConfirmPage> {
    let (edit, read) = (Action::EditCatalog, Action::ReadCatalog);
    session.caller.may_on(edit, catalog, read, "catalog", catalog)?;
    let with = CatalogWith { packages: true, ..CatalogWith::default() };
    let view = app.catalog(&session.caller, catalog, with).await?;
    let back = format!("/governance/catalogs/{catalog}");
    let inside = view.packages.as_ref().map_or(0, Vec::len);
    let mut sentences = vec![
        "It goes for good, with its list of resources and the roles that people have on it."
            .to_owned(),
        "Nothing is changed in the target systems.".to_owned(),
    ];
    if 0 < inside {
        let many = plural(i64::try_from(inside).unwrap_or(i64::MAX), "access package");
        sentences.push(format!(
            "It cannot be deleted while it holds access packages: {many}. Delete these first."
        ));
    }
    Ok(ConfirmPage {
        frame: below(session, format!("Delete {}?", view.catalog.display_name), &view.catalog),
        sentences,
        action: format!("{back}/delete"),
        hidden: Vec::new(),
        button: "Delete the catalog".to_owned(),
        back,
    })
}

async fn ask_delete(
    State(app): State<App>,
    session: Session,
    Path(catalog): Path<String>,
) -> Result {
    page(&deletion(&app, &session, id("catalog", &catalog)?).await?)
}

async fn delete(
    State(app): State<App>,
    Path(catalog): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    let catalog: CatalogId = id("catalog", &catalog)?;
    match app.delete_catalog(&session.caller, catalog, None).await {
        Ok(()) => Ok(see("/governance/catalogs?done=deleted")),
        Err(error) => deletion(&app, &session, catalog).await?.refused(error),
    }
}

/// The page of one catalog.
#[derive(Debug, Template)]
#[template(path = "catalog.html")]
pub struct CatalogPage {
    frame: Frame,
    id: String,
    description: String,
    state: Badge,
    packages: Vec<(String, String)>,
    resources: Vec<Held>,
    people: Vec<Delegate>,
    is_external: bool,
    give: Give,
    may_edit: bool,
    may_packages: bool,
    may_resources: bool,
    may_delegate: bool,
}

/// The form that gives a role on a catalog: what was typed, what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Give {
    who: String,
    roles: Vec<super::requests::Choosable>,
    error: Option<String>,
}

impl Give {
    fn of(fields: &Fields, error: Option<String>) -> Give {
        let chosen = fields.get("role");
        let roles = on_catalogs().map(|role| {
            let definition = role.definition().to_string();
            let is_chosen = chosen == Some(definition.as_str());
            choice(definition, role.name(), is_chosen)
        });
        Give { who: fields.typed("who"), roles: roles.collect(), error }
    }
}

/// A resource of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    id: String,
    name: String,
    target: String,
    roles: Vec<String>,
}

/// Somebody with a role on a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Delegate {
    id: String,
    who: String,
    name: SignInName,
    role: &'static str,
}

async fn show(
    State(app): State<App>,
    session: Session,
    Path(catalog): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let catalog: CatalogId = id("catalog", &catalog)?;
    let give = Give::of(&Fields::default(), None);
    page(&catalog_page(&app, &session, catalog, &fields, give).await?)
}

async fn catalog_page(
    app: &App,
    session: &Session,
    catalog: CatalogId,
    fields: &Fields,
    give: Give,
) -> Result<CatalogPage> {
    let shown = ResourceWith { roles: true, environment: true, scopes: false };
    let with = CatalogWith { packages: true, resources: Some(shown) };
    let view = app.catalog(&session.caller, catalog, with).await?;
    let may = |action| session.caller.reach(action).includes(catalog);
    let people = delegates(app, session, catalog).await?;
    let notice = match (fields.get("done"), fields.get("one")) {
        (Some("given"), Some(one)) => people.iter().find(|other| other.id == one).map(|given| {
            Notice::new(Tone::Ok, format!("{} has the role {} now.", given.who, given.role))
        }),
        (code, _) => words::done(code),
    };
    Ok(CatalogPage {
        frame: frame(Some(session), &view.catalog.display_name, Place::Catalogs)
            .crumb("Catalogs", "/governance/catalogs")
            .notice(notice),
        id: catalog.to_string(),
        description: view.catalog.description,
        state: state(view.catalog.state),
        packages: view
            .packages
            .unwrap_or_default()
            .into_iter()
            .map(|package| (package.id.to_string(), package.display_name))
            .collect(),
        resources: view.resources.unwrap_or_default().into_iter().map(Held::of).collect(),
        people,
        is_external: view.catalog.is_externally_visible,
        give,
        may_edit: may(Action::EditCatalog),
        may_packages: may(Action::ManagePackages),
        may_resources: may(Action::ManageResources),
        may_delegate: may(Action::Delegate),
    })
}

impl Held {
    fn of(view: ResourceView) -> Held {
        Held {
            id: view.resource.id.to_string(),
            name: view.resource.display_name,
            target: view.environment.map(|target| target.display_name).unwrap_or_default(),
            roles: view.roles.unwrap_or_default().into_iter().map(|r| r.display_name).collect(),
        }
    }
}

fn on_catalogs() -> impl Iterator<Item = Role> {
    Role::ALL.into_iter().filter(|role| !role.is_organization_wide())
}

async fn delegates(app: &App, session: &Session, catalog: CatalogId) -> Result<Vec<Delegate>> {
    let scope = accede_app::role_assignments::scope(Some(catalog));
    let filter = Filter::parse(&format!("appScopeId eq '{scope}'"));
    let listing = Listing {
        filter: Some(filter.map_err(accede_app::Error::internal)?),
        top: Some(accede_app::list::MAX_TOP),
        ..Listing::default()
    };
    let found = app.list_role_assignments(&session.caller, &listing).await?.items;
    let ids: Vec<Uuid> = found.iter().map(|one| one.principal).collect();
    let objects = app.directory_objects(&session.caller, &ids).await?;
    let name = |id: Uuid| {
        objects.iter().find_map(|object| match object {
            DirectoryObject::User(user) if user.id.0 == id => {
                Some((user.display_name.clone(), user.user_principal_name.clone()))
            }
            DirectoryObject::Group(group) if group.id.0 == id => {
                Some((group.display_name.clone(), "members of this group".to_owned()))
            }
            DirectoryObject::Application(app) if app.id.0 == id => {
                Some((app.display_name.clone(), "application".to_owned()))
            }
            _ => None,
        })
    };
    let mut people: Vec<Delegate> = found
        .iter()
        .filter_map(|one| {
            let role = Role::of(one.role)?;
            let (who, name) = name(one.principal)
                .unwrap_or_else(|| (one.principal.to_string(), "deleted".to_owned()));
            let name = SignInName::new(&name);
            Some(Delegate { id: one.id.to_string(), who, name, role: role.name() })
        })
        .collect();
    people.sort_by(|a, b| (a.role, &a.who).cmp(&(b.role, &b.who)));
    Ok(people)
}

/// Resources of a target, to add one of them.
#[derive(Debug, Template)]
#[template(path = "catalog_add.html")]
pub struct AddPage {
    frame: Frame,
    id: String,
    targets: Vec<super::requests::Choosable>,
    target_name: Option<String>,
    search: String,
    /// What was found; nothing if it could not be looked into.
    found: Option<Vec<(String, String, String)>>,
}

async fn choose(
    State(app): State<App>,
    session: Session,
    Path(catalog): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let catalog: CatalogId = id("catalog", &catalog)?;
    session.caller.may_on(
        Action::ManageResources,
        catalog,
        Action::ReadCatalog,
        "catalog",
        catalog,
    )?;
    page(&add_page(&app, &session, catalog, &fields, None).await?)
}

async fn add_page(
    app: &App,
    session: &Session,
    catalog: CatalogId,
    fields: &Fields,
    mut notice: Option<Notice>,
) -> Result<AddPage> {
    let view = app.catalog(&session.caller, catalog, CatalogWith::default()).await?;
    let listing = Listing { top: Some(accede_app::list::MAX_TOP), ..Listing::default() };
    let targets = app.targets(&session.caller, &listing).await?.items;
    let wanted: Option<TargetId> = fields.parsed("target");
    let search: String = fields.get("search").unwrap_or_default().chars().take(100).collect();
    let mut found = None;
    let chosen = targets.iter().find(|target| Some(target.id) == wanted);
    if let Some(target) = chosen {
        let text = Some(search.as_str()).filter(|text| !text.is_empty());
        match app.discover(&session.caller, target.id, text, MAX_FOUND).await {
            Ok(list) => {
                let rows = list.into_iter().map(|one| {
                    let roles: Vec<String> =
                        one.roles.into_iter().map(|role| role.display_name).collect();
                    (one.origin_id, one.display_name, roles.join(", "))
                });
                found = Some(rows.collect());
            }
            Err(accede_app::Error::Target { fault, .. }) => {
                let text = format!("It could not be looked into. {}", sentence(&fault.to_string()));
                notice = Some(Notice::new(Tone::Bad, text));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(AddPage {
        frame: frame(Some(session), "Add a resource", Place::Catalogs)
            .crumb("Catalogs", "/governance/catalogs")
            .crumb(view.catalog.display_name, format!("/governance/catalogs/{catalog}"))
            .notice(notice),
        id: catalog.to_string(),
        target_name: chosen.map(|target| target.name.clone()),
        targets: targets
            .iter()
            .map(|one| choice(one.id.to_string(), &one.display_name, Some(one.id) == wanted))
            .collect(),
        search,
        found,
    })
}

async fn add(
    State(app): State<App>,
    Path(catalog): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let catalog: CatalogId = id("catalog", &catalog)?;
    // Rights speak before what is typed.
    let (manage, read) = (Action::ManageResources, Action::ReadCatalog);
    session.caller.may_on(manage, catalog, read, "catalog", catalog)?;
    let new = NewResource {
        catalog,
        origin_system: fields.get("system").unwrap_or_default().to_owned(),
        origin_id: fields.get("origin").unwrap_or_default().to_owned(),
        display_name: None,
        description: None,
        keep_pre_existing: fields.has("keep"),
    };
    match app.add_resource(&session.caller, &new, None).await {
        Ok(_) => Ok(see(format!("/governance/catalogs/{catalog}?done=added"))),
        Err(error) => {
            let notice = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let form = add_page(&app, &session, catalog, &fields, Some(notice)).await?;
            problem::again(error, |_| page(&form))
        }
    }
}

/// The page that asks before a resource is removed.
async fn removal(
    app: &App,
    session: &Session,
    catalog: CatalogId,
    resource: ResourceId,
) -> Result<ConfirmPage> {
    let (manage, read) = (Action::ManageResources, Action::ReadCatalog);
    session.caller.may_on(manage, catalog, read, "catalog", catalog)?;
    let view = app.catalog(&session.caller, catalog, CatalogWith::default()).await?;
    let with = ResourceWith { environment: true, ..ResourceWith::default() };
    let held = app.resource(&session.caller, Some(catalog), resource, with).await?;
    let (name, above) = (&held.resource.display_name, &view.catalog.display_name);
    let back = format!("/governance/catalogs/{catalog}");
    let target = held.environment.map(|target| target.display_name).unwrap_or_default();
    Ok(ConfirmPage {
        frame: frame(Some(session), format!("Remove {name}?"), Place::Catalogs)
            .crumb("Catalogs", "/governance/catalogs")
            .crumb(above, &back),
        sentences: vec![
            format!("Access packages of {above} can no longer be made of it."),
            format!("Nothing is changed in {target}, and nobody loses access."),
            "An access package that gives one of its roles has to let go of it first.".to_owned(),
        ],
        action: format!("{back}/resources/{resource}/remove"),
        hidden: Vec::new(),
        button: "Remove the resource".to_owned(),
        back,
    })
}

async fn ask(
    State(app): State<App>,
    session: Session,
    Path((catalog, resource)): Path<(String, String)>,
) -> Result {
    let catalog: CatalogId = id("catalog", &catalog)?;
    let resource: ResourceId = id("resource", &resource)?;
    page(&removal(&app, &session, catalog, resource).await?)
}

async fn remove(
    State(app): State<App>,
    Path((catalog, resource)): Path<(String, String)>,
    Posted { session, .. }: Posted,
) -> Result {
    let catalog: CatalogId = id("catalog", &catalog)?;
    let resource: ResourceId = id("resource", &resource)?;
    match app.remove_resource(&session.caller, Some(catalog), &Which::Id(resource)).await {
        Ok(_) => Ok(see(format!("/governance/catalogs/{catalog}?done=removed"))),
        Err(error) => removal(&app, &session, catalog, resource).await?.refused(error),
    }
}

async fn give(
    State(app): State<App>,
    Path(catalog): Path<String>,
    Posted { session, fields }: Posted,
) -> Result<Response> {
    let catalog: CatalogId = id("catalog", &catalog)?;
    let name = fields.get("who").unwrap_or_default();
    let role = id("role", fields.get("role").unwrap_or_default())?;
    let given = match app.user(&session.caller, name).await {
        Ok(user) => {
            app.create_role_assignment(&session.caller, user.id.0, role, Some(catalog)).await
        }
        Err(accede_app::Error::NotFound { .. } | accede_app::Error::Invalid { .. }) => {
            let text = "there is nobody with this sign-in name, so nothing was changed";
            Err(accede_app::Error::invalid("who", text))
        }
        Err(error) => Err(error),
    };
    match given {
        Ok(given) => {
            let one = given.id.to_string();
            let address = Address::new(format!("/governance/catalogs/{catalog}"));
            Ok(see(address.with("done", "given").with("one", one).text()))
        }
        Err(error) => {
            let text = match &error {
                accede_app::Error::Invalid { sentence: text, .. } => sentence(text),
                error => sentence(&error.to_string()),
            };
            let give = Give::of(&fields, Some(text));
            let whole = catalog_page(&app, &session, catalog, &Fields::default(), give).await?;
            problem::again(error, |_| page(&whole))
        }
    }
}

async fn take(
    State(app): State<App>,
    Path((catalog, assignment)): Path<(String, String)>,
    Posted { session, .. }: Posted,
) -> Result<Response> {
    let catalog: CatalogId = id("catalog", &catalog)?;
    let assignment: RoleAssignmentId = id("role assignment", &assignment)?;
    app.delete_role_assignment(&session.caller, assignment).await?;
    Ok(see(format!("/governance/catalogs/{catalog}?done=removed")))
}

#[cfg(test)]
pub mod samples_of {
    //! Samples of these pages.

    use super::super::samples::{NASTY, at, frame};
    use super::*;

    /// Some, and none.
    pub fn lists() -> Vec<CatalogsPage> {
        let row = |name: &str, open| Row {
            id: "1".to_owned(),
            name: name.to_owned(),
            description: NASTY.to_owned(),
            state: state(open),
            packages: 3,
            resources: 7,
            changed: When::minute(at(0)),
        };
        let rows = vec![row("Marketing", Open::Published), row(NASTY, Open::Unpublished)];
        let frame = || frame("Catalogs", Place::Catalogs);
        vec![
            CatalogsPage { frame: frame(), rows, may_create: true, next: Some("/x".to_owned()) },
            CatalogsPage { frame: frame(), rows: Vec::new(), may_create: false, next: None },
        ]
    }

    /// For its owner, and for a reader.
    pub fn pages() -> Vec<CatalogPage> {
        let sample = |may: bool| CatalogPage {
            frame: frame("Marketing", Place::Catalogs).crumb("Catalogs", "/governance/catalogs"),
            id: "1".to_owned(),
            description: NASTY.to_owned(),
            state: state(Open::Published),
            packages: vec![("1".to_owned(), NASTY.to_owned())],
            resources: vec![Held {
                id: "1".to_owned(),
                name: NASTY.to_owned(),
                target: "Customer CRM".to_owned(),
                roles: vec!["Member".to_owned(), "Owner".to_owned()],
            }],
            people: vec![Delegate {
                id: "1".to_owned(),
                who: NASTY.to_owned(),
                name: SignInName::new("olga@contoso.example"),
                role: "Catalog owner",
            }],
            is_external: may,
            give: Give {
                who: NASTY.to_owned(),
                ..Give::of(&Fields::default(), may.then(|| NASTY.to_owned()))
            },
            may_edit: may,
            may_packages: may,
            may_resources: may,
            may_delegate: may,
        };
        vec![sample(true), sample(false)]
    }

    /// Before and after a target was chosen.
    pub fn adds() -> Vec<AddPage> {
        let sample = |name: Option<&str>| AddPage {
            frame: frame("Add a resource", Place::Catalogs)
                .crumb("Catalogs", "/governance/catalogs"),
            id: "1".to_owned(),
            targets: vec![choice("1", NASTY, name.is_some())],
            target_name: name.map(str::to_owned),
            search: String::new(),
            found: name.map(|_| vec![("42".to_owned(), NASTY.to_owned(), "Member".to_owned())]),
        };
        vec![sample(None), sample(Some("crm"))]
    }
}
