//! A valid form for every address of the portal that takes one, so that nothing but rights decides.

use accede_domain::permission::Role;

use crate::doors::Ids;

const PASSWORD: &str = "correct horse battery staple";
const KIM: &str = "kim@harbourline.example";
const LEE: &str = "lee@harbourline.example";

/// Names and values of a form's fields.
pub type Fields = Vec<(&'static str, String)>;

/// What to send to this route.
pub fn fields(ids: &Ids, route: &str) -> Fields {
    let role = Role::AccessPackageManager.definition().to_string();
    let with = |fields: &[(&'static str, &str)]| {
        fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    match route.trim_start_matches("/governance/") {
        "/approvals/{id}" => with(&[("stage", ids.of("stages")), ("decision", "approve")]),
        "catalogs/new" | "catalogs/{id}/edit" | "groups/new" | "groups/{id}/edit" => {
            with(&[("displayName", "A"), ("description", "B")])
        }
        "catalogs/{id}/resources/add" => with(&[("system", "wiki"), ("origin", "other")]),
        "catalogs/{id}/roles/add" => with(&[("who", KIM), ("role", &role)]),
        "drift/{id}/dismiss" => with(&[("reason", "a")]),
        "deliveries/{id}/resolve" => with(&[("resolution", "giveUp"), ("justification", "a")]),
        "deployment/confirm" => with(&[("choice", "resume")]),
        "groups/{id}/{tie}/add" => with(&[("who", LEE)]),
        // Another name than the edited one's.
        "packages/new" => {
            with(&[("displayName", "New"), ("description", "B"), ("catalog", ids.of("catalogs"))])
        }
        "packages/{id}/edit" => with(&[("displayName", "A"), ("version", "1")]),
        "packages/{id}/assignments/new" => with(&[("who", LEE), ("policy", ids.of("policies"))]),
        "packages/{id}/incompatible/groups/add" => with(&[("group", ids.of("groups"))]),
        "packages/{id}/incompatible/packages/add" => with(&[("other", ids.of("spare"))]),
        "packages/{id}/policies/new" | "packages/{id}/policies/{policy}/edit" => with(&[
            ("displayName", "A"),
            ("scope", "allMemberUsers"),
            ("stages", "0"),
            ("lasts", "never"),
            ("version", "1"),
        ]),
        "packages/{id}/roles/add" => {
            with(&[("role", ids.of("spareRole")), ("scope", ids.of("spareScope"))])
        }
        "people/new" => {
            with(&[("displayName", "A"), ("userPrincipalName", "a@harbourline.example")])
        }
        "people/{id}/edit" => with(&[("displayName", "Kim"), ("userPrincipalName", KIM)]),
        "people/{id}/manager" => with(&[("manager", LEE)]),
        "people/{id}/password" => {
            with(&[("passwordProfile.password", PASSWORD), ("again", PASSWORD)])
        }
        "people/{id}/roles/add" | "people/{id}/roles/remove" => {
            with(&[("role", "User Administrator")])
        }
        "plans" => with(&[("id", ids.of("requests"))]),
        "plans/{id}/run" => with(&[("digest", ids.of("digest"))]),
        "tasks/{id}/reassign" => with(&[("assignee", KIM)]),
        "/my/tasks/{id}" => with(&[("outcome", "done"), ("version", "1")]),
        "targets/new" => with(&[("kind", "chaos"), ("name", "a"), ("settings.name", "a")]),
        "targets/{id}/edit" => {
            with(&[("displayName", "A"), ("settings.name", "a"), ("version", "1")])
        }
        // Of nobody: signing in would end the session of who tries.
        // Of nobody: signing in would end the session of who tries.
        "/signin" => with(&[("name", "nobody@harbourline.example"), ("password", PASSWORD)]),
        _ => Vec::new(),
    }
}
