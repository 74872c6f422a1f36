//! Groups of an LDAP directory: whether one exists, who is in it, and changing that value by value.

use std::collections::HashSet;

use accede_domain::fault::{Class, Fault};
use ldap3::{Mod, Scope, ldap_escape};

use super::answers::{Answer, Refusal, next_part};
use super::line::Line;
use super::{GroupKind, Ldap, gone, not_sent};
use crate::dn::Dn;
use crate::faults::partial;
use crate::{Done, Presence, Wanted};

/// How many observations of one group are compared one by one before the member list is read.
const COMPARE_LIMIT: usize = 4;

/// How many parts of a member list are read.
const MAX_PARTS: usize = 100;
/// Active Directory's rule that follows members of members ([MS-ADTS] 3.1.1.3.4.4.3).
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";

impl Ldap {
    /// Answers whether a group exists. Only a directory that proves to be the right one by showing
    /// its groups' base can say that one is gone.
    pub(super) async fn exists(&self, line: &mut Line<'_>, group: &str) -> Result<bool, Fault> {
        let everything = "(objectClass=*)";
        match line.search(group, Scope::Base, everything, &["1.1"], 1).await? {
            Ok(found) if !found.entries.is_empty() => return Ok(true),
            Ok(_) => {
                let message = format!("`{group}` exists and may not be read; let `bindDn` read it");
                return Err(Fault::new(Class::Permanent, "unreadable", message));
            }
            Err(Refusal { code: 32, .. }) => {}
            Err(refusal) => return Err(refusal.fault()),
        }
        let base = self.groups_base.to_string();
        match line.search(&base, Scope::Base, everything, &["1.1"], 1).await? {
            Ok(found) if !found.entries.is_empty() => Ok(false),
            _ => {
                let message = format!("`groupsBase` `{base}` cannot be read in this directory");
                Err(Fault::new(Class::Target, "groups-base", message))
            }
        }
    }

    /// Answers for one member of a group by comparing, which needs no list.
    async fn is_member(
        &self,
        line: &mut Line<'_>,
        group: &str,
        member: &str,
    ) -> Result<Presence, Fault> {
        let compared = line.compare(group, self.kind.attribute(), member).await?;
        self.judge(line, group, compared).await
    }

    /// The same for members of groups within the group, at any depth.
    async fn is_member_within(
        &self,
        line: &mut Line<'_>,
        group: &str,
        member: &str,
    ) -> Result<Presence, Fault> {
        let filter = format!("(member:{IN_CHAIN}:={})", ldap_escape(member));
        let found = line.search(group, Scope::Base, &filter, &["1.1"], 1).await?;
        self.judge(line, group, found.map(|found| !found.entries.is_empty())).await
    }

    async fn judge(
        &self,
        line: &mut Line<'_>,
        group: &str,
        answer: Answer<bool>,
    ) -> Result<Presence, Fault> {
        match answer {
            Ok(true) => Ok(Presence::Present),
            // 16: the group has no member at all.
            Ok(false) | Err(Refusal { code: 16, .. }) => Ok(Presence::Absent),
            Err(Refusal { code: 32, .. }) => match self.exists(line, group).await? {
                false => Ok(Presence::Absent),
                true => Err(Refusal { code: 32, text: String::new() }.fault()),
            },
            Err(refusal) => Err(refusal.fault()),
        }
    }

    /// Which of many have a group's role: its members, and theirs where groups within groups count.
    pub(super) async fn have_role(
        &self,
        line: &mut Line<'_>,
        group: &str,
        members: &[&str],
    ) -> Vec<Result<Presence, Fault>> {
        let mut answers = self.are_members(line, group, members).await;
        if self.nested {
            for (answer, member) in answers.iter_mut().zip(members) {
                if *answer == Ok(Presence::Absent) {
                    *answer = self.is_member_within(line, group, member).await;
                }
            }
        }
        answers
    }

    /// Which of many are in a group: the list shows who is, comparing proves who is not.
    pub(super) async fn are_members(
        &self,
        line: &mut Line<'_>,
        group: &str,
        members: &[&str],
    ) -> Vec<Result<Presence, Fault>> {
        let mut listed = HashSet::new();
        if COMPARE_LIMIT < members.len() {
            listed = self.listed(line, group).await;
        }
        let mut answers = Vec::with_capacity(members.len());
        let mut broken = None;
        for member in members {
            answers.push(match &broken {
                _ if listed.contains(&self.member_key(member)) => Ok(Presence::Present),
                Some(fault) => Err(Fault::clone(fault)),
                None => self.is_member(line, group, member).await,
            });
            if let Some(Err(fault)) = answers.last()
                && matches!(fault.class, Class::Target | Class::Transient)
            {
                broken = Some(fault.clone());
            }
        }
        answers
    }

