-- Every statement of the program, each under a line "-- name: what it does". Parameters have names; `epoch`, the
-- microseconds from the year 1 to 1970, is passed to every statement (`state/queries.py`).
-- Tables are found along the search_path that `apply_settings` sets, so the same statements also ingest into the
-- comparison tables, which have the same names. Where a statement reads a table that grows with history, a lateral
-- subquery that the planner cannot pull up limits it to one index look-up for each row that changed.

-- apply_settings: set parameters, for this transaction only, so that a pooler can hand the connection on. The locks of a
-- program that was killed, or whose host was lost, are released soon
select
    set_config('search_path', %(search_path)s, true),
    set_config('client_min_messages', 'warning', true),
    set_config('idle_in_transaction_session_timeout', '0', true),
    -- only since PostgreSQL 17
    case when current_setting('transaction_timeout', true) is not null then set_config('transaction_timeout', '0', true) end,
    -- compiling takes longer than these statements, and estimates for tables without statistics would switch it on
    set_config('jit', 'off', true),
    -- the statements are made for look-ups
    set_config('enable_nestloop', 'on', true),
    set_config('enable_indexscan', 'on', true),
    set_config('enable_indexonlyscan', 'on', true),
    set_config('enable_bitmapscan', 'on', true),
    -- if a policy hides rows, raise an error instead of summing the others
    set_config('row_security', 'off', true),
    -- psycopg2 reads dates in this form; numbers come with all their digits
    set_config('datestyle', 'ISO', true),
    set_config('extra_float_digits', '1', true),
    -- whatever the role's default is, what a run reports as counted must survive a crash of the server
    set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true),
    set_config('tcp_keepalives_idle', '30', true),
    set_config('tcp_keepalives_interval', '10', true),
    set_config('tcp_keepalives_count', '3', true),
    -- servers on Windows cannot check their client while they work
    set_config(
        'client_connection_check_interval',
        case current_setting('dynamic_shared_memory_type') when 'windows' then '0' else '1s' end,
        true
    );

-- read_server: what the program requires of the server
select
    current_setting('server_version_num')::integer as version,
    current_setting('server_encoding') as encoding,
    current_setting('server_version') as version_text;

-- try_lock: take the lock of this database until the transaction ends, or return false
select pg_try_advisory_xact_lock(7075707461793139) as locked;

-- has_schema: whether this database was ever used
select to_regclass('state.steps') is not null as has_schema;

-- read_step: the step of the last migration that was applied
select max(step) as step from state.steps;

-- record_step: record that a migration was applied
insert into state.steps (step) values (%(step)s);

-- name_lock_holder: show other runs which process holds the lock, while the transaction is open
select set_config('application_name', %(holder)s, true) as name;

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

-- read_lake: the lake that this database holds, the definition of its lines, whether any file was counted, and the run
-- that may write
select
    url, run_id, definition, exists (select from state.lake_files where fingerprint is not null) as has_counted
from state.lake;

-- advance_run_numbers: continue after the highest number, as a restore of the tables alone leaves the sequence behind
select setval('state.runs_run_id_seq', present.most)
from (select max(run_id) as most from state.runs) as present
cross join state.runs_run_id_seq as drawn
where present.most > drawn.last_value or (present.most = drawn.last_value and not drawn.is_called);

-- begin_run: record a new run
insert into state.runs (host, pid, command) values (%(host)s, %(pid)s, %(command)s) returning run_id;

-- set_fence: let only this run write from now on, and record the lake; a definition that is recorded stays
insert into state.lake (url, run_id, definition) values (%(url)s, %(run_id)s, %(definition)s)
on conflict (only_one) do update set url = excluded.url, run_id = excluded.run_id;

-- record_definition: the definition under which the lines of the lake are counted now
update state.lake set definition = %(definition)s;

-- check_fence: one row only while no other run took over; it makes other runs wait until the transaction ends
select run_id from state.lake where run_id = %(run_id)s for update;

-- record_end: how a run ended; record_progress records what it did
update state.runs set ended_at = now(), exit_code = %(exit_code)s, error = %(error)s where run_id = %(run_id)s;

-- record_progress: what a run did until now
update state.runs
set
    files_counted = %(files_counted)s,
    files_unchanged = %(files_unchanged)s,
    files_failed = %(files_failed)s,
    files_forgotten = %(files_forgotten)s,
    events = %(events)s,
    rejected = %(rejected)s,
    seconds = %(seconds)s,
    bytes = %(bytes)s,
    reasons = %(reasons)s
where run_id = %(run_id)s;

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

-- read_last_restatements: the days that the last run which changed any numbers restated, the latest first, with sums
-- over all of them; a watch may have restated days after a run that began later
with newest as (
    select run_id, restated_at
    from state.restatements
    where is_restated
    order by restated_at desc, date desc
    limit 1
),

last as (
    select
        run_id,
        count(*) as days,
        min(date) as first_date,
        max(date) as last_date,
        sum(displays_after - displays_before)::bigint as more_displays,
        sum(clicks_after - clicks_before)::bigint as more_clicks,
        sum(sessions_after - sessions_before)::bigint as more_sessions
    from state.restatements
    where run_id = (select run_id from newest) and is_restated
    and not exists (
        select from state.restatements as later
        cross join newest
        where
            later.run_id = (select max(run_id) from state.restatements)
            and later.run_id <> newest.run_id
            and later.restated_at > newest.restated_at
    )
    group by run_id
)

select
    restated.date, restated.files, restated.file_count,
    restated.displays_before, restated.displays_after, restated.clicks_before, restated.clicks_after,
    restated.sessions_before, restated.sessions_after,
    restated.session_seconds_before, restated.session_seconds_after,
    last.days, last.first_date, last.last_date, last.more_displays, last.more_clicks, last.more_sessions
from last
cross join lateral (
    select * from public.restatements where run_id = last.run_id order by date desc limit %(most)s
) as restated
order by restated.date desc;

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

-- read_files: the checkpoint
select file_id, key, fingerprint, error from state.lake_files;

-- read_some_files: the checkpoint of some files
select file_id, key, fingerprint, error from state.lake_files where key = any(%(keys)s);

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

-- read_article_rows: the rows of an article, on one day or on all days
select date, displays, clicks, cumulative_clicks, click_through_rate
from public.article_performance
where article_id = %(article_id)s and (%(day)s::date is null or date = %(day)s)
order by date;

-- read_article_parts: what each file contributes to those rows
select contribution.date, files.key as file, contribution.displays, contribution.clicks
from state.file_article_days as contribution
inner join state.lake_files as files using (file_id)
where
    hashtextextended(contribution.article_id, 0) = hashtextextended(%(article_id)s, 0)
    and contribution.article_id = %(article_id)s
    and (%(day)s::date is null or contribution.date = %(day)s)
order by contribution.date, files.key;

-- read_article_texts: the title and the category of an article, and the files that they are from
select texts.name, texts.text, files.key as file, texts.at
from state.articles as latest
inner join state.file_article_days as contribution
    on
        hashtextextended(contribution.article_id, 0) = hashtextextended(latest.article_id, 0)
        and contribution.article_id = latest.article_id
inner join state.lake_files as files using (file_id)
cross join lateral (
    values
    ('title', latest.title, latest.title_at, contribution.title, contribution.title_at),
    ('category', latest.category, latest.category_at, contribution.category, contribution.category_at)
) as texts (name, text, at, contributed_text, contributed_at)
where latest.article_id = %(article_id)s and (texts.text, texts.at) = (texts.contributed_text, texts.contributed_at)
order by texts.name desc, files.key;

-- read_user_rows: the rows of a user, on one day or on all days
select date, sessions, session_seconds, average_session_seconds, displays, clicks, click_through_rate
from public.user_performance
where user_id = %(user_id)s and (%(day)s::date is null or date = %(day)s)
order by date;

-- read_user_parts: what each file contributes to the displays and clicks of those rows
select contribution.date, files.key as file, contribution.displays, contribution.clicks
from state.file_user_days as contribution
inner join state.lake_files as files using (file_id)
where contribution.user_id = %(user_id)s and (%(day)s::date is null or contribution.date = %(day)s)
order by contribution.date, files.key;

-- read_user_sessions: which files hold parts of a user's sessions that began on one day, or on any day
with parts as (
    select
        contribution.session_id,
        files.key as file,
        contribution.events,
        state.find_session_time(contribution.first_at) as first_at,
        contribution.last_at,
        min(contribution.first_at) over (partition by contribution.session_id) as session_first_at,
        max(contribution.last_at) over (partition by contribution.session_id) as session_last_at
    from state.file_sessions as contribution
    inner join state.lake_files as files using (file_id)
    where contribution.user_id = %(user_id)s
),

days as (
    select *, state.find_session_day(session_first_at) as date from parts
)

select
    date,
    session_id,
    file,
    events,
    first_at,
    last_at,
    (session_last_at - state.find_session_time(session_first_at)) * 0.000001 as session_seconds
from days
where %(day)s::date is null or date = %(day)s
order by session_first_at, session_id, first_at, file;

-- read_forgotten_at: when a user was forgotten; no row if the user was not
select forgotten_users.forgotten_at
from state.forgotten_users
cross join state.hash_key
where
    forgotten_users.user_hash
    = state.hash_user(convert_to(%(user_id)s, 'UTF8'), hash_key.inner_key, hash_key.outer_key);

-- measure_users: what forget_users would return for some users
select
    cardinality(%(user_ids)s::text[]) as users,
    cardinality(%(user_ids)s::text[]) - (
        select count(*)
        from unnest(%(user_ids)s::text[]) as given (user_id)
        cross join state.hash_key
        inner join state.forgotten_users
            on
                forgotten_users.user_hash
                = state.hash_user(convert_to(given.user_id, 'UTF8'), hash_key.inner_key, hash_key.outer_key)
    ) as users_new,
    count(distinct user_id) as users_found,
    count(*) as rows,
    coalesce(sum(sessions), 0)::bigint as sessions,
    (
        select count(distinct (lines.file_id, lines.line_number))
        from state.file_rejected_lines as lines
        cross join state.find_ids(state.drop_cut_field(lines.raw)) as id
        where id in (select convert_to(user_id, 'UTF8') from unnest(%(user_ids)s::text[]) as given (user_id))
    ) as rejected_lines
