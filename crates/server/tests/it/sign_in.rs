//! Who one is: client credentials, local accounts, sessions.

use accede_app::Error;
use accede_app::tokens::Wish;
use accede_app::users::{NewUser, UserChange};
use accede_app::{App, Caller};
use accede_server::portal::Portal;
use accede_server::serve;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tower::ServiceExt;

use crate::world::World;

const PASSWORD: &str = "correct horse battery staple";
const HERE: &str = "192.0.2.7";

async fn with_account(world: &World, name: &str) -> String {
    let new = NewUser {
        user_principal_name: format!("{name}@harbourline.example"),
        display_name: name.to_owned(),
        password: Some(PASSWORD.to_owned()),
        ..NewUser::default()
    };
    world.app.create_user(&Caller::system(), new).await.unwrap().user_principal_name
}

fn router(app: &App) -> Router {
    let web =
        accede_server::cli::data::web(&accede_server::config::Sources::default().read().unwrap());
    serve::router(app, web, Portal::default(), serve::trusted(Vec::new()))
}

async fn form(app: &App, form: &str, basic: Option<&str>) -> (u16, HeaderMap, Value) {
    let mut request = Request::post("/oauth2/v2.0/token")
        .header("host", "accede.test")
        .header("content-type", "application/x-www-form-urlencoded");
    if let Some(pair) = basic {
        request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
    }
    let request = request.body(Body::from(form.to_owned())).unwrap();
    let response = router(app).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn an_application_gets_a_token_for_its_secret() {
    let world = World::new().await;
    world.app.issue_app_token("bot", &Wish::default()).await.unwrap();
    let known = world.app.new_client_secret("bot").await.unwrap();
    let (id, secret) = (known.client_id.to_string(), known.secret);
    let scope = "scope=https%3A%2F%2Fgraph.microsoft.com%2F.default";

    let body =
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&{scope}");
    let (status, headers, answer) = form(&world.app, &body, None).await;
    assert_eq!(
        (status, &answer["token_type"], &answer["expires_in"]),
        (200, &"Bearer".into(), &3600.into())
    );
    assert_eq!(headers["cache-control"], "no-store");
    let caller = world.app.authenticate(answer["access_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(caller.name, "bot");

    let body = format!("grant_type=client_credentials&{scope}");
    let (status, _, _) = form(&world.app, &body, Some(&format!("{id}:{secret}"))).await;
    assert_eq!(status, 200);

    let other = world.app.new_client_secret("bot").await.unwrap();
    assert_ne!(other.secret, secret);
    let (status, _, answer) = form(&world.app, &body, Some(&format!("{id}:{secret}"))).await;
    assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()));
}

#[tokio::test]
async fn the_token_endpoint_refuses_in_the_words_of_its_standard() {
    let world = World::new().await;
    let known = world.app.new_client_secret("bot").await.unwrap();
    let (id, secret) = (known.client_id.to_string(), known.secret);
    let good = format!("client_id={id}&client_secret={secret}");
    for (body, status, error) in [
        (good.clone(), 400, "invalid_request"),
        (format!("grant_type=password&{good}"), 400, "unsupported_grant_type"),
        (format!("grant_type=client_credentials&{good}&scope=User.Read"), 400, "invalid_scope"),
        (format!("grant_type=client_credentials&{good}&client_id={id}"), 400, "invalid_request"),
        (format!("grant_type=client_credentials&client_id={id}"), 401, "invalid_client"),
        (
            format!("grant_type=client_credentials&client_id={id}&client_secret=x"),
            401,
            "invalid_client",
        ),
        (
            format!("grant_type=client_credentials&client_id=x&client_secret={secret}"),
            401,
            "invalid_client",
        ),
        (
            "grant_type=client_credentials&client_id=%00&client_secret=%FF".to_owned(),
            401,
            "invalid_client",
        ),
    ] {
        let (answered, headers, answer) = form(&world.app, &body, None).await;
        assert_eq!((answered, &answer["error"]), (status, &error.into()), "{body}");
        assert!(!answer["error_description"].as_str().unwrap().is_empty());
        assert_eq!(status == 401, headers.contains_key("www-authenticate"), "{body}");
    }
}

#[tokio::test]
async fn guessing_a_client_secret_is_slowed_down() {
    let world = World::new().await;
    let known = world.app.new_client_secret("bot").await.unwrap();
    let body = |secret: &str| {
        format!(
            "grant_type=client_credentials&client_id={}&client_secret={secret}",
            known.client_id
        )
    };
    for _ in 0..10 {
        assert_eq!(form(&world.app, &body("x"), None).await.0, 401);
    }
    let (status, headers, answer) = form(&world.app, &body(&known.secret), None).await;
    assert_eq!((status, &answer["error"]), (429, &"temporarily_unavailable".into()));
    assert_eq!(headers["retry-after"], "900");
    world.later(1);
    assert_eq!(form(&world.app, &body(&known.secret), None).await.0, 200);
}

#[tokio::test]
async fn a_permission_that_is_taken_away_no_longer_counts() {
    let world = World::new().await;
    let wish = Wish { scopes: vec!["Directory.Read.All".to_owned()], ..Wish::default() };
    let issued = world.app.issue_app_token("bot", &wish).await.unwrap();
    assert_eq!(issued.scopes, ["Directory.Read.All"]);
    let all = world.app.issue_app_token("bot", &Wish::default()).await.unwrap();
    assert_eq!(all.scopes, ["Directory.Read.All"], "what it was granted it keeps, and no more");
}

#[tokio::test]
async fn a_token_that_was_changed_or_made_elsewhere_is_refused() {
    let world = World::new().await;
    let other = World::new().await;
    other.user("uma").await;
    world.user("uma").await;
    let ours =
        world.app.issue_user_token("uma@harbourline.example", &Wish::default()).await.unwrap();
    let theirs =
        other.app.issue_user_token("uma@harbourline.example", &Wish::default()).await.unwrap();
    world.app.authenticate(&ours.token).await.unwrap();

    let (head, rest) = ours.token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0";
    for token in [
        theirs.token.clone(),
        format!("{head}.{claims}."),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{head}.{}A.{signature}", &claims[..claims.len() - 1]),
        String::new(),
        "a.b.c".to_owned(),
        "x".repeat(10_000),
    ] {
        let refused = world.app.authenticate(&token).await;
        assert!(matches!(refused, Err(Error::Unauthenticated(_))), "{token}");
    }
}

#[tokio::test]
async fn a_password_opens_a_session_that_signing_out_ends() {
    let world = World::new().await;
    let uma = with_account(&world, "uma").await;

    let begun = world.app.sign_in(&uma.to_uppercase(), PASSWORD, HERE, None).await.unwrap();
    let live = world.app.session_caller(&begun.token).await.unwrap();
    assert_eq!((live.caller.name.as_str(), live.display_name.as_str()), (uma.as_str(), "uma"));
    assert!(live.caller.scopes.is_none());
    assert!(live.verify_csrf(&begun.csrf));
    assert!(!live.verify_csrf("") && !live.verify_csrf(&begun.token));

    let again = world.app.sign_in(&uma, PASSWORD, HERE, Some(&begun.token)).await.unwrap();
    assert_ne!(again.token, begun.token);
    assert!(world.app.session_caller(&begun.token).await.is_err(), "the old one was replaced");
    world.app.sign_out(&again.token).await.unwrap();
    assert!(world.app.session_caller(&again.token).await.is_err());
    world.app.sign_out(&again.token).await.unwrap();
}

#[tokio::test]
async fn sessions_end_by_idleness_by_age_and_with_their_owner() {
    let world = World::new().await;
    let uma = with_account(&world, "uma").await;
    let begin = async || world.app.sign_in(&uma, PASSWORD, HERE, None).await.unwrap().token;
    let lives = async |token: &str| world.app.session_caller(token).await.is_ok();

    let idle = begin().await;
    world.later(7);
    assert!(lives(&idle).await);
    world.later(7);
    assert!(lives(&idle).await, "being used keeps it");
    world.later(8);
    assert!(!lives(&idle).await);

    let old = begin().await;
    for _ in 0..3 {
        world.later(7);
        assert!(lives(&old).await);
    }
    world.later(3);
    assert!(!lives(&old).await, "24 hours are the end however it was used");

    let disabled = begin().await;
    let change = UserChange { account_enabled: Some(false), ..UserChange::default() };
    world.app.change_user(&Caller::system(), &uma, change).await.unwrap();
    assert!(!lives(&disabled).await);
    let refused = world.app.sign_in(&uma, PASSWORD, HERE, None).await;
    assert!(matches!(refused, Err(Error::Unauthenticated(_))));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_told_alike() {
    let world = World::new().await;
    let uma = with_account(&world, "uma").await;
    world.user("max").await;
    let told = async |name: &str, password: &str| {
        let refused = world.app.sign_in(name, password, HERE, None).await;
        match refused {
            Err(Error::Unauthenticated(sentence)) => sentence,
            other => format!("{other:?}"),
        }
    };

    let wrong = told(&uma, "wrong").await;
    assert_eq!(told("nobody@harbourline.example", PASSWORD).await, wrong);
    assert_eq!(told("max@harbourline.example", PASSWORD).await, wrong, "no local account");
    assert_eq!(told("", "").await, wrong);
    assert_eq!(told(&uma, &"x".repeat(100_000)).await, wrong);
}

#[tokio::test]
async fn ten_failures_slow_down_one_account_and_no_other() {
    let world = World::new().await;
    let (uma, max) = (with_account(&world, "uma").await, with_account(&world, "max").await);
    for _ in 0..10 {
        let refused = world.app.sign_in(&uma, "wrong", HERE, None).await;
        assert!(matches!(refused, Err(Error::Unauthenticated(_))));
    }

    let refused = world.app.sign_in(&uma.to_uppercase(), PASSWORD, "192.0.2.8", None).await;
    let (sentence, retry_after) = match refused {
        Err(Error::Throttled { sentence, retry_after }) => (sentence, retry_after),
        other => (format!("{other:?}"), 0),
    };
    assert!(sentence.contains("wait 15 minutes"), "{sentence}");
    assert_eq!(retry_after, 900);
    world.app.sign_in(&max, PASSWORD, HERE, None).await.unwrap();
    world.later(1);
    world.app.sign_in(&uma, PASSWORD, HERE, None).await.unwrap();
    for _ in 0..9 {
        let _ = world.app.sign_in(&uma, "wrong", HERE, None).await;
    }
    world.app.sign_in(&uma, PASSWORD, HERE, None).await.unwrap();
    for _ in 0..9 {
        let _ = world.app.sign_in(&uma, "wrong", HERE, None).await;
    }
    world.app.sign_in(&uma, PASSWORD, HERE, None).await.unwrap();
}

#[tokio::test]
async fn one_address_cannot_try_many_accounts() {
    let world = World::new().await;
    let uma = with_account(&world, "uma").await;
    for number in 0..100 {
        let name = format!("guess{number}@harbourline.example");
        let refused = world.app.sign_in(&name, "wrong", HERE, None).await;
        assert!(matches!(refused, Err(Error::Unauthenticated(_))), "{number}: {refused:?}");
    }

    let refused = world.app.sign_in(&uma, PASSWORD, HERE, None).await;
    assert!(matches!(refused, Err(Error::Throttled { .. })));
    world.app.sign_in(&uma, PASSWORD, "192.0.2.8", None).await.unwrap();
    world.app.sweep_sign_in().await.unwrap();
    assert!(
        world.app.sign_in(&uma, PASSWORD, HERE, None).await.is_err(),
        "not forgotten too early"
    );
    world.later(2);
    world.app.sweep_sign_in().await.unwrap();
    world.app.sign_in(&uma, PASSWORD, HERE, None).await.unwrap();
}

#[tokio::test]
async fn changing_ones_password_needs_the_old_one_and_ends_every_session() {
    let world = World::new().await;
    let uma = with_account(&world, "uma").await;
    let begun = world.app.sign_in(&uma, PASSWORD, HERE, None).await.unwrap();
    let new = "staple battery horse correct";
    let set = async |old: Option<&str>, new: &str| {
        world.app.set_password(&begun.caller, &uma, old, new).await.map_err(|e| e.to_string())
    };

    assert!(set(None, new).await.unwrap_err().contains("oldPassword"));
    assert!(set(Some("wrong"), new).await.unwrap_err().contains("oldPassword"));
    for weak in ["short", "aaaaaaaaaaaaaaaaaaaa", uma.as_str(), "abab abab abab abab"] {
        assert!(set(Some(PASSWORD), weak).await.unwrap_err().contains("newPassword"), "{weak}");
    }
    assert!(world.app.session_caller(&begun.token).await.is_ok());
    set(Some(PASSWORD), new).await.unwrap();
    assert!(world.app.session_caller(&begun.token).await.is_err());
    assert!(world.app.sign_in(&uma, PASSWORD, HERE, None).await.is_err());
    world.app.sign_in(&uma, new, HERE, None).await.unwrap();

    world.user("max").await;
    let max = world.person("max", &[]).await;
    drop(max);
    let stranger = world
        .app
        .caller_of_user(
            world.app.user(&Caller::system(), "max@harbourline.example").await.unwrap().id,
            None,
        )
        .await
        .unwrap();
    let refused = world.app.set_password(&stranger, &uma, Some(new), PASSWORD).await;
    assert!(matches!(refused, Err(Error::Forbidden { .. })));
}

#[tokio::test]
async fn the_first_administrator_can_sign_in_and_do_everything() {
    let world = World::new().await;
    world.app.create_administrator("ada@harbourline.example", PASSWORD).await.unwrap();
    let begun = world.app.sign_in("ada@harbourline.example", PASSWORD, HERE, None).await.unwrap();
    begun.caller.may_everywhere(accede_domain::permission::Action::ManageRoles).unwrap();

    let anew = "a second password for ada";
    world.app.create_administrator("ADA@harbourline.example", anew).await.unwrap();
    world.app.sign_in("ada@harbourline.example", anew, HERE, None).await.unwrap();
}

#[tokio::test]
async fn a_cookie_is_a_session_in_the_portal() {
    let world = World::new().await;
    let uma = with_account(&world, "uma").await;
    let begun = world.app.sign_in(&uma, PASSWORD, HERE, None).await.unwrap();
    let start = async |cookie: Option<String>| {
        let mut request = Request::get("/").header("host", "accede.test");
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = router(&world.app).oneshot(request).await.unwrap();
        response.headers()["location"].to_str().unwrap().to_owned()
    };

    assert_eq!(start(None).await, "/signin");
    assert_eq!(start(Some("accede=nonsense".to_owned())).await, "/signin");
    assert_ne!(start(Some(format!("accede={}", begun.token))).await, "/signin");
}
