-- The schema of the database: BI tables in schema public; checkpoints, contributions and runs in schema state.
-- Keys compare by code points (collate "C"); times in state are whole microseconds since 1970-01-01 UTC, as integers.

create schema state;
comment on schema state is 'Checkpoints, contributions and runs of the event lake; for the program, not for BI.';

create table state.steps (
    step integer primary key,
    applied_at timestamptz not null default now()
);
comment on table state.steps is 'Steps of the schema that were applied to this database.';
comment on column state.steps.step is 'Number of the step, as in state/migrations.';
comment on column state.steps.applied_at is 'When it was applied.';

create table state.runs (
    run_id bigint generated always as identity primary key,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    host text not null,
    pid integer not null,
    command text not null default 'unknown',
    exit_code integer,
    error text,
    files_counted bigint not null default 0,
    files_unchanged bigint not null default 0,
    files_failed bigint not null default 0,
    files_forgotten bigint not null default 0,
    events bigint not null default 0,
    rejected bigint not null default 0,
    seconds double precision not null default 0,
    bytes bigint not null default 0,
    reasons jsonb not null default '{}'
);
create index runs_succeeded on state.runs (ended_at) where exit_code = 0 and command not in ('verify', 'forget');
comment on table state.runs is 'Every run that held the lock of this database.';
comment on column state.runs.run_id is 'Number of the run.';
comment on column state.runs.started_at is 'When it took the lock.';
comment on column state.runs.ended_at is 'When it ended; null while it is at work, and if it was killed.';
comment on column state.runs.host is 'Host it ran on.';
comment on column state.runs.pid is 'Its process id on that host.';
comment on column state.runs.command is 'Its command: count, rebuild, recount, watch, forget or verify; unknown for runs before this was recorded.';
comment on column state.runs.exit_code is 'How it ended: 0 done, 1 something failed, 2 a wrong setting; null while it is at work, and if it was killed or lost its lock.';
comment on column state.runs.error is 'The error that ended it; null without one. lake_files records why a single file failed.';
comment on column state.runs.files_counted is 'Files that it counted; for verify, files that it read.';
comment on column state.runs.files_unchanged is 'Files that were counted before and have not changed.';
comment on column state.runs.files_failed is 'Files that could not be ingested.';
comment on column state.runs.files_forgotten is 'Files that it retracted because they were pruned or forgotten.';
comment on column state.runs.events is 'Events in the files that it counted.';
comment on column state.runs.rejected is 'Rejected lines in the files that it counted.';
comment on column state.runs.seconds is 'How long it took, in seconds, without drawing the report; for a watch, until it was last at work.';
comment on column state.runs.bytes is 'Bytes that it read from the lake, as they are stored there.';
comment on column state.runs.reasons is 'The number of those rejected lines by the code of their reason; empty for runs before this was recorded.';

create table state.lake (
    only_one boolean primary key default true check (only_one),
    url text not null,
    run_id bigint not null,
    first_new_file_id integer,
    definition jsonb not null default '{}'
);
comment on table state.lake is 'The one lake that this database holds.';
comment on column state.lake.only_one is 'Always true, so that there is only one row.';
comment on column state.lake.url is 'LAKE_URL, as the first run recorded it or the last --relocated changed it.';
comment on column state.lake.run_id is 'The run that may write; another number stops a run that lost its lock.';
comment on column state.lake.first_new_file_id is 'Number of the first file of the last run, or turn of a watch, that ingested any; null before there is one.';
comment on column state.lake.definition is 'What lake.toml changed of the assignment''s definition when the lake was counted, by section and key.';

