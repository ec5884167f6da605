// Builds both scripts: node build.mjs WIT-FOLDER OUTPUT-FOLDER

import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { componentize } from '@bytecodealliance/componentize-js';

// The engine exports its handler of `fetch` events under this version of WASI only.
const VERSION_OF_EVENTS = '0.2.10';

const [interfaces, output] = process.argv.slice(2);

async function build(script, witPath, component) {
  const source = await readFile(new URL(script, import.meta.url), 'utf8');
  const built = await componentize(source, { witPath, worldName: 'function' });
  await writeFile(join(output, component), built.component);
}

// Copies the interfaces, all of them with one version.
async function withVersion(version, from, to) {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      await withVersion(version, source, target);
    } else {
      const text = await readFile(source, 'utf8');
      await writeFile(target, text.replaceAll(/\b0\.2\.\d+\b/g, version));
    }
  }
}

const interfacesOfEvents = join(output, 'wit-of-events');
await withVersion(VERSION_OF_EVENTS, interfaces, interfacesOfEvents);
await build('function.js', interfaces, 'javascript.wasm');
await build('event.js', interfacesOfEvents, 'javascript-event.wasm');
