/** Judges a tree's directory labels: what changed while nobody watched, which entry, and how. */
import { bytesEqual, ParseError } from '../../bytes/index.ts';
import { type Keyring, parseSignature, verifySignature } from '../../digsig/index.ts';
import { appraiseEvm, type EvmResult, readEvmMetadata } from '../../evm/index.ts';
import { FileStatus } from '../../sys/index.ts';
import { FileSystemUuids } from '../evm-labeller.ts';
import { evmFaultText, faultText } from '../fault-words.ts';
import type { Problem } from '../problem.ts';
import { TreeRoot } from '../tree-run.ts';
import { contentKey, type EntryChange, explainDifference, listDifference } from './compare.ts';
import type { DirectoryEntry } from './entry.ts';
import type { FileDigests } from './file-digests.ts';
import { type DirectoryLabel, parseDirectoryLabel, signedDigest, type TreeForm, treeFormOf } from './label.ts';
import { type EntryMark, markOf } from './mark.ts';
import { sketchDifference } from './mark-sketch.ts';
import { directoryDigest, type LabelForm } from './merkle.ts';
import { metadataWords, readDirectoryMetadata, sameMetadata } from './metadata.ts';
import { type DirectoryNode, readTree } from './read-tree.ts';
import { entriesBefore } from './undo.ts';

/** What is wrong with a directory; one table of codes and their words. */
const CAUSES = {
  'missing-directory-label': 'the directory has no label',
  'malformed-directory-label': 'the label is none that can be read',
  unprotected: 'the label is neither signed nor covered by EVM: whoever changes the directory can change it too',
  'invalid-directory-signature': "the label's signature does not verify",
  'invalid-directory-evm': 'security.evm, which covers the label, does not verify',
  'other-form': "the label is of another form or algorithm than the tree's root",
  'older-version': "the label is of another version than the tree's: an older directory was put back",
  'older-tree': 'the tree is older than its keeper knows it',
  'other-root': 'the tree was labelled as another',
  'other-place': 'the label was made for another directory',
  'entry-added': 'was not there',
  'entry-deleted': 'is gone',
  'entry-renamed': 'has another name',
  'entry-moved': 'was moved to another directory',
  'entries-swapped': 'have changed places',
  'entry-type-changed': 'is of another type',
  'entry-content-changed': 'has another content',
  'inode-changed': 'entries were replaced by equal ones (other inode numbers)',
  'metadata-changed': 'the directory has another mode, owner or security attribute',
  'directory-changed': 'the entries are others; too many differ to name them',
} as const satisfies Readonly<Record<string, string>>;

export type DirectoryCause = keyof typeof CAUSES;

export const directoryCauseWords = (cause: DirectoryCause): string => CAUSES[cause];
export const directoryCauses = (): readonly DirectoryCause[] => Object.keys(CAUSES) as DirectoryCause[];

export interface BadDirectory {
  /** The entry, or the directory where it is all of it. */
  readonly path: Uint8Array;
  readonly cause: DirectoryCause;
  /** What the label says, and what is there, in words. */
  readonly expected: string;
  readonly found: string;
}

export interface AppraiseDirectoriesOptions {
  /** The files' digests, in the algorithm of the root's label. */
  readonly digests: FileDigests;
  /** Form of the root's label. */
  readonly form: LabelForm;
  /** Whether the root's label covers its directory's metadata: then each must. */
  readonly coversMetadata?: boolean;
  /** Whose signatures hold. Without it labels are compared, and are `unprotected`. */
  readonly keyring?: Keyring;
  /** Keys of EVM, and the attributes beside its own that it protects: a label among them needs no signature of its own. */
  readonly evm?: DirectoryEvm;
  /** The keeper's last version of this tree: an older one is found. */
  readonly leastVersion?: bigint;
  /** What the keeper calls the tree's top. Left out: whatever the label says. */
  readonly rootPath?: string;
  readonly namespace?: 'security' | 'user';
  readonly onBad: (bad: BadDirectory) => void;
  readonly onProblem: (problem: Problem) => void;
  /** Hears of each directory after those beneath it. Whether its label stands where it was put is known at the end. */
  readonly onDirectory?: (directory: JudgedDirectory) => void;
}

