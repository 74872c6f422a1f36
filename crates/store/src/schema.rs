//! The tables, as one numbered list of migrations for both databases.
//!
//! Column types are `uuid`, `bigint`, `text`, `boolean` and `bytea` only; `migrate` maps them per
//! engine. Instants are UTC milliseconds named `…_at_ms`. JSON is `text`, and nothing is searched
//! inside it. A migration that has been released is never edited: add the next one.

use crate::migrate::Migration;

mod held_extras;

/// Every migration, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "the house", sql: THE_HOUSE },
    Migration { number: 2, name: "circuits of targets", sql: CIRCUITS },
    Migration { number: 3, name: "spreading a package's roles", sql: ROLE_SPREADS },
    Migration { number: 4, name: "trends of causes and paces of targets", sql: TRENDS },
    Migration { number: 5, name: "held changes", sql: GUARDS },
    Migration { number: 6, name: "deliveries that are tried alone", sql: POISON },
    Migration { number: 7, name: "drift", sql: DRIFT },
    Migration { number: 8, name: "what targets say to a restored database", sql: FINDINGS },
    Migration { number: 9, name: "awaited deliveries and tasks", sql: TASKS },
    Migration { number: 10, name: "notices and alarms", sql: NOTICES },
    Migration { number: 11, name: "held removals of extra access", sql: held_extras::SQL },
    Migration { number: 12, name: "late ends of what was accepted", sql: LATE_ENDS },
];

const LATE_ENDS: &str = "
alter table deliveries add column late_until_at_ms bigint
";

const NOTICES: &str = "
create table notices (
    id uuid primary key,
    event text not null,
    topic text not null,
    channel text not null check (channel in ('mail', 'webhook')),
    recipient text not null,
    title text not null,
    body text not null,
    data text not null,
    created_at_ms bigint not null,
    state text not null check (state in ('pending', 'sent', 'failed')),
    epoch bigint not null,
    attempts bigint not null,
    next_at_ms bigint,
    sent_at_ms bigint,
    error text,
    check ((state = 'pending') = (next_at_ms is not null)),
    check ((state = 'sent') = (sent_at_ms is not null))
);
create unique index notices_once on notices (event, channel, recipient);
create index notices_pending on notices (next_at_ms) where state = 'pending';
create index notices_by_age on notices (created_at_ms, id);
create index notices_by_state on notices (state, created_at_ms, id);

create table alarms (
    topic text not null,
    object_id uuid not null,
    since_at_ms bigint not null,
    detail text not null,
    next_at_ms bigint not null,
    primary key (topic, object_id)
);

create index requests_resting on requests (completed_at_ms)
    where state in ('partiallyDelivered', 'deliveryFailed')
";

const FINDINGS: &str = "
create table findings (
    delivery_id uuid primary key references deliveries (id) on delete cascade,
    found text not null check (found in ('present', 'absent', 'unread', 'blind')),
    wanted boolean not null,
    detail text,
    at_ms bigint not null
);
create index findings_by_kind on findings (found, wanted, delivery_id)
";

const DRIFT: &str = "
create table drift_sweeps (
    target_id uuid primary key references targets (id) on delete cascade,
    turn_at_ms bigint not null,
    begun_at_ms bigint,
    finished_at_ms bigint,
    asked_at_ms bigint,
    cutoff_at_ms bigint,
    is_running boolean not null,
    after_resource text not null,
    after_role text not null,
    after_scope text not null,
    roles_read bigint not null,
    roles_unread bigint not null,
    problem text,
    check (not is_running or (begun_at_ms is not null and cutoff_at_ms is not null))
);

create table drift_findings (
    id uuid primary key,
    kind text not null check (kind in ('missing', 'cameBack', 'extra', 'contested')),
    state text not null check (state in ('open', 'repaired', 'gone', 'dismissed')),
    target_id uuid not null references targets (id) on delete cascade,
    resource_origin_id text not null,
    role_origin_id text not null,
    scope_origin_id text not null,
    role_id uuid not null,
    delivery_id uuid references deliveries (id),
    subject_id uuid references subjects (id),
    holder_id text,
    holder_name text,
    first_seen_at_ms bigint not null,
    last_seen_at_ms bigint not null,
    closed_at_ms bigint,
    decided_by text,
    reason text,
    check ((kind = 'extra') = (delivery_id is null)),
    check ((kind = 'extra') = (holder_id is not null)),
    check ((state in ('open', 'dismissed')) = (closed_at_ms is null)),
    check (state <> 'dismissed' or decided_by is not null)
);
create unique index drift_findings_live_delivery on drift_findings (delivery_id)
    where closed_at_ms is null and delivery_id is not null;
