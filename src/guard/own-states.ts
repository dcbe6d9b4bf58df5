/**
 * The files that the guard itself runs from: they are allowed at once, whatever the policy says of them, as long as they
 * are as they were when the guard started. To ask would be to wait for oneself; and a guard whose own program is not to
 * be trusted vouches for nothing anyway. Who runs `assay guard stop` needs them, too.
 */

import { closeSync, constants, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { FileStatus } from '../sys/index.ts';
import { stateText, wordsOf } from './decision/file-table.ts';

/** What a command of the guard loads beside Assay's own files. */
const PACKAGES = ['commander', 'koffi'];

/** `bin/assay` is a script of the shell. */
const SHELL = '/bin/sh';

/** @returns `stateText` of each */
export function ownStates(): string[] {
  const status = new FileStatus();
  return [...new Set(ownFiles())].flatMap((path) => {
    const fd = tryOpen(path);
    if (fd === undefined) return [];
    try {
      return [stateText(wordsOf(status.ofOpen(fd)))];
    } finally {
      closeSync(fd);
    }
  });
}

function ownFiles(): string[] {
  const sources = dirname(import.meta.dirname);
  const bin = join(dirname(sources), 'bin');
  return [process.execPath, SHELL, ...mappedFiles(), ...filesBelow(sources), ...filesBelow(bin), ...packageFiles()];
}

/** The loader, the libraries and the native module. */
function mappedFiles(): string[] {
  const maps = readFileSync('/proc/self/maps', 'latin1');
  return [...maps.matchAll(/^\S+ \S+ \S+ \S+ [1-9]\d* +(\/.+)$/gm)].flatMap(([, path]) => path ?? []);
}

function packageFiles(): string[] {
  const require = createRequire(import.meta.url);
  return PACKAGES.flatMap((name) => {
    const entry = require.resolve(name);
    const root = entry.slice(0, entry.lastIndexOf(`/node_modules/${name}/`) + `/node_modules/${name}`.length);
    return filesBelow(root);
  });
}

function filesBelow(folder: string): string[] {
  try {
    if (!statSync(folder).isDirectory()) return [];
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return []; // installed without
  }
}

function tryOpen(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined; // a mapping whose file is gone
  }
}
