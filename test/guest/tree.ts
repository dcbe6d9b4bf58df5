/** What a guest's disk holds: a tree of files, put together from parts. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** Its own text, a copy of a file or folder of this machine, a symbolic link, or an empty folder. */
export type TreeEntry =
  | { readonly text: string; readonly mode?: number }
  | { readonly copy: string }
  | { readonly link: string }
  | { readonly folder: true };

/** Absolute path in the guest → what is there. */
export type Tree = Readonly<Record<string, TreeEntry>>;

const PROJECT = resolve(import.meta.dirname, '../..');

/** Where the project lies in the guest. */
export const GUEST_PROJECT = '/opt/assay';

/** A shell script that runs. */
export const program = (text: string): TreeEntry => ({ text: `#!/bin/sh\n${text}\n`, mode: 0o755 });

/** Mount points, and busybox under each of its names. */
export function busyboxTree(): Tree {
  const folders = ['dev', 'proc', 'sys', 'run', 'tmp', 'root', 'etc', 'usr/bin', 'var/lib'];
  const applets = execFileSync('busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n');
  return {
    ...Object.fromEntries(folders.map((name) => [`/${name}`, { folder: true }] as const)),
    ...Object.fromEntries(applets.map((name) => [`/bin/${name}`, { link: '/bin/busybox' }] as const)),
    '/bin/busybox': { copy: '/bin/busybox' },
  };
}

/** The Node that runs this test, and the shared libraries that the loader names for it. */
export const nodeTree = (): Tree => programTree(process.execPath, '/usr/bin/node');

/** A program of this machine with its shared libraries. */
export function programTree(program: string, place = program): Tree {
  const libraries = execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  return {
    [place]: { copy: program },
    ...Object.fromEntries([...libraries].map(([, path = '']) => [path, { copy: path }] as const)),
  };
}

interface LockedPackage {
  readonly dev?: boolean;
  readonly link?: boolean;
}

/** Folders of the packages that the project needs when it runs: not the tools for building it, not the pinned Node. */
function runtimePackages(): string[] {
  const lock: { packages: Record<string, LockedPackage> } = JSON.parse(
    readFileSync(join(PROJECT, 'package-lock.json'), 'utf8'),
  );
  return Object.entries(lock.packages)
    .filter(([path, locked]) => path.startsWith('node_modules/') && locked.dev !== true && locked.link !== true)
    .map(([path]) => path)
    .filter((path) => !/^node_modules\/node-linux-/.test(path) && existsSync(join(PROJECT, path)));
}

/** The project's sources with what they need at run time, so that its commands run in the guest. */
export function projectTree(): Tree {
  const parts = ['package.json', 'src', 'test/guest/inside', ...runtimePackages()];
  return Object.fromEntries(parts.map((path) => [`${GUEST_PROJECT}/${path}`, { copy: join(PROJECT, path) }] as const));
}

/** Lays a tree out below `root`. */
export function layOut(tree: Tree, root: string): void {
  for (const [path, entry] of Object.entries(tree)) {
    const place = join(root, path);
    mkdirSync(dirname(place), { recursive: true });
    if ('folder' in entry) mkdirSync(place, { recursive: true });
    else if ('link' in entry) symlinkSync(entry.link, place);
    else if ('copy' in entry) cpSync(entry.copy, place, { recursive: true, dereference: true });
    else writeFileSync(place, entry.text, { mode: entry.mode ?? 0o644 });
  }
}
