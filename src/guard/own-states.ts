/**
 * The files that the guard itself runs from: they are allowed at once, whatever the policy says of them, as long as they
 * are as they were when the guard started. To ask would be to wait for oneself; and a guard whose own program is not to
 * be trusted vouches for nothing anyway. Who runs `assay guard stop` needs them, too.
 */

import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FileStatus } from '../sys/index.ts';
import { stateText, wordsOf } from './decision/file-table.ts';

/**
 * What starts a guard again where its watchdog refuses everything else: the service's first program, what systemd (from 254 on)
 * executes for it, and the script `bin/assay` with the programs that it asks.
 */
const STARTERS = [
  '/usr/bin/env',
  '/usr/lib/systemd/systemd-executor',
  '/lib/systemd/systemd-executor',
  '/bin/sh',
  '/usr/bin/readlink',
  '/usr/bin/dirname',
];

/** @returns `stateText` of each */
export const ownStates = (): string[] => [...new Set(ownFiles())].flatMap((path) => stateOf(path) ?? []);

/** @returns `stateText`; undefined for what cannot be opened */
export function stateOf(path: string): string | undefined {
  const fd = tryOpen(path);
  if (fd === undefined) return undefined;
  try {
    return stateText(wordsOf(new FileStatus().ofOpen(fd)));
  } finally {
    closeSync(fd);
  }
}

function ownFiles(): string[] {
  const sources = dirname(import.meta.dirname);
  const home = dirname(sources);
  const bin = join(home, 'bin');
  // Node looks there what kind of modules these are.
  const kind = join(home, 'package.json');
  return [
    process.execPath,
    kind,
    ...STARTERS,
    ...mappedFiles(),
    ...filesBelow(sources),
    ...filesBelow(bin),
    ...packageFiles(home),
  ];
}

/** The loader, the libraries and the native module. */
function mappedFiles(): string[] {
  const maps = readFileSync('/proc/self/maps', 'latin1');
  return [...maps.matchAll(/^\S+ \S+ \S+ \S+ [1-9]\d* +(\/.+)$/gm)].flatMap(([, path]) => path ?? []);
}

/** Of every package that a command may load, theirs included. @param home Assay's own package */
function packageFiles(home: string): string[] {
  const found = new Set<string>();
  const look = (folder: string): void => {
    for (const name of dependenciesOf(folder)) {
      const place = nearest(folder, name);
      if (place === undefined || found.has(place)) continue;
      found.add(place);
      look(place);
    }
  };
  look(home);
  return [...found].flatMap(filesBelow);
}

function dependenciesOf(folder: string): string[] {
  try {
    const { dependencies = {}, optionalDependencies = {} }: PackageDependencies = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    );
    return Object.keys({ ...dependencies, ...optionalDependencies });
  } catch {
    return [];
  }
}

interface PackageDependencies {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Where Node finds a package that is asked for in this folder; undefined for an optional one that is not there. */
function nearest(folder: string, name: string): string | undefined {
  for (let above = folder; ; above = dirname(above)) {
    const place = join(above, 'node_modules', name);
    if (existsSync(join(place, 'package.json'))) return place;
    if (above === dirname(above)) return undefined;
  }
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
