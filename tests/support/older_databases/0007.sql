-- What the program of step 7 wrote for `lake`.

insert into public.article_performance (article_id, date, title, category, displays, clicks, cumulative_clicks)
values
('7', '2019-02-15', null, null, '1', '0', '0'),
('a2', '2019-02-15', null, 'sports', '1', '0', '0'),
('a1', '2019-02-15', 'Später', 'news', '0', '1', '1'),
('a1', '2019-02-16', 'Später', 'news', '1', '1', '2'),
('a2', '2019-02-16', null, 'sports', '0', '1', '1'),
('a3', '2019-02-17', 'Abend', 'früh', '1', '1', '1'),
('a3', '2019-02-18', 'Abend', 'früh', '0', '1', '2'),
('a4', '2019-02-17', 'Nur ein Titel', 'c', '1', '0', '0'),
('a4', '2019-02-18', 'Nur ein Titel', 'c', '1', '0', '0');

insert into public.user_performance (user_id, date, sessions, session_seconds, displays, clicks)
values
('u2', '2019-02-15', '1', '1.500000', '1', '0'),
('u1', '2019-02-15', '1', '90.250000', '1', '1'),
('u1', '2019-02-16', '0', '0.000000', '1', '0'),
('u3', '2019-02-16', '1', '0.000000', '0', '1'),
('u4', '2019-02-17', '0', '0.000000', '2', '1'),
('u4', '2019-02-18', '0', '0.000000', '1', '1');

insert into state.article_texts (article_id, title_at, category_at)
values
('a2', null, '1550275199999999'),
('a1', '1550275230250000', '1550275230250000'),
('a3', '1550476800500000', '1550397600000000'),
('a4', '1550401200000000', '1550487600000000');

insert into state.file_article_days (file_id, date, displays, clicks, article_id, title_at, category_at, title, category)
values
('1', '2019-02-15', '0', '1', 'a1', '1550275140000000', '1550275140000000', 'Früher', 'news'),
('1', '2019-02-15', '1', '0', '7', null, null, null, null),
('1', '2019-02-15', '1', '0', 'a2', null, '1550275199999999', null, 'sports'),
('2', '2019-02-16', '1', '1', 'a1', '1550275230250000', '1550275230250000', 'Später', 'news'),
('2', '2019-02-16', '0', '1', 'a2', null, null, null, null),
('3', '2019-02-18', '1', '0', 'a4', null, '1550487600000000', null, 'c'),
('3', '2019-02-17', '1', '0', 'a4', '1550401200000000', null, 'Nur ein Titel', null),
('3', '2019-02-18', '0', '1', 'a3', '1550476800500000', null, 'Abend', null),
('3', '2019-02-17', '1', '1', 'a3', null, '1550397600000000', null, 'früh');

insert into state.file_rejected_lines (file_id, line_number, reason, raw)
values
('1', '5', 'wrong_field_count', E'\\x6e6f206576656e74');

insert into state.file_sessions (first_at, last_at, file_id, events, user_id, session_id)
values
('1550224800000000', '1550224801500000', '1', '2', 'u2', 's2'),
('1550275140000000', '1550275199999999', '1', '2', 'u1', 's1'),
('1550318400000000', '1550318400000000', '2', '1', 'u3', 's3'),
('1550275230250000', '1550275230250000', '2', '1', 'u1', 's1');

insert into state.file_user_days (file_id, date, displays, clicks, user_id)
values
('1', '2019-02-15', '1', '0', 'u2'),
('1', '2019-02-15', '1', '1', 'u1'),
('2', '2019-02-16', '0', '1', 'u3'),
('2', '2019-02-16', '1', '0', 'u1'),
('3', '2019-02-17', '2', '1', 'u4'),
('3', '2019-02-18', '1', '1', 'u4');

insert into state.lake (only_one, url, run_id)
values
('true', '/older/lake', '2');

insert into state.lake_files (file_id, key, fingerprint, content_hash, size, lines, events, rejected, counted_at, commit_id, error, failed_at, empty, newest_at)
overriding system value
values
('1', '2019/02-15.tsv', '1795484062620337420-368', E'\\x580a8930386b4dbf75dd94514cca603b48f19987cde76744da151aea62296323', '368', '6', '4', '1', '2026-11-25 13:03:34.412397+00:00', 'c67d5be4-8b35-4a4b-b1e2-3c6d3b153f22', null, null, '1', '1550275199999999'),
('2', '2019/02-16.tsv', '1795484062620374503-276', E'\\xc9b0630cdcba92e8cf5e6b008a4f8325e6bda3de6c7c69b3725092dc3a08fc8a', '276', '4', '3', '0', '2026-11-25 13:03:34.612466+00:00', '9adecacc-c32b-4710-aec5-ef8d09f371df', null, null, '1', '1550318400000000'),
('3', '2019/02-17.tsv', '1795484062620400000-440', E'\\x573cd6799eb36fc80eeb9678294ffcf3f345a59b1eb348e154d24a7f6229c1a4', '440', '5', '5', '0', '2026-11-25 13:03:34.734171+00:00', 'b6680354-8b7a-4e3b-b50e-a8cb0f0ab6bd', null, null, '0', '1550487600000000'),
('4', 'broken.tsv', null, null, null, '0', '0', '0', null, null, 'its first line is no header: it does not name TIMESTAMP, MD5(SESSION_ID), EVENT_NAME, MD5(USER_ID), ATTRIBUTES; write it again', '2026-11-25 13:03:34.886319+00:00', '0', null);

insert into state.runs (run_id, started_at, ended_at, host, pid, command, exit_code, error, files_counted, files_unchanged, files_failed, files_forgotten, events, rejected, seconds, bytes, reasons)
overriding system value
values
('1', '2026-11-25 13:03:34.386465+00:00', '2026-11-25 13:03:34.808810+00:00', 'vm', '15032', 'count', null, null, '0', '0', '0', '0', '0', '0', '0.0', '0', '{}'),
('2', '2026-11-25 13:03:34.874737+00:00', '2026-11-25 13:03:34.893374+00:00', 'vm', '15032', 'count', null, null, '0', '0', '0', '0', '0', '0', '0.0', '0', '{}');

select setval('state.lake_files_file_id_seq', 100);
select setval('state.runs_run_id_seq', 100);
