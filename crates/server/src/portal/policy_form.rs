//! A policy as a form, both ways. What the form does not show of a policy stays as it is.

use accede_app::policies::{MAX_STAGE_DAYS, PolicyDraft};
use accede_app::{App, Error};
use accede_domain::approval::MAX_STAGES;
use accede_domain::duration::Duration;
use accede_domain::policy::{
    AllowedTargetScope as Scope, ApprovalStage, Policy, RequestorSettings, SubjectSet, Terms,
};
use accede_domain::schedule::Expiration;

use super::form::Fields;
use super::form_page::{Faults, Wrong};
use super::input::{Input, choice};
use super::policy_names::Names;
use super::policy_questions as questions;
use super::problem::Result;
use super::session::Session;
use super::terms;

/// Days to decide that a new stage proposes.
const DAYS: &str = "14";

/// Who may request: scope and words.
const SCOPES: [(Scope, &str); 4] = [
    (Scope::SpecificDirectoryUsers, "The people and groups named below"),
    (Scope::AllMemberUsers, "Every member of the organization, not its guests"),
    (Scope::AllDirectoryUsers, "Everybody in the directory, guests included"),
    (Scope::NotSpecified, "Nobody by themselves: only administrators assign"),
];

/// What is allowed to those for whom a policy is, and to their managers: what is sent, and words.
pub const SETTINGS: [(&str, &str); 5] = [
    ("add", "They may request it for themselves"),
    ("remove", "They may give it back themselves"),
    ("schedule", "They may choose from when and until when, within what the policy allows"),
    ("managerAdd", "Their managers may request it for them"),
    ("managerRemove", "Their managers may give it back for them"),
];

/// How long access lasts: what is sent, and words.
const LASTS: [(&str, &str); 5] = [
    ("never", "Without end"),
    ("days", "A number of days"),
    ("hours", "A number of hours"),
    ("span", "Another length of time"),
    ("date", "Until a date"),
];

/// Whether a setting is switched on.
pub fn is_set(settings: &RequestorSettings, name: &str) -> bool {
    match name {
        "add" => settings.enable_targets_to_self_add_access,
        "remove" => settings.enable_targets_to_self_remove_access,
        "schedule" => settings.allow_custom_assignment_schedule,
        "managerAdd" => settings.enable_on_behalf_requestors_to_add_access,
        _ => settings.enable_on_behalf_requestors_to_remove_access,
    }
}

/// A policy as it stands, and the form that shows it.
#[derive(Debug, Clone)]
pub struct Before {
    /// What it says; nothing for a new one.
    pub terms: Terms,
    description: String,
    /// The fields of the form as it is opened.
    pub fields: Fields,
    names: Names,
}

/// What a form says, and where its parts stand in it.
#[derive(Debug, Clone)]
pub struct Read {
    /// What it says.
    pub draft: PolicyDraft,
    rows: Vec<usize>,
}

fn stage_field(n: usize, field: &str) -> String {
    format!("s{}.{field}", n + 1)
}

impl Before {
    /// Nothing: the form of a new policy.
    pub fn new() -> Before {
        let mut fields = Fields::default();
        fields.add("scope", Scope::SpecificDirectoryUsers.name());
        fields.add("settings", "add");
        fields.add("settings", "remove");
        fields.add("stages", "0");
        fields.add("lasts", "never");
        propose(&mut fields, 0);
        Before {
            terms: Terms { expiration: Expiration::NoExpiration, ..Terms::default() },
            description: String::new(),
            fields,
            names: Names::default(),
        }
    }

    /// A stored policy.
    ///
    /// # Errors
    ///
    /// Forbidden for those who may not read the directory.
    pub async fn of(app: &App, session: &Session, policy: &Policy) -> Result<Before> {
        let names = Names::of(app, session, &policy.terms).await?;
        Ok(Before {
            terms: policy.terms.clone(),
            description: policy.description.clone(),
            fields: written(policy, &names),
            names,
        })
    }

    /// Whether a field has what it had when the form was opened.
    fn is_same(&self, fields: &Fields, name: &str) -> bool {
        lines(&fields.typed(name)) == lines(&self.fields.typed(name))
    }

    /// Whether something was written into a field that was not there before.
    fn is_new(&self, fields: &Fields, name: &str) -> bool {
        fields.has(name) && !self.is_same(fields, name)
    }

