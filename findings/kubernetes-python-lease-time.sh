#!/bin/sh
# The Python client writes a Lease that Kubernetes cannot read, whenever its time has no microseconds.
#
# Version: Python package kubernetes 37.0.2; Go module k8s.io/api 0.37.2, the types of the API server. Date: 2026-11-29, Go 1.26.8.
# Expected: a timezone-aware `datetime` in `renew_time` is written as an RFC 3339 time, and the API reads each such time.
# Seen: the client writes microseconds only if they are not zero. The API's type MicroTime needs exactly six digits, and reports an error
# for a time without them. Times of the ordinary type, such as `creationTimestamp`, may have no fraction.
# Effect: a renewal with `datetime.now` fails once in a million. One with `replace(microsecond=0)` always fails.
#
#   2026-11-29T12:00:00.000001+00:00: read
#   2026-11-29T12:00:00+00:00: parsing time "2026-11-29T12:00:00+00:00" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "+00:00" as ".000000"
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"
export GOPATH="$dir/path" GOCACHE="$dir/cache" GOFLAGS=-modcacherw

python3 -m venv python
python/bin/pip install --quiet --no-cache-dir --disable-pip-version-check kubernetes==37.0.2
go mod init example.com/lease
go get k8s.io/api/coordination/v1@v0.37.2

# `sanitize_for_serialization` is the step that each call of the client takes to write its body.
cat >write.py <<'EOF'
import json
from datetime import datetime, timezone
from kubernetes import client

for microsecond in (1, 0):
    time = datetime(2026, 11, 29, 12, 0, 0, microsecond, tzinfo=timezone.utc)
    meta = client.V1ObjectMeta(name="leader", creation_timestamp=time.replace(microsecond=0))
    lease = client.V1Lease(metadata=meta, spec=client.V1LeaseSpec(renew_time=time))
    print(json.dumps(client.ApiClient().sanitize_for_serialization(lease)))
EOF
cat >read.go <<'EOF'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	coordination "k8s.io/api/coordination/v1"
)

func main() {
	for input := json.NewDecoder(os.Stdin); input.More(); {
		var body json.RawMessage
		if err := input.Decode(&body); err != nil {
			panic(err)
		}
		var text struct{ Spec struct{ RenewTime string } }
		if err := json.Unmarshal(body, &text); err != nil {
			panic(err)
		}
		if err := json.Unmarshal(body, new(coordination.Lease)); err != nil {
			fmt.Printf("%s: %v\n", text.Spec.RenewTime, err)
		} else {
			fmt.Printf("%s: read\n", text.Spec.RenewTime)
		}
	}
}
EOF
go build -o read read.go
seen=$(python/bin/python write.py | ./read)
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"
