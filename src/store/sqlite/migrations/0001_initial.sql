-- The embedded store. Columns carry the guide's names; what is ours beside them stands in `more` as JSON, so that a row
-- another program inserts with only the guide's columns is a valid call.
CREATE TABLE IF NOT EXISTS active_calls (
    id             TEXT PRIMARY KEY NOT NULL DEFAULT (lower(hex(randomblob(12)))),
    session_id     TEXT NOT NULL UNIQUE,
    from_number    TEXT,
    from_name      TEXT,
    to_number      TEXT,
    direction      TEXT NOT NULL DEFAULT 'Inbound',
    status         TEXT NOT NULL DEFAULT 'ringing',
    timestamp      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    customer_id    TEXT,
    customer_name  TEXT,
    customer_email TEXT,
    rev            INTEGER NOT NULL DEFAULT 0,
    more           TEXT
) STRICT;

CREATE TABLE IF NOT EXISTS call_history (
    id             TEXT PRIMARY KEY NOT NULL,
    session_id     TEXT NOT NULL,
    from_number    TEXT,
    from_name      TEXT,
    to_number      TEXT,
    direction      TEXT NOT NULL,
    status         TEXT NOT NULL,
    timestamp      TEXT NOT NULL,
    customer_id    TEXT,
    customer_name  TEXT,
    customer_email TEXT,
    rev            INTEGER NOT NULL,
    more           TEXT NOT NULL,
    result         TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS call_history_by_time ON call_history (timestamp DESC, id DESC);
CREATE INDEX IF NOT EXISTS call_history_by_session ON call_history (session_id);
CREATE INDEX IF NOT EXISTS call_history_by_caller ON call_history (from_number, timestamp DESC);

-- Other sessions of a call, both ways of finding it after a transfer.
CREATE TABLE IF NOT EXISTS call_sessions (
    key     TEXT NOT NULL,
    call_id TEXT NOT NULL,
    PRIMARY KEY (key, call_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS call_sessions_by_call ON call_sessions (call_id);

-- Which viewer dismissed which active call.
CREATE TABLE IF NOT EXISTS dismissals (
    call_id TEXT NOT NULL,
    viewer  TEXT NOT NULL,
    at      TEXT NOT NULL,
    PRIMARY KEY (call_id, viewer)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS customers (
    id    TEXT PRIMARY KEY NOT NULL,
    name  TEXT,
    email TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS customer_phones (
    e164        TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    written     TEXT NOT NULL,
    PRIMARY KEY (e164, customer_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS customer_phones_by_customer ON customer_phones (customer_id);

CREATE TABLE IF NOT EXISTS notification_shapes (
    shape      TEXT PRIMARY KEY NOT NULL,
    count      INTEGER NOT NULL,
    first_seen TEXT NOT NULL,
    last_seen  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS notification_shapes_by_age ON notification_shapes (last_seen);

CREATE TABLE IF NOT EXISTS settings (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS tickets (
    id    TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL,
    until TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Digests of what was erased, so that late facts do not write it back.
CREATE TABLE IF NOT EXISTS erasures (
    digest    TEXT PRIMARY KEY NOT NULL,
    erased_at TEXT NOT NULL,
    until     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Sessions of viewers until they expire. `revoked`: 0 open, 1 revoked, 2 no session but the moment `begun` up to which the
-- viewer's sessions are revoked. `mark` grows with each revocation.
CREATE TABLE IF NOT EXISTS sessions (
    id      TEXT PRIMARY KEY NOT NULL,
    viewer  TEXT NOT NULL,
    begun   INTEGER NOT NULL,
    until   TEXT NOT NULL,
    revoked INTEGER NOT NULL,
    mark    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_viewer ON sessions (viewer, revoked, begun);
CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (until);
CREATE INDEX IF NOT EXISTS sessions_by_mark ON sessions (mark) WHERE mark IS NOT NULL;
