//! A reader of the portal without scripts: a session's cookie, pages, and forms that carry the
//! token of the page they stand on.

use accede_app::tokens::Wish;
use accede_server::portal::Portal;
use accede_server::serve;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower::ServiceExt;

use crate::world::World;

/// Somebody who is signed in to the portal.
pub struct Reader {
    router: Router,
    cookie: String,
    token: String,
}

/// What a page answered.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    /// Where it leads, if it does.
    pub to: String,
    pub html: String,
}

impl Page {
    /// The page, if the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Page {
        assert_eq!(self.status, status, "{}", self.html);
        self
    }

    /// Where a form that was accepted leads.
    #[track_caller]
    pub fn leads(&self) -> String {
        assert_eq!(self.status, 303, "{}", self.html);
        self.to.clone()
    }

    /// The page has this status and all of these texts.
    #[track_caller]
    pub fn answers(&self, status: u16, texts: &[&str]) {
        assert_eq!(self.status, status, "{}", self.html);
        self.says(texts);
    }

    /// The page has all of these texts.
    #[track_caller]
    pub fn says(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.html.contains(text), "`{text}` is not in {}", self.html);
        }
    }

    /// The page has none of these texts.
    #[track_caller]
    pub fn hides(&self, texts: &[&str]) {
        for text in texts {
            assert!(!self.html.contains(text), "`{text}` is in {}", self.html);
        }
    }

    /// What is between two texts, the first time.
    #[track_caller]
    pub fn between(&self, before: &str, after: &str) -> String {
        self.says(&[before]);
        let rest = self.html.split_once(before).unwrap().1;
        rest.split_once(after).unwrap().0.to_owned()
    }
}

impl Reader {
    /// Signs a new person in who has these roles.
    pub async fn new(world: &World, name: &str, roles: &[&str]) -> Reader {
        let id = world.user(name).await;
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let upn = format!("{name}@harbourline.example");
        let wish = Wish { roles, ..Wish::default() };
        world.app.issue_user_token(&upn, &wish).await.unwrap();
        let begun = world.app.sign_in_as(id, None).await.unwrap();
        let web = accede_server::cli::data::web(
            &accede_server::config::Sources::default().read().unwrap(),
        );
        let router = serve::router(&world.app, web, Portal::default(), serve::trusted(Vec::new()));
        Reader { router, cookie: format!("accede={}", begun.token), token: begun.csrf }
    }

    /// The same reader without a session.
    pub fn out(self) -> Reader {
        Reader { cookie: String::new(), ..self }
    }

    /// What the pages carry in their forms.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Sends these very bytes as a form.
    pub async fn raw(&self, path: &str, kind: &str, body: Vec<u8>) -> Page {
        self.send(Request::post(path).header("content-type", kind), body).await
    }

    async fn send(&self, request: axum::http::request::Builder, body: impl Into<Body>) -> Page {
        let request = request.header("host", "accede.test").header("cookie", &self.cookie);
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 4 << 20).await.unwrap();
        let to = parts.headers.get("location").map(|to| to.to_str().unwrap().to_owned());
        Page {
            status: parts.status.as_u16(),
            to: to.unwrap_or_default(),
            html: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Reads a page.
    pub async fn get(&self, path: &str) -> Page {
        self.send(Request::get(path), String::new()).await
    }

    /// Reads a page as somebody who takes only this.
    pub async fn accepting(&self, path: &str, accept: &str) -> Page {
        self.send(Request::get(path).header("accept", accept), String::new()).await
    }

    /// Sends a form with the token that the reader's pages carry.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_with(path, &self.token, fields).await
    }

    /// Sends a form with this token.
    pub async fn post_with(&self, path: &str, token: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = format!("csrf={token}");
        for (name, value) in fields {
            form.push_str(&format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        }
        let kind = "application/x-www-form-urlencoded";
        self.send(Request::post(path).header("content-type", kind), form).await
    }
}
