-- A transaction ingests a batch of files: each version gets a number of its own, and one row for each article holds its
-- latest texts and its last cumulative clicks.
create table state.articles (
    title_at bigint,
    category_at bigint,
    clicks bigint not null,
    last_date date not null,
    article_id text collate "C" primary key,
    title text collate "C",
    category text collate "C"
) with (fillfactor = 70);
insert into state.articles (title_at, category_at, clicks, last_date, article_id, title, category)
select texts.title_at, texts.category_at, days.cumulative_clicks, days.date, days.article_id, days.title, days.category
from (
    select distinct on (article_id) article_id, date, cumulative_clicks, title, category
    from public.article_performance
    order by article_id, date desc
) as days
left join state.article_texts as texts using (article_id);
drop table state.article_texts;
comment on table state.articles is
'Every article of article_performance over all files: its latest texts and its last cumulative clicks.';
comment on column state.articles.title_at is 'Time of the event with this title (microseconds since 1970-01-01 UTC).';
comment on column state.articles.category_at is 'Time of the event with this category (microseconds since 1970-01-01 UTC).';
comment on column state.articles.clicks is 'Its clicks on all days.';
comment on column state.articles.last_date is 'The last UTC day on which it has a click or a display.';
comment on column state.articles.article_id is 'The article.';
comment on column state.articles.title is 'Its latest title.';
comment on column state.articles.category is 'Its latest category.';

-- the report names the files of the last run, or of the last turn of a watch; of an older watch, those of its last commit
alter table state.lake add column first_new_file_id integer;
comment on column state.lake.first_new_file_id is 'Number of the first file that the last run, or the last turn of a watch, which ingested any has ingested; null before the first.';
update state.lake set first_new_file_id = (
    select min(files.file_id)
    from (select max(counted_at) as at from state.lake_files) as last
    cross join lateral (
        select case when command = 'watch' then last.at else started_at end as at
        from state.runs
        where started_at <= last.at
        order by run_id desc
        limit 1
    ) as began
    inner join state.lake_files as files on files.fingerprint is not null and files.counted_at >= began.at
);

-- what metrics read after each turn of a watch
create index runs_succeeded on state.runs (ended_at) where exit_code = 0 and command not in ('verify', 'forget');
create index lake_files_newest on state.lake_files (newest_at);
create index lake_files_failed on state.lake_files (file_id) where error is not null;

alter table state.lake_files alter column file_id drop identity;
comment on column state.lake_files.file_id is 'Number of the file in the tables file_*; each version that is ingested gets the next one.';

drop index state.file_article_days_hash;
create index file_article_days_hash
on state.file_article_days (hashtextextended(article_id, 0), greatest(title_at, category_at));

-- the first and the last event of a session with events in many files are found with one look-up each
drop index state.file_sessions_hash;
create index file_sessions_first on state.file_sessions
(hashtextextended(session_id, hashtextextended(user_id, 0)), first_at);
create index file_sessions_last on state.file_sessions
(hashtextextended(session_id, hashtextextended(user_id, 0)), last_at);

-- staged rows are worthless once their run is over
drop table
    state.staged_pieces, state.staged_article_days, state.staged_user_days, state.staged_sessions, state.staged_chunks,
    state.staged_rejected_lines;
