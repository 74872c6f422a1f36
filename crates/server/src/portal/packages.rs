//! Access packages: the list, and of each its overview. Editing, what a package gives, its policies,
//! what it excludes, its requests and assignments have files of their own.

use std::sync::Arc;

use accede_app::packages::{Package, PackageView, PackageWith};
use accede_app::requests::Whose;
use accede_app::{App, Listing};
use accede_domain::filter::{Filter, parse_order};
use accede_domain::id::PackageId;
use accede_domain::permission::{Action, Reach};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::routing::get;

use super::form::{Address, Asked, id};
use super::part::{Badge, Frame, Notice, Place, Tone, When, grouped, plural};
use super::pick::{matching, search};
use super::problem::Result;
use super::requests::PackageHead;
use super::session::Session;
use super::{Portal, Web, frame, page, words};
use crate::api::respond;

/// Rows on a page.
const ON_A_PAGE: usize = 50;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/packages", get(list))
        .route("/governance/packages/{id}", get(overview))
}

/// A package of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: String,
    name: String,
    description: String,
    catalog: String,
    roles: usize,
    policies: usize,
    is_hidden: bool,
    changed: When,
}

impl Row {
    fn of(view: &PackageView) -> Row {
        Row {
            id: view.package.id.to_string(),
            name: view.package.display_name.clone(),
            description: view.package.description.clone(),
            catalog: view.catalog.as_ref().map(|c| c.display_name.clone()).unwrap_or_default(),
            roles: view.role_scopes.as_ref().map_or(0, Vec::len),
            policies: view.policies.as_ref().map_or(0, Vec::len),
            is_hidden: view.package.is_hidden,
            changed: When::minute(view.package.modified_at),
        }
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "packages.html")]
pub struct PackagesPage {
    frame: Frame,
    text: String,
    rows: Vec<Row>,
    total: String,
    may_create: bool,
    next: Option<String>,
}

async fn list(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let text = search(&fields, "text");
    let listing = Listing {
        filter: matching(&text, &["displayName"])?,
        order: parse_order("displayName").unwrap_or_default(),
        top: Some(ON_A_PAGE),
        after: fields.get("after").map(str::to_owned),
        count: true,
        ..Listing::default()
    };
    let with =
        PackageWith { catalog: true, policies: true, role_scopes: true, ..PackageWith::default() };
    let found = app.packages(&session.caller, None, &listing, with).await?;
    let address = Address::new("/governance/packages").with("text", &text);
    page(&PackagesPage {
        frame: frame(Some(&session), "Access packages", Place::Packages)
            .notice(words::done(fields.get("done"))),
        text,
        rows: found.items.iter().map(Row::of).collect(),
        total: grouped(found.count.unwrap_or(0)),
        may_create: !session.caller.reach(Action::ManagePackages).is_empty(),
        next: found.next.map(|mark| address.with("after", mark).text()),
    })
}

/// The frame of a page below a package's own.
pub fn below(session: &Session, title: impl Into<String>, package: &Package) -> Frame {
    frame(Some(session), title, Place::Packages)
        .crumb("Access packages", "/governance/packages")
        .crumb(&package.display_name, format!("/governance/packages/{}", package.id))
}

/// The frame of a tab of a package, and the tabs.
pub(super) fn head(
    session: &Session,
    view: &PackageView,
    tab: &'static str,
    title: &str,
) -> (Frame, PackageHead) {
    let id = view.package.id.to_string();
    let name = view.package.display_name.clone();
    let mut frame = frame(Some(session), title, Place::Packages)
        .crumb("Access packages", "/governance/packages");
    if tab != "overview" {
        frame = frame.crumb(&name, format!("/governance/packages/{id}"));
    }
    (frame, PackageHead { id, name, tab })
}

/// What to tell who may change a package that can be asked for and gives nothing.
pub(super) fn gives_nothing(session: &Session, view: &PackageView) -> Option<Notice> {
    let is_none = |list: Option<usize>| list == Some(0);
    let has_policy = view.policies.as_ref().is_some_and(|policies| !policies.is_empty());
    let is_hollow = is_none(view.role_scopes.as_ref().map(Vec::len)) && has_policy;
    (is_hollow && may_manage(session, &view.package)).then(|| Notice {
        tone: Tone::Warn,
        text: "It has a policy and no resource role: whoever gets it gets nothing.".to_owned(),
        link: Some((
            "Add a resource role".to_owned(),
            format!("/governance/packages/{}/roles/add", view.package.id),
        )),
    })
}

