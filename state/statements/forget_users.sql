-- How users are forgotten, and stay so

-- drop_forgotten: delete the rows of forgotten users before they reach a table that is logged, and empty the rejected
-- lines that hold the id of one
with forgotten as materialized (
    select users.user_id
    from (select user_id from pg_temp.new_user_days union select user_id from pg_temp.new_sessions) as users
    cross join hash_key
    cross join lateral (
        select from forgotten_users
        where user_hash = hash_user(convert_to(users.user_id, 'UTF8'), hash_key.inner_key, hash_key.outer_key)
        offset 0
    ) as found
),

days as (
    delete from pg_temp.new_user_days where user_id in (select user_id from forgotten)
)

delete from pg_temp.new_sessions where user_id in (select user_id from forgotten);
update pg_temp.new_rejected_lines set raw = drop_cut_field(raw) where length(raw) >= 1000;
update pg_temp.new_rejected_lines set raw = ''
where (file_id, chunk, line) in (
    select lines.file_id, lines.chunk, lines.line
    from pg_temp.new_rejected_lines as lines
    cross join find_ids(lines.raw) as id
    cross join hash_key
    cross join lateral (
        select from forgotten_users where user_hash = hash_user(id, hash_key.inner_key, hash_key.outer_key) offset 0
    ) as found
);

-- measure_users: what forget_users would return for some users
select
    cardinality(%(user_ids)s::text[]) as users,
    cardinality(%(user_ids)s::text[]) - (
        select count(*)
        from unnest(%(user_ids)s::text[]) as given (user_id)
        cross join state.hash_key
        inner join state.forgotten_users
            on
                forgotten_users.user_hash
                = state.hash_user(convert_to(given.user_id, 'UTF8'), hash_key.inner_key, hash_key.outer_key)
    ) as users_new,
    count(distinct user_id) as users_found,
    count(*) as rows,
    coalesce(sum(sessions), 0)::bigint as sessions,
    (
        select count(distinct (lines.file_id, lines.line_number))
        from state.file_rejected_lines as lines
        cross join state.find_ids(state.drop_cut_field(lines.raw)) as id
        where id in (select convert_to(user_id, 'UTF8') from unnest(%(user_ids)s::text[]) as given (user_id))
    ) as rejected_lines
from public.user_performance
where user_id in (select user_id from unnest(%(user_ids)s::text[]) as given (user_id));

-- create_given_users: the ids of users to forget. They come by COPY, so that no statement holds them, which the server
-- may log
create temporary table pg_temp.given_users (user_id text collate "C") on commit drop;

-- copy_given_users: the ids
copy pg_temp.given_users (user_id) from stdin;

-- forget_users: withdraw what the given users contributed, empty the rejected lines that hold their ids, and remember
-- their hashes; later statements bring down the sums. Returns numbers of users, of rows, and of sessions and lines
insert into hash_key (inner_key, outer_key)
select
    -- HMAC combines each byte of the key with 0x36, and with 0x5c; bit_send puts a length before the bytes
    substr(bit_send(key # repeat('00110110', 64)::bit(512)), 5),
    substr(bit_send(key # repeat('01011100', 64)::bit(512)), 5)
from (
    select
        ('x' || rpad(encode(sha256(string_agg(uuid_send(gen_random_uuid()), '')), 'hex'), 128, '0'))::bit(512) as key
    from generate_series(1, 4)
    offset 0
) as made
on conflict do nothing;
update file_rejected_lines set raw = drop_cut_field(raw) where length(raw) >= 1000;
with remembered as (
    insert into forgotten_users (user_hash)
    select hash_user(convert_to(given.user_id, 'UTF8'), hash_key.inner_key, hash_key.outer_key)
    from pg_temp.given_users as given
    cross join hash_key
    on conflict do nothing
    returning user_hash
),

deleted_days as (
    delete from file_user_days
    where user_id in (select user_id from pg_temp.given_users)
    returning user_id, date, displays, clicks
),

retracted_days as (
    insert into pg_temp.old_user_days (user_id, date, displays, clicks)
    select user_id, date, displays, clicks from deleted_days
),

deleted_sessions as (
    delete from file_sessions
    where user_id in (select user_id from pg_temp.given_users)
    returning user_id, session_id, first_at, last_at
),

retracted_sessions as (
    insert into pg_temp.old_sessions (user_id, session_id, first_at, last_at)
    select user_id, session_id, first_at, last_at from deleted_sessions
),

emptied as (
    update file_rejected_lines set raw = ''
    where (file_id, line_number) in (
        select lines.file_id, lines.line_number
        from file_rejected_lines as lines
        cross join find_ids(lines.raw) as id
        where id in (select convert_to(user_id, 'UTF8') from pg_temp.given_users)
    )
    returning line_number
),

errors as (
    update runs set error = 'it held the id of a user who was forgotten'
    where run_id in (
        select named.run_id
        from runs as named
        cross join find_ids(convert_to(named.error, 'UTF8')) as id
        where id in (select convert_to(user_id, 'UTF8') from pg_temp.given_users)
    )
)

select
    (select count(*) from pg_temp.given_users) as users,
    (select count(*) from remembered) as users_new,
    count(distinct present.user_id) as users_found,
    count(*) as rows,
    coalesce(sum(present.sessions), 0)::bigint as sessions,
    (select count(*) from emptied) as rejected_lines
from user_performance as present
where present.user_id in (select user_id from pg_temp.given_users);

-- analyze_users: sample these columns again, since the statistics of the planner hold ids
analyze file_user_days (user_id);
analyze file_sessions (user_id);
analyze user_performance (user_id);
analyze file_rejected_lines (raw);
analyze runs (error);