    /// What a form says.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, field by field.
    pub async fn read(
        &self,
        app: &App,
        session: &Session,
        fields: &Fields,
    ) -> Result<Read, Faults> {
        let mut terms = self.terms.clone();
        let mut faults = Faults::default();
        if !fields.has("displayName") {
            faults.add("displayName", "give it a name");
        }
        self.read_who(app, session, fields, &mut terms, &mut faults).await?;
        self.read_approval(app, session, fields, &mut terms, &mut faults).await?;
        terms.expiration = faults.keep(self.expiration(fields))?.unwrap_or_default();
        let found = questions::read(fields, &self.terms.questions, &self.fields, &mut faults);
        let (rows, asked) = found.into_iter().unzip();
        terms.questions = asked;
        if !faults.is_empty() {
            return Err(faults);
        }
        let description = if self.is_same(fields, "description") {
            self.description.clone()
        } else {
            fields.get("description").unwrap_or_default().replace("\r\n", "\n")
        };
        let display_name = fields.get("displayName").unwrap_or_default().to_owned();
        Ok(Read { draft: PolicyDraft { display_name, description, terms }, rows })
    }

    async fn read_who(
        &self,
        app: &App,
        session: &Session,
        fields: &Fields,
        terms: &mut Terms,
        faults: &mut Faults,
    ) -> Result<(), Error> {
        let scope = fields.get("scope").and_then(Scope::parse);
        if scope.is_none() {
            faults.add("scope", "choose who may request it");
        }
        terms.allowed_target_scope = scope.unwrap_or(terms.allowed_target_scope);
        terms.specific_allowed_targets.clear();
        if scope == Some(Scope::SpecificDirectoryUsers) {
            let named = self.names.read(app, session, "targets", &fields.typed("targets")).await;
            match faults.keep(named)? {
                Some(named) if named.is_empty() => faults.add(
                    "targets",
                    "name at least one person or group, or choose another answer above",
                ),
                named => {
                    let named = named.unwrap_or_default();
                    terms.specific_allowed_targets =
                        kept(named, &self.terms.specific_allowed_targets);
                }
            }
        } else if scope.is_some() && self.is_new(fields, "targets") {
            let advice = "people and groups are named below: choose them here, or empty the list";
            faults.add("scope", advice);
        }
        let settings = &mut terms.requestor_settings;
        let on = |name: &str| fields.all("settings").any(|set| set == name);
        settings.enable_targets_to_self_add_access = on("add");
        settings.enable_targets_to_self_remove_access = on("remove");
        settings.allow_custom_assignment_schedule = on("schedule");
        settings.enable_on_behalf_requestors_to_add_access = on("managerAdd");
        settings.enable_on_behalf_requestors_to_remove_access = on("managerRemove");
        Ok(())
    }

    async fn read_approval(
        &self,
        app: &App,
        session: &Session,
        fields: &Fields,
        terms: &mut Terms,
        faults: &mut Faults,
    ) -> Result<(), Error> {
        let many = fields.parsed::<usize>("stages").filter(|many| *many <= MAX_STAGES);
        let Some(many) = many else {
            faults.add("stages", "choose how many stages there are");
            return Ok(());
        };
        for n in many..MAX_STAGES {
            let names = ["approvers", "fallback"].map(|field| stage_field(n, field));
            if names.iter().any(|name| self.is_new(fields, name)) {
                let text = format!(
                    "stage {} is filled in: choose as many stages, or empty what it has",
                    n + 1
                );
                faults.add("stages", text);
                break;
            }
        }
        let stored = self.terms.request_approval_settings.stages.as_slice();
        let mut stages = Vec::with_capacity(many);
        for n in 0..many {
            stages.push(self.stage(app, session, fields, n, stored.get(n), faults).await?);
        }
        let settings = &mut terms.request_approval_settings;
        settings.is_requestor_justification_required = fields.has("justification");
        // Stages that new requests do not go through are not shown, and stay.
        if many != 0 || !self.is_same(fields, "stages") {
            settings.is_approval_required_for_add = many != 0;
            settings.is_approval_required_for_update &= many != 0;
            settings.stages = stages;
        }
        Ok(())
    }

