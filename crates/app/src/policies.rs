//! Assignment policies: who may get a package, who approves, for how long; and what is open to
//! somebody under them.

use std::collections::BTreeMap;

use accede_domain::Timestamp;
use accede_domain::id::{PackageId, PolicyId, UserId};
use accede_domain::permission::Action;
use accede_domain::policy::{
    Asking, Bar, Person, Policy, QuestionKind, SubjectSet, Terms, applicable, bars,
};
use accede_domain::schedule::Expiration;
use accede_store::catalogs::{self, Catalog};
use accede_store::packages::{self, Given, Package};
use accede_store::policies::{self, Stored};
use accede_store::{Tx, people};
use serde_json::json;
use uuid::Uuid;

use crate::creations::{self, Repeat};
use crate::list::{MAX_TOP, ask};
use crate::packages::{managed, unused};
use crate::resources::distinct;
use crate::{App, Caller, Error, Listing, Page, Result, audit, text};

pub use accede_store::policies::Stored as StoredPolicy;

/// Most policies of one package.
pub const MAX_POLICIES: usize = 100;
/// Most users and groups named in one policy (features.md, LIM-09).
pub const MAX_NAMED: usize = 500;
/// Most questions of one policy.
pub const MAX_QUESTIONS: usize = 50;
/// Most choices of one question.
pub const MAX_CHOICES: usize = 200;
/// Longest text of a question or choice, and longest pattern, in characters.
pub const MAX_QUESTION: usize = 1_000;
/// Largest compiled pattern of a question, in bytes.
pub const MAX_PATTERN: usize = 1 << 20;
/// Longest wait for a decision, in days.
pub const MAX_STAGE_DAYS: u64 = 366;
/// Packages that are looked at in one go when somebody browses.
const CHUNK: usize = 200;
/// Most words of a search.
pub const MAX_WORDS: usize = 8;

/// What somebody writes into a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDraft {
    /// Its name.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// What it says. A question with the id zero is a new one.
    pub terms: Terms,
}

/// A policy with its package and catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyView {
    /// The policy.
    pub stored: Stored,
    /// Its package.
    pub package: Package,
    /// Its catalog.
    pub catalog: Catalog,
}

/// A package that somebody may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestablePackage {
    /// The package.
    pub package: Package,
    /// Its catalog.
    pub catalog: Catalog,
    /// The policies under which they may ask.
    pub policies: Vec<Policy>,
    /// What it gives.
    pub gives: Vec<Given>,
    /// Whether they have it already.
    pub is_held: bool,
}

/// What somebody who holds a package's link finds there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// They may ask for it.
    Open(Box<RequestablePackage>),
    /// No policy lets them ask for it.
    Closed {
        /// The package. Whoever holds its link may know its name, and nothing else.
        package: Package,
        /// Why not, each reason once; none if it has no policy at all.
        bars: Vec<Bar>,
        /// Whether they have it.
        is_held: bool,
    },
}

impl App {
    /// The policies that the caller may read: all, or of one package.
    ///
    /// # Errors
    ///
    /// Not found for a package that they may not read; forbidden for those who may read none;
    /// invalid for what the list does not have.
    pub async fn policies(
        &self,
        caller: &Caller,
        package: Option<PackageId>,
        listing: &Listing,
    ) -> Result<Page<PolicyView>> {
        let reach = caller.reach_for_list(Action::ReadCatalog, package)?;
        self.store()
            .read(async |tx| {
                if let Some(package) = package {
                    crate::packages::visible(tx, caller, package).await?;
                }
                let asked = ask(listing)?;
                let page = policies::page(tx, &reach, package, asked, listing.count).await?;
                let items = policy_views(tx, page.items).await?;
                Ok(Page { items, next: page.next, count: page.count })
            })
            .await
    }

