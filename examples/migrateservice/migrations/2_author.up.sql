-- New columns are NULL in the rows that are there.
ALTER TABLE notes ADD COLUMN author VARCHAR[64];