    /// The members of a group as far as they can be read.
    async fn listed(&self, line: &mut Line<'_>, group: &str) -> HashSet<String> {
        let mut values = Vec::new();
        // What was read before something went wrong shows who is in it, if not who is not.
        let _ = self.read_members(line, group, &mut values).await;
        values.iter().map(|value| self.member_key(value)).collect()
    }

    /// Reads what stands in a group, part by part as Active Directory answers; says in how many. What
    /// was read before a fault is not all.
    pub(super) async fn read_members(
        &self,
        line: &mut Line<'_>,
        group: &str,
        values: &mut Vec<String>,
    ) -> Result<usize, Fault> {
        let attribute = self.kind.attribute();
        let mut asked = attribute.to_owned();
        for parts in 1..=MAX_PARTS {
            let read = match self.kind {
                GroupKind::ActiveDirectory => line.read_with_ids(group, &asked).await?,
                _ => line.search(group, Scope::Base, "(objectClass=*)", &[&asked], 1).await?,
            };
            let found = read.map_err(|refusal| refusal.fault())?;
            let entry = found.entries.into_iter().next().filter(|_| found.complete);
            let entry = entry.ok_or_else(partial)?;
            let (mut next, mut announced) = (None, false);
            for (name, part) in entry.attributes {
                let range = next_part(&name, attribute);
                announced |= range.is_some();
                if range.is_some() || name.eq_ignore_ascii_case(attribute) {
                    values.extend(part);
                }
                next = next.or(range.flatten());
            }
            match next {
                Some(next) => asked = format!("{attribute};range={next}-*"),
                // A part that was asked for and did not come is a part that is missing.
                None if 1 < parts && !announced => return Err(partial()),
                None => return Ok(parts),
            }
        }
        Err(partial())
    }

    pub(super) fn member_key(&self, value: &str) -> String {
        match self.kind {
            GroupKind::Posix => value.to_owned(),
            // An id before the name is the id; without one, the name is compared.
            GroupKind::ActiveDirectory if value.starts_with("<GUID=") => {
                value.split_inclusive('>').next().unwrap_or(value).to_lowercase()
            }
            _ => Dn::parse(value).map_or_else(|| value.to_lowercase(), |dn| dn.key()),
        }
    }

    pub(super) fn mods(
        &self,
        wanted: Wanted,
        members: &[&str],
        with_placeholder: bool,
    ) -> Vec<Mod<Vec<u8>>> {
        let attribute = self.kind.attribute().as_bytes().to_vec();
        let values: HashSet<Vec<u8>> = members.iter().map(|m| m.as_bytes().to_vec()).collect();
        let placeholder = self.placeholder.as_ref().filter(|_| with_placeholder);
        // The placeholder goes in first: the group must not be empty in between either.
        let mut mods: Vec<Mod<Vec<u8>>> = placeholder
            .map(|dn| Mod::Add(attribute.clone(), HashSet::from([dn.as_bytes().to_vec()])))
            .into_iter()
            .collect();
        mods.push(match wanted {
            Wanted::Granted => Mod::Add(attribute, values),
            Wanted::Revoked => Mod::Delete(attribute, values),
        });
        mods
    }

