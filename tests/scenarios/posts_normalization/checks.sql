\ir ../checks.sql
CREATE FUNCTION pg_temp.org() RETURNS uuid LANGUAGE sql IMMUTABLE AS $$SELECT '00000000-0000-4000-8000-000000000001'::uuid$$;

-- ---- posts in parts ----
SELECT pg_temp.differ('posts_core', $$SELECT id, user_id, platform, status, published_at, created_at, updated_at FROM posts$$,
    'SELECT id, user_id, platform, status, published_at, created_at, updated_at FROM posts_core');
SELECT pg_temp.differ('posts_content', $$SELECT id, title, caption, hashtags FROM posts$$, 'SELECT post_id, title, caption, hashtags FROM posts_content');
SELECT pg_temp.differ('media_files', $$SELECT id, n::int, u FROM posts, unnest(media_urls) WITH ORDINALITY e (u, n)$$,
                      'SELECT post_id, position, url FROM media_files');
SELECT pg_temp.differ('post_media_links', $$SELECT id, n::int, u FROM posts, unnest(media_urls) WITH ORDINALITY e (u, n)$$,
                      'SELECT post_id, position::int, media_url FROM post_media_links');
SELECT pg_temp.differ('post_insights', $$SELECT id, sentiment, ai_summary, topics FROM posts$$,
                      'SELECT post_id, sentiment, ai_summary, topics FROM post_insights');
SELECT pg_temp.differ('posts_unified', $$
    SELECT id, user_id, platform, status, title, caption, hashtags, nullif(media_urls, '{}'), sentiment, ai_summary, topics, published_at,
           created_at, updated_at FROM posts$$, 'SELECT * FROM posts_unified');
SELECT pg_temp.says('same_count public.posts', '%') WHERE NOT EXISTS (SELECT FROM pg_temp.finding('same_count public.posts'));

-- ---- columns that became rows ----
SELECT pg_temp.differ('time_series_metrics', $$
    SELECT 'post'::text, a.post_id, m.name, m.value, a.recorded_at
    FROM post_analytics a, LATERAL (VALUES ('likes', likes::numeric), ('comments', comments), ('shares', shares), ('views', views),
        ('engagement_rate', engagement_rate), ('reach_rate', reach_rate)) m (name, value) WHERE m.value IS NOT NULL
    UNION ALL
    SELECT 'post', p.id, m.name, m.value, p.updated_at
    FROM posts p, LATERAL (VALUES ('saves', saves::numeric), ('impressions', impressions)) m (name, value) WHERE m.value IS NOT NULL$$,
    'SELECT entity_type, entity_id, metric_name, metric_value, recorded_at FROM time_series_metrics');
SELECT 'in the wrong partition: ' || n FROM (SELECT count(*) AS n FROM time_series_metrics_default) d WHERE n > 0;
SELECT 'empty partition: ' || p FROM (SELECT unnest(ARRAY['2024', '2025_h1', '2025_h2']) AS p) x
WHERE (SELECT count(*) FROM time_series_metrics WHERE tableoid = ('time_series_metrics_' || p)::regclass) < 20;
SELECT pg_temp.differ('analytics_dashboard', $$
    SELECT m.name, date_trunc('month', a.recorded_at AT TIME ZONE 'UTC'), count(*)
    FROM post_analytics a, LATERAL (VALUES ('likes', likes::numeric), ('comments', comments), ('shares', shares), ('views', views),
        ('engagement_rate', engagement_rate), ('reach_rate', reach_rate)) m (name, value) WHERE m.value IS NOT NULL GROUP BY 1, 2$$,
    $$SELECT metric_name, month, n FROM analytics_dashboard WHERE metric_name NOT IN ('saves', 'impressions')$$);
SELECT pg_temp.says('matrix public.time_series_metrics (entity_type, metric_name)',
                    format('entity_type=%s, metric_name=%s: %s rows', entity_type, metric_name, count(*)))
FROM time_series_metrics GROUP BY entity_type, metric_name;

