/** What the guard found, as the kernel's audit records have it: for whoever reads those (`assay ima audit`). */
import { readFileSync } from 'node:fs';
import { type IntegrityRecord, type OperationRecord, UNSET_ID } from '../ima/audit/index.ts';
import { blockDeviceName, parseMountInfo } from '../sys/index.ts';
import type { RequestingTask } from './decision/requester.ts';
import type { DeciderReport, FindingReport, GuardFault } from './messages.ts';

type FileHashReport = Extract<DeciderReport, { kind: 'file-hash' }>;

/** integrity_audit_msg, as ima_appraise.c, ima_api.c and ima_main.c call it. */
export function findingRecord({ fault, path, inode, device, task }: FindingReport): IntegrityRecord {
  return operation(fault, task, { name: nameFor(fault.op, path), dev: deviceName(device), ino: inode });
}

/** Of what is about no file, or one that is not known any more. */
export function operationRecord(
  fault: Pick<GuardFault, 'op' | 'cause'>,
  name: string,
  succeeded: boolean,
): IntegrityRecord {
  const comm = Buffer.from('assay');
  return {
    kind: 'operation',
    type: TYPE_OF[fault.op],
    ...fault,
    comm,
    name: Buffer.from(name),
    succeeded,
    pid: process.pid,
  };
}

const TYPE_OF: Readonly<Record<GuardFault['op'], OperationRecord['type']>> = {
  appraise_data: 'INTEGRITY_DATA',
  collect_data: 'INTEGRITY_DATA',
  invalid_pcr: 'INTEGRITY_PCR',
  add_template_measure: 'INTEGRITY_PCR',
};

function operation(
  { op, cause }: GuardFault,
  task: RequestingTask | undefined,
  file: Pick<OperationRecord, 'name' | 'dev' | 'ino'>,
): OperationRecord {
  const { pid = 0, uid = 0, auid = UNSET_ID, ses = UNSET_ID, comm = new Uint8Array() } = task ?? {};
  return { kind: 'operation', type: TYPE_OF[op], pid, uid, auid, ses, op, cause, comm, succeeded: false, ...file };
}

/** `collect_data` gives the last part alone (ima_api.c:ima_collect_measurement). */
function nameFor(op: GuardFault['op'], path: Uint8Array): Uint8Array {
  return op === 'collect_data' ? path.subarray(path.lastIndexOf(0x2f) + 1) : path;
}

/** ima_api.c:ima_audit_measurement */
export function fileHashRecord({
  file,
  digest: { algorithm, digest },
  task = { pid: 0, ppid: 0, comm: new Uint8Array() },
}: FileHashReport): IntegrityRecord {
  return { kind: 'file-hash', type: 'INTEGRITY_RULE', file, algorithm, digest, task };
}

const names = new Map<number, string>();

/** `s_id` of the superblock: the block device's name, and of what has none the type of the file system. */
function deviceName(device: number): string {
  const known = names.get(device);
  if (known !== undefined) return known;
  const numbers = `${Math.floor(device / 2 ** 20)}:${device % 2 ** 20}`;
  const name = blockDeviceName(numbers) ?? typeOf(numbers) ?? numbers;
  names.set(device, name);
  return name;
}

function typeOf(device: string): string | undefined {
  const mounts = parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1'));
  return mounts.find((mount) => mount.device === device)?.type;
}
