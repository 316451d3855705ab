-- name: GetContact :one
SELECT * FROM contacts WHERE id = ?;

-- name: ListContacts :many
SELECT id, name, email FROM contacts WHERE active AND id IN (sqlc.slice('ids')) ORDER BY id;

-- name: CreateContact :execlastid
INSERT INTO contacts (name, email, born, photo, labels) VALUES (?, ?, ?, ?, ?);

-- name: UpdateContact :execrows
UPDATE contacts SET name = COALESCE(sqlc.narg('name'), name), email = COALESCE(sqlc.narg('email'), email)
WHERE id = sqlc.arg('id');

-- name: DeleteContact :exec
DELETE FROM contacts WHERE id = ?;

-- name: CountContacts :one
SELECT COUNT(*) FROM contacts WHERE email LIKE ? AND created_at > ?;
