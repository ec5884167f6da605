#!/bin/sh
# componentize-py makes another component from the same source in each build.
#
# Version: componentize-py 0.25.1. Date: 2026-11-29, Python 3.11, Linux on x86-64.
# Expected: source, interface, tool and machine are the same, the program reads neither clock nor random numbers, and the variables for
# reproducible builds are set. So both builds give the same bytes.
# Seen: all builds differ, by kilobytes in their sizes too. Four builds had 18348606, 18345314, 18329448 and 18335725 bytes. The tool
# runs the interpreter once and keeps its memory. One cause: `hash("a")` of Python is constant in one component and another in the next
# build, so the hash seed of that run is inside, and PYTHONHASHSEED does not reach that interpreter.
# Effect: a digest of a Python component does not identify its source. Each rebuild is a new layer to push, pull and compile.
#
#   two builds of one source: different bytes
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"

python3 -m venv python
python/bin/pip install --quiet --no-cache-dir --disable-pip-version-check componentize-py==0.25.1

cat >world.wit <<'EOF'
package example:sum;
world sum { export next: func(n: u32) -> u32; }
EOF
cat >app.py <<'EOF'
import wit_world

class WitWorld(wit_world.WitWorld):
    def next(self, n: int) -> int:
        return n + 1
EOF
export PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=0
for build in first second; do
    python/bin/componentize-py --quiet -d world.wit -w sum componentize app -o "$build.wasm"
done
wc -c first.wasm second.wasm >&2
if cmp -s first.wasm second.wasm; then bytes=same; else bytes=different; fi
seen="two builds of one source: $bytes bytes"
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"
