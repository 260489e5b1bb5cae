\ir ../checks.sql

-- ---- what was to change ----
SELECT pg_temp.differ('users', $$
    SELECT id, email, email_verified::boolean, password_hash, btrim(first_name), last_name, is_active, mfa_secret,
           last_login_at AT TIME ZONE 'UTC', created_at, updated_at FROM auth.users$$, 'SELECT * FROM shadow_auth.users');
SELECT pg_temp.differ('auth_audit_log', $$
    SELECT id, user_id, event_type, CASE event_status WHEN 'ok' THEN 'success' WHEN 'fail' THEN 'failure' ELSE event_status END,
           details::jsonb, risk_score::numeric(6, 2), created_at FROM auth.auth_audit_log$$, 'SELECT * FROM shadow_auth.auth_audit_log');
SELECT pg_temp.differ('personas', 'SELECT id, name, persona_type, config_details::jsonb, is_enabled FROM personas', 'SELECT * FROM shadow.personas');
SELECT pg_temp.differ('proxies', $$
    SELECT id, address, coalesce(protocol, 'socks5'), upper(country), latency_ms, success_rate::numeric(4, 3), is_healthy FROM proxies$$,
    'SELECT * FROM shadow.proxies');
SELECT pg_temp.differ('campaigns', $$
    SELECT id, btrim(name), campaign_type, CASE status WHEN 'pausing' THEN 'paused' WHEN 'archived' THEN 'completed' WHEN 'cancelled' THEN 'failed'
           ELSE status END, user_id, progress_percentage::numeric(5, 2), coalesce(total_items, 0), coalesce(processed_items, 0), error_message,
           metadata::jsonb, started_at AT TIME ZONE 'UTC', false, '2.0', created_at, updated_at FROM campaigns$$, 'SELECT * FROM shadow.campaigns');
SELECT pg_temp.differ('generated_domains', $$
    SELECT id, domain_generation_campaign_id, lower(btrim(domain_name)), offset_index, source_keyword, generated_at AT TIME ZONE 'UTC'
    FROM generated_domains$$, 'SELECT * FROM shadow.generated_domains');
SELECT pg_temp.differ('campaign_jobs', $$
    SELECT id, campaign_id, job_type, status, attempts, payload::jsonb, next_execution_at AT TIME ZONE 'UTC' FROM campaign_jobs$$,
    'SELECT * FROM shadow.campaign_jobs');
SELECT pg_temp.differ('audit_logs', $$
    SELECT id, occurred_at, user_id, replace(lower(action), ' ', '.'), entity_type, entity_id, details FROM audit_logs$$,
    'SELECT * FROM shadow.audit_logs');

-- ---- the rest as it is ----
SELECT pg_temp.differ(t, 'SELECT * FROM auth.' || t, 'SELECT * FROM shadow_auth.' || t)
FROM unnest(ARRAY['sessions', 'roles', 'permissions', 'user_roles', 'role_permissions', 'password_reset_tokens']) t;
SELECT pg_temp.differ(t, 'SELECT * FROM public.' || t, 'SELECT * FROM shadow.' || t)
FROM unnest(ARRAY['proxy_pools', 'proxy_pool_memberships', 'keyword_sets', 'keyword_rules', 'domain_generation_campaign_params',
    'dns_validation_campaign_params', 'http_keyword_campaign_params', 'dns_validation_results', 'http_keyword_results',
    'domain_generation_config_states', 'schema_migrations']) t;
SELECT 'tables in use: ' || count(*) FROM pg_tables WHERE schemaname IN ('public', 'auth') HAVING count(*) <> 25;
SELECT 'shadow tables: ' || count(*) FROM pg_tables WHERE schemaname IN ('shadow', 'shadow_auth') HAVING count(*) <> 25;

SELECT pg_temp.differ('campaign_statistics', $$
    SELECT user_id, count(*), count(*) FILTER (WHERE status = 'running'), count(*) FILTER (WHERE status IN ('completed', 'archived')),
           avg(progress_percentage::numeric(5, 2)) FROM campaigns GROUP BY user_id$$, 'SELECT * FROM shadow.campaign_statistics');
SELECT 'sequence: ' || nextval('generated_domains_id_seq')
WHERE nextval('generated_domains_id_seq') <= (SELECT max(id) FROM shadow.generated_domains);
SELECT 'index is missing: ' || i FROM unnest(ARRAY['shadow_auth.idx_sessions_active', 'shadow_auth.idx_auth_audit_log_user',
    'shadow.idx_campaigns_user_status_created', 'shadow.idx_generated_domains_campaign', 'shadow.idx_generated_domains_name',
    'shadow.idx_dns_results_campaign', 'shadow.idx_campaign_statistics_user']) i WHERE to_regclass(i) IS NULL;
SELECT pg_temp.says('orphans shadow.generated_domains (domain_generation_campaign_id)', 'no orphans%');
SELECT pg_temp.says('orphans shadow.campaigns (user_id)', 'no orphans%');
