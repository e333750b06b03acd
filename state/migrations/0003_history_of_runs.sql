-- What every run did and how it ended.
alter table state.runs
add column command text not null default 'unknown',
add column exit_code integer,
add column error text,
add column files_counted bigint not null default 0,
add column files_unchanged bigint not null default 0,
add column files_failed bigint not null default 0,
add column files_forgotten bigint not null default 0,
add column events bigint not null default 0,
add column rejected bigint not null default 0,
add column seconds double precision not null default 0,
add column bytes bigint not null default 0;
comment on column state.runs.command is 'What it was: count, rebuild, forget or verify; unknown before this was recorded.';
comment on column state.runs.exit_code is 'How it ended: 0 done, 1 something failed, 2 a wrong setting; null while it is at work, or where it was killed or lost its lock.';
comment on column state.runs.error is 'The line that it ended with where it failed as a whole; why a file failed stands in lake_files.';
comment on column state.runs.files_counted is 'Files that it counted; for verify, that it read.';
comment on column state.runs.files_unchanged is 'Files that were counted before and hold the same.';
comment on column state.runs.files_failed is 'Files that could not be read.';
comment on column state.runs.files_forgotten is 'Files that it took back, as they were pruned or forgotten.';
comment on column state.runs.events is 'Events in the files that it counted.';
comment on column state.runs.rejected is 'Rejected lines in the files that it counted.';
comment on column state.runs.seconds is 'How long it counted or, where it did not come to its end, ran, in seconds.';
comment on column state.runs.bytes is 'Bytes that it read from the lake, as they are stored there.';
