//! What is asked of a target's own catalog. Each text is a literal; names of roles come back from
//! here and are quoted before they stand in a command.

/// Sets what every session needs, whatever role or database say by default: a path on which nobody
/// can put functions of theirs, and waits that end before a call's deadline.
pub(super) const SESSION: &str = "select pg_catalog.set_config('search_path', 'pg_catalog', false), \
        pg_catalog.set_config('default_transaction_isolation', 'read committed', false), \
        pg_catalog.set_config('lock_timeout', '4s', false), \
        pg_catalog.set_config('statement_timeout', '8s', false), \
        pg_catalog.set_config('idle_in_transaction_session_timeout', '30s', false)";

/// Whether it is a standby; its cluster; its version; whether we are a superuser.
pub(super) const SERVER: &str = "select pg_is_in_recovery(), system_identifier::text, \
        current_setting('server_version'), current_setting('is_superuser') = 'on' \
    from pg_control_system()";

/// Roles: their oid, name, comment, and why people must not be made members of them (null if they
/// may be). One role by its oid, or those with a text in name or comment that may be given by us.
///
/// What a role may become by SET ROLE counts like its own attributes, so its memberships are followed.
pub(super) const ROLES: &str = "with recursive reach(start, oid) as ( \
        select oid, oid from pg_roles where $1::oid is null or oid = $1 \
        union \
        select reach.start, m.roleid from pg_auth_members m join reach on m.member = reach.oid \
    ), powers(start, power) as ( \
        select reach.start, min(case when r.rolsuper then 'SUPERUSER' \
            when r.rolcreaterole then 'CREATEROLE' \
            when r.rolcreatedb then 'CREATEDB' \
            when r.rolreplication then 'REPLICATION' \
            when r.rolbypassrls then 'BYPASSRLS' \
            when r.rolname in ('pg_execute_server_program', 'pg_read_server_files', \
                'pg_write_server_files') then r.rolname::text end) \
        from reach join pg_roles r on r.oid = reach.oid group by reach.start \
    ), judged as ( \
        select r.oid, r.rolname::text as name, shobj_description(r.oid, 'pg_authid') as comment, \
            case when starts_with(r.rolname::text, 'pg_') then 'pg_' \
                when r.rolcanlogin then 'LOGIN' else powers.power end as refused, \
            me.rolsuper or (me.rolcreaterole \
                and current_setting('server_version_num')::int < 160000) \
                or pg_has_role(me.oid, r.oid, 'MEMBER WITH ADMIN OPTION') as ours_to_give \
        from pg_roles r join powers on powers.start = r.oid \
        join pg_roles me on me.rolname = session_user \
    ) \
    select oid, name, comment, refused from judged \
    where $1::oid is not null or (refused is null and ours_to_give \
        and ($2::text is null or strpos(lower(name), lower($2)) > 0 \
            or strpos(lower(coalesce(comment, '')), lower($2)) > 0)) \
    order by name limit $3";

/// Accounts by name, whatever its case: their oid, name, whether they may log in, whether they are a
/// group of others, whether they are too mighty to be a person's or our own, and whether they are
/// members of the role `$3`.
pub(super) const ACCOUNTS: &str = "select r.oid, r.rolname::text, r.rolcanlogin, \
        not r.rolcanlogin and exists (select from pg_auth_members m where m.roleid = r.oid), \
        r.rolsuper or r.rolcreaterole or r.rolreplication or r.rolbypassrls \
            or r.rolname = session_user, \
        exists (select from pg_auth_members m where m.roleid = $3 and m.member = r.oid) \
    from pg_roles r \
    where (r.rolname::text = any($1) or lower(r.rolname) = any($2)) \
        and not starts_with(r.rolname::text, 'pg_')";

/// Which of these accounts are members of a role of this oid and name.
pub(super) const MEMBERS: &str = "select m.member \
    from pg_auth_members m join pg_roles r on r.oid = m.roleid \
    where r.oid = $1 and r.rolname::text = $2 and m.member = any($3)";

/// The members of a role of this oid and name, at most so many, ourselves not among them.
pub(super) const HOLDERS: &str = "select a.rolname::text \
    from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles a on a.oid = m.member \
    where r.oid = $1 and r.rolname::text = $2 and a.rolname <> session_user \
    group by a.rolname order by a.rolname limit $3";

/// A name as it stands in a command.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_name_is_one_name_whatever_it_contains() {
        assert_eq!(quoted("reporting"), "\"reporting\"");
        assert_eq!(quoted("Order Desk"), "\"Order Desk\"");
        assert_eq!(quoted("a\", \"b"), "\"a\"\", \"\"b\"");
        assert_eq!(quoted("x\"; drop role y; --"), "\"x\"\"; drop role y; --\"");
    }
}
