-- What executors of Spark stage for the run at work, each piece in a transaction of its own.
create unlogged table state.staged_pieces (
    piece uuid not null default current_setting('event_lake.piece')::uuid
);
create unlogged table state.staged_article_days (
    piece uuid not null default current_setting('event_lake.piece')::uuid,
    article_id text collate "C",
    date date,
    displays integer,
    clicks integer,
    title text collate "C",
    category text collate "C"
);
create unlogged table state.staged_user_days (
    piece uuid not null default current_setting('event_lake.piece')::uuid,
    user_id text collate "C",
    date date,
    displays integer,
    clicks integer
);
create unlogged table state.staged_sessions (
    piece uuid not null default current_setting('event_lake.piece')::uuid,
    user_id text collate "C",
    session_id text collate "C",
    first_at bigint,
    last_at bigint,
    events integer
);
create unlogged table state.staged_chunks (
    piece uuid not null default current_setting('event_lake.piece')::uuid,
    chunk bigint,
    lines bigint
);
create unlogged table state.staged_rejected_lines (
    piece uuid not null default current_setting('event_lake.piece')::uuid,
    chunk bigint,
    line bigint,
    reason text,
    raw bytea
);
create index on state.staged_pieces (piece);
create index on state.staged_article_days (piece);
create index on state.staged_user_days (piece);
create index on state.staged_sessions (piece);
create index on state.staged_chunks (piece);
create index on state.staged_rejected_lines (piece);
comment on table state.staged_pieces is 'Pieces that Spark''s executors staged whole for the run at work; a piece is what one task says of a file or of a part of its ids.';
comment on column state.staged_pieces.piece is 'The piece: each attempt of each task names its own.';
comment on table state.staged_article_days is 'Staged: displays, clicks and latest texts of an article on a day.';
comment on column state.staged_article_days.piece is 'The piece, in staged_pieces.';
comment on column state.staged_article_days.article_id is 'The article.';
comment on column state.staged_article_days.date is 'UTC day.';
comment on column state.staged_article_days.displays is 'Displays in the piece.';
comment on column state.staged_article_days.clicks is 'Clicks in the piece.';
comment on column state.staged_article_days.title is 'When the latest title was carried, in 18 digits (microseconds since the year 1), and the title.';
comment on column state.staged_article_days.category is 'When the latest category was carried, in 18 digits (microseconds since the year 1), and the category.';
comment on table state.staged_user_days is 'Staged: displays and clicks of a user on a day.';
comment on column state.staged_user_days.piece is 'The piece, in staged_pieces.';
comment on column state.staged_user_days.user_id is 'The user.';
comment on column state.staged_user_days.date is 'UTC day.';
comment on column state.staged_user_days.displays is 'Displays in the piece.';
comment on column state.staged_user_days.clicks is 'Clicks in the piece.';
comment on table state.staged_sessions is 'Staged: the span of a session.';
comment on column state.staged_sessions.piece is 'The piece, in staged_pieces.';
comment on column state.staged_sessions.user_id is 'The user: half of the session''s name.';
comment on column state.staged_sessions.session_id is 'The session id: the other half.';
comment on column state.staged_sessions.first_at is 'Its first event in the piece (microseconds since 1970-01-01 UTC).';
comment on column state.staged_sessions.last_at is 'Its last event in the piece (microseconds since 1970-01-01 UTC).';
comment on column state.staged_sessions.events is 'Its events in the piece.';
comment on table state.staged_chunks is 'Staged: stretches of the file and how many lines begin in each.';
comment on column state.staged_chunks.piece is 'The piece, in staged_pieces.';
comment on column state.staged_chunks.chunk is 'Where in the file the stretch begins, in bytes.';
comment on column state.staged_chunks.lines is 'Lines that begin in it.';
comment on table state.staged_rejected_lines is 'Staged: lines that count nowhere.';
comment on column state.staged_rejected_lines.piece is 'The piece, in staged_pieces.';
comment on column state.staged_rejected_lines.chunk is 'Where in the file the stretch of the line begins, in bytes.';
comment on column state.staged_rejected_lines.line is 'The line in that stretch, from 0.';
comment on column state.staged_rejected_lines.reason is 'Code of the reason, as the README lists them.';
comment on column state.staged_rejected_lines.raw is 'The line''s first 1,000 bytes.';
