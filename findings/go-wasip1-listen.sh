#!/bin/sh
# A Go program for wasip1 listens on any address without an error, though no socket exists.
#
# Version: Go 1.26.8, wazero 1.12.0 as the engine. Date: 2026-11-29, Linux on x86-64.
# Expected: preview 1 of WASI has no call that opens a socket, and the engine gets none. `net.Listen` and `net.Dial` return an error such
# as "not supported".
# Seen: the port of Go connects a network inside of the program. Listening succeeds on port 80 of an address that this machine does not
# have, and a dial from the same program arrives there. Only a dial to a port without a listener fails, as if a peer had refused it.
# Effect: a server built for wasip1 reports that it listens, and its tests of itself pass, but no client can ever connect.
#
#   listening on 203.0.113.7:80
#   the client read: hello
#   second port: dial tcp 203.0.113.7:81: address 203.0.113.7:81: connect: Connection refused
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"
export GOPATH="$dir/path" GOCACHE="$dir/cache" GOFLAGS=-modcacherw GOTOOLCHAIN=go1.26.8

cat >listen.go <<'EOF'
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func fail(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(0)
	}
}

func main() {
	listener, err := net.Listen("tcp", "203.0.113.7:80") // an address for documentation, RFC 5737
	fail(err)
	fmt.Println("listening on", listener.Addr())
	go func() {
		connection, err := listener.Accept()
		fail(err)
		fmt.Fprint(connection, "hello")
		connection.Close()
	}()
	connection, err := net.Dial("tcp", "203.0.113.7:80")
	fail(err)
	text, err := io.ReadAll(connection)
	fail(err)
	fmt.Printf("the client read: %s\n", text)
	_, err = net.Dial("tcp", "203.0.113.7:81")
	fmt.Println("second port:", err)
}
EOF
GOOS=wasip1 GOARCH=wasm go build -o listen.wasm listen.go
seen=$(go run github.com/tetratelabs/wazero/cmd/wazero@v1.12.0 run listen.wasm)
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"
