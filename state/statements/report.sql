-- What the page and the picture read

-- read_report_state: a value that changes when anything changes that a report shows. It includes the text of
-- errors but not their time, as every run finds them again
select
    md5(
        concat_ws(
            ' ',
            lake.url,
            lake.definition,
            files.number,
            extract(epoch from files.counted_at),
            files.size,
            files.events,
            files.rejected,
            -- by the index of failed files: an ordered aggregate over all files would sort them all
            (select string_agg(concat_ws(' ', key, error), ' ' order by key) from state.lake_files where error is not null),
            (select count(*) from state.forgotten_users)
        )
    ) as report_state
from state.lake as lake
cross join (
    select
        count(*) as number, max(counted_at) as counted_at,
        sum(size) as size, sum(events) as events, sum(rejected) as rejected
    from state.lake_files
) as files;

-- read_lake_state: what a report shows of the lake
select
    lake.url, fresh.last_counted_at, fresh.files, fresh.failed_files, fresh.bytes, fresh.events, fresh.rejected_lines,
    coalesce(lake.definition ->> 'days.timezone', 'UTC') as timezone
from state.lake as lake
cross join public.freshness as fresh;

-- read_failed_files: files whose present version could not be read, the last ones first
select key, error from state.lake_files where error is not null order by failed_at desc, key limit %(most)s;

-- read_files_of_last_run: the files of the last run, or turn of a watch, that ingested any; those with the most clicks
-- and displays first, with sums over all of them. After a rebuild, files that it could not read have higher ids, but
-- were ingested earlier
with newest as (
    select found.file_id, found.key, found.counted_at, found.events, found.rejected
    from state.lake as lake
    cross join lateral (
        select counted_at
        from state.lake_files
        where file_id >= lake.first_new_file_id and fingerprint is not null
        order by file_id
        limit 1
    ) as first
    cross join lateral (
        select file_id, key, counted_at, events, rejected
        from state.lake_files
        where file_id >= lake.first_new_file_id and fingerprint is not null and counted_at >= first.counted_at
    ) as found
)

select
    newest.key,
    newest.counted_at,
    newest.events,
    newest.rejected,
    contribution.first_date,
    contribution.last_date,
    coalesce(contribution.displays, 0) as displays,
    coalesce(contribution.clicks, 0) as clicks,
    count(*) over () as files,
    sum(newest.events) over ()::bigint as all_events,
    sum(newest.rejected) over ()::bigint as all_rejected,
    min(contribution.first_date) over () as all_first_date,
    max(contribution.last_date) over () as all_last_date,
    coalesce(sum(contribution.displays) over (), 0)::bigint as all_displays,
    coalesce(sum(contribution.clicks) over (), 0)::bigint as all_clicks
from newest
cross join lateral (
    select min(date) as first_date, max(date) as last_date, sum(displays) as displays, sum(clicks) as clicks
    from state.file_article_days
    where file_id = newest.file_id
) as contribution
order by contribution.clicks desc nulls last, contribution.displays desc nulls last, newest.key
limit %(most)s;

-- read_restatements_of_last_run: the days that the last run which changed any numbers restated, the latest first, with sums
-- over all of them; a watch may have restated days after a run that began later
with newest as (
    select run_id, restated_at
    from state.restatements
    where is_restated
    order by restated_at desc, date desc
    limit 1
),

last as (
    select
        run_id,
        count(*) as days,
        min(date) as first_date,
        max(date) as last_date,
        sum(displays_after - displays_before)::bigint as more_displays,
        sum(clicks_after - clicks_before)::bigint as more_clicks,
        sum(sessions_after - sessions_before)::bigint as more_sessions
    from state.restatements
    where run_id = (select run_id from newest) and is_restated
    and not exists (
        select from state.restatements as later
        cross join newest
        where
            later.run_id = (select max(run_id) from state.restatements)
            and later.run_id <> newest.run_id
            and later.restated_at > newest.restated_at
    )
    group by run_id
)

select
    restated.date, restated.files, restated.file_count,
    restated.displays_before, restated.displays_after, restated.clicks_before, restated.clicks_after,
    restated.sessions_before, restated.sessions_after,
    restated.session_seconds_before, restated.session_seconds_after,
    last.days, last.first_date, last.last_date, last.more_displays, last.more_clicks, last.more_sessions
from last
cross join lateral (
    select * from public.restatements where run_id = last.run_id order by date desc limit %(most)s
) as restated
order by restated.date desc;

-- read_category_days: displays and clicks by category and day; the least displayed categories beyond a number share one
-- row a day
with days as materialized (
    select category, date, displays, clicks from public.category_performance
),

ranks as (
    select
        category,
        row_number() over (order by sum(displays) desc, sum(clicks) desc, category) as rank,
        count(*) over () as categories
    from days
    group by category
),

places as (
    select
        category,
        case when categories <= %(most)s or rank < %(most)s then 1 else categories - %(most)s + 1 end as sharing
    from ranks
)

select
    case when places.sharing = 1 then days.category end as category,
    days.date,
    sum(days.displays)::bigint as displays,
    sum(days.clicks)::bigint as clicks,
    places.sharing as categories
from days
-- no category is an empty string; a join by "is not distinct from" would compare all pairs
inner join places on coalesce(places.category, '') = coalesce(days.category, '')
group by 1, days.date, places.sharing
order by 1, days.date;

-- read_session_days: sessions by day
select date, sessions, session_seconds from state.day_totals where sessions > 0 order by date;

-- read_busiest_articles: the articles with the most clicks on some days, with all their clicks up to the last of these
-- days
with busiest as (
    select
        article_id,
        sum(displays)::bigint as displays,
        sum(clicks)::bigint as clicks,
        max(cumulative_clicks) as cumulative_clicks
    from public.article_performance
    where date between %(since)s and %(until)s
    group by article_id
    order by clicks desc, displays desc, article_id
    limit %(most)s
)

select
    busiest.article_id, texts.title, texts.category, busiest.displays, busiest.clicks, busiest.cumulative_clicks
from busiest
left join lateral (
    select title, category from public.article_performance where article_id = busiest.article_id order by date limit 1
) as texts on true
order by busiest.clicks desc, busiest.displays desc, busiest.article_id;

-- read_most_changed_article: the article whose clicks changed most from one day to another
with changed as (
    select
        article_id,
        coalesce(sum(clicks) filter (where date = %(before)s), 0)::bigint as clicks_before,
        coalesce(sum(clicks) filter (where date = %(after)s), 0)::bigint as clicks_after
    from public.article_performance
    where date in (%(before)s, %(after)s)
    group by article_id
    order by
        abs(
            coalesce(sum(clicks) filter (where date = %(after)s), 0)
            - coalesce(sum(clicks) filter (where date = %(before)s), 0)
        ) desc,
        article_id
    limit 1
)

select
    article_id,
    (
        select texts.title from public.article_performance as texts
        where texts.article_id = changed.article_id
        order by texts.date
        limit 1
    ) as title,
    clicks_before,
    clicks_after
from changed
where clicks_before <> clicks_after;

-- read_cumulative_clicks: the cumulative clicks of some articles by day
select article_id, date, cumulative_clicks
from public.article_performance
where article_id = any(%(article_ids)s) and date between %(since)s and %(until)s
order by article_id, date;
