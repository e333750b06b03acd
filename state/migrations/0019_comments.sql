-- Comments in the words of docs/glossary.md.
comment on schema state is 'Checkpoints, contributions and runs of the event lake; for the program, not for BI.';
comment on column state.runs.files_failed is 'Files that could not be ingested.';
comment on column state.lake.first_new_file_id is 'Number of the first file of the last run, or turn of a watch, that ingested any; null before there is one.';
comment on column state.lake_files.error is 'Why its present version could not be ingested; null if it could.';
comment on column state.file_rejected_lines.reason is 'Code of the reason; docs/tables.md lists all of them.';
comment on column state.rejected_lines.reason is 'Code of the reason; docs/tables.md lists all of them.';
comment on column state.staged_rejected_lines.reason is 'Code of the reason; docs/tables.md lists all of them.';
comment on column public.freshness.failed_files is 'Lake files whose present version could not be ingested; an earlier version may be counted.';
