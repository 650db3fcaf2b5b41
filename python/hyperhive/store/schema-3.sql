-- What the dashboard shows: when each step of a turn was, a proposal's log, questions with options and a time limit.
ALTER TABLE turn_events ADD COLUMN at REAL;

CREATE TABLE proposal_log (
  proposal INTEGER NOT NULL,
  seq      INTEGER NOT NULL,
  at       REAL NOT NULL,
  step     TEXT NOT NULL,                      -- check, build or activate
  text     TEXT NOT NULL,
  PRIMARY KEY (proposal, seq)
);

ALTER TABLE messages ADD COLUMN options TEXT;  -- a question's answers to choose from, a JSON list
ALTER TABLE messages ADD COLUMN expires_at REAL;
ALTER TABLE messages ADD COLUMN expired INTEGER NOT NULL DEFAULT 0; -- 1: its asker was told that no answer came
CREATE INDEX messages_expiring ON messages (expires_at) WHERE expires_at IS NOT NULL AND expired = 0;

-- Browsers that an operator logged in; a cookie holds the secret that `hash` is of.
CREATE TABLE sessions (
  hash       TEXT PRIMARY KEY,                 -- SHA-256
  user       TEXT NOT NULL,
  created_at REAL NOT NULL,
  expires_at REAL NOT NULL
);

-- Where each setting of a generation comes from (sources.py), a JSON object; NULL: not known.
ALTER TABLE generations ADD COLUMN sources TEXT;
