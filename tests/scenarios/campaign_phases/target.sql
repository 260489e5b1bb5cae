-- Campaigns with phases only. Domains refer to campaigns without a foreign key: some campaigns are gone.
SET client_min_messages = warning;

CREATE TYPE phase AS ENUM ('generation', 'dns_validation', 'http_keyword_validation', 'analysis');
CREATE TABLE users (id uuid PRIMARY KEY, email text NOT NULL UNIQUE, name text);
CREATE TABLE campaigns (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id),
    current_phase phase NOT NULL,
    phase_status text NOT NULL CHECK (phase_status IN ('not_started', 'in_progress', 'paused', 'completed', 'failed')),
    progress_percentage double precision,
    total_items bigint,
    processed_items bigint,
    metadata jsonb,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz);
CREATE INDEX idx_campaigns_workflow_primary ON campaigns (current_phase, phase_status, created_at DESC);
CREATE INDEX idx_campaigns_phase_transitions ON campaigns (phase_status, updated_at DESC) WHERE phase_status IN ('in_progress', 'paused');
CREATE INDEX idx_campaigns_user_dashboard ON campaigns (user_id, updated_at DESC) INCLUDE (name, current_phase);

CREATE TABLE generated_domains (
    id uuid PRIMARY KEY,
    domain_generation_campaign_id uuid NOT NULL,
    domain_name text NOT NULL,
    source_keyword text,
    offset_index bigint NOT NULL,
    dns_status varchar(20),
    http_status varchar(20),
    http_status_code smallint,
    lead_score numeric(5, 2),
    last_validated_at timestamptz,
    created_at timestamptz NOT NULL);
CREATE INDEX idx_domains_campaign_validation_primary ON generated_domains (domain_generation_campaign_id, dns_status, http_status);

CREATE TABLE campaign_jobs (
    id bigserial PRIMARY KEY,
    campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    job_type text NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    payload json,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON campaign_jobs (campaign_id);
