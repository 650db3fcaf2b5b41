-- What a turn was made of: the applied commit and proposal of its generation, the notes in its prompt (SHA-256), whether
-- it was over mail or a compaction, and what it used.
ALTER TABLE turns ADD COLUMN purpose TEXT NOT NULL DEFAULT 'mail'; -- mail or compaction
ALTER TABLE turns ADD COLUMN applied_commit TEXT;
ALTER TABLE turns ADD COLUMN proposal INTEGER;
ALTER TABLE turns ADD COLUMN notes TEXT;
ALTER TABLE turns ADD COLUMN cpu_seconds REAL;                     -- of all processes
ALTER TABLE turns ADD COLUMN memory_peak INTEGER;                  -- bytes of the largest

-- What each day's use cost, for the budgets.
ALTER TABLE model_usage ADD COLUMN cost_usd REAL NOT NULL DEFAULT 0;

-- How much the events of a turn take, so that an agent's history can be bounded.
ALTER TABLE turns ADD COLUMN event_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE turns SET event_bytes = (SELECT coalesce(sum(length(CAST(event AS BLOB))), 0) FROM turn_events WHERE turn = turns.id);
