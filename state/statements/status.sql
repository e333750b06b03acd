-- What status, the metrics and the lineage read, and what a run shows

-- read_lock_holder: the run that holds the lock, and since when
select activity.application_name, activity.xact_start
from pg_locks as locks
inner join pg_stat_activity as activity using (pid)
where
    locks.locktype = 'advisory'
    and locks.database = (select oid from pg_database where datname = current_database())
    and locks.classid = (7075707461793139 >> 32)::oid
    and locks.objid = (7075707461793139 & 4294967295)::oid
    and locks.objsubid = 1
    and locks.granted;

-- read_last_runs: the last two runs; the later one may not have ended
select
    run_id, command, started_at, ended_at, host, pid, exit_code, error,
    files_counted, files_unchanged, files_failed, files_forgotten, events, rejected, seconds, bytes
from state.runs
order by run_id desc
limit 2;

-- read_newest_restatements: the last days whose totals changed after they had been published
select
    run_id, restated_at, date, files, file_count, displays_before, displays_after, clicks_before, clicks_after,
    sessions_before, sessions_after, session_seconds_before, session_seconds_after
from public.restatements
order by restated_at desc, date desc
limit %(most)s;

-- sum_runs: what all runs that ingested, pruned or forgot files did, as far as they recorded it
select
    coalesce(sum(files_counted), 0)::bigint as files_counted,
    coalesce(sum(files_unchanged), 0)::bigint as files_unchanged,
    coalesce(sum(files_failed), 0)::bigint as files_failed,
    coalesce(sum(files_forgotten), 0)::bigint as files_forgotten,
    coalesce(sum(events), 0)::bigint as events,
    coalesce(sum(bytes), 0)::bigint as bytes,
    (
        select coalesce(jsonb_object_agg(reason, lines), '{}')
        from (
            select reason, sum(lines::bigint) as lines
            from state.runs
            cross join lateral jsonb_each_text(reasons) as counts (reason, lines)
            where command <> 'verify'
            group by reason
        ) as sums
    ) as reasons
from state.runs
where command <> 'verify';

-- read_health: the numbers that operators watch: times in seconds since 1970-01-01 UTC, and the number of failed files
select
    (
        select extract(epoch from max(ended_at))::double precision
        from state.runs
        where exit_code = 0 and command not in ('verify', 'forget')
    ) as succeeded_at,
    (select max(newest_at) from state.lake_files) / 1e6::double precision as newest_at,
    (select count(*) from state.lake_files where error is not null) as failed_files;

-- sum_files: what the ingested versions hold
select
    count(fingerprint) as files_counted,
    coalesce(sum(events), 0)::bigint as events,
    coalesce(sum(rejected), 0)::bigint as rejected,
    coalesce(sum(size), 0)::bigint as bytes
from state.lake_files;

-- measure_tables: the sizes of both BI tables, of the state and of the whole database, in bytes
select
    pg_total_relation_size('public.article_performance') as article_performance,
    pg_total_relation_size('public.user_performance') as user_performance,
    (
        select sum(pg_total_relation_size(oid))::bigint
        from pg_class
        where relnamespace = 'state'::regnamespace and relkind = 'r'
    ) as state,
    pg_database_size(current_database()) as database;

-- count_forgotten_users: how many users were forgotten
select count(*) as users_forgotten from state.forgotten_users;

-- read_columns: the columns of the BI tables
select
    c.relname as "table", a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
    col_description(a.attrelid, a.attnum) as comment
from pg_catalog.pg_class c
join pg_catalog.pg_attribute a on a.attrelid = c.oid
where c.oid in (to_regclass('public.article_performance'), to_regclass('public.user_performance'))
and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum

-- read_first_article_performance: the first rows, which a run shows
select article_id, date, title, category, displays, clicks, cumulative_clicks, click_through_rate
from public.article_performance
order by article_id, date
limit 5;

-- read_first_user_performance: the first rows, which a run shows
select user_id, date, sessions, session_seconds, average_session_seconds, displays, clicks, click_through_rate
from public.user_performance
order by date, user_id
limit 5;
