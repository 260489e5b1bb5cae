-- The customer data platform: twenty-one tables. Source and target have the same ones.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public;

-- ---- people and what they may do ----
CREATE TABLE users (id serial PRIMARY KEY, username text NOT NULL UNIQUE, password text NOT NULL);
CREATE TABLE roles (
    id uuid PRIMARY KEY, name text NOT NULL UNIQUE, display_name text NOT NULL, description text, color varchar(7), priority int NOT NULL DEFAULT 0,
    is_system_role boolean NOT NULL DEFAULT false, is_active boolean NOT NULL DEFAULT true, max_members int, parent_role_id uuid REFERENCES roles (id),
    metadata jsonb, created_by int REFERENCES users (id), created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE team (
    id uuid PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE, password text, role text NOT NULL, role_id uuid REFERENCES roles (id),
    status varchar(20) NOT NULL DEFAULT 'active', avatar_url text, phone text, department text, permissions text[],
    last_login_at timestamptz, invited_at timestamptz, created_by int REFERENCES users (id), created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE permissions (
    id uuid PRIMARY KEY, name text NOT NULL UNIQUE, display_name text NOT NULL, description text, category text NOT NULL, resource text NOT NULL,
    action text NOT NULL, is_system boolean NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE role_permissions (
    id bigserial PRIMARY KEY, role_id uuid NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    permission_id uuid NOT NULL REFERENCES permissions (id) ON DELETE CASCADE, granted boolean NOT NULL DEFAULT true, conditions jsonb,
    granted_by uuid REFERENCES team (id), created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (role_id, permission_id));

-- ---- segments ----
CREATE TABLE segments (
    id uuid PRIMARY KEY, title text NOT NULL, description text, conditions jsonb NOT NULL, query text, customer_count bigint, is_active boolean NOT NULL,
    last_calculated_at timestamptz, created_by uuid REFERENCES team (id), created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE cohorts (
    id uuid PRIMARY KEY, name text NOT NULL, description text, type varchar(20) NOT NULL, status varchar(20) NOT NULL, conditions jsonb,
    user_count int, calculation_query text, sync_enabled boolean NOT NULL, amplitude_cohort_id text, amplitude_synced_at timestamptz,
    braze_segment_id text, braze_synced_at timestamptz, sync_error text, tags text[], created_by uuid REFERENCES team (id),
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE campaigns (
    id uuid PRIMARY KEY, name text NOT NULL, description text, status varchar(20) NOT NULL, cohort_id uuid REFERENCES cohorts (id), channel text,
    template_id text, schedule text, settings jsonb, budget numeric(12, 2), sent_count int NOT NULL DEFAULT 0, started_at timestamptz,
    ended_at timestamptz, created_by uuid REFERENCES team (id), created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE campaign_jobs (
    id bigserial PRIMARY KEY, campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE, status varchar(20) NOT NULL, payload jsonb,
    attempts smallint NOT NULL, error text, started_at timestamptz, finished_at timestamptz, duration interval, created_at timestamptz NOT NULL);

-- ---- dashboards ----
CREATE TABLE dashboard_tiles (
    id uuid PRIMARY KEY, name text NOT NULL, type varchar(30) NOT NULL, description text, default_config jsonb, query text, is_active boolean NOT NULL,
    created_by uuid REFERENCES team (id), created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE dashboard_tile_instances (
    id uuid PRIMARY KEY, tile_id uuid NOT NULL REFERENCES dashboard_tiles (id), dashboard_id text NOT NULL, title text, x int NOT NULL, y int NOT NULL,
    width int NOT NULL, height int NOT NULL, config jsonb, data_source json, refresh_interval interval, is_visible boolean NOT NULL,
    cached_value numeric, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE dashboard_configurations (
    id uuid PRIMARY KEY, name text NOT NULL, layout jsonb NOT NULL, theme text, is_default boolean NOT NULL, is_shared boolean NOT NULL,
    viewers uuid[], created_by uuid REFERENCES team (id), created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);

-- ---- reports ----
CREATE TABLE uploaded_images (
    id uuid PRIMARY KEY, filename text NOT NULL, original_name text NOT NULL, mime_type text NOT NULL, size_bytes bigint NOT NULL, data bytea,
    checksum char(32), uploaded_at timestamptz NOT NULL);
CREATE TABLE presentations (
    id uuid PRIMARY KEY, title text NOT NULL, description text, cover_image_id uuid REFERENCES uploaded_images (id), slide_ids uuid[],
    is_public boolean NOT NULL, view_count int NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE slides (
    id uuid PRIMARY KEY, presentation_id uuid REFERENCES presentations (id) ON DELETE CASCADE, image_id uuid REFERENCES uploaded_images (id),
    title text, elements jsonb NOT NULL, position int NOT NULL, notes text, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE mailing_lists (
    id uuid PRIMARY KEY, name text NOT NULL, description text, recipients jsonb NOT NULL, recipient_count int NOT NULL, tags text[],
    is_active boolean NOT NULL, last_used_at timestamptz, created_by uuid REFERENCES team (id), created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL);
CREATE TABLE scheduled_reports (
    id uuid PRIMARY KEY, name text NOT NULL, description text, presentation_id uuid REFERENCES presentations (id), mailing_list_id uuid
    REFERENCES mailing_lists (id), cron_expression text NOT NULL, timezone text NOT NULL, recipients text[], cc text[], bcc text[],
    subject text, body text, format varchar(10) NOT NULL, paper_size varchar(10), include_charts boolean NOT NULL, filters jsonb, is_active boolean NOT NULL,
    next_run_at timestamptz, last_run_at timestamptz, last_status varchar(20), run_count int NOT NULL, failure_count int NOT NULL, max_failures int,
    created_by uuid REFERENCES team (id), created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE report_executions (
    id bigserial PRIMARY KEY, scheduled_report_id uuid NOT NULL REFERENCES scheduled_reports (id) ON DELETE CASCADE, status varchar(20) NOT NULL,
    started_at timestamptz NOT NULL, finished_at timestamptz, recipients_count int, file_size bigint, file_url text, error text, log text,
    metadata jsonb, created_at timestamptz NOT NULL);

-- ---- integrations ----
CREATE TABLE integrations (
    id uuid PRIMARY KEY, name text NOT NULL, type varchar(30) NOT NULL, environment varchar(20) NOT NULL, credentials text, api_key text,
    status varchar(20) NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE environment_configurations (
    id uuid PRIMARY KEY, integration_id uuid REFERENCES integrations (id), environment varchar(20) NOT NULL, settings jsonb NOT NULL,
    feature_flags text[], is_active boolean NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE migration_history (
    id bigserial PRIMARY KEY, integration_id uuid REFERENCES integrations (id), source_environment varchar(20) NOT NULL,
    target_environment varchar(20) NOT NULL, status varchar(20) NOT NULL, tables text[], total_rows bigint, migrated_rows bigint, failed_rows bigint,
    started_at timestamptz, completed_at timestamptz, duration interval, error_message text, log json, rollback_available boolean NOT NULL,
    checksum bytea, initiated_by text, created_at timestamptz NOT NULL);

CREATE INDEX idx_team_email ON team (email);
CREATE INDEX idx_cohorts_status ON cohorts (status);
CREATE INDEX idx_segments_active ON segments (is_active);
CREATE INDEX idx_campaigns_status ON campaigns (status);
CREATE INDEX idx_tiles_dashboard ON dashboard_tile_instances (dashboard_id);
CREATE INDEX idx_executions_report ON report_executions (scheduled_report_id);
