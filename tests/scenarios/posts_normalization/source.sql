-- A platform for social media as it grew: one wide table of posts, analytics in columns, embeddings wherever
-- they were needed, two scrapers that did the same, and two tables that nobody needs any more.
\ir ../common.sql

CREATE TABLE user_profiles (id uuid PRIMARY KEY, email text NOT NULL UNIQUE, full_name text, account_role varchar(20) NOT NULL,
                            created_at timestamptz NOT NULL);
INSERT INTO user_profiles SELECT pg_temp.uid('u', i), 'creator' || i || '@example.org', pg_temp.words(i, 1),
    (ARRAY['superuser', 'manager', 'writer', 'writer', 'guest'])[1 + i % 5], pg_temp.at(i, 2) FROM generate_series(0, 399) i;

CREATE FUNCTION pg_temp.vector(i bigint) RETURNS real[] LANGUAGE sql IMMUTABLE AS
    $$SELECT array_agg((pg_temp.h(i, 100 + g, 2000000) - 1000000) / 1000003.0::real) FROM generate_series(1, 16) g$$;

CREATE TABLE posts (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES user_profiles (id),
    platform varchar(20) NOT NULL,
    status text NOT NULL,
    title text,
    caption text,
    hashtags text[],
    media_urls text[],
    embedding real[],
    sentiment numeric(4, 3),
    ai_summary text,
    topics jsonb,
    saves int,
    impressions int,
    published_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL);
-- none, one or several pictures; some of them twice
INSERT INTO posts
SELECT pg_temp.uid('p', i), pg_temp.uid('u', pg_temp.h(i, 3, 400)), pg_temp.pick(i, 4, ARRAY['instagram', 'tiktok', 'youtube']),
       pg_temp.pick(i, 5, ARRAY['draft', 'published', 'archived']), pg_temp.words(i, 6),
       CASE WHEN i % 40 = 0 THEN (SELECT string_agg(md5(i || 'c' || g), ' ') FROM generate_series(1, 200) g) ELSE pg_temp.words(i, 7) END,
       CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN '{}' ELSE ARRAY['#tag' || i % 50, NULL, '#"quoted", tag'] END,
       CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '{}' ELSE (SELECT array_agg('https://cdn.example.org/' || i || '/' || (g % 3) || '/é "x".jpg')
            FROM generate_series(1, i % 5) g) END,
       CASE WHEN i % 4 > 0 THEN pg_temp.vector(i) END, CASE WHEN i % 7 > 0 THEN (pg_temp.h(i, 8, 2000) - 1000) / 1000.0 END,
       pg_temp.words(i, 9), CASE WHEN i % 3 > 0 THEN jsonb_build_object('topics', jsonb_build_array('t' || i % 9, NULL)) END,
       CASE WHEN i % 8 > 0 THEN pg_temp.h(i, 10, 1000) END, CASE WHEN i % 9 > 0 THEN pg_temp.h(i, 11, 100000) END,
       CASE WHEN i % 3 > 0 THEN pg_temp.at(i, 12) END, pg_temp.at(i, 13), pg_temp.at(i, 14)
FROM generate_series(1, pg_temp.n(8000)) i;

CREATE TABLE post_analytics (
    id bigserial PRIMARY KEY,
    post_id uuid NOT NULL REFERENCES posts (id),
    recorded_at timestamptz NOT NULL,
    likes int,
    comments int,
    shares int,
    views int,
    engagement_rate numeric(8, 4),
    reach_rate numeric(8, 4),
    UNIQUE (post_id, recorded_at));
INSERT INTO post_analytics (post_id, recorded_at, likes, comments, shares, views, engagement_rate, reach_rate)
SELECT pg_temp.uid('p', 1 + i % p.n), '2024-10-01 00:00:00+00'::timestamptz + (i / p.n) * interval '90 days' + (i % 977) * interval '1 min',
       pg_temp.h(i, 20, 5000), CASE WHEN i % 4 > 0 THEN pg_temp.h(i, 21, 300) END, nullif(pg_temp.h(i, 22, 100), 5), pg_temp.h(i, 23, 2000000000),
       CASE WHEN i % 5 > 0 THEN pg_temp.h(i, 24, 1000000) / 10000.0 END, CASE WHEN i % 11 = 0 THEN 'NaN' ELSE -pg_temp.h(i, 25, 99) / 3.0 END
FROM generate_series(1, pg_temp.n(30000)) i, (SELECT pg_temp.n(8000) AS n OFFSET 0) p;

CREATE TABLE chat_messages (
    id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES user_profiles (id), sender varchar(10) NOT NULL, content text NOT NULL,
    embedding real[], created_at timestamptz NOT NULL);
INSERT INTO chat_messages SELECT pg_temp.uid('m', i), pg_temp.uid('u', pg_temp.h(i, 30, 400)), (ARRAY['user', 'assistant'])[1 + i % 2],
    coalesce(pg_temp.words(i, 31), 'nothing'), CASE WHEN i % 3 > 0 THEN pg_temp.vector(-i) END, pg_temp.at(i, 32)
FROM generate_series(1, pg_temp.n(6000)) i;

-- two scrapers: the first one's word counts, of one scraper's the newest
CREATE TABLE instagram_scraper_profiles (
    id bigserial PRIMARY KEY, handle text NOT NULL, full_name text, followers int, biography text, scraped_at timestamptz NOT NULL);
INSERT INTO instagram_scraper_profiles (handle, full_name, followers, biography, scraped_at)
SELECT 'handle_' || i % (p.n * 2 / 3), pg_temp.words(i, 40), pg_temp.h(i, 41, 100000), pg_temp.words(i, 42), date_trunc('day', pg_temp.at(i, 43))
FROM generate_series(1, pg_temp.n(2000)) i, (SELECT pg_temp.n(2000) AS n OFFSET 0) p;
CREATE TABLE scraped_instagram_profiles (
    username varchar(64) NOT NULL, display_name text, follower_count bigint, bio text, scraped_at timestamptz, run_no int NOT NULL,
    PRIMARY KEY (username, run_no));
INSERT INTO scraped_instagram_profiles
SELECT 'handle_' || p.n / 3 + i % p.n, pg_temp.words(i, 50), pg_temp.h(i, 51, 100000) * 100000::bigint, pg_temp.words(i, 52),
       CASE WHEN i % 9 > 0 THEN date_trunc('month', pg_temp.at(i, 53)) END, i
FROM generate_series(1, pg_temp.n(2500)) i, (SELECT pg_temp.n(2000) AS n OFFSET 0) p;

-- what goes nowhere
CREATE TABLE content_generations (id bigserial PRIMARY KEY, prompt text, result text);
INSERT INTO content_generations (prompt, result) SELECT 'p' || i, 'r' || i FROM generate_series(1, 500) i;
CREATE TABLE hashtag_analytics (hashtag text PRIMARY KEY, uses int);
INSERT INTO hashtag_analytics SELECT '#' || i, i FROM generate_series(1, 100) i;
ANALYZE;
