-- What the program of step 1 wrote for `lake`.

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

insert into state.article_texts (article_id, title_at, category_at, title, category)
values
('a2', null, '1550275199999999', null, 'sports'),
('a1', '1550275230250000', '1550275230250000', 'Später', 'news'),
('a3', '1550476800500000', '1550397600000000', 'Abend', 'früh'),
('a4', '1550401200000000', '1550487600000000', 'Nur ein Titel', 'c');

insert into state.file_article_days (file_id, date, displays, clicks, article_id)
values
('1', '2019-02-15', '1', '0', 'a2'),
('1', '2019-02-15', '1', '0', '7'),
('1', '2019-02-15', '0', '1', 'a1'),
('2', '2019-02-16', '0', '1', 'a2'),
('2', '2019-02-16', '1', '1', 'a1'),
('4', '2019-02-18', '1', '0', 'a4'),
('4', '2019-02-17', '1', '0', 'a4'),
('4', '2019-02-18', '0', '1', 'a3'),
('4', '2019-02-17', '1', '1', 'a3');

insert into state.file_article_texts (file_id, article_id, title_at, category_at, title, category)
values
('1', 'a1', '1550275140000000', '1550275140000000', 'Früher', 'news'),
('1', 'a2', null, '1550275199999999', null, 'sports'),
('2', 'a1', '1550275230250000', '1550275230250000', 'Später', 'news'),
('4', 'a3', '1550476800500000', '1550397600000000', 'Abend', 'früh'),
('4', 'a4', '1550401200000000', '1550487600000000', 'Nur ein Titel', 'c');

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
('4', '2019-02-17', '2', '1', 'u4'),
('4', '2019-02-18', '1', '1', 'u4');

insert into state.lake (only_one, url, run_id)
values
('true', '/older/lake', '2');

insert into state.lake_files (file_id, key, fingerprint, content_hash, size, lines, events, rejected, counted_at, commit_id, error, failed_at)
overriding system value
values
('1', '2019/02-15.tsv', '1795484062620337420-368', E'\\x580a8930386b4dbf75dd94514cca603b48f19987cde76744da151aea62296323', '368', '6', '4', '1', '2026-11-24 01:34:23.242356+00', '2a77c79a-34f8-42f1-89a1-a566f0ae839f', null, null),
('2', '2019/02-16.tsv', '1795484062620374503-276', E'\\xc9b0630cdcba92e8cf5e6b008a4f8325e6bda3de6c7c69b3725092dc3a08fc8a', '276', '4', '3', '0', '2026-11-24 01:34:23.269446+00', 'd104a90c-79d6-408d-a4ce-64fbd0cbad39', null, null),
('4', '2019/02-17.tsv', '1795484062620400000-440', E'\\x573cd6799eb36fc80eeb9678294ffcf3f345a59b1eb348e154d24a7f6229c1a4', '440', '5', '5', '0', '2026-11-24 01:34:23.27+00', '3c862245-3c6f-40d2-b4df-246909cc200e', null, null),
('3', 'broken.tsv', null, null, null, '0', '0', '0', null, null, 'its first line is no header: it does not name TIMESTAMP, MD5(SESSION_ID), EVENT_NAME, MD5(USER_ID), ATTRIBUTES; write it again', '2026-11-24 01:34:46.255118+00');

insert into state.runs (run_id, started_at, ended_at, host, pid)
overriding system value
values
('1', '2026-11-24 01:34:23.239812+00', '2026-11-24 01:34:23.28648+00', 'vm', '15203'),
('2', '2026-11-24 01:34:46.252536+00', '2026-11-24 01:34:46.255762+00', 'vm', '15948');

select setval('state.lake_files_file_id_seq', 100);
select setval('state.runs_run_id_seq', 100);
