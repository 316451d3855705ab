-- +migrate Up
CREATE TABLE accounts (id INTEGER AUTO_INCREMENT, owner VARCHAR[100] NOT NULL, PRIMARY KEY id);
CREATE UNIQUE INDEX ON accounts (owner);

-- +migrate Down
DROP TABLE accounts;
