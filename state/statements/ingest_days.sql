-- What a batch changes of the sums by day, and which published days it restates

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
