#!/bin/sh
# jco checks the range of an integer in a list, and wraps the same integer everywhere else.
#
# Version: jco's transpiler, npm package @bytecodealliance/jco-transpile 0.15.0. Date: 2026-11-29, Node.js 20.20.2.
# Expected: one rule for a JavaScript value that becomes a `u16`, wherever the `u16` stands: all are checked, or all wrap.
# Seen: a direct element of `list<u16>` must be an integer in range. An argument, a field of a record, and a field of a record inside a
# list are converted instead: 70000 becomes 4464, the string "x" and a missing field become 0. A missing string field is an error.
# Effect: a misspelt field name reaches the component as 0. Moving a number from a list into a record removes its check.
#
#   argument: 7 -> 7, 70000 -> 4464, -1 -> 65535, "x" -> 0, undefined -> 0
#   field: 7 -> 7, 70000 -> 4464, -1 -> 65535, "x" -> 0, undefined -> 0
#   list element: 7 -> 7, 70000 -> TypeError, -1 -> TypeError, "x" -> TypeError, undefined -> TypeError
#   field in a list: 7 -> 7, 70000 -> 4464, -1 -> 65535, "x" -> 0, undefined -> 0
#   record without its number: 0
#   record without its string: TypeError
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"

echo '{"type": "module", "private": true}' >package.json
npm install --no-audit --no-fund --loglevel=error --cache cache @bytecodealliance/jco-transpile@0.15.0 >&2

cat >run.js <<'EOF'
import { writeFileSync } from "node:fs";
import { transpileBytes } from "@bytecodealliance/jco-transpile";
import { componentEmbed, componentNew, parse } from "@bytecodealliance/jco-transpile/wasm-tools";

const witSource = `package example:numbers;
interface calls {
  record point { x: u16 }
  record label { text: string }
  argument: func(n: u16) -> u32;
  field: func(p: point) -> u32;
  element: func(l: list<u16>) -> u32;
  nested: func(l: list<point>) -> u32;
  text: func(l: label) -> u32;
}
world numbers { export calls; }`;
// Each function returns the number that it was given. Lists and strings are placed at address 1024.
const binary = await parse(`(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func $number (export "example:numbers/calls#argument") (param i32) (result i32) (local.get 0))
  (export "example:numbers/calls#field" (func $number))
  (func $first (export "example:numbers/calls#element") (param i32 i32) (result i32) (i32.load16_u (local.get 0)))
  (export "example:numbers/calls#nested" (func $first))
  (export "example:numbers/calls#text" (func $first)))`);
const component = await componentNew(await componentEmbed({ binary, witSource }));
const { files } = await transpileBytes(component, { name: "numbers" });
writeFileSync("numbers.js", files["numbers.js"]);
const { calls } = await import("./numbers.js");

const attempt = (call) => { try { return call(); } catch (error) { return error.name; } };
const values = [7, 70000, -1, "x", undefined];
const row = (call) => values.map((n) => `${JSON.stringify(n)} -> ${attempt(() => call(n))}`).join(", ");
console.log("argument:", row((n) => calls.argument(n)));
console.log("field:", row((n) => calls.field({ x: n })));
console.log("list element:", row((n) => calls.element([n])));
console.log("field in a list:", row((n) => calls.nested([{ x: n }])));
console.log("record without its number:", attempt(() => calls.field({})));
console.log("record without its string:", attempt(() => calls.text({})));
EOF
seen=$(node run.js)
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"