from public.user_performance
where user_id in (select user_id from unnest(%(user_ids)s::text[]) as given (user_id));

-- count_forgotten_users: how many users were forgotten
select count(*) as users_forgotten from state.forgotten_users;

-- read_rejected_lines: the rejected lines of one file, or of all files
select key, line_number, reason, raw
from state.rejected_lines
where %(key)s::text is null or key = %(key)s
order by key, line_number;

-- find_files: the id, content hash and last commit of some files
select found.key, found.file_id, found.content_hash, found.commit_id
from unnest(%(keys)s::text[]) as keys (key)
cross join lateral (
    select key, file_id, content_hash, commit_id from lake_files where key = keys.key offset 0
) as found;

-- next_file_id: the id of the next file, which only the run that holds the lock asks for, and whether any user was
-- forgotten
select coalesce(max(file_id), 0) + 1 as file_id, exists (select from forgotten_users) as has_forgotten from lake_files;

-- begin_turn: the versions from this file id on are those of the last run, or of the last turn of a watch
update lake set first_new_file_id = %(first_file_id)s;

-- record_files: the checkpoints of the versions that were ingested, in place of the former ones
delete from lake_files where file_id = any(%(known)s);
insert into lake_files
(
    file_id, key, fingerprint, content_hash, size, lines, events, rejected, empty, newest_at, event_days, counted_at,
    commit_id
)
select
    files.file_id, files.key, files.fingerprint, files.content_hash, files.size,
    files.lines, files.events, files.rejected, files.empty, files.newest_at, files.event_days, now(), %(commit_id)s
from unnest(
    %(file_id)s::integer[], %(key)s::text[], %(fingerprint)s::text[], %(content_hash)s::bytea[], %(size)s::bigint[],
    %(lines)s::bigint[], %(events)s::bigint[], %(rejected)s::bigint[], %(empty)s::bigint[], %(newest_at)s::bigint[],
    %(event_days)s::jsonb[]
) as files (file_id, key, fingerprint, content_hash, size, lines, events, rejected, empty, newest_at, event_days);

-- record_same: a file's new fingerprint, as its content is the same
update lake_files
set
    fingerprint = %(fingerprint)s,
    size = %(size)s,
    newest_at = %(newest_at)s, -- older programs did not record it, nor the next one
    event_days = %(event_days)s,
    commit_id = %(commit_id)s,
    error = null,
    failed_at = null
where file_id = %(file_id)s;

-- record_failed: a file that was never ingested, and why its present version cannot be read
insert into lake_files (file_id, key, error, failed_at)
select coalesce(max(file_id), 0) + 1, %(key)s, %(error)s, now() from lake_files;

-- record_error: why the present version of a known file cannot be read
update lake_files set error = %(error)s, failed_at = now() where file_id = %(file_id)s;

-- clear_error: delete an error, as the version that could not be read is no longer in the lake
update lake_files set error = null, failed_at = null where file_id = %(file_id)s;

-- forget_files: delete checkpoints, as if the files had never existed
delete from lake_files where file_id = any(%(file_ids)s);

-- has_new: whether this session, which may come from a pooler, has the tables that `create_new` makes
select obj_description(to_regclass('pg_temp.new_article_days'), 'pg_class') is not distinct from %(made_by)s as has_new;

-- create_new: temporary tables for what a batch brings and changes. They stay in the session, empty, since making them
-- takes longer than ingesting a small file. The tables new_* take the rows of files that came in several partials or
-- were staged, with one or more rows for each entry. The tables old_* take what was retracted. In changed_articles, a
-- title or category starts with its time in 18 digits, so that the greatest is the latest
drop table if exists
    pg_temp.new_article_days, pg_temp.new_user_days, pg_temp.new_sessions, pg_temp.new_rejected_lines,
    pg_temp.old_article_days, pg_temp.old_user_days, pg_temp.old_sessions, pg_temp.remaining_texts,
    pg_temp.changed_article_days, pg_temp.changed_articles, pg_temp.changed_sessions, pg_temp.kept_sessions,
    pg_temp.changed_days cascade;
create temporary table pg_temp.new_article_days (
    file_id integer, article_id text collate "C", date date, displays integer, clicks integer,
    title_at bigint, category_at bigint, title text collate "C", category text collate "C"
) on commit delete rows;
create temporary table pg_temp.new_user_days (
    file_id integer, user_id text collate "C", date date, displays integer, clicks integer
) on commit delete rows;
create temporary table pg_temp.new_sessions (
    file_id integer, user_id text collate "C", session_id text collate "C", first_at bigint, last_at bigint, events integer
) on commit delete rows;
create temporary table pg_temp.new_rejected_lines (
    file_id integer, chunk bigint, line bigint, reason text, raw bytea
) on commit delete rows;
create temporary table pg_temp.old_article_days (
    file_id integer, article_id text collate "C", date date, displays integer, clicks integer,
    title_at bigint, category_at bigint, title text collate "C", category text collate "C"
) on commit delete rows;
create temporary table pg_temp.old_user_days (
    user_id text collate "C", date date, displays integer, clicks integer
) on commit delete rows;
create temporary table pg_temp.old_sessions (
    file_id integer, user_id text collate "C", session_id text collate "C", first_at bigint, last_at bigint
) on commit delete rows;
create temporary table pg_temp.remaining_texts (
    article_id text collate "C", title text collate "C", category text collate "C"
) on commit delete rows;
create temporary table pg_temp.changed_article_days (
    article_id text collate "C", date date, displays bigint, clicks bigint
) on commit delete rows;
create temporary table pg_temp.changed_articles (
    article_id text collate "C", from_date date, last_date date, clicks_before bigint, clicks_after bigint,
    title text collate "C", category text collate "C", old_category text collate "C",
    is_known boolean, is_appended boolean
) on commit delete rows;
create temporary table pg_temp.changed_sessions (
    user_id text collate "C", session_id text collate "C",
    new_first bigint, new_last bigint, old_first bigint, old_last bigint
) on commit delete rows;
create temporary table pg_temp.kept_sessions (
    user_id text collate "C", session_id text collate "C", first_at bigint, last_at bigint
) on commit delete rows;
create temporary table pg_temp.changed_days (
    date date, displays bigint, clicks bigint, sessions bigint, microseconds numeric, is_published boolean
) on commit delete rows;
-- each session that changes, on the day on which it began before, and on the day on which it begins now
create temporary view pg_temp.moved_sessions as
select
    wholes.user_id,
    wholes.session_id,
    state.find_session_day(moved.first_at) as date,
    moved.sign,
    moved.last_at - state.find_session_time(moved.first_at) as microseconds
from (
    select
        spans.user_id,
        spans.session_id,
        least(spans.old_first, kept.first_at) as before_first,
        greatest(spans.old_last, kept.last_at) as before_last,
        least(spans.new_first, kept.first_at) as after_first,
        greatest(spans.new_last, kept.last_at) as after_last
    from pg_temp.changed_sessions as spans
    left join pg_temp.kept_sessions as kept using (user_id, session_id)
) as wholes
cross join lateral (
    values (before_first, before_last, -1), (after_first, after_last, 1)
) as moved (first_at, last_at, sign)
where
    moved.first_at is not null
    and (before_first, before_last) is distinct from (after_first, after_last);
comment on table pg_temp.new_article_days is %(made_by)s;

-- discard_temporary: drop the session's temporary tables: after a transaction that failed they are empty, but as large
-- as before
discard temp;

-- clear_new: empty the temporary tables before the next batch of the same transaction; making them again would take
-- more locks
truncate
    pg_temp.new_article_days, pg_temp.new_user_days, pg_temp.new_sessions, pg_temp.new_rejected_lines,
    pg_temp.old_article_days, pg_temp.old_user_days, pg_temp.old_sessions, pg_temp.remaining_texts,
    pg_temp.changed_article_days, pg_temp.changed_articles, pg_temp.changed_sessions, pg_temp.kept_sessions,
    pg_temp.changed_days;

-- copy_article_days: rows of files that came in one partial
copy file_article_days (file_id, article_id, date, displays, clicks, title_at, category_at, title, category) from stdin;

-- copy_user_days: rows of files that came in one partial
copy file_user_days (file_id, user_id, date, displays, clicks) from stdin;

-- copy_sessions: rows of files that came in one partial
copy file_sessions (file_id, user_id, session_id, first_at, last_at, events) from stdin;

-- copy_new_article_days: rows from one partial of several
copy pg_temp.new_article_days from stdin;

-- copy_new_user_days: rows from one partial of several
copy pg_temp.new_user_days from stdin;

-- copy_new_sessions: rows from one partial of several
copy pg_temp.new_sessions from stdin;

-- copy_new_rejected_lines: rows from any partial
copy pg_temp.new_rejected_lines from stdin;

-- has_staged: whether Spark staged any rows since the tables were last cleared, even if that was interrupted
select
    pg_relation_size('state.staged_partials')
    + pg_relation_size('state.staged_article_days')
    + pg_relation_size('state.staged_user_days')
    + pg_relation_size('state.staged_sessions')
    + pg_relation_size('state.staged_rejected_lines') > 0 as has_staged;

-- clear_staged: delete staged rows that no run took, unless a session that hangs still holds them
set local lock_timeout = '2s';
truncate
    state.staged_partials, state.staged_article_days, state.staged_user_days, state.staged_sessions,
    state.staged_rejected_lines;

-- name_partial: the name of the partial whose rows this transaction stages
select set_config('event_lake.partial_id', %(partial_id)s, true);

-- stage_article_days: rows from a partial
copy state.staged_article_days (article_id, date, displays, clicks, title_at, category_at, title, category) from stdin;

-- stage_user_days: rows from a partial
copy state.staged_user_days (user_id, date, displays, clicks) from stdin;

-- stage_sessions: rows from a partial
copy state.staged_sessions (user_id, session_id, first_at, last_at, events) from stdin;

-- stage_rejected_lines: rows from a partial
copy state.staged_rejected_lines (chunk, line, reason, raw) from stdin;

-- stage_partial: record that all rows were staged
insert into state.staged_partials default values;

-- take_partial: return a row if everything is still staged: a server that crashes empties the tables
delete from state.staged_partials where partial_id = %(partial_id)s returning partial_id;

