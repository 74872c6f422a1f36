//! Separation of duties: the access packages and groups that exclude an access package.

use accede_app::App;
use accede_app::packages::{PackageView, PackageWith};
use accede_domain::id::{GroupId, PackageId};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::confirm::ConfirmPage;
use super::form::{Asked, Fields, Posted, id};
use super::packages::{below, head, may_manage, must_manage, read};
use super::part::{Frame, Notice, Tone};
use super::pick::{Pick, PickPage, listing, next};
use super::problem::{Result, again, sentence};
use super::requests::PackageHead;
use super::session::Session;
use super::{Web, page, see, words};

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/packages/{id}/incompatible", get(show))
        .route(
            "/governance/packages/{id}/incompatible/packages/add",
            get(choose_package).post(add_package),
        )
        .route(
            "/governance/packages/{id}/incompatible/packages/{other}/remove",
            get(ask_package).post(remove_package),
        )
        .route(
            "/governance/packages/{id}/incompatible/groups/add",
            get(choose_group).post(add_group),
        )
        .route(
            "/governance/packages/{id}/incompatible/groups/{group}/remove",
            get(ask_group).post(remove_group),
        )
}

/// What excludes a package.
#[derive(Debug, Template)]
#[template(path = "incompatible.html")]
pub struct IncompatiblePage {
    frame: Frame,
    package: PackageHead,
    /// Packages listed here: id and name.
    packages: Vec<(String, String)>,
    /// Packages that list this one: id and name.
    listing: Vec<(String, String)>,
    /// Groups listed here: id and name.
    groups: Vec<(String, String)>,
    may_manage: bool,
}

/// Everything that is shown of a package here.
const WITH: PackageWith = PackageWith {
    catalog: false,
    policies: false,
    role_scopes: false,
    incompatible_packages: true,
    incompatible_groups: true,
    incompatible_with: true,
};

async fn show(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    let view = read(&app, &session, &text, WITH).await?;
    let (frame, package) = head(&session, &view, "incompatible", "Incompatible access");
    let names = |packages: Option<Vec<accede_app::packages::Package>>| {
        let packages = packages.unwrap_or_default().into_iter();
        packages.map(|package| (package.id.to_string(), package.display_name)).collect()
    };
    let groups = view.incompatible_groups.unwrap_or_default().into_iter();
    page(&IncompatiblePage {
        frame: frame.notice(words::done(fields.get("done"))),
        package,
        may_manage: may_manage(&session, &view.package),
        packages: names(view.incompatible_packages),
        listing: names(view.incompatible_with),
        groups: groups.map(|group| (group.id.to_string(), group.display_name)).collect(),
    })
}

/// The tab of a package.
fn tab(package: PackageId) -> String {
    format!("/governance/packages/{package}/incompatible")
}

/// The frame of a page that changes what excludes a package.
fn under(session: &Session, title: impl Into<String>, view: &PackageView) -> Frame {
    below(session, title, &view.package).crumb("Incompatible access", tab(view.package.id))
}

async fn package_page(
    app: &App,
    session: &Session,
    text: &str,
    fields: &Fields,
    notice: Option<Notice>,
) -> Result<PickPage> {
    let view = read(app, session, text, WITH).await?;
    must_manage(session, &view.package)?;
    let (search, listing) = listing(fields)?;
    let with = PackageWith { catalog: true, ..PackageWith::default() };
    let found = app.packages(&session.caller, None, &listing, with).await?;
    let back = tab(view.package.id);
    let action = format!("{back}/packages/add");
    let frame = under(session, "Add an incompatible access package", &view).notice(notice);
    let listed = view.incompatible_packages.unwrap_or_default();
    let is_left = |other: &PackageView| {
        other.package.id != view.package.id
            && listed.iter().all(|listed| listed.id != other.package.id)
    };
    let rows = found.items.into_iter().filter(is_left).map(|other| Pick {
        under: other.package.description,
        cells: vec![other.catalog.map(|catalog| catalog.display_name).unwrap_or_default()],
        hidden: vec![("other", other.package.id.to_string())],
        spoken: other.package.display_name.clone(),
        name: other.package.display_name,
    });
    Ok(PickPage {
        frame,
        lead: vec![format!(
            "Who has the one you add cannot get {}, and the other way round. Who has both already \
             keeps both.",
            view.package.display_name
        )],
        noun: "Access package",
        columns: vec!["Catalog"],
        rows: rows.collect(),
        empty: match search.is_empty() {
            true => "There is no access package to add that you may see.".to_owned(),
            false => "No access package to add that you may see has such a name.".to_owned(),
        },
        next: next(&action, &search, found.next),
        search,
        action,
        back,
    })
}

async fn group_page(
    app: &App,
    session: &Session,
    text: &str,
    fields: &Fields,
    notice: Option<Notice>,
) -> Result<PickPage> {
    let view = read(app, session, text, WITH).await?;
    must_manage(session, &view.package)?;
    let (search, listing) = listing(fields)?;
    let found = app.list_groups(&session.caller, &listing).await?;
    let back = tab(view.package.id);
    let action = format!("{back}/groups/add");
    let frame = under(session, "Add an incompatible group", &view).notice(notice);
    let listed = view.incompatible_groups.unwrap_or_default();
    let is_left = |group: &accede_app::groups::Group| listed.iter().all(|one| one.id != group.id);
    let rows = found.items.into_iter().filter(is_left).map(|group| Pick {
        under: group.description.unwrap_or_default(),
        cells: Vec::new(),
        hidden: vec![("group", group.id.to_string())],
        spoken: group.display_name.clone(),
        name: group.display_name,
    });
    Ok(PickPage {
        frame,
        lead: vec![format!(
            "Members of the group you add cannot get {}. Members who have it already keep it.",
            view.package.display_name
        )],
        noun: "Group",
        columns: Vec::new(),
        rows: rows.collect(),
        empty: match search.is_empty() {
            true => "There is no group to add.".to_owned(),
            false => "No group to add has such a name.".to_owned(),
        },
        next: next(&action, &search, found.next),
        search,
        action,
        back,
    })
}

