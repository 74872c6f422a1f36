//! Assignment policies: who may get a package, who approves, for how long.
//!
//! The types repeat Graph's shapes so that they are stored and shown as they came. Which policy
//! applies to whom is decided by [`applicable`].

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::duration::Duration;
use crate::id::{GroupId, PackageId, PolicyId, UserId};
use crate::refusal::Refusal;
use crate::schedule::Expiration;

/// The class of principals a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AllowedTargetScope {
    /// Nobody by themselves: only administrators assign.
    #[default]
    NotSpecified,
    /// The users and groups named in `specificAllowedTargets`.
    SpecificDirectoryUsers,
    /// Every member of the organization, not its guests.
    AllMemberUsers,
    /// Everybody in the directory, guests included.
    AllDirectoryUsers,
}

impl AllowedTargetScope {
    /// The scopes this server knows.
    pub const ALL: [AllowedTargetScope; 4] = [
        AllowedTargetScope::NotSpecified,
        AllowedTargetScope::SpecificDirectoryUsers,
        AllowedTargetScope::AllMemberUsers,
        AllowedTargetScope::AllDirectoryUsers,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            AllowedTargetScope::NotSpecified => "notSpecified",
            AllowedTargetScope::SpecificDirectoryUsers => "specificDirectoryUsers",
            AllowedTargetScope::AllMemberUsers => "allMemberUsers",
            AllowedTargetScope::AllDirectoryUsers => "allDirectoryUsers",
        }
    }

    /// The scope of that name, matched without case.
    pub fn parse(name: &str) -> Option<AllowedTargetScope> {
        Self::ALL.into_iter().find(|scope| scope.name().eq_ignore_ascii_case(name))
    }

    /// Priority class: only the policies of the lowest matching class count (graph-api 7.1).
    const fn class(self) -> u8 {
        match self {
            AllowedTargetScope::NotSpecified => 0,
            AllowedTargetScope::SpecificDirectoryUsers => 1,
            AllowedTargetScope::AllMemberUsers => 2,
            AllowedTargetScope::AllDirectoryUsers => 3,
        }
    }
}

/// A polymorphic "who"; Graph's `subjectSet`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "@odata.type")]
pub enum SubjectSet {
    /// One user.
    #[serde(rename = "#microsoft.graph.singleUser")]
    SingleUser {
        /// Who.
        #[serde(rename = "userId")]
        user: UserId,
        /// Name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    /// The members of a group, at the time it matters.
    #[serde(rename = "#microsoft.graph.groupMembers")]
    GroupMembers {
        /// Which group.
        #[serde(rename = "groupId")]
        group: GroupId,
        /// Name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    /// The manager of the person who asks, `level` steps up.
    #[serde(rename = "#microsoft.graph.requestorManager")]
    RequestorManager {
        /// 1 is the direct manager; at most 2.
        #[serde(rename = "managerLevel", default = "direct_manager")]
        level: u8,
    },
}

fn direct_manager() -> u8 {
    1
}

/// Highest manager level of `requestorManager`.
pub const MAX_MANAGER_LEVEL: u8 = 2;

/// Who may raise requests; Graph's `accessPackageAssignmentRequestorSettings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestorSettings {
    /// The target may ask for access.
    pub enable_targets_to_self_add_access: bool,
    /// The target may ask to change their access.
    pub enable_targets_to_self_update_access: bool,
    /// The target may give access back.
    pub enable_targets_to_self_remove_access: bool,
    /// A requestor may name their own period.
    pub allow_custom_assignment_schedule: bool,
    /// The target's manager may ask for them.
    pub enable_on_behalf_requestors_to_add_access: bool,
    /// The target's manager may change their access.
    pub enable_on_behalf_requestors_to_update_access: bool,
    /// The target's manager may give their access back.
    pub enable_on_behalf_requestors_to_remove_access: bool,
}

/// One approval stage; Graph's `accessPackageApprovalStage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStage {
    /// Undecided for so long, the request is denied as expired.
    pub duration_before_automatic_denial: Duration,
    /// The approver must say why.
    #[serde(default)]
    pub is_approver_justification_required: bool,
    /// Who decides.
    #[serde(default)]
    pub primary_approvers: Vec<SubjectSet>,
    /// Who decides if none of the primary approvers can be found.
    #[serde(default)]
    pub fallback_primary_approvers: Vec<SubjectSet>,
}

