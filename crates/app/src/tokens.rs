//! Bearer tokens of our own: signed (ES256), short-lived, and good only as long as the database
//! agrees: who a token names is looked up with every request.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use accede_domain::Timestamp;
use accede_domain::id::{AppId, UserId};
use accede_domain::permission::{Action, Scope};
use accede_store::apps::Application;
use accede_store::crash::{Point, point};
use accede_store::users::User;
use accede_store::{Tx, apps, audit as audit_rows, directory_roles, users};

use crate::apps::digest_of;
use crate::audit::{self, Event};
use crate::role_assignments::RoleWish;
use crate::throttle::{self, Key};
use crate::{App, Caller, Error, Result};

/// How long a token lasts when nothing is asked.
pub const DEFAULT_LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// The longest lifetime of a token that an operator issues.
pub const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 8_192;
/// How far the clocks of two servers may be apart.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// Who our tokens are for.
const AUDIENCE: &str = "accede";
/// What kind of token it is (RFC 9068), so that no other signed thing is taken for one.
const TYPE: &str = "at+jwt";

/// Signs and checks tokens.
pub(crate) struct Signer {
    deployment: Uuid,
    key_id: String,
    signing: EncodingKey,
    checking: DecodingKey,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    tid: Uuid,
    sub: Uuid,
    oid: Uuid,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
    ver: String,
    idtyp: Kind,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    scp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    roles: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    appid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    app_displayname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    upn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    name: Option<String>,
    /// Ours: whether an application's token is limited to `roles`, whatever else it holds.
    #[serde(skip_serializing_if = "is_false", default)]
    limited: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    User,
    App,
}

impl Signer {
    /// A new private key, as PKCS #8.
    pub(crate) fn generate() -> Result<Vec<u8>> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1())
            .map_err(|_| Error::internal("a signing key could not be made"))?;
        Ok(pair.as_ref().to_vec())
    }

    /// The signer of a deployment.
    pub(crate) fn new(pkcs8: &[u8], deployment: Uuid) -> Result<Signer> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_| Error::internal("the signing key in the database cannot be used"))?;
        let public = pair.public_key().as_ref();
        let fingerprint = digest(&SHA256, public);
        let key_id = URL_SAFE_NO_PAD.encode(fingerprint.as_ref().get(..12).unwrap_or_default());
        Ok(Signer {
            deployment,
            key_id,
            signing: EncodingKey::from_ec_der(pkcs8),
            checking: DecodingKey::from_ec_der(public),
        })
    }

    fn issuer(&self) -> String {
        format!("urn:accede:{}", self.deployment)
    }

    fn sign(&self, claims: &Claims) -> Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, claims, &self.signing).map_err(Error::internal)
    }

    /// What a token says, if it is ours and its time is now.
    fn check(&self, token: &str, now: Timestamp) -> Result<Claims> {
        let refuse =
            |why: &str| Error::Unauthenticated(format!("the access token {why}; get a new one"));
        if MAX_TOKEN < token.len() {
            return Err(refuse("is too long"));
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[self.issuer()]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // The clock is ours: see below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.checking, &validation)
            .map_err(|_| refuse("was not issued by this server, or was changed"))?;
        let kind = decoded.header.typ.as_deref();
        if kind != Some(TYPE) || decoded.header.kid.as_deref() != Some(self.key_id.as_str()) {
            return Err(refuse("was not issued by this server, or is no access token"));
        }
        let claims = decoded.claims;
        let seconds = now.as_second();
        if claims.exp <= seconds {
            return Err(refuse("has expired"));
        }
        if seconds + SKEW.as_secs() < claims.nbf {
            return Err(refuse("is not valid yet"));
        }
        Ok(claims)
    }
}

/// A token that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// How long it lasts.
    pub lifetime: SignedDuration,
    /// What it was issued for, by name.
    pub scopes: Vec<&'static str>,
}

