BEGIN TRANSACTION;
CREATE TABLE active_calls (
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
INSERT INTO "active_calls" VALUES('6b0a9a97490417c30b77edfe','guide-2','+14165559999','Guide','+15879876543','Inbound','ringing','2026-11-28T09:10:47.724Z','c2','John Roe','john@example.com',1,'{"call":{"id":"6b0a9a97490417c30b77edfe","session_id":"guide-2","from_number":"+14165559999","from_name":"Guide","to_number":"+15879876543","direction":"Inbound","status":"ringing","timestamp":"2026-11-28T09:10:47.724Z","customer_id":"c2","customer_name":"John Roe","customer_email":"john@example.com","telephony_session_id":null,"to_name":null,"queue":null,"extension_ids":["103"],"answered_by":null,"answered_at":null,"ended_at":null,"result":null,"customers":[{"id":"c2","name":"John Roe","email":"john@example.com","match":"exact"}],"match":"exact","from_display":"(416) 555-9999","to_display":"(587) 987-6543","rev":1},"ledger":{"parties":[{"session_id":"guide-2","telephony_session_id":null,"source":"guide","id":"103","direction":"Inbound","extension_id":"103","from_us":false,"ours":false,"state":{"sequence":1795857047724000,"value":"ringing"},"changed_at":"2026-11-28T09:10:47.724Z","began_at":"2026-11-28T09:10:47.724Z","rang_at":{"sequence":1795857047724000,"value":"2026-11-28T09:10:47.724Z"},"answered_at":null,"voicemail":false,"from_number":{"sequence":1795857047724000,"value":["+14165559999","(416) 555-9999"]},"from_name":{"sequence":1795857047724000,"value":"Guide"},"to_number":{"sequence":1795857047724000,"value":["+15879876543","(587) 987-6543"]},"to_name":null,"extension_name":null,"queue":null}],"linked":[],"queue_ids":[],"heard_at":"2026-11-28T09:10:47.724Z","looked_up":true,"waiting":false,"over":false,"seen":[],"dismissed_by":[]}}');
INSERT INTO "active_calls" VALUES('6b0a9a97490417c30b77edff','71003','+14165551234','Caller','+15879876543','Inbound','on_hold','2026-11-28T09:10:47.006Z','c1','Jane Doe','jane@example.com',4,'{"call":{"id":"6b0a9a97490417c30b77edff","session_id":"71003","from_number":"+14165551234","from_name":"Caller","to_number":"+15879876543","direction":"Inbound","status":"on_hold","timestamp":"2026-11-28T09:10:47.006Z","customer_id":"c1","customer_name":"Jane Doe","customer_email":"jane@example.com","telephony_session_id":"s-71003","to_name":null,"queue":null,"extension_ids":["101","102"],"answered_by":{"extension_id":"101","name":null},"answered_at":"2026-11-28T09:10:47.008Z","ended_at":null,"result":null,"customers":[{"id":"c1","name":"Jane Doe","email":"jane@example.com","match":"exact"}],"match":"exact","from_display":"(416) 555-1234","to_display":"(587) 987-6543","rev":4},"ledger":{"parties":[{"session_id":"71003","telephony_session_id":"s-71003","source":"telephony","id":"p-1","direction":"Inbound","extension_id":"101","from_us":false,"ours":false,"state":{"sequence":9,"value":"on_hold"},"changed_at":"2026-11-28T09:10:47.009Z","began_at":"2026-11-28T09:10:47.006Z","rang_at":{"sequence":6,"value":"2026-11-28T09:10:47.006Z"},"answered_at":{"sequence":8,"value":"2026-11-28T09:10:47.008Z"},"voicemail":false,"from_number":{"sequence":6,"value":["+14165551234","(416) 555-1234"]},"from_name":{"sequence":9,"value":"Caller"},"to_number":{"sequence":6,"value":["+15879876543","(587) 987-6543"]},"to_name":null,"extension_name":null,"queue":null},{"session_id":"71003","telephony_session_id":"s-71003","source":"telephony","id":"p-2","direction":"Inbound","extension_id":"102","from_us":false,"ours":false,"state":{"sequence":7,"value":"ringing"},"changed_at":"2026-11-28T09:10:47.007Z","began_at":"2026-11-28T09:10:47.007Z","rang_at":{"sequence":7,"value":"2026-11-28T09:10:47.007Z"},"answered_at":null,"voicemail":false,"from_number":{"sequence":7,"value":["+14165551234","(416) 555-1234"]},"from_name":{"sequence":7,"value":"Caller"},"to_number":{"sequence":7,"value":["+15879876543","(587) 987-6543"]},"to_name":null,"extension_name":null,"queue":null}],"linked":["s-71003"],"queue_ids":[],"heard_at":"2026-11-28T09:10:47.729Z","looked_up":true,"waiting":false,"over":false,"seen":[],"dismissed_by":[]}}');
INSERT INTO "active_calls" VALUES('6b0a9a97490417c30b77ee03','71004','+442079460000','Caller','+15879876543','Inbound','ringing','2026-11-28T09:10:47.010Z',NULL,NULL,NULL,2,'{"call":{"id":"6b0a9a97490417c30b77ee03","session_id":"71004","from_number":"+442079460000","from_name":"Caller","to_number":"+15879876543","direction":"Inbound","status":"ringing","timestamp":"2026-11-28T09:10:47.010Z","customer_id":null,"customer_name":null,"customer_email":null,"telephony_session_id":"s-71004","to_name":null,"queue":null,"extension_ids":["101"],"answered_by":null,"answered_at":null,"ended_at":null,"result":null,"customers":[],"match":null,"from_display":"+44 20 7946 0000","to_display":"(587) 987-6543","rev":2},"ledger":{"parties":[{"session_id":"71004","telephony_session_id":"s-71004","source":"telephony","id":"p-1","direction":"Inbound","extension_id":"101","from_us":false,"ours":false,"state":{"sequence":10,"value":"ringing"},"changed_at":"2026-11-28T09:10:47.010Z","began_at":"2026-11-28T09:10:47.010Z","rang_at":{"sequence":10,"value":"2026-11-28T09:10:47.010Z"},"answered_at":null,"voicemail":false,"from_number":{"sequence":10,"value":["+442079460000","+44 20 7946 0000"]},"from_name":{"sequence":10,"value":"Caller"},"to_number":{"sequence":10,"value":["+15879876543","(587) 987-6543"]},"to_name":null,"extension_name":null,"queue":null}],"linked":["s-71004"],"queue_ids":[],"heard_at":"2026-11-28T09:10:47.730Z","looked_up":true,"waiting":false,"over":false,"seen":[],"dismissed_by":["token-99d08b6db7882c5a"]}}');
CREATE TABLE call_history (
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
INSERT INTO "call_history" VALUES('6b0a9a97490417c30b77edfc','guide-1','+14165559999','Guide','+15879876543','Inbound','ended','2026-11-28T09:10:47.722Z','c2','John Roe','john@example.com',2,'{"call":{"id":"6b0a9a97490417c30b77edfc","session_id":"guide-1","from_number":"+14165559999","from_name":"Guide","to_number":"+15879876543","direction":"Inbound","status":"ended","timestamp":"2026-11-28T09:10:47.722Z","customer_id":"c2","customer_name":"John Roe","customer_email":"john@example.com","telephony_session_id":null,"to_name":null,"queue":null,"extension_ids":["101"],"answered_by":null,"answered_at":null,"ended_at":"2026-11-28T09:10:47.723Z","result":"missed","customers":[{"id":"c2","name":"John Roe","email":"john@example.com","match":"exact"}],"match":"exact","from_display":"(416) 555-9999","to_display":"(587) 987-6543","rev":2},"ledger":{"parties":[{"session_id":"guide-1","telephony_session_id":null,"source":"guide","id":"101","direction":"Inbound","extension_id":"101","from_us":false,"ours":false,"state":{"sequence":1795857047723000,"value":{"ended":"finished"}},"changed_at":"2026-11-28T09:10:47.723Z","began_at":"2026-11-28T09:10:47.722Z","rang_at":{"sequence":1795857047722000,"value":"2026-11-28T09:10:47.722Z"},"answered_at":null,"voicemail":false,"from_number":{"sequence":1795857047722000,"value":["+14165559999","(416) 555-9999"]},"from_name":{"sequence":1795857047723000,"value":"Guide"},"to_number":{"sequence":1795857047722000,"value":["+15879876543","(587) 987-6543"]},"to_name":null,"extension_name":null,"queue":null}],"linked":[],"queue_ids":[],"heard_at":"2026-11-28T09:10:47.723Z","looked_up":true,"waiting":false,"over":true,"seen":[],"dismissed_by":[]}}','missed');
INSERT INTO "call_history" VALUES('6b0a9a97490417c30b77edfa','71002','+14165551234','Caller','+15879876543','Inbound','ended','2026-11-28T09:10:47.004Z','c1','Jane Doe','jane@example.com',3,'{"call":{"id":"6b0a9a97490417c30b77edfa","session_id":"71002","from_number":"+14165551234","from_name":"Caller","to_number":"+15879876543","direction":"Inbound","status":"ended","timestamp":"2026-11-28T09:10:47.004Z","customer_id":"c1","customer_name":"Jane Doe","customer_email":"jane@example.com","telephony_session_id":"s-71002","to_name":null,"queue":null,"extension_ids":["102"],"answered_by":null,"answered_at":null,"ended_at":"2026-11-28T09:10:47.005Z","result":"missed","customers":[{"id":"c1","name":"Jane Doe","email":"jane@example.com","match":"exact"}],"match":"exact","from_display":"(416) 555-1234","to_display":"(587) 987-6543","rev":3},"ledger":{"parties":[{"session_id":"71002","telephony_session_id":"s-71002","source":"telephony","id":"p-1","direction":"Inbound","extension_id":"102","from_us":false,"ours":false,"state":{"sequence":5,"value":{"ended":"finished"}},"changed_at":"2026-11-28T09:10:47.005Z","began_at":"2026-11-28T09:10:47.004Z","rang_at":{"sequence":4,"value":"2026-11-28T09:10:47.004Z"},"answered_at":null,"voicemail":false,"from_number":{"sequence":4,"value":["+14165551234","(416) 555-1234"]},"from_name":{"sequence":5,"value":"Caller"},"to_number":{"sequence":4,"value":["+15879876543","(587) 987-6543"]},"to_name":null,"extension_name":null,"queue":null}],"linked":["s-71002"],"queue_ids":[],"heard_at":"2026-11-28T09:10:47.720Z","looked_up":true,"waiting":false,"over":true,"seen":[],"dismissed_by":[]}}','missed');
INSERT INTO "call_history" VALUES('6b0a9a97490417c30b77edf7','71001','+14165551234','Caller','+15879876543','Inbound','ended','2026-11-28T09:10:47.001Z','c1','Jane Doe','jane@example.com',4,'{"call":{"id":"6b0a9a97490417c30b77edf7","session_id":"71001","from_number":"+14165551234","from_name":"Caller","to_number":"+15879876543","direction":"Inbound","status":"ended","timestamp":"2026-11-28T09:10:47.001Z","customer_id":"c1","customer_name":"Jane Doe","customer_email":"jane@example.com","telephony_session_id":"s-71001","to_name":null,"queue":null,"extension_ids":["101"],"answered_by":{"extension_id":"101","name":null},"answered_at":"2026-11-28T09:10:47.002Z","ended_at":"2026-11-28T09:10:47.003Z","result":"answered","customers":[{"id":"c1","name":"Jane Doe","email":"jane@example.com","match":"exact"}],"match":"exact","from_display":"(416) 555-1234","to_display":"(587) 987-6543","rev":4},"ledger":{"parties":[{"session_id":"71001","telephony_session_id":"s-71001","source":"telephony","id":"p-1","direction":"Inbound","extension_id":"101","from_us":false,"ours":false,"state":{"sequence":3,"value":{"ended":"finished"}},"changed_at":"2026-11-28T09:10:47.003Z","began_at":"2026-11-28T09:10:47.001Z","rang_at":{"sequence":1,"value":"2026-11-28T09:10:47.001Z"},"answered_at":{"sequence":2,"value":"2026-11-28T09:10:47.002Z"},"voicemail":false,"from_number":{"sequence":1,"value":["+14165551234","(416) 555-1234"]},"from_name":{"sequence":3,"value":"Caller"},"to_number":{"sequence":1,"value":["+15879876543","(587) 987-6543"]},"to_name":null,"extension_name":null,"queue":null}],"linked":["s-71001"],"queue_ids":[],"heard_at":"2026-11-28T09:10:47.717Z","looked_up":true,"waiting":false,"over":true,"seen":[],"dismissed_by":[]}}','answered');
CREATE TABLE call_sessions (
    key     TEXT NOT NULL,
    call_id TEXT NOT NULL,
    PRIMARY KEY (key, call_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "call_sessions" VALUES('s-71001','6b0a9a97490417c30b77edf7');
INSERT INTO "call_sessions" VALUES('s-71002','6b0a9a97490417c30b77edfa');
INSERT INTO "call_sessions" VALUES('s-71003','6b0a9a97490417c30b77edff');
INSERT INTO "call_sessions" VALUES('s-71004','6b0a9a97490417c30b77ee03');
CREATE TABLE customer_phones (
    e164        TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    written     TEXT NOT NULL,
    PRIMARY KEY (e164, customer_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "customer_phones" VALUES('+14165551234','c1','(416) 555-1234');
INSERT INTO "customer_phones" VALUES('+14165559999','c2','+14165559999');
CREATE TABLE customers (
    id    TEXT PRIMARY KEY NOT NULL,
    name  TEXT,
    email TEXT
) STRICT;
INSERT INTO "customers" VALUES('c1','Jane Doe','jane@example.com');
INSERT INTO "customers" VALUES('c2','John Roe','john@example.com');
CREATE TABLE notification_shapes (
    shape      TEXT PRIMARY KEY NOT NULL,
    count      INTEGER NOT NULL,
    first_seen TEXT NOT NULL,
    last_seen  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "notification_shapes" VALUES('{event:string,body:{a:number}}',1,'2026-11-28T09:10:47.736Z','2026-11-28T09:10:47.736Z');
CREATE TABLE settings (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "settings" VALUES('session_key','ZQnS+skyHSH7jSxJHR8kcmchWJbxOzkCLg0dd1rk2nd5KPaVec7PGqTNWuTjEsFCPI+Vx3a/foGZz3e4kbW6+g==');
INSERT INTO "settings" VALUES('signed_out','{"9d7ba296a5351b02375bfe12d09466c110ae29796f7d2dbade2502dd4051a69c":"2026-11-28T21:10:52.741392411Z"}');
CREATE TABLE tickets (
    id    TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL,
    until TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX call_history_by_time ON call_history (timestamp DESC, id DESC);
CREATE INDEX call_history_by_session ON call_history (session_id);
CREATE INDEX call_history_by_caller ON call_history (from_number, timestamp DESC);
CREATE INDEX call_sessions_by_call ON call_sessions (call_id);
CREATE INDEX customer_phones_by_customer ON customer_phones (customer_id);
COMMIT;
