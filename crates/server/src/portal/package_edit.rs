//! Making, changing and deleting access packages.

use accede_app::catalogs::CatalogWith;
use accede_app::packages::{NewPackage, Package, PackageChange, PackageWith};
use accede_app::{App, Error, Listing};
use accede_domain::id::{CatalogId, PackageId};
use accede_domain::permission::Action;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::confirm::ConfirmPage;
use super::form::{Asked, Fields, Posted, id};
use super::form_page::{FormPage, Wrong, again};
use super::input::{Input, choice};
use super::packages::{below, holders, must_manage, read};
use super::part::Place;
use super::problem::Result;
use super::requests::Choosable;
use super::session::Session;
use super::{Web, frame, page, see};

/// Longest description that the form takes, in characters.
const MAX_DESCRIPTION: usize = 4_000;

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/packages/new", get(new).post(create))
        .route("/governance/packages/{id}/edit", get(edit).post(change))
        .route("/governance/packages/{id}/delete", get(ask).post(delete))
}

/// The catalogs in which the reader may make packages, by name; `wanted` is chosen, and is among
/// them even if there are more than can be listed.
async fn catalogs(
    app: &App,
    session: &Session,
    wanted: Option<CatalogId>,
) -> Result<Vec<Choosable>> {
    let reach = session.caller.may_somewhere(Action::ManagePackages)?;
    let listing = Listing { top: Some(accede_app::list::MAX_TOP), ..Listing::default() };
    let mut found: Vec<(CatalogId, String)> = app
        .catalogs(&session.caller, &listing, CatalogWith::default())
        .await?
        .items
        .into_iter()
        .map(|view| (view.catalog.id, view.catalog.display_name))
        .filter(|(id, _)| reach.includes(*id))
        .collect();
    if let Some(wanted) = wanted
        && reach.includes(wanted)
        && found.iter().all(|(id, _)| *id != wanted)
        && let Ok(view) = app.catalog(&session.caller, wanted, CatalogWith::default()).await
    {
        found.push((wanted, view.catalog.display_name));
    }
    found.sort_by_key(|(_, name)| name.to_lowercase());
    let only = found.len() == 1;
    let mut choices: Vec<Choosable> = found
        .into_iter()
        .map(|(id, name)| choice(id.to_string(), name, only || Some(id) == wanted))
        .collect();
    if choices.iter().all(|choice| !choice.is_chosen) {
        choices.insert(0, choice("", "Choose a catalog", true));
    }
    Ok(choices)
}

/// What is asked of every package.
fn inputs(typed: &Fields, wrong: &Wrong) -> [Input; 3] {
    [
        Input::line("displayName", "Name", typed.typed("displayName"), 256)
            .required()
            .hint("What people look for: the work it is for, rather than the systems in it.")
            .wrong(wrong.with("displayName")),
        Input::text("description", "Description", typed.typed("description"), MAX_DESCRIPTION)
            .hint("People read it before they request the access package.")
            .wrong(wrong.with("description")),
        Input::check("isHidden", "Hidden: people find it only by its link", typed.has("isHidden")),
    ]
}

async fn new(State(app): State<App>, session: Session, Asked(fields): Asked) -> Result {
    let choices = catalogs(&app, &session, fields.parsed("catalog")).await?;
    page(&new_form(&session, choices, &fields, &Wrong::default()))
}

fn new_form(
    session: &Session,
    choices: Vec<Choosable>,
    fields: &Fields,
    wrong: &Wrong,
) -> FormPage {
    let [name, description, hidden] = inputs(fields, wrong);
    FormPage {
        frame: frame(Some(session), "New access package", Place::Packages)
            .crumb("Access packages", "/governance/packages"),
        lead: "An access package gives roles of resources of its catalog. Say here what it is; \
               which roles it gives and who may request it comes next."
            .to_owned(),
        action: "/governance/packages/new".to_owned(),
        hidden: Vec::new(),
        fields: vec![
            name,
            description,
            Input::select("catalog", "Catalog", choices)
                .required()
                .hint("Its resources can be given. This cannot be changed later.")
                .wrong(wrong.with("catalog")),
            hidden,
        ],
        button: "Create the access package",
        back: match fields.parsed::<CatalogId>("catalog") {
            Some(catalog) => format!("/governance/catalogs/{catalog}"),
            None => "/governance/packages".to_owned(),
        },
    }
}

