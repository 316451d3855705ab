-- migrate:up
CREATE TABLE accounts (id INTEGER AUTO_INCREMENT, owner VARCHAR[100] NOT NULL, PRIMARY KEY id);
CREATE UNIQUE INDEX ON accounts (owner);

-- migrate:down
DROP TABLE accounts;
