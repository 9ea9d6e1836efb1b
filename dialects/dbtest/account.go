package dbtest

import (
	"errors"
	"os"
	"os/user"
	"strconv"
)

// account is the OS user that a server runs as.
type account struct {
	switched bool // another user than the caller
	uid, gid uint32
}

// serverAccount returns the caller's own account, or, for root, which database
// servers refuse to run as, the first of the named users that exists.
func serverAccount(names ...string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range append(names, "nobody") {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return account{switched: true, uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return account{}, errors.New("no unprivileged user to run a server as")
}
