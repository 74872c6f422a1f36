//! Everybody who is in a group of a SCIM server, whoever put them there.

use std::collections::HashMap;

use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::groups::Group;
use super::values::Part;
use super::{AT_ONCE, Scim, partial, text};
use crate::faults::too_many;
use crate::http::{OBJECT_LIMIT, encode};
use crate::{Holder, Holders, MAX_HOLDERS, MAX_LOOKED_UP, Person, Role};

/// How many people are found by one search, about; for counting calls.
const FOUND_AT_ONCE: usize = 20;

impl Scim {
    /// What an account of this person would carry.
    pub(super) fn marks_of(&self, person: &Person) -> Vec<String> {
        let name = self.user_name(person).map(|name| format!("userName:{}", name.to_lowercase()));
        let external = format!("externalId:{}", self.external_id(person));
        std::iter::once(external).chain(name).collect()
    }

    pub(super) async fn holders_until(
        &self,
        role: &Role,
        known: &[Person],
        until: Instant,
    ) -> Result<Holders, Fault> {
        if Part::of(&role.resource).is_some() {
            let message = "who has a role or an entitlement stands with each account, and is not \
                           listed";
            return Err(Fault::new(Class::Unsupported, "holders-unlisted", message));
        }
        let group = Self::group(role)?;
        let whole = match self.read_group(group, "", until).await? {
            Group::Here { whole, complete: true, .. } => whole,
            Group::Here { .. } => return Err(partial()),
            Group::Missing => {
                self.prove_gone(None, until).await?;
                return Ok(Holders { list: Vec::new(), calls: 2 });
            }
        };
        let members = whole.get("members").and_then(Value::as_array);
        let members = members.map(Vec::as_slice).unwrap_or_default();
        if MAX_HOLDERS < members.len() {
            return Err(too_many(&role.role));
        }
        let people: Vec<&Person> = known.iter().collect();
        let mut accounts: HashMap<String, SubjectId> = HashMap::with_capacity(known.len());
        if !members.is_empty() {
            for (account, person) in self.accounts(&people, until).await.into_iter().zip(known) {
                match account {
                    Ok(account) => accounts.extend(account.map(|id| (id, person.subject))),
                    // Whoever cannot be found for good cannot be told from a stranger by their account.
                    Err(fault) if fault.class == Class::Permanent => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        let mut list = Vec::with_capacity(members.len());
        for member in members {
            // Somebody without an id is somebody we do not know of.
            let id = text(member, "value").ok_or_else(partial)?;
            list.push(Holder {
                id: id.to_owned(),
                name: text(member, "display").map(str::to_owned),
                subject: accounts.get(id).copied(),
                marks: Vec::new(),
            });
        }
        let strangers = list.iter_mut().filter(|holder| holder.subject.is_none());
        let introduced: Vec<_> =
            strangers.take(MAX_LOOKED_UP).map(|holder| self.introduce(holder, until)).collect();
        let calls = 1 + known.len() / FOUND_AT_ONCE + introduced.len();
        let outcomes: Vec<Result<(), Fault>> =
            stream::iter(introduced).buffered(AT_ONCE).collect().await;
        outcomes.into_iter().collect::<Result<(), Fault>>()?;
        Ok(Holders { list, calls })
    }

    /// Reads who a stranger is. One that is no user, or may not be read, stays an id.
    async fn introduce(&self, holder: &mut Holder, until: Instant) -> Result<(), Fault> {
        let path = format!("/Users/{}", encode(&holder.id));
        let reply = self.get(&path, OBJECT_LIMIT, until).await?;
        let user = reply.json().filter(|user| text(user, "id") == Some(holder.id.as_str()));
        let Some(user) = user else { return Ok(()) };
        let name = text(user, "displayName").or_else(|| text(user, "userName"));
        holder.name = name.map(str::to_owned).or(holder.name.take());
        // An account with another externalId is another's, whatever its name.
        holder.marks = match (text(user, "externalId"), text(user, "userName")) {
            (Some(external), _) => vec![format!("externalId:{external}")],
            (None, Some(name)) => vec![format!("userName:{}", name.to_lowercase())],
            (None, None) => Vec::new(),
        };
        Ok(())
    }
}
