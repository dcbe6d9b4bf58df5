/** Trees whose directory labels are judged with each access. */
import {
  type BadDirectory,
  directoryKeys,
  type JudgeKeys,
  type Problem,
  type VouchedTree,
} from '../../appraise/index.ts';
import { GuardError } from '../error.ts';
import type { GuardFault, TreePlaces } from '../messages.ts';

export interface GuardedTree {
  /** Absolute, and what the tree's labels call it. */
  readonly path: string;
  /** The tree's version that its keeper knows: an older one is not believed. */
  readonly leastVersion?: bigint;
}

/** What was found when a tree's labels were read. */
export interface TreeStatus {
  readonly path: string;
  /** Of its labels; undefined where its top has none that holds: everything in it is refused. */
  readonly version: string | undefined;
  readonly directories: number;
  readonly files: number;
  /** Files that the labels do not vouch for as they are. */
  readonly refused: number;
  /** What differs, the first ones. */
  readonly bad: readonly {
    readonly path: string;
    readonly cause: string;
    readonly expected: string;
    readonly found: string;
  }[];
}

export interface ReadTree {
  readonly places: TreePlaces;
  readonly status: TreeStatus;
}

/** Differences that are kept to be shown. */
const MAX_SHOWN = 20;

/** @throws {GuardError} `guard.option` @throws {DigsigError} */
export function checkTrees(trees: readonly GuardedTree[], keys: JudgeKeys): void {
  if (trees.length === 0 || Object.keys(directoryKeys(keys)).length > 0) return;
  throw new GuardError('guard.option', 'directory labels are judged by keys, and none is given', {
    advice:
      'name the certificate of who signed them with --key or --keyring; or the EVM key, with --evm-xattr security.assay.dir',
  });
}

/** @param root absolute, links followed */
export function placesOf(path: string, root: string, tree: VouchedTree): ReadTree {
  const paths = new Map<string, number>();
  const contents: { digest: Uint8Array; isProven: boolean }[] = [];
  const faults: GuardFault[] = [];
  const known = new Map<string, number>();
  for (const file of tree.files) {
    const name = Buffer.from(file.path).toString('latin1');
    if ('fault' in file) {
      faults.push({ op: 'appraise_data', ...file.fault });
      paths.set(name, -faults.length);
      continue;
    }
    const { digest, isProven } = file;
    const content = `${isProven} ${Buffer.from(digest).toString('latin1')}`;
    const index = known.get(content) ?? contents.push({ digest: Uint8Array.from(digest), isProven }) - 1;
    known.set(content, index);
    paths.set(name, index);
  }
  const devices = tree.devices.map((device) => {
    const [major = 0, minor = 0] = device.split(':').map(Number);
    return major * 2 ** 20 + minor;
  });
  return {
    places: { root: Buffer.from(root).toString('latin1'), devices, algorithm: tree.algorithm, paths, contents, faults },
    status: {
      path,
      version: tree.version?.toString(),
      directories: tree.directories,
      files: tree.files.length,
      refused: faults.length,
      bad: [...tree.problems.map(unread), ...tree.bad.map(shown)].slice(0, MAX_SHOWN),
    },
  };
}

const shown = ({ path, ...words }: BadDirectory): TreeStatus['bad'][number] => ({
  path: Buffer.from(path).toString(),
  ...words,
});

const unread = ({ path, code }: Problem): TreeStatus['bad'][number] => ({
  path: Buffer.from(path).toString(),
  cause: 'unread',
  expected: 'what can be read',
  found: code,
});
