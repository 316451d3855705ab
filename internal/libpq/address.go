package libpq

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// What is used if no host or port is given.
const (
	DefaultHost = "127.0.0.1"
	DefaultPort = "3322"
	DefaultAddr = DefaultHost + ":" + DefaultPort
)

// SplitHostPort reads a host with or without a port; a missing port is the default.
func SplitHostPort(s string) (host, port string, err error) {
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "@") || strings.HasPrefix(s, "unix:") {
		return "", "", errors.New("host: a Unix socket is not a valid host: immudb listens on TCP; " +
			"set Config.DialContext to go through one")
	}
	host, port = s, DefaultPort
	if addr, err := netip.ParseAddr(s); err != nil || !addr.Is6() { // the colons of a bare IPv6 address separate no port
		if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
			host = s[1 : len(s)-1]
		} else if strings.Contains(s, ":") {
			if host, port, err = net.SplitHostPort(s); err != nil {
				return "", "", errors.New(`host: valid values are "name", "name:port", "1.2.3.4:port" and "[::1]:port"`)
			}
		}
	}
	if !ValidHost(host) {
		return "", "", errors.New("host: valid values are a DNS name (letters, digits, - . _) or an IP address")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", "", ErrInvalidPort
	}
	return host, strconv.FormatUint(n, 10), nil
}

// ErrInvalidPort is the error of a port that is no number from 1 to 65535.
var ErrInvalidPort = errors.New("port: valid values are 1 to 65535, one for all hosts or one for each")

// ValidHost reports whether s is a DNS name or an IP address, without a port.
func ValidHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if s == "" || len(s) > 253 || s[0] == '-' || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// IsLoopback reports whether traffic to host stays on this machine. localhost is
// the only name that counts: other names may resolve to another address later.
func IsLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}
