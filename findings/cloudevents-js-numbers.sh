#!/bin/sh
# The CloudEvents SDK for JavaScript changes a number or a boolean in data, in another way in each HTTP mode.
#
# Version: npm package cloudevents 10.0.0. Date: 2026-11-29, Node.js 20.20.2.
# Expected: the data of an event with the content type application/json is any JSON value. Both modes of the HTTP binding carry it, and
# the receiver gets the value that was sent.
# Seen: in the structured mode 0 and false are on the wire, and the receiver gets undefined. In the binary mode the wire has the same
# JSON text, and the receiver gets each number and boolean as a string.
# Effect: a counter arrives until it is zero, and a handler sees 42 or "42" by the mode of the sender. Objects arrive in both modes.
#
#   {"n":1}: structured {"n":1}, binary {"n":1}
#   42: structured 42, binary "42"
#   0: structured undefined, binary "0"
#   true: structured true, binary "true"
#   false: structured undefined, binary "false"
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"

echo '{"type": "module", "private": true}' >package.json
npm install --no-audit --no-fund --loglevel=error --cache cache cloudevents@10.0.0 >&2

cat >modes.js <<'EOF'
import { CloudEvent, HTTP } from "cloudevents";

for (const data of [{ n: 1 }, 42, 0, true, false]) {
  const event = new CloudEvent({ id: "1", source: "/a", type: "t", datacontenttype: "application/json", data });
  const read = ["structured", "binary"].map((mode) => {
    const { headers, body } = HTTP[mode](event);
    const text = typeof body === "string" ? body : JSON.stringify(body); // an HTTP client sends text
    const sent = mode === "structured" ? JSON.stringify(JSON.parse(text).data) : text;
    if (sent !== JSON.stringify(data)) throw new Error(`the wire has ${sent}`);
    return `${mode} ${JSON.stringify(HTTP.toEvent({ headers, body: text }).data)}`;
  });
  console.log(`${JSON.stringify(data)}: ${read.join(", ")}`);
}
EOF
seen=$(node modes.js)
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"
