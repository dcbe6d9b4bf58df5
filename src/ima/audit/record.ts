/**
 * What the integrity subsystem tells the audit log: records 1800 to 1807 of linux/audit.h, by the names that auditd and
 * ausearch give them. Texts are bytes: a process chooses its own name, and a path is whatever its maker chose.
 */
export const INTEGRITY_TYPES = {
  /** Content of a file: appraisal, collection of its digest. */
  INTEGRITY_DATA: 1800,
  /** Metadata of a file: EVM refuses to change what it could not verify. */
  INTEGRITY_METADATA: 1801,
  /** The policy as a whole: loaded, refused. */
  INTEGRITY_STATUS: 1802,
  /** Reserved; no kernel up to 6.12 writes it. */
  INTEGRITY_HASH: 1803,
  /** The measurement list and its PCR. */
  INTEGRITY_PCR: 1804,
  /** What a policy rule `audit` recorded. Kernels that have no type 1807 (before 4.19) give the rules of a policy here too. */
  INTEGRITY_RULE: 1805,
  /** An attribute that EVM protects from now on. */
  INTEGRITY_EVM_XATTR: 1806,
  /** A rule of a policy that was loaded, or refused. */
  INTEGRITY_POLICY_RULE: 1807,
} as const;

export type IntegrityType = keyof typeof INTEGRITY_TYPES;

/** Types whose records have the form of `integrity_audit_message`. */
export type OperationType = Exclude<IntegrityType, 'INTEGRITY_RULE' | 'INTEGRITY_EVM_XATTR' | 'INTEGRITY_POLICY_RULE'>;

const NAMES: ReadonlyMap<number, IntegrityType> = new Map(
  Object.entries(INTEGRITY_TYPES).map(([name, number]) => [number, name as IntegrityType]), // the keys are the type's
);

/**
 * @param type a number, or what stands after `type=`: `1807`, `INTEGRITY_POLICY_RULE`, `UNKNOWN[1807]` (a libaudit that is
 *   older than the type), `AUDIT1807` (a journald that is)
 * @returns undefined for a record of another kind
 */
export function integrityType(type: number | string): IntegrityType | undefined {
  if (typeof type === 'number') return NAMES.get(type);
  if (Object.hasOwn(INTEGRITY_TYPES, type)) return type as IntegrityType; // hasOwn says so
  const number = /^(?:UNKNOWN\[(\d{4})\]|AUDIT(\d{4})|(\d{4}))$/.exec(type);
  return number === null ? undefined : NAMES.get(Number(number[1] ?? number[2] ?? number[3]));
}

/** When the kernel began the event, and its number since boot: `audit(seconds.millis:serial)`. */
export interface AuditStamp {
  readonly seconds: number;
  readonly millis: number;
  readonly serial: number;
}

/** Records 1800 to 1804 (`integrity_audit.c:integrity_audit_message`). */
export interface OperationRecord {
  readonly kind: 'operation';
  readonly type: OperationType;
  readonly pid?: number;
  readonly uid?: number;
  /** Who logged in; 4294967295 for nobody, as a service has it. */
  readonly auid?: number;
  /** The login's session; 4294967295 for none. */
  readonly ses?: number;
  /** Security context of the process; where a security module has any. */
  readonly subj?: string;
  /** `appraise_data`, `collect_data`, `add_template_measure`, … */
  readonly op: string;
  /** `invalid-hash`, `missing-HMAC`, …; as this kernel says it, so not from a closed set. */
  readonly cause: string;
  /** Name of the process, at most 15 bytes. */
  readonly comm: Uint8Array;
  /**
   * Path of the file, of which `collect_data` and the metadata operations give the last part alone; where a buffer is
   * measured, the event's name.
   */
  readonly name?: Uint8Array;
  /** The file system, by the name of its device: `sda1`, `nvme0n1p2`, `tmpfs`. */
  readonly dev?: string;
  readonly ino?: bigint;
  /** `res=1`. */
  readonly succeeded: boolean;
  /** Negative, as the kernel has it; kernels before 5.9 do not tell. Other than 0 only where a buffer was measured. */
  readonly errno?: number;
}

/** Record 1805 of a file (`ima_api.c:ima_audit_measurement`, `audit.c:audit_log_task_info`). */
export interface FileHashRecord {
  readonly kind: 'file-hash';
  readonly type: 'INTEGRITY_RULE';
  readonly file: Uint8Array;
  /** Undefined where an old kernel gives the digest alone. */
  readonly algorithm?: string;
  readonly digest: Uint8Array;
  readonly task: AuditTask;
}

/** Who touched the file. */
export interface AuditTask {
  readonly ppid?: number;
  readonly pid?: number;
  readonly auid?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly euid?: number;
  readonly suid?: number;
  readonly fsuid?: number;
  readonly egid?: number;
  readonly sgid?: number;
  readonly fsgid?: number;
  /** `(none)` without one. */
  readonly tty?: string;
  readonly ses?: number;
  readonly comm?: Uint8Array;
  /** Path of its program; undefined for a thread of the kernel. */
  readonly exe?: Uint8Array;
  readonly subj?: string;
}

/** Record 1807 (`ima_policy.c:ima_parse_rule`), before 4.19 of type 1805. */
export interface PolicyRuleRecord {
  readonly kind: 'policy-rule';
  readonly type: 'INTEGRITY_POLICY_RULE' | 'INTEGRITY_RULE';
  /**
   * The rule as far as the kernel read it: it stops at the first word that it does not take, which is therefore the last
   * here, and it never tells `permit_directio`.
   */
  readonly rule: string;
  readonly accepted: boolean;
}

/** Record 1806 (`evm_secfs.c:evm_write_xattrs`). */
export interface EvmXattrRecord {
  readonly kind: 'evm-xattr';
  readonly type: 'INTEGRITY_EVM_XATTR';
  /** `security.NAME`; `.` locks the list. Undefined where the kernel had no memory to read it. */
  readonly xattr?: Uint8Array;
  /** 0, or a negative errno: here `res=0` is the success. */
  readonly errno: number;
}

export type IntegrityRecord = OperationRecord | FileHashRecord | PolicyRuleRecord | EvmXattrRecord;

/** `(uid_t)-1`, by which the kernel says that a login or session is not set. */
export const UNSET_ID = 0xffff_ffff;
