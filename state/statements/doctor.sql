-- What doctor reads and tries

-- measure_database: the size of the whole database, in bytes
select pg_database_size(current_database()) as bytes;

-- read_rights: which rights of those that a run needs the present role has, and the rights of the role bi, if it exists
with ours as (
    select oid, relname, relnamespace, pg_has_role(relowner, 'usage') as is_owned
    from pg_class
    where
        (relnamespace = to_regnamespace('state') and relkind in ('r', 'v'))
        or oid in (to_regclass('public.article_performance'), to_regclass('public.user_performance'))
),

bi as (
    select acl.grantee as oid
    from pg_database
    cross join lateral aclexplode(datacl) as acl
    where datname = current_database() and acl.grantee = to_regrole('bi')
    limit 1
)

select
    current_user::text as role,
    has_database_privilege(current_database(), 'temporary') as makes_temporary,
    coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'create'), false) as makes_in_public,
    coalesce(
        has_schema_privilege(to_regnamespace('state')::oid, 'create'), has_database_privilege(current_database(), 'create')
    ) as makes_in_state,
    not exists (select from ours where not is_owned) as owns_all,
    exists (select from bi) as has_bi,
    coalesce((select has_schema_privilege(oid, to_regnamespace('state')::oid, 'usage') from bi), false) as bi_sees_state,
    array(
        select relname::text
        from pg_class
        cross join bi
        where
            relnamespace = to_regnamespace('public')
            and relkind in ('r', 'v')
            and pg_has_role(relowner, 'usage')
            and not (
                has_table_privilege(bi.oid, pg_class.oid, 'select')
                and has_schema_privilege(bi.oid, relnamespace, 'usage')
            )
        order by relname
    ) as bi_unread,
    -- a policy for bi that lets all rows through hides no row
    array(
        select relname::text
        from pg_class
        cross join bi
        inner join pg_roles on pg_roles.oid = bi.oid
        where
            relnamespace = to_regnamespace('public')
            and relrowsecurity
            and not (rolsuper or rolbypassrls)
            and pg_has_role(relowner, 'usage')
            and (
                exists (select from pg_policy where polrelid = pg_class.oid and polcmd in ('r', '*') and not polpermissive)
                or not exists (
                    select from pg_policy
                    where
                        polrelid = pg_class.oid
                        and polcmd in ('r', '*')
                        and polpermissive
                        and pg_get_expr(polqual, polrelid) = 'true'
                        and (polroles = array[0::oid] or bi.oid = any(polroles))
                )
            )
        order by relname
    ) as bi_misses;

-- read_writability: whether this transaction may write, which is impossible on a standby
select not current_setting('transaction_read_only')::boolean as writes, pg_is_in_recovery() as is_standby;

-- limit_lock_waits: wait only shortly for any lock until this transaction ends
set local lock_timeout = '2s';

-- try_writes: write to each table as a run does, but to no row, which still checks rights, policies and publications
select last_value from state.runs_run_id_seq;
insert into state.runs (host, pid) select host, pid from state.runs where false;
update state.runs set pid = pid where false;
insert into state.lake (url, run_id) select url, run_id from state.lake where false;
update state.lake set url = url where false;
insert into state.lake_files (file_id, key) select file_id, key from state.lake_files where false;
update state.lake_files set key = key where false;
delete from state.lake_files where false;
insert into state.file_article_days select * from state.file_article_days where false;
delete from state.file_article_days where false;
insert into state.file_user_days select * from state.file_user_days where false;
delete from state.file_user_days where false;
insert into state.file_sessions select * from state.file_sessions where false;
delete from state.file_sessions where false;
insert into state.file_rejected_lines select * from state.file_rejected_lines where false;
delete from state.file_rejected_lines where false;
insert into state.articles select * from state.articles where false;
update state.articles set title_at = title_at where false;
delete from state.articles where false;
insert into state.category_days select * from state.category_days where false;
delete from state.category_days where false;
insert into state.day_totals select * from state.day_totals where false;
delete from state.day_totals where false;
insert into state.restatements (run_id, date) select run_id, date from state.restatements where false;
update state.restatements set restated_at = restated_at where false;
insert into state.restating_files select * from state.restating_files where false;
insert into state.hash_key (inner_key, outer_key) select inner_key, outer_key from state.hash_key where false;
insert into state.forgotten_users (user_hash) select user_hash from state.forgotten_users where false;
insert into public.article_performance (article_id, date, displays, clicks, cumulative_clicks) select article_id, date, displays, clicks, cumulative_clicks from public.article_performance where false;
update public.article_performance set clicks = clicks where false;
delete from public.article_performance where false;
insert into public.user_performance (user_id, date, sessions, session_seconds, displays, clicks) select user_id, date, sessions, session_seconds, displays, clicks from public.user_performance where false;
update public.user_performance set clicks = clicks where false;
delete from public.user_performance where false;
