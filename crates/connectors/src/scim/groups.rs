//! Groups of a SCIM server: reading them, proving that one is gone, and who is in one.

use std::collections::HashSet;

use accede_domain::fault::{Class, Fault};
use serde_json::Value;
use tokio::time::Instant;

use super::lists::{Listing, NoList};
use super::{Scim, literal, partial, text};
use crate::http::{LIST_LIMIT, encode};
use crate::roles::Membership;
use crate::{Presence, Role};

/// How many people are looked for by filter before a group's members are read as a whole.
const FILTER_LIMIT: usize = 2;
/// Lengths at which servers are known to cut lists of members. A list this long, or longer than
/// the last, proves who is in it and not who is missing.
const CUT_LENGTHS: [usize; 8] = [100, 200, 250, 500, 1_000, 2_000, 5_000, 10_000];
/// A member that no group has; a filter that finds it is not really applied.
const NOBODY: &str = "accede-00000000-0000-0000-0000-000000000000";

/// A group as far as it was read.
pub(super) enum Group {
    Here {
        whole: Value,
        etag: Option<String>,
        members: HashSet<String>,
        /// Whether somebody who is not in the list is certainly not in the group.
        complete: bool,
    },
    /// A SCIM server says that it is not there; not yet proved to be the right server.
    Missing,
}

impl Scim {
    pub(super) fn path(group: &str) -> Result<String, Fault> {
        match group {
            "" | "." | ".." => {
                let message =
                    format!("`{group}` cannot be the id of a group; add the resource anew");
                Err(Fault::new(Class::Permanent, "malformed-id", message))
            }
            _ => Ok(format!("/Groups/{}", encode(group))),
        }
    }

    pub(super) fn group(role: &Role) -> Result<&str, Fault> {
        Membership::only_member(role)?;
        Self::path(&role.resource)?;
        Ok(&role.resource)
    }

    pub(super) async fn read_group(
        &self,
        group: &str,
        what: &str,
        until: Instant,
    ) -> Result<Group, Fault> {
        let path = format!("{}{what}", Self::path(group)?);
        let reply = self.get(&path, LIST_LIMIT, until).await?;
        let whole = match (reply.json(), reply.status) {
            (Some(whole), _) if text(whole, "id") == Some(group) => whole,
            (_, 404 | 410) if reply.is_scim_error() => return Ok(Group::Missing),
            _ => return Err(self.http.fault(&reply)),
        };
        let listed = whole.get("members").and_then(Value::as_array);
        let listed = listed.map(Vec::as_slice).unwrap_or_default();
        let members: HashSet<String> =
            listed.iter().filter_map(|m| text(m, "value")).map(str::to_owned).collect();
        let longest = CUT_LENGTHS.into_iter().max().unwrap_or(0);
        let complete = listed.len() <= longest && !CUT_LENGTHS.contains(&listed.len());
        Ok(Group::Here { whole: whole.clone(), etag: reply.etag.clone(), members, complete })
    }

    /// Proves that a group is really gone, by showing that this is the server we know: it lists
    /// groups, and the account that we hold is there. A wrong address answers 404 to everything.
    pub(super) async fn prove_gone(
        &self,
        account: Option<&str>,
        until: Instant,
    ) -> Result<(), Fault> {
        let unproved = |fault: Option<Fault>| {
            let said = fault.map(|fault| format!(" ({fault})")).unwrap_or_default();
            let message = format!(
                "the group is not found, and neither is anything else{said}; check `baseUrl`"
            );
            Fault::new(Class::Target, "base-url", message)
        };
        match self.list("Groups", None, "&excludedAttributes=members", 1, until).await {
            Ok(_) => {}
            Err(NoList::Filter) => return Err(unproved(None)),
            Err(NoList::Fault(fault)) if fault.class == Class::Throttled => return Err(fault),
            Err(NoList::Fault(fault)) => return Err(unproved(Some(fault))),
        }
        match account {
            None => Ok(()),
            Some(account) => match self.has_account(account, until).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(unproved(None)),
                Err(fault) => Err(fault),
            },
        }
    }

    /// Which accounts are in a group. `None` if the group is said to be missing.
    pub(super) async fn presence(
        &self,
        group: &str,
        accounts: &[&str],
        until: Instant,
    ) -> Result<Option<Vec<Result<Presence, Fault>>>, Fault> {
        if accounts.len() <= FILTER_LIMIT
            && let Some(presence) = self.presence_by_filter(group, accounts, until).await?
        {
            return Ok(Some(presence.into_iter().map(Ok).collect()));
        }
        let (members, complete) = match self.read_group(group, "?attributes=members", until).await {
            Ok(Group::Here { members, complete, .. }) => (members, complete),
            Ok(Group::Missing) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut answers = Vec::with_capacity(accounts.len());
        for account in accounts {
            answers.push(match (members.contains(*account), complete) {
                (true, _) => Ok(Presence::Present),
                (false, true) => Ok(Presence::Absent),
                (false, false) => match self.presence_by_filter(group, &[account], until).await? {
                    Some(presence) => presence.into_iter().next().ok_or_else(partial),
                    None => Err(partial()),
                },
            });
        }
        Ok(Some(answers))
    }

    /// The same by filter, which needs no list of members. `None` if that proves nothing here: a
    /// filter is trusted to find once it did not find what is not there, and trusted not to find
    /// once it found what is there.
    async fn presence_by_filter(
        &self,
        group: &str,
        accounts: &[&str],
        until: Instant,
    ) -> Result<Option<Vec<Presence>>, Fault> {
        if self.learned().no_member_filter || !self.features(until).await?.filter {
            return Ok(None);
        }
        if !self.learned().member_filter_misses {
            match self.filter_finds(group, NOBODY, until).await? {
                Some(false) => self.learn(|learned| learned.member_filter_misses = true),
                Some(true) | None => {
                    self.learn(|learned| learned.no_member_filter = true);
                    return Ok(None);
                }
            }
        }
        let mut answers = Vec::with_capacity(accounts.len());
        for account in accounts {
            match self.filter_finds(group, account, until).await? {
                Some(true) => {
                    self.learn(|learned| learned.member_filter_hits = true);
                    answers.push(Presence::Present);
                }
                Some(false) if self.learned().member_filter_hits => answers.push(Presence::Absent),
                Some(false) | None => return Ok(None),
            }
        }
        Ok(Some(answers))
    }

    async fn filter_finds(
        &self,
        group: &str,
        member: &str,
        until: Instant,
    ) -> Result<Option<bool>, Fault> {
        let filter = format!("id eq {} and members.value eq {}", literal(group), literal(member));
        match self.list("Groups", Some(&filter), "&attributes=id", 2, until).await {
            Ok(Listing { resources, complete: true }) => match resources.as_slice() {
                [] => Ok(Some(false)),
                [only] if text(only, "id") == Some(group) => Ok(Some(true)),
                _ => Ok(None),
            },
            Ok(_) | Err(NoList::Filter) => Ok(None),
            // A server that stumbles over the filter is asked in another way.
            Err(NoList::Fault(fault)) if fault.code == "http-500" => Ok(None),
            Err(NoList::Fault(fault)) => Err(fault),
        }
    }
}
