-- What the program of step 9 wrote for `lake`.

insert into public.article_performance (article_id, date, title, category, displays, clicks, cumulative_clicks)
values
('7', '2019-02-15', null, null, 1, 0, 0),
('a2', '2019-02-15', null, 'sports', 1, 0, 0),
('a1', '2019-02-15', 'Später', 'news', 0, 1, 1),
('a1', '2019-02-16', 'Später', 'news', 1, 1, 2),
('a2', '2019-02-16', null, 'sports', 0, 1, 1),
('7', '2019-02-17', null, null, 1, 0, 0);

insert into public.user_performance (user_id, date, sessions, session_seconds, displays, clicks)
values
('u2', '2019-02-15', 1, 1.500000, 1, 0),
('u1', '2019-02-16', 0, 0.000000, 1, 0),
('u3', '2019-02-16', 1, 0.000000, 0, 1),
('u1', '2019-02-15', 1, 90060.000000, 1, 1),
('u1', '2019-02-17', 0, 0.000000, 1, 0);

insert into state.article_texts (title_at, category_at, article_id)
values
(null, 1550275199999999, 'a2'),
(1550275230250000, 1550275230250000, 'a1');

insert into state.category_days (date, displays, clicks, category)
values
('2019-02-15', 0, 1, 'news'),
('2019-02-15', 1, 0, 'sports'),
('2019-02-15', 1, 0, null),
('2019-02-16', 1, 1, 'news'),
('2019-02-16', 0, 1, 'sports'),
('2019-02-17', 1, 0, null);

insert into state.file_article_days (title_at, category_at, file_id, date, displays, clicks, article_id, title, category)
values
(1550275140000000, 1550275140000000, 1, '2019-02-15', 0, 1, 'a1', 'Früher', 'news'),
(null, null, 1, '2019-02-15', 1, 0, '7', null, null),
(null, 1550275199999999, 1, '2019-02-15', 1, 0, 'a2', null, 'sports'),
(1550275230250000, 1550275230250000, 2, '2019-02-16', 1, 1, 'a1', 'Später', 'news'),
(null, null, 2, '2019-02-16', 0, 1, 'a2', null, null),
(null, null, 3, '2019-02-17', 1, 0, '7', null, null);

insert into state.file_rejected_lines (file_id, line_number, reason, raw)
values
(1, 5, 'wrong_field_count', '\x6e6f206576656e74');

insert into state.file_sessions (first_at, last_at, file_id, events, user_id, session_id)
values
(1550224800000000, 1550224801500000, 1, 2, 'u2', 's2'),
(1550275140000000, 1550275199999999, 1, 2, 'u1', 's1'),
(1550318400000000, 1550318400000000, 2, 1, 'u3', 's3'),
(1550275230250000, 1550275230250000, 2, 1, 'u1', 's1'),
(1550365200000000, 1550365200000000, 3, 1, 'u1', 's1');

insert into state.file_user_days (file_id, date, displays, clicks, user_id)
values
(1, '2019-02-15', 1, 0, 'u2'),
(1, '2019-02-15', 1, 1, 'u1'),
(2, '2019-02-16', 0, 1, 'u3'),
(2, '2019-02-16', 1, 0, 'u1'),
(3, '2019-02-17', 1, 0, 'u1');

insert into state.lake (only_one, url, run_id)
values
(true, '/older/lake', 1);

insert into state.lake_files (file_id, key, fingerprint, content_hash, size, lines, events, rejected, empty, counted_at, commit_id, error, failed_at, newest_at)
overriding system value
values
(1, '2019/02-15.tsv', '1795609410129893273-368', '\x580a8930386b4dbf75dd94514cca603b48f19987cde76744da151aea62296323', 368, 6, 4, 1, 1, '2026-11-25 13:25:07.448365+00', 'f43cafd4-b361-41bf-b2c4-be124023e75c', null, null, 1550275199999999),
(2, '2019/02-16.tsv', '1795609410129944039-276', '\xc9b0630cdcba92e8cf5e6b008a4f8325e6bda3de6c7c69b3725092dc3a08fc8a', 276, 4, 3, 0, 1, '2026-11-25 13:25:07.472953+00', '89ca1735-3ae5-4cb1-8a2d-59be1f5c413e', null, null, 1550318400000000),
(3, '2019/02-17.tsv', '1795613104148686651-124', '\xa4c349915db9f554f4735d59882a748cb8a9a590227cd6aefc748d5bb3db39d5', 124, 1, 1, 0, 0, '2026-11-25 13:25:07.521312+00', '86a2f1fd-5a41-4657-8818-53efe397c585', null, null, 1550365200000000),
(4, 'broken.tsv', null, null, null, 0, 0, 0, 0, null, null, 'its first line is no header: it does not name TIMESTAMP, MD5(SESSION_ID), EVENT_NAME, MD5(USER_ID), ATTRIBUTES; write it again', '2026-11-25 13:25:07.560394+00', null);

insert into state.runs (run_id, started_at, ended_at, host, pid, command, exit_code, error, files_counted, files_unchanged, files_failed, files_forgotten, events, rejected, seconds, bytes, reasons)
overriding system value
values
(1, '2026-11-25 13:25:07.441238+00', '2026-11-25 13:25:09.614401+00', 'vm', 27670, 'count', 1, null, 3, 0, 1, 0, 8, 1, 0.137, 778, '{"wrong_field_count": 1}');

insert into state.session_days (date, sessions, session_seconds)
values
('2019-02-16', 1, 0.000000),
('2019-02-15', 2, 90061.500000);

select setval('state.lake_files_file_id_seq', 4, true);
select setval('state.runs_run_id_seq', 1, true);
