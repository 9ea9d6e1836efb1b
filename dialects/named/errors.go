package named

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// unreadable is the error for a DSN that cannot be parsed. What the parser said
// is left out: parsers quote what they do not understand, passwords included.
func unreadable(name string) error {
	return fmt.Errorf("%s: the DSN cannot be read: write %s, with special characters of the password percent-encoded where it is a URL",
		name, Usage(name))
}

// unset is the error for a DSN that is missing.
func unset(name string) error {
	return fmt.Errorf("%s: no DSN is given: write %s", name, Usage(name))
}

// unreachable is the error for a database that does not answer, or refuses.
// Whatever of the DSN the cause repeats is taken out.
func unreachable(name, dsn, password string, cause error) error {
	return fmt.Errorf("%s: cannot connect: %s: check that the server runs, and the DSN",
		name, redact(oneLine(essence(cause)), dsn, password))
}

// essence leaves out the wrapping of drivers, which repeats parts of the DSN:
// what is left is the server's reply, the network's error, or the last cause.
func essence(err error) error {
	var reply interface {
		error
		SQLState() string
	}
	var network *net.OpError
	switch {
	case errors.As(err, &reply):
		return reply
	case errors.As(err, &network):
		return network
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// redact replaces the DSN and the password, plain and percent-encoded.
func redact(text, dsn, password string) string {
	for _, secret := range []string{dsn, password, url.QueryEscape(password), url.PathEscape(password)} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}
