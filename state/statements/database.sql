-- What opening a database needs

-- apply_settings: set parameters, for this transaction only, so that a pooler can hand the connection on. The locks of a
-- program that was killed, or whose host was lost, are released soon
select
    set_config('search_path', %(search_path)s, true),
    set_config('client_min_messages', 'warning', true),
    set_config('idle_in_transaction_session_timeout', '0', true),
    -- only since PostgreSQL 17
    case when current_setting('transaction_timeout', true) is not null then set_config('transaction_timeout', '0', true) end,
    -- compiling takes longer than these statements, and estimates for tables without statistics would switch it on
    set_config('jit', 'off', true),
    -- the statements are made for look-ups
    set_config('enable_nestloop', 'on', true),
    set_config('enable_indexscan', 'on', true),
    set_config('enable_indexonlyscan', 'on', true),
    set_config('enable_bitmapscan', 'on', true),
    -- if a policy hides rows, raise an error instead of summing the others
    set_config('row_security', 'off', true),
    -- psycopg2 reads dates in this form; numbers come with all their digits
    set_config('datestyle', 'ISO', true),
    set_config('extra_float_digits', '1', true),
    -- whatever the role's default is, what a run reports as counted must survive a crash of the server
    set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true),
    set_config('tcp_keepalives_idle', '30', true),
    set_config('tcp_keepalives_interval', '10', true),
    set_config('tcp_keepalives_count', '3', true),
    -- servers on Windows cannot check their client while they work
    set_config(
        'client_connection_check_interval',
        case current_setting('dynamic_shared_memory_type') when 'windows' then '0' else '1s' end,
        true
    );

-- read_server: what the program requires of the server
select
    current_setting('server_version_num')::integer as version,
    current_setting('server_encoding') as encoding,
    current_setting('server_version') as version_text;

-- has_schema: whether this database was ever used
select to_regclass('state.steps') is not null as has_schema;

-- read_step: the step of the last migration that was applied
select max(step) as step from state.steps;

-- record_step: record that a migration was applied
insert into state.steps (step) values (%(step)s);

-- discard_temporary: drop the session's temporary tables: after a transaction that failed they are empty, but as large
-- as before
discard temp;
