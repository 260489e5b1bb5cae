-- Domains whose campaign was deleted while nothing watched: not ready.
SET session_replication_role = replica;
DELETE FROM campaigns WHERE id IN (md5('c' || 7)::uuid, md5('c' || 8)::uuid);
