-- A view of users with more events a day than a person has, for BI to leave out.
create view public.busy_users as
select user_id, date, displays, clicks, sessions
from public.user_performance
where displays + clicks > 10000;
comment on view public.busy_users is 'One row for each user and day with over 10,000 clicks and displays, which no person has: bots, to leave out of reports.';
comment on column public.busy_users.user_id is 'The user of the events.';
comment on column public.busy_users.date is 'Day of the clicks and displays, in the lake''s time zone.';
comment on column public.busy_users.displays is 'Displays of the user on that day, as in user_performance.';
comment on column public.busy_users.clicks is 'Clicks of the user on that day, as in user_performance.';
comment on column public.busy_users.sessions is 'Sessions of the user that began on that day.';
comment on column state.runs.command is 'Its command: count, rebuild, recount, watch, forget or verify; unknown for runs before this was recorded.';
