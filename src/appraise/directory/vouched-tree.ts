/** What a tree's directory labels vouch for, file by file: who looks at one file of it later compares with this. */
import { type DigestAlgorithm, ParseError } from '../../bytes/index.ts';
import type { Problem } from '../problem.ts';
import type { JudgeKeys } from '../task.ts';
import {
  appraiseDirectories,
  type BadDirectory,
  type DirectoryCause,
  type JudgedDirectory,
} from './appraise-directories.ts';
import type { EntryChange } from './compare.ts';
import { directoryKeys } from './directory-keys.ts';
import type { DirectoryEntry } from './entry.ts';
import { FileDigests } from './file-digests.ts';
import { type TreeForm, UNKNOWN_TREE } from './label.ts';
import { rootFormOf } from './label-directories.ts';
import type { EntryMark } from './mark.ts';

/** Why a path is not vouched for. */
export type VouchedFault = Omit<BadDirectory, 'path'>;

export type VouchedFile = {
  /** Relative to the tree's root. */
  readonly path: Uint8Array;
} & (
  | {
      readonly digest: Uint8Array;
      /** False where only what the label lists of it says so, 48 bits of the digest: enough for a file that is signed itself. */
      readonly isProven: boolean;
    }
  | { readonly fault: VouchedFault }
);

export interface VouchedTree {
  readonly algorithm: DigestAlgorithm;
  /** Of the root's label; undefined where it does not hold, and nothing is vouched for. */
  readonly version: bigint | undefined;
  /** File systems that the tree is on, as `FileStatus` names them. */
  readonly devices: readonly string[];
  readonly directories: number;
  /** Every regular file that is there. */
  readonly files: readonly VouchedFile[];
  readonly bad: readonly BadDirectory[];
  /** What could not be read. The directories above it are missing, and with the topmost the tree's label. */
  readonly problems: readonly Problem[];
}

export interface VouchedTreeOptions {
  readonly keys: JudgeKeys;
  /** See `AppraiseDirectoriesOptions`. */
  readonly leastVersion?: bigint;
  readonly rootPath?: string;
}

/**
 * Reads the whole tree: each file's content once.
 * @throws {AppraiseError} `appraise.root` @throws {DigsigError} for keys that cannot be read
 */
export function readVouchedTree(tree: string, { keys, leastVersion, rootPath }: VouchedTreeOptions): VouchedTree {
  const { algorithm, form, coversMetadata } = rootForm(tree);
  const directories: JudgedDirectory[] = [];
  const bad: BadDirectory[] = [];
  const problems: Problem[] = [];
  const { version } = appraiseDirectories(tree, {
    digests: new FileDigests(algorithm),
    form,
    coversMetadata,
    ...directoryKeys(keys),
    ...(leastVersion === undefined ? {} : { leastVersion }),
    ...(rootPath === undefined ? {} : { rootPath }),
    onBad: (one) => bad.push(one),
    onProblem: (problem) => problems.push(problem),
    onDirectory: (directory) => directories.push(directory),
  });
  const faults = new Map(bad.map((one) => [key(one.path), one]));
  // Without the root's label nobody knows which labels are of its labelling: see `older-version`.
  const ofRoot = faults.get('');
  const isRootBad = version === undefined || (ofRoot !== undefined && ROOT_CAUSES.has(ofRoot.cause));
  const ofAll = isRootBad ? (ofRoot ?? unread(problems)) : undefined;
  return {
    algorithm,
    version: isRootBad ? undefined : version,
    devices: [...new Set(directories.map(({ device }) => device))],
    directories: directories.length,
    files: directories.flatMap((directory) => filesOf(directory, faults, ofAll)),
    bad,
    problems,
  };
}

/** What is wrong with the whole tree where it is said of the root. */
const ROOT_CAUSES: ReadonlySet<DirectoryCause> = new Set(['older-tree', 'other-root', 'other-place']);

