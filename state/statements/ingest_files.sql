-- The first part of a batch: the rows of its files, and what they and their earlier versions contributed

-- has_new: whether this session, which may come from a pooler, has the tables that `create_new` makes
select obj_description(to_regclass('pg_temp.new_article_days'), 'pg_class') is not distinct from %(made_by)s as has_new;

-- create_new: temporary tables for what a batch brings and changes. They stay in the session, empty, since making them
-- takes longer than ingesting a small file. The tables new_* take the rows of files that came in several partials or
-- were staged, with one or more rows for each entry. The tables old_* take what was retracted. In changed_articles, a
-- title or category starts with its time in 18 digits, so that the greatest is the latest
drop table if exists
    pg_temp.new_article_days, pg_temp.new_user_days, pg_temp.new_sessions, pg_temp.new_rejected_lines,
    pg_temp.old_article_days, pg_temp.old_user_days, pg_temp.old_sessions, pg_temp.remaining_texts,
    pg_temp.changed_article_days, pg_temp.changed_articles, pg_temp.changed_sessions, pg_temp.kept_sessions,
    pg_temp.changed_days cascade;
create temporary table pg_temp.new_article_days (
    file_id integer, article_id text collate "C", date date, displays integer, clicks integer,
    title_at bigint, category_at bigint, title text collate "C", category text collate "C"
) on commit delete rows;
create temporary table pg_temp.new_user_days (
    file_id integer, user_id text collate "C", date date, displays integer, clicks integer
) on commit delete rows;
create temporary table pg_temp.new_sessions (
    file_id integer, user_id text collate "C", session_id text collate "C", first_at bigint, last_at bigint, events integer
) on commit delete rows;
create temporary table pg_temp.new_rejected_lines (
    file_id integer, chunk bigint, line bigint, reason text, raw bytea
) on commit delete rows;
create temporary table pg_temp.old_article_days (
    file_id integer, article_id text collate "C", date date, displays integer, clicks integer,
    title_at bigint, category_at bigint, title text collate "C", category text collate "C"
) on commit delete rows;
create temporary table pg_temp.old_user_days (
    user_id text collate "C", date date, displays integer, clicks integer
) on commit delete rows;
create temporary table pg_temp.old_sessions (
    file_id integer, user_id text collate "C", session_id text collate "C", first_at bigint, last_at bigint
) on commit delete rows;
create temporary table pg_temp.remaining_texts (
    article_id text collate "C", title text collate "C", category text collate "C"
) on commit delete rows;
create temporary table pg_temp.changed_article_days (
    article_id text collate "C", date date, displays bigint, clicks bigint
) on commit delete rows;
create temporary table pg_temp.changed_articles (
    article_id text collate "C", from_date date, last_date date, clicks_before bigint, clicks_after bigint,
    title text collate "C", category text collate "C", old_category text collate "C",
    is_known boolean, is_appended boolean
) on commit delete rows;
create temporary table pg_temp.changed_sessions (
    user_id text collate "C", session_id text collate "C",
    new_first bigint, new_last bigint, old_first bigint, old_last bigint
) on commit delete rows;
create temporary table pg_temp.kept_sessions (
    user_id text collate "C", session_id text collate "C", first_at bigint, last_at bigint
) on commit delete rows;
create temporary table pg_temp.changed_days (
    date date, displays bigint, clicks bigint, sessions bigint, microseconds numeric, is_published boolean
) on commit delete rows;
-- each session that changes, on the day on which it began before, and on the day on which it begins now
create temporary view pg_temp.moved_sessions as
select
    wholes.user_id,
    wholes.session_id,
    state.find_session_day(moved.first_at) as date,
    moved.sign,
    moved.last_at - state.find_session_time(moved.first_at) as microseconds
from (
    select
        spans.user_id,
        spans.session_id,
        least(spans.old_first, kept.first_at) as before_first,
        greatest(spans.old_last, kept.last_at) as before_last,
        least(spans.new_first, kept.first_at) as after_first,
        greatest(spans.new_last, kept.last_at) as after_last
    from pg_temp.changed_sessions as spans
    left join pg_temp.kept_sessions as kept using (user_id, session_id)
) as wholes
cross join lateral (
    values (before_first, before_last, -1), (after_first, after_last, 1)
) as moved (first_at, last_at, sign)
where
    moved.first_at is not null
    and (before_first, before_last) is distinct from (after_first, after_last);
comment on table pg_temp.new_article_days is %(made_by)s;

-- clear_new: empty the temporary tables before the next batch of the same transaction; making them again would take
-- more locks
truncate
    pg_temp.new_article_days, pg_temp.new_user_days, pg_temp.new_sessions, pg_temp.new_rejected_lines,
    pg_temp.old_article_days, pg_temp.old_user_days, pg_temp.old_sessions, pg_temp.remaining_texts,
    pg_temp.changed_article_days, pg_temp.changed_articles, pg_temp.changed_sessions, pg_temp.kept_sessions,
    pg_temp.changed_days;

-- copy_article_days: rows of files that came in one partial
copy file_article_days (file_id, article_id, date, displays, clicks, title_at, category_at, title, category) from stdin;

-- copy_user_days: rows of files that came in one partial
copy file_user_days (file_id, user_id, date, displays, clicks) from stdin;

-- copy_sessions: rows of files that came in one partial
copy file_sessions (file_id, user_id, session_id, first_at, last_at, events) from stdin;

-- copy_new_article_days: rows from one partial of several
copy pg_temp.new_article_days from stdin;

