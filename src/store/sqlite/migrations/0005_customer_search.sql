-- What customers are searched by. The texts are folded by the program (src/customer/search.rs), so triggers cannot write them: they
-- note which customers have changed, by this program or another one, and the program writes the rows of those.
ALTER TABLE customers ADD COLUMN company TEXT;

CREATE TABLE customer_search (
    key         INTEGER PRIMARY KEY,
    customer_id TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    email       TEXT NOT NULL,
    words       TEXT NOT NULL,
    digits      TEXT NOT NULL
) STRICT;
CREATE INDEX customer_search_by_name ON customer_search (name, customer_id) WHERE name <> '';
CREATE INDEX customer_search_by_email ON customer_search (email) WHERE email <> '';

-- Words by their beginnings; numbers by every four digits in a row.
CREATE VIRTUAL TABLE customer_words USING fts5(
    words, content = 'customer_search', content_rowid = 'key', prefix = '1 2 3 4', columnsize = 0,
    tokenize = "unicode61 remove_diacritics 2"
);
CREATE VIRTUAL TABLE customer_digits USING fts5(
    digits, content = 'customer_search', content_rowid = 'key', detail = none, columnsize = 0
);
-- Words that are removed leave the file; else they stay until segments are merged.
INSERT INTO customer_words (customer_words, rank) VALUES ('secure-delete', 1);
INSERT INTO customer_digits (customer_digits, rank) VALUES ('secure-delete', 1);

CREATE TRIGGER customer_search_added AFTER INSERT ON customer_search BEGIN
    INSERT INTO customer_words (rowid, words) VALUES (NEW.key, NEW.words);
    INSERT INTO customer_digits (rowid, digits) VALUES (NEW.key, NEW.digits);
END;
CREATE TRIGGER customer_search_removed AFTER DELETE ON customer_search BEGIN
    INSERT INTO customer_words (customer_words, rowid, words) VALUES ('delete', OLD.key, OLD.words);
    INSERT INTO customer_digits (customer_digits, rowid, digits) VALUES ('delete', OLD.key, OLD.digits);
END;

-- Customers whose row is not of their current fields. A trigger takes over how the statement that fires it resolves conflicts, so that
-- OR IGNORE would not hold here.
CREATE TABLE customer_search_due (customer_id TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER customer_search_due_of_added AFTER INSERT ON customers BEGIN
    INSERT INTO customer_search_due SELECT NEW.id WHERE NEW.id NOT IN customer_search_due;
END;
CREATE TRIGGER customer_search_due_of_changed AFTER UPDATE ON customers BEGIN
    INSERT INTO customer_search_due SELECT NEW.id WHERE NEW.id NOT IN customer_search_due;
    INSERT INTO customer_search_due SELECT OLD.id WHERE OLD.id NOT IN customer_search_due;
END;
CREATE TRIGGER customer_search_due_of_removed AFTER DELETE ON customers BEGIN
    INSERT INTO customer_search_due SELECT OLD.id WHERE OLD.id NOT IN customer_search_due;
END;
CREATE TRIGGER customer_search_due_of_added_phone AFTER INSERT ON customer_phones BEGIN
    INSERT INTO customer_search_due SELECT NEW.customer_id WHERE NEW.customer_id NOT IN customer_search_due;
END;
CREATE TRIGGER customer_search_due_of_changed_phone AFTER UPDATE ON customer_phones BEGIN
    INSERT INTO customer_search_due SELECT NEW.customer_id WHERE NEW.customer_id NOT IN customer_search_due;
    INSERT INTO customer_search_due SELECT OLD.customer_id WHERE OLD.customer_id NOT IN customer_search_due;
END;
CREATE TRIGGER customer_search_due_of_removed_phone AFTER DELETE ON customer_phones BEGIN
    INSERT INTO customer_search_due SELECT OLD.customer_id WHERE OLD.customer_id NOT IN customer_search_due;
END;
