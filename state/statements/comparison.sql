-- The comparison tables of a rebuild and of verify

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