/// Whether and how requests are approved; Graph's `accessPackageAssignmentApprovalSettings`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalSettings {
    /// New requests need approval.
    pub is_approval_required_for_add: bool,
    /// Changes need approval.
    pub is_approval_required_for_update: bool,
    /// The requestor must say why.
    pub is_requestor_justification_required: bool,
    /// One to three stages, none if no approval is needed.
    pub stages: Vec<ApprovalStage>,
}

/// A choice of a multiple-choice question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerChoice {
    /// What is stored.
    pub actual_value: String,
    /// What is shown.
    pub text: String,
}

/// What a question accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "@odata.type")]
pub enum QuestionKind {
    /// Free text.
    #[serde(rename = "#microsoft.graph.accessPackageTextInputQuestion", rename_all = "camelCase")]
    TextInput {
        /// One line or several.
        #[serde(default)]
        is_single_line_question: bool,
        /// The whole answer must match it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        regex_pattern: Option<String>,
    },
    /// One or several of a list.
    #[serde(
        rename = "#microsoft.graph.accessPackageMultipleChoiceQuestion",
        rename_all = "camelCase"
    )]
    MultipleChoice {
        /// The list.
        choices: Vec<AnswerChoice>,
        /// Several may be chosen.
        #[serde(default)]
        is_multiple_selection_allowed: bool,
    },
}

/// Something the requestor is asked; Graph's `accessPackageQuestion`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Its id.
    pub id: Uuid,
    /// What is asked.
    pub text: String,
    /// An answer must be given.
    #[serde(default)]
    pub is_required: bool,
    /// The answer may be changed later.
    #[serde(default)]
    pub is_answer_editable: bool,
    /// Display order.
    #[serde(default)]
    pub sequence: i32,
    /// What it accepts.
    #[serde(flatten)]
    pub kind: QuestionKind,
}

/// Notification settings; Graph's `accessPackageNotificationSettings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NotificationSettings {
    /// No mails about assignments.
    pub is_assignment_notification_disabled: bool,
}

/// Everything a policy says; stored as one JSON text and pinned to a request when it is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terms {
    /// The class of principals it is for.
    pub allowed_target_scope: AllowedTargetScope,
    /// Who exactly, for `specificDirectoryUsers`.
    pub specific_allowed_targets: Vec<SubjectSet>,
    /// How long assignments live.
    pub expiration: Expiration,
    /// Who may raise requests.
    pub requestor_settings: RequestorSettings,
    /// How they are approved.
    pub request_approval_settings: ApprovalSettings,
    /// What the requestor is asked.
    pub questions: Vec<Question>,
    /// Mails.
    pub notification_settings: NotificationSettings,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its id.
    pub id: PolicyId,
    /// The package it opens.
    pub package: PackageId,
    /// Name for people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// What it says.
    pub terms: Terms,
}

/// What the rules need to know of a person to find their policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// Member or guest.
    pub is_guest: bool,
    /// The groups they are a member of.
    pub groups: Vec<GroupId>,
}

/// How somebody comes to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asking {
    /// For themself.
    ForSelf,
    /// A manager for their report.
    OnBehalf,
}

impl SubjectSet {
    /// Whether the set names this person. Managers are resolved elsewhere and never match here.
    pub fn names(&self, person: &Person) -> bool {
        match self {
            SubjectSet::SingleUser { user, .. } => *user == person.user,
            SubjectSet::GroupMembers { group, .. } => person.groups.contains(group),
            SubjectSet::RequestorManager { .. } => false,
        }
    }
}

impl Terms {
    /// Whether the person is of the class this policy is for.
    pub fn admits(&self, person: &Person) -> bool {
        match self.allowed_target_scope {
            AllowedTargetScope::NotSpecified => false,
            AllowedTargetScope::SpecificDirectoryUsers => {
                self.specific_allowed_targets.iter().any(|set| set.names(person))
            }
            AllowedTargetScope::AllMemberUsers => !person.is_guest,
            AllowedTargetScope::AllDirectoryUsers => true,
        }
    }

    /// Whether new requests of this kind are open.
    pub const fn accepts(&self, asking: Asking) -> bool {
        match asking {
            Asking::ForSelf => self.requestor_settings.enable_targets_to_self_add_access,
            Asking::OnBehalf => self.requestor_settings.enable_on_behalf_requestors_to_add_access,
        }
    }

