\ir ../checks.sql

-- ---- every campaign, mapped by the two tables of the plan ----
SELECT pg_temp.differ('campaigns', format($$
    SELECT id, name, user_id,
           CASE campaign_type WHEN 'domain_generation' THEN 'generation' WHEN 'dns_validation' THEN 'dns_validation'
                WHEN 'http_keyword_validation' THEN 'http_keyword_validation' WHEN 'analysis' THEN 'analysis'
                WHEN 'comprehensive' THEN 'generation' WHEN 'automated' THEN 'generation' ELSE '?' END,
           CASE status WHEN 'pending' THEN 'not_started' WHEN 'queued' THEN 'not_started' WHEN 'running' THEN 'in_progress'
                WHEN 'pausing' THEN 'paused' WHEN 'paused' THEN 'paused' WHEN 'completed' THEN 'completed'
                WHEN 'failed' THEN 'failed' WHEN 'archived' THEN 'completed' WHEN 'cancelled' THEN 'failed' ELSE '?' END,
           progress_percentage, total_items, processed_items, metadata, error_message, created_at, updated_at, started_at,
           completed_at
    FROM campaigns %s$$,
    CASE WHEN job = 'quarantine' THEN $$WHERE campaign_type <> 'unheard-of' AND status <> 'unheard-of'$$ END),
    'SELECT * FROM campaigns')
FROM scenario;
-- all types met all statuses: 4 phases by 5 statuses
SELECT 'combinations: ' || count(*) FROM (SELECT DISTINCT current_phase, phase_status FROM campaigns) m HAVING count(*) <> 20;
SELECT 'legacy column is there: ' || attname FROM pg_attribute
WHERE attrelid = 'campaigns'::regclass AND attname IN ('campaign_type', 'status', 'launch_sequence');
SELECT 'left out: ' || n FROM (SELECT count(*) AS n FROM public.dblink('source', 'SELECT id FROM campaigns') d (id uuid)
                               WHERE NOT EXISTS (SELECT FROM campaigns c WHERE c.id = d.id)) x, scenario
WHERE n <> CASE WHEN job = 'quarantine' THEN 2 ELSE 0 END;

-- ---- the rest as it was ----
SELECT pg_temp.differ('users', 'SELECT * FROM users');
SELECT pg_temp.differ_large('generated_domains', 'SELECT * FROM generated_domains');
SELECT pg_temp.differ('campaign_jobs', 'SELECT * FROM campaign_jobs') FROM scenario WHERE job <> 'quarantine';
SELECT 'sequence: ' || nextval('campaign_jobs_id_seq') WHERE nextval('campaign_jobs_id_seq') <= (SELECT max(id) FROM campaign_jobs);
SELECT 'index is missing: ' || i FROM unnest(ARRAY['idx_campaigns_workflow_primary', 'idx_campaigns_phase_transitions',
    'idx_campaigns_user_dashboard', 'idx_domains_campaign_validation_primary']) i WHERE to_regclass(i) IS NULL;

-- ---- the report: the matrix, and the orphans that the source has ----
SELECT pg_temp.says('matrix public.campaigns (current_phase, phase_status)',
                    format('current_phase=%s, phase_status=%s: %s rows', current_phase, phase_status, count(*)))
FROM campaigns GROUP BY current_phase, phase_status;
SELECT pg_temp.says('orphans public.generated_domains (domain_generation_campaign_id)',
                    format('%s values are orphans in %s rows: %%', count(DISTINCT domain_generation_campaign_id), count(*)))
FROM generated_domains d WHERE NOT EXISTS (SELECT FROM campaigns c WHERE c.id = d.domain_generation_campaign_id)
HAVING count(*) > 0;
SELECT 'no orphans' WHERE NOT EXISTS (SELECT FROM generated_domains d
    WHERE NOT EXISTS (SELECT FROM campaigns c WHERE c.id = d.domain_generation_campaign_id));
-- the old rows stay restorable: they are where they were
SELECT 'the source has no legacy values any more' FROM public.dblink('source',
    $$SELECT count(*) FROM campaigns WHERE campaign_type IS NOT NULL AND status IS NOT NULL$$) d (n int) WHERE n < 20;