    async fn stage(
        &self,
        app: &App,
        session: &Session,
        fields: &Fields,
        n: usize,
        stored: Option<&ApprovalStage>,
        faults: &mut Faults,
    ) -> Result<ApprovalStage, Error> {
        let none: &[SubjectSet] = &[];
        let approvers = stage_field(n, "approvers");
        let known = stored.map_or(none, |stage| stage.primary_approvers.as_slice());
        let primary = faults.keep(self.sets(app, session, fields, &approvers, known).await)?;
        if primary.as_ref().is_some_and(Vec::is_empty) {
            let advice = "name at least one person or group, or choose a manager above";
            faults.add(approvers, advice);
        }
        let known = stored.map_or(none, |stage| stage.fallback_primary_approvers.as_slice());
        let fallback = self.sets(app, session, fields, &stage_field(n, "fallback"), known).await;
        let fallback = faults.keep(fallback)?;
        let days = stage_field(n, "days");
        let wait = match stored {
            Some(stage) if self.is_same(fields, &days) => stage.duration_before_automatic_denial,
            _ => faults.keep(waiting(fields, &days))?.unwrap_or_else(Duration::zero),
        };
        Ok(ApprovalStage {
            duration_before_automatic_denial: wait,
            is_approver_justification_required: fields.has(&stage_field(n, "why")),
            primary_approvers: primary.unwrap_or_default(),
            fallback_primary_approvers: fallback.unwrap_or_default(),
        })
    }

    /// The managers that are ticked, and whom the text names.
    async fn sets(
        &self,
        app: &App,
        session: &Session,
        fields: &Fields,
        name: &str,
        stored: &[SubjectSet],
    ) -> Result<Vec<SubjectSet>, Error> {
        let mut sets: Vec<SubjectSet> = fields
            .all(&format!("{name}.manager"))
            .filter_map(|level| level.parse().ok())
            .map(|level| SubjectSet::RequestorManager { level })
            .collect();
        sets.extend(self.names.read(app, session, name, &fields.typed(name)).await?);
        Ok(kept(sets, stored))
    }

    fn expiration(&self, fields: &Fields) -> Result<Expiration, Error> {
        let lasts = fields.get("lasts").unwrap_or_default();
        for (other, _) in LASTS {
            let name = format!("lasts.{other}");
            if other != lasts && self.is_new(fields, &name) {
                let advice = "another answer is filled in below: choose it, or empty it";
                return Err(Error::invalid("lasts", advice));
            }
        }
        let name = format!("lasts.{lasts}");
        if self.is_same(fields, "lasts")
            && self.is_same(fields, &name)
            && (lasts == "never" || fields.has(&name))
        {
            return Ok(self.terms.expiration.clone());
        }
        let text = fields.get(&name).unwrap_or_default();
        let wrong = |advice: &str| Err(Error::invalid(name.clone(), advice));
        let iso = match lasts {
            "never" => return Ok(Expiration::NoExpiration),
            "days" if is_number(text) => format!("P{text}D"),
            "days" => return wrong("write a number of days, such as 30"),
            "hours" if is_number(text) => format!("PT{text}H"),
            "hours" => return wrong("write a number of hours, such as 8"),
            "span" => text.to_owned(),
            "date" => {
                return match terms::moment(text) {
                    Some(Ok(end)) => Ok(Expiration::AfterDateTime { end }),
                    _ => wrong("write a date and time, such as 2026-06-01T09:00"),
                };
            }
            _ => return Err(Error::invalid("lasts", "choose how long access lasts")),
        };
        match iso.parse::<Duration>() {
            Ok(duration) if duration.is_zero() => wrong("must be longer than nothing"),
            Ok(duration) => Ok(Expiration::AfterDuration { duration }),
            Err(error) if lasts == "span" => wrong(&error.to_string()),
            Err(_) => wrong("is too long; at most 100 years are allowed"),
        }
    }
}

/// Sets in the order in which they are stored, if they are the same.
fn kept(sets: Vec<SubjectSet>, stored: &[SubjectSet]) -> Vec<SubjectSet> {
    let is_same = sets.len() == stored.len() && sets.iter().all(|set| stored.contains(set));
    if is_same { stored.to_vec() } else { sets }
}

/// The lines of a text, without blanks around them.
fn lines(text: &str) -> Vec<&str> {
    text.trim().lines().map(str::trim).collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// How long a stage waits: a number of days, or a length.
fn waiting(fields: &Fields, name: &str) -> Result<Duration, Error> {
    let text = fields.get(name).unwrap_or_default();
    let iso = if is_number(text) { format!("P{text}D") } else { text.to_owned() };
    match iso.parse::<Duration>() {
        Ok(wait) if !wait.is_zero() => Ok(wait),
        _ => {
            let text = format!(
                "write a number of days from 1 to {MAX_STAGE_DAYS}, or a length of time such as \
                 PT12H"
            );
            Err(Error::invalid(name, text))
        }
    }
}

/// Adds what a new stage proposes, for the stages from `from` on.
fn propose(fields: &mut Fields, from: usize) {
    for n in from..MAX_STAGES {
        fields.add(stage_field(n, "days"), DAYS);
    }
}

/// The number in a duration of days or hours alone.
fn number<'a>(iso: &'a str, before: &str, after: &str) -> Option<&'a str> {
    iso.strip_prefix(before)?.strip_suffix(after).filter(|number| is_number(number))
}

