-- The lock, the fence and the record of a run

-- try_lock: take the lock of this database until the transaction ends, or return false
select pg_try_advisory_xact_lock(7075707461793139) as locked;

-- name_lock_holder: show other runs which process holds the lock, while the transaction is open
select set_config('application_name', %(holder)s, true) as name;

-- read_lake: the lake that this database holds, the definition of its lines, whether any file was counted, and the run
-- that may write
select
    url, run_id, definition, exists (select from state.lake_files where fingerprint is not null) as has_counted
from state.lake;

-- advance_run_numbers: continue after the highest number, as a restore of the tables alone leaves the sequence behind
select setval('state.runs_run_id_seq', present.most)
from (select max(run_id) as most from state.runs) as present
cross join state.runs_run_id_seq as drawn
where present.most > drawn.last_value or (present.most = drawn.last_value and not drawn.is_called);

-- begin_run: record a new run
insert into state.runs (host, pid, command) values (%(host)s, %(pid)s, %(command)s) returning run_id;

-- set_fence: let only this run write from now on, and record the lake; a definition that is recorded stays
insert into state.lake (url, run_id, definition) values (%(url)s, %(run_id)s, %(definition)s)
on conflict (only_one) do update set url = excluded.url, run_id = excluded.run_id;

-- record_definition: the definition under which the lines of the lake are counted now
update state.lake set definition = %(definition)s;

-- check_fence: one row only while no other run took over; it makes other runs wait until the transaction ends
select run_id from state.lake where run_id = %(run_id)s for update;

-- record_end: how a run ended; record_progress records what it did
update state.runs set ended_at = now(), exit_code = %(exit_code)s, error = %(error)s where run_id = %(run_id)s;

-- record_progress: what a run did until now
update state.runs
set
    files_counted = %(files_counted)s,
    files_unchanged = %(files_unchanged)s,
    files_failed = %(files_failed)s,
    files_forgotten = %(files_forgotten)s,
    events = %(events)s,
    rejected = %(rejected)s,
    seconds = %(seconds)s,
    bytes = %(bytes)s,
    reasons = %(reasons)s
where run_id = %(run_id)s;