    /// A policy; of one package only, if one is named.
    ///
    /// # Errors
    ///
    /// Not found.
    pub async fn policy(
        &self,
        caller: &Caller,
        package: Option<PackageId>,
        id: PolicyId,
    ) -> Result<PolicyView> {
        self.store()
            .read(async |tx| {
                let stored = policies::stored(tx, id).await?.ok_or_else(|| missing(id))?;
                let read = Action::ReadCatalog;
                caller.may_on(read, stored.catalog, read, "assignment policy", id)?;
                if package.is_some_and(|package| package != stored.policy.package) {
                    return Err(missing(id));
                }
                policy_views(tx, vec![stored]).await?.pop().ok_or_else(|| missing(id))
            })
            .await
    }

    /// Makes a policy of a package.
    ///
    /// # Errors
    ///
    /// Not found (the package), forbidden, invalid, naming the property.
    pub async fn create_policy(
        &self,
        caller: &Caller,
        package: PackageId,
        draft: &PolicyDraft,
        repeat: Option<&Repeat>,
    ) -> Result<PolicyView> {
        let now = self.now();
        let draft = checked(draft)?;
        ends_later(&draft.terms, None, now)?;
        let id: PolicyId = self.mint(now);
        self.store()
            .write(async |tx| {
                let owner = managed(tx, caller, package).await?;
                if let Some(before) = creations::begin(tx, caller, repeat, id, now).await?
                    && let Some(before) = policies::stored(tx, before).await?
                    && let Some(view) = policy_views(tx, vec![before]).await?.pop()
                {
                    return Ok(view);
                }
                if MAX_POLICIES <= policies::of_package(tx, package).await?.len() {
                    return Err(Error::Limit {
                        what: "the number of policies of an access package",
                        limit: MAX_POLICIES,
                        advice: "delete one that is not used any more",
                    });
                }
                let terms = self.resolved(tx, &draft.terms, &[], now).await?;
                let policy = Policy {
                    id,
                    package,
                    display_name: draft.display_name.clone(),
                    description: draft.description.clone(),
                    terms,
                };
                policies::insert(tx, &policy, now).await?;
                let detail = json!({
                    "displayName": policy.display_name,
                    "accessPackage": { "id": package, "displayName": owner.display_name },
                    "terms": policy.terms,
                });
                let event = audit::Event {
                    action: "assignment policy created",
                    object_type: "accessPackageAssignmentPolicy",
                    object_id: id.to_string(),
                    catalog: Some(owner.catalog),
                    detail,
                };
                audit::record(self, tx, caller, event, now).await?;
                let stored = policies::stored(tx, id).await?.ok_or_else(|| missing(id))?;
                policy_views(tx, vec![stored]).await?.pop().ok_or_else(|| missing(id))
            })
            .await
    }

    /// Replaces a policy as a whole. Requests that are under way keep the terms they began with.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, invalid, naming the property; stale.
    pub async fn replace_policy(
        &self,
        caller: &Caller,
        id: PolicyId,
        package: Option<PackageId>,
        draft: &PolicyDraft,
        expected: Option<i64>,
    ) -> Result<PolicyView> {
        let now = self.now();
        let draft = checked(draft)?;
        self.store()
            .write(async |tx| {
                let mut stored = changeable(tx, caller, id).await?;
                if expected.is_some_and(|expected| expected != stored.version) {
                    return Err(Error::Stale);
                }
                if package.is_some_and(|package| package != stored.policy.package) {
                    return Err(Error::invalid(
                        "accessPackage.id",
                        format!(
                            "a policy stays with its access package, `{}`; make a new policy for \
                             another one",
                            stored.policy.package
                        ),
                    ));
                }
                ends_later(&draft.terms, Some(&stored.policy.terms), now)?;
                let known: Vec<Uuid> =
                    stored.policy.terms.questions.iter().map(|question| question.id).collect();
                let before = stored.policy.clone();
                stored.policy.display_name = draft.display_name.clone();
                stored.policy.description = draft.description.clone();
                stored.policy.terms = self.resolved(tx, &draft.terms, &known, now).await?;
                stored.modified_at = now;
                policies::save(tx, &mut stored).await?;
                let after = &stored.policy;
                let detail = audit::changes(&[
                    ("displayName", json!(before.display_name), json!(after.display_name)),
                    ("description", json!(before.description), json!(after.description)),
                    ("terms", json!(before.terms), json!(after.terms)),
                ]);
                let event = audit::Event {
                    action: "assignment policy changed",
                    object_type: "accessPackageAssignmentPolicy",
                    object_id: id.to_string(),
                    catalog: Some(stored.catalog),
                    detail,
                };
                audit::record(self, tx, caller, event, now).await?;
                policy_views(tx, vec![stored]).await?.pop().ok_or_else(|| missing(id))
            })
            .await
    }

