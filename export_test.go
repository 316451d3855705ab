package immudb

// LockFile is the lock of a [FileStateStore].
var LockFile = lockFile
