//! Making, changing and deleting people. Their list and page have a file of their own.

use accede_app::fields::{
    MAX_ADDRESS, MAX_EMPLOYEE_ID, MAX_NAME, MAX_SHORT, mail, principal_name, required,
};
use accede_app::users::{MAX_CHAIN, NewUser, User, UserChange};
use accede_app::{App, Error};
use accede_domain::id::UserId;
use accede_domain::permission::Action;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::confirm::ConfirmPage;
use super::form::{Asked, Fields, Posted};
use super::form_page::{FormPage, Wrong, again, again_with, also};
use super::input::{Input, choice};
use super::part::{Frame, Place};
use super::people::{named, read};
use super::problem::Result;
use super::session::Session;
use super::{Web, frame, page, see};

/// The routes of these forms.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/governance/people/new", get(new).post(create))
        .route("/governance/people/{id}/edit", get(edit).post(change))
        .route("/governance/people/{id}/manager", get(ask_manager).post(set_manager))
        .route("/governance/people/{id}/password", get(ask_password).post(set_password))
        .route("/governance/people/{id}/block", get(ask_block).post(block))
        .route("/governance/people/{id}/enable", post(enable))
        .route("/governance/people/{id}/delete", get(ask_delete).post(delete))
}

const UPN: &str = "userPrincipalName";
const PASSWORD: &str = "passwordProfile.password";
const PASSWORD_HINT: &str = "For signing in here with a local account. It is never shown again: \
                             give it to the person by a safe way.";

/// A form's frame under the page of a person.
fn under(session: &Session, user: &User, title: &str) -> Frame {
    frame(Some(session), title, Place::People)
        .crumb("People", "/governance/people")
        .crumb(&user.display_name, address(user))
}

fn address(user: &User) -> String {
    format!("/governance/people/{}", user.id)
}

fn may_change(session: &Session) -> Result<(), Error> {
    session.caller.may_everywhere(Action::ManageDirectory)
}

/// The fields that a person has when they are made and later.
fn inputs(typed: &Fields, wrong: &Wrong) -> Vec<Input> {
    let line = |name: &str, label: &str, max| {
        Input::line(name, label, typed.typed(name), max).wrong(wrong.with(name))
    };
    let is_guest = typed.get("userType") == Some("Guest");
    vec![
        line("displayName", "Name", MAX_NAME).required(),
        line("userPrincipalName", "Sign-in name", MAX_ADDRESS)
            .required()
            .hint("Such as mira@harbourline.example. Nobody else may have it."),
        line("givenName", "First name", MAX_SHORT),
        line("surname", "Last name", MAX_SHORT),
        line("mail", "Mail", MAX_ADDRESS),
        line("jobTitle", "Job title", MAX_SHORT),
        line("department", "Department", MAX_SHORT),
        line("companyName", "Company", MAX_SHORT),
        line("employeeId", "Personnel number", MAX_EMPLOYEE_ID),
        Input::one_of(
            "userType",
            "Kind",
            vec![
                choice("Member", "Member of the organization", !is_guest),
                choice("Guest", "Guest from elsewhere", is_guest),
            ],
        )
        .wrong(wrong.with("userType")),
    ]
}

/// What a verb refused, at the field that people see.
fn at_field(error: Error) -> Error {
    match error {
        Error::Duplicate { sentence, .. } => Error::invalid("userPrincipalName", sentence),
        error @ Error::Limit { .. } => Error::invalid("manager", error.to_string()),
        error => error,
    }
}

async fn new(session: Session, Asked(fields): Asked) -> Result {
    may_change(&session)?;
    page(&new_form(&session, &fields, &Wrong::default()))
}

fn new_form(session: &Session, typed: &Fields, wrong: &Wrong) -> FormPage {
    let mut fields = inputs(typed, wrong);
    fields.extend([
        Input::line("manager", "Manager's sign-in name", typed.typed("manager"), MAX_ADDRESS)
            .hint("Approves where a policy asks the manager. Leave it empty if there is none.")
            .wrong(wrong.with("manager")),
        Input::check("blocked", "Block sign-in and access for now", typed.has("blocked")),
        Input::typed(PASSWORD, "Password", "password", "", 0)
            .hint(format!(
                "{PASSWORD_HINT} Leave it empty if they sign in elsewhere or not at all."
            ))
            .wrong(wrong.with(PASSWORD)),
    ]);
    FormPage {
        frame: frame(Some(session), "New person", Place::People)
            .crumb("People", "/governance/people"),
        lead: "A person can be given access packages, ask for them, and approve.".to_owned(),
        action: "/governance/people/new".to_owned(),
        hidden: Vec::new(),
        fields,
        button: "Create the person",
        back: "/governance/people".to_owned(),
    }
}

