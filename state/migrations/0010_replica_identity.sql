-- A publication for all tables refuses updates and deletes of a table whose rows have no identity. These tables have no
-- key, and an index for one would add to the cost of every row of every file. The whole row as identity costs nothing
-- unless wal_level is logical; then each deleted row is logged.
alter table state.file_article_days replica identity full;
alter table state.file_user_days replica identity full;
alter table state.file_sessions replica identity full;
alter table state.category_days replica identity full;