/// What an operator wants a token for.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Roles to give first, as [`RoleWish::parse`] reads them.
    pub roles: Vec<String>,
    /// Scopes; everything the principal may do if empty.
    pub scopes: Vec<String>,
    /// How long; [`DEFAULT_LIFETIME`] if `None`.
    pub lifetime: Option<SignedDuration>,
}

impl App {
    /// Who a bearer token speaks for.
    ///
    /// # Errors
    ///
    /// Unauthenticated: not ours, changed, expired, or its owner was deleted or disabled.
    pub async fn authenticate(&self, token: &str) -> Result<Caller> {
        let claims = self.signer()?.check(token, self.now())?;
        match claims.idtyp {
            Kind::User => {
                let scopes = claims.scp.unwrap_or_default();
                let scopes = scopes.split_whitespace().filter_map(Scope::parse).collect();
                self.caller_of_user(UserId(claims.oid), Some(scopes)).await
            }
            Kind::App => {
                let roles = claims.roles.unwrap_or_default();
                let permissions: Vec<Scope> =
                    roles.iter().filter_map(|name| Scope::parse(name)).collect();
                self.caller_of_app(AppId(claims.oid), &permissions, claims.limited).await
            }
        }
    }

    /// A token for a person, by an operator on the machine; gives them the roles first.
    ///
    /// # Errors
    ///
    /// Not found, disabled; an unknown role or scope; a lifetime out of bounds.
    pub async fn issue_user_token(&self, name: &str, wish: &Wish) -> Result<Issued> {
        let now = self.now();
        let lifetime = lifetime(wish)?;
        let scopes = match scopes(wish)? {
            scopes if scopes.is_empty() => Scope::ALL.to_vec(),
            scopes => scopes,
        };
        let wishes = role_wishes(wish)?;
        let caller = Caller::system();
        let user = self
            .store()
            .write(async |tx| {
                let Some(user) = crate::users::find(tx, name).await? else {
                    return Err(Error::not_found("user", name));
                };
                if !user.account_enabled {
                    let sentence = format!("`{}` is disabled", user.user_principal_name);
                    return Err(Error::invalid("user", sentence));
                }
                self.give_roles(tx, &caller, user.id.0, &wishes, now).await?;
                self.note_issue(tx, "user", user.id.to_string(), &scopes, now).await?;
                Ok(user)
            })
            .await?;
        let claims = self.user_claims(&user, &scopes, lifetime, now)?;
        let token = self.signer()?.sign(&claims)?;
        Ok(Issued { token, lifetime, scopes: names(&scopes) })
    }

    /// A token for an application, by an operator on the machine; makes the application and gives it
    /// the roles and permissions first. What it was given it keeps.
    ///
    /// An application that holds nothing yet, and for which nothing is asked, gets
    /// [`Scope::EntitlementManagementReadWrite`], [`Scope::DirectoryReadWrite`] and
    /// [`Scope::RoleManagementReadWrite`].
    ///
    /// # Errors
    ///
    /// A bad name; an unknown role or scope; a lifetime out of bounds.
    pub async fn issue_app_token(&self, name: &str, wish: &Wish) -> Result<Issued> {
        let now = self.now();
        let lifetime = lifetime(wish)?;
        let asked = scopes(wish)?;
        if asked.contains(&Scope::SubjectAccess) {
            let sentence = format!(
                "`{}` is for people only; use --user, or another scope",
                Scope::SubjectAccess.name()
            );
            return Err(Error::invalid("scope", sentence));
        }
        let wishes = role_wishes(wish)?;
        let caller = Caller::system();
        let app = self
            .store()
            .write(async |tx| {
                let mut app = self.ensure_app(tx, &caller, name, now).await?;
                self.give_roles(tx, &caller, app.id.0, &wishes, now).await?;
                let mut missing: Vec<Scope> = asked
                    .iter()
                    .copied()
                    .filter(|scope| !app.permissions.contains(scope))
                    .collect();
                if asked.is_empty() && wishes.is_empty() && self.holds_nothing(tx, &app).await? {
                    missing = vec![
                        Scope::EntitlementManagementReadWrite,
                        Scope::DirectoryReadWrite,
                        Scope::RoleManagementReadWrite,
                    ];
                }
                if !missing.is_empty() {
                    app.permissions.extend(&missing);
                    apps::save(tx, &app).await?;
                    let event = Event {
                        action: "permissions granted",
                        object_type: "servicePrincipal",
                        object_id: app.id.to_string(),
                        catalog: None,
                        detail: serde_json::json!({ "permissions": names(&missing) }),
                    };
                    audit::record(self, tx, &caller, event, now).await?;
                }
                let scopes = if asked.is_empty() { &app.permissions } else { &asked };
                self.note_issue(tx, "servicePrincipal", app.id.to_string(), scopes, now).await?;
                Ok::<_, Error>(app)
            })
            .await?;
        point(Point::TokenIssued);
        let limited = !asked.is_empty();
        let scopes = if limited { &asked } else { &app.permissions };
        let claims = self.app_claims(&app, scopes, limited, lifetime, now)?;
        let token = self.signer()?.sign(&claims)?;
        Ok(Issued { token, lifetime, scopes: names(scopes) })
    }