function unread([problem]: readonly Problem[]): VouchedFault {
  const found = problem === undefined ? 'none' : `${problem.code}: ${Buffer.from(problem.path).toString()}`;
  return { cause: 'missing-directory-label', expected: 'a tree that can be read', found };
}

function rootForm(tree: string): TreeForm {
  try {
    return rootFormOf(tree) ?? UNKNOWN_TREE;
  } catch (error) {
    if (error instanceof ParseError) return UNKNOWN_TREE;
    throw error;
  }
}

function filesOf(
  directory: JudgedDirectory,
  faults: ReadonlyMap<string, BadDirectory>,
  ofAll: VouchedFault | undefined,
): VouchedFile[] {
  const { path: folder, entries, proof } = directory;
  const ofDirectory = ofAll ?? faults.get(key(folder));
  const ofOthers = proof === 'nothing' ? CHANGED : undefined;
  const changed = changedNames(directory);
  return entries
    .filter(({ type }) => type === 'file')
    .map(({ name, digest }) => {
      const path = folder.length === 0 ? name : Buffer.concat([folder, Buffer.from('/'), name]);
      const change = changed.get(key(name));
      const ofName = change === undefined ? undefined : (moved(faults.get(key(path))) ?? change);
      const fault = ofDirectory ?? ofName ?? ofOthers;
      return fault === undefined ? { path, digest, isProven: proof === 'digest' } : { path, fault };
    });
}

const CHANGED: VouchedFault = {
  cause: 'directory-changed',
  expected: 'the entries that were labelled',
  found: 'others, of which it cannot be told which',
};

/** Where an entry that was not there came from is known when the whole tree has been read. */
const moved = (bad: BadDirectory | undefined): BadDirectory | undefined =>
  bad?.cause === 'entry-moved' ? bad : undefined;

/** What became of each name that differs. Names that are there now are known whole. */
function changedNames({ changes = [], entries }: JudgedDirectory): Map<string, VouchedFault> {
  const faults = new Map<string, VouchedFault>();
  for (const change of changes) for (const [name, fault] of faultsOf(change, entries)) faults.set(key(name), fault);
  return faults;
}

function faultsOf(change: EntryChange, entries: readonly DirectoryEntry[]): [name: Uint8Array, VouchedFault][] {
  switch (change.kind) {
    case 'deleted':
      return [];
    case 'added':
      return [[change.entry.name, { cause: 'entry-added', expected: 'nothing', found: change.entry.type }]];
    case 'renamed':
      return [[change.now.name, { cause: 'entry-renamed', expected: text(change.before), found: text(change.now) }]];
    case 'swapped': {
      const { first, second } = change;
      // Of a long name only the beginning may be known: what begins so is not believed either.
      return [
        ...entries.filter(beginsLike(first)).map(swappedWith(first, second)),
        ...entries.filter(beginsLike(second)).map(swappedWith(second, first)),
      ];
    }
    case 'type-changed':
      return [[change.now.name, { cause: 'entry-type-changed', expected: change.before.type, found: change.now.type }]];
    case 'content-changed':
      return [
        [change.now.name, { cause: 'entry-content-changed', expected: shown(change.before), found: shown(change.now) }],
      ];
  }
}

type Named = Pick<DirectoryEntry, 'name'>;

const beginsLike =
  ({ name, isWhole }: EntryMark) =>
  (entry: DirectoryEntry): boolean =>
    isWhole ? key(entry.name) === key(name) : key(entry.name).startsWith(key(name));

const swappedWith =
  (own: Named, other: Named) =>
  (entry: DirectoryEntry): [Uint8Array, VouchedFault] => [
    entry.name,
    { cause: 'entries-swapped', expected: text(own), found: text(other) },
  ];

const key = (path: Uint8Array): string => Buffer.from(path).toString('latin1');
const text = ({ name }: Named): string => Buffer.from(name).toString();
const shown = ({ type, tag }: { readonly type: string; readonly tag: string }): string => `${type} ${tag}…`;
