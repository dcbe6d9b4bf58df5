import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KERNEL_MESSAGES } from '../../../test/fixtures/audit-records.ts';
import { parseAuditLine } from './line.ts';

const { missingHash } = KERNEL_MESSAGES;
const BODY = missingHash.slice(missingHash.indexOf('pid='));
const STAMPED = missingHash.slice(missingHash.indexOf('audit('));
const STAMP = { seconds: 1795872182, millis: 815, serial: 12 };

/** Every log that a record may stand in. */
const FORMS: Readonly<Record<string, string>> = {
  dmesg: `[   38.001] ${missingHash}`,
  'dmesg -T': `[Thu Nov 26 14:41:18 2026] ${missingHash}`,
  'dmesg -r': `<5>[   38.001] ${missingHash}`,
  'dmesg -x': `kern  :notice: [   38.001] ${missingHash}`,
  '/dev/kmsg': `5,1234,38001000,-;${missingHash}`,
  'kernels before 3.17 or so': `[10012.824868] type=1800 ${STAMPED}`,
  syslog: `Nov 26 14:41:18 host kernel: [   38.001] ${missingHash}`,
  'syslog, ISO dates': `2026-11-26T14:41:18.123456+00:00 host kernel: [   38.001] ${missingHash}`,
  'journalctl -k': `Nov 26 14:41:18 host kernel: ${missingHash}`,
  'auditd, raw': `type=INTEGRITY_DATA msg=${STAMPED}`,
  'auditd, enriched': `type=INTEGRITY_DATA msg=${STAMPED}\x1dUID="root" AUID="unset"`,
  'a libaudit that does not know the type': `type=UNKNOWN[1800] msg=${STAMPED}`,
  audispd: `Nov 26 14:41:18 host audispd: type=INTEGRITY_DATA msg=${STAMPED}`,
  'a line that ends as DOS has it': `type=INTEGRITY_DATA msg=${STAMPED}\r`,
};

for (const [form, line] of Object.entries(FORMS)) {
  test(`a record of ${form}`, () => {
    const found = parseAuditLine(line);
    assert.ok(found?.kind === 'record');
    assert.deepEqual(found.stamp, STAMP);
    assert.equal(found.record.kind === 'operation' && found.record.cause, 'missing-hash');
  });
}

test('a log that many machines send to names the one', () => {
  const found = parseAuditLine(`node=web-1 type=INTEGRITY_DATA msg=${STAMPED}`);
  assert.equal(found?.kind === 'record' && found.node, 'web-1');
});

test('what journalctl prints of records that journald heard has no stamp', () => {
  for (const head of ['Nov 28 13:22:55 localhost audit[411]: ', '2026-11-28T13:22:55+0000 localhost audit: ']) {
    const found = parseAuditLine(`${head}INTEGRITY_DATA ${BODY}`);
    assert.ok(found?.kind === 'record');
    assert.equal(found.stamp, undefined);
  }
});

test('a record that another message quotes is none', () => {
  for (const line of [
    `Nov 26 14:41:18 host app[12]: ${missingHash}`,
    `Nov 26 14:41:18 host sshd[12]: Invalid user kernel: ${missingHash}`,
    `type=USER_AUTH msg=audit(1.000:1): pid=1 msg='acct="x" type=INTEGRITY_DATA msg=${STAMPED}'`,
    `[   38.001] app: ${missingHash}`,
    'type=SYSCALL msg=audit(1795872205.279:35): arch=c000003e syscall=257 success=no exit=-13',
    'type=1300 audit(1795872205.279:35): arch=c000003e',
    'time->Thu Nov 26 14:41:18 2026',
    '----',
    '',
  ]) {
    assert.equal(parseAuditLine(line), undefined, line);
  }
});

test('what ausearch -i rewrote is not read: its names cannot be told from other words', () => {
  const found = parseAuditLine(
    'type=INTEGRITY_DATA msg=audit(07/09/2020 12:30:27.778:1691) : pid=4976 uid=root auid=root ses=2 op=appraise_data' +
      ' cause=missing-hash comm=bash name=/usr/bin/evmctl dev="dm-0" ino=493150 res=no',
  );
  assert.ok(found?.kind === 'unreadable');
  assert.match(found.error.message, /ausearch --raw/);
});

test('a record that cannot be read says where, in its own text', () => {
  const found = parseAuditLine(`[   38.001] ${missingHash.replace('"/srv/before/plain"', '/srv/before/plain')}`);
  assert.ok(found?.kind === 'unreadable');
  assert.equal(found.text.slice(found.error.offset, found.error.offset + 10), '/srv/befor');
  assert.deepEqual(found.stamp, STAMP);
});

test('records that the kernel says it dropped', () => {
  assert.deepEqual(parseAuditLine('[   53.1] kauditd_printk_skb: 35 callbacks suppressed'), {
    kind: 'lost',
    count: 35,
  });
  assert.deepEqual(parseAuditLine('[   53.1] audit_printk_skb: 3 callbacks suppressed'), { kind: 'lost', count: 3 });
  assert.deepEqual(parseAuditLine('[   53.1] audit: audit_lost=7 audit_rate_limit=0 audit_backlog_limit=64'), {
    kind: 'lost',
    count: undefined,
  });
});