    /// OAuth 2.0 client credentials: a token for an application that proves itself by its secret.
    ///
    /// # Errors
    ///
    /// Unauthenticated, whether the application or the secret is wrong; throttled after too many
    /// wrong tries.
    pub async fn issue_by_secret(
        &self,
        client_id: &str,
        secret: &str,
        address: &str,
    ) -> Result<Issued> {
        let now = self.now();
        let refused =
            || Error::Unauthenticated("the client id or the client secret is wrong".into());
        let tries = [
            Key::of("client", client_id, throttle::ACCOUNT),
            Key::of("address", address, throttle::ADDRESS),
        ];
        let marks = self.admit(&tries, now).await?;
        let found = client_id.parse::<AppId>().ok();
        let app = self
            .store()
            .read(async |tx| {
                let Some(id) = found else { return Ok(None) };
                apps::get(tx, id).await
            })
            .await
            .map_err(Error::from)?;
        let proven = app.as_ref().is_some_and(|app| {
            let kept = app.secret_hash.as_deref().unwrap_or_default();
            let given = digest_of(secret);
            !kept.is_empty()
                && aws_lc_rs::constant_time::verify_slices_are_equal(
                    kept.as_bytes(),
                    given.as_bytes(),
                )
                .is_ok()
        });
        let Some(app) = app.filter(|app| proven && app.is_active) else { return Err(refused()) };
        self.pardon(&tries, &marks).await?;
        let claims = self.app_claims(&app, &app.permissions, false, DEFAULT_LIFETIME, now)?;
        let token = self.signer()?.sign(&claims)?;
        Ok(Issued { token, lifetime: DEFAULT_LIFETIME, scopes: names(&app.permissions) })
    }

    /// The deployment's id, which is also its organization's.
    ///
    /// # Errors
    ///
    /// Internal, before [`App::prepare`].
    pub fn organization(&self) -> Result<Uuid> {
        Ok(self.signer()?.deployment)
    }

    async fn holds_nothing(&self, tx: &mut Tx<'_>, app: &Application) -> Result<bool> {
        Ok(app.permissions.is_empty()
            && directory_roles::held(tx, app.id.0).await?.is_empty()
            && accede_store::role_assignments::held(tx, app.id.0).await?.is_empty())
    }

    async fn note_issue(
        &self,
        tx: &mut Tx<'_>,
        object_type: &str,
        object_id: String,
        scopes: &[Scope],
        now: Timestamp,
    ) -> Result<()> {
        let row = audit_rows::NewRecord {
            id: self.mint(now),
            at: now,
            actor: &Caller::system().name,
            action: "access token issued",
            object_type,
            object_id: &object_id,
            catalog: None,
            detail: serde_json::json!({ "scopes": names(scopes) }).to_string(),
        };
        Ok(audit_rows::insert(tx, row).await?)
    }

