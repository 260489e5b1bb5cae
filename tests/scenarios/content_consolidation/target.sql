-- One table of messages with wide keys and checked vocabularies, a partitioned queue, and indexes and a
-- materialized view for the analytics.
SET client_min_messages = warning;

CREATE TABLE email_messages (
    storage_key varchar(500) PRIMARY KEY,
    tenant_id uuid NOT NULL,
    email_account_id uuid,
    campaign_id uuid,
    lead_id uuid,
    parent_message_id varchar(500),
    direction varchar(20) CHECK (direction IN ('inbound', 'outbound')),
    message_type varchar(20) CHECK (message_type IN ('email', 'bounce', 'auto_reply')),
    from_email varchar(254),
    to_email varchar(254),
    subject varchar(500),
    status varchar(50) CHECK (status IN ('queued', 'sent', 'delivered', 'bounced', 'failed', 'opened', 'replied')),
    processed timestamptz,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    CONSTRAINT fk_email_messages_parent FOREIGN KEY (parent_message_id) REFERENCES email_messages (storage_key));

CREATE TABLE jobs (
    id uuid NOT NULL,
    tenant_id uuid,
    queue_name varchar(100) NOT NULL,
    priority int NOT NULL DEFAULT 0,
    status varchar(20) NOT NULL DEFAULT 'pending',
    payload jsonb,
    attempts smallint NOT NULL DEFAULT 0,
    max_attempts smallint NOT NULL DEFAULT 3,
    error text,
    scheduled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT jobs_attempts CHECK (attempts >= 0),
    PRIMARY KEY (id, queue_name)) PARTITION BY LIST (queue_name);
CREATE TABLE jobs_email PARTITION OF jobs
    FOR VALUES IN ('email-sending', 'email-processing', 'email-sending:high', 'email-sending:low');
CREATE TABLE jobs_analytics PARTITION OF jobs
    FOR VALUES IN ('analytics-daily', 'analytics-campaign', 'analytics-billing');
CREATE TABLE jobs_warmup PARTITION OF jobs FOR VALUES IN ('warmup-processing');
CREATE TABLE jobs_bounce PARTITION OF jobs FOR VALUES IN ('bounce-processing');
CREATE TABLE jobs_webhook PARTITION OF jobs FOR VALUES IN ('webhook-processing');
CREATE TABLE jobs_default PARTITION OF jobs DEFAULT;
CREATE INDEX idx_jobs_email_tenant ON jobs_email (tenant_id, created_at DESC);
CREATE INDEX idx_jobs_analytics_priority ON jobs_analytics (priority DESC, created_at);

CREATE TABLE campaigns (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, name text NOT NULL, status varchar(20) NOT NULL);

CREATE TABLE campaign_analytics (
    id bigserial PRIMARY KEY,
    campaign_id uuid NOT NULL,
    company_id uuid NOT NULL,
    status varchar(20) NOT NULL,
    sent int NOT NULL,
    delivered int NOT NULL,
    opened_tracked int NOT NULL,
    clicked_tracked int NOT NULL,
    replied int NOT NULL,
    updated_at timestamptz NOT NULL);
CREATE INDEX idx_campaign_analytics_dashboard ON campaign_analytics (company_id, updated_at DESC, sent DESC)
    WHERE status = 'completed';
CREATE INDEX idx_campaign_analytics_metrics
    ON campaign_analytics (campaign_id, sent, delivered, opened_tracked, clicked_tracked, replied);

CREATE TABLE billing_analytics (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id uuid NOT NULL,
    period_start date NOT NULL,
    period_end date NOT NULL,
    emails int NOT NULL,
    amount numeric(12, 4) NOT NULL,
    PRIMARY KEY (id, period_start)) PARTITION BY RANGE (period_start);
CREATE TABLE billing_analytics_y2025 PARTITION OF billing_analytics FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE billing_analytics_default PARTITION OF billing_analytics DEFAULT;
CREATE INDEX idx_billing_analytics_tenant_period ON billing_analytics_y2025 (tenant_id, period_start, period_end);

CREATE MATERIALIZED VIEW campaign_performance_mv AS
SELECT ca.campaign_id, c.name AS campaign_name, c.status, ca.sent, ca.delivered, ca.opened_tracked, ca.clicked_tracked,
       ca.replied, round((ca.delivered::decimal / nullif(ca.sent, 0)) * 100, 2) AS delivery_rate,
       round((ca.opened_tracked::decimal / nullif(ca.delivered, 0)) * 100, 2) AS open_rate,
       round((ca.clicked_tracked::decimal / nullif(ca.delivered, 0)) * 100, 2) AS click_rate, ca.updated_at
FROM campaign_analytics ca JOIN campaigns c ON ca.campaign_id = c.id
WITH NO DATA;
CREATE UNIQUE INDEX idx_campaign_performance_mv_id ON campaign_performance_mv (campaign_id);
CREATE INDEX idx_campaign_performance_mv_status ON campaign_performance_mv (status);