create unlogged table state.staged_partials (
    partial_id uuid not null default current_setting('event_lake.partial_id')::uuid
);
create unlogged table state.staged_article_days (
    partial_id uuid not null default current_setting('event_lake.partial_id')::uuid,
    article_id text collate "C",
    date date,
    displays integer,
    clicks integer,
    title_at bigint,
    category_at bigint,
    title text collate "C",
    category text collate "C"
);
create unlogged table state.staged_user_days (
    partial_id uuid not null default current_setting('event_lake.partial_id')::uuid,
    user_id text collate "C",
    date date,
    displays integer,
    clicks integer
);
create unlogged table state.staged_sessions (
    partial_id uuid not null default current_setting('event_lake.partial_id')::uuid,
    user_id text collate "C",
    session_id text collate "C",
    first_at bigint,
    last_at bigint,
    events integer
);
create unlogged table state.staged_rejected_lines (
    partial_id uuid not null default current_setting('event_lake.partial_id')::uuid,
    chunk bigint,
    line bigint,
    reason text,
    raw bytea
);
create index on state.staged_partials (partial_id);
create index on state.staged_article_days (partial_id);
create index on state.staged_user_days (partial_id);
create index on state.staged_sessions (partial_id);
create index on state.staged_rejected_lines (partial_id);
comment on table state.staged_partials is 'Partials that executors of Spark have staged completely for the run at work; each is of one file, or of one shard of its ids.';
comment on column state.staged_partials.partial_id is 'A random name for the partial; each attempt of a task uses another.';
comment on table state.staged_article_days is 'Staged: displays, clicks and latest texts of an article on a day.';
comment on column state.staged_article_days.partial_id is 'The partial, in staged_partials.';
comment on column state.staged_article_days.article_id is 'The article.';
comment on column state.staged_article_days.date is 'UTC day.';
comment on column state.staged_article_days.displays is 'Displays in the partial.';
comment on column state.staged_article_days.clicks is 'Clicks in the partial.';
comment on column state.staged_article_days.title_at is 'Time of the event with this title (microseconds since 1970-01-01 UTC).';
comment on column state.staged_article_days.category_at is 'Time of the event with this category (microseconds since 1970-01-01 UTC).';
comment on column state.staged_article_days.title is 'The latest title of the article in the partial, on the day of its event; null on other days.';
comment on column state.staged_article_days.category is 'The latest category of the article in the partial, on the day of its event; null on other days.';
comment on table state.staged_user_days is 'Staged: displays and clicks of a user on a day.';
comment on column state.staged_user_days.partial_id is 'The partial, in staged_partials.';
comment on column state.staged_user_days.user_id is 'The user.';
comment on column state.staged_user_days.date is 'UTC day.';
comment on column state.staged_user_days.displays is 'Displays in the partial.';
comment on column state.staged_user_days.clicks is 'Clicks in the partial.';
comment on table state.staged_sessions is 'Staged: the span of a session.';
comment on column state.staged_sessions.partial_id is 'The partial, in staged_partials.';
comment on column state.staged_sessions.user_id is 'The user: half of the session''s key.';
comment on column state.staged_sessions.session_id is 'The session id: the other half.';
comment on column state.staged_sessions.first_at is 'Its first event in the partial (microseconds since 1970-01-01 UTC).';
comment on column state.staged_sessions.last_at is 'Its last event in the partial (microseconds since 1970-01-01 UTC).';
comment on column state.staged_sessions.events is 'Its events in the partial.';
comment on table state.staged_rejected_lines is 'Staged: rejected lines.';
comment on column state.staged_rejected_lines.partial_id is 'The partial, in staged_partials.';
comment on column state.staged_rejected_lines.chunk is 'The byte of the file at which the line''s chunk begins.';
comment on column state.staged_rejected_lines.line is 'The line''s number in that chunk, from 0.';
comment on column state.staged_rejected_lines.reason is 'Code of the reason, as the README lists them.';
comment on column state.staged_rejected_lines.raw is 'The line''s first 1,000 bytes.';

