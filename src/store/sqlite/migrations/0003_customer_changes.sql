-- Grows with every change to a customer, by this program or another, so that callers are looked up again then and not whenever
-- a call is written.
CREATE TABLE customer_changes (count INTEGER NOT NULL) STRICT;
INSERT INTO customer_changes VALUES (0);

CREATE TRIGGER customer_added AFTER INSERT ON customers BEGIN UPDATE customer_changes SET count = count + 1; END;
CREATE TRIGGER customer_changed AFTER UPDATE ON customers BEGIN UPDATE customer_changes SET count = count + 1; END;
CREATE TRIGGER customer_removed AFTER DELETE ON customers BEGIN UPDATE customer_changes SET count = count + 1; END;
CREATE TRIGGER customer_phone_added AFTER INSERT ON customer_phones BEGIN UPDATE customer_changes SET count = count + 1; END;
CREATE TRIGGER customer_phone_changed AFTER UPDATE ON customer_phones BEGIN UPDATE customer_changes SET count = count + 1; END;
CREATE TRIGGER customer_phone_removed AFTER DELETE ON customer_phones BEGIN UPDATE customer_changes SET count = count + 1; END;
