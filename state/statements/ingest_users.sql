-- What a batch changes of sessions, and the rows that it changes of user_performance

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