create table state.lake_files (
    file_id integer primary key,
    key text collate "C" not null,
    fingerprint text,
    content_hash bytea,
    size bigint,
    lines bigint not null default 0,
    events bigint not null default 0,
    rejected bigint not null default 0,
    empty bigint not null default 0,
    counted_at timestamptz,
    commit_id uuid,
    error text,
    failed_at timestamptz,
    newest_at bigint,
    event_days jsonb,
    exclude using hash (key with =),
    constraint every_line_is_accounted_for check (lines = events + rejected + empty)
);
-- what metrics read after each turn of a watch
create index lake_files_newest on state.lake_files (newest_at);
create index lake_files_failed on state.lake_files (file_id) where error is not null;
comment on table state.lake_files is 'The checkpoint of every lake file that was counted or failed.';
comment on column state.lake_files.file_id is 'Number of the file in the tables file_*; each version that is ingested gets the next one.';
comment on column state.lake_files.key is 'Path of the file below LAKE_URL.';
comment on column state.lake_files.fingerprint is 'ETag or modification time, and size, of the counted version; null if no version was counted.';
comment on column state.lake_files.content_hash is 'SHA-256 over the lines of that version.';
comment on column state.lake_files.size is 'Size of that version in bytes, as stored in the lake.';
comment on column state.lake_files.lines is 'Its lines after the header: events, rejected lines and empty lines.';
comment on column state.lake_files.events is 'Its events.';
comment on column state.lake_files.rejected is 'Its rejected lines.';
comment on column state.lake_files.empty is 'Its empty lines.';
comment on column state.lake_files.counted_at is 'When that version was counted.';
comment on column state.lake_files.commit_id is 'The transaction that counted it; it shows whether a commit whose outcome is unknown took place.';
comment on column state.lake_files.error is 'Why its present version could not be ingested; null if it could.';
comment on column state.lake_files.failed_at is 'When that error was found.';
comment on column state.lake_files.newest_at is 'Time of the latest event of the counted version (microseconds since 1970-01-01 UTC); null without events, and if it was counted before this was recorded.';
comment on column state.lake_files.event_days is 'Its clicks and displays by day and by the name of the event; null if it was counted before this was recorded.';

create table state.file_article_days (
    title_at bigint,
    category_at bigint,
    file_id integer not null,
    date date not null,
    displays integer not null,
    clicks integer not null,
    article_id text collate "C" not null,
    title text collate "C",
    category text collate "C"
);
create index on state.file_article_days (file_id);
create index file_article_days_hash
on state.file_article_days (hashtextextended(article_id, 0), greatest(title_at, category_at));
-- For publications: a key would need an index; the whole row as identity costs something only if wal_level is logical.
alter table state.file_article_days replica identity full;
comment on table state.file_article_days is
'What each file contributes: displays and clicks of an article on a day, and its latest title and category.';
comment on column state.file_article_days.title_at is 'Time of the event with this title (microseconds since 1970-01-01 UTC).';
comment on column state.file_article_days.category_at is 'Time of the event with this category (microseconds since 1970-01-01 UTC).';
comment on column state.file_article_days.file_id is 'The file, in lake_files.';
comment on column state.file_article_days.date is 'Day in the lake''s time zone.';
comment on column state.file_article_days.displays is 'Displays in this file.';
comment on column state.file_article_days.clicks is 'Clicks in this file.';
comment on column state.file_article_days.article_id is 'The article.';
comment on column state.file_article_days.title is 'The latest title of the article in this file, on the day of its event; null on other days.';
comment on column state.file_article_days.category is 'The latest category of the article in this file, on the day of its event; null on other days.';

create table state.file_user_days (
    file_id integer not null,
    date date not null,
    displays integer not null,
    clicks integer not null,
    user_id text collate "C" not null
);
create index on state.file_user_days (file_id);
alter table state.file_user_days replica identity full;
comment on table state.file_user_days is 'What each file contributes: displays and clicks of a user on a day.';
comment on column state.file_user_days.file_id is 'The file, in lake_files.';
comment on column state.file_user_days.date is 'Day in the lake''s time zone.';
comment on column state.file_user_days.displays is 'Displays in this file.';
comment on column state.file_user_days.clicks is 'Clicks in this file.';
comment on column state.file_user_days.user_id is 'The user.';

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

create table state.file_sessions (
    first_at bigint not null,
    last_at bigint not null,
    file_id integer not null,
    events integer not null,
    user_id text collate "C" not null,
    session_id text collate "C" not null
);
create index on state.file_sessions (file_id);
create index file_sessions_first on state.file_sessions
(hashtextextended(session_id, hashtextextended(user_id, 0)), first_at);
create index file_sessions_last on state.file_sessions
(hashtextextended(session_id, hashtextextended(user_id, 0)), last_at);
alter table state.file_sessions replica identity full;
comment on table state.file_sessions is 'What each file contributes: the span of a session, which may have events in several files.';
comment on column state.file_sessions.first_at is 'Its first event in this file, with its day: see find_session_time and find_session_day.';
comment on column state.file_sessions.last_at is 'Its last event in this file (microseconds since 1970-01-01 UTC).';
comment on column state.file_sessions.file_id is 'The file, in lake_files.';
comment on column state.file_sessions.events is 'Its events in this file.';
comment on column state.file_sessions.user_id is 'The user: half of the session''s key.';
comment on column state.file_sessions.session_id is 'The session id: the other half.';