create unique index drift_findings_live_holder on drift_findings
    (target_id, resource_origin_id, role_origin_id, scope_origin_id, holder_id)
    where closed_at_ms is null and holder_id is not null;
create index drift_findings_by_delivery on drift_findings (delivery_id, first_seen_at_ms);
create index drift_findings_by_state on drift_findings (state, first_seen_at_ms, id);
create index drift_findings_by_target on drift_findings (target_id, state, kind);
create index drift_findings_by_age on drift_findings (first_seen_at_ms, id);
create index drift_findings_closed on drift_findings (closed_at_ms)
    where closed_at_ms is not null;

create index deliveries_to_compare on deliveries (target_id, attempted_at_ms)
    where phase = 'settled' and ready_at_ms is null
";

const TASKS: &str = "
alter table deliveries add column awaited text;
alter table deliveries add column awaited_since_at_ms bigint;
alter table deliveries add column awaited_until_at_ms bigint;

create table tasks (
    id uuid primary key,
    delivery_id uuid not null references deliveries (id),
    generation bigint not null,
    is_grant boolean not null,
    assignee_id uuid not null,
    is_group boolean not null,
    instructions text,
    state text not null check (state in ('open', 'done', 'couldNot', 'withdrawn')),
    created_by text not null,
    created_at_ms bigint not null,
    due_at_ms bigint not null,
    closed_by text,
    closed_at_ms bigint,
    note text,
    version bigint not null,
    check ((state = 'open') = (closed_at_ms is null))
);
create unique index tasks_open_once on tasks (delivery_id) where state = 'open';
create index tasks_by_delivery on tasks (delivery_id, created_at_ms, id);
create index tasks_by_assignee on tasks (assignee_id, state, due_at_ms);
create index tasks_by_due on tasks (due_at_ms, id);
create index tasks_open on tasks (due_at_ms) where state = 'open'
";

const POISON: &str = "
alter table deliveries add column crashes bigint not null default 0;
alter table deliveries add column strikes bigint not null default 0;
alter table deliveries add column is_alone boolean not null default false;
create index deliveries_alone on deliveries (target_id, ready_at_ms) where is_alone;
create index deliveries_crashed on deliveries (ready_at_ms) where crashes > 0
";

const GUARDS: &str = "
create table guards (
    id uuid primary key,
    cause text not null check (cause in ('packageRoles', 'userImport')),
    package_id uuid references packages (id),
    state text not null check (state in ('held', 'released', 'rejected', 'withdrawn')),
    created_at_ms bigint not null,
    decided_by text,
    decided_at_ms bigint,
    justification text,
    version bigint not null,
    check ((cause = 'packageRoles') = (package_id is not null)),
    check (state in ('held', 'withdrawn') or decided_at_ms is not null)
);
create unique index guards_held_once on guards (package_id)
    where state = 'held' and package_id is not null;
create index guards_by_state on guards (state, created_at_ms, id);

create table guard_causers (
    guard_id uuid not null references guards (id),
    principal_id uuid not null,
    name text not null,
    primary key (guard_id, principal_id)
);

create table guard_counts (
    guard_id uuid not null references guards (id),
    target_id uuid not null references targets (id) on delete cascade,
    grants bigint not null,
    revocations bigint not null,
    live bigint not null,
    primary key (guard_id, target_id)
);
create index guard_counts_by_target on guard_counts (target_id);

create table guard_changes (
    guard_id uuid not null references guards (id),
    role_id uuid not null,
    scope_id uuid not null,
    is_added boolean not null,
    primary key (guard_id, role_id, scope_id)
);

create table guard_people (
    guard_id uuid not null references guards (id),
    user_id uuid not null references users (id),
    is_done boolean not null,
    primary key (guard_id, user_id)
);
create index guard_people_left on guard_people (guard_id, user_id) where not is_done;

create table derived_changes (
    id uuid primary key,
    cause text not null,
    target_id uuid not null references targets (id) on delete cascade,
    grants bigint not null,
    revocations bigint not null,
    at_ms bigint not null
);
create index derived_changes_by_target on derived_changes (target_id, cause, at_ms);
create index derived_changes_by_age on derived_changes (at_ms)
";

