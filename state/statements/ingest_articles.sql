-- What a batch changes of articles, and of the categories that they are in

-- find_latest_texts: the latest remaining texts of articles whose latest ones were retracted, found at the end of the index;
-- a bitmap scan loses the order
select set_config('enable_bitmapscan', 'off', true);
insert into pg_temp.remaining_texts (article_id, title, category)
select retracted.article_id, titles.title, categories.category
from (
    select old.article_id
    from pg_temp.old_article_days as old
    cross join lateral (
        select title_at, category_at, title, category from articles where article_id = old.article_id offset 0
    ) as present
    where
        (old.title_at, old.title) = (present.title_at, present.title)
        or (old.category_at, old.category) = (present.category_at, present.category)
    group by old.article_id
    offset 0
) as retracted
-- An index orders the rows of an article by the later of both times, which is no earlier than either. The first row that
-- it returns is the lower bound of the search for the latest text
left join lateral (
    select lpad((title_at + %(microseconds_before_1970)s)::text, 18, '0') || title as title
    from file_article_days
    where
        hashtextextended(article_id, 0) = hashtextextended(retracted.article_id, 0)
        and article_id = retracted.article_id
        and title_at is not null
        and greatest(title_at, category_at) >= (
            select title_at
            from file_article_days
            where
                hashtextextended(article_id, 0) = hashtextextended(retracted.article_id, 0)
                and article_id = retracted.article_id
                and greatest(title_at, category_at) is not null
                and title_at is not null
            order by hashtextextended(article_id, 0) desc, greatest(title_at, category_at) desc
            limit 1
        )
    order by title_at desc, title desc
    limit 1
) as titles on true
left join lateral (
    select lpad((category_at + %(microseconds_before_1970)s)::text, 18, '0') || category as category
    from file_article_days
    where
        hashtextextended(article_id, 0) = hashtextextended(retracted.article_id, 0)
        and article_id = retracted.article_id
        and category_at is not null
        and greatest(title_at, category_at) >= (
            select category_at
            from file_article_days
            where
                hashtextextended(article_id, 0) = hashtextextended(retracted.article_id, 0)
                and article_id = retracted.article_id
                and greatest(title_at, category_at) is not null
                and category_at is not null
            order by hashtextextended(article_id, 0) desc, greatest(title_at, category_at) desc
            limit 1
        )
    order by category_at desc, category desc
    limit 1
) as categories on true;
select set_config('enable_bitmapscan', 'on', true);

-- change_article_days: what the batch adds to each article and day, less what it retracted
insert into pg_temp.changed_article_days (article_id, date, displays, clicks)
select article_id, date, sum(displays)::bigint as displays, sum(clicks)::bigint as clicks
from (
    select article_id, date, displays, clicks from file_article_days where file_id >= %(first_file_id)s
    union all
    select article_id, date, -displays, -clicks from pg_temp.old_article_days
) as new_less_old
group by article_id, date
having sum(displays) <> 0 or sum(clicks) <> 0;

-- join_articles: let the next statement look up each article, unless the batch holds a large share of all articles
select
    set_config('enable_nestloop', case when is_share then 'off' else 'on' end, true),
    set_config('enable_hashjoin', case when is_share then 'on' else 'off' end, true),
    set_config('enable_mergejoin', 'off', true)
from (
    select pg_relation_size('articles') < 2000 * count(*) as is_share from pg_temp.changed_article_days
) as sizes;

-- join_any: let the planner choose how to join again
select
    set_config('enable_nestloop', 'on', true),
    set_config('enable_hashjoin', 'on', true),
    set_config('enable_mergejoin', 'on', true);

