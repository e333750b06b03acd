-- What a batch changes if it counts unchanged files again

-- recount_articles: write every row of the articles that the batch touches as all files contribute it now, whatever it
-- was before. Returns the days that the batch or this changed
with touched as (
    select article_id from file_article_days where file_id >= %(first_file_id)s
    union
    select article_id from pg_temp.old_article_days
),

parts as materialized (
    select part.*
    from touched
    cross join lateral (
        select article_id, date, displays, clicks, title_at, category_at, title, category
        from file_article_days
        where
            hashtextextended(article_id, 0) = hashtextextended(touched.article_id, 0)
            and article_id = touched.article_id
        offset 0
    ) as part
),

texts as (
    select
        article_id,
        max(date) as last_date,
        sum(clicks)::bigint as clicks,
        max(lpad((title_at + %(microseconds_before_1970)s)::text, 18, '0') || title) as title,
        max(lpad((category_at + %(microseconds_before_1970)s)::text, 18, '0') || category) as category
    from parts
    group by article_id
),

wanted as materialized (
    select
        article_id,
        date,
        substr(texts.title, 19) as title,
        substr(texts.category, 19) as category,
        sum(parts.displays)::bigint as displays,
        sum(parts.clicks)::bigint as clicks,
        sum(sum(parts.clicks)) over (partition by article_id order by date)::bigint as cumulative_clicks
    from parts
    inner join texts using (article_id)
    group by article_id, date, texts.title, texts.category
),

deleted as (
    delete from article_performance
    where ctid = any (array(
        select present.ctid
        from touched
        cross join lateral (
            select ctid, date from article_performance where article_id = touched.article_id offset 0
        ) as present
        left join wanted on wanted.article_id = touched.article_id and wanted.date = present.date
        where wanted.date is null
    ))
    returning date
),

written as (
    insert into article_performance as present (article_id, date, title, category, displays, clicks, cumulative_clicks)
    select article_id, date, title, category, displays, clicks, cumulative_clicks
    from wanted
    order by article_id, date
    on conflict (article_id, date) do update set
        title = excluded.title,
        category = excluded.category,
        displays = excluded.displays,
        clicks = excluded.clicks,
        cumulative_clicks = excluded.cumulative_clicks
    where
        (present.title, present.category, present.displays, present.clicks, present.cumulative_clicks)
        is distinct from
        (excluded.title, excluded.category, excluded.displays, excluded.clicks, excluded.cumulative_clicks)
    returning date
),

deleted_articles as (
    delete from articles where article_id in (select article_id from touched except select article_id from texts)
),

written_articles as (
    insert into articles (article_id, title_at, category_at, clicks, last_date, title, category)
    select
        article_id,
        left(title, 18)::bigint - %(microseconds_before_1970)s,
        left(category, 18)::bigint - %(microseconds_before_1970)s,
        clicks,
        last_date,
        substr(title, 19),
        substr(category, 19)
    from texts
    order by article_id
    on conflict (article_id) do update set
        title_at = excluded.title_at,
        category_at = excluded.category_at,
        clicks = excluded.clicks,
        last_date = excluded.last_date,
        title = excluded.title,
        category = excluded.category
)

select array(
    select date from deleted
    union
    select date from written
    union
    select date from file_article_days where file_id >= %(first_file_id)s
    union
    select date from pg_temp.old_article_days
) as dates;

-- recount_users: the same for the rows of the users that the batch touches. No index finds the sessions and days of a
-- user, so this reads those of all users. Keeps the days that this or recount_articles changed for the next statements
select set_config('enable_nestloop', 'off', true);
with touched as materialized (
    select user_id from file_user_days where file_id >= %(first_file_id)s
    union
    select user_id from file_sessions where file_id >= %(first_file_id)s
    union
    select user_id from pg_temp.old_user_days
    union
    select user_id from pg_temp.old_sessions
),

sessions as (
    select user_id, session_id, min(first_at) as first_at, max(last_at) as last_at
    from file_sessions
    inner join touched using (user_id)
    group by user_id, session_id
),

wanted as materialized (
    select
        user_id,
        date,
        sum(sessions)::bigint as sessions,
        sum(microseconds) * 0.000001 as session_seconds,
        sum(displays)::bigint as displays,
        sum(clicks)::bigint as clicks
    from (
        select
            user_id,
            state.find_session_day(first_at) as date,
            1 as sessions,
            last_at - state.find_session_time(first_at) as microseconds,
            0 as displays,
            0 as clicks
        from sessions
        union all
        select user_id, date, 0, 0, displays, clicks from file_user_days inner join touched using (user_id)
    ) as parts
    group by user_id, date
),

deleted as (
    delete from user_performance as present
    where
        user_id in (select user_id from touched)
        and not exists (select from wanted where wanted.user_id = present.user_id and wanted.date = present.date)
    returning date
),

written as (
    insert into user_performance as present (user_id, date, sessions, session_seconds, displays, clicks)
    select user_id, date, sessions, session_seconds, displays, clicks
    from wanted
    order by date, user_id
    on conflict (date, user_id) do update set
        sessions = excluded.sessions,
        session_seconds = excluded.session_seconds,
        displays = excluded.displays,
        clicks = excluded.clicks
    where
        (present.sessions, present.session_seconds, present.displays, present.clicks)
        is distinct from
        (excluded.sessions, excluded.session_seconds, excluded.displays, excluded.clicks)
    returning date
),

begun as (
    select state.find_session_day(first_at) as date
    from (
        select first_at from file_sessions where file_id >= %(first_file_id)s
        union all
        select first_at from pg_temp.old_sessions
    ) as both_versions
)

insert into pg_temp.changed_days (date, is_published)
select days.date, coalesce(totals.is_there, users.is_there, false)
from (
    select date from unnest(%(dates)s::date[]) as recounted (date)
    union
    select date from deleted
    union
    select date from written
    union
    select date from begun
) as days
left join lateral (select true as is_there from day_totals where date = days.date limit 1) as totals on true
left join lateral (
    select true as is_there from user_performance where totals.is_there is null and date = days.date limit 1
) as users on true;

-- recount_days: sum up those days of the BI tables again, and find by how much their totals differ
select set_config('enable_nestloop', 'on', true);
delete from category_days where date = any(array(select date from pg_temp.changed_days));
insert into category_days (date, displays, clicks, category)
select date, sum(displays)::bigint, sum(clicks)::bigint, category
from article_performance
where date = any(array(select date from pg_temp.changed_days))
group by date, category
order by date, category;
with days as (
    delete from pg_temp.changed_days returning date, is_published
)

insert into pg_temp.changed_days (date, displays, clicks, sessions, microseconds, is_published)
select
    days.date,
    articles.displays - coalesce(totals.displays, 0),
    articles.clicks - coalesce(totals.clicks, 0),
    users.sessions - coalesce(totals.sessions, 0),
    (users.session_seconds - coalesce(totals.session_seconds, 0)) * 1000000,
    days.is_published
from days
cross join lateral (
    select coalesce(sum(displays), 0)::bigint as displays, coalesce(sum(clicks), 0)::bigint as clicks
    from article_performance
    where date = days.date
) as articles
cross join lateral (
    select coalesce(sum(sessions), 0)::bigint as sessions, coalesce(sum(session_seconds), 0) as session_seconds
    from user_performance
    where date = days.date
) as users
left join lateral (
    select displays, clicks, sessions, session_seconds from day_totals where date = days.date offset 0
) as totals on true;