-- take_staged: move staged rows to the tables new_*, as if a partial of the file had been copied there
with taken as (
    delete from state.staged_article_days
    where partial_id = %(partial_id)s
    returning article_id, date, displays, clicks, title_at, category_at, title, category
)

insert into pg_temp.new_article_days
(file_id, article_id, date, displays, clicks, title_at, category_at, title, category)
select %(file_id)s, article_id, date, displays, clicks, title_at, category_at, title, category from taken;
with taken as (
    delete from state.staged_user_days where partial_id = %(partial_id)s returning user_id, date, displays, clicks
)

insert into pg_temp.new_user_days (file_id, user_id, date, displays, clicks)
select %(file_id)s, user_id, date, displays, clicks from taken;
with taken as (
    delete from state.staged_sessions
    where partial_id = %(partial_id)s
    returning user_id, session_id, first_at, last_at, events
)

insert into pg_temp.new_sessions (file_id, user_id, session_id, first_at, last_at, events)
select %(file_id)s, user_id, session_id, first_at, last_at, events from taken;
with taken as (
    delete from state.staged_rejected_lines where partial_id = %(partial_id)s returning chunk, line, reason, raw
)

insert into pg_temp.new_rejected_lines (file_id, chunk, line, reason, raw)
select %(file_id)s, chunk, line, reason, raw from taken;

-- drop_forgotten: delete the rows of forgotten users before they reach a table that is logged, and empty the rejected
-- lines that hold the id of one
with forgotten as materialized (
    select users.user_id
    from (select user_id from pg_temp.new_user_days union select user_id from pg_temp.new_sessions) as users
    cross join hash_key
    cross join lateral (
        select from forgotten_users
        where user_hash = hash_user(convert_to(users.user_id, 'UTF8'), hash_key.inner_key, hash_key.outer_key)
        offset 0
    ) as found
),

days as (
    delete from pg_temp.new_user_days where user_id in (select user_id from forgotten)
)

delete from pg_temp.new_sessions where user_id in (select user_id from forgotten);
update pg_temp.new_rejected_lines set raw = drop_cut_field(raw) where length(raw) >= 1000;
update pg_temp.new_rejected_lines set raw = ''
where (file_id, chunk, line) in (
    select lines.file_id, lines.chunk, lines.line
    from pg_temp.new_rejected_lines as lines
    cross join find_ids(lines.raw) as id
    cross join hash_key
    cross join lateral (
        select from forgotten_users where user_hash = hash_user(id, hash_key.inner_key, hash_key.outer_key) offset 0
    ) as found
);

-- merge_new: merge the partials of files, in the order of the indexes
insert into file_article_days
(file_id, article_id, date, displays, clicks, title_at, category_at, title, category)
select
    file_id,
    article_id,
    date,
    displays,
    clicks,
    left(title, 18)::bigint - %(epoch)s,
    left(category, 18)::bigint - %(epoch)s,
    substr(title, 19),
    substr(category, 19)
from (
    select
        file_id,
        article_id,
        date,
        sum(displays) as displays,
        sum(clicks) as clicks,
        -- only the latest of all days, however many partials the file came in
        case when max(stamped.title) = max(max(stamped.title)) over of_article then max(stamped.title) end as title,
        case when max(stamped.category) = max(max(stamped.category)) over of_article then max(stamped.category) end as category
    from pg_temp.new_article_days
    cross join lateral (
        select
            lpad((title_at + %(epoch)s)::text, 18, '0') || new_article_days.title as title,
            lpad((category_at + %(epoch)s)::text, 18, '0') || new_article_days.category as category
    ) as stamped
    group by file_id, article_id, date
    window of_article as (partition by file_id, article_id)
) as merged
order by hashtextextended(article_id, 0);
insert into file_user_days (file_id, user_id, date, displays, clicks)
select file_id, user_id, date, sum(displays), sum(clicks) from pg_temp.new_user_days group by file_id, user_id, date;
insert into file_sessions (file_id, user_id, session_id, first_at, last_at, events)
select file_id, user_id, session_id, min(first_at), max(last_at), sum(events)
from pg_temp.new_sessions
group by file_id, user_id, session_id
order by hashtextextended(session_id, hashtextextended(user_id, 0));

-- number_rejected_lines: number a chunk's lines after those of the chunks before it
insert into file_rejected_lines (file_id, line_number, reason, raw)
select file_id, chunks.lines_before + lines.line + 1, lines.reason, lines.raw
from pg_temp.new_rejected_lines as lines
inner join unnest(
    %(file_id)s::integer[], %(chunk)s::bigint[], %(lines_before)s::bigint[]
) as chunks (file_id, chunk, lines_before) using (file_id, chunk);

-- copy_kept_files: what files contributed when they were ingested, as they cannot be read now; they get new ids
insert into file_article_days (file_id, article_id, date, displays, clicks, title_at, category_at, title, category)
select kept.file_id, article_id, date, displays, clicks, title_at, category_at, title, category
from unnest(%(known)s::integer[], %(file_id)s::integer[]) as kept (known, file_id)
inner join state.file_article_days as days on days.file_id = kept.known;
insert into file_user_days (file_id, user_id, date, displays, clicks)
select kept.file_id, user_id, date, displays, clicks
from unnest(%(known)s::integer[], %(file_id)s::integer[]) as kept (known, file_id)
inner join state.file_user_days as days on days.file_id = kept.known;
insert into file_sessions (file_id, user_id, session_id, first_at, last_at, events)
select kept.file_id, user_id, session_id, first_at, last_at, events
from unnest(%(known)s::integer[], %(file_id)s::integer[]) as kept (known, file_id)
inner join state.file_sessions as sessions on sessions.file_id = kept.known;
insert into file_rejected_lines (file_id, line_number, reason, raw)
select kept.file_id, line_number, reason, raw
from unnest(%(known)s::integer[], %(file_id)s::integer[]) as kept (known, file_id)
inner join state.file_rejected_lines as lines on lines.file_id = kept.known;
insert into lake_files
(
    file_id, key, fingerprint, content_hash, size, lines, events, rejected, empty, newest_at, event_days, counted_at,
    commit_id, error, failed_at
)
select
    kept.file_id, key, fingerprint, content_hash, size, lines, events, rejected, empty, newest_at, event_days, counted_at,
    commit_id,
    kept.error, case when kept.error is not null then now() end
from unnest(%(known)s::integer[], %(file_id)s::integer[], %(error)s::text[]) as kept (known, file_id, error)
inner join state.lake_files as files on files.file_id = kept.known;

-- retract: withdraw what files contributed; later statements bring down the sums
with retracted as (
    delete from file_article_days
    where file_id = any(%(file_ids)s)
    returning file_id, article_id, date, displays, clicks, title_at, category_at, title, category
)

insert into pg_temp.old_article_days
(file_id, article_id, date, displays, clicks, title_at, category_at, title, category)
select file_id, article_id, date, displays, clicks, title_at, category_at, title, category from retracted;
with retracted as (
    delete from file_user_days where file_id = any(%(file_ids)s) returning user_id, date, displays, clicks
)

insert into pg_temp.old_user_days (user_id, date, displays, clicks)
select user_id, date, displays, clicks from retracted;
with retracted as (
    delete from file_sessions where file_id = any(%(file_ids)s) returning file_id, user_id, session_id, first_at, last_at
)

insert into pg_temp.old_sessions (file_id, user_id, session_id, first_at, last_at)
select file_id, user_id, session_id, first_at, last_at from retracted;
delete from file_rejected_lines where file_id = any(%(file_ids)s);

-- create_given_users: the ids of users to forget. They come by COPY, so that no statement holds them, which the server
-- may log
create temporary table pg_temp.given_users (user_id text collate "C") on commit drop;

-- copy_given_users: the ids
copy pg_temp.given_users (user_id) from stdin;

