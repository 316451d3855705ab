-- Add column "author" to table: "notes"
ALTER TABLE notes ADD COLUMN author VARCHAR[64];
-- The rows that are there have NULL in it.
UPDATE notes SET author = 'unknown' WHERE author IS NULL;
