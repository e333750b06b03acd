-- A transaction ingests a batch of files: each version gets a number of its own, and one row an article holds its latest
-- texts and where its cumulative clicks stand.
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
'Every article of article_performance over all files: its latest texts, and where its cumulative clicks stand.';
comment on column state.articles.title_at is 'When the title was carried (microseconds since 1970-01-01 UTC).';
comment on column state.articles.category_at is 'When the category was carried (microseconds since 1970-01-01 UTC).';
comment on column state.articles.clicks is 'Its clicks on all days.';
comment on column state.articles.last_date is 'The last UTC day on which it has a click or a display.';
comment on column state.articles.article_id is 'The article.';
comment on column state.articles.title is 'Its latest title.';
comment on column state.articles.category is 'Its latest category.';

alter table state.lake_files alter column file_id drop identity;
comment on column state.lake_files.file_id is 'Number of the file in the tables file_*; each version that is ingested gets the next one.';

drop index state.file_article_days_hash;
create index file_article_days_hash
on state.file_article_days (hashtextextended(article_id, 0), greatest(title_at, category_at));

-- the first and the last part of a session that lies in many files are found at once
drop index state.file_sessions_hash;
create index file_sessions_first on state.file_sessions
(hashtextextended(session_id, hashtextextended(user_id, 0)), first_at);
create index file_sessions_last on state.file_sessions
(hashtextextended(session_id, hashtextextended(user_id, 0)), last_at);

drop table state.staged_chunks;
alter table state.staged_article_days drop column title, drop column category;
alter table state.staged_article_days
add column title_at bigint, add column category_at bigint, add column title text collate "C", add column category text collate "C";
comment on column state.staged_article_days.title_at is 'When the title was carried (microseconds since 1970-01-01 UTC).';
comment on column state.staged_article_days.category_at is 'When the category was carried (microseconds since 1970-01-01 UTC).';
comment on column state.staged_article_days.title is 'The latest title of the article in the piece, on its day; null on other days.';
comment on column state.staged_article_days.category is 'The latest category of the article in the piece, on its day; null on other days.';
