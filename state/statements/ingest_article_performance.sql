-- The rows that a batch changes of article_performance: most articles only get days at their end

-- append_article_performance: add days after the last one of their article, or to it
insert into article_performance as present (article_id, date, title, category, displays, clicks, cumulative_clicks)
select
    days.article_id,
    days.date,
    substr(touched.title, 19),
    substr(touched.category, 19),
    days.displays,
    days.clicks,
    touched.clicks_before + sum(days.clicks) over (partition by days.article_id order by days.date)
from pg_temp.changed_articles as touched
inner join pg_temp.changed_article_days as days using (article_id)
where touched.is_appended
order by days.article_id, days.date
on conflict (article_id, date) do update set
    displays = present.displays + excluded.displays,
    clicks = present.clicks + excluded.clicks,
    cumulative_clicks = excluded.cumulative_clicks;

-- append_articles: record the latest texts, clicks and day of each article that was appended to
insert into articles (article_id, title_at, category_at, clicks, last_date, title, category)
select
    article_id,
    left(title, 18)::bigint - %(microseconds_before_1970)s,
    left(category, 18)::bigint - %(microseconds_before_1970)s,
    clicks_after,
    last_date,
    substr(title, 19),
    substr(category, 19)
from pg_temp.changed_articles
where is_appended
order by article_id
on conflict (article_id) do update set
    title_at = excluded.title_at,
    category_at = excluded.category_at,
    clicks = excluded.clicks,
    last_date = excluded.last_date,
    title = excluded.title,
    category = excluded.category;

-- rewrite_article_performance: write those rows of the other articles that differ, and delete rows in which nothing is
-- left
insert into article_performance as present (article_id, date, title, category, displays, clicks, cumulative_clicks)
with days as (
    select article_id, date, sum(displays)::bigint as displays, sum(clicks)::bigint as clicks
    from (
        select changed.article_id, changed.date, changed.displays, changed.clicks
        from pg_temp.changed_articles as touched
        inner join pg_temp.changed_article_days as changed using (article_id)
        where not touched.is_appended
        union all
        select touched.article_id, later.date, later.displays, later.clicks
        from pg_temp.changed_articles as touched
        cross join lateral (
            select date, displays, clicks from article_performance
            where article_id = touched.article_id and date >= touched.from_date
            offset 0
        ) as later
        where not touched.is_appended
    ) as present_and_change
    group by article_id, date
)

select
    days.article_id,
    days.date,
    substr(touched.title, 19),
    substr(touched.category, 19),
    days.displays,
    days.clicks,
    coalesce(earlier.cumulative_clicks, 0)
    + sum(days.clicks) over (partition by days.article_id order by days.date) as cumulative_clicks
from pg_temp.changed_articles as touched
inner join days using (article_id)
left join lateral (
    select cumulative_clicks from article_performance
    where article_id = touched.article_id and date < touched.from_date
    order by date desc
    limit 1
) as earlier on true
order by days.article_id, days.date
on conflict (article_id, date) do update set
    title = excluded.title,
    category = excluded.category,
    displays = excluded.displays,
    clicks = excluded.clicks,
    cumulative_clicks = excluded.cumulative_clicks
where
    (present.title, present.category, present.displays, present.clicks, present.cumulative_clicks)
    is distinct from
    (excluded.title, excluded.category, excluded.displays, excluded.clicks, excluded.cumulative_clicks);
delete from article_performance
where ctid = any (array(
    select present.ctid
    from pg_temp.changed_article_days as changed
    cross join lateral (
        select ctid, displays, clicks from article_performance
        where article_id = changed.article_id and date = changed.date
        offset 0
    ) as present
    where
        (changed.displays < 0 or changed.clicks < 0)
        and present.displays = 0
        and present.clicks = 0
));

-- rewrite_articles: record those articles as their rows are now, and delete articles without a row
insert into articles (article_id, title_at, category_at, clicks, last_date, title, category)
select
    touched.article_id,
    left(touched.title, 18)::bigint - %(microseconds_before_1970)s,
    left(touched.category, 18)::bigint - %(microseconds_before_1970)s,
    present.cumulative_clicks,
    present.date,
    substr(touched.title, 19),
    substr(touched.category, 19)
from pg_temp.changed_articles as touched
cross join lateral (
    select date, cumulative_clicks from article_performance
    where article_id = touched.article_id
    order by date desc
    limit 1
) as present
where not touched.is_appended
order by touched.article_id
on conflict (article_id) do update set
    title_at = excluded.title_at,
    category_at = excluded.category_at,
    clicks = excluded.clicks,
    last_date = excluded.last_date,
    title = excluded.title,
    category = excluded.category;
delete from articles
where ctid = any (array(
    select present.ctid
    from pg_temp.changed_articles as touched
    cross join lateral (
        select ctid from articles where article_id = touched.article_id offset 0
    ) as present
    left join lateral (
        select true as is_there from article_performance where article_id = touched.article_id limit 1
    ) as days on true
    where not touched.is_appended and days.is_there is null
));
