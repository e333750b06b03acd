-- What check reads

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