    fn user_claims(
        &self,
        user: &User,
        scopes: &[Scope],
        lifetime: SignedDuration,
        now: Timestamp,
    ) -> Result<Claims> {
        Ok(Claims {
            scp: Some(names(scopes).join(" ")),
            upn: Some(user.user_principal_name.clone()),
            name: Some(user.display_name.clone()),
            ..self.claims(user.id.0, Kind::User, lifetime, now)?
        })
    }

    fn app_claims(
        &self,
        app: &Application,
        permissions: &[Scope],
        limited: bool,
        lifetime: SignedDuration,
        now: Timestamp,
    ) -> Result<Claims> {
        Ok(Claims {
            roles: Some(names(permissions).into_iter().map(str::to_owned).collect()),
            appid: Some(app.id.0),
            app_displayname: Some(app.display_name.clone()),
            limited,
            ..self.claims(app.id.0, Kind::App, lifetime, now)?
        })
    }

    fn claims(
        &self,
        object: Uuid,
        kind: Kind,
        lifetime: SignedDuration,
        now: Timestamp,
    ) -> Result<Claims> {
        let signer = self.signer()?;
        let seconds = now.as_second();
        Ok(Claims {
            iss: signer.issuer(),
            aud: AUDIENCE.to_owned(),
            tid: signer.deployment,
            sub: object,
            oid: object,
            jti: self.entropy().uuid(now),
            iat: seconds,
            nbf: seconds,
            exp: seconds.saturating_add(lifetime.as_secs()),
            ver: "1.0".to_owned(),
            idtyp: kind,
            scp: None,
            roles: None,
            appid: None,
            app_displayname: None,
            upn: None,
            name: None,
            limited: false,
        })
    }

    async fn give_roles(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        principal: Uuid,
        wishes: &[RoleWish],
        now: Timestamp,
    ) -> Result<()> {
        for wish in wishes {
            self.give_role(tx, caller, principal, wish, now).await?;
        }
        Ok(())
    }

    /// Whether a caller may read the directory: a role that says so, anywhere, or a token that was
    /// issued for it.
    pub(crate) fn may_read_directory(&self, caller: &Caller) -> Result<()> {
        let by_token = caller.user().is_some()
            && caller.scopes.is_some()
            && caller.scope_allows(Action::ReadDirectory);
        if by_token { Ok(()) } else { caller.may_somewhere(Action::ReadDirectory).map(drop) }
    }

    /// Looks a user up for the token of an operator. Public so that `accede init` can greet by name.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn user_exists(&self, name: &str) -> Result<bool> {
        let found = self.store().read(async |tx| users::by_name(tx, name).await).await;
        Ok(found?.is_some())
    }
}

fn lifetime(wish: &Wish) -> Result<SignedDuration> {
    let lifetime = wish.lifetime.unwrap_or(DEFAULT_LIFETIME);
    if lifetime < SignedDuration::from_secs(1) || MAX_LIFETIME < lifetime {
        let sentence = "is from PT1S to P365D".to_owned();
        return Err(Error::invalid("lifetime", sentence));
    }
    Ok(lifetime)
}

fn scopes(wish: &Wish) -> Result<Vec<Scope>> {
    let mut scopes = Vec::new();
    for name in wish.scopes.iter().flat_map(|text| text.split([' ', ',']).filter(|s| !s.is_empty()))
    {
        let scope = Scope::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
            let near = accede_domain::nearest::sorted(name, known).join(", ");
            Error::invalid("scope", format!("there is no scope `{name}`; there are {near}"))
        })?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

fn role_wishes(wish: &Wish) -> Result<Vec<RoleWish>> {
    wish.roles.iter().map(|text| RoleWish::parse(text)).collect()
}

fn names(scopes: &[Scope]) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.name()).collect()
}
