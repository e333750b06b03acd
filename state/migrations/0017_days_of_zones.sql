-- Postgres never turns a time into a day: in sessions, the time of the first event brings its day along. It is 4 times the
-- microseconds since 1970-01-01 UTC, plus 0, 1 or 2 if its day in the lake's time zone is the one before its UTC day, the
-- same or the next. So its order is that of the times, and the least one of a session has the session's day.
create function state.find_session_time(first_at bigint) returns bigint
language sql immutable strict parallel safe
return first_at >> 2;

-- The days since the year 1; no time is earlier.
create function state.find_session_day(first_at bigint) returns date
language sql immutable strict parallel safe
return date '0001-01-01' + (
    ((first_at >> 2) + 62135596800000000) / 86400000000 + (first_at & 3) - 1
)::integer;
comment on function state.find_session_time is 'The time in first_at of a session: microseconds since 1970-01-01 UTC.';
comment on function state.find_session_day is 'The day in first_at of a session, in the lake''s time zone.';

-- Databases from before this have UTC days. A column cannot change while a view reads it.
create or replace view state.sessions as
select user_id, session_id, null::date as date, null::numeric as seconds, null::bigint as events
from state.file_sessions;
alter table state.file_sessions alter column first_at type bigint using first_at * 4 + 1;
create or replace view state.sessions as
select
    user_id,
    session_id,
    state.find_session_day(min(first_at)) as date,
    (max(last_at) - state.find_session_time(min(first_at))) * 0.000001 as seconds,
    sum(events) as events
from state.file_sessions
group by user_id, session_id;
comment on column state.file_sessions.first_at is 'Its first event in this file, with its day: see find_session_time and find_session_day.';
comment on column state.staged_sessions.first_at is 'Its first event in the partial, with its day: see find_session_time and find_session_day.';
comment on column state.file_article_days.date is 'Day in the lake''s time zone.';
comment on column state.file_user_days.date is 'Day in the lake''s time zone.';
comment on column state.articles.last_date is 'The last day on which it has a click or a display.';
comment on column state.staged_article_days.date is 'Day in the lake''s time zone.';
comment on column state.staged_user_days.date is 'Day in the lake''s time zone.';
comment on table public.article_performance is 'One row for each article and day with a click or a display.';
comment on column public.article_performance.date is 'Day of the clicks and displays, in the lake''s time zone.';
comment on column public.article_performance.displays is 'Events on that day that lake.toml lists as displays.';
comment on column public.article_performance.clicks is 'Events on that day that lake.toml lists as clicks.';
comment on table public.user_performance is 'One row for each user and day with a click, a display, or a session that began on it.';
comment on column public.user_performance.user_id is 'The user of the events.';
comment on column public.user_performance.date is 'Day of the clicks and displays, in the lake''s time zone; a session belongs to the day on which it began.';
comment on column public.user_performance.displays is 'Events on that day that lake.toml lists as displays.';
comment on column public.user_performance.clicks is 'Events on that day that lake.toml lists as clicks.';
comment on column state.category_days.date is 'Day of the clicks and displays, in the lake''s time zone.';
comment on view public.category_performance is 'One row for each article category and day with a click or a display.';
comment on column public.category_performance.date is 'Day of the clicks and displays, in the lake''s time zone.';
comment on view public.daily_overview is 'One row for each day with a row in article_performance or user_performance.';
comment on column public.daily_overview.date is 'Day in the lake''s time zone.';
comment on view public.weekly_overview is 'One row for each week, Monday to Sunday, with a row in article_performance or user_performance; the newest week may be incomplete.';
comment on column public.article_overview.first_date is 'Day of its first click or display.';
comment on column public.article_overview.last_date is 'Day of its last click or display.';
comment on column public.article_overview.days is 'Days on which it had a click or a display.';
comment on view public.user_retention is 'Users by the week, Monday to Sunday, of their first day in user_performance, and how many of them were active in each week since then; the newest week may be incomplete.';
comment on column public.freshness.newest_date is 'Newest day in user_performance; a wrong clock may set it in the future.';
comment on column state.day_totals.date is 'Day of the clicks and displays, and on which the sessions began, in the lake''s time zone.';
comment on column state.restatements.date is 'Day in the lake''s time zone.';
comment on column state.restating_files.dates is 'The days whose totals it changed.';
comment on view public.restatements is 'One row for each run and day whose totals the run changed after they had been published; a day that a run publishes for the first time has none.';
comment on column public.restatements.date is 'The day, in the lake''s time zone.';
comment on column state.sessions.date is 'Day on which it began, in the lake''s time zone.';
comment on view public.user_sessions is 'One row for each user and day on which a session of the user began.';
comment on column public.user_sessions.date is 'Day on which the sessions began, in the lake''s time zone.';
