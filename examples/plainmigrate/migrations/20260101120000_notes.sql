-- Create "notes" table
CREATE TABLE notes (
	id INTEGER AUTO_INCREMENT,
	body VARCHAR NOT NULL,
	PRIMARY KEY id
);