/** A directory as it was found, and what its label says of it. */
export interface JudgedDirectory {
  /** Relative to the tree's root; empty for the root. */
  readonly path: Uint8Array;
  /** As `FileStatus` names it. */
  readonly device: string;
  readonly entries: readonly DirectoryEntry[];
  /** How the entries differ from those that were labelled; undefined where no label holds, or where it cannot be told. */
  readonly changes: readonly EntryChange[] | undefined;
  /**
   * How far it is known that nothing else differs. `digest`: with the changes taken back the entries have the label's digest.
   * `marks`: by what the label lists of each entry, of its digest 48 bits. `nothing`: it is not.
   */
  readonly proof: 'digest' | 'marks' | 'nothing';
}

export interface DirectoryEvm {
  readonly hmacKey?: Uint8Array;
  readonly keyring?: Keyring;
  /** Names that the kernel's evm_xattrs holds too, in their order. */
  readonly extraXattrs: readonly string[];
}

export interface AppraisedDirectories {
  readonly directories: number;
  readonly bad: number;
  readonly problems: number;
  /** True where a label held that nothing protects. */
  readonly isUnprotected: boolean;
  /** Of the root's label; undefined where it has none that holds. */
  readonly version: bigint | undefined;
}

/** @throws {AppraiseError} `appraise.root` */
export function appraiseDirectories(tree: string, options: AppraiseDirectoriesOptions): AppraisedDirectories {
  const root = new TreeRoot(tree);
  try {
    const judge = new DirectoryJudge(options);
    readTree(root.fd, {
      form: options.form,
      digests: options.digests,
      attribute: `${options.namespace ?? 'security'}.assay.dir`,
      onDirectory: (node, fd) => judge.see(node, fd),
      onProblem: (problem) => judge.problem(problem),
    });
    return judge.finish();
  } finally {
    root.close();
  }
}

interface Moved {
  readonly path: Uint8Array;
  readonly mark: EntryMark;
}

class DirectoryJudge {
  readonly #options: AppraiseDirectoriesOptions;
  readonly #labels: { readonly path: Uint8Array; readonly label: DirectoryLabel }[] = [];
  /** The digests that they hold, by path. */
  readonly #labelled = new Map<string, Uint8Array>();
  readonly #uuids = new FileSystemUuids();
  /** Directories with something wrong of their own: what is above need not say it again. */
  readonly #isBad = new Set<string>();
  readonly #gone: Moved[] = [];
  readonly #came: Moved[] = [];
  #directories = 0;
  #bad = 0;
  #problems = 0;
  #isUnprotected = false;

  constructor(options: AppraiseDirectoriesOptions) {
    this.#options = options;
  }

  problem(problem: Problem): void {
    this.#problems += 1;
    this.#options.onProblem(problem);
  }

  see(node: DirectoryNode, fd: number): void {
    this.#directories += 1;
    const label = this.#holding(node, fd);
    if (label !== undefined) {
      this.#compareMetadata(node.path, label, fd);
      this.#labels.push({ path: node.path, label });
      this.#labelled.set(nameOf(node.path), label.digest);
    }
    const isAsLabelled = label !== undefined && bytesEqual(label.digest, node.digest);
    const changes = label === undefined ? undefined : isAsLabelled ? [] : this.#explain(node, label);
    if (this.#options.onDirectory === undefined) return;
    const { device } = new FileStatus().ofOpen(fd);
    const proof = isAsLabelled ? 'digest' : this.#proof(node, label, changes);
    this.#options.onDirectory({ path: node.path, device, entries: node.entries, changes, proof });
  }

  #proof(
    { path, entries, ino }: DirectoryNode,
    label: DirectoryLabel | undefined,
    changes: readonly EntryChange[] | undefined,
  ): JudgedDirectory['proof'] {
    if (label === undefined || changes === undefined || changes.length === 0) return 'nothing';
    const before = entriesBefore(entries, changes, (name) => this.#labelled.get(nameOf(joined(path, name))));
    if (before !== undefined) {
      const digest = directoryDigest(label.form, label.algorithm, before, ino);
      if (bytesEqual(digest, label.digest)) return 'digest';
    }
    // A sketch says what differs, as long as nobody makes entries that cancel out in it.
    return label.detail.kind === 'list' ? 'marks' : 'nothing';
  }

  /** The label, where its signature says that it may be believed. */
  #holding(node: DirectoryNode, fd: number): DirectoryLabel | undefined {
    const { keyring, form, digests, coversMetadata = false } = this.#options;
    if (node.label === undefined) {
      // That it is empty the label above says, but nothing else of it; a mount point bears none when nothing is mounted there.
      if (node.entries.length === 0 && node.path.length > 0 && !coversMetadata) return undefined;
      return this.#tell(node.path, 'missing-directory-label', 'a label', 'none');
    }
    const label = this.#parsed(node.path, node.label);
    if (label === undefined) return undefined;
    const expected = formWords({ form, algorithm: digests.algorithm, coversMetadata });
    const found = formWords(treeFormOf(label));
    if (expected !== found) return this.#tell(node.path, 'other-form', expected, found);
    const isSigned = label.signature.length > 0;
    if (isSigned && keyring !== undefined) {
      const fault = signatureFault(label, keyring);
      if (fault === undefined) return label;
      return this.#tell(node.path, 'invalid-directory-signature', 'a signature by a key of the keyring', fault);
    }
    const covered = this.#coveredByEvm(fd);
    if (covered !== undefined) return covered.status === 'pass' ? label : this.#uncovered(node.path, covered);
    if (isSigned) return label;
    this.#isUnprotected = true;
    return keyring === undefined ? label : this.#tell(node.path, 'unprotected', 'a signature', 'a bare digest');
  }