async fn create(State(app): State<App>, Posted { session, fields }: Posted) -> Result {
    may_change(&session)?;
    match make(&app, &session, &fields).await {
        Ok(user) => Ok(see(format!("{}?done=created", address(&user)))),
        Err(error) => {
            let also = also([
                required("displayName", &fields.typed("displayName"), MAX_NAME).map(drop),
                principal_name(UPN, &fields.typed(UPN)).map(drop),
                mail("mail", fields.get("mail")).map(drop),
                manager(&app, &session, &fields).await.map(drop),
            ]);
            again_with(at_field(error), also, |wrong| new_form(&session, &fields, wrong))
        }
    }
}

async fn make(app: &App, session: &Session, fields: &Fields) -> Result<User, Error> {
    let manager = manager(app, session, fields).await?;
    let password = fields.typed(PASSWORD);
    let new = NewUser {
        user_principal_name: fields.owned("userPrincipalName").unwrap_or_default(),
        display_name: fields.owned("displayName").unwrap_or_default(),
        given_name: fields.owned("givenName"),
        surname: fields.owned("surname"),
        mail: fields.owned("mail"),
        department: fields.owned("department"),
        job_title: fields.owned("jobTitle"),
        company_name: fields.owned("companyName"),
        employee_id: fields.owned("employeeId"),
        user_type: fields.owned("userType"),
        account_enabled: Some(!fields.has("blocked")),
        manager,
        password: Some(password).filter(|password| !password.is_empty()),
    };
    app.create_user(&session.caller, new).await
}

fn edit_form(session: &Session, user: &User, typed: &Fields, wrong: &Wrong) -> FormPage {
    FormPage {
        frame: under(session, user, "Edit the person"),
        lead: "What policies, approvers and target systems know of this person.".to_owned(),
        action: format!("{}/edit", address(user)),
        hidden: Vec::new(),
        fields: inputs(typed, wrong),
        button: "Save",
        back: address(user),
    }
}

async fn edit(State(app): State<App>, session: Session, Path(person): Path<String>) -> Result {
    may_change(&session)?;
    let user = read(&app, &session, &person).await?;
    let known = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = Fields::of([
        ("displayName", user.display_name.clone()),
        ("userPrincipalName", user.user_principal_name.clone()),
        ("givenName", known(&user.given_name)),
        ("surname", known(&user.surname)),
        ("mail", known(&user.mail)),
        ("jobTitle", known(&user.job_title)),
        ("department", known(&user.department)),
        ("companyName", known(&user.company_name)),
        ("employeeId", known(&user.employee_id)),
        ("userType", user.user_type.name().to_owned()),
    ]);
    page(&edit_form(&session, &user, &fields, &Wrong::default()))
}

async fn change(
    State(app): State<App>,
    Path(person): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    let user = read(&app, &session, &person).await?;
    let change = UserChange {
        user_principal_name: Some(fields.owned("userPrincipalName").unwrap_or_default()),
        display_name: Some(fields.owned("displayName").unwrap_or_default()),
        given_name: Some(fields.owned("givenName")),
        surname: Some(fields.owned("surname")),
        mail: Some(fields.owned("mail")),
        department: Some(fields.owned("department")),
        job_title: Some(fields.owned("jobTitle")),
        company_name: Some(fields.owned("companyName")),
        employee_id: Some(fields.owned("employeeId")),
        user_type: fields.owned("userType"),
        account_enabled: None,
        password: None,
    };
    match app.change_user(&session.caller, &user.id.to_string(), change).await {
        Ok(_) => Ok(see(format!("{}?done=saved", address(&user)))),
        Err(error) => again(at_field(error), |wrong| edit_form(&session, &user, &fields, wrong)),
    }
}

fn manager_form(session: &Session, user: &User, typed: &Fields, wrong: &Wrong) -> FormPage {
    FormPage {
        frame: under(session, user, "Set the manager"),
        lead: format!(
            "The manager of {} approves where a policy asks the requestor's manager, and may \
             request for them. At most {MAX_CHAIN} people may stand above each other.",
            user.display_name
        ),
        action: format!("{}/manager", address(user)),
        hidden: Vec::new(),
        fields: vec![
            Input::line("manager", "Manager's sign-in name", typed.typed("manager"), MAX_ADDRESS)
                .hint("Leave it empty to have no manager.")
                .wrong(wrong.with("manager")),
        ],
        button: "Save",
        back: address(user),
    }
}

async fn ask_manager(
    State(app): State<App>,
    session: Session,
    Path(person): Path<String>,
) -> Result {
    may_change(&session)?;
    let user = read(&app, &session, &person).await?;
    let above: Vec<_> = user.manager.into_iter().collect();
    let above = app.users_by_ids(&session.caller, &above).await?;
    let name = above.into_iter().next().map(|above| above.user_principal_name);
    let fields = Fields::of([("manager", name.unwrap_or_default())]);
    page(&manager_form(&session, &user, &fields, &Wrong::default()))
}

async fn set_manager(
    State(app): State<App>,
    Path(person): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    may_change(&session)?;
    let user = read(&app, &session, &person).await?;
    match put_manager(&app, &session, &user, &fields).await {
        Ok(()) => Ok(see(format!("{}?done=saved", address(&user)))),
        Err(error) => again(at_field(error), |wrong| manager_form(&session, &user, &fields, wrong)),
    }
}