/// The fields of a stored policy.
fn written(policy: &Policy, names: &Names) -> Fields {
    let terms = &policy.terms;
    let mut fields = Fields::default();
    fields.add("displayName", &policy.display_name);
    fields.add("description", &policy.description);
    fields.add("scope", terms.allowed_target_scope.name());
    fields.add("targets", names.text(&terms.specific_allowed_targets));
    for (name, _) in SETTINGS {
        if is_set(&terms.requestor_settings, name) {
            fields.add("settings", name);
        }
    }
    let approval = &terms.request_approval_settings;
    if approval.is_requestor_justification_required {
        fields.add("justification", "yes");
    }
    let many = if approval.is_approval_required_for_add { approval.stages.len() } else { 0 };
    fields.add("stages", many.to_string());
    for (n, stage) in approval.stages.iter().enumerate() {
        let both = [
            ("approvers", &stage.primary_approvers),
            ("fallback", &stage.fallback_primary_approvers),
        ];
        for (field, sets) in both {
            fields.add(stage_field(n, field), names.text(sets));
            for set in sets {
                if let SubjectSet::RequestorManager { level } = set {
                    fields.add(stage_field(n, &format!("{field}.manager")), level.to_string());
                }
            }
        }
        if stage.is_approver_justification_required {
            fields.add(stage_field(n, "why"), "yes");
        }
        let wait = stage.duration_before_automatic_denial.to_string();
        let days = number(&wait, "P", "D").unwrap_or(&wait);
        fields.add(stage_field(n, "days"), days);
    }
    propose(&mut fields, approval.stages.len());
    let (lasts, value) = match &terms.expiration {
        Expiration::NotSpecified | Expiration::NoExpiration => ("never", String::new()),
        Expiration::AfterDateTime { end } => ("date", end.strftime("%Y-%m-%dT%H:%M").to_string()),
        Expiration::AfterDuration { duration } => {
            let iso = duration.to_string();
            match (number(&iso, "P", "D"), number(&iso, "PT", "H")) {
                (Some(days), _) => ("days", days.to_owned()),
                (None, Some(hours)) => ("hours", hours.to_owned()),
                (None, None) => ("span", iso),
            }
        }
    };
    fields.add("lasts", lasts);
    fields.add(format!("lasts.{lasts}"), value);
    questions::write(&terms.questions, &mut fields);
    fields
}

impl Read {
    /// The same error at the field of this form that it is about.
    pub fn located(&self, error: Error) -> Error {
        match error {
            Error::Invalid { path, sentence } => {
                Error::Invalid { path: self.field(&path).unwrap_or(path), sentence }
            }
            Error::Limit { .. } => Error::invalid("form", error.to_string()),
            error => error,
        }
    }

    fn field(&self, path: &str) -> Option<String> {
        if let Some(field) = questions::field(path, &self.rows) {
            return Some(field);
        }
        if path.starts_with("specificAllowedTargets") {
            return Some("targets".to_owned());
        }
        if path == "expiration.endDateTime" {
            return Some("lasts.date".to_owned());
        }
        if path == "requestApprovalSettings.stages" {
            return Some("stages".to_owned());
        }
        let rest = path.strip_prefix("requestApprovalSettings.stages[")?;
        let (n, rest) = rest.split_once("].")?;
        let field = match rest {
            "durationBeforeAutomaticDenial" => "days",
            rest if rest.starts_with("fallback") => "fallback",
            _ => "approvers",
        };
        Some(stage_field(n.parse().ok()?, field))
    }
}

/// Everything that is asked of a policy.
pub fn inputs(typed: &Fields, wrong: &Wrong) -> Vec<Input> {
    let mut inputs = vec![
        Input::line("displayName", "Name", typed.typed("displayName"), 256)
            .required()
            .hint("Who may choose between policies reads it, such as: Members of Marketing.")
            .wrong(wrong.with("displayName")),
        Input::text("description", "Description", typed.typed("description"), 4_000)
            .wrong(wrong.with("description")),
    ];
    inputs.extend(who(typed, wrong));
    inputs.extend(approval(typed, wrong));
    inputs.extend(lifecycle(typed, wrong));
    inputs.push(
        Input::heading("part-questions", "Questions to the requestor")
            .hint("A question without a word is not asked. Save, and edit again, for more rows."),
    );
    inputs.extend(questions::inputs(typed, wrong));
    inputs
}

