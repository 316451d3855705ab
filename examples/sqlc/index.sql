CREATE INDEX IF NOT EXISTS ON contacts (email);
