//! Resources that a target's settings list, for kinds whose targets cannot be asked for them.

use std::collections::HashSet;

use accede_domain::fault::{Class, Fault};
use serde_json::Value;

use crate::settings::{Field, Form, Problem, problem};
use crate::{FoundResource, FoundRole, Role};

/// The setting.
pub const RESOURCES: Field = Field::new(
    "resources",
    "Resources",
    "what there is to have: a list of `{ \"id\": \"keys\", \"name\": \"Key cabinet\", \"roles\": \
     [\"Holder\"] }`, or of texts like `keys: Key cabinet`. A resource without roles has the role \
     `Member`. Without this list every id is a resource",
)
.form(Form::List);

/// Most resources of one list.
pub const MAX_RESOURCES: usize = 1_000;
/// Most roles of one resource.
const MAX_ROLES: usize = 20;
/// Longest id and longest name, in characters.
const MAX_LENGTH: usize = 256;
/// The role of a resource that names none.
const MEMBER: &str = "Member";

/// What the settings list; nothing, where every id is a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed(Option<Vec<FoundResource>>);

fn roles(id: &str, names: &[String]) -> Vec<FoundRole> {
    let role =
        |name: &str| FoundRole { origin_id: format!("{name}_{id}"), display_name: name.to_owned() };
    match names {
        [] => vec![role(MEMBER)],
        names => names.iter().map(|name| role(name)).collect(),
    }
}

fn resource(id: &str, name: Option<&str>, names: &[String]) -> FoundResource {
    FoundResource {
        origin_id: id.to_owned(),
        display_name: name.unwrap_or(id).to_owned(),
        description: None,
        roles: roles(id, names),
    }
}

fn word(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim).filter(|text| {
        !text.is_empty()
            && text.chars().count() <= MAX_LENGTH
            && !text.chars().any(char::is_control)
    })
}

fn one(item: &Value) -> Option<FoundResource> {
    if let Some(text) = word(item) {
        let (id, name) = match text.split_once(':') {
            Some((id, name)) => (id.trim(), Some(name.trim()).filter(|name| !name.is_empty())),
            None => (text, None),
        };
        return (!id.is_empty()).then(|| resource(id, name, &[]));
    }
    let object = item.as_object()?;
    if object.keys().any(|key| !matches!(key.as_str(), "id" | "name" | "roles")) {
        return None;
    }
    let id = word(object.get("id")?)?;
    let name = match object.get("name") {
        None | Some(Value::Null) => None,
        Some(name) => Some(word(name)?),
    };
    let names = match object.get("roles") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(roles)) if roles.len() <= MAX_ROLES => {
            let names = roles.iter().map(|role| word(role).map(str::to_owned));
            names.collect::<Option<Vec<_>>>()?
        }
        Some(_) => return None,
    };
    Some(resource(id, name, &names))
}

/// The first role that a resource names twice.
fn named_twice(resource: &FoundResource) -> Option<&str> {
    let mut names = HashSet::new();
    let mut roles = resource.roles.iter().map(|role| role.display_name.as_str());
    roles.find(|name| !names.insert(*name))
}

impl Listed {
    /// Reads the setting.
    ///
    /// # Errors
    ///
    /// The first item that is no resource, ids and roles that come twice, too many of them.
    pub fn read(value: Option<&Value>) -> Result<Listed, Problem> {
        let name = RESOURCES.name;
        let items = match value {
            None | Some(Value::Null) => return Ok(Listed(None)),
            Some(Value::Array(items)) if items.len() <= MAX_RESOURCES => items,
            Some(_) => {
                let sentence = format!("must be a list of at most {MAX_RESOURCES} resources");
                return Err(problem(name, sentence));
            }
        };
        let mut found: Vec<FoundResource> = Vec::with_capacity(items.len());
        let mut ids = HashSet::new();
        for item in items {
            let Some(resource) = one(item) else {
                let shown: String = item.to_string().chars().take(80).collect();
                let sentence = format!(
                    "holds `{shown}`, which is no resource; give it like `{{\"id\": \"keys\", \
                     \"name\": \"Key cabinet\", \"roles\": [\"Holder\"]}}` or `keys: Key cabinet`"
                );
                return Err(problem(name, sentence));
            };
            if let Some(role) = named_twice(&resource) {
                let sentence = format!("has the role `{role}` of `{}` twice", resource.origin_id);
                return Err(problem(name, sentence));
            }
            if !ids.insert(resource.origin_id.clone()) {
                return Err(problem(name, format!("has the id `{}` twice", resource.origin_id)));
            }
            found.push(resource);
        }
        Ok(Listed(Some(found)))
    }