/// A notice, with how far the last change of the package's roles has come while it has not reached
/// everybody who holds it.
pub(super) async fn with_spread(
    app: &App,
    session: &Session,
    package: &Package,
    notice: Option<Notice>,
) -> Result<Option<Notice>> {
    if let Some(guard) = app.held_change_of(&session.caller, package.id).await? {
        let text = "A change of its resource roles concerns so many that it waits for a second \
                    person. Nothing of it has been sent.";
        let text = match notice {
            Some(notice) => format!("{} {text}", notice.text),
            None => text.to_owned(),
        };
        let link = Some(("See the held change".to_owned(), format!("/governance/held/{guard}")));
        return Ok(Some(Notice { tone: Tone::Warn, text, link }));
    }
    if !session.caller.reach(Action::ReadRequests).includes(package.catalog) {
        return Ok(notice);
    }
    let spread = app.role_spread(&session.caller, package.id).await?;
    if spread.behind == 0 {
        return Ok(notice);
    }
    let text = format!(
        "Its resource roles changed, and {} of {} have the change already.",
        grouped(spread.reached()),
        plural(spread.holders, "assignment")
    );
    Ok(Some(match notice {
        Some(notice) => Notice { text: format!("{} {text}", notice.text), ..notice },
        None => Notice::new(Tone::Info, text),
    }))
}

/// The package of an address.
pub(super) async fn read(
    app: &App,
    session: &Session,
    text: &str,
    with: PackageWith,
) -> Result<PackageView> {
    let package: PackageId = id("access package", text)?;
    Ok(app.package(&session.caller, None, package, with).await?)
}

/// Whether the reader may change a package.
pub(super) fn may_manage(session: &Session, package: &Package) -> bool {
    session.caller.reach(Action::ManagePackages).includes(package.catalog)
}

/// Refuses who may not change a package as the verbs do that change it.
pub(super) fn must_manage(session: &Session, package: &Package) -> Result<()> {
    let (manage, read) = (Action::ManagePackages, Action::ReadCatalog);
    session.caller.may_on(manage, package.catalog, read, "access package", package.id)?;
    Ok(())
}

/// How many assignments of a package have not ended; nothing for who may not know.
pub(super) async fn holders(
    app: &App,
    session: &Session,
    package: &Package,
) -> Result<Option<i64>> {
    if !session.caller.reach(Action::ReadRequests).includes(package.catalog) {
        return Ok(None);
    }
    let filter = format!("accessPackage/id eq '{}' and state ne 'expired'", package.id);
    let listing = Listing {
        filter: Some(Filter::parse(&filter).map_err(accede_app::Error::internal)?),
        top: Some(1),
        count: true,
        ..Listing::default()
    };
    let whose = Whose::Reach(Reach::Catalogs(Vec::new()));
    Ok(app.list_assignments(&session.caller, whose, &listing).await?.count)
}

/// How many requests stand in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Count {
    name: &'static str,
    state: Badge,
    many: String,
}

/// The overview of a package.
#[derive(Debug, Template)]
#[template(path = "package.html")]
pub struct PackagePage {
    frame: Frame,
    package: PackageHead,
    description: String,
    catalog: String,
    catalog_id: String,
    is_hidden: bool,
    link: String,
    may_manage: bool,
    created: When,
    changed: When,
    counts: Vec<Count>,
    excludes: Vec<(String, String)>,
    excluded_groups: Vec<String>,
}

