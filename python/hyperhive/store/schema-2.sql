-- Each audit entry holds the hash over the one before it and its own content (store/audit.py), so that tampering shows.
DROP TRIGGER audit_no_update;
ALTER TABLE audit ADD COLUMN hash TEXT NOT NULL DEFAULT '';
UPDATE audit SET hash = audit_hash(id, at, actor, action, subject, detail); -- a scan in the order of the ids
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