    /// Changes a group for all these members in one call, for fewer when the server will not.
    pub(super) async fn change(
        &self,
        line: &mut Line<'_>,
        group: &str,
        wanted: Wanted,
        members: &[&str],
    ) -> Vec<Result<Done, Fault>> {
        let outcome = match line.modify(group, self.mods(wanted, members, false)).await {
            Ok(Err(Refusal { code: 65, .. }))
                if wanted == Wanted::Revoked && self.placeholder.is_some() =>
            {
                line.modify(group, self.mods(wanted, members, true)).await
            }
            outcome => outcome,
        };
        let refusal = match outcome {
            Ok(Ok(())) => return vec![Ok(Done::Applied); members.len()],
            Ok(Err(refusal)) => refusal,
            Err(fault) => return vec![Err(fault); members.len()],
        };
        if let [member] = members {
            return vec![self.settle(line, group, wanted, member, refusal).await];
        }
        if !matches!(refusal.fault().class, Class::Permanent | Class::Unsupported) {
            return vec![Err(refusal.fault()); members.len()];
        }
        // Somebody is already as wanted, or somebody is refused: find out who, and let the others
        // through. A change of LDAP is all or nothing, so none of it has happened yet.
        let mut answers: Vec<Option<Result<Done, Fault>>> = vec![None; members.len()];
        if self.says_already(wanted, refusal.code) {
            let presence = self.are_members(line, group, members).await;
            for (slot, presence) in answers.iter_mut().zip(presence) {
                *slot = match (presence, wanted) {
                    (Ok(Presence::Present), Wanted::Granted)
                    | (Ok(Presence::Absent), Wanted::Revoked) => Some(Ok(Done::AlreadyInState)),
                    (Ok(_), _) => None,
                    (Err(fault), _) => Some(Err(fault)),
                };
            }
            let open: Vec<&str> = members
                .iter()
                .zip(&answers)
                .filter_map(|(member, slot)| slot.is_none().then_some(*member))
                .collect();
            if 1 < open.len() && open.len() < members.len() {
                let together = line.modify(group, self.mods(wanted, &open, false)).await;
                let shared = match together {
                    Ok(Ok(())) => Some(Ok(Done::Applied)),
                    Ok(Err(_)) => None,
                    Err(fault) => Some(Err(fault)),
                };
                for slot in answers.iter_mut().filter(|slot| slot.is_none()) {
                    slot.clone_from(&shared);
                }
            }
        }
        let mut broken: Option<Fault> = None;
        for (slot, member) in answers.iter_mut().zip(members) {
            if slot.is_some() {
                continue;
            }
            let answer = match &broken {
                Some(fault) => Err(fault.clone()),
                None => self.change_one(line, group, wanted, member).await,
            };
            if let Err(fault) = &answer {
                broken = match fault.class {
                    Class::Target | Class::Transient | Class::Throttled => Some(fault.clone()),
                    Class::Unknown => Some(not_sent()),
                    Class::Permanent | Class::Unsupported => broken,
                };
            }
            *slot = Some(answer);
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(not_sent()))).collect()
    }

    async fn change_one(
        &self,
        line: &mut Line<'_>,
        group: &str,
        wanted: Wanted,
        member: &str,
    ) -> Result<Done, Fault> {
        let mods = |with_placeholder| self.mods(wanted, &[member], with_placeholder);
        let mut answer = line.modify(group, mods(false)).await?;
        if matches!(answer, Err(Refusal { code: 65, .. }))
            && wanted == Wanted::Revoked
            && self.placeholder.is_some()
        {
            answer = line.modify(group, mods(true)).await?;
        }
        match answer {
            Ok(()) => Ok(Done::Applied),
            Err(refusal) => self.settle(line, group, wanted, member, refusal).await,
        }
    }

    /// Answers whether a code may mean that it was already so. OpenLDAP says 20 and 16, Active
    /// Directory 68 and 53.
    fn says_already(&self, wanted: Wanted, code: u32) -> bool {
        match wanted {
            Wanted::Granted => matches!(code, 20 | 68),
            Wanted::Revoked => matches!(code, 16 | 53),
        }
    }

    /// What a refused change of one member means.
    async fn settle(
        &self,
        line: &mut Line<'_>,
        group: &str,
        wanted: Wanted,
        member: &str,
        refusal: Refusal,
    ) -> Result<Done, Fault> {
        match (refusal.code, wanted) {
            (code, _) if self.says_already(wanted, code) => {
                match (self.is_member(line, group, member).await?, wanted) {
                    (Presence::Present, Wanted::Granted) | (Presence::Absent, Wanted::Revoked) => {
                        Ok(Done::AlreadyInState)
                    }
                    _ => Err(refusal.fault()),
                }
            }
            (65, Wanted::Revoked) => {
                let message = format!(
                    "`{member}` is the last member of `{group}`, which may not be empty; add \
                     another member or set `placeholderMember`"
                );
                Err(Fault::new(Class::Permanent, "last-member", message))
            }
            (32, _) => match (self.exists(line, group).await?, wanted) {
                (false, Wanted::Revoked) => Ok(Done::AlreadyInState),
                (false, Wanted::Granted) => Err(gone("group", group)),
                // The group is there, so it is the member that is not (Active Directory).
                (true, Wanted::Granted) => {
                    let message = format!("`{member}` does not exist in the directory any more");
                    Err(Fault::new(Class::Permanent, "account-missing", message))
                }
                (true, Wanted::Revoked) => match self.is_member(line, group, member).await? {
                    Presence::Absent => Ok(Done::AlreadyInState),
                    Presence::Present => Err(refusal.fault()),
                },
            },
            // One group that we may read and not change is that group's trouble; else the
            // account's as a whole.
            (50, _) => Err(match self.exists(line, group).await {
                Ok(_) => refusal.fault(),
                Err(fault) if fault.class == Class::Permanent => refusal.fault(),
                Err(mut fault) => {
                    fault.class = Class::Target;
                    fault
                }
            }),
            _ => Err(refusal.fault()),
        }
    }
}
