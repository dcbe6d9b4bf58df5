/** Holds the floors of the house: a room imports only from floors below it, or along an edge named here (ARCHITECTURE.md). */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const SRC = import.meta.dirname;

/** Lowest floor first. */
const FLOORS: readonly (readonly string[])[] = [
  ['bytes'],
  ['tpm', 'sys'],
  ['evidence', 'boot', 'ima', 'evm', 'digsig', 'keys'],
  ['appraise', 'guard', 'reference', 'vtpm'],
  ['verify'],
  ['server', 'agent', 'launcher'],
  ['cli', 'web'],
];

/** Edges within one floor. */
const EDGES: readonly (readonly [from: string, to: string])[] = [
  ['ima', 'digsig'],
  ['evm', 'digsig'],
  ['evidence', 'boot'],
  ['evidence', 'ima'],
  ['guard', 'appraise'],
];

/** Packages that only one room may import: koffi is the one native package, kysely the query layer. */
const PACKAGE_ROOMS: Readonly<Record<string, string>> = { koffi: 'sys', kysely: 'server', fastify: 'server' };

const floorOf = (room: string): number => FLOORS.findIndex((floor) => floor.includes(room));

function mayImport(from: string, to: string): boolean {
  return from === to || floorOf(from) > floorOf(to) || EDGES.some(([a, b]) => a === from && b === to);
}

interface Import {
  readonly file: string;
  readonly target: string;
}

function sourceFiles(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name) && name.includes('/'))
    .map((name) => join(SRC, name));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)import\s*'([^']+)'/g;
  return [...text.matchAll(pattern)].map((match) => ({ file, target: match[1] ?? match[2] ?? match[3] ?? '' }));
}

const roomOf = (file: string): string => relative(SRC, file).split('/')[0] ?? '';
const isTest = (file: string): boolean => /\.test\.tsx?$/.test(file);

test('every folder of src is a room with a floor', () => {
  const rooms = readdirSync(SRC, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(
    rooms.map((entry) => entry.name).filter((room) => floorOf(room) < 0),
    [],
  );
});

test('a room imports only from floors below it or along a named edge', () => {
  const wrong: string[] = [];
  for (const file of sourceFiles().filter((name) => !isTest(name))) {
    for (const { target } of importsOf(file)) {
      if (!target.startsWith('.')) continue;
      const to = roomOf(resolve(dirname(file), target));
      if (!mayImport(roomOf(file), to)) wrong.push(`${relative(SRC, file)} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('a room is entered through its index', () => {
  const wrong: string[] = [];
  for (const file of sourceFiles().filter((name) => !isTest(name))) {
    for (const { target } of importsOf(file)) {
      if (!target.startsWith('.')) continue;
      const path = relative(SRC, resolve(dirname(file), target));
      const crosses = roomOf(file) !== (path.split('/')[0] ?? '');
      if (crosses && !/^[^/]+\/(?:[^/]+\/)?index\.ts$/.test(path) && !ALLOWED_DOORS.has(path)) {
        wrong.push(`${relative(SRC, file)} imports ${target}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

/** Doors beside the index: pure tables that the dashboard bundles, without the room's Node code behind them. */
const ALLOWED_DOORS = new Set(['verify/findings.ts']);

test('no file imports itself through others, for types neither', () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const follow = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      circles.push([...path.slice(path.indexOf(file)), file].map((name) => relative(SRC, name)).join(' → '));
    }
    if (done.has(file)) return;
    done.add(file);
    for (const { target } of importsOf(file)) {
      if (/^\..*\.tsx?$/.test(target)) follow(resolve(dirname(file), target), [...path, file]);
    }
  };
  for (const file of sourceFiles()) follow(file, []);
  assert.deepEqual(circles, []);
});

test('a package of one room stays in that room', () => {
  const wrong: string[] = [];
  for (const file of sourceFiles().filter((name) => !isTest(name))) {
    for (const { target } of importsOf(file)) {
      const room = PACKAGE_ROOMS[target];
      if (room !== undefined && room !== roomOf(file)) wrong.push(`${relative(SRC, file)} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});
