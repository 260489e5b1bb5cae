\ir ../checks.sql

SELECT :'job' = 'follow' AS follows \gset
\if :follows
SELECT 'messages are not of the job' FROM email_messages LIMIT 1;
\else
-- ---- messages: the first table's, then what only the second one has, the newest of each key ----
SELECT pg_temp.differ('email_messages', $$
    SELECT storage_key, tenant_id, email_account_id, campaign_id, lead_id, parent_message_id, direction, message_type,
           from_email, to_email::varchar, subject, status, processed, created_at, updated_at FROM email_messages
    UNION ALL
    (SELECT DISTINCT ON (storage_key) storage_key, tenant_id, email_account_id, campaign_id, lead_id, parent_message_id,
            direction, message_type, from_email, to_email, subject, status, processed, created_at, updated_at
     FROM content_inbox_message_refs r
     WHERE NOT EXISTS (SELECT FROM email_messages m WHERE m.storage_key = r.storage_key)
     ORDER BY storage_key, updated_at DESC, created_at)$$,
    'SELECT * FROM email_messages');
SELECT 'the keys are not as wide as they should be: ' || attname FROM pg_attribute
WHERE attrelid = 'email_messages'::regclass AND attname IN ('storage_key', 'parent_message_id') AND atttypmod <> 504;
SELECT 'no message has the widest key' WHERE NOT EXISTS (SELECT FROM email_messages WHERE length(storage_key) = 400);
SELECT 'no answer goes from one table to the other'
WHERE NOT EXISTS (SELECT FROM email_messages a JOIN email_messages b ON a.parent_message_id = b.storage_key);
SELECT 'constraints of email_messages: ' || string_agg(contype, '' ORDER BY contype) FROM pg_constraint
WHERE conrelid = 'email_messages'::regclass HAVING string_agg(contype, '' ORDER BY contype) IS DISTINCT FROM 'cccfp';

-- ---- references into the other database: found, counted, let through ----
SELECT public.dblink_connect('other', :'other') \g /dev/null
CREATE FUNCTION pg_temp.orphans(col text, tab text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    vals bigint;
    orphans bigint;
    r bigint;
BEGIN
    EXECUTE format('SELECT count(DISTINCT %1$I), count(DISTINCT %1$I) FILTER (WHERE o IS NULL),'
                   ' count(*) FILTER (WHERE o IS NULL) FROM email_messages'
                   ' LEFT JOIN (SELECT id::uuid AS o FROM public.dblink(''other'', ''SELECT id FROM %2$I'') d (id uuid)) x'
                   ' ON o = %1$I WHERE %1$I IS NOT NULL', col, tab) INTO vals, orphans, r;
    IF orphans = 0 THEN
        RETURN QUERY SELECT pg_temp.says(format('orphans public.email_messages (%s)', col), format('no orphans among %s values', vals));
    ELSE
        RETURN QUERY SELECT pg_temp.says(format('orphans public.email_messages (%s)', col),
                                         format('%s of %s values are orphans, in %s rows: %%', orphans, vals, r));
    END IF;
    IF (orphans = 0) <> (col = 'email_account_id') THEN
        RETURN NEXT format('%s has %s orphans', col, orphans);
    END IF;
END$$;
SELECT pg_temp.orphans('campaign_id', 'campaigns');
SELECT pg_temp.orphans('email_account_id', 'email_accounts');
SELECT pg_temp.orphans('lead_id', 'leads');
\endif

-- ---- the queue ----
SELECT pg_temp.differ('jobs', 'SELECT * FROM jobs');
SELECT pg_temp.differ('partitions of jobs', $$
    SELECT CASE WHEN queue_name LIKE 'email-%' THEN 'jobs_email' WHEN queue_name LIKE 'analytics-%' THEN 'jobs_analytics'
                WHEN queue_name = 'warmup-processing' THEN 'jobs_warmup' WHEN queue_name = 'bounce-processing' THEN 'jobs_bounce'
                WHEN queue_name = 'webhook-processing' THEN 'jobs_webhook' ELSE 'jobs_default' END AS part, count(*)
    FROM jobs GROUP BY 1$$,
    'SELECT tableoid::regclass AS part, count(*) FROM jobs GROUP BY 1');
SELECT 'id ' || id || ' twice in jobs' FROM jobs GROUP BY id HAVING count(*) > 1;
SELECT pg_temp.says('unique public.jobs (id)', 'no value occurs twice');

-- ---- analytics ----
SELECT pg_temp.differ('campaigns', 'SELECT * FROM campaigns');
SELECT pg_temp.differ('campaign_analytics', 'SELECT * FROM campaign_analytics');
SELECT pg_temp.differ('billing_analytics', 'SELECT * FROM billing_analytics');
SELECT pg_temp.differ('billing_analytics_y2025', 'SELECT * FROM billing_analytics WHERE extract(year FROM period_start) = 2025',
                      'SELECT * FROM billing_analytics_y2025');
SELECT pg_temp.differ('campaign_performance_mv', $$
    SELECT ca.campaign_id, c.name, c.status, ca.sent, ca.delivered, ca.opened_tracked, ca.clicked_tracked, ca.replied,
           round((ca.delivered::decimal / nullif(ca.sent, 0)) * 100, 2), round((ca.opened_tracked::decimal / nullif(ca.delivered, 0)) * 100, 2),
           round((ca.clicked_tracked::decimal / nullif(ca.delivered, 0)) * 100, 2), ca.updated_at
    FROM campaign_analytics ca JOIN campaigns c ON ca.campaign_id = c.id$$, 'SELECT * FROM campaign_performance_mv');
SELECT 'sequence: ' || nextval('campaign_analytics_id_seq') WHERE nextval('campaign_analytics_id_seq') <= (SELECT max(id) FROM campaign_analytics);
SELECT 'identity: ' || nextval('billing_analytics_id_seq') WHERE nextval('billing_analytics_id_seq') <= (SELECT max(id) FROM billing_analytics);
SELECT 'index is missing: ' || i FROM unnest(ARRAY['idx_jobs_email_tenant', 'idx_jobs_analytics_priority',
    'idx_campaign_analytics_dashboard', 'idx_campaign_analytics_metrics', 'idx_billing_analytics_tenant_period',
    'idx_campaign_performance_mv_id', 'idx_campaign_performance_mv_status']) i WHERE to_regclass(i) IS NULL;
