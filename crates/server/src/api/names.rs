//! Paths as clients spell them to paths as routes are written.
//!
//! OData allows one resource many addresses: any case, `accessPackages('id')` for
//! `accessPackages/id`, `/microsoft.graph.reprocess` for `/reprocess`, quotes as `%27`. They are
//! rewritten before routing, so a handler has one route and never sees the others.

use axum::extract::{FromRequestParts, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::{ApiError, Result};

/// The path and query as the client sent them; links to further pages repeat them.
#[derive(Debug, Clone)]
pub(super) struct Sent(pub Uri);

/// The parameters of a function in the path: `filterByCurrentUser(on='target')`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The parameter's value; names are matched without case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The parameter's value, which must be there.
    ///
    /// # Errors
    ///
    /// `400` naming the parameter.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| {
            let message = format!("the function needs the parameter `{name}`, as in ({name}='…')");
            ApiError::bad_request(name, message)
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Parameters>().cloned().unwrap_or_default())
    }
}

/// Functions, which have parameters in parentheses; anything else in parentheses is a key.
const FUNCTIONS: [&str; 2] = ["filterByCurrentUser", "additionalAccess"];

/// Actions, which may be written with their namespace.
const ACTIONS: [&str; 7] = [
    "getByIds",
    "reprocess",
    "cancel",
    "resume",
    "refresh",
    "getApplicablePolicyRequirements",
    "uploadFile",
];

/// The other segments that are not keys, spelled as routes spell them.
const SEGMENTS: [&str; 75] = [
    "v1.0",
    "$batch",
    "$count",
    "$metadata",
    "$ref",
    "$value",
    "accessPackage",
    "accessPackageAssignmentApprovals",
    "accessPackageSuggestions",
    "accessPackages",
    "accessPackagesIncompatibleWith",
    "appScope",
    "assignment",
    "assignmentPolicies",
    "assignmentPolicy",
    "assignmentRequests",
    "assignments",
    "availableAccessPackages",
    "catalog",
    "catalogs",
    "connectedOrganization",
    "connectedOrganizations",
    "controlConfigurations",
    "customExtension",
    "customExtensionStageSettings",
    "customWorkflowExtensions",
    "directReports",
    "directoryObjects",
    "directoryScope",
    "endUserSettings",
    "entitlementManagement",
    "environment",
    "externalSponsors",
    "files",
    "groups",
    "identityGovernance",
    "incompatibleAccessPackages",
    "incompatibleGroups",
    "internalSponsors",
    "manager",
    "me",
    "memberOf",
    "members",
    "organization",
    "ownedObjects",
    "owners",
    "principal",
    "questions",
    "requestor",
    "resource",
    "resourceEnvironments",
    "resourceNamespaces",
    "resourceRequests",
    "resourceRoleScopes",
    "resourceRoles",
    "resourceScopes",
    "resources",
    "role",
    "roleAssignments",
    "roleDefinition",
    "roleDefinitions",
    "roleManagement",
    "roles",
    "scope",
    "scopes",
    "servicePrincipals",
    "settings",
    "sponsors",
    "stages",
    "subjects",
    "target",
    "transitiveMemberOf",
    "transitiveMembers",
    "uploadSessions",
    "users",
];

/// Names that published documents use for what clients call otherwise.
const ALIASES: [(&str, &str); 2] = [
    ("accessPackageAssignments", "assignments"),
    ("accessPackageCustomWorkflowExtensions", "customWorkflowExtensions"),
];

/// What is left of a key when it becomes a path segment.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b'=')
    .remove(b'$')
    .remove(b',')
    .remove(b':');