    /// Deletes a policy that no assignment and no open request runs under.
    ///
    /// # Errors
    ///
    /// Not found, forbidden, refused while it is used.
    pub async fn delete_policy(
        &self,
        caller: &Caller,
        id: PolicyId,
        expected: Option<i64>,
    ) -> Result<()> {
        let now = self.now();
        self.store()
            .write(async |tx| {
                let stored = changeable(tx, caller, id).await?;
                if expected.is_some_and(|expected| expected != stored.version) {
                    return Err(Error::Stale);
                }
                unused(policies::usage(tx, id).await?, "the policy", "Policy")?;
                policies::delete(tx, id, now).await?;
                let event = audit::Event {
                    action: "assignment policy deleted",
                    object_type: "accessPackageAssignmentPolicy",
                    object_id: id.to_string(),
                    catalog: Some(stored.catalog),
                    detail: json!({ "displayName": stored.policy.display_name }),
                };
                audit::record(self, tx, caller, event, now).await
            })
            .await
    }

    /// The packages that the caller may ask for now: in published catalogs, not hidden, and with a
    /// policy that admits them. `search` narrows to those with every one of its words in their
    /// name, description or the name of a resource. Being an administrator does not widen it.
    ///
    /// # Errors
    ///
    /// Forbidden for applications; invalid for what the list does not have.
    pub async fn requestable_packages(
        &self,
        caller: &Caller,
        listing: &Listing,
        search: Option<&str>,
    ) -> Result<Page<RequestablePackage>> {
        let (user, _) = caller.require_user()?;
        caller.may_act_for_self()?;
        let words: Vec<String> = search
            .unwrap_or_default()
            .split_whitespace()
            .take(MAX_WORDS)
            .map(str::to_owned)
            .collect();
        let wanted = ask(listing)?.top;
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("user", user);
                let facts = people::by_user(tx, user).await?.ok_or_else(missing)?;
                let person = people::policy_person(tx, &facts).await?;
                let mut found: Vec<(Package, Vec<Policy>)> = Vec::new();
                let mut after = listing.after.clone();
                let mut left_out = listing.skip;
                let mut next = None;
                loop {
                    let chunk = Listing {
                        top: Some(CHUNK),
                        skip: 0,
                        after: after.clone(),
                        count: false,
                        ..listing.clone()
                    };
                    let page = packages::open_page(tx, true, &words, ask(&chunk)?).await?;
                    let ids: Vec<PackageId> = page.items.iter().map(|package| package.id).collect();
                    let mut all = by_package(policies::of_packages(tx, &ids).await?);
                    for (place, package) in page.items.iter().enumerate() {
                        let all = all.remove(&package.id).unwrap_or_default();
                        let open: Vec<Policy> = applicable(&all, &person, Asking::ForSelf)
                            .into_iter()
                            .cloned()
                            .collect();
                        if open.is_empty() {
                            continue;
                        }
                        if 0 < left_out {
                            left_out -= 1;
                            continue;
                        }
                        found.push((package.clone(), open));
                        if found.len() == wanted {
                            next = mark(tx, &chunk, &words, place, &page.next).await?;
                            break;
                        }
                    }
                    after = page.next;
                    if found.len() == wanted || after.is_none() {
                        break;
                    }
                }
                let items = requestable(tx, facts.subject, found).await?;
                let count = if listing.count {
                    Some(count_open(tx, listing, &words, &person).await?)
                } else {
                    None
                };
                Ok(Page { items, next, count })
            })
            .await
    }

    /// A package as somebody who may ask for it sees it, hidden or not: whoever has its link may
    /// open it.
    ///
    /// # Errors
    ///
    /// Not found, also for a package that no policy opens to the caller.
    pub async fn requestable_package(
        &self,
        caller: &Caller,
        id: PackageId,
    ) -> Result<RequestablePackage> {
        match self.linked_package(caller, id).await? {
            Linked::Open(found) => Ok(*found),
            Linked::Closed { .. } => Err(Error::not_found("access package", id)),
        }
    }

    /// What the link of a package opens to the caller, hidden or not: the package, or why no policy
    /// lets them ask for it.
    ///
    /// # Errors
    ///
    /// Forbidden for applications; not found for a package that does not exist or whose catalog is
    /// not published.
    pub async fn linked_package(&self, caller: &Caller, id: PackageId) -> Result<Linked> {
        let (user, _) = caller.require_user()?;
        caller.may_act_for_self()?;
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("access package", id);
                let package = packages::get(tx, id).await?.ok_or_else(missing)?;
                if !is_published(tx, &package).await? {
                    return Err(missing());
                }
                let facts = people::by_user(tx, user).await?.ok_or_else(missing)?;
                let person = people::policy_person(tx, &facts).await?;
                let all = policies::of_package(tx, id).await?;
                let open: Vec<Policy> =
                    applicable(&all, &person, Asking::ForSelf).into_iter().cloned().collect();
                if open.is_empty() {
                    let held = people::packages_of(tx, facts.subject).await?;
                    let is_held = held.iter().any(|held| held.id == id);
                    return Ok(Linked::Closed { package, bars: bars(&all, &person), is_held });
                }
                let found = requestable(tx, facts.subject, vec![(package, open)]).await?;
                let found = found.into_iter().next().ok_or_else(missing)?;
                Ok(Linked::Open(Box::new(found)))
            })
            .await
    }

    /// The policies under which the caller may ask for a package, for themself or (`beneficiary`)
    /// for one of their reports; none if none admits them.
    ///
    /// # Errors
    ///
    /// Forbidden for applications; not found for a package that does not exist, or that is neither
    /// open to the caller nor one that they administer.
    pub async fn applicable_policies(
        &self,
        caller: &Caller,
        package: PackageId,
        beneficiary: Option<UserId>,
    ) -> Result<Vec<Policy>> {
        let (user, _) = caller.require_user()?;
        caller.may_act_for_self()?;
        self.store()
            .read(async |tx| {
                let missing = || Error::not_found("access package", package);
                let found = packages::get(tx, package).await?.ok_or_else(missing)?;
                let open = match beneficiary.filter(|beneficiary| *beneficiary != user) {
                    None => open_policies(tx, &found, user, Asking::ForSelf).await?,
                    Some(other) => {
                        if people::manager(tx, other, 1).await? != Some(user) {
                            return Err(Error::not_found("user", other));
                        }
                        open_policies(tx, &found, other, Asking::OnBehalf).await?
                    }
                };
                let reads = caller.reach(Action::ReadCatalog).includes(found.catalog);
                if open.is_empty() && !reads && !admits_somehow(tx, &found, user).await? {
                    return Err(missing());
                }
                Ok(open)
            })
            .await
    }

    /// Terms as they are stored: everybody named in them exists and is described, every question
    /// has an id of ours.
    async fn resolved(
        &self,
        tx: &mut Tx<'_>,
        terms: &Terms,
        known: &[Uuid],
        now: Timestamp,
    ) -> Result<Terms> {
        let mut terms = terms.clone();
        for (n, set) in terms.specific_allowed_targets.iter_mut().enumerate() {
            describe(tx, set, &format!("specificAllowedTargets[{n}]")).await?;
        }
        for (n, stage) in terms.request_approval_settings.stages.iter_mut().enumerate() {
            let path = format!("requestApprovalSettings.stages[{n}]");
            for (m, set) in stage.primary_approvers.iter_mut().enumerate() {
                describe(tx, set, &format!("{path}.primaryApprovers[{m}]")).await?;
            }
            for (m, set) in stage.fallback_primary_approvers.iter_mut().enumerate() {
                describe(tx, set, &format!("{path}.fallbackPrimaryApprovers[{m}]")).await?;
            }
        }
        let mut taken: Vec<Uuid> = Vec::new();
        for question in &mut terms.questions {
            if !known.contains(&question.id) || taken.contains(&question.id) {
                question.id = self.entropy().uuid(now);
            }
            taken.push(question.id);
        }
        Ok(terms)
    }
}

