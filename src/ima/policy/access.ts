/** An access as IMA's hooks see it: what the rules of a policy are held against. */
import type { LabelCondition, PolicyFunc } from './rule.ts';

/** Who asks. On a kernel with user namespaces all ids are those of the initial one. */
export interface Credentials {
  readonly uid: number;
  readonly euid: number;
  /** Saved; left out: as `euid`. */
  readonly suid?: number;
  readonly gid: number;
  readonly egid: number;
  readonly sgid?: number;
  /** CAP_SETUID is effective: `euid=` then looks at the saved and the real uid too. Left out: for root alone. */
  readonly hasSetuid?: boolean;
  /** CAP_SETGID, for `egid=`. */
  readonly hasSetgid?: boolean;
}

/** What is asked for. What is not known is left out, and no rule that tests it can be told to match. */
export interface PolicyAccess extends Partial<Credentials> {
  readonly func: PolicyFunc;
  /** Bits of `MAY`; 0 where a buffer is measured. */
  readonly mask: number;
  /** Of the inode, as the mount maps it (i_uid_into_vfsuid). */
  readonly owner?: number;
  readonly group?: number;
  /** `s_magic`, `s_type->name`, `s_subtype` and `s_uuid` of its file system. */
  readonly fsMagic?: number;
  readonly fsName?: string;
  /** '' where the file system has none. */
  readonly fsSubtype?: string;
  /** Lower case with hyphens, as {@link formatUuid} gives it; all zero where the file system has none. */
  readonly fsUuid?: string;
  /** What the security module says of the object and the subject, by the conditions that ask for it. */
  readonly labels?: Readonly<Partial<Record<LabelCondition, string>>>;
  /** KEY_CHECK: the keyring's name; CRITICAL_DATA: the label. */
  readonly data?: string;
}

/** A UUID of 16 bytes as `fsuuid=` has it. */
export function formatUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

/** `s_uuid` of a file system without a UUID. */
export const NO_UUID = '00000000-0000-0000-0000-000000000000';
