//! Everybody who is in a group of an LDAP directory, whoever put them there.

use std::collections::HashMap;

use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use ldap3::Scope;

use super::line::Line;
use super::{GroupKind, Ldap};
use crate::dn::Dn;
use crate::faults::too_many;
use crate::{Holder, Holders, MAX_HOLDERS, MAX_LOOKED_UP, Person, Role};

/// How many people are found by one search, about; for counting calls.
const FOUND_AT_ONCE: usize = 50;

impl Ldap {
    /// What a person is found by, in one case.
    pub(super) fn mark(&self, person: &Person) -> Option<String> {
        self.value_of(person).map(|value| value.to_lowercase())
    }

    pub(super) async fn holders_on(
        &self,
        line: &mut Line<'_>,
        role: &Role,
        known: &[Person],
    ) -> Result<Holders, Fault> {
        let Some(group) = self.group(line, role).await? else { return Ok(Holders::default()) };
        let mut values = Vec::new();
        let parts = match self.read_members(line, &group, &mut values).await {
            Ok(parts) => parts,
            // A group without an entry any more has nobody in it, if this is the right directory.
            Err(fault) => match self.exists(line, &group).await? {
                false => return Ok(Holders { list: Vec::new(), calls: 3 }),
                true => return Err(fault),
            },
        };
        if MAX_HOLDERS < values.len() {
            return Err(too_many(&role.role));
        }
        let known_at = self.keys_of(line, known).await?;
        let placeholder = self.placeholder.as_ref().map(|value| self.member_key(value));
        let mut calls = parts + 1 + known.len() / FOUND_AT_ONCE;
        let mut list = Vec::with_capacity(values.len());
        let mut looked_up = 0;
        for value in values {
            let key = self.member_key(&value);
            if Some(&key) == placeholder.as_ref() {
                continue;
            }
            let mut holder = Holder {
                subject: known_at.get(&key).copied(),
                id: shown(&value).to_owned(),
                ..Holder::default()
            };
            if holder.subject.is_none() {
                if self.kind == GroupKind::Posix {
                    let by_login = self.person_attribute.eq_ignore_ascii_case("uid");
                    holder.marks.extend(by_login.then(|| value.trim().to_lowercase()));
                } else if looked_up < MAX_LOOKED_UP {
                    looked_up += 1;
                    self.introduce(line, &mut holder).await?;
                }
            }
            list.push(holder);
        }
        calls += looked_up;
        Ok(Holders { list, calls })
    }

    /// By what each of these people stands in a group.
    async fn keys_of(
        &self,
        line: &mut Line<'_>,
        known: &[Person],
    ) -> Result<HashMap<String, SubjectId>, Fault> {
        let people: Vec<&Person> = known.iter().collect();
        let mut keys = HashMap::with_capacity(known.len());
        for (account, person) in self.accounts(line, &people).await.into_iter().zip(known) {
            let member = match account {
                Ok(account) => account.map(|account| account.member),
                // Whoever cannot be found for good cannot be told from a stranger by their entry.
                Err(fault) if fault.class == Class::Permanent => None,
                Err(fault) => return Err(fault),
            };
            let member = member.or_else(|| self.orphan(person));
            keys.extend(member.map(|member| (self.member_key(&member), person.subject)));
        }
        Ok(keys)
    }

    /// Reads who a stranger is. One that cannot be read stays a name.
    async fn introduce(&self, line: &mut Line<'_>, holder: &mut Holder) -> Result<(), Fault> {
        if Dn::parse(&holder.id).is_none() {
            return Ok(());
        }
        let attributes = [self.person_attribute.as_str(), "displayName", "cn"];
        let read = line.search(&holder.id, Scope::Base, "(objectClass=*)", &attributes, 1).await?;
        let Some(entry) = read.ok().and_then(|found| found.entries.into_iter().next()) else {
            return Ok(());
        };
        let first = |name: &str| entry.values(name).first().cloned();
        holder.name = first("displayName").or_else(|| first("cn"));
        let values = entry.values(&self.person_attribute).iter();
        holder.marks = values.map(|value| value.trim().to_lowercase()).collect();
        Ok(())
    }
}

/// The name alone of a value that begins with ids, as Active Directory writes it.
fn shown(value: &str) -> &str {
    match value.rfind(">;") {
        Some(end) if value.starts_with('<') => value.get(end + 2..).unwrap_or(value),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_before_a_name_are_left_out() {
        assert_eq!(shown("<GUID=1>;<SID=2>;CN=a>\\;b,DC=x"), "CN=a>\\;b,DC=x");
        assert_eq!(shown("cn=a,dc=x"), "cn=a,dc=x");
        assert_eq!(shown("ada"), "ada");
    }
}
