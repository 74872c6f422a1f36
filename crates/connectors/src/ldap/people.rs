//! Who is who in an LDAP directory: finding a person's entry, and nobody else's.

use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use accede_domain::id::SubjectId;
use ldap3::{Scope, ldap_escape};
use tokio::time::Instant;

use super::answers::Found;
use super::line::Line;
use super::{GroupKind, Ldap, Source, by_guid, lock};
use crate::Person;
use crate::dn::Dn;

/// How many people go into one search.
const SEARCH_CHUNK: usize = 50;
/// How long an entry found for a person is believed.
const MEMORY: Duration = Duration::from_secs(600);

/// A person's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) dn: String,
    /// What stands in a group for this person.
    pub(super) member: String,
}

impl Ldap {
    pub(super) fn value_of(&self, person: &Person) -> Option<String> {
        let upn = &person.user_principal_name;
        let value = match self.source {
            Source::UserPrincipalName => Some(upn.clone()),
            Source::Mail => person.mail.clone(),
            Source::LocalPart => upn.split('@').next().map(str::to_owned),
            Source::ObjectId => Some(person.object_id.clone()),
            Source::Subject => Some(person.subject.to_string()),
        };
        value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn remembered(&self, subject: SubjectId) -> Option<Account> {
        let known = lock(&self.known);
        let (account, since) = known.get(&subject)?;
        (since.elapsed() < MEMORY).then(|| account.clone())
    }

    pub(super) fn forget(&self, subject: SubjectId) {
        lock(&self.known).remove(&subject);
    }

    /// Each person's entry; `None` if there is verifiably none.
    pub(super) async fn accounts(
        &self,
        line: &mut Line<'_>,
        people: &[&Person],
    ) -> Vec<Result<Option<Account>, Fault>> {
        let mut answers: Vec<Option<Result<Option<Account>, Fault>>> = people
            .iter()
            .map(|person| self.remembered(person.subject).map(|account| Ok(Some(account))))
            .collect();
        let unknown: Vec<usize> =
            answers.iter().enumerate().filter(|(_, a)| a.is_none()).map(|(i, _)| i).collect();
        for chunk in unknown.chunks(SEARCH_CHUNK) {
            let asked: Vec<(usize, &Person)> =
                chunk.iter().filter_map(|&i| Some((i, *people.get(i)?))).collect();
            for (index, answer) in self.look_up(line, &asked).await {
                if let (Ok(Some(account)), Some(person)) = (&answer, people.get(index)) {
                    lock(&self.known).insert(person.subject, (account.clone(), Instant::now()));
                }
                if let Some(slot) = answers.get_mut(index) {
                    *slot = Some(answer);
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Ok(None))).collect()
    }

    /// Searches people together, and one by one when the server will not answer for all.
    async fn look_up(
        &self,
        line: &mut Line<'_>,
        asked: &[(usize, &Person)],
    ) -> Vec<(usize, Result<Option<Account>, Fault>)> {
        let mut answers = Vec::with_capacity(asked.len());
        let mut searched = Vec::new();
        for &(index, person) in asked {
            match self.value_of(person) {
                Some(value) => searched.push((index, person, value)),
                None => {
                    let message = format!(
                        "`{}` has no value to be found by in this directory; see `personValue`",
                        person.user_principal_name
                    );
                    answers.push((index, Err(Fault::new(Class::Permanent, "no-key", message))));
                }
            }
        }
        let values: Vec<&str> = searched.iter().map(|(_, _, value)| value.as_str()).collect();
        let found = match values.is_empty() {
            true => return answers,
            false => self.search_people(line, &values).await,
        };
        for (index, person, value) in &searched {
            let answer = match &found {
                Err(fault) => Err(fault.clone()),
                Ok(found) if found.complete || searched.len() == 1 => {
                    self.choose(found, person, value)
                }
                Ok(_) => match self.search_people(line, &[value]).await {
                    Ok(found) => self.choose(&found, person, value),
                    Err(fault) => Err(fault),
                },
            };
            answers.push((*index, answer));
        }
        answers
    }

    async fn search_people(&self, line: &mut Line<'_>, values: &[&str]) -> Result<Found, Fault> {
        let terms: String = values
            .iter()
            .map(|value| format!("({}={})", self.person_attribute, ldap_escape(*value)))
            .collect();
        let filter = if values.len() == 1 { terms } else { format!("(|{terms})") };
        let attributes = [self.person_attribute.as_str(), "mail", "uid", "objectGUID"];
        let limit = i32::try_from(values.len() * 2 + 1).unwrap_or(i32::MAX);
        let base = self.people_base.to_string();
        let found = line.search(&base, Scope::Subtree, &filter, &attributes, limit).await?;
        found.map_err(|refusal| match refusal.code {
            32 => {
                let message = format!("`peopleBase` `{base}` does not exist in this directory");
                Fault::new(Class::Target, "people-base", message)
            }
            _ => refusal.fault(),
        })
    }

    /// INVARIANT: an entry is a person's only if it carries the value that was asked for, is the
    /// only one to do so, and its mail address does not say that it is somebody else's.
    fn choose(
        &self,
        found: &Found,
        person: &Person,
        value: &str,
    ) -> Result<Option<Account>, Fault> {
        let same = |one: &String| one.trim().to_lowercase() == value.to_lowercase();
        let mut hits =
            found.entries.iter().filter(|e| e.values(&self.person_attribute).iter().any(same));
        let (first, second) = (hits.next(), hits.next());
        let (attribute, upn) = (&self.person_attribute, &person.user_principal_name);
        let entry = match (first, second) {
            (Some(_), Some(_)) => {
                let message = format!("several entries have {attribute} `{value}`; make it unique");
                return Err(Fault::new(Class::Permanent, "account-ambiguous", message));
            }
            (Some(entry), None) if found.complete => entry,
            (None, _) if found.complete => return Ok(None),
            _ => {
                let message = "the directory answered with a part of the people only";
                return Err(Fault::new(Class::Transient, "partial-answer", message));
            }
        };
        let mails = entry.values("mail");
        let theirs = |mail: &String| {
            let mail = mail.trim().to_lowercase();
            mail == upn.to_lowercase()
                || person.mail.as_ref().is_some_and(|known| known.to_lowercase() == mail)
        };
        if self.check_mail
            && self.source == Source::LocalPart
            && !mails.is_empty()
            && !mails.iter().any(theirs)
        {
            let message = format!(
                "the entry with {attribute} `{value}` has the mail address of somebody else than \
                 `{upn}`; correct the entry, or set `checkMail` to false"
            );
            return Err(Fault::new(Class::Permanent, "account-mismatch", message));
        }
        let dn = Dn::parse(&entry.dn).map(|dn| dn.to_string()).ok_or_else(|| {
            let message = format!("the directory named the entry of `{upn}` in an unknown form");
            Fault::new(Class::Permanent, "malformed-name", message)
        })?;
        let member = match self.kind {
            GroupKind::Posix => {
                let uids = entry.values("uid");
                let uid = uids.iter().find(|uid| same(uid)).or_else(|| uids.first());
                uid.cloned().ok_or_else(|| {
                    let message =
                        format!("the entry of `{upn}` has no uid, which this group needs");
                    Fault::new(Class::Permanent, "no-key", message)
                })?
            }
            // A name may be another one tomorrow, while what we remember is still believed.
            GroupKind::ActiveDirectory => entry.guid.map_or_else(|| dn.clone(), by_guid),
            GroupKind::Names | GroupKind::UniqueNames => dn.clone(),
        };
        Ok(Some(Account { dn, member }))
    }

    /// What may still stand in a posixGroup for a person whose entry is gone.
    pub(super) fn orphan(&self, person: &Person) -> Option<String> {
        let by_login = self.person_attribute.eq_ignore_ascii_case("uid");
        (self.kind == GroupKind::Posix && by_login).then(|| self.value_of(person)).flatten()
    }

    pub(super) fn missing(&self, person: &Person) -> Fault {
        let message = format!(
            "there is no entry with {} `{}` below `{}`; create it there",
            self.person_attribute,
            self.value_of(person).unwrap_or_default(),
            self.people_base
        );
        Fault::new(Class::Permanent, "account-missing", message)
    }
}
