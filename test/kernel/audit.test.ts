/** The judge kernel's records, as `test/system/guest-audit.test.ts` reads Debian's; and those about EVM's list of attributes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  auditSession,
  auditTree,
  EXPECTED_AFTER,
  EXPECTED_BEFORE,
  heardRecords,
  inWords,
} from '../guest/audit-session.ts';
import { makeGuest } from '../guest/guest.ts';
import { assertHeardAlike, assertWrittenAlike } from '../guest/heard-records.ts';
import { shell } from '../guest/script.ts';
import { requires, requiresPath } from '../system/requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const programs = requires('keyctl', 'systemd-journald', 'journalctl');
const kernel = requiresPath('ASSAY_JUDGE_KERNEL', 'judge kernel');
const auditd = requiresPath('ASSAY_AUDITD', 'folder of tools/audit-daemon');
const skip = machine.skip || programs.skip || kernel.skip || auditd.skip;

/** In this order: one more, the same again, one that cannot be, and the list closed. */
const ATTRIBUTES = ['security.other', 'security.other', 'user.x', '.'];

test('records of Linux 6.12, by four ways', { skip, timeout: 900_000 }, async () => {
  const tree = auditTree(process.env.ASSAY_AUDITD ?? '');
  await using guest = await makeGuest({ kernel: 'judge', tree, banks: ['sha256'], diskMegabytes: 400 });
  const add = ATTRIBUTES.map((name) => shell(`echo '${name}' >/sys/kernel/security/integrity/evm/evm_xattrs || true`));
  const boot = await guest.boot(auditSession(add));
  const heard = heardRecords(boot);
  assert.deepEqual(heard.kernelLog.map(inWords), EXPECTED_BEFORE);
  assert.deepEqual(heard.auditLog.map(inWords), [
    ...EXPECTED_AFTER,
    'attribute security.other 0',
    'attribute security.other -17',
    'attribute user.x -22',
    'attribute . 0',
  ]);
  assertHeardAlike(heard);
  assertWrittenAlike(boot, heard);
});
