-- Organizations above all, posts in parts, metrics by time, all embeddings in one table. The default
-- organization is there before anybody moves in.
SET client_min_messages = warning;

CREATE TABLE organizations (id uuid PRIMARY KEY, name text NOT NULL UNIQUE, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO organizations VALUES ('00000000-0000-4000-8000-000000000001', 'Default Organization', '2025-01-01 00:00:00+00');
CREATE TABLE user_profiles (
    id uuid PRIMARY KEY, organization_id uuid NOT NULL REFERENCES organizations (id), email text NOT NULL UNIQUE, full_name text,
    created_at timestamptz NOT NULL);
CREATE TABLE organization_members (
    organization_id uuid REFERENCES organizations (id), user_id uuid REFERENCES user_profiles (id),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')), joined_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id));

CREATE TYPE post_status AS ENUM ('draft', 'published', 'archived');
CREATE TABLE posts_core (
    id uuid PRIMARY KEY, organization_id uuid NOT NULL REFERENCES organizations (id), user_id uuid NOT NULL REFERENCES user_profiles (id),
    platform varchar(20) NOT NULL, status post_status NOT NULL, published_at timestamptz, created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL);
CREATE INDEX idx_posts_core_user ON posts_core (organization_id, user_id, published_at DESC NULLS LAST);
CREATE TABLE posts_content (
    post_id uuid PRIMARY KEY REFERENCES posts_core (id) ON DELETE CASCADE, organization_id uuid NOT NULL, title text, caption text,
    hashtags text[]);
CREATE INDEX idx_posts_content_hashtags ON posts_content USING gin (hashtags);
CREATE TABLE media_files (
    post_id uuid REFERENCES posts_core (id) ON DELETE CASCADE, position int, organization_id uuid NOT NULL, url text NOT NULL,
    PRIMARY KEY (post_id, position));
CREATE TABLE post_media_links (
    post_id uuid REFERENCES posts_core (id) ON DELETE CASCADE, position smallint, organization_id uuid NOT NULL, media_url text NOT NULL,
    PRIMARY KEY (post_id, position),
    FOREIGN KEY (post_id, position) REFERENCES media_files (post_id, position) ON DELETE CASCADE);
CREATE TABLE post_insights (
    post_id uuid PRIMARY KEY REFERENCES posts_core (id) ON DELETE CASCADE, organization_id uuid NOT NULL, sentiment numeric(4, 3),
    ai_summary text, topics jsonb);

CREATE TABLE time_series_metrics (
    entity_type text NOT NULL, entity_id uuid NOT NULL, metric_name text NOT NULL, metric_value numeric NOT NULL,
    recorded_at timestamptz NOT NULL, organization_id uuid NOT NULL,
    PRIMARY KEY (entity_type, entity_id, metric_name, recorded_at)) PARTITION BY RANGE (recorded_at);
CREATE TABLE time_series_metrics_2024 PARTITION OF time_series_metrics FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00');
CREATE TABLE time_series_metrics_2025_h1 PARTITION OF time_series_metrics
    FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-07-01 00:00:00+00');
CREATE TABLE time_series_metrics_2025_h2 PARTITION OF time_series_metrics
    FOR VALUES FROM ('2025-07-01 00:00:00+00') TO ('2026-01-01 00:00:00+00');
CREATE TABLE time_series_metrics_default PARTITION OF time_series_metrics DEFAULT;
CREATE INDEX idx_time_series_metrics_name ON time_series_metrics (metric_name, recorded_at DESC);

-- an array of float4, where there is no extension for vectors
CREATE TABLE embeddings (
    entity_type text NOT NULL CHECK (entity_type IN ('post', 'chat_message')), entity_id uuid NOT NULL, organization_id uuid NOT NULL,
    embedding real[] NOT NULL, model text NOT NULL DEFAULT 'unknown', PRIMARY KEY (entity_type, entity_id));
CREATE TABLE chat_messages (
    id uuid PRIMARY KEY, organization_id uuid NOT NULL REFERENCES organizations (id), user_id uuid NOT NULL REFERENCES user_profiles (id),
    sender varchar(10) NOT NULL, content text NOT NULL, created_at timestamptz NOT NULL);

CREATE TABLE instagram_profiles (
    handle varchar(64) PRIMARY KEY, organization_id uuid NOT NULL, full_name text, followers bigint, biography text, scraped_at timestamptz,
    scraper text NOT NULL);
CREATE TABLE ai_context_logs (id bigserial PRIMARY KEY, organization_id uuid NOT NULL, context_summary text);

-- what old code reads
CREATE VIEW posts_unified AS
SELECT c.id, c.user_id, c.platform, c.status, t.title, t.caption, t.hashtags,
       (SELECT array_agg(l.media_url ORDER BY l.position) FROM post_media_links l WHERE l.post_id = c.id) AS media_urls,
       i.sentiment, i.ai_summary, i.topics, c.published_at, c.created_at, c.updated_at
FROM posts_core c JOIN posts_content t ON t.post_id = c.id JOIN post_insights i ON i.post_id = c.id;
CREATE MATERIALIZED VIEW analytics_dashboard AS
SELECT organization_id, metric_name, date_trunc('month', recorded_at AT TIME ZONE 'UTC') AS month, count(*) AS n,
       max(metric_value) AS highest
FROM time_series_metrics GROUP BY 1, 2, 3;
