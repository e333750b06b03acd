-- The sums by day hold displays and clicks as well, so that a run finds the totals of a day that it changes with one
-- look-up, and records what it changed.
alter table state.session_days rename to day_totals;
alter index state.session_days_pkey rename to day_totals_pkey;
alter table state.day_totals add column displays bigint not null default 0, add column clicks bigint not null default 0;
insert into state.day_totals (date, displays, clicks, sessions, session_seconds)
select date, sum(displays), sum(clicks), 0, 0 from state.category_days group by date
on conflict (date) do update set displays = excluded.displays, clicks = excluded.clicks;
alter table state.day_totals alter column displays drop default, alter column clicks drop default;
comment on table state.day_totals is 'The displays and clicks of article_performance and the sessions of user_performance summed by day.';
comment on column state.day_totals.date is 'UTC day of the clicks and displays, and on which the sessions began.';
comment on column state.day_totals.displays is 'Displays of all articles on that day.';
comment on column state.day_totals.clicks is 'Clicks on all articles on that day.';
comment on column state.day_totals.sessions is 'Sessions that began on that day.';
comment on column state.day_totals.session_seconds is 'Total length of those sessions in seconds, exact to the microsecond.';

create table state.restatements (
    run_id bigint not null,
    date date not null,
    restated_at timestamptz not null,
    is_published boolean not null,
    displays_before bigint not null,
    displays_after bigint not null,
    clicks_before bigint not null,
    clicks_after bigint not null,
    sessions_before bigint not null,
    sessions_after bigint not null,
    session_seconds_before numeric(38, 6) not null,
    session_seconds_after numeric(38, 6) not null,
    is_restated boolean not null
    generated always as (
        is_published and (
            displays_before <> displays_after
            or clicks_before <> clicks_after
            or sessions_before <> sessions_after
            or session_seconds_before <> session_seconds_after
        )
    ) stored,
    primary key (run_id, date)
);
create index restatements_newest on state.restatements (restated_at, date) where is_restated;
comment on table state.restatements is 'The totals of every day that a run touched, as the run found them and as it left them.';
comment on column state.restatements.run_id is 'The run, in state.runs.';
comment on column state.restatements.date is 'UTC day.';
comment on column state.restatements.restated_at is 'When the run last touched the day.';
comment on column state.restatements.is_published is 'Whether the BI tables had a row of that day before the run.';
comment on column state.restatements.displays_before is 'Displays of that day before the run, as in daily_overview.';
comment on column state.restatements.displays_after is 'Displays of that day after the run.';
comment on column state.restatements.clicks_before is 'Clicks of that day before the run.';
comment on column state.restatements.clicks_after is 'Clicks of that day after the run.';
comment on column state.restatements.sessions_before is 'Sessions that began on that day, before the run.';
comment on column state.restatements.sessions_after is 'Sessions that began on that day, after the run.';
comment on column state.restatements.session_seconds_before is 'Total length of those sessions in seconds, before the run.';
comment on column state.restatements.session_seconds_after is 'Total length of those sessions in seconds, after the run.';
comment on column state.restatements.is_restated is 'Whether that day was published before and its totals changed.';

create table state.restating_files (
    run_id bigint not null,
    key text collate "C" not null,
    dates date[] not null
);
create index on state.restating_files (run_id);
alter table state.restating_files replica identity full;
comment on table state.restating_files is 'The files that changed the totals of published days; a watch names a file again for each version.';
comment on column state.restating_files.run_id is 'The run, in state.runs.';
comment on column state.restating_files.key is 'Path of the file below LAKE_URL.';
comment on column state.restating_files.dates is 'The UTC days whose totals it changed.';

create view public.restatements as
select
    run_id,
    restated_at,
    date,
    array(
        select distinct by_key.key
        from state.restating_files as by_key
        where by_key.run_id = days.run_id and days.date = any(by_key.dates)
        order by by_key.key
        limit 20
    ) as files,
    (
        select count(distinct by_key.key)
        from state.restating_files as by_key
        where by_key.run_id = days.run_id and days.date = any(by_key.dates)
    ) as file_count,
    displays_before,
    displays_after,
    clicks_before,
    clicks_after,
    sessions_before,
    sessions_after,
    session_seconds_before,
    session_seconds_after
from state.restatements as days
where is_restated;
comment on view public.restatements is 'One row for each run and UTC day whose totals the run changed after they had been published; a day that a run publishes for the first time has none.';
comment on column public.restatements.run_id is 'The run that changed them; a watch is one run, however long it stays up.';
comment on column public.restatements.restated_at is 'When that run last touched the day.';
comment on column public.restatements.date is 'The UTC day.';
comment on column public.restatements.files is 'Paths below LAKE_URL of the lake files that did it, at most 20: new, changed, pruned or forgotten ones.';
comment on column public.restatements.file_count is 'How many files did it; 0 if none has other content, for example if a user was forgotten.';
comment on column public.restatements.displays_before is 'Displays of that day before the run, as in daily_overview; 0 if the day had none.';
comment on column public.restatements.displays_after is 'Displays of that day after the run.';
comment on column public.restatements.clicks_before is 'Clicks of that day before the run, as in daily_overview; 0 if the day had none.';
comment on column public.restatements.clicks_after is 'Clicks of that day after the run.';
comment on column public.restatements.sessions_before is 'Sessions that began on that day, before the run; 0 if the day had none.';
comment on column public.restatements.sessions_after is 'Sessions that began on that day, after the run.';
comment on column public.restatements.session_seconds_before is 'Total length of those sessions in seconds, before the run; 0 if the day had none.';
comment on column public.restatements.session_seconds_after is 'Total length of those sessions in seconds, after the run.';
