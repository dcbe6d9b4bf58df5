import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { bytesEqual, toHex } from '../../bytes/index.ts';
import { decodePath } from '../../ima/index.ts';
import { hashContent } from '../../sys/index.ts';
import { literalPattern } from '../glob.ts';
import type { FileReference, PendingFile, ReferenceManifest, TaggedDigest } from '../types.ts';
import { DpkgDatabase, type PackagedFile } from './database.ts';

/** A file that runs or is mapped on this host. */
export interface HostFile {
  /** Absolute, as bytes. */
  readonly path: Uint8Array;
  /** SHA-256 of the content in use. */
  readonly sha256: Uint8Array;
  /** MD5 of the same content, where it was hashed along. */
  readonly md5?: Uint8Array;
  /** Whether the content in use is what now lies under the path. */
  readonly state: 'on-disk' | 'deleted' | 'replaced' | 'elsewhere';
}

/** What dpkg says about a file on this host. */
export type Judged =
  | { readonly kind: 'shipped'; readonly file: FileReference }
  | { readonly kind: 'pending'; readonly file: PendingFile };

export interface HostReferenceOptions {
  readonly name: string;
  /** For people, RFC 3339. */
  readonly created: Date;
  /** Where the host's file tree is; left out: `/`. */
  readonly root?: string;
}

/**
 * A reference manifest for this host from its own package database: what runs as its package shipped it is allowed by
 * SHA-256, the rest waits for a person. It says what packages say, and the host itself says what the packages say: `self`
 * is set, so that a verdict by it is at most `warning`.
 *
 * Where a running file was deleted or replaced, the reference holds what lies on disk now, and the content still in use
 * waits as `replaced`.
 */
export function referenceFromHost(files: Iterable<HostFile>, options: HostReferenceOptions): ReferenceManifest {
  const judged = judgeHostFiles(files, options.root);
  return {
    assayReference: 1,
    name: options.name,
    created: options.created.toISOString(),
    self: true,
    files: judged.flatMap((one) => (one.kind === 'shipped' ? [one.file] : [])),
    pending: judged.flatMap((one) => (one.kind === 'pending' ? [one.file] : [])),
    deny: [],
  };
}

/**
 * The same judgement for files that were measured later, in the order of their paths: one answer for each path, and one
 * more for each content that only a process still holds.
 */
export function judgeHostFiles(files: Iterable<HostFile>, root = '/'): Judged[] {
  const byPath = Map.groupBy(files, (file) => Buffer.from(file.path).toString('latin1'));
  const owners = DpkgDatabase.open(root)?.ownersOf(byPath.keys()) ?? new Map<string, PackagedFile[]>();
  return [...byPath]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([path, measured]) => judgePath(path, measured, owners.get(path) ?? [], root));
}

function judgePath(
  path: string,
  measured: readonly HostFile[],
  owners: readonly PackagedFile[],
  root: string,
): Judged[] {
  const current =
    measured.find((file) => file.state === 'on-disk' && file.md5 !== undefined) ??
    readHostFile(root, path) ??
    measured.find((file) => file.state === 'elsewhere');
  const gone = measured.filter((file) => {
    const isStale = file.state === 'deleted' || file.state === 'replaced';
    return isStale && (current === undefined || !bytesEqual(file.sha256, current.sha256));
  });
  return [
    ...(current === undefined ? [] : [judge(path, current, owners)]),
    ...gone.map((file) => judgeGone(path, file, owners)),
  ];
}

function judge(path: string, file: HostFile, owners: readonly PackagedFile[]): Judged {
  const name = decodePath(Buffer.from(path, 'latin1'));
  const digest: TaggedDigest = `sha256:${toHex(file.sha256)}`;
  const md5 = file.md5 === undefined ? undefined : toHex(file.md5);
  const shipper = owners.find((owner) => owner.md5 !== undefined && owner.md5 === md5);
  if (shipper !== undefined) {
    return { kind: 'shipped', file: { path: literalPattern(name), digests: [digest], origin: originOf(shipper) } };
  }
  const owner = owners.find((one) => one.md5 !== undefined) ?? owners[0];
  if (owner === undefined) return { kind: 'pending', file: { path: name, digest, reason: 'unpackaged' } };
  const reason = owner.md5 === undefined ? 'no-checksum' : 'modified';
  return { kind: 'pending', file: { path: name, digest, reason, origin: originOf(owner) } };
}

function judgeGone(path: string, file: HostFile, [owner]: readonly PackagedFile[]): Judged {
  const name = decodePath(Buffer.from(path, 'latin1'));
  const origin = owner === undefined ? {} : { origin: originOf(owner) };
  return {
    kind: 'pending',
    file: { path: name, digest: `sha256:${toHex(file.sha256)}`, reason: 'replaced', ...origin },
  };
}

function originOf(owner: PackagedFile): string {
  return `${owner.packageName} ${owner.version} (dpkg)`;
}

/** What lies under the path now, in both hashes by one read; undefined where there is no such regular file to read. */
function readHostFile(root: string, path: string): HostFile | undefined {
  if (!path.startsWith('/')) return undefined; // memfd:… never lay anywhere
  const place = Buffer.from(join(root, path), 'latin1');
  let fd: number;
  try {
    // Not blocking, in case that what replaced the file is a pipe.
    fd = openSync(place, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    if (!fstatSync(fd).isFile()) return undefined;
    const { digests } = hashContent(fd, ['sha256', 'md5']);
    if (digests === undefined) return undefined; // too long: no package ships it so
    const { sha256, md5 } = digests;
    return { path: Buffer.from(path, 'latin1'), sha256, md5, state: 'on-disk' };
  } finally {
    closeSync(fd);
  }
}
