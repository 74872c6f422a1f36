//! People as entitlement management shows them: Graph's `accessPackageSubject`.

use accede_app::requests::Somebody;
use serde_json::{Value, json};

/// A person as Graph shows them.
pub fn subject(person: &Somebody) -> Value {
    json!({
        "id": person.subject,
        "objectId": person.user,
        "displayName": person.display_name,
        "email": person.mail,
        "principalName": person.user_principal_name,
        "onPremisesSecurityIdentifier": null,
        "subjectType": "user",
        "subjectLifecycle": "notDefined",
    })
}
