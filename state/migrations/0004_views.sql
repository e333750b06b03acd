-- What the BI team would otherwise ask of the tables each time: views with a definition for each column.
create view public.category_performance as
select
    category,
    date,
    sum(displays)::bigint as displays,
    sum(clicks)::bigint as clicks,
    sum(clicks)::double precision / nullif(sum(displays), 0)::double precision as click_through_rate
from public.article_performance
group by category, date;
comment on view public.category_performance is 'One row for each article category and UTC day with a click or a display.';
comment on column public.category_performance.category is 'The articles'' latest category; null for articles without one.';
comment on column public.category_performance.date is 'UTC day of the clicks and displays.';
comment on column public.category_performance.displays is 'Displays of the category''s articles on that day.';
comment on column public.category_performance.clicks is 'Clicks on the category''s articles on that day.';
comment on column public.category_performance.click_through_rate is 'clicks / displays (1 is 100 %); null where displays is 0.';

create view public.daily_overview as
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
group by date;
comment on view public.daily_overview is 'One row for each UTC day with a row in article_performance or user_performance.';
comment on column public.daily_overview.date is 'UTC day.';
comment on column public.daily_overview.displays is 'Displays of all articles on that day, as in article_performance.';
comment on column public.daily_overview.clicks is 'Clicks on all articles on that day, as in article_performance.';
comment on column public.daily_overview.click_through_rate is 'clicks / displays (1 is 100 %); null where displays is 0.';
comment on column public.daily_overview.articles is 'Articles with a click or a display on that day.';
comment on column public.daily_overview.users is 'Users with a click, a display, or a session that began on that day.';
comment on column public.daily_overview.sessions is 'Sessions that began on that day; one may end on the next.';
comment on column public.daily_overview.session_seconds is 'Their lengths added up, in seconds, exact to the microsecond.';
comment on column public.daily_overview.average_session_seconds is 'session_seconds / sessions, in seconds; null where sessions is 0.';

create view public.weekly_overview as
select
    week,
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
        week,
        sum(displays) as displays,
        sum(clicks) as clicks,
        count(*) as articles,
        0 as users,
        0 as sessions,
        0 as session_seconds
    from (
        select
            date_trunc('week', date::timestamp)::date as week,
            sum(displays) as displays,
            sum(clicks) as clicks
        from public.article_performance
        group by article_id, date_trunc('week', date::timestamp)::date
    ) as article_weeks
    group by week
    union all
    select week, 0, 0, 0, count(*), sum(sessions), sum(session_seconds)
    from (
        select
            date_trunc('week', date::timestamp)::date as week,
            sum(sessions) as sessions,
            sum(session_seconds) as session_seconds
        from public.user_performance
        group by user_id, date_trunc('week', date::timestamp)::date
    ) as user_weeks
    group by week
) as both_tables
group by week;
comment on view public.weekly_overview is 'One row for each week, Monday to Sunday in UTC, with a row in article_performance or user_performance; the newest may be counted in part.';
comment on column public.weekly_overview.week is 'The week''s Monday.';
comment on column public.weekly_overview.displays is 'Displays of all articles in that week, as in article_performance.';
comment on column public.weekly_overview.clicks is 'Clicks on all articles in that week, as in article_performance.';
comment on column public.weekly_overview.click_through_rate is 'clicks / displays (1 is 100 %); null where displays is 0.';
comment on column public.weekly_overview.articles is 'Different articles with a click or a display in that week.';
comment on column public.weekly_overview.users is 'Different users with a click, a display, or a session that began in that week.';
comment on column public.weekly_overview.sessions is 'Sessions that began in that week.';
comment on column public.weekly_overview.session_seconds is 'Their lengths added up, in seconds, exact to the microsecond.';
comment on column public.weekly_overview.average_session_seconds is 'session_seconds / sessions, in seconds; null where sessions is 0.';

create view public.article_overview as
select
    article_id,
    max(title) as title,
    max(category) as category,
    min(date) as first_date,
    max(date) as last_date,
    count(*) as days,
    sum(displays)::bigint as displays,
    sum(clicks)::bigint as clicks,
    sum(clicks)::double precision / nullif(sum(displays), 0)::double precision as click_through_rate