const TRENDS: &str = "
create table cause_looks (hour_at_ms bigint primary key);

create table cause_hours (
    cause_id uuid not null references causes (id) on delete cascade,
    hour_at_ms bigint not null,
    catalog_id uuid not null,
    deliveries bigint not null,
    primary key (cause_id, hour_at_ms, catalog_id)
);
create index cause_hours_by_age on cause_hours (hour_at_ms);

create table target_paces (
    target_id uuid not null references targets (id) on delete cascade,
    minute_at_ms bigint not null,
    done bigint not null,
    primary key (target_id, minute_at_ms)
);
create index target_paces_by_age on target_paces (minute_at_ms)
";

const ROLE_SPREADS: &str = "
alter table packages add column roles_version bigint not null default 0;
alter table packages add column roles_changed_at_ms bigint;
create index packages_spreading on packages (roles_changed_at_ms)
    where roles_changed_at_ms is not null;
alter table assignments add column roles_version bigint not null default 0;
create index assignments_behind on assignments (package_id, roles_version)
    where state not in ('ending', 'expired')
";

const CIRCUITS: &str = "
create table circuits (
    target_id uuid primary key references targets (id) on delete cascade,
    state text not null check (state in ('closed', 'open', 'trial')),
    reason text check (reason in ('unavailable', 'credentials')),
    class text,
    code text,
    message text,
    since_at_ms bigint,
    check_at_ms bigint,
    strikes bigint not null,
    passed bigint not null,
    quiet_until_ms bigint,
    held_until_ms bigint,
    check ((state = 'closed') = (since_at_ms is null)),
    check ((state = 'closed') = (reason is null)),
    check ((state = 'open') = (check_at_ms is not null))
);
create index circuits_to_check on circuits (check_at_ms) where check_at_ms is not null
";

const THE_HOUSE: &str = "
create table settings (
    key text primary key,
    value text not null
);

create table subjects (
    id uuid primary key,
    object_id uuid not null unique,
    subject_type text not null check (subject_type in ('user', 'servicePrincipal')),
    is_active boolean not null,
    created_at_ms bigint not null
);

create table users (
    id uuid primary key,
    subject_id uuid not null unique references subjects (id),
    user_principal_name text not null,
    user_principal_name_key text not null unique,
    display_name text not null,
    given_name text,
    surname text,
    mail text,
    department text,
    job_title text,
    company_name text,
    employee_id text,
    user_type text not null check (user_type in ('Member', 'Guest')),
    account_enabled boolean not null,
    manager_id uuid references users (id),
    created_at_ms bigint not null,
    deleted_at_ms bigint,
    version bigint not null
);
create index users_by_manager on users (manager_id);
create index users_by_name on users (display_name, id);
create index users_by_mail on users (mail);

create table groups (
    id uuid primary key,
    display_name text not null,
    description text,
    mail_nickname text not null,
    mail text,
    visibility text,
    created_at_ms bigint not null,
    version bigint not null
);
create index groups_by_name on groups (display_name, id);

create table group_members (
    group_id uuid not null references groups (id),
    member_id uuid not null references users (id),
    primary key (group_id, member_id)
);
create index group_members_by_member on group_members (member_id);

create table group_owners (
    group_id uuid not null references groups (id),
    owner_id uuid not null references users (id),
    primary key (group_id, owner_id)
);
create index group_owners_by_owner on group_owners (owner_id);

create table apps (
    id uuid primary key,
    subject_id uuid not null unique references subjects (id),
    display_name text not null,
    name_key text not null unique,
    secret_hash text,
    scopes text not null,
    created_at_ms bigint not null
);

create table directory_roles (
    principal_id uuid not null,
    role text not null,
    primary key (principal_id, role)
);

create table local_accounts (
    user_id uuid primary key references users (id),
    password_hash text not null,
    changed_at_ms bigint not null
);

create table sessions (
    token_hash bytea primary key,
    user_id uuid not null references users (id),
    csrf_token text not null,
    created_at_ms bigint not null,
    seen_at_ms bigint not null,
    expires_at_ms bigint not null
);
create index sessions_by_user on sessions (user_id);
create index sessions_by_expiry on sessions (expires_at_ms);