-- comments in the words of docs/glossary.md
comment on column state.runs.ended_at is 'When it ended; null while it is at work, and if it was killed.';
comment on column state.runs.command is 'Its command: count, rebuild, watch, forget or verify; unknown for runs before this was recorded.';
comment on column state.runs.exit_code is 'How it ended: 0 done, 1 something failed, 2 a wrong setting; null while it is at work, and if it was killed or lost its lock.';
comment on column state.runs.error is 'The error that ended it; null without one. lake_files records why a single file failed.';
comment on column state.runs.files_counted is 'Files that it counted; for verify, files that it read.';
comment on column state.runs.files_unchanged is 'Files that were counted before and have not changed.';
comment on column state.runs.files_forgotten is 'Files that it retracted because they were pruned or forgotten.';
comment on column state.runs.seconds is 'How long it took, in seconds, without drawing the report; for a watch, until it was last at work.';
comment on column state.runs.reasons is 'The number of those rejected lines by the code of their reason; empty for runs before this was recorded.';
comment on column state.lake.only_one is 'Always true, so that there is only one row.';
comment on table state.lake_files is 'The checkpoint of every lake file that was counted or failed.';
comment on column state.lake_files.fingerprint is 'ETag or modification time, and size, of the counted version; null if no version was counted.';
comment on column state.lake_files.commit_id is 'The transaction that counted it; it shows whether a commit whose outcome is unknown took place.';
comment on column state.lake_files.error is 'Why its present version could not be read; null if it could.';
comment on column state.lake_files.failed_at is 'When that error was found.';
comment on column state.lake_files.newest_at is 'Time of the latest event of the counted version (microseconds since 1970-01-01 UTC); null without events, and if it was counted before this was recorded.';
comment on table state.file_article_days is
'What each file contributes: displays and clicks of an article on a day, and its latest title and category.';
comment on column state.file_article_days.title_at is 'Time of the event with this title (microseconds since 1970-01-01 UTC).';
comment on column state.file_article_days.category_at is 'Time of the event with this category (microseconds since 1970-01-01 UTC).';
comment on column state.file_article_days.title is 'The latest title of the article in this file, on the day of its event; null on other days.';
comment on column state.file_article_days.category is 'The latest category of the article in this file, on the day of its event; null on other days.';
comment on table state.file_user_days is 'What each file contributes: displays and clicks of a user on a day.';
comment on table state.file_sessions is 'What each file contributes: the span of a session, which may have events in several files.';
comment on column state.file_sessions.user_id is 'The user: half of the session''s key.';
comment on table state.file_rejected_lines is 'What each file contributes: its rejected lines.';
comment on view state.rejected_lines is 'Rejected lines by file; they are not counted.';
comment on column public.article_performance.title is 'The article''s latest title over all days; null if no event named one.';
comment on column public.article_performance.category is 'The article''s latest category over all days; null if no event named one.';
comment on column public.article_performance.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';
comment on column public.user_performance.date is 'UTC day of the clicks and displays; a session belongs to the day on which it began.';
comment on column public.user_performance.session_seconds is 'Total length of those sessions in seconds, exact to the microsecond; a length is the time from the first to the last event.';
comment on column public.user_performance.average_session_seconds is 'session_seconds / sessions, in seconds; null if sessions is 0.';
comment on column public.user_performance.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';
comment on table state.category_days is 'The displays and clicks of article_performance summed by category and day.';
comment on table state.session_days is 'The sessions of user_performance summed by day.';
comment on column state.session_days.session_seconds is 'Total length of those sessions in seconds, exact to the microsecond.';
comment on column public.category_performance.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';
comment on column public.daily_overview.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';
comment on column public.daily_overview.session_seconds is 'Total length of those sessions in seconds, exact to the microsecond.';
comment on column public.daily_overview.average_session_seconds is 'session_seconds / sessions, in seconds; null if sessions is 0.';
comment on view public.weekly_overview is 'One row for each week, Monday to Sunday in UTC, with a row in article_performance or user_performance; the newest week may be incomplete.';
comment on column public.weekly_overview.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';
comment on column public.weekly_overview.articles is 'Distinct articles with a click or a display in that week.';
comment on column public.weekly_overview.users is 'Distinct users with a click, a display, or a session that began in that week.';
comment on column public.weekly_overview.session_seconds is 'Total length of those sessions in seconds, exact to the microsecond.';
comment on column public.weekly_overview.average_session_seconds is 'session_seconds / sessions, in seconds; null if sessions is 0.';
comment on view public.article_overview is 'One row for each article with a click or a display: the sums over all its days.';
comment on column public.article_overview.title is 'Its latest title; null if no event named one.';
comment on column public.article_overview.category is 'Its latest category; null if no event named one.';
comment on column public.article_overview.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';
comment on view public.user_retention is 'Users by the week, Monday to Sunday in UTC, of their first day in user_performance, and how many of them were active in each week since then; the newest week may be incomplete.';
comment on column public.user_retention.week is 'Monday of that week or of a later one in which any user was active.';
comment on column public.user_retention.users is 'Those of them with a click, a display, or a session that began in that week.';
comment on view public.freshness is 'One row: when the lake was last counted, up to which event, and what failed.';
comment on column public.freshness.last_counted_at is 'When a new or changed lake file was last counted.';
comment on column public.freshness.files is 'Lake files that are counted.';
comment on column public.freshness.failed_files is 'Lake files whose present version could not be read; an earlier version may be counted.';
comment on column public.freshness.bytes is 'Size of the counted files, in bytes as stored in the lake.';
comment on column public.freshness.rejected_lines is 'Their rejected lines, which could not be read and are not counted.';
comment on column public.freshness.newest_event_at is 'Time of their latest event, whatever its name; a wrong clock may set it in the future. Null if no file was counted since this was recorded.';