from public.article_performance
group by article_id;
comment on view public.article_overview is 'One row for each article with a click or a display: its whole life.';
comment on column public.article_overview.article_id is 'The article: the id in the events'' attributes.';
comment on column public.article_overview.title is 'Its latest title; null where never seen.';
comment on column public.article_overview.category is 'Its latest category; null where never seen.';
comment on column public.article_overview.first_date is 'UTC day of its first click or display.';
comment on column public.article_overview.last_date is 'UTC day of its last click or display.';
comment on column public.article_overview.days is 'UTC days on which it had a click or a display.';
comment on column public.article_overview.displays is 'Its displays on all days.';
comment on column public.article_overview.clicks is 'Its clicks on all days.';
comment on column public.article_overview.click_through_rate is 'clicks / displays (1 is 100 %); null where displays is 0.';

create view public.user_retention as
with user_weeks as (
    select user_id, week, min(week) over (partition by user_id) as first_week
    from (select distinct user_id, date_trunc('week', date::timestamp)::date as week from public.user_performance) as weeks
),

cohorts as (
    select first_week, week, count(*) as users from user_weeks group by first_week, week
)

select
    firsts.first_week,
    weeks.week,
    ((weeks.week - firsts.first_week) / 7)::bigint as weeks_later,
    firsts.users as cohort_users,
    coalesce(cohorts.users, 0) as users,
    coalesce(cohorts.users, 0)::double precision / firsts.users::double precision as retention_rate
from (select first_week, users from cohorts where week = first_week) as firsts
inner join (select distinct week from cohorts) as weeks on weeks.week >= firsts.first_week
left join cohorts on cohorts.first_week = firsts.first_week and cohorts.week = weeks.week;
comment on view public.user_retention is 'Users by the week, Monday to Sunday in UTC, of their first day in user_performance, and how many of them were there in each week from then on; the newest week may be counted in part.';
comment on column public.user_retention.first_week is 'Monday of the week of the users'' first day in user_performance.';
comment on column public.user_retention.week is 'Monday of a week from then on in which any user was there.';
comment on column public.user_retention.weeks_later is 'Weeks from first_week to week; 0 is the first week itself.';
comment on column public.user_retention.cohort_users is 'Users whose first week is first_week.';
comment on column public.user_retention.users is 'Those of them with a click, a display, or a session that began in week.';
comment on column public.user_retention.retention_rate is 'users / cohort_users (1 is 100 %).';

create view public.freshness as
select
    (select started_at from state.runs order by run_id desc limit 1) as last_run_at,
    max(counted_at) as last_counted_at,
    (select key from state.lake_files where counted_at is not null order by counted_at desc, key limit 1) as last_file,
    -- the first column of a primary key, so one look-up: article_performance would have to be read whole
    (select max(date) from public.user_performance) as newest_date,
    count(*) filter (where fingerprint is not null) as files,
    count(*) filter (where error is not null) as failed_files,
    coalesce(sum(size), 0)::bigint as bytes,
    coalesce(sum(events), 0)::bigint as events,
    coalesce(sum(rejected), 0)::bigint as rejected_lines
from state.lake_files;
comment on view public.freshness is 'One row: how far the lake is counted, and what could not be.';
comment on column public.freshness.last_run_at is 'When the last run began, whether it found anything new or not.';
comment on column public.freshness.last_counted_at is 'When a new or changed lake file was counted last.';
comment on column public.freshness.last_file is 'Path of that file below LAKE_URL.';
comment on column public.freshness.newest_date is 'Newest UTC day in user_performance; a wrong clock may set it in the future.';
comment on column public.freshness.files is 'Lake files that count.';
comment on column public.freshness.failed_files is 'Lake files whose present version could not be read; an earlier one of them may count.';
comment on column public.freshness.bytes is 'Size of the files that count, in bytes as stored in the lake.';
comment on column public.freshness.events is 'Their events, of all names.';
comment on column public.freshness.rejected_lines is 'Their lines that could not be read and count nowhere.';
