-- Browsers that an operator logged in, anew: a session has a second half, the key, that a browser keeps for one origin, port
-- and all, as it keeps no cookie; a number by which it is named; and when it was last used. Who was logged in logs in again.
DROP TABLE sessions;
CREATE TABLE sessions (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- a number is never another session's: the audit log names it
  hash       TEXT NOT NULL UNIQUE,              -- SHA-256 of the cookie's secret
  key_hash   TEXT NOT NULL,                     -- SHA-256 of the key
  user       TEXT NOT NULL,
  created_at REAL NOT NULL,
  used_at    REAL NOT NULL,
  expires_at REAL NOT NULL
);