async fn overview(
    State(app): State<App>,
    State(portal): State<Arc<Portal>>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
    uri: Uri,
    headers: HeaderMap,
) -> Result {
    let with = PackageWith {
        catalog: true,
        incompatible_packages: true,
        incompatible_groups: true,
        incompatible_with: true,
        role_scopes: true,
        policies: true,
    };
    let view = read(&app, &session, &text, with).await?;
    let (frame, package) = head(&session, &view, "overview", &view.package.display_name);
    let counts = counts(&app, &session, view.package.id).await?;
    let notice = words::done(fields.get("done")).or_else(|| gives_nothing(&session, &view));
    let notice = with_spread(&app, &session, &view.package, notice).await?;
    let mut excludes: Vec<(String, String)> = view
        .incompatible_packages
        .unwrap_or_default()
        .into_iter()
        .chain(view.incompatible_with.unwrap_or_default())
        .map(|other| (other.id.to_string(), other.display_name))
        .collect();
    excludes.sort();
    excludes.dedup();
    let base = respond::base(portal.public_url.as_ref(), &headers, &uri);
    page(&PackagePage {
        frame: frame.notice(notice),
        link: format!("{base}/my/packages/{}", package.id),
        package,
        may_manage: may_manage(&session, &view.package),
        catalog_id: view.package.catalog.to_string(),
        description: view.package.description,
        catalog: view.catalog.map(|catalog| catalog.display_name).unwrap_or_default(),
        is_hidden: view.package.is_hidden,
        created: When::minute(view.package.created_at),
        changed: When::minute(view.package.modified_at),
        counts,
        excludes,
        excluded_groups: view
            .incompatible_groups
            .unwrap_or_default()
            .into_iter()
            .map(|group| group.display_name)
            .collect(),
    })
}

async fn counts(app: &App, session: &Session, package: PackageId) -> Result<Vec<Count>> {
    let mut counts = Vec::new();
    if session.caller.reach(Action::ReadRequests).is_empty() {
        return Ok(counts);
    }
    for (name, _) in words::REQUEST_STATES {
        let filter = format!("accessPackage/id eq '{package}' and state eq '{name}'");
        let listing = Listing {
            filter: Filter::parse(&filter).ok(),
            top: Some(1),
            count: true,
            ..Listing::default()
        };
        let whose = Whose::Reach(Reach::Catalogs(Vec::new()));
        let narrowing = accede_app::requests::Narrowing::default();
        let found = app.list_requests(&session.caller, whose, &narrowing, &listing).await?;
        let many = found.count.unwrap_or(0);
        if 0 < many {
            let state = words::request_state_named(name);
            counts.push(Count { name, state, many: grouped(many) });
        }
    }
    Ok(counts)
}

#[cfg(test)]
pub mod samples_of {
    //! Samples of these pages.

    use super::*;
    use crate::portal::part::Tone;
    use crate::portal::samples::{NASTY, at, frame};

    fn package(tab: &'static str) -> PackageHead {
        PackageHead { id: "a7c0".to_owned(), name: NASTY.to_owned(), tab }
    }

    /// Some, none.
    pub fn lists() -> Vec<PackagesPage> {
        let row = Row {
            id: "a7c0".to_owned(),
            name: NASTY.to_owned(),
            description: NASTY.to_owned(),
            catalog: "Marketing".to_owned(),
            roles: 2,
            policies: 1,
            is_hidden: true,
            changed: When::minute(at(0)),
        };
        let page = |rows: Vec<Row>| PackagesPage {
            frame: frame("Access packages", Place::Packages),
            text: NASTY.to_owned(),
            total: grouped(1),
            may_create: !rows.is_empty(),
            rows,
            next: Some("/governance/packages?after=x".to_owned()),
        };
        vec![page(vec![row]), page(vec![])]
    }

    /// For who may change it, and for who may not.
    pub fn overviews() -> Vec<PackagePage> {
        let page = |may_manage| PackagePage {
            frame: frame("Campaign", Place::Packages),
            package: package("overview"),
            description: NASTY.to_owned(),
            catalog: "Marketing".to_owned(),
            catalog_id: "1".to_owned(),
            is_hidden: may_manage,
            link: "https://accede.example/my/packages/a7c0".to_owned(),
            may_manage,
            created: When::minute(at(0)),
            changed: When::minute(at(9)),
            counts: vec![Count {
                name: "deliveryFailed",
                state: Badge::new(Tone::Bad, "bad", "Delivery failed"),
                many: "60".to_owned(),
            }],
            excludes: vec![("b".to_owned(), NASTY.to_owned())],
            excluded_groups: vec![NASTY.to_owned()],
        };
        vec![page(true), page(false)]
    }
}