create table sign_in_failures (
    id uuid primary key,
    key text not null,
    at_ms bigint not null
);
create index sign_in_failures_by_key on sign_in_failures (key, at_ms);

create table creations (
    key text primary key,
    body_hash bytea not null,
    object_id text not null,
    at_ms bigint not null
);
create index creations_by_age on creations (at_ms);

create table catalogs (
    id uuid primary key,
    display_name text not null,
    name_key text not null,
    description text not null,
    catalog_type text not null check (catalog_type in ('userManaged', 'serviceDefault')),
    state text not null check (state in ('published', 'unpublished')),
    is_externally_visible boolean not null,
    created_at_ms bigint not null,
    modified_at_ms bigint not null,
    deleted_at_ms bigint,
    version bigint not null
);
create unique index catalogs_once on catalogs (name_key) where deleted_at_ms is null;
create index catalogs_by_name on catalogs (display_name, id);

create table role_assignments (
    id uuid primary key,
    principal_id uuid not null,
    role_definition_id uuid not null,
    catalog_id uuid references catalogs (id),
    scope_key text not null,
    created_at_ms bigint not null
);
create unique index role_assignments_once
    on role_assignments (principal_id, role_definition_id, scope_key);
create index role_assignments_by_catalog on role_assignments (catalog_id);

create table targets (
    id uuid primary key,
    name text not null unique,
    display_name text not null,
    description text,
    kind text not null,
    settings text not null,
    secrets bytea,
    concurrency bigint not null,
    catalog_owners_may_add boolean not null default false,
    is_paused boolean not null,
    checked_at_ms bigint,
    check_result text,
    check_ok boolean,
    created_at_ms bigint not null,
    modified_at_ms bigint not null,
    version bigint not null
);

create table resources (
    id uuid primary key,
    catalog_id uuid not null references catalogs (id),
    target_id uuid not null references targets (id),
    origin_id text not null,
    display_name text not null,
    description text,
    keep_pre_existing boolean not null,
    created_at_ms bigint not null,
    modified_at_ms bigint not null
);
create unique index resources_once on resources (catalog_id, target_id, origin_id);
create index resources_by_origin on resources (target_id, origin_id);
create index resources_by_name on resources (display_name, id);

create table resource_roles (
    id uuid primary key,
    resource_id uuid not null references resources (id),
    origin_id text not null,
    display_name text not null,
    description text
);
create unique index resource_roles_once on resource_roles (resource_id, origin_id);

create table resource_scopes (
    id uuid primary key,
    resource_id uuid not null references resources (id),
    origin_id text not null,
    display_name text not null,
    description text,
    is_root_scope boolean not null
);
create unique index resource_scopes_once on resource_scopes (resource_id, origin_id);

create table resource_requests (
    id uuid primary key,
    request_type text not null,
    state text not null,
    catalog_id uuid references catalogs (id),
    resource_id uuid,
    resource text not null,
    created_at_ms bigint not null
);
create index resource_requests_by_age on resource_requests (created_at_ms, id);
create index resource_requests_by_catalog on resource_requests (catalog_id);

create table packages (
    id uuid primary key,
    catalog_id uuid not null references catalogs (id),
    display_name text not null,
    name_key text not null,
    description text not null,
    is_hidden boolean not null,
    created_at_ms bigint not null,
    modified_at_ms bigint not null,
    deleted_at_ms bigint,
    version bigint not null
);
create unique index packages_once on packages (catalog_id, name_key)
    where deleted_at_ms is null;
create index packages_by_name on packages (display_name, id);

create table resource_role_scopes (
    package_id uuid not null references packages (id),
    role_id uuid not null references resource_roles (id),
    scope_id uuid not null references resource_scopes (id),
    created_at_ms bigint not null,
    primary key (package_id, role_id, scope_id)
);
create index resource_role_scopes_by_role on resource_role_scopes (role_id);
create index resource_role_scopes_by_scope on resource_role_scopes (scope_id);

create table incompatible_packages (
    package_id uuid not null references packages (id),
    other_id uuid not null references packages (id),
    primary key (package_id, other_id)
);
create index incompatible_packages_by_other on incompatible_packages (other_id);

create table incompatible_groups (
    package_id uuid not null references packages (id),
    group_id uuid not null references groups (id),
    primary key (package_id, group_id)
);
create index incompatible_groups_by_group on incompatible_groups (group_id);