fn missing(id: PolicyId) -> Error {
    Error::not_found("assignment policy", id)
}

/// A policy that the caller may change, with its package's row and its own held.
async fn changeable(tx: &mut Tx<'_>, caller: &Caller, id: PolicyId) -> Result<Stored> {
    let stored = policies::stored(tx, id).await?.ok_or_else(|| missing(id))?;
    let (read, what) = (Action::ReadCatalog, "assignment policy");
    caller.may_on(Action::ManagePackages, stored.catalog, read, what, id)?;
    packages::lock(tx, stored.policy.package).await?;
    policies::lock(tx, id).await?.ok_or_else(|| missing(id))
}

/// A draft that keeps the rules which need no database.
fn checked(draft: &PolicyDraft) -> Result<PolicyDraft> {
    let display_name = text::name("displayName", &draft.display_name)?;
    let description = text::description("description", &draft.description)?;
    let terms = &draft.terms;
    terms.check().map_err(|(path, sentence)| Error::Invalid { path, sentence })?;
    let stages = &terms.request_approval_settings.stages;
    let named = terms.specific_allowed_targets.len()
        + stages
            .iter()
            .map(|stage| stage.primary_approvers.len() + stage.fallback_primary_approvers.len())
            .sum::<usize>();
    if MAX_NAMED < named {
        return Err(Error::Limit {
            what: "the number of users and groups named in one policy",
            limit: MAX_NAMED,
            advice: "name a group of them instead",
        });
    }
    for (n, stage) in stages.iter().enumerate() {
        let path = || format!("requestApprovalSettings.stages[{n}].durationBeforeAutomaticDenial");
        let limit = std::time::Duration::from_secs(MAX_STAGE_DAYS * 24 * 60 * 60);
        if stage.duration_before_automatic_denial.is_zero() {
            return Err(Error::invalid(path(), "must be longer than zero, such as P14D"));
        }
        let start = Timestamp::UNIX_EPOCH;
        let wait = stage.duration_before_automatic_denial.after(start).duration_since(start);
        if std::time::Duration::try_from(wait).is_ok_and(|wait| limit < wait) {
            let sentence = format!("must be at most {MAX_STAGE_DAYS} days");
            return Err(Error::invalid(path(), sentence));
        }
    }
    questions(terms)?;
    Ok(PolicyDraft { display_name, description, terms: terms.clone() })
}