-- copy_new_user_days: rows from one partial of several
copy pg_temp.new_user_days from stdin;

-- copy_new_sessions: rows from one partial of several
copy pg_temp.new_sessions from stdin;

-- copy_new_rejected_lines: rows from any partial
copy pg_temp.new_rejected_lines from stdin;

-- merge_new: merge the partials of files, in the order of the indexes
insert into file_article_days
(file_id, article_id, date, displays, clicks, title_at, category_at, title, category)
select
    file_id,
    article_id,
    date,
    displays,
    clicks,
    left(title, 18)::bigint - %(microseconds_before_1970)s,
    left(category, 18)::bigint - %(microseconds_before_1970)s,
    substr(title, 19),
    substr(category, 19)
from (
    select
        file_id,
        article_id,
        date,
        sum(displays) as displays,
        sum(clicks) as clicks,
        -- only the latest of all days, however many partials the file came in
        case when max(stamped.title) = max(max(stamped.title)) over of_article then max(stamped.title) end as title,
        case when max(stamped.category) = max(max(stamped.category)) over of_article then max(stamped.category) end as category
    from pg_temp.new_article_days
    cross join lateral (
        select
            lpad((title_at + %(microseconds_before_1970)s)::text, 18, '0') || new_article_days.title as title,
            lpad((category_at + %(microseconds_before_1970)s)::text, 18, '0') || new_article_days.category as category
    ) as stamped
    group by file_id, article_id, date
    window of_article as (partition by file_id, article_id)
) as merged
order by hashtextextended(article_id, 0);
insert into file_user_days (file_id, user_id, date, displays, clicks)
select file_id, user_id, date, sum(displays), sum(clicks) from pg_temp.new_user_days group by file_id, user_id, date;
insert into file_sessions (file_id, user_id, session_id, first_at, last_at, events)
select file_id, user_id, session_id, min(first_at), max(last_at), sum(events)
from pg_temp.new_sessions
group by file_id, user_id, session_id
order by hashtextextended(session_id, hashtextextended(user_id, 0));

-- number_rejected_lines: number a chunk's lines after those of the chunks before it
insert into file_rejected_lines (file_id, line_number, reason, raw)
select file_id, chunks.lines_before + lines.line + 1, lines.reason, lines.raw
from pg_temp.new_rejected_lines as lines
inner join unnest(
    %(file_id)s::integer[], %(chunk)s::bigint[], %(lines_before)s::bigint[]
) as chunks (file_id, chunk, lines_before) using (file_id, chunk);

-- copy_kept_files: what files contributed when they were ingested, as they cannot be read now; they get new ids
insert into file_article_days (file_id, article_id, date, displays, clicks, title_at, category_at, title, category)
select kept.file_id, article_id, date, displays, clicks, title_at, category_at, title, category
from unnest(%(known)s::integer[], %(file_id)s::integer[]) as kept (known, file_id)
inner join state.file_article_days as days on days.file_id = kept.known;
insert into file_user_days (file_id, user_id, date, displays, clicks)
select kept.file_id, user_id, date, displays, clicks
from unnest(%(known)s::integer[], %(file_id)s::integer[]) as kept (known, file_id)
inner join state.file_user_days as days on days.file_id = kept.known;
insert into file_sessions (file_id, user_id, session_id, first_at, last_at, events)
select kept.file_id, user_id, session_id, first_at, last_at, events
from unnest(%(known)s::integer[], %(file_id)s::integer[]) as kept (known, file_id)
inner join state.file_sessions as sessions on sessions.file_id = kept.known;
insert into file_rejected_lines (file_id, line_number, reason, raw)
select kept.file_id, line_number, reason, raw
from unnest(%(known)s::integer[], %(file_id)s::integer[]) as kept (known, file_id)
inner join state.file_rejected_lines as lines on lines.file_id = kept.known;
insert into lake_files
(
    file_id, key, fingerprint, content_hash, size, lines, events, rejected, empty, newest_at, event_days, counted_at,
    commit_id, error, failed_at
)
select
    kept.file_id, key, fingerprint, content_hash, size, lines, events, rejected, empty, newest_at, event_days, counted_at,
    commit_id,
    kept.error, case when kept.error is not null then now() end
from unnest(%(known)s::integer[], %(file_id)s::integer[], %(error)s::text[]) as kept (known, file_id, error)
inner join state.lake_files as files on files.file_id = kept.known;

-- retract: withdraw what files contributed; later statements bring down the sums
with retracted as (
    delete from file_article_days
    where file_id = any(%(file_ids)s)
    returning file_id, article_id, date, displays, clicks, title_at, category_at, title, category
)

insert into pg_temp.old_article_days
(file_id, article_id, date, displays, clicks, title_at, category_at, title, category)
select file_id, article_id, date, displays, clicks, title_at, category_at, title, category from retracted;
with retracted as (
    delete from file_user_days where file_id = any(%(file_ids)s) returning user_id, date, displays, clicks
)

insert into pg_temp.old_user_days (user_id, date, displays, clicks)
select user_id, date, displays, clicks from retracted;
with retracted as (
    delete from file_sessions where file_id = any(%(file_ids)s) returning file_id, user_id, session_id, first_at, last_at
)

insert into pg_temp.old_sessions (file_id, user_id, session_id, first_at, last_at)
select file_id, user_id, session_id, first_at, last_at from retracted;
delete from file_rejected_lines where file_id = any(%(file_ids)s);
