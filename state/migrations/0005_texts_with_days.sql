-- A file's titles and categories stand with its article days, and the latest ones in article_performance only.
alter table state.file_article_days
add column title_at bigint,
add column category_at bigint,
add column title text collate "C",
add column category text collate "C";
update state.file_article_days as days
set title_at = texts.title_at, title = texts.title
from state.file_article_texts as texts
where
    texts.file_id = days.file_id
    and texts.article_id = days.article_id
    and days.date = date '0001-01-01' + ((texts.title_at + 62135596800000000) / 86400000000)::integer;
update state.file_article_days as days
set category_at = texts.category_at, category = texts.category
from state.file_article_texts as texts
where
    texts.file_id = days.file_id
    and texts.article_id = days.article_id
    and days.date = date '0001-01-01' + ((texts.category_at + 62135596800000000) / 86400000000)::integer;
drop table state.file_article_texts;
alter table state.article_texts drop column title, drop column category;
create index file_article_days_hash on state.file_article_days (hashtextextended(article_id, 0));
comment on table state.file_article_days is
'What each file gave: displays and clicks of an article on a day, and its latest title and category.';
comment on column state.file_article_days.title_at is 'When the title was carried (microseconds since 1970-01-01 UTC).';
comment on column state.file_article_days.category_at is 'When the category was carried (microseconds since 1970-01-01 UTC).';
comment on column state.file_article_days.title is 'The latest title of the article in this file, on its day; null on other days.';
comment on column state.file_article_days.category is 'The latest category of the article in this file, on its day; null on other days.';
comment on table state.article_texts is 'When the latest title and category of an article were carried, over all files.';
comment on column state.article_texts.article_id is 'The article; article_performance has the texts themselves.';
