#!/bin/sh
# wasmtime treats exit statuses from 126 as a fault of the program; Node.js returns them.
#
# Version: Python package wasmtime 50.0.1; the module node:wasi of Node.js 20.20.2. Date: 2026-11-29, Linux on x86-64.
# Expected: `proc_exit` of preview 1 takes a u32 and leaves its meaning to the environment. Unix programs exit with 126, 127, 130 or 255,
# so an engine returns at least 0 to 255.
# Seen: wasmtime returns 0 to 125. From 126 on the caller gets an error like that of a trap, without the status. Node.js returns each.
# Effect: "command not found" (127), an end by signal (130) and ssh's 255 look like a crash of the module.
#
#   125: wasmtime status 125; node status 125
#   126: wasmtime WasmtimeError: exit with invalid exit status outside of [0..126); node status 126
#   130: wasmtime WasmtimeError: exit with invalid exit status outside of [0..126); node status 130
#   255: wasmtime WasmtimeError: exit with invalid exit status outside of [0..126); node status 255
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"

python3 -m venv python
python/bin/pip install --quiet --no-cache-dir --disable-pip-version-check wasmtime==50.0.1

cat >node.mjs <<'EOF'
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const wasi = new WASI({ version: "preview1", returnOnExit: true });
const { instance } = await WebAssembly.instantiate(readFileSync("exit.wasm"), wasi.getImportObject());
console.log("node status", wasi.start(instance));
EOF
cat >wasmtime_status.py <<'EOF'
import subprocess
import wasmtime

for status in (125, 126, 130, 255):
    module = wasmtime.wat2wasm(f"""(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start") (call $exit (i32.const {status}))))""")
    with open("exit.wasm", "wb") as file:
        file.write(module)
    linker = wasmtime.Linker(wasmtime.Engine())
    linker.define_wasi()
    store = wasmtime.Store(linker.engine)
    store.set_wasi(wasmtime.WasiConfig())
    start = linker.instantiate(store, wasmtime.Module(linker.engine, module)).exports(store)["_start"]
    try:
        start(store)
    except wasmtime.ExitTrap as trap:
        result = f"status {trap.code}"
    except wasmtime.WasmtimeError as error:
        result = f"WasmtimeError: {str(error).strip().splitlines()[-1].strip()}"
    node = subprocess.run(["node", "--no-warnings", "node.mjs"], check=True, capture_output=True, text=True)
    print(f"{status}: wasmtime {result}; {node.stdout.strip()}")
EOF
seen=$(python/bin/python wasmtime_status.py)
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"