fn who(typed: &Fields, wrong: &Wrong) -> [Input; 5] {
    let scope = typed.get("scope").unwrap_or_default();
    let scopes = SCOPES.map(|(one, words)| choice(one.name(), words, one.name() == scope));
    let settings = SETTINGS
        .map(|(name, words)| choice(name, words, typed.all("settings").any(|set| set == name)));
    [
        Input::heading("part-who", "Who may request it"),
        Input::one_of("scope", "For whom it is", scopes.into()).wrong(wrong.with("scope")),
        Input::text("targets", "People and groups", typed.typed("targets"), 0)
            .hint(NAMES)
            .when("scope", &[Scope::SpecificDirectoryUsers.name()])
            .wrong(wrong.with("targets")),
        Input::some_of("settings", "What is allowed", settings.into()),
        Input::check(
            "justification",
            "Requestors must say why they need it",
            typed.has("justification"),
        ),
    ]
}

/// How people and groups are written.
const NAMES: &str = "One per line: the sign-in name of a person, or the name of a group; its id if several groups \
     have that name.";

fn approval(typed: &Fields, wrong: &Wrong) -> Vec<Input> {
    let many = typed.get("stages").unwrap_or("0");
    let stages = [
        ("0", "No approval"),
        ("1", "One stage"),
        ("2", "Two stages, one after the other"),
        ("3", "Three stages, one after the other"),
    ];
    let mut inputs = vec![
        Input::heading("part-approval", "Approval"),
        Input::one_of(
            "stages",
            "Requests go through",
            stages.map(|(value, words)| choice(value, words, value == many)).into(),
        )
        .hint("Only as many of the stages below count.")
        .wrong(wrong.with("stages")),
    ];
    for n in 0..MAX_STAGES {
        let counts: Vec<String> = (n + 1..=MAX_STAGES).map(|many| many.to_string()).collect();
        let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
        inputs.extend(stage(typed, wrong, n).map(|input| input.when("stages", &counts)));
    }
    inputs
}

fn stage(typed: &Fields, wrong: &Wrong, n: usize) -> [Input; 7] {
    let number = n + 1;
    let named = |field: &str| stage_field(n, field);
    let text = |field: &str, label: String| {
        Input::text(named(field), label, typed.typed(&named(field)), 0)
            .wrong(wrong.with(&named(field)))
    };
    let managers = |field: &str, label: String| {
        let name = named(field);
        let is_chosen = |level: &str| typed.all(&name).any(|chosen| chosen == level);
        let choices = vec![
            choice("1", "The requestor's manager", is_chosen("1")),
            choice("2", "The manager of the requestor's manager", is_chosen("2")),
        ];
        Input::some_of(name.clone(), label, choices)
    };
    [
        Input::heading(format!("part-stage-{number}"), format!("Stage {number}"))
            .hint("One approver decides for all of the stage."),
        managers("approvers.manager", format!("Managers who decide in stage {number}")),
        text("approvers", format!("People and groups who decide in stage {number}")).hint(NAMES),
        managers("fallback.manager", format!("Managers who stand in in stage {number}")),
        text("fallback", format!("People and groups who stand in in stage {number}"))
            .hint(format!("They decide if none of the above can be found. {NAMES}")),
        Input::line(
            named("days"),
            format!("Days to decide in stage {number}"),
            typed.typed(&named("days")),
            64,
        )
        .hint("Undecided for so long, the request is denied. Or a length of time, such as PT12H.")
        .wrong(wrong.with(&named("days"))),
        Input::check(
            named("why"),
            format!("Approvers must say why in stage {number}"),
            typed.has(&named("why")),
        ),
    ]
}

fn lifecycle(typed: &Fields, wrong: &Wrong) -> [Input; 6] {
    let lasts = typed.get("lasts").unwrap_or("never");
    let one = |kind: &str, label: &str, of: &'static str, hint: &str| {
        let name = format!("lasts.{kind}");
        Input::typed(name.clone(), label, of, typed.typed(&name), 0)
            .hint(hint)
            .when("lasts", &[kind])
            .wrong(wrong.with(&name))
    };
    let counted = "Counted from the approval.";
    [
        Input::heading("part-lasts", "How long access lasts"),
        Input::one_of(
            "lasts",
            "Access lasts",
            LASTS.map(|(value, words)| choice(value, words, value == lasts)).into(),
        )
        .wrong(wrong.with("lasts")),
        one("days", "Days", "text", counted),
        one("hours", "Hours", "text", counted),
        one(
            "span",
            "Length of time",
            "text",
            "As in ISO 8601: P6M for six months, P1Y for a year. Counted from the approval.",
        ),
        one("date", "Until (UTC)", "datetime-local", "The same end for everybody."),
    ]
}
