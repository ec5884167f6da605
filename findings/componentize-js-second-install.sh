#!/bin/sh
# A second `npm install` of componentize-js removes a package that componentize-js imports.
#
# Version: @bytecodealliance/componentize-js 0.23.0 with @bytecodealliance/jco 1.35.0, npm 11.19.1, Node.js 20.20.2. Date: 2026-11-30, Linux
# on x86-64.
# Expected: the first install is complete, the second finds nothing to do, and a component can be built after both.
# Seen: componentize-js imports preview2-shim, but declares it for its own development only. The first install sets one at the top of
# node_modules, because a dependency of jco names that version as an optional peer. The second install removes it as extraneous: jco and
# jco-transpile have copies of their own, of another version, below themselves. From then on the import fails.
# Effect: a build works in a new folder and fails in a kept one, for example in a CI cache. Declare preview2-shim beside componentize-js.
#
#   after the first install: a component
#   after the second install: ERR_MODULE_NOT_FOUND
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"

cat >package.json <<'EOJ'
{
  "name": "second-install",
  "private": true,
  "type": "module",
  "dependencies": { "@bytecodealliance/componentize-js": "0.23.0" },
  "overrides": { "@bytecodealliance/jco": "1.35.0" }
}
EOJ
cat >world.wit <<'EOJ'
package example:sum;
world sum { export next: func(n: u32) -> u32; }
EOJ
cat >build.mjs <<'EOJ'
try {
  const { componentize } = await import('@bytecodealliance/componentize-js');
  const { component } = await componentize('export const next = (n) => n + 1;', { witPath: 'world.wit', worldName: 'sum' });
  console.log(component.length > 8 ? 'a component' : 'nothing');
} catch (error) {
  console.log(error.code ?? error);
}
EOJ
for install in first second; do
    npm install --no-audit --no-fund >&2
    echo "after the $install install: $(node build.mjs)"
done >seen
seen=$(cat seen)
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"