/// Rewrites the path of a Graph request and remembers what was sent; leaves other paths alone.
pub(super) fn rewrite(mut request: Request) -> Request {
    let sent = request.uri().clone();
    if let Some((path, parameters)) = canonical(sent.path()) {
        let mut parts = sent.clone().into_parts();
        let path_and_query = match sent.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        if let Ok(path_and_query) = path_and_query.parse() {
            parts.path_and_query = Some(path_and_query);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
        request.extensions_mut().insert(parameters);
    }
    request.extensions_mut().insert(Sent(sent));
    request
}

/// The path as routes spell it, and the parameters of the function in it. `None` if it is not a
/// path of the Graph API.
fn canonical(path: &str) -> Option<(String, Parameters)> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    if !segments.clone().next()?.eq_ignore_ascii_case("v1.0") {
        return None;
    }
    let mut parameters = Parameters::default();
    let mut out = String::new();
    for raw in segments.by_ref() {
        let Ok(segment) = percent_decode_str(raw).decode_utf8() else {
            push(&mut out, raw);
            continue;
        };
        let (name, inside) = match segment.split_once('(') {
            Some((name, rest)) if rest.ends_with(')') => {
                (name, Some(rest.get(..rest.len() - 1).unwrap_or_default()))
            }
            _ => (segment.as_ref(), None),
        };
        match (known(name), inside) {
            (Some(name), None) => push(&mut out, name),
            (Some(name), Some(inside)) if FUNCTIONS.contains(&name) => {
                push(&mut out, name);
                parameters = Parameters(pairs(inside));
            }
            // `reprocess()`: an action with its empty parentheses.
            (Some(name), Some(inside)) if inside.trim().is_empty() => push(&mut out, name),
            (Some(name), Some(inside)) => {
                push(&mut out, name);
                push(&mut out, &utf8_percent_encode(&key(inside), KEPT).to_string());
            }
            (None, _) => push(&mut out, raw),
        }
    }
    Some((out, parameters))
}

fn push(out: &mut String, segment: &str) {
    out.push('/');
    out.push_str(segment);
}

/// A segment as routes spell it, if it is not a key.
fn known(name: &str) -> Option<&'static str> {
    const NAMESPACE: &str = "microsoft.graph.";
    let same = |known: &&str| known.eq_ignore_ascii_case(name);
    let qualified = name.get(..NAMESPACE.len()).is_some_and(|p| p.eq_ignore_ascii_case(NAMESPACE));
    if qualified {
        // Only verbs: `members/microsoft.graph.user` is a cast and something else altogether.
        let bare = name.get(NAMESPACE.len()..).unwrap_or_default();
        let mut verbs = FUNCTIONS.into_iter().chain(ACTIONS);
        return verbs.find(|verb| verb.eq_ignore_ascii_case(bare));
    }
    let alias = ALIASES.into_iter().find(|(alias, _)| same(alias)).map(|(_, segment)| segment);
    let mut all = FUNCTIONS.into_iter().chain(ACTIONS).chain(SEGMENTS);
    alias.or_else(|| all.find(same))
}

/// `'id'` is a key; `objectId='id'` is an alternate key and stays as `objectId=id`.
fn key(inside: &str) -> String {
    match pairs(inside).as_slice() {
        [(name, value)] if !inside.trim_start().starts_with('\'') => format!("{name}={value}"),
        _ => unquoted(inside.trim()),
    }
}

fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    inner.map_or_else(|| text.to_owned(), |inner| inner.replace("''", "'"))
}

/// Reads `a='x',b='y'`; the comma may be missing, because one client library drops it.
fn pairs(inside: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = inside.trim_start_matches([',', ' ']);
    while let Some((name, value)) = rest.split_once('=') {
        let (value, after) = match value.trim_start().strip_prefix('\'') {
            Some(quoted) => {
                let end = closing(quoted);
                let text = quoted.get(..end).unwrap_or_default().replace("''", "'");
                (text, quoted.get(end + 1..).unwrap_or_default())
            }
            None => {
                let (value, after) = value.split_once(',').unwrap_or((value, ""));
                (value.trim().to_owned(), after)
            }
        };
        pairs.push((name.trim().to_owned(), value));
        rest = after.trim_start_matches([',', ' ']);
    }
    pairs
}