    /// The rules a policy's own text must keep, beyond its shape. The first thing wrong, as a path
    /// and a sentence.
    pub fn check(&self) -> Result<(), (String, String)> {
        let approval = &self.request_approval_settings;
        let needed =
            approval.is_approval_required_for_add || approval.is_approval_required_for_update;
        let wrong = |path: &str, sentence: &str| Err((path.to_owned(), sentence.to_owned()));
        if self.allowed_target_scope == AllowedTargetScope::SpecificDirectoryUsers {
            if self.specific_allowed_targets.is_empty() {
                return wrong(
                    "specificAllowedTargets",
                    "name at least one user or group for the scope `specificDirectoryUsers`",
                );
            }
        } else if !self.specific_allowed_targets.is_empty() {
            return wrong(
                "specificAllowedTargets",
                "must be empty unless `allowedTargetScope` is `specificDirectoryUsers`",
            );
        }
        if self
            .specific_allowed_targets
            .iter()
            .any(|set| matches!(set, SubjectSet::RequestorManager { .. }))
        {
            return wrong(
                "specificAllowedTargets",
                "takes `#microsoft.graph.singleUser` and `#microsoft.graph.groupMembers` only",
            );
        }
        if needed && approval.stages.is_empty() {
            return wrong(
                "requestApprovalSettings.stages",
                "name one to three stages, or switch approval off",
            );
        }
        if crate::approval::MAX_STAGES < approval.stages.len() {
            return wrong("requestApprovalSettings.stages", "at most 3 stages are allowed");
        }
        for (n, stage) in approval.stages.iter().enumerate() {
            let path = |name: &str| format!("requestApprovalSettings.stages[{n}].{name}");
            if stage.primary_approvers.is_empty() {
                return wrong(&path("primaryApprovers"), "name at least one approver");
            }
            let managers = stage.primary_approvers.iter().chain(&stage.fallback_primary_approvers);
            for set in managers {
                if let SubjectSet::RequestorManager { level } = set
                    && !(1..=MAX_MANAGER_LEVEL).contains(level)
                {
                    return wrong(&path("primaryApprovers"), "`managerLevel` is 1 or 2");
                }
            }
        }
        Ok(())
    }
}

/// The policies under which `person` may ask for the package: those of the first class that
/// matches. Several of one class are all offered.
pub fn applicable<'a>(policies: &'a [Policy], person: &Person, asking: Asking) -> Vec<&'a Policy> {
    let open: Vec<&Policy> = policies
        .iter()
        .filter(|policy| policy.terms.accepts(asking) && policy.terms.admits(person))
        .collect();
    let class = |policy: &Policy| policy.terms.allowed_target_scope.class();
    let best = open.iter().map(|policy| class(policy)).min();
    open.into_iter().filter(|policy| Some(class(policy)) == best).collect()
}

/// Why a policy does not let somebody ask for a package themself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bar {
    /// It is for people and groups that it names, and this person is not among them.
    NotNamed,
    /// It is for members of the organization, and this person is a guest.
    Guest,
    /// It is for this person, but only their manager may ask for them.
    OnlyManager,
    /// It is for this person, but nobody may ask under it at present.
    Closed,
    /// Nobody asks under it: administrators assign.
    OnlyAssigned,
}

impl Terms {
    /// Why this person cannot ask for themself; nothing if they can.
    pub fn bar(&self, person: &Person) -> Option<Bar> {
        match self.allowed_target_scope {
            AllowedTargetScope::NotSpecified => Some(Bar::OnlyAssigned),
            AllowedTargetScope::AllMemberUsers if !self.admits(person) => Some(Bar::Guest),
            _ if !self.admits(person) => Some(Bar::NotNamed),
            _ if self.accepts(Asking::ForSelf) => None,
            _ if self.accepts(Asking::OnBehalf) => Some(Bar::OnlyManager),
            _ => Some(Bar::Closed),
        }
    }
}

/// Why no policy lets this person ask for themself: each reason once. None if one does, and none if
/// there is no policy.
pub fn bars(policies: &[Policy], person: &Person) -> Vec<Bar> {
    let each: Option<Vec<Bar>> = policies.iter().map(|policy| policy.terms.bar(person)).collect();
    let mut bars = each.unwrap_or_default();
    bars.sort_unstable();
    bars.dedup();
    bars
}

