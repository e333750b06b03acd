-- How Spark's executors hand rows to the run

-- has_staged: whether Spark staged any rows since the tables were last cleared, even if that was interrupted
select
    pg_relation_size('state.staged_partials')
    + pg_relation_size('state.staged_article_days')
    + pg_relation_size('state.staged_user_days')
    + pg_relation_size('state.staged_sessions')
    + pg_relation_size('state.staged_rejected_lines') > 0 as has_staged;

-- clear_staged: delete staged rows that no run took, unless a session that hangs still holds them
set local lock_timeout = '2s';
truncate
    state.staged_partials, state.staged_article_days, state.staged_user_days, state.staged_sessions,
    state.staged_rejected_lines;

-- name_partial: the name of the partial whose rows this transaction stages
select set_config('event_lake.partial_id', %(partial_id)s, true);

-- stage_article_days: rows from a partial
copy state.staged_article_days (article_id, date, displays, clicks, title_at, category_at, title, category) from stdin;

-- stage_user_days: rows from a partial
copy state.staged_user_days (user_id, date, displays, clicks) from stdin;

-- stage_sessions: rows from a partial
copy state.staged_sessions (user_id, session_id, first_at, last_at, events) from stdin;

-- stage_rejected_lines: rows from a partial
copy state.staged_rejected_lines (chunk, line, reason, raw) from stdin;

-- stage_partial: record that all rows were staged
insert into state.staged_partials default values;

-- take_partial: return a row if everything is still staged: a server that crashes empties the tables
delete from state.staged_partials where partial_id = %(partial_id)s returning partial_id;

-- take_staged: move staged rows to the tables new_*, as if a partial of the file had been copied there
with taken as (
    delete from state.staged_article_days
    where partial_id = %(partial_id)s
    returning article_id, date, displays, clicks, title_at, category_at, title, category
)

insert into pg_temp.new_article_days
(file_id, article_id, date, displays, clicks, title_at, category_at, title, category)
select %(file_id)s, article_id, date, displays, clicks, title_at, category_at, title, category from taken;
with taken as (
    delete from state.staged_user_days where partial_id = %(partial_id)s returning user_id, date, displays, clicks
)

insert into pg_temp.new_user_days (file_id, user_id, date, displays, clicks)
select %(file_id)s, user_id, date, displays, clicks from taken;
with taken as (
    delete from state.staged_sessions
    where partial_id = %(partial_id)s
    returning user_id, session_id, first_at, last_at, events
)

insert into pg_temp.new_sessions (file_id, user_id, session_id, first_at, last_at, events)
select %(file_id)s, user_id, session_id, first_at, last_at, events from taken;
with taken as (
    delete from state.staged_rejected_lines where partial_id = %(partial_id)s returning chunk, line, reason, raw
)

insert into pg_temp.new_rejected_lines (file_id, chunk, line, reason, raw)
select %(file_id)s, chunk, line, reason, raw from taken;