create table state.articles (
    title_at bigint,
    category_at bigint,
    clicks bigint not null,
    last_date date not null,
    article_id text collate "C" primary key,
    title text collate "C",
    category text collate "C"
) with (fillfactor = 70);
comment on table state.articles is
'Every article of article_performance over all files: its latest texts and its last cumulative clicks.';
comment on column state.articles.title_at is 'Time of the event with this title (microseconds since 1970-01-01 UTC).';
comment on column state.articles.category_at is 'Time of the event with this category (microseconds since 1970-01-01 UTC).';
comment on column state.articles.clicks is 'Its clicks on all days.';
comment on column state.articles.last_date is 'The last day on which it has a click or a display.';
comment on column state.articles.article_id is 'The article.';
comment on column state.articles.title is 'Its latest title.';
comment on column state.articles.category is 'Its latest category.';

create table state.file_rejected_lines (
    file_id integer not null,
    line_number bigint not null,
    reason text not null,
    raw bytea not null,
    primary key (file_id, line_number)
);
comment on table state.file_rejected_lines is 'What each file contributes: its rejected lines.';
comment on column state.file_rejected_lines.file_id is 'The file, in lake_files.';
comment on column state.file_rejected_lines.line_number is 'Line in the decompressed file; the header is line 1.';
comment on column state.file_rejected_lines.reason is 'Code of the reason; docs/tables.md lists all of them.';
comment on column state.file_rejected_lines.raw is 'The line''s first 1,000 bytes; empty if it holds the id of a forgotten user.';

create view state.rejected_lines as
select files.key, lines.line_number, lines.reason, lines.raw
from state.file_rejected_lines as lines
inner join state.lake_files as files using (file_id);
comment on view state.rejected_lines is 'Rejected lines by file; they are not counted.';
comment on column state.rejected_lines.key is 'Path of the file below LAKE_URL.';
comment on column state.rejected_lines.line_number is 'Line in the decompressed file; the header is line 1.';
comment on column state.rejected_lines.reason is 'Code of the reason; docs/tables.md lists all of them.';
comment on column state.rejected_lines.raw is 'The line''s first 1,000 bytes; empty if it holds the id of a forgotten user.';

-- HMAC-SHA-256 of an id; the key comes as the two blocks that RFC 2104 makes of it.
create function state.hash_user(user_id bytea, inner_key bytea, outer_key bytea) returns bytea
language sql immutable strict parallel safe
return sha256(outer_key || sha256(inner_key || user_id));

-- What is left of a rejected line once any user is forgotten: if it was cut at 1,000 bytes, its last field may be half
-- an id.
create function state.drop_cut_field(raw bytea) returns bytea
language sql immutable strict parallel safe
return case
    when length(raw) < 1000 then raw else decode(regexp_replace(encode(raw, 'escape'), E'[^\t]*$', ''), 'escape')
end;

-- The texts in a rejected line that may be ids: its fields, and each run of letters, digits, _ . @ + - and bytes above
-- 127. 'escape' writes these bytes as \200 to \377, a NUL as \000 and a backslash as two.
create function state.find_ids(raw bytea) returns setof bytea
language sql immutable strict parallel safe
begin atomic
    select decode(field, 'escape') from string_to_table(encode(raw, 'escape'), chr(9)) as field
    union all
    select decode(run[1], 'escape')
    from regexp_matches(
        replace(replace(encode(raw, 'escape'), E'\\\\', ' '), E'\\000', ' '),
        E'((?:[A-Za-z0-9_.@+-]|\\\\[23][0-7][0-7])+)',
        'g'
    ) as run;
end;

create table state.hash_key (
    only_one boolean primary key default true check (only_one),
    inner_key bytea not null,
    outer_key bytea not null
);
comment on table state.hash_key is
'The key of the hashes in forgotten_users, made at random when the first user was forgotten, as two blocks for HMAC-SHA-256.';
comment on column state.hash_key.only_one is 'Always true, so that there is only one row.';
comment on column state.hash_key.inner_key is 'The 64 bytes before the id.';
comment on column state.hash_key.outer_key is 'The 64 bytes before the hash of those bytes and the id.';

create table state.forgotten_users (
    user_hash bytea primary key,
    forgotten_at timestamptz not null default now()
);
comment on table state.forgotten_users is 'Users that were forgotten: their lines count for no user, whenever they are read.';
comment on column state.forgotten_users.user_hash is 'HMAC-SHA-256 of the user''s id; the id itself is not kept.';
comment on column state.forgotten_users.forgotten_at is 'When the user was forgotten.';

