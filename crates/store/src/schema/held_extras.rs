//! Removals of extra access: what is planned, who decided that it is taken away, and one more cause of held
//! changes. Which causes there are is part of a
//! table, so it is made anew, and with it those that refer to it.

/// What migration 11 does.
pub const SQL: &str = "
create table guards_new (
    id uuid primary key,
    cause text not null check (cause in ('packageRoles', 'userImport', 'extraAccess')),
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
insert into guards_new (id, cause, package_id, state, created_at_ms, decided_by, decided_at_ms,
    justification, version)
select id, cause, package_id, state, created_at_ms, decided_by, decided_at_ms, justification,
    version from guards;

create table guard_causers_new (
    guard_id uuid not null references guards_new (id),
    principal_id uuid not null,
    name text not null,
    primary key (guard_id, principal_id)
);
insert into guard_causers_new (guard_id, principal_id, name)
select guard_id, principal_id, name from guard_causers;
drop table guard_causers;

create table guard_counts_new (
    guard_id uuid not null references guards_new (id),
    target_id uuid not null references targets (id) on delete cascade,
    grants bigint not null,
    revocations bigint not null,
    live bigint not null,
    primary key (guard_id, target_id)
);
insert into guard_counts_new (guard_id, target_id, grants, revocations, live)
select guard_id, target_id, grants, revocations, live from guard_counts;
drop table guard_counts;

create table guard_changes_new (
    guard_id uuid not null references guards_new (id),
    role_id uuid not null,
    scope_id uuid not null,
    is_added boolean not null,
    primary key (guard_id, role_id, scope_id)
);
insert into guard_changes_new (guard_id, role_id, scope_id, is_added)
select guard_id, role_id, scope_id, is_added from guard_changes;
drop table guard_changes;

create table guard_people_new (
    guard_id uuid not null references guards_new (id),
    user_id uuid not null references users (id),
    is_done boolean not null,
    primary key (guard_id, user_id)
);
insert into guard_people_new (guard_id, user_id, is_done)
select guard_id, user_id, is_done from guard_people;
drop table guard_people;

drop table guards;
alter table guards_new rename to guards;
alter table guard_causers_new rename to guard_causers;
alter table guard_counts_new rename to guard_counts;
alter table guard_changes_new rename to guard_changes;
alter table guard_people_new rename to guard_people;
create unique index guards_held_once on guards (package_id)
    where state = 'held' and package_id is not null;
create index guards_by_state on guards (state, created_at_ms, id);
create index guard_counts_by_target on guard_counts (target_id);
create index guard_people_left on guard_people (guard_id, user_id) where not is_done;

create table extra_plans (
    finding_id uuid primary key references drift_findings (id) on delete cascade,
    target_id uuid not null references targets (id) on delete cascade,
    guard_id uuid references guards (id)
);
create index extra_plans_by_target on extra_plans (target_id);
create index extra_plans_by_guard on extra_plans (guard_id);

create table extra_policies (
    target_id uuid primary key references targets (id) on delete cascade,
    principal_id uuid not null,
    name text not null
)
";