    /// Resources whose name or id contains the text, whatever its case, at most `limit`.
    pub fn discover(&self, search: Option<&str>, limit: usize) -> Vec<FoundResource> {
        let search = search.unwrap_or_default().to_lowercase();
        let fits = |one: &&FoundResource| {
            one.display_name.to_lowercase().contains(&search)
                || one.origin_id.to_lowercase().contains(&search)
        };
        self.0.iter().flatten().filter(fits).take(limit).cloned().collect()
    }

    /// One resource by its id.
    pub fn find(&self, id: &str) -> Option<FoundResource> {
        match &self.0 {
            None => word(&Value::from(id)).map(|id| resource(id, None, &[])),
            Some(all) => all.iter().find(|one| one.origin_id == id).cloned(),
        }
    }

    /// What a role is called here, with its resource.
    ///
    /// # Errors
    ///
    /// Permanent, for a resource that is not listed; unsupported, for a role that it does not have.
    pub fn named(&self, role: &Role) -> Result<(FoundResource, FoundRole), Fault> {
        let Some(found) = self.find(&role.resource) else {
            return Err(crate::faults::gone("resource", &role.resource));
        };
        let named = found.roles.iter().find(|one| one.origin_id == role.role).cloned();
        let named = named.ok_or_else(|| {
            let message = format!(
                "the role `{}` is not one that `{}` has in this target's `resources`",
                role.role, found.display_name
            );
            Fault::new(Class::Unsupported, "role-unknown", message)
        })?;
        Ok((found, named))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_are_texts_or_objects() {
        let listed = json!(["keys", "desk: Standing desk", {"id": "car", "roles": ["Driver"]}]);
        let listed = Listed::read(Some(&listed)).unwrap();

        let all = listed.discover(None, 9);
        assert_eq!(all[0].roles[0].origin_id, "Member_keys");
        assert_eq!(all[1].display_name, "Standing desk");
        assert_eq!(all[2].roles[0].origin_id, "Driver_car");
        assert_eq!(listed.discover(Some("STAND"), 9), all[1..2]);
        assert_eq!(listed.find("boat"), None);
        let role =
            |role: &str| Role { resource: "car".into(), role: role.into(), scope: "car".into() };
        assert_eq!(listed.named(&role("Driver_car")).unwrap().1.display_name, "Driver");
        assert_eq!(listed.named(&role("Member_car")).unwrap_err().class, Class::Unsupported);
    }

    #[test]
    fn without_a_list_every_id_is_a_resource() {
        let listed = Listed::read(None).unwrap();

        assert_eq!(listed.discover(None, 9), []);
        assert_eq!(listed.find("boat").unwrap().roles[0].origin_id, "Member_boat");
        assert_eq!(listed.find(" "), None);
    }

    #[test]
    fn what_is_no_resource_is_named() {
        for (wrong, said) in [
            (json!("keys"), "must be a list"),
            (json!([7]), "holds `7`"),
            (json!([{"name": "x"}]), "no resource"),
            (json!([{"id": "a", "rolls": []}]), "no resource"),
            (json!([{"id": "a", "roles": ["x", "x"]}]), "has the role `x` of `a` twice"),
            (json!(["a", "a: again"]), "`a` twice"),
        ] {
            let problem = Listed::read(Some(&wrong)).unwrap_err().to_string();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