-- Staging: rows that executors of Spark write for the run at work, each partial in a transaction of its own. Unlogged,
-- as they are worthless once the run is over. A server that crashes empties the tables; it never keeps half a partial.
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
comment on column state.staged_article_days.date is 'Day in the lake''s time zone.';
comment on column state.staged_article_days.displays is 'Displays in the partial.';
comment on column state.staged_article_days.clicks is 'Clicks in the partial.';
comment on column state.staged_article_days.title_at is 'Time of the event with this title (microseconds since 1970-01-01 UTC).';
comment on column state.staged_article_days.category_at is 'Time of the event with this category (microseconds since 1970-01-01 UTC).';
comment on column state.staged_article_days.title is 'The latest title of the article in the partial, on the day of its event; null on other days.';
comment on column state.staged_article_days.category is 'The latest category of the article in the partial, on the day of its event; null on other days.';
comment on table state.staged_user_days is 'Staged: displays and clicks of a user on a day.';
comment on column state.staged_user_days.partial_id is 'The partial, in staged_partials.';
comment on column state.staged_user_days.user_id is 'The user.';
comment on column state.staged_user_days.date is 'Day in the lake''s time zone.';
comment on column state.staged_user_days.displays is 'Displays in the partial.';
comment on column state.staged_user_days.clicks is 'Clicks in the partial.';
comment on table state.staged_sessions is 'Staged: the span of a session.';
comment on column state.staged_sessions.partial_id is 'The partial, in staged_partials.';
comment on column state.staged_sessions.user_id is 'The user: half of the session''s key.';
comment on column state.staged_sessions.session_id is 'The session id: the other half.';
comment on column state.staged_sessions.first_at is 'Its first event in the partial, with its day: see find_session_time and find_session_day.';
comment on column state.staged_sessions.last_at is 'Its last event in the partial (microseconds since 1970-01-01 UTC).';
comment on column state.staged_sessions.events is 'Its events in the partial.';
comment on table state.staged_rejected_lines is 'Staged: rejected lines.';
comment on column state.staged_rejected_lines.partial_id is 'The partial, in staged_partials.';
comment on column state.staged_rejected_lines.chunk is 'The byte of the file at which the line''s chunk begins.';
comment on column state.staged_rejected_lines.line is 'The line''s number in that chunk, from 0.';
comment on column state.staged_rejected_lines.reason is 'Code of the reason; docs/tables.md lists all of them.';
comment on column state.staged_rejected_lines.raw is 'The line''s first 1,000 bytes.';

create table public.article_performance (
    article_id text collate "C" not null,
    date date not null,
    title text,
    category text,
    displays bigint not null,
    clicks bigint not null,
    cumulative_clicks bigint not null,
    click_through_rate double precision
    generated always as (clicks::double precision / nullif(displays, 0)) stored,
    primary key (article_id, date)
);
comment on table public.article_performance is 'One row for each article and day with a click or a display.';
comment on column public.article_performance.article_id is 'The article: the id in the events'' attributes.';
comment on column public.article_performance.date is 'Day of the clicks and displays, in the lake''s time zone.';
comment on column public.article_performance.title is 'The article''s latest title over all days; null if no event named one.';
comment on column public.article_performance.category is 'The article''s latest category over all days; null if no event named one.';
comment on column public.article_performance.displays is 'Events on that day that lake.toml lists as displays.';
comment on column public.article_performance.clicks is 'Events on that day that lake.toml lists as clicks.';
comment on column public.article_performance.cumulative_clicks is 'Clicks of the article up to and including that day.';
comment on column public.article_performance.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';

-- The report asks for the newest days of all articles.
create index article_performance_dates on public.article_performance (date);

