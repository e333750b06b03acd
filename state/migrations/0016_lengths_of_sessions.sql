-- What analysts ask of single sessions: views, as rows kept up to date would read every part of each session that a file
-- touches.
create view state.sessions as
select
    user_id,
    session_id,
    date '0001-01-01' + ((min(first_at) + 62135596800000000) / 86400000000)::integer as date,
    (max(last_at) - min(first_at)) * 0.000001 as seconds,
    sum(events) as events
from state.file_sessions
group by user_id, session_id;
comment on view state.sessions is 'Every session over all files.';
comment on column state.sessions.user_id is 'The user: half of the session''s key.';
comment on column state.sessions.session_id is 'The session id: the other half.';
comment on column state.sessions.date is 'UTC day on which it began.';
comment on column state.sessions.seconds is 'Its length in seconds, exact to the microsecond.';
comment on column state.sessions.events is 'Its events, of all names.';

create view public.user_sessions as
select
    user_id,
    date,
    count(*) as sessions,
    count(*) filter (where events = 1) as single_event_sessions,
    max(seconds)::numeric(38, 6) as longest_session_seconds
from state.sessions
group by user_id, date;
comment on view public.user_sessions is 'One row for each user and UTC day on which a session of the user began.';
comment on column public.user_sessions.user_id is 'The user, as in user_performance.';
comment on column public.user_sessions.date is 'UTC day on which the sessions began.';
comment on column public.user_sessions.sessions is 'Sessions that began on that day; one may end on the next.';
comment on column public.user_sessions.single_event_sessions is 'Those of them with one event, of any name.';
comment on column public.user_sessions.longest_session_seconds is 'Length of the longest of them in seconds, exact to the microsecond.';

create or replace view public.daily_overview as
select totals.*, medians.median_session_seconds
from (
    select
        date,
        sum(displays)::bigint as displays,
        sum(clicks)::bigint as clicks,
        sum(clicks)::double precision / nullif(sum(displays), 0)::double precision as click_through_rate,
        sum(articles)::bigint as articles,
        sum(users)::bigint as users,
        sum(sessions)::bigint as sessions,
        sum(session_seconds)::numeric(38, 6) as session_seconds,
        sum(session_seconds)::double precision / nullif(sum(sessions), 0)::double precision as average_session_seconds
    from (
        select
            date,
            sum(displays) as displays,
            sum(clicks) as clicks,
            count(*) as articles,
            0 as users,
            0 as sessions,
            0 as session_seconds
        from public.article_performance
        group by date
        union all
        select date, 0, 0, 0, count(*), sum(sessions), sum(session_seconds)
        from public.user_performance
        group by date
    ) as both_tables
    group by date
) as totals
-- without this column in a query, the planner drops the join
left join (
    select date, percentile_cont(0.5) within group (order by seconds::double precision) as median_session_seconds
    from state.sessions
    group by date
) as medians using (date);
comment on column public.daily_overview.median_session_seconds is 'Median length of those sessions in seconds; null if sessions is 0.';
