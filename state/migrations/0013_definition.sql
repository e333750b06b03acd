-- What lake.toml says of the lines of the lake. Databases from before it were counted by the assignment's definition.
alter table state.lake add column definition jsonb not null default '{}';
comment on column state.lake.definition is 'What lake.toml changed of the assignment''s definition when the lake was counted, by section and key.';
