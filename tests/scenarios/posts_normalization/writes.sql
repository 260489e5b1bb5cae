-- People post, the scrapers count: for pgbench. Times are of 2025, as all are.
\set post random(1, 8000)
\set person random(0, 399)
\set message random(1, 6000)
\set what random(1, 100)
\set some random(1, 1000000)
\if :what <= 15
-- elements come, go and change places
UPDATE posts SET media_urls = CASE :some % 5 WHEN 0 THEN NULL WHEN 1 THEN '{}' WHEN 2 THEN media_urls || ('https://cdn.example.org/new/' || :some)
    WHEN 3 THEN media_urls[2:3] ELSE ARRAY['https://cdn.example.org/é "1"', 'https://cdn.example.org/2'] END WHERE id = md5('p' || :post)::uuid;
\elif :what <= 24
UPDATE posts SET caption = (SELECT string_agg(md5(:some::text || g), ' ') FROM generate_series(1, 200) g), hashtags = ARRAY['#new', NULL]
WHERE id = md5('p' || :post)::uuid;
\elif :what <= 34
-- the long caption stays as it is, and a metric may become NULL
UPDATE posts SET saves = nullif(:some % 9, 7), impressions = nullif(:some % 5, 3), updated_at = '2025-03-01 00:00:00+00'::timestamptz + :some * interval '5 s'
WHERE id = md5('p' || :post)::uuid;
\elif :what <= 40
UPDATE posts SET embedding = CASE WHEN :some % 2 = 0 THEN ARRAY[:some / 3.0, 'NaN', -0.0]::real[] END, status = 'published'
WHERE id = md5('p' || :post)::uuid;
\elif :what <= 50
BEGIN;
WITH p AS (INSERT INTO posts (id, user_id, platform, status, title, media_urls, saves, created_at, updated_at)
           SELECT gen_random_uuid(), md5('u' || :person)::uuid, 'tiktok', 'draft', 'new', ARRAY['https://cdn.example.org/' || :some], :some % 50,
                  '2025-02-01 00:00:00+00', '2025-02-01 00:00:00+00' RETURNING id)
INSERT INTO post_analytics (post_id, recorded_at, likes, reach_rate) SELECT id, '2025-08-01 00:00:00+00', :some % 7, NULL FROM p WHERE :some % 2 = 0;
COMMIT;
\elif :what <= 62
UPDATE post_analytics SET likes = nullif(:some % 9, 5), shares = :some, engagement_rate = nullif(:some % 3, 1), recorded_at = recorded_at + interval '1 us'
WHERE id = 1 + :some % 30000;
\elif :what <= 68
INSERT INTO post_analytics (post_id, recorded_at, views) SELECT id, '2025-05-01 00:00:00+00'::timestamptz + :some * interval '1 s', :some FROM posts
WHERE id = md5('p' || :post)::uuid FOR KEY SHARE ON CONFLICT DO NOTHING;
\elif :what <= 74
DELETE FROM post_analytics WHERE id = 1 + :some % 30000;
\elif :what <= 82
UPDATE chat_messages SET embedding = CASE WHEN :some % 2 = 0 THEN ARRAY[:some]::real[] END, content = content || '!' WHERE id = md5('m' || :message)::uuid;
\elif :what <= 86
INSERT INTO chat_messages (id, user_id, sender, content, created_at)
VALUES (gen_random_uuid(), md5('u' || :person)::uuid, 'user', E'née\n"' || :some || '"', '2025-09-01 00:00:00+00');
\elif :what <= 89
DELETE FROM chat_messages WHERE id = md5('m' || :message)::uuid;
\elif :what <= 93
INSERT INTO user_profiles VALUES (gen_random_uuid(), gen_random_uuid() || '@example.org', NULL, 'guest', '2025-10-01 00:00:00+00');
UPDATE user_profiles SET account_role = (ARRAY['superuser', 'manager', 'writer'])[1 + :some % 3] WHERE id = md5('u' || :person)::uuid;
\elif :what <= 97
-- a post gets another key, and all that is made of it
UPDATE posts SET id = gen_random_uuid() WHERE id = (SELECT p.id FROM posts p WHERE title = 'new' AND NOT EXISTS
    (SELECT FROM post_analytics a WHERE a.post_id = p.id) LIMIT 1);
\elif :what <= 98
BEGIN;
UPDATE posts SET title = 'never happened', media_urls = ARRAY['never'] WHERE id = md5('p' || :post)::uuid;
ROLLBACK;
\else
DELETE FROM posts p WHERE id = (SELECT q.id FROM posts q WHERE title = 'new' AND NOT EXISTS (SELECT FROM post_analytics a WHERE a.post_id = q.id) LIMIT 1);
\endif
