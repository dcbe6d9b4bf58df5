/** Records as the kernel writes them, for whoever measures and appraises in its place. */
import { ImaError } from '../error.ts';
import {
  type AuditStamp,
  type AuditTask,
  type EvmXattrRecord,
  type FileHashRecord,
  INTEGRITY_TYPES,
  type IntegrityRecord,
  type OperationRecord,
  type PolicyRuleRecord,
  UNSET_ID,
} from './record.ts';
import { formatUntrusted } from './untrusted.ts';

/**
 * The record's text, what stands behind `audit(…): `, of Linux 6.12; what a record leaves out of a process is written as the
 * kernel writes it where nothing is set.
 * @throws {ImaError} `ima.invalid-argument` for an operation, a cause or a context that could be read as another record
 */
export function formatIntegrityRecord(record: IntegrityRecord): string {
  switch (record.kind) {
    case 'operation':
      return operation(record);
    case 'file-hash':
      return fileHash(record);
    case 'policy-rule':
      return policyRule(record);
    default:
      return evmXattr(record);
  }
}

/** As the kernel hands it to its listeners: `audit(1795478478.327:3): pid=…`. */
export function formatStamped(stamp: AuditStamp, record: IntegrityRecord): string {
  return `audit(${formatStamp(stamp)}): ${formatIntegrityRecord(record)}`;
}

/** A line of the audit log as auditd writes it, without its end: `type=INTEGRITY_DATA msg=audit(1795478478.327:3): pid=…`. */
export function formatAuditLogLine(stamp: AuditStamp, record: IntegrityRecord): string {
  return `type=${record.type} msg=${formatStamped(stamp, record)}`;
}

/** A message of the kernel's log, without its time: `audit: type=1800 audit(1795478478.327:3): pid=…` (kauditd_printk_skb). */
export function formatKernelMessage(stamp: AuditStamp, record: IntegrityRecord): string {
  return `audit: type=${INTEGRITY_TYPES[record.type]} ${formatStamped(stamp, record)}`;
}

/** `seconds.millis:serial`. */
export function formatStamp({ seconds, millis, serial }: AuditStamp): string {
  return `${seconds}.${String(millis).padStart(3, '0')}:${serial}`;
}

/** integrity_audit.c:integrity_audit_message */
function operation(record: OperationRecord): string {
  const {
    pid = 0,
    uid = 0,
    auid = UNSET_ID,
    ses = UNSET_ID,
    subj,
    op,
    cause,
    comm,
    name,
    dev,
    ino,
    succeeded,
  } = record;
  requireText('op', op, /^[^\s"]+$/);
  requireText('cause', cause, /^(?!.* (?:comm|op)=)[^\n"]+$/);
  return [
    `pid=${pid} uid=${uid} auid=${auid} ses=${ses}`,
    ...context(subj),
    `op=${op} cause=${cause} comm=${formatUntrusted(comm)}`,
    ...(name === undefined ? [] : [`name=${formatUntrusted(name)}`]),
    ...(dev === undefined || ino === undefined
      ? []
      : [`dev=${formatUntrusted(Buffer.from(dev, 'latin1'))} ino=${ino}`]),
    `res=${succeeded ? 1 : 0} errno=${record.errno ?? 0}`,
  ].join(' ');
}

/** audit.c:audit_log_task_context */
function context(subj: string | undefined): string[] {
  if (subj === undefined) return [];
  requireText('subj', subj, /^[^\n]+$/);
  return [`subj=${subj}`];
}

/** ima_api.c:ima_audit_measurement */
function fileHash({ file, algorithm, digest, task }: FileHashRecord): string {
  const hash = `${algorithm === undefined ? '' : `${algorithm}:`}${Buffer.from(digest).toString('hex')}`;
  return `file=${formatUntrusted(file)} hash="${hash}" ${taskInfo(task)}`;
}

/** audit.c:audit_log_task_info */
function taskInfo(task: AuditTask): string {
  const { ppid = 0, pid = 0, auid = UNSET_ID, uid = 0, gid = 0, euid = uid, suid = uid, fsuid = uid } = task;
  const { egid = gid, sgid = gid, fsgid = gid, tty = '(none)', ses = UNSET_ID, comm = Buffer.alloc(0), exe } = task;
  return [
    `ppid=${ppid} pid=${pid} auid=${auid} uid=${uid} gid=${gid} euid=${euid} suid=${suid} fsuid=${fsuid}`,
    `egid=${egid} sgid=${sgid} fsgid=${fsgid} tty=${tty} ses=${ses} comm=${formatUntrusted(comm)}`,
    `exe=${exe === undefined ? '(null)' : formatUntrusted(exe)}`,
    ...context(task.subj),
  ].join(' ');
}

const ACTIONS = /^(?:dont_)?(?:measure|appraise|audit|hash)$/;

/** ima_policy.c:ima_log_string_op; a word without a name that is no action the kernel calls UNKNOWN. */
function policyRule({ rule, accepted }: PolicyRuleRecord): string {
  requireText('rule', rule, /^[^\n]*$/);
  const words = rule.split(/[ \t]+/).filter((word) => word !== '' && word !== 'permit_directio');
  const logged = words.map((word) => {
    if (ACTIONS.test(word)) return `action=${word} `;
    return /^\w+[=<>]/.test(word) ? `${word} ` : `UNKNOWN=${word} `;
  });
  return `${logged.join('')}res=${accepted ? 1 : 0}`;
}

/** evm_secfs.c:evm_write_xattrs */
function evmXattr({ xattr, errno }: EvmXattrRecord): string {
  return `${xattr === undefined ? '' : `xattr=${formatUntrusted(xattr)}`} res=${errno}`;
}

function requireText(name: string, text: string, pattern: RegExp): void {
  if (!pattern.test(text))
    throw new ImaError('ima.invalid-argument', `${name} of an audit record: not as the kernel's`);
}
