-- The hive's database, version 1 (PRAGMA user_version). Times are Unix seconds (REAL), JSON is TEXT.

CREATE TABLE agents (
  name       TEXT PRIMARY KEY,
  role       TEXT NOT NULL CHECK (role IN ('agent', 'manager')),
  desired    TEXT NOT NULL CHECK (desired IN ('running', 'stopped')),
  generation INTEGER NOT NULL DEFAULT 0,       -- the applied one; 0: none yet
  overrides  TEXT NOT NULL DEFAULT '{}',       -- operator's runtime overrides, same keys as settings
  created_at REAL NOT NULL
);

-- One applied configuration of one agent; rollback goes back to an earlier row.
CREATE TABLE generations (
  agent      TEXT NOT NULL,                    -- kept when the agent is destroyed without purge
  number     INTEGER NOT NULL CHECK (number > 0),
  commit_id  TEXT NOT NULL,                    -- of the agent's config repo: what agent/ is
  tree       TEXT NOT NULL,                    -- commit in the applied repo, tagged generation/<number>
  settings   TEXT NOT NULL,
  proposal   INTEGER,                          -- NULL: the operator's own doing (create, override, rollback)
  reason     TEXT NOT NULL,
  healthy    INTEGER NOT NULL DEFAULT 0,       -- 1 once its heartbeat came
  created_at REAL NOT NULL,
  PRIMARY KEY (agent, number)
);

CREATE TABLE proposals (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  agent           TEXT NOT NULL,
  commit_id       TEXT NOT NULL,               -- as asked until checked, then the full hash
  reason          TEXT NOT NULL,
  requester       TEXT NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('requested', 'checked', 'approved', 'building', 'activating',
                    'applied', 'rejected', 'denied', 'superseded', 'withdrawn', 'failed')),
  base_generation INTEGER,                     -- the generation it was judged against
  settings        TEXT,
  delta           TEXT,
  lint            TEXT,
  diff            TEXT,
  fingerprint     TEXT,                        -- what an approval is bound to: commit, base generation, delta
  generation      INTEGER,                     -- the generation it becomes
  error           TEXT,
  decided_by      TEXT,
  decision        TEXT,
  created_at      REAL NOT NULL,
  updated_at      REAL NOT NULL
);
CREATE INDEX proposals_by_state ON proposals (state, agent);

CREATE TABLE messages (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  sender       TEXT NOT NULL,
  recipient    TEXT NOT NULL,
  kind         TEXT NOT NULL CHECK (kind IN ('mail', 'question', 'event')),
  reply_to     INTEGER,
  chain        INTEGER NOT NULL DEFAULT 0,     -- the message that began it; 0: this one
  hops         INTEGER NOT NULL DEFAULT 0,
  sent_at      REAL NOT NULL,
  lease_until  REAL,                           -- NULL: nobody works on it
  attempts     INTEGER NOT NULL DEFAULT 0,
  delivered_at REAL,                           -- acknowledged after the turn
  dead_at      REAL,                           -- parked as a dead letter
  body         TEXT NOT NULL                   -- last: what is behind a long text is slow to reach
);
CREATE INDEX messages_waiting ON messages (recipient, id) WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX messages_delivered ON messages (recipient, delivered_at) WHERE delivered_at IS NOT NULL;
CREATE INDEX messages_leased ON messages (recipient, lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX messages_dead ON messages (dead_at, recipient) WHERE dead_at IS NOT NULL;
CREATE INDEX messages_answers ON messages (reply_to) WHERE reply_to IS NOT NULL;

CREATE TABLE turns (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  agent       TEXT NOT NULL,
  generation  INTEGER NOT NULL,
  model       TEXT NOT NULL,
  session_id  TEXT NOT NULL,
  message_ids TEXT NOT NULL,
  started_at  REAL NOT NULL,
  ended_at    REAL,
  outcome     TEXT,                            -- completed or the failure's name
  detail      TEXT,
  usage       TEXT,                            -- tokens as Claude Code reports them
  cost_usd    REAL
);
CREATE INDEX turns_by_agent ON turns (agent, id);

CREATE TABLE turn_events (
  turn  INTEGER NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
  seq   INTEGER NOT NULL,
  event TEXT NOT NULL,
  PRIMARY KEY (turn, seq)
);

-- Tokens that went through the gateway, per agent, model and UTC day.
CREATE TABLE model_usage (
  agent         TEXT NOT NULL,
  day           TEXT NOT NULL,
  model         TEXT NOT NULL,
  requests      INTEGER NOT NULL DEFAULT 0,
  input_tokens  INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (agent, day, model)
);

CREATE TABLE audit (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  at      REAL NOT NULL,
  actor   TEXT NOT NULL,                       -- operator:<user>, agent name, or system
  action  TEXT NOT NULL,                       -- e.g. proposal.checked, agent.stop
  subject TEXT NOT NULL,                       -- e.g. proposal/3, agent/worker
  detail  TEXT NOT NULL                        -- JSON object
);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
