/** What can go wrong with one file of a tree while the rest is done: one table of codes and their words. */
import { EvmError } from '../evm/index.ts';
import { SysError } from '../sys/index.ts';

const PROBLEMS = {
  vanished: 'was there when its folder was read and is gone',
  changed: 'changed while it was hashed, three times in a row; label it when nothing writes to it',
  'became-link': 'became a symbolic link, or a folder above it did; links are not followed',
  'became-other': 'is not a regular file any more',
  'no-permission': 'may not be opened; root may be needed',
  'not-permitted': 'the kernel does not permit to set the attribute: root is needed, or the file is immutable (lsattr)',
  'read-only': 'the file system is read-only; the label is as it was',
  'no-xattrs': 'the file system has no such extended attributes',
  'disk-full': 'the disk is full or the quota used up; the label is as it was',
  'no-xattr-room':
    'the file system has no room for this attribute beside the others of the file; the label is as it was',
  'half-labelled':
    'has one new attribute and not the other, and the first could not be taken back: label it again once that is mended',
  'no-generation':
    'the file system has no inode generations, which EVM hashes; only a portable signature is without them',
  'no-uuid':
    'the UUID of the file system, which EVM hashes, cannot be learnt here; only a portable signature is without it',
  'path-too-long': 'the path is longer than the kernel takes',
  'read-failed': 'could not be read',
  'directory-label-content':
    'begins like what a directory label signs: a signature of this file would be one of such a label, so it is not made',
  busy: 'is in use by the kernel (a swap file, or a program that is written)',
  missing: 'is not in the tree',
  'other-type': 'is of another type in the tree; nothing was done to it',
  'other-content': 'has other content in the tree than the labels were made for; nothing was done to it',
  'other-metadata':
    'has another mode, owner or capability than its EVM label was made for; nothing was done to it, --metadata sets them',
  'other-labels': 'does not bear these labels',
  'unsafe-path': 'is no path that leads to a file beneath the tree; nothing was done',
  'unsupported-entry': 'is an entry that is not taken from an archive: a sparse file, or a type that is not known',
  'other-file':
    'is a file of its own in the tree, and in the archive a further name of another; nothing was done to it',
  'torn-entry': 'changed while it was archived; what the archive holds of it does not fit its labels',
  other: 'the kernel refused',
} as const satisfies Readonly<Record<string, string>>;

export type ProblemCode = keyof typeof PROBLEMS;

/** One file that was not done, and why. */
export interface Problem {
  /** Relative to the tree's root. */
  readonly path: Uint8Array;
  readonly code: ProblemCode;
  /** The kernel's reason where there is one: `ENOSPC`. */
  readonly errno?: string;
}

/** The sentence of a code. */
export const problemWords = (code: ProblemCode): string => PROBLEMS[code];

export const problemCodes = (): readonly ProblemCode[] => Object.keys(PROBLEMS) as ProblemCode[];

const BY_ERRNO: Readonly<Record<string, ProblemCode>> = {
  ENOENT: 'vanished',
  ESTALE: 'vanished',
  ELOOP: 'became-link',
  EACCES: 'no-permission',
  EPERM: 'not-permitted',
  EROFS: 'read-only',
  EOPNOTSUPP: 'no-xattrs',
  ENOTSUP: 'no-xattrs',
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  E2BIG: 'no-xattr-room',
  ERANGE: 'no-xattr-room',
  ENAMETOOLONG: 'path-too-long',
  EIO: 'read-failed',
  EISDIR: 'became-other',
  ENOTDIR: 'vanished',
  ENXIO: 'became-other',
  ETXTBSY: 'busy',
  EBUSY: 'busy',
};

/** Raised for one file; caught by who goes over many. */
export class FileProblem extends Error {
  readonly problem: ProblemCode;

  constructor(problem: ProblemCode) {
    super(problem);
    this.problem = problem;
  }
}

/** The problem that an error of one file is. @throws what is neither a {@link FileProblem} nor a refusal of the kernel */
export function problemOf(error: unknown): { code: ProblemCode; errno?: string } {
  if (error instanceof FileProblem) return { code: error.problem };
  if (error instanceof SysError && error.code === 'sys.not-supported') return { code: 'no-generation' };
  if (error instanceof EvmError && error.code === 'evm.metadata') return { code: 'no-uuid' };
  if (!(error instanceof SysError) || error.errno === undefined) throw error;
  return { code: BY_ERRNO[error.errno] ?? 'other', errno: error.errno };
}
