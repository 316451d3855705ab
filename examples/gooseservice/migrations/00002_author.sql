-- +goose Up
-- New columns are NULL in the rows that are there.
ALTER TABLE notes ADD COLUMN author VARCHAR[64];

-- +goose Down
ALTER TABLE notes DROP COLUMN author;
