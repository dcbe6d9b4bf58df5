/** What directory labels say may be found at a path: names are judged with what stands under them. */
import { toHex } from '../../bytes/index.ts';
import type { FileStatus } from '../../sys/index.ts';
import type { ExpectedContent, GuardFault, TreePlaces } from '../messages.ts';
import { nameOfOpen } from '../open-path.ts';
import { deviceKey, wordsOf } from './file-table.ts';

/** Where an access leads, within a tree whose directories are labelled. */
export class Place {
  /** From 1, and the same for equal contents: what was found of a file under one name holds under another. */
  readonly id: number;
  readonly expected: ExpectedContent;

  constructor(id: number, expected: ExpectedContent) {
    this.id = id;
    this.expected = expected;
  }

  /**
   * @param content see `FileTable.content`
   * @returns undefined where the file has to be read
   */
  verdict(content: number, isSigned: boolean): 'good' | GuardFault | undefined {
    if ('fault' in this.expected) return this.expected.fault;
    if (content === this.id) return 'good';
    if (content !== -this.id) return undefined;
    return this.expected.isProven || isSigned ? changedFault(this.expected) : UNPROVEN;
  }
}

/** Nothing is vouched for that was not there when the labels were read. */
const CAME: GuardFault = {
  op: 'appraise_data',
  cause: 'entry-added',
  expected: 'nothing',
  found: 'a file that came after the directory labels were read',
};

/** Where the directory's digest cannot be shown to be right, only who signed the file vouches for it. */
const UNPROVEN: GuardFault = {
  op: 'appraise_data',
  cause: 'directory-changed',
  expected: 'a signed file',
  found: 'one that only the changed directory vouches for',
};

/** @param found in the algorithm of what was expected; undefined where it was not computed */
function changedFault(
  { algorithm, digest }: Exclude<ExpectedContent, { fault: unknown }>,
  found?: Uint8Array,
): GuardFault {
  return {
    op: 'appraise_data',
    cause: 'entry-content-changed',
    expected: `${algorithm}:${toHex(digest)}`,
    found: found === undefined ? 'another content' : `${algorithm}:${toHex(found)}`,
  };
}

/**
 * Whether a file is what was expected where it was opened.
 * @param digest of its content in an algorithm; asked for only where it counts
 * @param isSigned its label is a signature, which holds
 */
export function judgePlace(
  expected: ExpectedContent,
  digest: (algorithm: Exclude<ExpectedContent, { fault: unknown }>['algorithm']) => Uint8Array,
  isSigned: boolean,
): 'good' | GuardFault {
  if ('fault' in expected) return expected.fault;
  if (!expected.isProven && !isSigned) return UNPROVEN;
  const found = digest(expected.algorithm);
  return Buffer.compare(found, expected.digest) === 0 ? 'good' : changedFault(expected, found);
}

interface Tree {
  /** With a slash behind it. */
  readonly above: string;
  readonly devices: ReadonlySet<number>;
  readonly paths: ReadonlyMap<string, number>;
  readonly contents: readonly Place[];
  readonly faults: readonly Place[];
}

export class Places {
  readonly #trees: readonly Tree[];
  readonly #came: Place;

  constructor(trees: readonly TreePlaces[]) {
    let id = 1;
    this.#came = new Place(id++, { fault: CAME });
    // A tree within another one has labels of its own; the inner one is asked.
    const inner = trees.toSorted((a, b) => b.root.length - a.root.length);
    this.#trees = inner.map(({ root, devices, algorithm, paths, contents, faults }) => ({
      above: root === '/' ? root : `${root}/`,
      devices: new Set(devices),
      paths,
      contents: contents.map((content) => new Place(id++, { algorithm, ...content })),
      faults: faults.map((fault) => new Place(id++, { fault })),
    }));
  }

  /** @returns undefined for what is in no labelled tree */
  of(fd: number, status: FileStatus): Place | undefined {
    if (this.#trees.length === 0) return undefined;
    const path = nameOfOpen(fd, status);
    const tree = this.#trees.find(({ above }) => path.startsWith(above));
    // What is mounted upon the tree is none of it.
    if (tree === undefined || !tree.devices.has(deviceKey(wordsOf(status)))) return undefined;
    const index = tree.paths.get(path.slice(tree.above.length));
    if (index === undefined) return this.#came;
    return index < 0 ? tree.faults[-1 - index] : tree.contents[index];
  }
}