/// The manager whose sign-in name was typed; nobody if none was.
async fn manager(app: &App, session: &Session, fields: &Fields) -> Result<Option<UserId>, Error> {
    match fields.get("manager") {
        Some(name) => Ok(Some(named(app, session, "manager", Some(name)).await?.id)),
        None => Ok(None),
    }
}

async fn put_manager(
    app: &App,
    session: &Session,
    user: &User,
    fields: &Fields,
) -> Result<(), Error> {
    let manager = manager(app, session, fields).await?;
    let set = app.set_manager(&session.caller, &user.id.to_string(), manager).await;
    // The rule is about the one thing that this form asks.
    set.map_err(|error| match error {
        Error::Refused(refusal) => Error::invalid("manager", refusal.to_string()),
        error => error,
    })
}

fn password_form(session: &Session, user: &User, wrong: &Wrong) -> FormPage {
    FormPage {
        frame: under(session, user, "Set a password"),
        lead: format!(
            "{} signs in with it as {}. A password they had before stops working, and they are \
             signed out everywhere.",
            user.display_name, user.user_principal_name
        ),
        action: format!("{}/password", address(user)),
        hidden: Vec::new(),
        fields: vec![
            Input::typed(PASSWORD, "New password", "password", "", 0)
                .required()
                .hint(PASSWORD_HINT)
                .wrong(wrong.with(PASSWORD)),
            Input::typed("again", "The same again", "password", "", 0)
                .required()
                .wrong(wrong.with("again")),
        ],
        button: "Set the password",
        back: address(user),
    }
}

async fn ask_password(
    State(app): State<App>,
    session: Session,
    Path(person): Path<String>,
) -> Result {
    may_change(&session)?;
    let user = read(&app, &session, &person).await?;
    page(&password_form(&session, &user, &Wrong::default()))
}

async fn set_password(
    State(app): State<App>,
    Path(person): Path<String>,
    Posted { session, fields }: Posted,
) -> Result {
    may_change(&session)?;
    let user = read(&app, &session, &person).await?;
    let password = fields.typed(PASSWORD);
    let set = if password == fields.typed("again") {
        let change = UserChange { password: Some(password), ..UserChange::default() };
        app.change_user(&session.caller, &user.id.to_string(), change).await.map(drop)
    } else {
        Err(Error::invalid("again", "the two passwords differ; type the same twice"))
    };
    match set {
        Ok(()) => Ok(see(format!("{}?done=saved", address(&user)))),
        Err(error) => again(error, |wrong| password_form(&session, &user, wrong)),
    }
}

async fn ask_block(State(app): State<App>, session: Session, Path(person): Path<String>) -> Result {
    may_change(&session)?;
    let user = read(&app, &session, &person).await?;
    let name = &user.display_name;
    page(&ConfirmPage {
        frame: under(&session, &user, &format!("Block {name}?")),
        sentences: vec![
            format!("{name} is signed out and cannot sign in until enabled again."),
            "Their open requests end, and so does every assignment: what it gave is removed from \
             the target systems."
                .to_owned(),
            "Enabling them later does not give the access back; it is requested or assigned anew."
                .to_owned(),
        ],
        action: format!("{}/block", address(&user)),
        hidden: Vec::new(),
        button: "Block this person".to_owned(),
        back: address(&user),
    })
}

async fn switch(app: &App, session: &Session, person: &str, is_enabled: bool) -> Result {
    let user = read(app, session, person).await?;
    let change = UserChange { account_enabled: Some(is_enabled), ..UserChange::default() };
    app.change_user(&session.caller, &user.id.to_string(), change).await?;
    Ok(see(format!("{}?done=saved", address(&user))))
}

async fn block(
    State(app): State<App>,
    Path(person): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    switch(&app, &session, &person, false).await
}

async fn enable(
    State(app): State<App>,
    Path(person): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    switch(&app, &session, &person, true).await
}

async fn ask_delete(
    State(app): State<App>,
    session: Session,
    Path(person): Path<String>,
) -> Result {
    may_change(&session)?;
    let user = read(&app, &session, &person).await?;
    let name = &user.display_name;
    page(&ConfirmPage {
        frame: under(&session, &user, &format!("Delete {name}?")),
        sentences: vec![
            format!("{name} can never sign in again. This cannot be undone."),
            "Their open requests end, and so does every assignment: what it gave is removed from \
             the target systems. They leave every group and lose every role."
                .to_owned(),
            "Whoever they manage has no manager then. Requests and history keep their name."
                .to_owned(),
        ],
        action: format!("{}/delete", address(&user)),
        hidden: Vec::new(),
        button: "Delete this person".to_owned(),
        back: address(&user),
    })
}

async fn delete(
    State(app): State<App>,
    Path(person): Path<String>,
    Posted { session, .. }: Posted,
) -> Result {
    let user = read(&app, &session, &person).await?;
    app.delete_user(&session.caller, &user.id.to_string()).await?;
    Ok(see("/governance/people?done=deleted"))
}
