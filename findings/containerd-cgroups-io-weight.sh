#!/bin/sh
# containerd's cgroups library turns the highest block I/O weight into nearly the lowest.
#
# Version: Go modules github.com/containerd/cgroups/v3 3.1.3 and github.com/opencontainers/cgroups 0.1.0. Date: 2026-11-29, Go 1.26.8, Linux.
# Expected: the weight of the OCI runtime specification, 10 to 1000, becomes a weight of control groups version 2 that never falls when
# the input rises. `io.bfq.weight` takes 1 to 1000.
# Seen: `ToResources` multiplies in 16 bits, so the product overflows from 17 on: 16 gives 61, 17 gives 5, 1000 gives 4. The library of
# runc keeps the order: it converts to the range of `io.weight`, 1 to 10000.
# Effect: in a runtime built on this library, the container with the highest weight gets a smaller share of the disk than one with 16.
#
#   weight 10: containerd 1, runc 1
#   weight 16: containerd 61, runc 61
#   weight 17: containerd 5, runc 71
#   weight 500: containerd 51, runc 4950
#   weight 1000: containerd 4, runc 10000
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"
export GOPATH="$dir/path" GOCACHE="$dir/cache" GOFLAGS=-modcacherw

cat >weight.go <<'EOF'
package main

import (
	"fmt"

	"github.com/containerd/cgroups/v3/cgroup2"
	runc "github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func main() {
	for _, weight := range []uint16{10, 16, 17, 500, 1000} {
		resources := cgroup2.ToResources(&specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: &weight}})
		expected := runc.ConvertBlkIOToIOWeightValue(weight)
		fmt.Printf("weight %d: containerd %d, runc %d\n", weight, resources.IO.BFQ.Weight, expected)
	}
}
EOF
go mod init example.com/weight
go get github.com/containerd/cgroups/v3/cgroup2@v3.1.3 github.com/opencontainers/cgroups@v0.1.0 \
    github.com/opencontainers/runtime-spec/specs-go@v1.3.0
seen=$(go run weight.go)
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"
