-- What each day's use cost, for the budgets.
ALTER TABLE model_usage ADD COLUMN cost_usd REAL NOT NULL DEFAULT 0;

-- How much the events of a turn take, so that an agent's history can be bounded.
ALTER TABLE turns ADD COLUMN event_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE turns SET event_bytes = (SELECT coalesce(sum(length(CAST(event AS BLOB))), 0) FROM turn_events WHERE turn = turns.id);