/// Refuses an end that is over: nobody could be given anything under the policy. One that has passed
/// since it was written may be kept while other things change.
fn ends_later(terms: &Terms, before: Option<&Terms>, now: Timestamp) -> Result<()> {
    match &terms.expiration {
        Expiration::AfterDateTime { end }
            if *end <= now && before.is_none_or(|before| before.expiration != terms.expiration) =>
        {
            let sentence = format!("`{end}` is over already; choose a later date");
            Err(Error::invalid("expiration.endDateTime", sentence))
        }
        _ => Ok(()),
    }
}

fn questions(terms: &Terms) -> Result<()> {
    if MAX_QUESTIONS < terms.questions.len() {
        return Err(Error::Limit {
            what: "the number of questions of a policy",
            limit: MAX_QUESTIONS,
            advice: "ask fewer",
        });
    }
    let length = |path: String, text: &str| {
        let length = text.chars().count();
        if text.trim().is_empty() || MAX_QUESTION < length {
            let sentence = format!("must have 1 to {MAX_QUESTION} characters");
            return Err(Error::invalid(path, sentence));
        }
        Ok(())
    };
    for (n, question) in terms.questions.iter().enumerate() {
        let path = |name: &str| format!("questions[{n}].{name}");
        length(path("text"), &question.text)?;
        match &question.kind {
            QuestionKind::TextInput { regex_pattern: Some(pattern), .. } => {
                if MAX_QUESTION < pattern.chars().count() {
                    let sentence = format!("is too long; the limit is {MAX_QUESTION} characters");
                    return Err(Error::invalid(path("regexPattern"), sentence));
                }
                regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
                    .size_limit(MAX_PATTERN)
                    .build()
                    .map_err(|error| {
                        let first = error.to_string();
                        let first = first.lines().last().unwrap_or_default().trim().to_owned();
                        let sentence = format!("is not a regular expression we know: {first}");
                        Error::invalid(path("regexPattern"), sentence)
                    })?;
            }
            QuestionKind::TextInput { .. } => {}
            QuestionKind::MultipleChoice { choices, .. } => {
                if choices.is_empty() || MAX_CHOICES < choices.len() {
                    let sentence = format!("must have 1 to {MAX_CHOICES} choices");
                    return Err(Error::invalid(path("choices"), sentence));
                }
                for (m, choice) in choices.iter().enumerate() {
                    length(path(&format!("choices[{m}].actualValue")), &choice.actual_value)?;
                    length(path(&format!("choices[{m}].text")), &choice.text)?;
                    let same = |other: &&accede_domain::policy::AnswerChoice| {
                        other.actual_value == choice.actual_value
                    };
                    if 1 < choices.iter().filter(same).count() {
                        let sentence = "is the value of two choices; give each its own";
                        return Err(Error::invalid(
                            path(&format!("choices[{m}].actualValue")),
                            sentence,
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Gives a user or group its present name as description, and refuses one that does not exist.
async fn describe(tx: &mut Tx<'_>, set: &mut SubjectSet, path: &str) -> Result<()> {
    match set {
        SubjectSet::SingleUser { user, description } => {
            let facts = people::by_user(tx, *user).await?;
            let facts = facts.ok_or_else(|| {
                Error::invalid(format!("{path}.userId"), format!("there is no user `{user}`"))
            })?;
            *description = Some(facts.display_name);
        }
        SubjectSet::GroupMembers { group, description } => {
            let name = people::group_name(tx, *group).await?;
            let name = name.ok_or_else(|| {
                Error::invalid(format!("{path}.groupId"), format!("there is no group `{group}`"))
            })?;
            *description = Some(name);
        }
        SubjectSet::RequestorManager { .. } => {}
    }
    Ok(())
}

async fn policy_views(tx: &mut Tx<'_>, items: Vec<Stored>) -> Result<Vec<PolicyView>> {
    let owners = distinct(items.iter().map(|stored| stored.policy.package).collect());
    let owners = packages::get_all(tx, &owners).await?;
    let above = distinct(items.iter().map(|stored| stored.catalog).collect());
    let above = catalogs::get_all(tx, &above).await?;
    Ok(items
        .into_iter()
        .filter_map(|stored| {
            let package = owners.iter().find(|package| package.id == stored.policy.package)?;
            let catalog = above.iter().find(|catalog| catalog.id == stored.catalog)?;
            Some(PolicyView { package: package.clone(), catalog: catalog.clone(), stored })
        })
        .collect())
}

fn by_package(all: Vec<Stored>) -> BTreeMap<PackageId, Vec<Policy>> {
    let mut found: BTreeMap<PackageId, Vec<Policy>> = BTreeMap::new();
    for stored in all {
        found.entry(stored.policy.package).or_default().push(stored.policy);
    }
    found
}

/// How many packages are open to somebody in all, wherever the page begins.
async fn count_open(
    tx: &mut Tx<'_>,
    listing: &Listing,
    words: &[String],
    person: &Person,
) -> Result<i64> {
    let mut total = 0;
    let mut after = None;
    loop {
        let chunk = Listing { top: Some(CHUNK), skip: 0, after, count: false, ..listing.clone() };
        let page = packages::open_page(tx, true, words, ask(&chunk)?).await?;
        let ids: Vec<PackageId> = page.items.iter().map(|package| package.id).collect();
        let all = by_package(policies::of_packages(tx, &ids).await?);
        let open =
            |policies: &&Vec<Policy>| !applicable(policies, person, Asking::ForSelf).is_empty();
        total += i64::try_from(all.values().filter(open).count()).unwrap_or(i64::MAX);
        after = page.next;
        if after.is_none() {
            return Ok(total);
        }
    }
}

/// Where the page after the item at `place` of a chunk begins.
async fn mark(
    tx: &mut Tx<'_>,
    chunk: &Listing,
    words: &[String],
    place: usize,
    chunk_next: &Option<String>,
) -> Result<Option<String>> {
    if place + 1 == CHUNK {
        return Ok(chunk_next.clone());
    }
    let upto = Listing { top: Some((place + 1).min(MAX_TOP)), ..chunk.clone() };
    Ok(packages::open_page(tx, true, words, ask(&upto)?).await?.next)
}

async fn is_published(tx: &mut Tx<'_>, package: &Package) -> Result<bool> {
    let catalog = catalogs::get(tx, package.catalog).await?;
    Ok(catalog.is_some_and(|catalog| catalog.state == catalogs::State::Published))
}

/// The policies under which somebody may be asked for now; none while the catalog is unpublished.
async fn open_policies(
    tx: &mut Tx<'_>,
    package: &Package,
    beneficiary: UserId,
    asking: Asking,
) -> Result<Vec<Policy>> {
    if !is_published(tx, package).await? {
        return Ok(Vec::new());
    }
    let Some(facts) = people::by_user(tx, beneficiary).await? else { return Ok(Vec::new()) };
    let person = people::policy_person(tx, &facts).await?;
    let all = policies::of_package(tx, package.id).await?;
    Ok(applicable(&all, &person, asking).into_iter().cloned().collect())
}

/// Whether a policy is open to the caller or lets them ask for others, so that they may know of the
/// package.
async fn admits_somehow(tx: &mut Tx<'_>, package: &Package, user: UserId) -> Result<bool> {
    for asking in [Asking::ForSelf, Asking::OnBehalf] {
        if !open_policies(tx, package, user, asking).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn requestable(
    tx: &mut Tx<'_>,
    subject: accede_domain::id::SubjectId,
    found: Vec<(Package, Vec<Policy>)>,
) -> Result<Vec<RequestablePackage>> {
    let ids: Vec<PackageId> = found.iter().map(|(package, _)| package.id).collect();
    let given = packages::given(tx, &ids).await?;
    let above = distinct(found.iter().map(|(package, _)| package.catalog).collect());
    let above = catalogs::get_all(tx, &above).await?;
    let held = people::packages_of(tx, subject).await?;
    Ok(found
        .into_iter()
        .filter_map(|(package, policies)| {
            let catalog = above.iter().find(|catalog| catalog.id == package.catalog)?;
            Some(RequestablePackage {
                catalog: catalog.clone(),
                gives: given.iter().filter(|given| given.package == package.id).cloned().collect(),
                is_held: held.iter().any(|held| held.id == package.id),
                policies,
                package,
            })
        })
        .collect())
}