/// Where a quoted text ends: at the first quote that is not doubled.
fn closing(quoted: &str) -> usize {
    let mut from = 0;
    while let Some(found) = quoted.get(from..).and_then(|rest| rest.find('\'')) {
        let at = from + found;
        if !quoted.get(at + 1..).is_some_and(|rest| rest.starts_with('\'')) {
            return at;
        }
        from = at + 2;
    }
    quoted.len()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn path(sent: &str) -> String {
        canonical(sent).unwrap().0
    }

    const EM: &str = "/v1.0/identityGovernance/entitlementManagement";

    #[test]
    fn every_address_of_a_resource_is_one_path() {
        for (sent, routed) in [
            ("/V1.0/identitygovernance/EntitlementManagement/AccessPackages", "/accessPackages"),
            ("/v1.0//identityGovernance/entitlementManagement/accessPackages/", "/accessPackages"),
            (
                "/v1.0/identityGovernance/entitlementManagement/accessPackages('7')",
                "/accessPackages/7",
            ),
            (
                "/v1.0/identityGovernance/entitlementManagement/accessPackages(%277%27)",
                "/accessPackages/7",
            ),
            (
                "/v1.0/identityGovernance/entitlementManagement/accessPackages(7)/Catalog",
                "/accessPackages/7/catalog",
            ),
            (
                "/v1.0/identityGovernance/entitlementManagement/assignments/7/microsoft.graph.reprocess",
                "/assignments/7/reprocess",
            ),
            (
                "/v1.0/identityGovernance/entitlementManagement/assignments/7/Microsoft.Graph.Reprocess()",
                "/assignments/7/reprocess",
            ),
            (
                "/v1.0/identityGovernance/entitlementManagement/accessPackageAssignments/7/reprocess",
                "/assignments/7/reprocess",
            ),
            (
                "/v1.0/identityGovernance/entitlementManagement/subjects(objectId='7')/connectedOrganization",
                "/subjects/objectId=7/connectedOrganization",
            ),
            (
                "/v1.0/identityGovernance/entitlementManagement/assignments/%24count",
                "/assignments/$count",
            ),
            (
                "/v1.0/identityGovernance/entitlementManagement/accessPackages('a%2Fb')",
                "/accessPackages/a%2Fb",
            ),
            (
                "/v1.0/identityGovernance/entitlementManagement/accessPackages('it''s')",
                "/accessPackages/it%27s",
            ),
        ] {
            assert_eq!(path(sent), format!("{EM}{routed}"), "{sent}");
        }
    }

    #[test]
    fn keys_keep_their_spelling() {
        for sent in [
            "/v1.0/users/Mira@harbourline.example",
            "/v1.0/users/%FF",
            "/v1.0/groups/5D2B7F66-80A4-4F9E-8F0B-3B1B2C600004/members/microsoft.graph.user",
            "/v1.0/groups/a%2Fb(c",
            "/v1.0/unknown(7)",
        ] {
            assert_eq!(path(sent), sent);
        }
        assert_eq!(canonical("/accede/v1/TARGETS"), None);
        assert_eq!(canonical("/"), None);
    }

    #[test]
    fn functions_give_their_parameters() {
        for sent in [
            "/v1.0/x/filterByCurrentUser(on='target')",
            "/v1.0/x/filterbycurrentuser(on=%27target%27)",
            "/v1.0/x/microsoft.graph.filterByCurrentUser(On = 'target')",
            "/v1.0/x/filterByCurrentUser(on=target)",
        ] {
            let (path, parameters) = canonical(sent).unwrap();
            assert_eq!(path, "/v1.0/x/filterByCurrentUser", "{sent}");
            assert_eq!(parameters.require("on").unwrap(), "target", "{sent}");
        }
        for sent in [
            "/v1.0/x/additionalAccess(accessPackageId='a',incompatibleAccessPackageId='b''c')",
            "/v1.0/x/additionalAccess(accessPackageId='a'incompatibleAccessPackageId='b''c')",
            "/v1.0/x/additionalAccess(accessPackageId=a, incompatibleAccessPackageId='b''c')",
        ] {
            let (_, parameters) = canonical(sent).unwrap();
            assert_eq!(parameters.get("accessPackageId"), Some("a"), "{sent}");
            assert_eq!(parameters.get("IncompatibleAccessPackageId"), Some("b'c"), "{sent}");
        }
        let (path, parameters) = canonical("/v1.0/x/additionalAccess()").unwrap();
        assert_eq!(
            (path.as_str(), parameters.clone()),
            ("/v1.0/x/additionalAccess", Parameters::default())
        );
        assert_eq!(parameters.require("on").unwrap_err().target(), Some("on"));
    }

    #[test]
    fn odd_parentheses_do_no_harm() {
        for sent in [
            "/v1.0/users(')",
            "/v1.0/users('')",
            "/v1.0/users(=)",
            "/v1.0/users(a='b",
            "/v1.0/(",
            "/v1.0/users('''')",
            "/v1.0/filterByCurrentUser(on='%E2%82%AC'')",
            "/v1.0/)(",
        ] {
            let routed = path(sent);
            assert!(routed.starts_with("/v1.0/"), "{sent} became {routed}");
            assert!(routed.parse::<Uri>().is_ok(), "{sent} became {routed}");
        }
    }
}