/// The one policy a request runs under: the named one if it applies, else the only one that does.
///
/// # Errors
///
/// Refuses when none applies, when the named one does not, and when several do and none is named.
pub fn choose<'a>(
    policies: &'a [Policy],
    named: Option<PolicyId>,
    person: &Person,
    asking: Asking,
) -> Result<&'a Policy, Refusal> {
    let applicable = applicable(policies, person, asking);
    match (named, applicable.as_slice()) {
        (Some(named), list) => {
            list.iter().find(|policy| policy.id == named).copied().ok_or_else(|| {
                let advice = match list {
                    [] => "no other one does; ask the catalog owner who may request it",
                    _ => "leave `assignment.assignmentPolicyId` out to use the one that does",
                };
                Refusal::NoPolicy(format!("policy `{named}` does not admit this person; {advice}"))
            })
        }
        (None, [only]) => Ok(only),
        (None, []) => Err(Refusal::NoPolicy(match asking {
            Asking::ForSelf => "ask the catalog owner who may request it".to_owned(),
            Asking::OnBehalf => "managers may not request it for their reports".to_owned(),
        })),
        (None, several) => Err(Refusal::SeveralPolicies {
            names: several
                .iter()
                .map(|policy| format!("{} ({})", policy.display_name, policy.id))
                .collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn policy(n: u128, scope: AllowedTargetScope, targets: Vec<SubjectSet>) -> Policy {
        Policy {
            id: PolicyId(Uuid::from_u128(n)),
            package: PackageId(Uuid::from_u128(1)),
            display_name: format!("policy {n}"),
            description: String::new(),
            terms: Terms {
                allowed_target_scope: scope,
                specific_allowed_targets: targets,
                requestor_settings: RequestorSettings {
                    enable_targets_to_self_add_access: true,
                    ..RequestorSettings::default()
                },
                ..Terms::default()
            },
        }
    }

    fn uma() -> Person {
        Person { user: UserId(Uuid::from_u128(7)), is_guest: false, groups: vec![] }
    }

    #[test]
    fn a_policy_that_names_the_person_hides_those_for_everybody() {
        let named = SubjectSet::SingleUser { user: uma().user, description: None };
        let policies = [
            policy(1, AllowedTargetScope::AllMemberUsers, vec![]),
            policy(2, AllowedTargetScope::SpecificDirectoryUsers, vec![named]),
        ];

        let chosen = choose(&policies, None, &uma(), Asking::ForSelf).unwrap();

        assert_eq!(chosen.id, policies[1].id);
    }

    #[test]
    fn two_policies_of_one_class_must_be_chosen_between() {
        let policies = [
            policy(1, AllowedTargetScope::AllMemberUsers, vec![]),
            policy(2, AllowedTargetScope::AllMemberUsers, vec![]),
        ];

        let refused = choose(&policies, None, &uma(), Asking::ForSelf).unwrap_err();
        let chosen = choose(&policies, Some(policies[1].id), &uma(), Asking::ForSelf).unwrap();

        assert_eq!(refused.code(), "SeveralPoliciesMatch");
        assert_eq!(chosen.id, policies[1].id);
    }

    #[test]
    fn guests_are_not_members() {
        let policies = [policy(1, AllowedTargetScope::AllMemberUsers, vec![])];
        let guest = Person { is_guest: true, ..uma() };

        assert!(applicable(&policies, &guest, Asking::ForSelf).is_empty());
    }

    #[test]
    fn direct_assignment_policies_admit_nobody_by_themselves() {
        let policies = [policy(1, AllowedTargetScope::NotSpecified, vec![])];

        assert!(applicable(&policies, &uma(), Asking::ForSelf).is_empty());
    }

    #[test]
    fn every_policy_that_does_not_let_somebody_ask_says_why() {
        let other = SubjectSet::SingleUser { user: UserId(Uuid::from_u128(8)), description: None };
        let mut for_managers = policy(4, AllowedTargetScope::AllDirectoryUsers, vec![]);
        for_managers.terms.requestor_settings = RequestorSettings {
            enable_on_behalf_requestors_to_add_access: true,
            ..RequestorSettings::default()
        };
        let mut closed = policy(5, AllowedTargetScope::AllDirectoryUsers, vec![]);
        closed.terms.requestor_settings = RequestorSettings::default();
        let members = policy(3, AllowedTargetScope::AllMemberUsers, vec![]);
        let policies = [
            policy(1, AllowedTargetScope::NotSpecified, vec![]),
            policy(2, AllowedTargetScope::SpecificDirectoryUsers, vec![other.clone()]),
            members.clone(),
            for_managers,
            closed,
            policy(6, AllowedTargetScope::SpecificDirectoryUsers, vec![other]),
        ];
        let guest = Person { is_guest: true, ..uma() };

        assert_eq!(
            bars(&policies, &guest),
            [Bar::NotNamed, Bar::Guest, Bar::OnlyManager, Bar::Closed, Bar::OnlyAssigned]
        );
        assert_eq!(members.terms.bar(&uma()), None);
        assert!(bars(&policies, &uma()).is_empty(), "one policy lets her ask");
        assert!(bars(&[], &guest).is_empty());
    }
}