-- change_articles: the articles that the batch touches, as they were and as they will be. If all days of an article
-- come after its former ones, they are only appended. Otherwise, if a day is earlier, a shown text changes or numbers
-- were retracted, its rows are rewritten from from_date on
with touched as (
    select
        article_id,
        min(date) as first_date,
        max(date) as last_date,
        coalesce(sum(clicks), 0)::bigint as clicks,
        bool_or(is_retracted) as is_retracted,
        max(new_title) as new_title,
        max(new_category) as new_category,
        bool_or(has_lost_latest) as has_lost_latest,
        max(remaining_title) as remaining_title,
        max(remaining_category) as remaining_category
    from (
        select
            article_id,
            date,
            clicks,
            displays < 0 or clicks < 0 as is_retracted,
            null as new_title,
            null as new_category,
            false as has_lost_latest,
            null as remaining_title,
            null as remaining_category
        from pg_temp.changed_article_days
        union all
        select
            article_id,
            null,
            null,
            false,
            lpad((title_at + %(microseconds_before_1970)s)::text, 18, '0') || title,
            lpad((category_at + %(microseconds_before_1970)s)::text, 18, '0') || category,
            false,
            null,
            null
        from file_article_days
        where file_id >= %(first_file_id)s and (title_at is not null or category_at is not null)
        union all
        select article_id, null, null, false, null, null, true, title, category from pg_temp.remaining_texts
    ) as entries
    group by article_id
),

present as (
    select
        touched.*,
        articles.article_id is not null as is_known,
        articles.clicks as present_clicks,
        articles.last_date as present_date,
        articles.title as shown_title,
        articles.category as shown_category,
        case
            when touched.has_lost_latest then touched.remaining_title
            else lpad((articles.title_at + %(microseconds_before_1970)s)::text, 18, '0') || articles.title
        end as kept_title,
        case
            when touched.has_lost_latest then touched.remaining_category
            else lpad((articles.category_at + %(microseconds_before_1970)s)::text, 18, '0') || articles.category
        end as kept_category
    from touched
    left join articles using (article_id)
),

latest as (
    select
        *,
        greatest(new_title, kept_title) as title,
        greatest(new_category, kept_category) as category
    from present
    offset 0 -- evaluate each text once
),

compared as (
    select
        *,
        is_known and (
            substr(title, 19) is distinct from shown_title or substr(category, 19) is distinct from shown_category
        ) as is_shown
    from latest
)

insert into pg_temp.changed_articles
(
    article_id, from_date, last_date, clicks_before, clicks_after, title, category, old_category, is_known, is_appended
)
select
    article_id,
    case when is_shown then '-infinity' else first_date end as from_date,
    greatest(last_date, present_date) as last_date,
    coalesce(present_clicks, 0) as clicks_before,
    coalesce(present_clicks, 0) + clicks as clicks_after,
    title,
    category,
    shown_category as old_category,
    is_known,
    not is_retracted and not is_shown and coalesce(first_date >= present_date, true) as is_appended
from compared;

-- has_rewritten: whether any article of the batch must be rewritten
select exists (select from pg_temp.changed_articles where not is_appended) as has_rewritten;

-- change_category_days: add the changes of the batch to displays and clicks by category and day; an article whose
-- category changes takes all its days along, as they were before rewrite_article_performance
with changed as materialized (
    select
        date,
        sum(displays)::bigint as displays,
        sum(clicks)::bigint as clicks,
        category
    from (
        select substr(touched.category, 19) as category, days.date, days.displays, days.clicks
        from pg_temp.changed_articles as touched
        inner join pg_temp.changed_article_days as days using (article_id)
        union all
        select moved.category, days.date, moved.sign * days.displays, moved.sign * days.clicks
        from pg_temp.changed_articles as touched
        cross join lateral (
            select date, displays, clicks from article_performance
            where
                article_id = touched.article_id
                and touched.is_known
                and substr(touched.category, 19) is distinct from touched.old_category
            offset 0
        ) as days
        cross join lateral (
            values (touched.old_category, -1), (substr(touched.category, 19), 1)
        ) as moved (category, sign)
    ) as changes
    group by date, category
    having sum(displays) <> 0 or sum(clicks) <> 0
),

present as (
    delete from category_days
    where ctid = any (array(
        select day.ctid
        from changed
        cross join lateral (
            select ctid from category_days
            where
                date = changed.date
                -- no category is an empty string
                and hashtextextended(coalesce(category, ''), 0) = hashtextextended(coalesce(changed.category, ''), 0)
                and category is not distinct from changed.category
            offset 0
        ) as day
    ))
    returning date, displays, clicks, category
)

insert into category_days (date, displays, clicks, category)
select date, sum(displays)::bigint, sum(clicks)::bigint, category
from (select * from present union all select * from changed) as present_and_change
group by date, category
having sum(displays) <> 0 or sum(clicks) <> 0
order by date, category;