create table public.user_performance (
    user_id text collate "C" not null,
    date date not null,
    sessions bigint not null,
    session_seconds numeric(38, 6) not null,
    average_session_seconds double precision
    generated always as (session_seconds::double precision / nullif(sessions, 0)) stored,
    displays bigint not null,
    clicks bigint not null,
    click_through_rate double precision
    generated always as (clicks::double precision / nullif(displays, 0)) stored,
    primary key (date, user_id)
);
comment on table public.user_performance is 'One row for each user and day with a click, a display, or a session that began on it.';
comment on column public.user_performance.user_id is 'The user of the events.';
comment on column public.user_performance.date is 'Day of the clicks and displays, in the lake''s time zone; a session belongs to the day on which it began.';
comment on column public.user_performance.sessions is 'Sessions that began on that day; one may end on the next.';
comment on column public.user_performance.session_seconds is 'Total length of those sessions in seconds, exact to the microsecond; a length is the time from the first to the last event.';
comment on column public.user_performance.average_session_seconds is 'session_seconds / sessions, in seconds; null if sessions is 0.';
comment on column public.user_performance.displays is 'Events on that day that lake.toml lists as displays.';
comment on column public.user_performance.clicks is 'Events on that day that lake.toml lists as clicks.';
comment on column public.user_performance.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';

create table state.category_days (
    date date not null,
    displays bigint not null,
    clicks bigint not null,
    category text
);
create index category_days_hash on state.category_days (date, hashtextextended(coalesce(category, ''), 0));
alter table state.category_days replica identity full;
comment on table state.category_days is 'The displays and clicks of article_performance summed by category and day.';
comment on column state.category_days.date is 'Day of the clicks and displays, in the lake''s time zone.';
comment on column state.category_days.displays is 'Displays of the category''s articles on that day.';
comment on column state.category_days.clicks is 'Clicks on the category''s articles on that day.';
comment on column state.category_days.category is 'The articles'' latest category; null for articles without one.';

create table state.day_totals (
    date date primary key,
    sessions bigint not null,
    session_seconds numeric(38, 6) not null,
    displays bigint not null,
    clicks bigint not null
);
comment on table state.day_totals is 'The displays and clicks of article_performance and the sessions of user_performance summed by day.';
comment on column state.day_totals.date is 'Day of the clicks and displays, and on which the sessions began, in the lake''s time zone.';
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
comment on column state.restatements.date is 'Day in the lake''s time zone.';
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
comment on column state.restating_files.dates is 'The days whose totals it changed.';

create view public.category_performance as
select
    category,
    date,
    displays,
    clicks,
    clicks::double precision / nullif(displays, 0)::double precision as click_through_rate
from state.category_days;
comment on view public.category_performance is 'One row for each article category and day with a click or a display.';
comment on column public.category_performance.category is 'The articles'' latest category; null for articles without one.';
comment on column public.category_performance.date is 'Day of the clicks and displays, in the lake''s time zone.';
comment on column public.category_performance.displays is 'Displays of the category''s articles on that day.';
comment on column public.category_performance.clicks is 'Clicks on the category''s articles on that day.';
comment on column public.category_performance.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';

create view state.sessions as
select
    user_id,
    session_id,
    state.find_session_day(min(first_at)) as date,
    (max(last_at) - state.find_session_time(min(first_at))) * 0.000001 as seconds,
    sum(events) as events
from state.file_sessions
group by user_id, session_id;
comment on view state.sessions is 'Every session over all files.';
comment on column state.sessions.user_id is 'The user: half of the session''s key.';
comment on column state.sessions.session_id is 'The session id: the other half.';
comment on column state.sessions.date is 'Day on which it began, in the lake''s time zone.';
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
comment on view public.user_sessions is 'One row for each user and day on which a session of the user began.';
comment on column public.user_sessions.user_id is 'The user, as in user_performance.';
comment on column public.user_sessions.date is 'Day on which the sessions began, in the lake''s time zone.';
comment on column public.user_sessions.sessions is 'Sessions that began on that day; one may end on the next.';
comment on column public.user_sessions.single_event_sessions is 'Those of them with one event, of any name.';
comment on column public.user_sessions.longest_session_seconds is 'Length of the longest of them in seconds, exact to the microsecond.';

