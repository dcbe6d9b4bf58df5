/**
 * What Debian's kernel tells the audit log, heard over netlink, by journald, by the kernel's own log and by auditd, is the
 * same records to us, and we would have written them so.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  auditSession,
  auditTree,
  EXPECTED_AFTER,
  EXPECTED_BEFORE,
  type HeardRecords,
  heardRecords,
  inWords,
} from '../guest/audit-session.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import { assertHeardAlike, assertWrittenAlike } from '../guest/heard-records.ts';
import { requires, requiresPath } from './requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const programs = requires('keyctl', 'systemd-journald', 'journalctl');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');
const auditd = requiresPath('ASSAY_AUDITD', 'folder of tools/audit-daemon');
const skip = machine.skip || programs.skip || kernel.skip || auditd.skip;

describe("records of Debian's kernel", { skip, timeout: 900_000 }, () => {
  let guest: Guest;
  let boot: Boot;
  let heard: HeardRecords;

  before(async () => {
    const tree = auditTree(process.env.ASSAY_AUDITD ?? '');
    guest = await makeGuest({ kernel: 'debian', tree, banks: ['sha256'], diskMegabytes: 400 });
    boot = await guest.boot(auditSession());
    heard = heardRecords(boot);
  });
  after(() => guest?.[Symbol.asyncDispose]());

  test('each deed is told, with its cause and the whole name', () => {
    assert.deepEqual(heard.kernelLog.map(inWords), EXPECTED_BEFORE);
    assert.deepEqual(heard.auditLog.map(inWords), EXPECTED_AFTER);
    assert.deepEqual(heard.journal.map(inWords), [...EXPECTED_BEFORE, ...EXPECTED_AFTER]);
  });

  test('netlink, journal, kernel log and audit log say the same', () => assertHeardAlike(heard));

  test('we write each record as this kernel does', () => assertWrittenAlike(boot, heard));

  test('--follow says where it listens', () => {
    assert.equal(boot.file('netlink.err').toString(), 'assay: records of the kernel, over netlink\n');
  });
});
