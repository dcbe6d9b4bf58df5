/** Judges what the four of `audit-session.ts` heard. */
import assert from 'node:assert/strict';
import {
  type AuditRecord,
  decodePath,
  explainRecord,
  formatAuditLogLine,
  formatKernelMessage,
} from '../../src/ima/index.ts';
import type { HeardRecords } from './audit-session.ts';
import type { Boot } from './guest.ts';

/** The same records, stamps included, by every way; and each known to the table of causes. */
export function assertHeardAlike({ netlink, journal, kernelLog, auditLog }: HeardRecords): void {
  const printed = [...kernelLog, ...auditLog];
  assert.deepEqual(
    journal.map(({ stamp, record }) => ({ stamp, record })),
    printed.map(({ stamp, record }) => ({ stamp, record })),
  );
  assert.deepEqual(
    netlink.map(({ serial, type, cause, path, text }) => ({ serial, type, cause, path, text })),
    printed.map(asPrinted),
  );
  for (const { record, text } of printed) assert.equal(explainRecord(record).isKnown, true, text);
}

/** What the command prints of it, in part. */
function asPrinted({ stamp, record, text }: AuditRecord): object {
  const file = record.kind === 'file-hash' ? record.file : record.kind === 'operation' ? record.name : undefined;
  return {
    serial: stamp?.serial,
    type: record.type,
    cause: record.kind === 'operation' ? record.cause : undefined,
    path: file === undefined ? undefined : Buffer.from(decodePath(file)).toString(),
    text,
  };
}

export function assertWrittenAlike(boot: Boot, { kernelLog, auditLog }: HeardRecords): void {
  const [messages, lines] = [boot.file('dmesg').toString('latin1'), boot.file('audit.log').toString('latin1')];
  for (const { stamp, record } of kernelLog) {
    assert.ok(stamp !== undefined);
    assert.ok(messages.includes(`] ${formatKernelMessage(stamp, record)}\n`), formatKernelMessage(stamp, record));
  }
  for (const { stamp, record } of auditLog) {
    assert.ok(stamp !== undefined);
    const line = formatAuditLogLine(stamp, record);
    // auditd's enrichment comes behind it, where there is something to enrich.
    assert.ok(
      ['\x1d', '\n'].some((end) => lines.includes(`\n${line}${end}`)),
      line,
    );
  }
}
