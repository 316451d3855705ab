-- migrate:up
ALTER TABLE accounts ADD COLUMN note VARCHAR;
INSERT INTO accounts (owner, note) VALUES ('ada', 'first; and only');

-- migrate:down
DELETE FROM accounts WHERE owner = 'ada';
ALTER TABLE accounts DROP COLUMN note;
