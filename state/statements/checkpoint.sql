-- Which versions of which files were ingested, or failed

-- read_checkpoint: the checkpoint of some files, or of all files
select file_id, key, fingerprint, error
from state.lake_files
where %(keys)s::text[] is null or key = any(%(keys)s);

-- find_files: the id, content hash and last commit of some files
select found.key, found.file_id, found.content_hash, found.commit_id
from unnest(%(keys)s::text[]) as keys (key)
cross join lateral (
    select key, file_id, content_hash, commit_id from lake_files where key = keys.key offset 0
) as found;

-- next_file_id: the id of the next file, which only the run that holds the lock asks for, and whether any user was
-- forgotten
select coalesce(max(file_id), 0) + 1 as file_id, exists (select from forgotten_users) as has_forgotten from lake_files;

-- begin_turn: the versions from this file id on are those of the last run, or of the last turn of a watch
update lake set first_new_file_id = %(first_file_id)s;

-- record_files: the checkpoints of the versions that were ingested, in place of the former ones
delete from lake_files where file_id = any(%(known)s);
insert into lake_files
(
    file_id, key, fingerprint, content_hash, size, lines, events, rejected, empty, newest_at, event_days, counted_at,
    commit_id
)
select
    files.file_id, files.key, files.fingerprint, files.content_hash, files.size,
    files.lines, files.events, files.rejected, files.empty, files.newest_at, files.event_days, now(), %(commit_id)s
from unnest(
    %(file_id)s::integer[], %(key)s::text[], %(fingerprint)s::text[], %(content_hash)s::bytea[], %(size)s::bigint[],
    %(lines)s::bigint[], %(events)s::bigint[], %(rejected)s::bigint[], %(empty)s::bigint[], %(newest_at)s::bigint[],
    %(event_days)s::jsonb[]
) as files (file_id, key, fingerprint, content_hash, size, lines, events, rejected, empty, newest_at, event_days);

-- record_same: a file's new fingerprint, as its content is the same
update lake_files
set
    fingerprint = %(fingerprint)s,
    size = %(size)s,
    newest_at = %(newest_at)s, -- older programs did not record it, nor the next one
    event_days = %(event_days)s,
    commit_id = %(commit_id)s,
    error = null,
    failed_at = null
where file_id = %(file_id)s;

-- record_failed: a file that was never ingested, and why its present version cannot be read
insert into lake_files (file_id, key, error, failed_at)
select coalesce(max(file_id), 0) + 1, %(key)s, %(error)s, now() from lake_files;

-- record_error: why the present version of a known file cannot be read
update lake_files set error = %(error)s, failed_at = now() where file_id = %(file_id)s;

-- clear_error: delete an error, as the version that could not be ingested is no longer in the lake
update lake_files set error = null, failed_at = null where file_id = %(file_id)s;

-- forget_files: delete checkpoints, as if the files had never existed
delete from lake_files where file_id = any(%(file_ids)s);