create table policies (
    id uuid primary key,
    package_id uuid not null references packages (id),
    display_name text not null,
    description text not null,
    terms text not null,
    created_at_ms bigint not null,
    modified_at_ms bigint not null,
    deleted_at_ms bigint,
    version bigint not null
);
create index policies_by_package on policies (package_id);
create index policies_by_name on policies (display_name, id);

create table assignments (
    id uuid primary key,
    subject_id uuid not null references subjects (id),
    package_id uuid not null references packages (id),
    policy_id uuid references policies (id),
    state text not null check (state in ('delivering', 'partiallyDelivered', 'delivered',
        'deliveryFailed', 'ending', 'expired')),
    start_at_ms bigint not null,
    end_at_ms bigint,
    ended_at_ms bigint,
    expired_at_ms bigint,
    created_at_ms bigint not null,
    version bigint not null,
    check ((state = 'expired') = (expired_at_ms is not null)),
    check (state not in ('ending', 'expired') or ended_at_ms is not null)
);
create unique index assignments_live_once on assignments (subject_id, package_id)
    where state not in ('ending', 'expired');
create index assignments_by_package on assignments (package_id, state);
create index assignments_by_subject on assignments (subject_id);
create index assignments_by_policy on assignments (policy_id);
create index assignments_due_to_end on assignments (end_at_ms)
    where state not in ('ending', 'expired') and end_at_ms is not null;
create index assignments_by_age on assignments (created_at_ms, id);

create table requests (
    id uuid primary key,
    request_type text not null,
    subject_id uuid not null references subjects (id),
    requestor_id uuid not null references subjects (id),
    package_id uuid not null references packages (id),
    policy_id uuid references policies (id),
    assignment_id uuid references assignments (id),
    state text not null check (state in ('submitted', 'pendingApproval', 'scheduled', 'delivering',
        'delivered', 'partiallyDelivered', 'deliveryFailed', 'denied', 'canceling', 'canceled')),
    is_timed_out boolean not null,
    begins_at_ms bigint,
    first_completed_at_ms bigint,
    completed_at_ms bigint,
    end_at_ms bigint,
    schedule text not null,
    terms text not null,
    justification text,
    answers text not null,
    block_code text,
    block_text text,
    created_at_ms bigint not null,
    version bigint not null,
    check ((state in ('delivered', 'partiallyDelivered', 'deliveryFailed', 'denied', 'canceled'))
        = (completed_at_ms is not null)),
    check (state <> 'scheduled' or begins_at_ms is not null)
);
create unique index requests_open_once on requests (subject_id, package_id)
    where state in ('submitted', 'pendingApproval', 'scheduled', 'delivering', 'canceling');
create index requests_by_package on requests (package_id, state, created_at_ms, id);
create index requests_by_subject on requests (subject_id, created_at_ms);
create index requests_by_requestor on requests (requestor_id, created_at_ms);
create index requests_by_assignment on requests (assignment_id);
create index requests_by_policy on requests (policy_id);
create index requests_by_age on requests (created_at_ms, id);
create index requests_by_state on requests (state, created_at_ms, id);
create index requests_due_to_begin on requests (begins_at_ms) where state = 'scheduled';

create table approval_stages (
    id uuid primary key,
    request_id uuid not null references requests (id),
    position bigint not null,
    status text not null check (status in ('Initializing', 'InProgress', 'Completed', 'Expired')),
    result text not null check (result in ('NotReviewed', 'Approved', 'Denied')),
    due_at_ms bigint,
    terms text not null,
    resolution text,
    justification text,
    reviewed_by uuid,
    reviewed_at_ms bigint
);
create unique index approval_stages_once on approval_stages (request_id, position);
create index approval_stages_due on approval_stages (due_at_ms) where status = 'InProgress';

create table stage_approvers (
    stage_id uuid not null references approval_stages (id),
    approver_id uuid not null references users (id),
    primary key (stage_id, approver_id)
);
create index stage_approvers_by_approver on stage_approvers (approver_id);

create table causes (
    id uuid primary key,
    target_id uuid not null references targets (id),
    class text not null,
    code text not null,
    fingerprint text not null,
    example text not null,
    first_seen_at_ms bigint not null,
    last_seen_at_ms bigint not null
);
create unique index causes_once on causes (target_id, class, code, fingerprint);

