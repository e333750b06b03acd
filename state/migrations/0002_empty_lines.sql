-- Every line of a file is accounted for: an event, rejected, or empty.
alter table state.lake_files add column empty bigint not null default 0;
update state.lake_files set empty = lines - events - rejected;
alter table state.lake_files
add constraint every_line_is_accounted_for check (lines = events + rejected + empty);
comment on column state.lake_files.empty is 'Its empty lines.';
