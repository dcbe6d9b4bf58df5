/** Gives an open file or folder the labels that were made for it. */
import { fchmodSync, fchownSync } from 'node:fs';
import { type FileStatus, fgetXattr, fremoveXattr, fsetXattr } from '../../sys/index.ts';
import { FileProblem } from '../problem.ts';
import { CAPABILITY, hasEvm, inOrder, type Labels } from './attributes.ts';
import { kernelCall } from './tree-calls.ts';

/** What EVM covers beside the labels (evm_crypto.c:hmac_add_misc, and security.capability). */
export interface Metadata {
  /** Permissions, set-user-id and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly capability?: Uint8Array;
}

export interface Wanted extends Metadata {
  readonly labels: Labels;
}

export interface ApplyOptions {
  readonly dryRun: boolean;
  /** Set mode, owner and capability too where they differ. */
  readonly metadata: boolean;
}

export type AppliedChange = 'added' | 'replaced' | 'same';

const PERMISSIONS = 0o7777;

/**
 * Writes what differs and leaves the rest alone. A portable EVM label says what mode and owner are: where they are others
 * it would never hold, and nothing is written.
 * @param status of the open file
 * @throws {FileProblem} `other-metadata` @throws {SysError}
 */
export function applyLabels(
  fd: number,
  status: FileStatus,
  wanted: Wanted,
  { dryRun, metadata }: ApplyOptions,
): AppliedChange {
  const isOther = metadataDiffers(fd, status, wanted);
  if (isOther && !metadata && hasEvm(wanted.labels)) throw new FileProblem('other-metadata');
  const before = inOrder(wanted.labels).map(([name, value]) => ({ name, value, old: fgetXattr(fd, name) }));
  const different = before.filter(({ value, old }) => old?.equals(value) !== true);
  if (!dryRun) {
    if (isOther && metadata) setMetadata(fd, status, wanted);
    for (const { name, value } of different) fsetXattr(fd, name, value);
  }
  if (different.length === 0) return isOther && metadata ? 'replaced' : 'same';
  return before.every(({ old }) => old === undefined) ? 'added' : 'replaced';
}

function metadataDiffers(fd: number, status: FileStatus, { mode, uid, gid, capability }: Metadata): boolean {
  if ((status.mode & PERMISSIONS) !== mode || status.uid !== uid || status.gid !== gid) return true;
  const old = fgetXattr(fd, CAPABILITY);
  return capability === undefined ? old !== undefined : old?.equals(capability) !== true;
}

/** A new owner takes set-user-id bits and capabilities away (chown(2), cap_inode_killpriv): they come after. */
export function setMetadata(fd: number, status: FileStatus, { mode, uid, gid, capability }: Metadata): void {
  if (status.uid !== uid || status.gid !== gid) kernelCall(() => fchownSync(fd, uid, gid));
  kernelCall(() => fchmodSync(fd, mode));
  if (capability !== undefined) fsetXattr(fd, CAPABILITY, capability);
  else if (fgetXattr(fd, CAPABILITY) !== undefined) fremoveXattr(fd, CAPABILITY);
}