create table deliveries (
    id uuid primary key,
    target_id uuid not null references targets (id),
    subject_id uuid not null references subjects (id),
    resource_origin_id text not null,
    role_origin_id text not null,
    scope_origin_id text not null,
    role_id uuid not null,
    wanted boolean not null,
    generation bigint not null,
    observed text not null check (observed in ('never', 'unknown', 'absent', 'present')),
    phase text not null check (phase in ('settled', 'due', 'inFlight', 'failed', 'stuck')),
    ready_at_ms bigint,
    phase_at_ms bigint,
    action text,
    flight_generation bigint,
    observed_before text,
    deadline_at_ms bigint,
    epoch bigint not null,
    attempts bigint not null,
    misses bigint not null,
    since_at_ms bigint not null,
    uncertain_until_at_ms bigint,
    pre_existing boolean not null,
    keep_pre_existing boolean not null,
    acknowledged_at_ms bigint,
    verified_at_ms bigint,
    cause_id uuid references causes (id),
    fault_class text,
    fault_code text,
    fault_message text,
    attempted_at_ms bigint,
    check (phase <> 'settled' or action is null),
    check (phase <> 'inFlight' or (action is not null and ready_at_ms is not null
        and deadline_at_ms is not null and flight_generation is not null
        and observed_before is not null)),
    check (phase <> 'failed' or (wanted and ready_at_ms is null))
);
create unique index deliveries_once on deliveries
    (subject_id, target_id, resource_origin_id, role_origin_id, scope_origin_id);
create index deliveries_ready on deliveries (target_id, wanted, ready_at_ms)
    where ready_at_ms is not null;
create index deliveries_by_cause on deliveries (cause_id) where cause_id is not null;
create index deliveries_by_role on deliveries (role_id);
create index deliveries_undone on deliveries (target_id, phase, since_at_ms)
    where phase <> 'settled';

create table reasons (
    delivery_id uuid not null references deliveries (id),
    assignment_id uuid not null references assignments (id),
    is_live boolean not null,
    primary key (delivery_id, assignment_id)
);
create index reasons_by_assignment on reasons (assignment_id);

create table attempts (
    id uuid primary key,
    delivery_id uuid not null references deliveries (id),
    epoch bigint not null,
    action text not null,
    outcome text not null,
    class text,
    code text,
    message text,
    started_at_ms bigint not null,
    finished_at_ms bigint not null,
    batch bigint not null
);
create index attempts_by_delivery on attempts (delivery_id, started_at_ms, id);

create table history (
    id uuid primary key,
    request_id uuid not null references requests (id),
    at_ms bigint not null,
    kind text not null,
    actor text not null,
    detail text not null
);
create index history_by_request on history (request_id, at_ms, id);

create table audit (
    id uuid primary key,
    at_ms bigint not null,
    actor text not null,
    action text not null,
    object_type text not null,
    object_id text not null,
    catalog_id uuid,
    detail text not null
);
create index audit_by_age on audit (at_ms, id);
create index audit_by_object on audit (object_type, object_id, at_ms);

create table reprocess_plans (
    id uuid primary key,
    created_by text not null,
    creator_id uuid,
    created_at_ms bigint not null,
    filter text not null,
    digest text not null,
    eligible bigint not null,
    skipped bigint not null,
    summary text not null,
    job_id uuid
);

create table reprocess_plan_items (
    plan_id uuid not null references reprocess_plans (id),
    position bigint not null,
    request_id uuid not null,
    version bigint not null,
    skip_code text,
    skip_text text,
    primary key (plan_id, position)
);

create table reprocess_jobs (
    id uuid primary key,
    plan_id uuid not null unique references reprocess_plans (id),
    state text not null check (state in ('running', 'completed', 'canceled')),
    created_by text not null,
    creator_id uuid,
    created_at_ms bigint not null,
    finished_at_ms bigint,
    version bigint not null
);
create index reprocess_jobs_running on reprocess_jobs (created_at_ms) where state = 'running';

create table reprocess_job_items (
    job_id uuid not null references reprocess_jobs (id),
    position bigint not null,
    request_id uuid not null,
    state text not null check (state in ('pending', 'accepted', 'refused', 'canceled')),
    code text,
    detail text,
    done_at_ms bigint,
    primary key (job_id, position)
);
create index reprocess_job_items_pending on reprocess_job_items (job_id, position)
    where state = 'pending';
create index reprocess_job_items_by_request on reprocess_job_items (request_id)
";
