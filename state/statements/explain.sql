-- What explain and rejected read

-- read_article_rows: the rows of an article, on one day or on all days
select date, displays, clicks, cumulative_clicks, click_through_rate
from public.article_performance
where article_id = %(article_id)s and (%(day)s::date is null or date = %(day)s)
order by date;

-- read_article_parts: what each file contributes to those rows
select contribution.date, files.key as file, contribution.displays, contribution.clicks
from state.file_article_days as contribution
inner join state.lake_files as files using (file_id)
where
    hashtextextended(contribution.article_id, 0) = hashtextextended(%(article_id)s, 0)
    and contribution.article_id = %(article_id)s
    and (%(day)s::date is null or contribution.date = %(day)s)
order by contribution.date, files.key;

-- read_article_texts: the title and the category of an article, and the files that they are from
select texts.name, texts.text, files.key as file, texts.at
from state.articles as latest
inner join state.file_article_days as contribution
    on
        hashtextextended(contribution.article_id, 0) = hashtextextended(latest.article_id, 0)
        and contribution.article_id = latest.article_id
inner join state.lake_files as files using (file_id)
cross join lateral (
    values
    ('title', latest.title, latest.title_at, contribution.title, contribution.title_at),
    ('category', latest.category, latest.category_at, contribution.category, contribution.category_at)
) as texts (name, text, at, contributed_text, contributed_at)
where latest.article_id = %(article_id)s and (texts.text, texts.at) = (texts.contributed_text, texts.contributed_at)
order by texts.name desc, files.key;

-- read_user_rows: the rows of a user, on one day or on all days
select date, sessions, session_seconds, average_session_seconds, displays, clicks, click_through_rate
from public.user_performance
where user_id = %(user_id)s and (%(day)s::date is null or date = %(day)s)
order by date;

-- read_user_parts: what each file contributes to the displays and clicks of those rows
select contribution.date, files.key as file, contribution.displays, contribution.clicks
from state.file_user_days as contribution
inner join state.lake_files as files using (file_id)
where contribution.user_id = %(user_id)s and (%(day)s::date is null or contribution.date = %(day)s)
order by contribution.date, files.key;

-- read_user_sessions: which files hold parts of a user's sessions that began on one day, or on any day
with parts as (
    select
        contribution.session_id,
        files.key as file,
        contribution.events,
        state.find_session_time(contribution.first_at) as first_at,
        contribution.last_at,
        min(contribution.first_at) over (partition by contribution.session_id) as session_first_at,
        max(contribution.last_at) over (partition by contribution.session_id) as session_last_at
    from state.file_sessions as contribution
    inner join state.lake_files as files using (file_id)
    where contribution.user_id = %(user_id)s
),

days as (
    select *, state.find_session_day(session_first_at) as date from parts
)

select
    date,
    session_id,
    file,
    events,
    first_at,
    last_at,
    (session_last_at - state.find_session_time(session_first_at)) * 0.000001 as session_seconds
from days
where %(day)s::date is null or date = %(day)s
order by session_first_at, session_id, first_at, file;

-- read_forgotten_at: when a user was forgotten; no row if the user was not
select forgotten_users.forgotten_at
from state.forgotten_users
cross join state.hash_key
where
    forgotten_users.user_hash
    = state.hash_user(convert_to(%(user_id)s, 'UTF8'), hash_key.inner_key, hash_key.outer_key);

-- read_rejected_lines: the rejected lines of one file, or of all files
select key, line_number, reason, raw
from state.rejected_lines
where %(key)s::text is null or key = %(key)s
order by key, line_number;