async fn create(State(app): State<App>, Posted { session, fields }: Posted) -> Result {
    let made = match fields.parsed("catalog") {
        Some(catalog) => {
            let new = NewPackage {
                catalog,
                display_name: fields.get("displayName").unwrap_or_default().to_owned(),
                description: fields.get("description").unwrap_or_default().to_owned(),
                is_hidden: fields.has("isHidden"),
            };
            app.create_package(&session.caller, &new, None).await
        }
        None => Err(Error::invalid("catalog", "choose the catalog that it belongs to")),
    };
    match made {
        Ok(package) => Ok(see(format!("/governance/packages/{}?done=packaged", package.id))),
        Err(error) => {
            let choices = catalogs(&app, &session, fields.parsed("catalog")).await?;
            again(error, |wrong| new_form(&session, choices, &fields, wrong))
        }
    }
}

fn edit_form(session: &Session, package: &Package, fields: &Fields, wrong: &Wrong) -> FormPage {
    let back = format!("/governance/packages/{}", package.id);
    FormPage {
        frame: below(session, "Edit the access package", package),
        lead: "Who has it keeps it, whatever it is called.".to_owned(),
        action: format!("{back}/edit"),
        hidden: vec![("version", package.version.to_string())],
        fields: inputs(fields, wrong).into(),
        button: "Save",
        back,
    }
}

async fn edit(State(app): State<App>, session: Session, Path(text): Path<String>) -> Result {
    let package = read(&app, &session, &text, PackageWith::default()).await?.package;
    must_manage(&session, &package)?;
    let hidden = if package.is_hidden { "yes" } else { "" };
    let fields = Fields::of([
        ("displayName", package.display_name.clone()),
        ("description", package.description.clone()),
        ("isHidden", hidden.to_owned()),
    ]);
    page(&edit_form(&session, &package, &fields, &Wrong::default()))
}

async fn change(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let package: PackageId = id("access package", &text)?;
    // Rights speak before what is typed.
    must_manage(&session, &read(&app, &session, &text, PackageWith::default()).await?.package)?;
    let change = PackageChange {
        display_name: Some(fields.get("displayName").unwrap_or_default().to_owned()),
        description: Some(fields.get("description").unwrap_or_default().to_owned()),
        is_hidden: Some(fields.has("isHidden")),
        expected: fields.parsed("version"),
    };
    match app.change_package(&session.caller, package, &change).await {
        Ok(_) => Ok(see(format!("/governance/packages/{package}?done=saved"))),
        Err(error) => {
            let now = read(&app, &session, &text, PackageWith::default()).await?.package;
            let error = match error {
                Error::Stale => Error::invalid(
                    "version",
                    format!(
                        "somebody else changed it since you opened this page; it is called `{}` \
                         now. What you typed is below: save again to put it in place of theirs",
                        now.display_name
                    ),
                ),
                error => error,
            };
            again(error, |wrong| edit_form(&session, &now, &fields, wrong))
        }
    }
}

/// The page that asks before a package is deleted.
async fn deletion(app: &App, session: &Session, text: &str) -> Result<ConfirmPage> {
    let with = PackageWith { policies: true, ..PackageWith::default() };
    let view = read(app, session, text, with).await?;
    must_manage(session, &view.package)?;
    let back = format!("/governance/packages/{}", view.package.id);
    let title = format!("Delete {}?", view.package.display_name);
    let mut sentences = vec![
        "It goes for good, with its policies, its resource roles and its incompatibilities."
            .to_owned(),
        "What was requested and assigned in the past stays on record.".to_owned(),
    ];
    if let Some(many) = holders(app, session, &view.package).await?
        && many != 0
    {
        sentences.push(format!(
            "It cannot be deleted while people have it: {}. Remove these assignments first.",
            super::part::plural(many, "assignment")
        ));
    }
    Ok(ConfirmPage {
        frame: below(session, title, &view.package),
        sentences,
        action: format!("{back}/delete"),
        hidden: Vec::new(),
        button: "Delete the access package".to_owned(),
        back,
    })
}

async fn ask(State(app): State<App>, session: Session, Path(text): Path<String>) -> Result {
    page(&deletion(&app, &session, &text).await?)
}

async fn delete(
    State(app): State<App>,
    Path(text): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    let package: PackageId = id("access package", &text)?;
    match app.delete_package(&session.caller, package, None).await {
        Ok(()) => Ok(see("/governance/packages?done=deleted")),
        Err(error) => deletion(&app, &session, &text).await?.refused(error),
    }
}
