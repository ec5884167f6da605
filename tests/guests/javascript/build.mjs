// Builds both scripts: node build.mjs WIT-FOLDER OUTPUT-FOLDER

import { cp, readFile, readdir, writeFile } from 'node:fs/promises';
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

const interfacesOfEvents = join(output, 'wit-of-events');
await cp(interfaces, interfacesOfEvents, { recursive: true });
for (const name of await readdir(interfacesOfEvents, { recursive: true })) {
  if (name.endsWith('.wit')) {
    const file = join(interfacesOfEvents, name);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replaceAll(/\b0\.2\.\d+\b/g, VERSION_OF_EVENTS));
  }
}
await build('function.js', interfaces, 'javascript.wasm');
await build('event.js', interfacesOfEvents, 'javascript-event.wasm');
