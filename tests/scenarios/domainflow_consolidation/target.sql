-- The shadow tables, beside the ones in use: other types, keys and indexes, a view filled at the end.
-- Sequences go on being the ones in use, so that a swap needs no new start.
SET client_min_messages = warning;
CREATE SCHEMA shadow;
CREATE SCHEMA shadow_auth;

CREATE TABLE shadow_auth.users (
    id uuid PRIMARY KEY,
    email varchar(255) NOT NULL UNIQUE,
    email_verified boolean NOT NULL DEFAULT false,
    password_hash text NOT NULL,
    first_name varchar(100),
    last_name varchar(100),
    is_active boolean NOT NULL DEFAULT true,
    mfa_secret bytea,
    last_login_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE shadow_auth.sessions (
    id varchar(128) PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES shadow_auth.users (id) ON DELETE CASCADE,
    ip_address inet,
    user_agent text,
    is_active boolean NOT NULL DEFAULT true,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_sessions_active ON shadow_auth.sessions (user_id, expires_at DESC) WHERE is_active;
CREATE TABLE shadow_auth.roles (id uuid PRIMARY KEY, name varchar(50) NOT NULL UNIQUE, description text);
CREATE TABLE shadow_auth.permissions (id uuid PRIMARY KEY, name varchar(100) NOT NULL UNIQUE, resource varchar(50) NOT NULL,
                                      action varchar(50) NOT NULL);
CREATE TABLE shadow_auth.user_roles (
    user_id uuid REFERENCES shadow_auth.users (id) ON DELETE CASCADE, role_id uuid REFERENCES shadow_auth.roles (id),
    assigned_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (user_id, role_id));
CREATE TABLE shadow_auth.role_permissions (role_id uuid REFERENCES shadow_auth.roles (id),
    permission_id uuid REFERENCES shadow_auth.permissions (id), PRIMARY KEY (role_id, permission_id));
CREATE TABLE shadow_auth.password_reset_tokens (
    id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES shadow_auth.users (id) ON DELETE CASCADE, token_hash text NOT NULL,
    used_at timestamptz);
CREATE TABLE shadow_auth.auth_audit_log (
    id bigint PRIMARY KEY DEFAULT nextval('auth.auth_audit_log_id_seq'), user_id uuid REFERENCES shadow_auth.users (id) ON DELETE SET NULL,
    event_type varchar(50) NOT NULL, event_status varchar(20) NOT NULL CHECK (event_status IN ('success', 'failure')), details jsonb,
    risk_score numeric(6, 2) NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_auth_audit_log_user ON shadow_auth.auth_audit_log (user_id, created_at DESC);

CREATE TYPE shadow.campaign_status AS ENUM ('pending', 'queued', 'running', 'paused', 'completed', 'failed');
CREATE TABLE shadow.personas (
    id uuid PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, persona_type varchar(10) NOT NULL CHECK (persona_type IN ('dns', 'http')),
    config_details jsonb NOT NULL, is_enabled boolean NOT NULL DEFAULT true);
CREATE TABLE shadow.proxies (
    id uuid PRIMARY KEY, address text NOT NULL UNIQUE, protocol varchar(10) NOT NULL, country text, latency_ms int,
    success_rate numeric(4, 3), is_healthy boolean);
CREATE TABLE shadow.proxy_pools (id uuid PRIMARY KEY, name text NOT NULL, strategy text NOT NULL DEFAULT 'round_robin');
CREATE TABLE shadow.proxy_pool_memberships (
    pool_id uuid REFERENCES shadow.proxy_pools (id) ON DELETE CASCADE, proxy_id uuid REFERENCES shadow.proxies (id) ON DELETE CASCADE,
    weight int NOT NULL DEFAULT 1, PRIMARY KEY (pool_id, proxy_id));
CREATE TABLE shadow.keyword_sets (id uuid PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, description text, is_enabled boolean NOT NULL);
CREATE TABLE shadow.keyword_rules (
    id uuid PRIMARY KEY, keyword_set_id uuid NOT NULL REFERENCES shadow.keyword_sets (id) ON DELETE CASCADE, pattern text NOT NULL,
    rule_type varchar(20) NOT NULL, is_case_sensitive boolean NOT NULL, context_chars int);
CREATE TABLE shadow.campaigns (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    campaign_type varchar(50) NOT NULL,
    status shadow.campaign_status NOT NULL,
    user_id uuid NOT NULL REFERENCES shadow_auth.users (id),
    progress_percentage numeric(5, 2) CHECK (progress_percentage BETWEEN 0 AND 100),
    total_items bigint NOT NULL DEFAULT 0,
    processed_items bigint NOT NULL DEFAULT 0,
    error_message text,
    metadata jsonb,
    started_at timestamptz,
    analytics_enabled boolean NOT NULL DEFAULT false,
    schema_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_campaigns_user_status_created ON shadow.campaigns (user_id, status, created_at DESC);
CREATE TABLE shadow.domain_generation_campaign_params (
    campaign_id uuid PRIMARY KEY REFERENCES shadow.campaigns (id) ON DELETE CASCADE, pattern_type varchar(20) NOT NULL, variable_length int,
    character_set text, constant_string text, tld varchar(20) NOT NULL, total_possible bigint NOT NULL, current_offset bigint NOT NULL);
CREATE TABLE shadow.dns_validation_campaign_params (
    campaign_id uuid PRIMARY KEY REFERENCES shadow.campaigns (id) ON DELETE CASCADE, persona_ids uuid[] NOT NULL, retries int);
CREATE TABLE shadow.http_keyword_campaign_params (
    campaign_id uuid PRIMARY KEY REFERENCES shadow.campaigns (id) ON DELETE CASCADE, keyword_set_ids uuid[], ports bigint[], ad_hoc text[]);
CREATE TABLE shadow.generated_domains (
    id bigint PRIMARY KEY DEFAULT nextval('public.generated_domains_id_seq'),
    domain_generation_campaign_id uuid NOT NULL REFERENCES shadow.campaigns (id) ON DELETE CASCADE,
    domain_name varchar(255) NOT NULL,
    offset_index bigint NOT NULL,
    source_keyword text,
    generated_at timestamptz NOT NULL);
CREATE INDEX idx_generated_domains_campaign ON shadow.generated_domains (domain_generation_campaign_id, offset_index);
CREATE INDEX idx_generated_domains_name ON shadow.generated_domains (domain_name);
CREATE TABLE shadow.dns_validation_results (
    id uuid PRIMARY KEY, campaign_id uuid NOT NULL REFERENCES shadow.campaigns (id) ON DELETE CASCADE,
    domain_id bigint REFERENCES shadow.generated_domains (id) ON DELETE CASCADE, status varchar(20) NOT NULL, dns_records jsonb, attempts int,
    checked_at timestamptz);
CREATE INDEX idx_dns_results_campaign ON shadow.dns_validation_results (campaign_id, status) INCLUDE (checked_at);
CREATE TABLE shadow.http_keyword_results (
    id uuid PRIMARY KEY, campaign_id uuid NOT NULL REFERENCES shadow.campaigns (id) ON DELETE CASCADE, domain_id bigint,
    http_status_code int, page_title text, content_snippet text, found_keywords text[], checked_at timestamptz);
CREATE TABLE shadow.campaign_jobs (
    id uuid PRIMARY KEY, campaign_id uuid NOT NULL REFERENCES shadow.campaigns (id) ON DELETE CASCADE, job_type varchar(50) NOT NULL,
    status varchar(50) NOT NULL, attempts int NOT NULL DEFAULT 0, payload jsonb, next_execution_at timestamptz);
CREATE TABLE shadow.audit_logs (
    id uuid PRIMARY KEY, occurred_at timestamptz NOT NULL, user_id uuid, action varchar(255) NOT NULL, entity_type varchar(100), entity_id uuid,
    details json);
CREATE TABLE shadow.domain_generation_config_states (config_hash text PRIMARY KEY, last_offset bigint NOT NULL, config_details json,
                                                     updated_at timestamptz);
CREATE TABLE shadow.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);

CREATE MATERIALIZED VIEW shadow.campaign_statistics AS
SELECT user_id, count(*) AS campaigns, count(*) FILTER (WHERE status = 'running') AS running,
       count(*) FILTER (WHERE status = 'completed') AS completed, avg(progress_percentage) AS progress
FROM shadow.campaigns GROUP BY user_id
WITH NO DATA;
CREATE UNIQUE INDEX idx_campaign_statistics_user ON shadow.campaign_statistics (user_id);