create view public.daily_overview as
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
comment on view public.daily_overview is 'One row for each day with a row in article_performance or user_performance.';
comment on column public.daily_overview.date is 'Day in the lake''s time zone.';
comment on column public.daily_overview.displays is 'Displays of all articles on that day, as in article_performance.';
comment on column public.daily_overview.clicks is 'Clicks on all articles on that day, as in article_performance.';
comment on column public.daily_overview.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';
comment on column public.daily_overview.articles is 'Articles with a click or a display on that day.';
comment on column public.daily_overview.users is 'Users with a click, a display, or a session that began on that day.';
comment on column public.daily_overview.sessions is 'Sessions that began on that day; one may end on the next.';
comment on column public.daily_overview.session_seconds is 'Total length of those sessions in seconds, exact to the microsecond.';
comment on column public.daily_overview.average_session_seconds is 'session_seconds / sessions, in seconds; null if sessions is 0.';
comment on column public.daily_overview.median_session_seconds is 'Median length of those sessions in seconds; null if sessions is 0.';

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
comment on view public.weekly_overview is 'One row for each week, Monday to Sunday, with a row in article_performance or user_performance; the newest week may be incomplete.';
comment on column public.weekly_overview.week is 'The week''s Monday.';
comment on column public.weekly_overview.displays is 'Displays of all articles in that week, as in article_performance.';
comment on column public.weekly_overview.clicks is 'Clicks on all articles in that week, as in article_performance.';
comment on column public.weekly_overview.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';
comment on column public.weekly_overview.articles is 'Distinct articles with a click or a display in that week.';
comment on column public.weekly_overview.users is 'Distinct users with a click, a display, or a session that began in that week.';
comment on column public.weekly_overview.sessions is 'Sessions that began in that week.';
comment on column public.weekly_overview.session_seconds is 'Total length of those sessions in seconds, exact to the microsecond.';
comment on column public.weekly_overview.average_session_seconds is 'session_seconds / sessions, in seconds; null if sessions is 0.';

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
comment on view public.article_overview is 'One row for each article with a click or a display: the sums over all its days.';
comment on column public.article_overview.article_id is 'The article: the id in the events'' attributes.';
comment on column public.article_overview.title is 'Its latest title; null if no event named one.';
comment on column public.article_overview.category is 'Its latest category; null if no event named one.';
comment on column public.article_overview.first_date is 'Day of its first click or display.';
comment on column public.article_overview.last_date is 'Day of its last click or display.';
comment on column public.article_overview.days is 'Days on which it had a click or a display.';
comment on column public.article_overview.displays is 'Its displays on all days.';
comment on column public.article_overview.clicks is 'Its clicks on all days.';
comment on column public.article_overview.click_through_rate is 'clicks / displays (1 is 100 %); null if displays is 0.';

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
comment on view public.user_retention is 'Users by the week, Monday to Sunday, of their first day in user_performance, and how many of them were active in each week since then; the newest week may be incomplete.';
comment on column public.user_retention.first_week is 'Monday of the week of the users'' first day in user_performance.';
comment on column public.user_retention.week is 'Monday of that week or of a later one in which any user was active.';
comment on column public.user_retention.weeks_later is 'Weeks from first_week to week; 0 is the first week itself.';
comment on column public.user_retention.cohort_users is 'Users whose first week is first_week.';
comment on column public.user_retention.users is 'Those of them with a click, a display, or a session that began in that week.';
comment on column public.user_retention.retention_rate is 'users / cohort_users (1 is 100 %).';

create view public.freshness as
select
    (select started_at from state.runs order by run_id desc limit 1) as last_run_at,
    max(counted_at) as last_counted_at,
    (select key from state.lake_files where counted_at is not null order by counted_at desc, key limit 1) as last_file,
    -- date is the first column of the primary key, so this is one look-up
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
comment on view public.freshness is 'One row: when the lake was last counted, up to which event, and what failed.';
comment on column public.freshness.last_run_at is 'When the last run began, whether it found anything new or not.';
comment on column public.freshness.last_counted_at is 'When a new or changed lake file was last counted.';
comment on column public.freshness.last_file is 'Path of that file below LAKE_URL.';
comment on column public.freshness.newest_date is 'Newest day in user_performance; a wrong clock may set it in the future.';
comment on column public.freshness.files is 'Lake files that are counted.';
comment on column public.freshness.failed_files is 'Lake files whose present version could not be ingested; an earlier version may be counted.';
comment on column public.freshness.bytes is 'Size of the counted files, in bytes as stored in the lake.';
comment on column public.freshness.events is 'Their events, of all names.';
comment on column public.freshness.rejected_lines is 'Their rejected lines, which could not be read and are not counted.';
comment on column public.freshness.newest_event_at is 'Time of their latest event, whatever its name; a wrong clock may set it in the future. Null if no file was counted since this was recorded.';

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
comment on view public.restatements is 'One row for each run and day whose totals the run changed after they had been published; a day that a run publishes for the first time has none.';
comment on column public.restatements.run_id is 'The run that changed them; a watch is one run, however long it stays up.';
comment on column public.restatements.restated_at is 'When that run last touched the day.';
comment on column public.restatements.date is 'The day, in the lake''s time zone.';
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
