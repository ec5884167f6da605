// Builds function.js: node build.mjs WIT-FOLDER OUTPUT

import { readFile, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [witPath, output] = process.argv.slice(2);
const source = await readFile(new URL('function.js', import.meta.url), 'utf8');
const { component } = await componentize(source, { witPath, worldName: 'function' });
await writeFile(output, component);
