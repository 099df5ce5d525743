-- An agent's history: which ended calls rang an extension or came through a queue, in the order of the history. Triggers keep it,
-- so that an earlier version of this program, or another one, keeps it too.
CREATE TABLE call_extensions (
    extension_id TEXT NOT NULL,
    timestamp    TEXT NOT NULL,
    call_id      TEXT NOT NULL,
    PRIMARY KEY (extension_id, timestamp, call_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX call_extensions_by_call ON call_extensions (call_id);

-- What belongs into it.
CREATE VIEW extensions_of_calls AS
SELECT mine.value AS extension_id, timestamp, call_history.id AS call_id
FROM call_history, json_each(iif(json_valid(more), more, '{}'), '$.call.extension_ids') AS mine WHERE mine.type = 'text'
UNION ALL
SELECT mine.value, timestamp, call_history.id
FROM call_history, json_each(iif(json_valid(more), more, '{}'), '$.ledger.queue_ids') AS mine WHERE mine.type = 'text';

INSERT OR IGNORE INTO call_extensions SELECT * FROM extensions_of_calls;

CREATE TRIGGER call_extensions_of_a_call AFTER INSERT ON call_history BEGIN
    -- INSERT OR REPLACE fires no trigger for the row that it replaces.
    DELETE FROM call_extensions WHERE call_id = NEW.id;
    INSERT OR IGNORE INTO call_extensions SELECT * FROM extensions_of_calls WHERE call_id = NEW.id;
END;
CREATE TRIGGER call_extensions_of_a_changed_call AFTER UPDATE OF id, timestamp, more ON call_history BEGIN
    DELETE FROM call_extensions WHERE call_id IN (OLD.id, NEW.id);
    INSERT OR IGNORE INTO call_extensions SELECT * FROM extensions_of_calls WHERE call_id = NEW.id;
END;
CREATE TRIGGER call_extensions_of_a_removed_call AFTER DELETE ON call_history BEGIN
    DELETE FROM call_extensions WHERE call_id = OLD.id;
END;

-- The other ways in which a history is narrowed down.
CREATE INDEX call_history_by_callee ON call_history (to_number, timestamp DESC);
CREATE INDEX call_history_by_customer ON call_history (customer_id, timestamp DESC) WHERE customer_id IS NOT NULL;
