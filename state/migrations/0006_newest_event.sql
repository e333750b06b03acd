-- When the latest event of a file was, and why lines were rejected, by run: for metrics.
alter table state.lake_files add column newest_at bigint;
comment on column state.lake_files.newest_at is 'When the latest event of the version that counts was (microseconds since 1970-01-01 UTC); null without an event, and where it was counted before this was recorded.';
alter table state.runs add column reasons jsonb not null default '{}';
comment on column state.runs.reasons is 'Those rejected lines by the code of their reason; empty for runs before this was recorded.';
create or replace view public.freshness as
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
    coalesce(sum(rejected), 0)::bigint as rejected_lines,
    -- whole seconds first: an interval is multiplied as a double, which holds no more
    timestamptz 'epoch'
    + max(newest_at) / 1000000 * interval '1 second'
    + max(newest_at) % 1000000 * interval '1 microsecond' as newest_event_at
from state.lake_files;
comment on column public.freshness.newest_event_at is 'When their latest event was, whatever its name; a wrong clock may set it in the future. Null where no file was counted since this was recorded.';
