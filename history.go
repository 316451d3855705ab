package immudb

type history struct {
	id   stateKey
	host string
}