-- ---- embeddings of both, floats bit by bit ----
SELECT pg_temp.differ('embeddings', $$
    SELECT 'post'::text, id, encode(array_send(embedding), 'hex') FROM posts WHERE embedding IS NOT NULL
    UNION ALL SELECT 'chat_message', id, encode(array_send(embedding), 'hex') FROM chat_messages WHERE embedding IS NOT NULL$$,
    $$SELECT entity_type, entity_id, encode(array_send(embedding), 'hex') FROM embeddings WHERE model = 'unknown'$$);
SELECT pg_temp.says('matrix public.embeddings (entity_type)', format('entity_type=%s: %s rows', entity_type, count(*)))
FROM embeddings GROUP BY entity_type;
SELECT pg_temp.differ('chat_messages', 'SELECT id, user_id, sender, content, created_at FROM chat_messages');

-- ---- the organization: people are its members, and every row is its own ----
SELECT pg_temp.differ('user_profiles', 'SELECT id, email, full_name, created_at FROM user_profiles');
SELECT pg_temp.differ('organization_members', $$
    SELECT id, CASE account_role WHEN 'superuser' THEN 'owner' WHEN 'manager' THEN 'admin' WHEN 'writer' THEN 'editor' WHEN 'guest' THEN 'viewer' END,
           created_at FROM user_profiles$$, 'SELECT user_id, role, joined_at FROM organization_members');
SELECT 'organizations: ' || string_agg(o::text, ', ') FROM organizations o
HAVING count(*) <> 1 OR min(o::text) <> '(00000000-0000-4000-8000-000000000001,"Default Organization","2025-01-01 00:00:00+00")';
SELECT 'not of the organization: ' || n || ' rows of ' || t
FROM (SELECT 'posts_core' AS t, count(*) AS n FROM posts_core WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'posts_content', count(*) FROM posts_content WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'media_files', count(*) FROM media_files WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'post_media_links', count(*) FROM post_media_links WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'post_insights', count(*) FROM post_insights WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'time_series_metrics', count(*) FROM time_series_metrics WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'embeddings', count(*) FROM embeddings WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'chat_messages', count(*) FROM chat_messages WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'instagram_profiles', count(*) FROM instagram_profiles WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'user_profiles', count(*) FROM user_profiles WHERE organization_id <> pg_temp.org()
      UNION ALL SELECT 'organization_members', count(*) FROM organization_members WHERE organization_id <> pg_temp.org()) x WHERE n > 0;

-- ---- two scrapers ----
SELECT :'job' = 'follow' AS follows \gset
\if :follows
SELECT 'profiles are not of the job' FROM instagram_profiles LIMIT 1;
\else
SELECT pg_temp.differ('instagram_profiles', $$
    (SELECT DISTINCT ON (handle) handle, full_name, followers::bigint, biography, scraped_at, 'first'::text FROM instagram_scraper_profiles
     ORDER BY handle, scraped_at DESC, id)
    UNION ALL
    (SELECT DISTINCT ON (username) username, display_name, follower_count, bio, scraped_at, 'second' FROM scraped_instagram_profiles s
     WHERE NOT EXISTS (SELECT FROM instagram_scraper_profiles p WHERE p.handle = s.username) ORDER BY username, scraped_at DESC, run_no)$$,
    'SELECT handle, full_name, followers, biography, scraped_at, scraper FROM instagram_profiles');
SELECT 'one scraper only' FROM instagram_profiles HAVING count(DISTINCT scraper) <> 2;
SELECT pg_temp.says('unique public.instagram_profiles (handle)', 'no value occurs twice');
\endif
SELECT 'obsolete table: ' || t FROM unnest(ARRAY['posts', 'post_analytics', 'content_generations', 'hashtag_analytics']) t WHERE to_regclass(t) IS NOT NULL;
SELECT 'index is missing: ' || i FROM unnest(ARRAY['idx_posts_core_user', 'idx_posts_content_hashtags', 'idx_time_series_metrics_name']) i
WHERE to_regclass(i) IS NULL;