async fn choose_package(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    page(&package_page(&app, &session, &text, &fields, None).await?)
}

async fn choose_group(
    State(app): State<App>,
    session: Session,
    Path(text): Path<String>,
    Asked(fields): Asked,
) -> Result {
    page(&group_page(&app, &session, &text, &fields, None).await?)
}

async fn add_package(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let package: PackageId = id("access package", &text)?;
    let other: PackageId = id("access package", fields.get("other").unwrap_or_default())?;
    match app.add_incompatible_package(&session.caller, package, other).await {
        Ok(()) => Ok(see(format!("{}?done=added", tab(package)))),
        Err(error) => {
            let notice = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let form = package_page(&app, &session, &text, &fields, Some(notice)).await?;
            again(error, |_| page(&form))
        }
    }
}

async fn add_group(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let package: PackageId = id("access package", &text)?;
    let group: GroupId = id("group", fields.get("group").unwrap_or_default())?;
    match app.add_incompatible_group(&session.caller, package, group).await {
        Ok(()) => Ok(see(format!("{}?done=added", tab(package)))),
        Err(error) => {
            let notice = Notice::new(Tone::Bad, sentence(&error.to_string()));
            let form = group_page(&app, &session, &text, &fields, Some(notice)).await?;
            again(error, |_| page(&form))
        }
    }
}

async fn ask_package(
    State(app): State<App>,
    session: Session,
    Path((text, other)): Path<(String, String)>,
) -> Result {
    let other: PackageId = id("incompatible access package", &other)?;
    let view = read(&app, &session, &text, WITH).await?;
    must_manage(&session, &view.package)?;
    let listed = view.incompatible_packages.iter().flatten().find(|listed| listed.id == other);
    let missing = || accede_app::Error::not_found("incompatible access package", other);
    let other_name = &listed.ok_or_else(missing)?.display_name;
    let name = &view.package.display_name;
    let mut sentences =
        vec![format!("{name} and {other_name} can then be had by the same person.")];
    if view.incompatible_with.iter().flatten().any(|listing| listing.id == other) {
        sentences = vec![format!(
            "{other_name} lists {name} as incompatible too, so nobody gets both until it is taken \
             off that list as well."
        )];
    }
    page(&removal(
        under(&session, format!("Take {other_name} off the list?"), &view),
        sentences,
        format!("{}/packages/{other}/remove", tab(view.package.id)),
        tab(view.package.id),
    ))
}

fn removal(frame: Frame, sentences: Vec<String>, action: String, back: String) -> ConfirmPage {
    let button = "Take it off the list".to_owned();
    ConfirmPage { frame, sentences, action, hidden: Vec::new(), button, back }
}

async fn ask_group(
    State(app): State<App>,
    session: Session,
    Path((text, group)): Path<(String, String)>,
) -> Result {
    let group: GroupId = id("incompatible group", &group)?;
    let view = read(&app, &session, &text, WITH).await?;
    must_manage(&session, &view.package)?;
    let listed = view.incompatible_groups.iter().flatten().find(|listed| listed.id == group);
    let missing = || accede_app::Error::not_found("incompatible group", group);
    let group_name = &listed.ok_or_else(missing)?.display_name;
    let name = &view.package.display_name;
    page(&removal(
        under(&session, format!("Take {group_name} off the list?"), &view),
        vec![format!("Members of {group_name} can then get {name}, if a policy admits them.")],
        format!("{}/groups/{group}/remove", tab(view.package.id)),
        tab(view.package.id),
    ))
}

async fn remove_package(
    State(app): State<App>,
    Path((package, other)): Path<(String, String)>,
    Posted { session, .. }: Posted,
) -> Result {
    let package: PackageId = id("access package", &package)?;
    let other: PackageId = id("incompatible access package", &other)?;
    app.remove_incompatible_package(&session.caller, package, other).await?;
    Ok(see(format!("{}?done=removed", tab(package))))
}

async fn remove_group(
    State(app): State<App>,
    Path((package, group)): Path<(String, String)>,
    Posted { session, .. }: Posted,
) -> Result {
    let package: PackageId = id("access package", &package)?;
    let group: GroupId = id("incompatible group", &group)?;
    app.remove_incompatible_group(&session.caller, package, group).await?;
    Ok(see(format!("{}?done=removed", tab(package))))
}

#[cfg(test)]
impl IncompatiblePage {
    /// Some and none, for who may change them; some for who may not.
    pub fn samples() -> Vec<IncompatiblePage> {
        use super::part::Place;
        use super::samples::{NASTY, frame};
        let some = || vec![("1".to_owned(), NASTY.to_owned())];
        let page = |names: Vec<(String, String)>, may_manage| IncompatiblePage {
            frame: frame("Incompatible access", Place::Packages),
            package: PackageHead {
                id: "a7c0".to_owned(),
                name: NASTY.to_owned(),
                tab: "incompatible",
            },
            packages: names.clone(),
            listing: names.clone(),
            groups: names,
            may_manage,
        };
        vec![page(some(), true), page(vec![], true), page(some(), false)]
    }
}
