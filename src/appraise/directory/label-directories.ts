/** Labels every directory of a tree: `security.assay.dir`. */
import { openSigner, type Signer, type SignerSource, signDigest } from '../../digsig/index.ts';
import { FileStatus, fgetXattr } from '../../sys/index.ts';
import { AppraiseError } from '../error.ts';
import { EvmLabeller } from '../evm-labeller.ts';
import { type Problem, problemOf } from '../problem.ts';
import { type NewAttribute, setAttributes } from '../set-attributes.ts';
import type { EvmLabelling } from '../task.ts';
import { TreeRoot } from '../tree-run.ts';
import type { FileDigests } from './file-digests.ts';
import {
  type DirectoryLabel,
  detailOf,
  encodeDirectoryLabel,
  parseDirectoryLabel,
  signedDigest,
  type TreeForm,
  treeFormOf,
} from './label.ts';
import { markOf } from './mark.ts';
import type { LabelForm } from './merkle.ts';
import { readDirectoryMetadata } from './metadata.ts';
import { type DirectoryNode, readTree } from './read-tree.ts';

export interface LabelDirectoriesOptions {
  /** The files' digests; its algorithm is that of the labels. */
  readonly digests: FileDigests;
  readonly form?: LabelForm;
  /** Cover mode, owner and security attributes of each directory too. */
  readonly metadata?: boolean;
  /** Left out: the labels are bare, and every appraisal says `unprotected`. */
  readonly signer?: SignerSource;
  /** Writes `security.evm` over the label, for a kernel whose evm_xattrs holds the label's attribute. */
  readonly evm?: EvmLabelling;
  /** What the keeper calls the tree's top: where it will be mounted. Left out: where it lies now. */
  readonly rootPath?: string;
  /** Left out: seconds since the epoch, or one more than the root's label says, whichever is larger. */
  readonly version?: bigint;
  /** Seconds since the epoch. */
  readonly now: number;
  readonly namespace?: 'security' | 'user';
  readonly dryRun?: boolean;
  readonly onProblem: (problem: Problem) => void;
}

export interface LabelledDirectories {
  readonly directories: number;
  readonly problems: number;
  /** What the keeper notes down; undefined where something beneath could not be read. */
  readonly root: { readonly digest: Uint8Array; readonly version: bigint; readonly path: string } | undefined;
}

/** @throws {AppraiseError} root, version; {@link DigsigError} for the key */
export function labelDirectories(tree: string, options: LabelDirectoriesOptions): LabelledDirectories {
  const signer = options.signer === undefined ? undefined : openSigner(options.signer);
  const root = new TreeRoot(tree);
  try {
    if (root.only !== undefined) {
      throw new AppraiseError('appraise.option', `${tree}: a file has no directory label`, { advice: 'name a folder' });
    }
    return new DirectoryLabeller(root, options, signer).run();
  } finally {
    root.close();
  }
}

class DirectoryLabeller {
  readonly #root: TreeRoot;
  readonly #options: LabelDirectoriesOptions;
  readonly #signer: Signer | undefined;
  readonly #evm: EvmLabeller | undefined;
  readonly #attribute: string;
  readonly #version: bigint;
  readonly #rootPath: string;
  #directories = 0;
  #problems = 0;
  #top: LabelledDirectories['root'];

  constructor(root: TreeRoot, options: LabelDirectoriesOptions, signer: Signer | undefined) {
    this.#root = root;
    this.#options = options;
    this.#signer = signer;
    this.#evm = evmLabellerOf(options);
    this.#attribute = `${options.namespace ?? 'security'}.assay.dir`;
    this.#version = options.version ?? nextVersion(fgetXattr(root.fd, this.#attribute), options.now);
    this.#rootPath = options.rootPath ?? root.path;
  }

  run(): LabelledDirectories {
    const { digests, form = 'portable' } = this.#options;
    readTree(this.#root.fd, {
      form,
      digests,
      attribute: this.#attribute,
      onDirectory: (node, fd) => this.#label(node, fd),
      onProblem: (problem) => this.#tell(problem),
    });
    return { directories: this.#directories, problems: this.#problems, root: this.#top };
  }

  #label(node: DirectoryNode, fd: number): void {
    try {
      this.#write(fd, Buffer.from(encodeDirectoryLabel(this.#labelOf(node, fd))));
      this.#directories += 1;
      if (node.path.length > 0) return;
      this.#top = { digest: node.digest, version: this.#version, path: this.#rootPath };
    } catch (error) {
      this.#tell({ path: node.path, ...problemOf(error) });
    }
  }

  #write(fd: number, value: Buffer): void {
    const label: NewAttribute = { name: this.#attribute, value, before: fgetXattr(fd, this.#attribute) };
    const evm = this.#evm?.make(fd, new FileStatus().ofOpen(fd).device, label);
    if (this.#options.dryRun !== true) setAttributes(fd, evm === undefined ? [label] : [label, evm]);
  }

  #labelOf(node: DirectoryNode, fd: number): DirectoryLabel {
    const { digests, form = 'portable', metadata = false } = this.#options;
    const isRoot = node.path.length === 0;
    const label: DirectoryLabel = {
      form,
      algorithm: digests.algorithm,
      digest: node.digest,
      ...(metadata ? { metadata: readDirectoryMetadata(fd, digests.algorithm) } : {}),
      version: this.#version,
      place: { kind: isRoot ? 'root' : 'below', path: isRoot ? Buffer.from(this.#rootPath) : node.path },
      detail: detailOf(node.entries.map(markOf)),
      signature: new Uint8Array(),
    };
    if (this.#signer === undefined) return label;
    return { ...label, signature: signDigest(this.#signer, digests.algorithm, signedDigest(label)) };
  }

  #tell(problem: Problem): void {
    this.#problems += 1;
    this.#options.onProblem(problem);
  }
}

/** A portable signature of EVM is over `security.ima`, which directories have not. */
function evmLabellerOf({ evm, digests }: LabelDirectoriesOptions): EvmLabeller | undefined {
  if (evm?.mode !== 'portable') return evm === undefined ? undefined : new EvmLabeller(evm, digests.algorithm);
  throw new AppraiseError('appraise.option', 'a portable signature in security.evm does not cover directories', {
    advice: 'take --evm hmac or --evm sign, or sign the directory labels themselves with --sign',
  });
}

/** JSON's numbers end here, and a keeper notes the version down from it. */
const LAST_VERSION = BigInt(Number.MAX_SAFE_INTEGER);

function nextVersion(label: Uint8Array | undefined, now: number): bigint {
  const time = BigInt(Math.floor(now));
  const before = label === undefined ? undefined : versionOf(label);
  if (before === undefined || before < time) return time;
  if (before < LAST_VERSION) return before + 1n;
  throw new AppraiseError('appraise.option', `the root's label has version ${before}, which leaves no room`, {
    advice: 'say which version this is, or clear the labels first',
  });
}

/** Of a label that nobody has verified: a later version is all that is made of it. */
function versionOf(label: Uint8Array): bigint | undefined {
  try {
    return parseDirectoryLabel(label).version;
  } catch {
    return undefined;
  }
}

/** What a tree's root label asks of all labels of the tree; undefined where there is none. @throws {ParseError} */
export function rootFormOf(tree: string, namespace: 'security' | 'user' = 'security'): TreeForm | undefined {
  const root = new TreeRoot(tree);
  try {
    const label = fgetXattr(root.fd, `${namespace}.assay.dir`);
    return label === undefined ? undefined : treeFormOf(parseDirectoryLabel(label));
  } finally {
    root.close();
  }
}