  #compareMetadata(path: Uint8Array, { metadata, algorithm }: DirectoryLabel, fd: number): void {
    if (metadata === undefined) return;
    const now = readDirectoryMetadata(fd, algorithm);
    if (!sameMetadata(metadata, now)) {
      this.#tell(path, 'metadata-changed', metadataWords(metadata), metadataWords(now));
    }
  }

  /** @returns undefined where EVM is not judged, or does not protect this attribute */
  #coveredByEvm(fd: number): EvmResult | undefined {
    const { evm, namespace = 'security' } = this.#options;
    if (evm?.extraXattrs.includes(`${namespace}.assay.dir`) !== true) return undefined;
    const { device } = new FileStatus().ofOpen(fd);
    const { extraXattrs } = evm;
    const { metadata, label: xattr } = readEvmMetadata(fd, { uuid: this.#uuids.of(fd, device), extraXattrs });
    return appraiseEvm({ xattr, metadata, ...evm });
  }

  #uncovered(path: Uint8Array, { status, fault }: EvmResult): undefined {
    return this.#tell(
      path,
      'invalid-directory-evm',
      'security.evm that covers the label',
      fault === undefined ? status : evmFaultText(fault),
    );
  }

  #parsed(path: Uint8Array, bytes: Uint8Array): DirectoryLabel | undefined {
    try {
      return parseDirectoryLabel(bytes);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return this.#tell(path, 'malformed-directory-label', 'a directory label', error.message);
    }
  }

  #explain(node: DirectoryNode, label: DirectoryLabel): EntryChange[] | undefined {
    const now = node.entries.map(markOf);
    const { detail } = label;
    const difference =
      detail.kind === 'list' ? listDifference(detail.marks, now) : sketchDifference(detail.sketch, now);
    if (difference === undefined) {
      return this.#tell(node.path, 'directory-changed', hex(label.digest), hex(node.digest));
    }
    const changes = explainDifference(difference);
    const isBound = label.form === 'bound';
    if (changes.length === 0) {
      this.#tell(node.path, isBound ? 'inode-changed' : 'directory-changed', hex(label.digest), hex(node.digest));
    }
    for (const change of changes) this.#change(node.path, change);
    return changes;
  }

  #change(folder: Uint8Array, change: EntryChange): void {
    switch (change.kind) {
      case 'added':
        this.#came.push({ path: below(folder, change.entry), mark: change.entry });
        break;
      case 'deleted':
        this.#gone.push({ path: below(folder, change.entry), mark: change.entry });
        break;
      case 'renamed':
        this.#tell(below(folder, change.now), 'entry-renamed', shown(change.before), shown(change.now));
        break;
      case 'swapped':
        this.#tell(below(folder, change.first), 'entries-swapped', shown(change.first), shown(change.second));
        break;
      case 'type-changed':
        this.#tell(below(folder, change.now), 'entry-type-changed', change.before.type, change.now.type);
        break;
      case 'content-changed':
        this.#contentChanged(below(folder, change.now), change.before, change.now);
        break;
    }
    this.#isBad.add(nameOf(folder));
  }

  /** A directory within which something is wrong was told of already, where it is wrong. */
  #contentChanged(path: Uint8Array, before: EntryMark, now: EntryMark): void {
    if (now.type === 'directory' && this.#isBad.has(nameOf(path))) return;
    this.#tell(path, 'entry-content-changed', `${before.type} ${before.tag}…`, `${now.type} ${now.tag}…`);
  }

  finish(): AppraisedDirectories {
    this.#tellMoved();
    const root = this.#labels.find(({ path }) => path.length === 0)?.label;
    if (root !== undefined) this.#checkPlaces(root);
    const { leastVersion, rootPath } = this.#options;
    if (root !== undefined && leastVersion !== undefined && root.version < leastVersion) {
      this.#tell(Buffer.alloc(0), 'older-tree', `version ${leastVersion} or later`, `version ${root.version}`);
    }
    const labelled = Buffer.from(root?.place.path ?? new Uint8Array()).toString();
    if (root !== undefined && rootPath !== undefined && labelled !== rootPath) {
      this.#tell(Buffer.alloc(0), 'other-root', rootPath, labelled);
    }
    return {
      directories: this.#directories,
      bad: this.#bad,
      problems: this.#problems,
      isUnprotected: this.#isUnprotected,
      version: root?.version,
    };
  }

  #tellMoved(): void {
    const came = Map.groupBy(this.#came.reverse(), ({ mark }) => contentKey(mark));
    for (const gone of this.#gone) {
      const found = came.get(contentKey(gone.mark))?.pop();
      if (found === undefined) this.#tell(gone.path, 'entry-deleted', gone.mark.type, 'nothing');
      else this.#tell(found.path, 'entry-moved', text(gone.path), text(found.path));
    }
    for (const { path, mark } of [...came.values()].flat().reverse())
      this.#tell(path, 'entry-added', 'nothing', mark.type);
  }

  /** Each label must be of the root's labelling, and stand where it was put. */
  #checkPlaces(root: DirectoryLabel): void {
    for (const { path, label } of this.#labels) {
      if (label.version !== root.version) {
        this.#tell(path, 'older-version', `version ${root.version}`, `version ${label.version}`);
      }
      const isRoot = path.length === 0;
      if (label.place.kind === (isRoot ? 'root' : 'below') && (isRoot || bytesEqual(label.place.path, path))) continue;
      this.#tell(path, 'other-place', `the label of ${text(path) || 'the root'}`, `that of ${text(label.place.path)}`);
    }
  }

  #tell(path: Uint8Array, cause: DirectoryCause, expected: string, found: string): undefined {
    this.#bad += 1;
    this.#isBad.add(nameOf(path));
    this.#options.onBad({ path, cause, expected, found });
  }
}

