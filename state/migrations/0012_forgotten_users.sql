-- Users may be forgotten: only a hash of each id is kept, under a key that is made when the first user is forgotten.
-- HMAC-SHA-256 of an id; the key comes as the two blocks that RFC 2104 makes of it.
create function state.hash_user(user_id bytea, inner_key bytea, outer_key bytea) returns bytea
language sql immutable strict parallel safe
return sha256(outer_key || sha256(inner_key || user_id));

-- What is left of a rejected line once any user is forgotten: if it was cut at 1,000 bytes, its last field may be half
-- an id.
create function state.drop_cut_field(raw bytea) returns bytea
language sql immutable strict parallel safe
return case
    when length(raw) < 1000 then raw else decode(regexp_replace(encode(raw, 'escape'), E'[^\t]*$', ''), 'escape')
end;

-- The texts in a rejected line that may be ids: its fields, and each run of letters, digits, _ . @ + - and bytes above
-- 127. 'escape' writes these bytes as \200 to \377, a NUL as \000 and a backslash as two.
create function state.find_ids(raw bytea) returns setof bytea
language sql immutable strict parallel safe
begin atomic
    select decode(field, 'escape') from string_to_table(encode(raw, 'escape'), chr(9)) as field
    union all
    select decode(run[1], 'escape')
    from regexp_matches(
        replace(replace(encode(raw, 'escape'), E'\\\\', ' '), E'\\000', ' '),
        E'((?:[A-Za-z0-9_.@+-]|\\\\[23][0-7][0-7])+)',
        'g'
    ) as run;
end;

create table state.hash_key (
    only_one boolean primary key default true check (only_one),
    inner_key bytea not null,
    outer_key bytea not null
);
comment on table state.hash_key is
'The key of the hashes in forgotten_users, made at random when the first user was forgotten, as two blocks for HMAC-SHA-256.';
comment on column state.hash_key.only_one is 'Always true, so that there is only one row.';
comment on column state.hash_key.inner_key is 'The 64 bytes before the id.';
comment on column state.hash_key.outer_key is 'The 64 bytes before the hash of those bytes and the id.';

create table state.forgotten_users (
    user_hash bytea primary key,
    forgotten_at timestamptz not null default now()
);
comment on table state.forgotten_users is 'Users that were forgotten: their lines count for no user, whenever they are read.';
comment on column state.forgotten_users.user_hash is 'HMAC-SHA-256 of the user''s id; the id itself is not kept.';
comment on column state.forgotten_users.forgotten_at is 'When the user was forgotten.';
comment on column state.file_rejected_lines.raw is 'The line''s first 1,000 bytes; empty if it holds the id of a forgotten user.';
comment on column state.rejected_lines.raw is 'The line''s first 1,000 bytes; empty if it holds the id of a forgotten user.';
