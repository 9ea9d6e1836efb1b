package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// options are the command line.
type options struct {
	race    bool
	install bool
	docker  bool
	args    []string // for go test
}

var errHelp = errors.New("help wanted")

// parse takes its own flags from the front and leaves the rest to go test, whose
// flags it does not need to know.
func parse(args []string) (options, error) {
	o := options{install: true}
	own := map[string]*bool{"race": &o.race, "install": &o.install, "docker": &o.docker}
	for len(args) > 0 {
		name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(args[0], "-"), "-"), "=")
		if !strings.HasPrefix(args[0], "-") {
			break
		}
		if name == "h" || name == "help" {
			return o, errHelp
		}
		flag, ok := own[name]
		if !ok {
			break
		}
		*flag = true
		if hasValue {
			set, err := strconv.ParseBool(value)
			if err != nil {
				return o, fmt.Errorf("-%s takes true or false, not %q (-h tells more)", name, value)
			}
			*flag = set
		}
		args = args[1:]
	}
	o.args = args
	if len(o.args) == 0 {
		o.args = []string{"-count=1", "-timeout", "20m", "./..."}
	}
	return o, nil
}
