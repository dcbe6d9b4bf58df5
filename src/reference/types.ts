/** Reference values (RFC 9334): what a machine is expected to be. The first form; `compile` makes it fit for look-ups. */
import type { PcrBank } from '../evidence/index.ts';
import type { BootComponent } from './boot/index.ts';

/** `sha256:<hex>`: a digest that says its algorithm; `verity:sha256:<hex>` that of a file's fs-verity descriptor. Lower case. */
export type TaggedDigest = `${string}:${string}`;

export interface FileReference {
  /** An absolute path or a glob, anchored at both ends: `*` stays within a name, `**` crosses directories. */
  readonly path: string;
  readonly digests: readonly TaggedDigest[];
  /** Where the values come from, for people: `coreutils 9.1-1 (dpkg)`. */
  readonly origin?: string;
}

/** A file that was seen and is not approved: it waits for a person. */
export interface PendingFile {
  readonly path: string;
  readonly digest: TaggedDigest;
  /**
   * No package owns it; its package shipped something else; its package carries no checksum to tell by; or it is the
   * content of a file that was deleted or replaced while processes still run it, as an update leaves it behind.
   */
  readonly reason: 'unpackaged' | 'modified' | 'no-checksum' | 'replaced';
  /** The package that owns it, unless `unpackaged`. */
  readonly origin?: string;
}

export interface DenyRule {
  /** Anchored glob; left out: any path. */
  readonly path?: string;
  /** Left out: any content. At least one of path and digest is there. */
  readonly digest?: TaggedDigest;
  readonly reason: string;
}

export interface BootEventReference {
  readonly pcr: number;
  readonly digest: TaggedDigest;
  readonly description: string;
  /** The boot must contain it; otherwise it may. */
  readonly required: boolean;
}

export interface BootReference {
  /** bank → PCR index → the allowed values in hex; a PCR that is not named is not judged. */
  readonly pcrs: Partial<Record<PcrBank, Readonly<Record<string, readonly string[]>>>>;
  /** Every event of a PCR that is named here must be one of these. */
  readonly events: readonly BootEventReference[];
  /** Every event of a PCR that one of these names must belong to one of them, in a variant that is allowed. */
  readonly components?: readonly BootComponent[];
}

export interface ReferenceManifest {
  readonly assayReference: 1;
  readonly name: string;
  /** RFC 3339, for people. */
  readonly created: string;
  /** Made only from the host that it judges: its verdict is at most `warning` (`reference.self`). */
  readonly self: boolean;
  /** Milliseconds since the epoch after which it no longer vouches; left out: no deadline. */
  readonly validUntil?: number;
  readonly boot?: BootReference;
  readonly files: readonly FileReference[];
  readonly pending: readonly PendingFile[];
  /**
   * Globs of files that may be written while they are measured (logs, journals): a violation on them is a warning. The
   * quote vouches for the violation and not for its file's name, so this never makes one unseen.
   */
  readonly violations?: readonly string[];
  readonly deny: readonly DenyRule[];
}