-- forget_users: withdraw what the given users contributed, empty the rejected lines that hold their ids, and remember
-- their hashes; later statements bring down the sums. Returns numbers of users, of rows, and of sessions and lines
insert into hash_key (inner_key, outer_key)
select
    -- HMAC combines each byte of the key with 0x36, and with 0x5c; bit_send puts a length before the bytes
    substr(bit_send(key # repeat('00110110', 64)::bit(512)), 5),
    substr(bit_send(key # repeat('01011100', 64)::bit(512)), 5)
from (
    select
        ('x' || rpad(encode(sha256(string_agg(uuid_send(gen_random_uuid()), '')), 'hex'), 128, '0'))::bit(512) as key
    from generate_series(1, 4)
    offset 0
) as made
on conflict do nothing;
update file_rejected_lines set raw = drop_cut_field(raw) where length(raw) >= 1000;
with remembered as (
    insert into forgotten_users (user_hash)
    select hash_user(convert_to(given.user_id, 'UTF8'), hash_key.inner_key, hash_key.outer_key)
    from pg_temp.given_users as given
    cross join hash_key
    on conflict do nothing
    returning user_hash
),

deleted_days as (
    delete from file_user_days
    where user_id in (select user_id from pg_temp.given_users)
    returning user_id, date, displays, clicks
),

retracted_days as (
    insert into pg_temp.old_user_days (user_id, date, displays, clicks)
    select user_id, date, displays, clicks from deleted_days
),

deleted_sessions as (
    delete from file_sessions
    where user_id in (select user_id from pg_temp.given_users)
    returning user_id, session_id, first_at, last_at
),

retracted_sessions as (
    insert into pg_temp.old_sessions (user_id, session_id, first_at, last_at)
    select user_id, session_id, first_at, last_at from deleted_sessions
),

emptied as (
    update file_rejected_lines set raw = ''
    where (file_id, line_number) in (
        select lines.file_id, lines.line_number
        from file_rejected_lines as lines
        cross join find_ids(lines.raw) as id
        where id in (select convert_to(user_id, 'UTF8') from pg_temp.given_users)
    )
    returning line_number
),

errors as (
    update runs set error = 'it held the id of a user who was forgotten'
    where run_id in (
        select named.run_id
        from runs as named
        cross join find_ids(convert_to(named.error, 'UTF8')) as id
        where id in (select convert_to(user_id, 'UTF8') from pg_temp.given_users)
    )
)

select
    (select count(*) from pg_temp.given_users) as users,
    (select count(*) from remembered) as users_new,
    count(distinct present.user_id) as users_found,
    count(*) as rows,
    coalesce(sum(present.sessions), 0)::bigint as sessions,
    (select count(*) from emptied) as rejected_lines
from user_performance as present
where present.user_id in (select user_id from pg_temp.given_users);

-- analyze_users: sample these columns again, since the statistics of the planner hold ids
analyze file_user_days (user_id);
analyze file_sessions (user_id);
analyze user_performance (user_id);
analyze file_rejected_lines (raw);
analyze runs (error);

-- find_latest_texts: the latest remaining texts of articles whose latest ones were retracted, found at the end of the index;
-- a bitmap scan loses the order
select set_config('enable_bitmapscan', 'off', true);
insert into pg_temp.remaining_texts (article_id, title, category)
select retracted.article_id, titles.title, categories.category
from (
    select old.article_id
    from pg_temp.old_article_days as old
    cross join lateral (
        select title_at, category_at, title, category from articles where article_id = old.article_id offset 0
    ) as present
    where
        (old.title_at, old.title) = (present.title_at, present.title)
        or (old.category_at, old.category) = (present.category_at, present.category)
    group by old.article_id
    offset 0
) as retracted
-- An index orders the rows of an article by the later of both times, which is no earlier than either. The first row that
-- it returns is the lower bound of the search for the latest text
left join lateral (
    select lpad((title_at + %(epoch)s)::text, 18, '0') || title as title
    from file_article_days
    where
        hashtextextended(article_id, 0) = hashtextextended(retracted.article_id, 0)
        and article_id = retracted.article_id
        and title_at is not null
        and greatest(title_at, category_at) >= (
            select title_at
            from file_article_days
            where
                hashtextextended(article_id, 0) = hashtextextended(retracted.article_id, 0)
                and article_id = retracted.article_id
                and greatest(title_at, category_at) is not null
                and title_at is not null
            order by hashtextextended(article_id, 0) desc, greatest(title_at, category_at) desc
            limit 1
        )
    order by title_at desc, title desc
    limit 1
) as titles on true
left join lateral (
    select lpad((category_at + %(epoch)s)::text, 18, '0') || category as category
    from file_article_days
    where
        hashtextextended(article_id, 0) = hashtextextended(retracted.article_id, 0)
        and article_id = retracted.article_id
        and category_at is not null
        and greatest(title_at, category_at) >= (
            select category_at
            from file_article_days
            where
                hashtextextended(article_id, 0) = hashtextextended(retracted.article_id, 0)
                and article_id = retracted.article_id
                and greatest(title_at, category_at) is not null
                and category_at is not null
            order by hashtextextended(article_id, 0) desc, greatest(title_at, category_at) desc
            limit 1
        )
    order by category_at desc, category desc
    limit 1
) as categories on true;
select set_config('enable_bitmapscan', 'on', true);

-- change_article_days: what the batch adds to each article and day, less what it retracted
insert into pg_temp.changed_article_days (article_id, date, displays, clicks)
select article_id, date, sum(displays)::bigint as displays, sum(clicks)::bigint as clicks
from (
    select article_id, date, displays, clicks from file_article_days where file_id >= %(first_file_id)s
    union all
    select article_id, date, -displays, -clicks from pg_temp.old_article_days
) as new_less_old
group by article_id, date
having sum(displays) <> 0 or sum(clicks) <> 0;

-- join_articles: let the next statement look up each article, unless the batch holds a large share of all articles
select
    set_config('enable_nestloop', case when is_share then 'off' else 'on' end, true),
    set_config('enable_hashjoin', case when is_share then 'on' else 'off' end, true),
    set_config('enable_mergejoin', 'off', true)
from (
    select pg_relation_size('articles') < 2000 * count(*) as is_share from pg_temp.changed_article_days
) as sizes;

-- join_any: let the planner choose how to join again
select
    set_config('enable_nestloop', 'on', true),
    set_config('enable_hashjoin', 'on', true),
    set_config('enable_mergejoin', 'on', true);

-- change_articles: the articles that the batch touches, as they were and as they will be. If all days of an article
-- come after its former ones, they are only appended. Otherwise, if a day is earlier, a shown text changes or numbers
-- were retracted, its rows are rewritten from from_date on
with touched as (
    select
        article_id,
        min(date) as first_date,
        max(date) as last_date,
        coalesce(sum(clicks), 0)::bigint as clicks,
        bool_or(is_retracted) as is_retracted,
        max(new_title) as new_title,
        max(new_category) as new_category,
        bool_or(has_lost_latest) as has_lost_latest,
        max(remaining_title) as remaining_title,
        max(remaining_category) as remaining_category
    from (
        select
            article_id,
            date,
            clicks,
            displays < 0 or clicks < 0 as is_retracted,
            null as new_title,
            null as new_category,
            false as has_lost_latest,
            null as remaining_title,
            null as remaining_category
        from pg_temp.changed_article_days
        union all
        select
            article_id,
            null,
            null,
            false,
            lpad((title_at + %(epoch)s)::text, 18, '0') || title,
            lpad((category_at + %(epoch)s)::text, 18, '0') || category,
            false,
            null,
            null
        from file_article_days
        where file_id >= %(first_file_id)s and (title_at is not null or category_at is not null)
        union all
        select article_id, null, null, false, null, null, true, title, category from pg_temp.remaining_texts
    ) as entries
    group by article_id
),

present as (
    select
        touched.*,
        articles.article_id is not null as is_known,
        articles.clicks as present_clicks,
        articles.last_date as present_date,
        articles.title as shown_title,
        articles.category as shown_category,
        case
            when touched.has_lost_latest then touched.remaining_title
            else lpad((articles.title_at + %(epoch)s)::text, 18, '0') || articles.title
        end as kept_title,
        case
            when touched.has_lost_latest then touched.remaining_category
            else lpad((articles.category_at + %(epoch)s)::text, 18, '0') || articles.category
        end as kept_category
    from touched
    left join articles using (article_id)
),

latest as (
    select
        *,
        greatest(new_title, kept_title) as title,
        greatest(new_category, kept_category) as category
    from present
    offset 0 -- evaluate each text once
),

compared as (
    select
        *,
        is_known and (
            substr(title, 19) is distinct from shown_title or substr(category, 19) is distinct from shown_category
        ) as is_shown
    from latest
)

insert into pg_temp.changed_articles
(
    article_id, from_date, last_date, clicks_before, clicks_after, title, category, old_category, is_known, is_appended
)
select
    article_id,
    case when is_shown then '-infinity' else first_date end as from_date,
    greatest(last_date, present_date) as last_date,
    coalesce(present_clicks, 0) as clicks_before,
    coalesce(present_clicks, 0) + clicks as clicks_after,
    title,
    category,
    shown_category as old_category,
    is_known,
    not is_retracted and not is_shown and coalesce(first_date >= present_date, true) as is_appended
from compared;

-- has_rewritten: whether any article of the batch must be rewritten
select exists (select from pg_temp.changed_articles where not is_appended) as has_rewritten;

-- change_category_days: add the changes of the batch to displays and clicks by category and day; an article whose
-- category changes takes all its days along, as they were before rewrite_article_performance
with changed as materialized (
    select
        date,
        sum(displays)::bigint as displays,
        sum(clicks)::bigint as clicks,
        category
    from (
        select substr(touched.category, 19) as category, days.date, days.displays, days.clicks
        from pg_temp.changed_articles as touched
        inner join pg_temp.changed_article_days as days using (article_id)
        union all
        select moved.category, days.date, moved.sign * days.displays, moved.sign * days.clicks
        from pg_temp.changed_articles as touched
        cross join lateral (
            select date, displays, clicks from article_performance
            where
                article_id = touched.article_id
                and touched.is_known
                and substr(touched.category, 19) is distinct from touched.old_category
            offset 0
        ) as days
        cross join lateral (
            values (touched.old_category, -1), (substr(touched.category, 19), 1)
        ) as moved (category, sign)
    ) as changes
    group by date, category
    having sum(displays) <> 0 or sum(clicks) <> 0
),

present as (
    delete from category_days
    where ctid = any (array(
        select day.ctid
        from changed
        cross join lateral (
            select ctid from category_days
            where
                date = changed.date
                -- no category is an empty string
                and hashtextextended(coalesce(category, ''), 0) = hashtextextended(coalesce(changed.category, ''), 0)
                and category is not distinct from changed.category
            offset 0
        ) as day
    ))
    returning date, displays, clicks, category
)

insert into category_days (date, displays, clicks, category)
select date, sum(displays)::bigint, sum(clicks)::bigint, category
from (select * from present union all select * from changed) as present_and_change
group by date, category
having sum(displays) <> 0 or sum(clicks) <> 0
order by date, category;

-- append_article_performance: add days after the last one of their article, or to it
insert into article_performance as present (article_id, date, title, category, displays, clicks, cumulative_clicks)
select
    days.article_id,
    days.date,
    substr(touched.title, 19),
    substr(touched.category, 19),
    days.displays,
    days.clicks,
    touched.clicks_before + sum(days.clicks) over (partition by days.article_id order by days.date)
from pg_temp.changed_articles as touched
inner join pg_temp.changed_article_days as days using (article_id)
where touched.is_appended
order by days.article_id, days.date
on conflict (article_id, date) do update set
    displays = present.displays + excluded.displays,
    clicks = present.clicks + excluded.clicks,
    cumulative_clicks = excluded.cumulative_clicks;

-- append_articles: record the latest texts, clicks and day of each article that was appended to
insert into articles (article_id, title_at, category_at, clicks, last_date, title, category)
select
    article_id,
    left(title, 18)::bigint - %(epoch)s,
    left(category, 18)::bigint - %(epoch)s,
    clicks_after,
    last_date,
    substr(title, 19),
    substr(category, 19)
from pg_temp.changed_articles
where is_appended
order by article_id
on conflict (article_id) do update set
    title_at = excluded.title_at,
    category_at = excluded.category_at,
    clicks = excluded.clicks,
    last_date = excluded.last_date,
    title = excluded.title,
    category = excluded.category;

-- rewrite_article_performance: write those rows of the other articles that differ, and delete rows in which nothing is
-- left
insert into article_performance as present (article_id, date, title, category, displays, clicks, cumulative_clicks)
with days as (
    select article_id, date, sum(displays)::bigint as displays, sum(clicks)::bigint as clicks
    from (
        select changed.article_id, changed.date, changed.displays, changed.clicks
        from pg_temp.changed_articles as touched
        inner join pg_temp.changed_article_days as changed using (article_id)
        where not touched.is_appended
        union all
        select touched.article_id, later.date, later.displays, later.clicks
        from pg_temp.changed_articles as touched
        cross join lateral (
            select date, displays, clicks from article_performance
            where article_id = touched.article_id and date >= touched.from_date
            offset 0
        ) as later
        where not touched.is_appended
    ) as present_and_change
    group by article_id, date
)

select
    days.article_id,
    days.date,
    substr(touched.title, 19),
    substr(touched.category, 19),
    days.displays,
    days.clicks,
    coalesce(earlier.cumulative_clicks, 0)
    + sum(days.clicks) over (partition by days.article_id order by days.date) as cumulative_clicks
from pg_temp.changed_articles as touched
inner join days using (article_id)
left join lateral (
    select cumulative_clicks from article_performance
    where article_id = touched.article_id and date < touched.from_date
    order by date desc
    limit 1
) as earlier on true
order by days.article_id, days.date
on conflict (article_id, date) do update set
    title = excluded.title,
    category = excluded.category,
    displays = excluded.displays,
    clicks = excluded.clicks,
    cumulative_clicks = excluded.cumulative_clicks
where
    (present.title, present.category, present.displays, present.clicks, present.cumulative_clicks)
    is distinct from
    (excluded.title, excluded.category, excluded.displays, excluded.clicks, excluded.cumulative_clicks);
delete from article_performance
where ctid = any (array(
    select present.ctid
    from pg_temp.changed_article_days as changed
    cross join lateral (
        select ctid, displays, clicks from article_performance
        where article_id = changed.article_id and date = changed.date
        offset 0
    ) as present
    where
        (changed.displays < 0 or changed.clicks < 0)
        and present.displays = 0
        and present.clicks = 0
));

-- rewrite_articles: record those articles as their rows are now, and delete articles without a row
insert into articles (article_id, title_at, category_at, clicks, last_date, title, category)
select
    touched.article_id,
    left(touched.title, 18)::bigint - %(epoch)s,
    left(touched.category, 18)::bigint - %(epoch)s,
    present.cumulative_clicks,
    present.date,
    substr(touched.title, 19),
    substr(touched.category, 19)
from pg_temp.changed_articles as touched
cross join lateral (
    select date, cumulative_clicks from article_performance
    where article_id = touched.article_id
    order by date desc
    limit 1
) as present
where not touched.is_appended
order by touched.article_id
on conflict (article_id) do update set
    title_at = excluded.title_at,
    category_at = excluded.category_at,
    clicks = excluded.clicks,
    last_date = excluded.last_date,
    title = excluded.title,
    category = excluded.category;
delete from articles
where ctid = any (array(
    select present.ctid
    from pg_temp.changed_articles as touched
    cross join lateral (
        select ctid from articles where article_id = touched.article_id offset 0
    ) as present
    left join lateral (
        select true as is_there from article_performance where article_id = touched.article_id limit 1
    ) as days on true
    where not touched.is_appended and days.is_there is null
));

-- change_sessions: the sessions that the batch touches, with their spans in it and in what was retracted
insert into pg_temp.changed_sessions (user_id, session_id, new_first, new_last, old_first, old_last)
select
    user_id,
    session_id,
    min(first_at) filter (where is_new) as new_first,
    max(last_at) filter (where is_new) as new_last,
    min(first_at) filter (where not is_new) as old_first,
    max(last_at) filter (where not is_new) as old_last
from (
    select user_id, session_id, first_at, last_at, true as is_new from file_sessions where file_id >= %(first_file_id)s
    union all
    select user_id, session_id, first_at, last_at, false from pg_temp.old_sessions
) as new_and_old
group by user_id, session_id;

-- is_share_of_sessions: whether the batch holds a large share of all sessions, so that reading all is faster than
-- looking up each
select pg_relation_size('file_sessions') < 800 * (select count(*) from pg_temp.changed_sessions) as is_share;

-- look_up_sessions: the spans of those sessions in other files, found at the ends of the indexes; a bitmap scan loses
-- the order
select set_config('enable_bitmapscan', 'off', true);
insert into pg_temp.kept_sessions (user_id, session_id, first_at, last_at)
select spans.user_id, spans.session_id, firsts.first_at, lasts.last_at
from pg_temp.changed_sessions as spans
cross join lateral (
    select first_at
    from file_sessions
    where
        hashtextextended(session_id, hashtextextended(user_id, 0))
        = hashtextextended(spans.session_id, hashtextextended(spans.user_id, 0))
        and user_id = spans.user_id
        and session_id = spans.session_id
        and file_id + 0 < %(first_file_id)s -- do not use the index of file_id
    order by hashtextextended(session_id, hashtextextended(user_id, 0)), first_at
    limit 1
) as firsts
cross join lateral (
    select last_at
    from file_sessions
    where
        hashtextextended(session_id, hashtextextended(user_id, 0))
        = hashtextextended(spans.session_id, hashtextextended(spans.user_id, 0))
        and user_id = spans.user_id
        and session_id = spans.session_id
        and file_id + 0 < %(first_file_id)s
    order by hashtextextended(session_id, hashtextextended(user_id, 0)) desc, last_at desc
    limit 1
) as lasts;
select set_config('enable_bitmapscan', 'on', true);

-- join_sessions: the same spans, by reading all sessions
select set_config('enable_nestloop', 'off', true);
insert into pg_temp.kept_sessions (user_id, session_id, first_at, last_at)
select others.user_id, others.session_id, min(others.first_at), max(others.last_at)
from pg_temp.changed_sessions as spans
inner join file_sessions as others using (user_id, session_id)
where others.file_id + 0 < %(first_file_id)s
group by others.user_id, others.session_id;
select set_config('enable_nestloop', 'on', true);

-- change_users: add the changes of the batch to the days of users: displays, clicks, and sessions that begin on a day
-- now, less those that began on it before. Sums the changes of both BI tables by day, for the next statements. Returns
-- the rows in which nothing is left
with moved as (
    select user_id, date, sum(sign)::bigint as sessions, sum(sign * microseconds) as microseconds
    from pg_temp.moved_sessions
    group by user_id, date
),

changed as materialized (
    select
        user_id,
        date,
        sum(sessions)::bigint as sessions,
        sum(microseconds) as microseconds,
        sum(displays)::bigint as displays,
        sum(clicks)::bigint as clicks
    from (
        select user_id, date, 0 as sessions, 0 as microseconds, displays, clicks
        from file_user_days
        where file_id >= %(first_file_id)s
        union all
        select user_id, date, 0, 0, -displays, -clicks from pg_temp.old_user_days
        union all
        select user_id, date, sessions, microseconds, 0, 0 from moved
    ) as new_less_old
    group by user_id, date
    having sum(sessions) <> 0 or sum(microseconds) <> 0 or sum(displays) <> 0 or sum(clicks) <> 0
),

written as (
    insert into user_performance as present (user_id, date, sessions, session_seconds, displays, clicks)
    select user_id, date, sessions, microseconds * 0.000001, displays, clicks
    from changed
    order by date, user_id
    on conflict (date, user_id) do update set
        sessions = present.sessions + excluded.sessions,
        session_seconds = present.session_seconds + excluded.session_seconds,
        displays = present.displays + excluded.displays,
        clicks = present.clicks + excluded.clicks
    returning ctid, sessions, displays, clicks
),

summed as (
    insert into pg_temp.changed_days (date, displays, clicks, sessions, microseconds, is_published)
    select
        days.date, days.displays, days.clicks, days.sessions, days.microseconds,
        -- before this statement, a day with a row in article_performance has its totals
        coalesce(totals.is_there, users.is_there, false)
    from (
        select
            date,
            sum(displays)::bigint as displays,
            sum(clicks)::bigint as clicks,
            sum(sessions)::bigint as sessions,
            sum(microseconds) as microseconds
        from (
            select date, displays, clicks, 0 as sessions, 0 as microseconds from pg_temp.changed_article_days
            union all
            select date, 0, 0, sessions, microseconds from changed
        ) as changes
        group by date
    ) as days
    left join lateral (select true as is_there from day_totals where date = days.date limit 1) as totals on true
    left join lateral (
        select true as is_there from user_performance where totals.is_there is null and date = days.date limit 1
    ) as users on true
)

select array(select ctid::text from written where sessions = 0 and displays = 0 and clicks = 0) as users;

-- change_day_totals: add the changes of the batch to the sums by day, and record them as the run found them and as they
-- are now. Returns the days on which nothing is left, and whether any was published before the run
with written as (
    insert into day_totals as present (date, displays, clicks, sessions, session_seconds)
    select date, displays, clicks, sessions, microseconds * 0.000001
    from pg_temp.changed_days
    where displays <> 0 or clicks <> 0 or sessions <> 0 or microseconds <> 0
    order by date
    on conflict (date) do update set
        displays = present.displays + excluded.displays,
        clicks = present.clicks + excluded.clicks,
        sessions = present.sessions + excluded.sessions,
        session_seconds = present.session_seconds + excluded.session_seconds
    returning date, displays, clicks, sessions, session_seconds
),

totals as (
    select date, displays, clicks, sessions, session_seconds from written
    union all
    select days.date, same.displays, same.clicks, same.sessions, same.session_seconds
    from pg_temp.changed_days as days
    cross join lateral (
        select displays, clicks, sessions, session_seconds from day_totals where date = days.date offset 0
    ) as same
    where days.displays = 0 and days.clicks = 0 and days.sessions = 0 and days.microseconds = 0
),

recorded as (
    insert into restatements as present
    (
        run_id, date, restated_at, is_published,
        displays_before, displays_after, clicks_before, clicks_after,
        sessions_before, sessions_after, session_seconds_before, session_seconds_after
    )
    select
        lake.run_id,
        date,
        now(),
        days.is_published,
        coalesce(totals.displays, 0) - days.displays,
        coalesce(totals.displays, 0),
        coalesce(totals.clicks, 0) - days.clicks,
        coalesce(totals.clicks, 0),
        coalesce(totals.sessions, 0) - days.sessions,
        coalesce(totals.sessions, 0),
        coalesce(totals.session_seconds, 0) - days.microseconds * 0.000001,
        coalesce(totals.session_seconds, 0)
    from pg_temp.changed_days as days
    cross join state.lake as lake
    left join totals using (date)
    order by date
    on conflict (run_id, date) do update set
        restated_at = excluded.restated_at,
        displays_before = present.displays_before + excluded.displays_before - present.displays_after,
        displays_after = excluded.displays_after,
        clicks_before = present.clicks_before + excluded.clicks_before - present.clicks_after,
        clicks_after = excluded.clicks_after,
        sessions_before = present.sessions_before + excluded.sessions_before - present.sessions_after,
        sessions_after = excluded.sessions_after,
        session_seconds_before = present.session_seconds_before + excluded.session_seconds_before - present.session_seconds_after,
        session_seconds_after = excluded.session_seconds_after
    returning is_published
)

select
    array(select date from written where displays = 0 and clicks = 0 and sessions = 0) as dates,
    exists (select from recorded where is_published) as has_published;

-- delete_empty: delete the rows in which nothing is left
delete from user_performance where ctid = any(%(users)s::tid[]);
delete from day_totals where date = any(%(dates)s::date[]);

-- name_restating_files: record which files of the batch changed published days: the displays and clicks that they
-- contribute to a day changed, or a session that began on it did
with keys as (
    select file_id, key from unnest(%(file_id)s::integer[], %(key)s::text[]) as written (file_id, key)
    union all
    select files.file_id, files.key
    from (
        select file_id from pg_temp.old_article_days
        union
        select file_id from pg_temp.old_sessions
    ) as retracted
    cross join lateral (select file_id, key from lake_files where file_id = retracted.file_id offset 0) as files
),

spans as (
    select keys.key, parts.user_id, parts.session_id
    from (
        select file_id, user_id, session_id, first_at, last_at from file_sessions where file_id >= %(first_file_id)s
        union all
        select file_id, user_id, session_id, first_at, last_at from pg_temp.old_sessions
    ) as parts
    inner join keys using (file_id)
    group by keys.key, parts.user_id, parts.session_id
    having count(*) = 1 or min(parts.first_at) <> max(parts.first_at) or min(parts.last_at) <> max(parts.last_at)
)

insert into restating_files (run_id, key, dates)
select lake.run_id, changed.key, array_agg(changed.date)
from (
    select days.date, keys.key
    from (
        select file_id, date, displays, clicks from file_article_days where file_id >= %(first_file_id)s
        union all
        select file_id, date, -displays, -clicks from pg_temp.old_article_days
    ) as days
    inner join keys using (file_id)
    group by days.date, keys.key
    having sum(days.displays) <> 0 or sum(days.clicks) <> 0
    union
    select moved.date, spans.key
    from spans
    inner join pg_temp.moved_sessions as moved using (user_id, session_id)
) as changed
cross join state.lake as lake
-- an earlier transaction of the run may have left nothing of the day, so that only this row knows that it was published
cross join lateral (
    select from restatements where run_id = lake.run_id and date = changed.date and is_published offset 0
) as published
group by lake.run_id, changed.key;

-- recount_articles: write every row of the articles that the batch touches as all files contribute it now, whatever it
-- was before. Returns the days that the batch or this changed
with touched as (
    select article_id from file_article_days where file_id >= %(first_file_id)s
    union
    select article_id from pg_temp.old_article_days
),

parts as materialized (
    select part.*
    from touched
    cross join lateral (
        select article_id, date, displays, clicks, title_at, category_at, title, category
        from file_article_days
        where
            hashtextextended(article_id, 0) = hashtextextended(touched.article_id, 0)
            and article_id = touched.article_id
        offset 0
    ) as part
),

texts as (
    select
        article_id,
        max(date) as last_date,
        sum(clicks)::bigint as clicks,
        max(lpad((title_at + %(epoch)s)::text, 18, '0') || title) as title,
        max(lpad((category_at + %(epoch)s)::text, 18, '0') || category) as category
    from parts
    group by article_id
),

wanted as materialized (
    select
        article_id,
        date,
        substr(texts.title, 19) as title,
        substr(texts.category, 19) as category,
        sum(parts.displays)::bigint as displays,
        sum(parts.clicks)::bigint as clicks,
        sum(sum(parts.clicks)) over (partition by article_id order by date)::bigint as cumulative_clicks
    from parts
    inner join texts using (article_id)
    group by article_id, date, texts.title, texts.category
),

deleted as (
    delete from article_performance
    where ctid = any (array(
        select present.ctid
        from touched
        cross join lateral (
            select ctid, date from article_performance where article_id = touched.article_id offset 0
        ) as present
        left join wanted on wanted.article_id = touched.article_id and wanted.date = present.date
        where wanted.date is null
    ))
    returning date
),

written as (
    insert into article_performance as present (article_id, date, title, category, displays, clicks, cumulative_clicks)
    select article_id, date, title, category, displays, clicks, cumulative_clicks
    from wanted
    order by article_id, date
    on conflict (article_id, date) do update set
        title = excluded.title,
        category = excluded.category,
        displays = excluded.displays,
        clicks = excluded.clicks,
        cumulative_clicks = excluded.cumulative_clicks
    where
        (present.title, present.category, present.displays, present.clicks, present.cumulative_clicks)
        is distinct from
        (excluded.title, excluded.category, excluded.displays, excluded.clicks, excluded.cumulative_clicks)
    returning date
),

deleted_articles as (
    delete from articles where article_id in (select article_id from touched except select article_id from texts)
),

written_articles as (
    insert into articles (article_id, title_at, category_at, clicks, last_date, title, category)
    select
        article_id,
        left(title, 18)::bigint - %(epoch)s,
        left(category, 18)::bigint - %(epoch)s,
        clicks,
        last_date,
        substr(title, 19),
        substr(category, 19)
    from texts
    order by article_id
    on conflict (article_id) do update set
        title_at = excluded.title_at,
        category_at = excluded.category_at,
        clicks = excluded.clicks,
        last_date = excluded.last_date,
        title = excluded.title,
        category = excluded.category
)

select array(
    select date from deleted
    union
    select date from written
    union
    select date from file_article_days where file_id >= %(first_file_id)s
    union
    select date from pg_temp.old_article_days
) as dates;

-- recount_users: the same for the rows of the users that the batch touches. No index finds the sessions and days of a
-- user, so this reads those of all users. Keeps the days that this or recount_articles changed for the next statements
select set_config('enable_nestloop', 'off', true);
with touched as materialized (
    select user_id from file_user_days where file_id >= %(first_file_id)s
    union
    select user_id from file_sessions where file_id >= %(first_file_id)s
    union
    select user_id from pg_temp.old_user_days
    union
    select user_id from pg_temp.old_sessions
),

sessions as (
    select user_id, session_id, min(first_at) as first_at, max(last_at) as last_at
    from file_sessions
    inner join touched using (user_id)
    group by user_id, session_id
),

wanted as materialized (
    select
        user_id,
        date,
        sum(sessions)::bigint as sessions,
        sum(microseconds) * 0.000001 as session_seconds,
        sum(displays)::bigint as displays,
        sum(clicks)::bigint as clicks
    from (
        select
            user_id,
            state.find_session_day(first_at) as date,
            1 as sessions,
            last_at - state.find_session_time(first_at) as microseconds,
            0 as displays,
            0 as clicks
        from sessions
        union all
        select user_id, date, 0, 0, displays, clicks from file_user_days inner join touched using (user_id)
    ) as parts
    group by user_id, date
),

deleted as (
    delete from user_performance as present
    where
        user_id in (select user_id from touched)
        and not exists (select from wanted where wanted.user_id = present.user_id and wanted.date = present.date)
    returning date
),

written as (
    insert into user_performance as present (user_id, date, sessions, session_seconds, displays, clicks)
    select user_id, date, sessions, session_seconds, displays, clicks
    from wanted
    order by date, user_id
    on conflict (date, user_id) do update set
        sessions = excluded.sessions,
        session_seconds = excluded.session_seconds,
        displays = excluded.displays,
        clicks = excluded.clicks
    where
        (present.sessions, present.session_seconds, present.displays, present.clicks)
        is distinct from
        (excluded.sessions, excluded.session_seconds, excluded.displays, excluded.clicks)
    returning date
),

begun as (
    select state.find_session_day(first_at) as date
    from (
        select first_at from file_sessions where file_id >= %(first_file_id)s
        union all
        select first_at from pg_temp.old_sessions
    ) as both_versions
)

insert into pg_temp.changed_days (date, is_published)
select days.date, coalesce(totals.is_there, users.is_there, false)
from (
    select date from unnest(%(dates)s::date[]) as recounted (date)
    union
    select date from deleted
    union
    select date from written
    union
    select date from begun
) as days
left join lateral (select true as is_there from day_totals where date = days.date limit 1) as totals on true
left join lateral (
    select true as is_there from user_performance where totals.is_there is null and date = days.date limit 1
) as users on true;

-- recount_days: sum up those days of the BI tables again, and find by how much their totals differ
select set_config('enable_nestloop', 'on', true);
delete from category_days where date = any(array(select date from pg_temp.changed_days));
insert into category_days (date, displays, clicks, category)
select date, sum(displays)::bigint, sum(clicks)::bigint, category
from article_performance
where date = any(array(select date from pg_temp.changed_days))
group by date, category
order by date, category;
with days as (
    delete from pg_temp.changed_days returning date, is_published
)

insert into pg_temp.changed_days (date, displays, clicks, sessions, microseconds, is_published)
select
    days.date,
    articles.displays - coalesce(totals.displays, 0),
    articles.clicks - coalesce(totals.clicks, 0),
    users.sessions - coalesce(totals.sessions, 0),
    (users.session_seconds - coalesce(totals.session_seconds, 0)) * 1000000,
    days.is_published
from days
cross join lateral (
    select coalesce(sum(displays), 0)::bigint as displays, coalesce(sum(clicks), 0)::bigint as clicks
    from article_performance
    where date = days.date
) as articles
cross join lateral (
    select coalesce(sum(sessions), 0)::bigint as sessions, coalesce(sum(session_seconds), 0) as session_seconds
    from user_performance
    where date = days.date
) as users
left join lateral (
    select displays, clicks, sessions, session_seconds from day_totals where date = days.date offset 0
) as totals on true;

-- read_report_state: a value that changes when anything changes that a report shows. It includes the text of
-- errors but not their time, as every run finds them again
select
    md5(
        concat_ws(
            ' ',
            lake.url,
            lake.definition,
            files.number,
            extract(epoch from files.counted_at),
            files.size,
            files.events,
            files.rejected,
            -- by the index of failed files: an ordered aggregate over all files would sort them all
            (select string_agg(concat_ws(' ', key, error), ' ' order by key) from state.lake_files where error is not null),
            (select count(*) from state.forgotten_users)
        )
    ) as report_state
from state.lake as lake
cross join (
    select
        count(*) as number, max(counted_at) as counted_at,
        sum(size) as size, sum(events) as events, sum(rejected) as rejected
    from state.lake_files
) as files;

-- read_lake_state: what a report shows of the lake
select
    lake.url, fresh.last_counted_at, fresh.files, fresh.failed_files, fresh.bytes, fresh.events, fresh.rejected_lines,
    coalesce(lake.definition ->> 'days.timezone', 'UTC') as timezone
from state.lake as lake
cross join public.freshness as fresh;

-- read_failed_files: files whose present version could not be read, the last ones first
select key, error from state.lake_files where error is not null order by failed_at desc, key limit %(most)s;

-- read_newest_files: the files of the last run, or turn of a watch, that ingested any; those with the most clicks and
-- displays first, with sums over all of them. After a rebuild, files that it could not read have higher ids, but were
-- ingested earlier
with newest as (
    select found.file_id, found.key, found.counted_at, found.events, found.rejected
    from state.lake as lake
    cross join lateral (
        select counted_at
        from state.lake_files
        where file_id >= lake.first_new_file_id and fingerprint is not null
        order by file_id
        limit 1
    ) as first
    cross join lateral (
        select file_id, key, counted_at, events, rejected
        from state.lake_files
        where file_id >= lake.first_new_file_id and fingerprint is not null and counted_at >= first.counted_at
    ) as found
)

select
    newest.key,
    newest.counted_at,
    newest.events,
    newest.rejected,
    contribution.first_date,
    contribution.last_date,
    coalesce(contribution.displays, 0) as displays,
    coalesce(contribution.clicks, 0) as clicks,
    count(*) over () as files,
    sum(newest.events) over ()::bigint as all_events,
    sum(newest.rejected) over ()::bigint as all_rejected,
    min(contribution.first_date) over () as all_first_date,
    max(contribution.last_date) over () as all_last_date,
    coalesce(sum(contribution.displays) over (), 0)::bigint as all_displays,
    coalesce(sum(contribution.clicks) over (), 0)::bigint as all_clicks
from newest
cross join lateral (
    select min(date) as first_date, max(date) as last_date, sum(displays) as displays, sum(clicks) as clicks
    from state.file_article_days
    where file_id = newest.file_id
) as contribution
order by contribution.clicks desc nulls last, contribution.displays desc nulls last, newest.key
limit %(most)s;

-- read_category_days: displays and clicks by category and day; the least displayed categories beyond a number share one
-- row a day
with days as materialized (
    select category, date, displays, clicks from public.category_performance
),

ranks as (
    select
        category,
        row_number() over (order by sum(displays) desc, sum(clicks) desc, category) as rank,
        count(*) over () as categories
    from days
    group by category
),

places as (
    select
        category,
        case when categories <= %(most)s or rank < %(most)s then 1 else categories - %(most)s + 1 end as sharing
    from ranks
)

select
    case when places.sharing = 1 then days.category end as category,
    days.date,
    sum(days.displays)::bigint as displays,
    sum(days.clicks)::bigint as clicks,
    places.sharing as categories
from days
-- no category is an empty string; a join by "is not distinct from" would compare all pairs
inner join places on coalesce(places.category, '') = coalesce(days.category, '')
group by 1, days.date, places.sharing
order by 1, days.date;

-- read_session_days: sessions by day
select date, sessions, session_seconds from state.day_totals where sessions > 0 order by date;

-- read_busiest_articles: the articles with the most clicks on some days, with all their clicks up to the last of these
-- days
with busiest as (
    select
        article_id,
        sum(displays)::bigint as displays,
        sum(clicks)::bigint as clicks,
        max(cumulative_clicks) as cumulative_clicks
    from public.article_performance
    where date between %(since)s and %(until)s
    group by article_id
    order by clicks desc, displays desc, article_id
    limit %(most)s
)

select
    busiest.article_id, texts.title, texts.category, busiest.displays, busiest.clicks, busiest.cumulative_clicks
from busiest
left join lateral (
    select title, category from public.article_performance where article_id = busiest.article_id order by date limit 1
) as texts on true
order by busiest.clicks desc, busiest.displays desc, busiest.article_id;

-- read_most_changed_article: the article whose clicks changed most from one day to another
with changed as (
    select
        article_id,
        coalesce(sum(clicks) filter (where date = %(before)s), 0)::bigint as clicks_before,
        coalesce(sum(clicks) filter (where date = %(after)s), 0)::bigint as clicks_after
    from public.article_performance
    where date in (%(before)s, %(after)s)
    group by article_id
    order by
        abs(
            coalesce(sum(clicks) filter (where date = %(after)s), 0)
            - coalesce(sum(clicks) filter (where date = %(before)s), 0)
        ) desc,
        article_id
    limit 1
)

select
    article_id,
    (
        select texts.title from public.article_performance as texts
        where texts.article_id = changed.article_id
        order by texts.date
        limit 1
    ) as title,
    clicks_before,
    clicks_after
from changed
where clicks_before <> clicks_after;

-- read_cumulative_clicks: the cumulative clicks of some articles by day
select article_id, date, cumulative_clicks
from public.article_performance
where article_id = any(%(article_ids)s) and date between %(since)s and %(until)s
order by article_id, date;

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

-- find_newest_day: the last day before another with a click, a display or a session
select max(date) as date from state.day_totals where date < %(before)s;

-- sum_days: what each day has, from one day to another
select date, displays, clicks from state.day_totals where date between %(since)s and %(until)s;

-- sum_categories: clicks and displays of each category by day
select category as name, date, displays + clicks as events
from state.category_days
where date between %(since)s and %(until)s and category is not null;

-- sum_event_names: clicks and displays by the name of the event and day, in files with an event of these days
select names.name, days.date::date as date, sum(names.events::bigint)::bigint as events
from state.lake_files as files
cross join lateral jsonb_each(files.event_days) as days (date, names)
cross join lateral jsonb_each_text(days.names) as names (name, events)
where files.newest_at >= %(since_at)s and days.date::date between %(since)s and %(until)s
group by 1, 2;

-- find_rejecting_days: days on which more than `percent` of the lines in their files were rejected; a file belongs to the
-- last day on which it has a click or a display
select
    date,
    sum(rejected)::bigint as rejected,
    sum(events + rejected)::bigint as lines,
    (array_agg(key order by rejected desc, key))[1] as key
from (
    select files.key, files.rejected, files.events, days.date
    from state.lake_files as files
    cross join lateral (select max(day::date) as date from jsonb_object_keys(files.event_days) as day) as days
    where files.newest_at >= %(since_at)s
) as files
where date >= %(since)s
group by date
having sum(rejected) * 100 > %(percent)s * sum(events + rejected)
order by date desc;

-- find_future_files: files with an event after a time
select key, newest_at from state.lake_files where newest_at > %(now)s order by newest_at desc;

-- find_long_sessions: sessions that began from one day on and are longer than a limit in seconds. Only the sessions of
-- users whose sessions of a day are that long together are read
with users as materialized (
    select distinct user_id from public.user_performance where date >= %(since)s and session_seconds > %(seconds)s
)

select user_id, date, first_at, (last_at - first_at) * 0.000001 as seconds
from (
    select
        user_id,
        state.find_session_day(min(first_at)) as date,
        state.find_session_time(min(first_at)) as first_at,
        max(last_at) as last_at
    from state.file_sessions
    inner join users using (user_id)
    group by user_id, session_id
) as sessions
where date >= %(since)s and last_at - first_at > %(seconds)s::numeric * 1000000
order by first_at desc;

-- find_busy_users: users with more clicks and displays on a day than a limit
select user_id, date, displays + clicks as events
from public.user_performance
where date >= %(since)s and displays + clicks > %(events)s
order by date desc, events desc;

-- find_clicks_without_display: days on which over a share of the clicks are on articles without a display on that day
select
    date,
    sum(clicks)::bigint as all_clicks,
    sum(clicks) filter (where displays = 0)::bigint as clicks,
    (array_agg(article_id order by clicks desc, article_id) filter (where displays = 0))[1] as article_id
from public.article_performance
where date >= %(since)s
group by date
having sum(clicks) filter (where displays = 0) * 100 > %(percent)s * sum(clicks)
order by date desc;

-- create_comparison_tables: temporary tables with the names of the permanent ones, to ingest into
create temporary table lake_files (like state.lake_files including all) on commit drop;
create temporary table file_article_days (like state.file_article_days including all) on commit drop;
create temporary table file_user_days (like state.file_user_days including all) on commit drop;
create temporary table file_sessions (like state.file_sessions including all) on commit drop;
create temporary table file_rejected_lines (like state.file_rejected_lines including all) on commit drop;
create temporary table articles (like state.articles including all) on commit drop;
create temporary table article_performance (like public.article_performance including all) on commit drop;
create temporary table user_performance (like public.user_performance including all) on commit drop;
create temporary table category_days (like state.category_days including all) on commit drop;
create temporary table day_totals (like state.day_totals including all) on commit drop;
create temporary table restatements (like state.restatements including all) on commit drop;
create temporary table restating_files (like state.restating_files including all) on commit drop;

-- compare_article_performance: rows of article_performance that differ
select
    'article_performance' as name,
    jsonb_build_array(article_id, date) as key,
    to_jsonb(wanted) - 'article_id' - 'date' as wanted,
    to_jsonb(found) - 'article_id' - 'date' as found
from pg_temp.article_performance as wanted
full join public.article_performance as found using (article_id, date)
where wanted is distinct from found;

-- compare_user_performance: rows of user_performance that differ
select
    'user_performance' as name,
    jsonb_build_array(user_id, date) as key,
    to_jsonb(wanted) - 'user_id' - 'date' as wanted,
    to_jsonb(found) - 'user_id' - 'date' as found
from pg_temp.user_performance as wanted
full join public.user_performance as found using (user_id, date)
where wanted is distinct from found;

-- compare_category_days: sums by category and day that differ
select
    'category_days' as name,
    jsonb_build_array(coalesce(wanted.category, found.category), coalesce(wanted.date, found.date)) as key,
    to_jsonb(wanted) - 'category' - 'date' - 'copy' as wanted,
    to_jsonb(found) - 'category' - 'date' - 'copy' as found
from (select *, row_number() over (partition by date, category) as copy from pg_temp.category_days) as wanted
full join (select *, row_number() over (partition by date, category) as copy from state.category_days) as found
    on
        wanted.date = found.date
        and coalesce(wanted.category, '') = coalesce(found.category, '')
        and wanted.copy = found.copy
where wanted is distinct from found;

-- compare_day_totals: sums by day that differ
select
    'day_totals' as name,
    jsonb_build_array(date) as key,
    to_jsonb(wanted) - 'date' as wanted,
    to_jsonb(found) - 'date' as found
from pg_temp.day_totals as wanted
full join state.day_totals as found using (date)
where wanted is distinct from found;

-- compare_files: files whose checkpoint, rejected lines or other contributions differ, with numbers of rows
with wanted as (
    select
        read.key,
        'lake_files' as name,
        jsonb_build_object(
            'lines', read.lines, 'events', read.events, 'rejected', read.rejected, 'content_hash', read.content_hash,
            -- unknown if the file was ingested by an older program
            'newest_at', case when known.newest_at is not null or known.events = 0 then read.newest_at end,
            'event_days', case when known.event_days is not null then read.event_days end
        ) as contribution
    from pg_temp.lake_files as read
    left join state.lake_files as known using (key)
    where read.fingerprint is not null
    union all
    select files.key, 'file_article_days', to_jsonb(contribution) - 'file_id'
    from pg_temp.file_article_days as contribution
    inner join pg_temp.lake_files as files using (file_id)
    union all
    select files.key, 'file_user_days', to_jsonb(contribution) - 'file_id'
    from pg_temp.file_user_days as contribution
    inner join pg_temp.lake_files as files using (file_id)
    union all
    select files.key, 'file_sessions', to_jsonb(contribution) - 'file_id'
    from pg_temp.file_sessions as contribution
    inner join pg_temp.lake_files as files using (file_id)
    union all
    select files.key, 'file_rejected_lines', to_jsonb(contribution) - 'file_id'
    from pg_temp.file_rejected_lines as contribution
    inner join pg_temp.lake_files as files using (file_id)
),

found as (
    select
        key,
        'lake_files' as name,
        jsonb_build_object(
            'lines', lines, 'events', events, 'rejected', rejected, 'content_hash', content_hash, 'newest_at', newest_at,
            'event_days', event_days
        ) as contribution
    from state.lake_files
    where fingerprint is not null
    union all
    select coalesce(files.key, 'no file ' || contribution.file_id), 'file_article_days', to_jsonb(contribution) - 'file_id'
    from state.file_article_days as contribution
    left join state.lake_files as files using (file_id)
    union all
    select coalesce(files.key, 'no file ' || contribution.file_id), 'file_user_days', to_jsonb(contribution) - 'file_id'
    from state.file_user_days as contribution
    left join state.lake_files as files using (file_id)
    union all
    select coalesce(files.key, 'no file ' || contribution.file_id), 'file_sessions', to_jsonb(contribution) - 'file_id'
    from state.file_sessions as contribution
    left join state.lake_files as files using (file_id)
    union all
    select coalesce(files.key, 'no file ' || contribution.file_id), 'file_rejected_lines', to_jsonb(contribution) - 'file_id'
    from state.file_rejected_lines as contribution
    left join state.lake_files as files using (file_id)
)

select
    name,
    jsonb_build_array(key) as key,
    jsonb_build_object('rows', count(*) filter (where missing)) as wanted,
    jsonb_build_object('rows', count(*) filter (where not missing)) as found
from (
    select name, key, true as missing from (select * from wanted except all select * from found) as missing_rows
    union all
    select name, key, false from (select * from found except all select * from wanted) as wrong_rows
) as differing_rows
group by name, key
order by key, name;

-- compare_articles: articles whose latest texts, clicks or last day differ
select
    'articles' as name,
    jsonb_build_array(article_id) as key,
    to_jsonb(wanted) - 'article_id' as wanted,
    to_jsonb(found) - 'article_id' as found
from pg_temp.articles as wanted
full join state.articles as found using (article_id)
where wanted is distinct from found;

-- restate_rebuilt: record the totals of published days that a rebuild changes, and the files with new content that
-- changed them. Numbers that change for another reason name no file
insert into state.restatements
(
    run_id, date, restated_at, is_published,
    displays_before, displays_after, clicks_before, clicks_after,
    sessions_before, sessions_after, session_seconds_before, session_seconds_after
)
select
    lake.run_id,
    date,
    now(),
    true,
    coalesce(found.displays, 0),
    coalesce(wanted.displays, 0),
    coalesce(found.clicks, 0),
    coalesce(wanted.clicks, 0),
    coalesce(found.sessions, 0),
    coalesce(wanted.sessions, 0),
    coalesce(found.session_seconds, 0),
    coalesce(wanted.session_seconds, 0)
from pg_temp.day_totals as wanted
full join state.day_totals as found using (date)
cross join state.lake as lake
left join lateral (
    select true as is_there from public.user_performance as users where users.date = coalesce(wanted.date, found.date) limit 1
) as users on true
where wanted is distinct from found and (found.date is not null or users.is_there);
with changed as (
    select key, read.file_id as new_id, known.file_id as old_id
    from pg_temp.lake_files as read
    full join state.lake_files as known using (key)
    where read.content_hash is distinct from known.content_hash
),

parts as (
    select changed.key, its.user_id, its.session_id
    from changed
    inner join pg_temp.file_sessions as its on its.file_id = changed.new_id
    union
    select changed.key, its.user_id, its.session_id
    from changed
    inner join state.file_sessions as its on its.file_id = changed.old_id
),

begun as (
    select parts.key, state.find_session_day(firsts.first_at) as date
    from parts
    cross join lateral (
        (
            select first_at
            from pg_temp.file_sessions
            where
                hashtextextended(session_id, hashtextextended(user_id, 0))
                = hashtextextended(parts.session_id, hashtextextended(parts.user_id, 0))
                and user_id = parts.user_id
                and session_id = parts.session_id
            order by first_at
            limit 1
        )
        union all
        (
            select first_at
            from state.file_sessions
            where
                hashtextextended(session_id, hashtextextended(user_id, 0))
                = hashtextextended(parts.session_id, hashtextextended(parts.user_id, 0))
                and user_id = parts.user_id
                and session_id = parts.session_id
            order by first_at
            limit 1
        )
    ) as firsts
)

insert into state.restating_files (run_id, key, dates)
select restated.run_id, did.key, array_agg(did.date)
from (
    select key, date
    from (
        select changed.key, its.date, its.displays, its.clicks
        from changed
        inner join pg_temp.file_article_days as its on its.file_id = changed.new_id
        union all
        select changed.key, its.date, -its.displays, -its.clicks
        from changed
        inner join state.file_article_days as its on its.file_id = changed.old_id
    ) as days
    group by key, date
    having sum(displays) <> 0 or sum(clicks) <> 0
    union
    select key, date from begun
) as did
inner join state.restatements as restated using (date)
inner join state.lake as lake using (run_id)
group by restated.run_id, did.key;

-- apply_comparison_tables: make the permanent tables equal to the temporary ones; in the BI tables, only rows that
-- differ change. Nothing is truncated, as transactions that began before this one ends would see that
delete from state.lake_files;
delete from state.file_article_days;
delete from state.file_user_days;
delete from state.file_sessions;
delete from state.file_rejected_lines;
delete from state.articles;
delete from state.category_days;
delete from state.day_totals;
insert into state.lake_files select * from pg_temp.lake_files;
update state.lake set first_new_file_id = (select min(file_id) from pg_temp.lake_files where counted_at = now());
insert into state.file_article_days select * from pg_temp.file_article_days;
insert into state.file_user_days select * from pg_temp.file_user_days;
insert into state.file_sessions select * from pg_temp.file_sessions;
insert into state.file_rejected_lines select * from pg_temp.file_rejected_lines;
insert into state.articles select * from pg_temp.articles;
insert into state.category_days select * from pg_temp.category_days;
insert into state.day_totals select * from pg_temp.day_totals;
delete from public.article_performance as present
where not exists (
    select from pg_temp.article_performance as wanted
    where wanted.article_id = present.article_id and wanted.date = present.date
);
insert into public.article_performance as present
(article_id, date, title, category, displays, clicks, cumulative_clicks)
select article_id, date, title, category, displays, clicks, cumulative_clicks
from pg_temp.article_performance
on conflict (article_id, date) do update set
    title = excluded.title,
    category = excluded.category,
    displays = excluded.displays,
    clicks = excluded.clicks,
    cumulative_clicks = excluded.cumulative_clicks
where
    (present.title, present.category, present.displays, present.clicks, present.cumulative_clicks)
    is distinct from
    (excluded.title, excluded.category, excluded.displays, excluded.clicks, excluded.cumulative_clicks);
delete from public.user_performance as present
where not exists (
    select from pg_temp.user_performance as wanted
    where wanted.user_id = present.user_id and wanted.date = present.date
);
insert into public.user_performance as present
(user_id, date, sessions, session_seconds, displays, clicks)
select user_id, date, sessions, session_seconds, displays, clicks
from pg_temp.user_performance
on conflict (date, user_id) do update set
    sessions = excluded.sessions,
    session_seconds = excluded.session_seconds,
    displays = excluded.displays,
    clicks = excluded.clicks
where
    (present.sessions, present.session_seconds, present.displays, present.clicks)
    is distinct from
    (excluded.sessions, excluded.session_seconds, excluded.displays, excluded.clicks);
