-- How many clicks and displays each file has by day and name of the event, for `run.py check`.
alter table state.lake_files add column event_days jsonb;
comment on column state.lake_files.event_days is 'Its clicks and displays by day and by the name of the event; null if it was counted before this was recorded.';
