-- A publication for all tables refuses updates and deletes of a table whose rows have no identity. These have no key, and
-- an index for one would cost each row of each file; the whole row costs nothing unless wal_level is logical, and then
-- its size when it is deleted.
alter table state.file_article_days replica identity full;
alter table state.file_user_days replica identity full;
alter table state.file_sessions replica identity full;
alter table state.category_days replica identity full;