const formWords = ({ form, algorithm, coversMetadata }: TreeForm): string =>
  `${form}, ${algorithm}${coversMetadata ? ', with metadata' : ''}`;

function signatureFault(label: DirectoryLabel, keyring: Keyring): string | undefined {
  try {
    const header = parseSignature(label.signature);
    if (header.version !== 2) return `a signature of format ${header.version}`;
    const { algorithm } = label;
    const verdict = verifySignature(keyring, header, { algorithm, digest: signedDigest(label), type: 0 });
    return verdict.valid ? undefined : faultText(verdict.fault);
  } catch (error) {
    if (error instanceof ParseError) return error.message;
    throw error;
  }
}

const nameOf = (path: Uint8Array): string => Buffer.from(path).toString('latin1');
const text = (path: Uint8Array): string => Buffer.from(path).toString();
const hex = (digest: Uint8Array): string => Buffer.from(digest).toString('hex');
const shown = ({ name, isWhole }: EntryMark): string => `${text(name)}${isWhole ? '' : '…'}`;

const below = (folder: Uint8Array, { name, isWhole }: EntryMark): Buffer =>
  joined(folder, isWhole ? name : Buffer.concat([name, Buffer.from('…')]));

function joined(folder: Uint8Array, name: Uint8Array): Buffer {
  return folder.length === 0 ? Buffer.from(name) : Buffer.concat([folder, Buffer.from('/'), name]);
}
