/**
 * A machine whose EVM runs with a key that only its own boot state gives: made by `assay key evm-setup` in it, opened at boot
 * by `initramfs/open-evm-key`, refused after another kernel, initrd or command line, sealed anew to what `assay boot predict`
 * says of each before that is booted, and recovered by its code. TPM, kernel and its EVM are the judges.
 */
import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digest } from '../../src/bytes/index.ts';
import { appraiseEvm, hmacLabel, readEvmMetadata } from '../../src/evm/index.ts';
import { encodeImaDigest } from '../../src/ima/index.ts';
import { setXattr } from '../../src/sys/index.ts';
import { finished } from '../fixtures/finished.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { keepStorageKey } from '../fixtures/storage-key.ts';
import { changedKernel } from '../guest/changed-kernel.ts';
import { type Boot, type BootOptions, type Guest, makeGuest } from '../guest/guest.ts';
import { keepBootLog } from '../guest/lists.ts';
import { MEMORY_MEGABYTES } from '../guest/qemu.ts';
import { IN, OUT, run, runInto, type Step, shell } from '../guest/script.ts';
import { GUEST_PROJECT, nodeTree, program, programTree, projectTree, type Tree } from '../guest/tree.ts';
import { requires, requiresMounts, requiresPath } from '../system/requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox', 'sbattach');
const kernel = requiresPath('ASSAY_JUDGE_KERNEL', 'judge kernel');
const skip = machine.skip || requires('keyctl').skip || kernel.skip || requiresMounts().skip;

const PROJECT = join(import.meta.dirname, '../..');
const ASSAY = join(PROJECT, 'bin/assay');
/** The kernel's image, its command line and its initramfs (EFI stub). */
const SEALED_TO = 'sha256:4,9';
const FIRST = ['quiet'];
const OTHER_LINE = ['quiet', 'audit=1'];
/** To which nothing is ever sealed. */
const STRANGE = ['quiet', 'init=/bin/sh'];
/** One more page of zeros, which the kernel passes over between archives. */
const PAGE = Buffer.alloc(4096);

const tools = (): Tree => ({
  ...programTree('/usr/bin/keyctl'),
  // The person at the console, who knows the code.
  '/usr/bin/systemd-ask-password': program(`cat ${IN}/code`),
  '/usr/lib/assay/open-evm-key': { text: readFileSync(join(PROJECT, 'initramfs/open-evm-key'), 'utf8'), mode: 0o755 },
  '/srv': { folder: true },
});

/** As a hook of an initramfs does. */
const openAt = (root: string, masters: string): Step =>
  shell(
    `/usr/lib/assay/open-evm-key -n 1 -m ${masters} ${root}/etc/assay/evm 2>${OUT}/said; echo $? >${OUT}/opened; cat /sys/kernel/security/evm >${OUT}/evm`,
  );
const open = openAt('', '/etc/assay/evm.masters');
const assayKey = (...args: readonly string[]): string[] => ['node', `${GUEST_PROJECT}/src/cli/main.ts`, 'key', ...args];
const TPM = ['--tpm', 'device:/dev/tpmrm0'];

describe('EVM with a key that only the right boot state gives', { skip, timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-evm-key-'));
  const place = (name: string): string => join(folder, name);
  let guest: Guest;
  let first: Boot;
  let code = '';
  let payload: Buffer;
  let changes: Readonly<Record<string, Pick<BootOptions, 'commandLine' | 'kernel' | 'initramfs'>>>;

  before(async () => {
    const tree = { ...nodeTree(), ...projectTree(), ...tools() };
    guest = await makeGuest({ kernel: 'judge', tree, banks: ['sha256'], diskMegabytes: 400 });
    await provision();
    const setup = [...assayKey('evm-setup', '--seal', '--pcrs', SEALED_TO, '--recovery', '--json'), ...TPM];
    first = await guest.boot({
      commandLine: FIRST,
      script: [
        keepBootLog('boot'),
        runInto('made', ...setup),
        runInto('evm', 'cat', '/sys/kernel/security/evm'),
        shell('for slot in /etc/assay/evm/*; do cat $slot/fingerprint; echo; done >/etc/assay/evm.masters'),
      ],
    });
    const made = JSON.parse(first.file('made').toString());
    assert.deepEqual([made.evm, first.file('evm').toString().trim()], ['on', '1']);
    code = made.recoveryCode;
    writeFileSync(place('code'), code);
    await guest.onDisk(label);
    copyFileSync(guest.initramfs, place('initrd'));
    appendFileSync(place('initrd'), PAGE);
    changes = {
      kernel: { commandLine: FIRST, kernel: await changedKernel(first.payload.kernel, place('kernel')) },
      initrd: { commandLine: FIRST, initramfs: place('initrd') },
      'command line': { commandLine: OTHER_LINE },
    };
  });
  after(async () => {
    await guest?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  async function provision(): Promise<void> {
    await using running = await runSwtpm(guest.tpmState);
    await keepStorageKey(await running.client(), 0x81000001);
  }

  /** By the payload that the recovery code gives, on a machine without a TPM. */
  async function label(root: string): Promise<void> {
    const recover = ['key', 'recover', join(root, 'etc/assay/evm.key'), '--code', `file:${place('code')}`];
    const { status, stdout, stderr } = await finished(ASSAY, recover);
    assert.equal(status, 0, stderr.toString());
    payload = stdout;
    const path = join(root, 'srv/labelled');
    writeFileSync(path, 'labelled', { mode: 0o644 });
    setXattr(path, 'security.ima', encodeImaDigest('sha256', digest('sha256', Buffer.from('labelled'))));
    setXattr(path, 'security.evm', hmacLabel(payload, readEvmMetadata(path).metadata));
  }

  /** What a boot answered. */
  const answer = (boot: Boot) => ({
    answers: [boot.file('opened').toString().trim(), boot.file('evm').toString().trim()],
    said: boot.file('said').toString(),
  });
  const NO = { files: { code: 'nonsense\n' } };

  async function opens(by: string, boot: Boot): Promise<void> {
    const { answers, said } = answer(boot);
    assert.deepEqual(answers, ['0', '1'], said);
    assert.match(said, new RegExp(`opened by its ${by} protector`));
  }

  async function refuses(boot: Boot): Promise<void> {
    const { answers, said } = answer(boot);
    assert.deepEqual(answers, ['1', '0'], said);
    assert.match(said, /PCR sha256:4,9 are not as they were/);
    assert.doesNotMatch(said, /[0-9a-f]{40}/);
  }

  test('in the state that it was made in EVM is on, and the kernel’s labels are under this key', async () => {
    const change = run('chmod', '640', '/srv/labelled'); // allowed where its label holds; the kernel then writes a new one
    await opens('tpm', await guest.boot({ commandLine: FIRST, script: [open, change] }));
    const status = await guest.onDisk((root) => {
      const { metadata, label: xattr } = readEvmMetadata(join(root, 'srv/labelled'));
      assert.equal(metadata.mode & 0o777, 0o640);
      return appraiseEvm({ xattr, metadata, hmacKey: payload }).status;
    });
    assert.equal(status, 'pass');
  });

  for (const what of ['kernel', 'initrd', 'command line']) {
    test(`after another ${what} it does not load, and nothing says what it is`, async () => {
      await refuses(await guest.boot({ commandLine: FIRST, ...changes[what], script: [open], ...NO }));
    });
  }

  /** What `assay boot predict` says of a boot that was never made. */
  async function predicted({ commandLine, kernel: image, initramfs }: Partial<BootOptions>): Promise<Buffer> {
    writeFileSync(place('log'), first.file('boot'));
    writeFileSync(place('line'), guest.loadOptions(commandLine ?? []));
    const files = ['--kernel', image ?? first.payload.kernel, '--initrd', initramfs ?? first.payload.initramfs];
    const base = ['--cmdline-file', place('line'), '--memory', `${MEMORY_MEGABYTES}`, '--base', place('log'), '--json'];
    const { status, stdout, stderr } = await finished(ASSAY, ['boot', 'predict', 'qemu-kernel', ...files, ...base]);
    assert.equal(status, 0, stderr.toString());
    return stdout;
  }

  test('sealed anew to what is predicted of each change, it loads there, and where it was as well', async () => {
    const names = Object.keys(changes);
    const files: Record<string, Buffer> = {};
    for (const [index, change] of Object.values(changes).entries())
      files[`next-${index}.json`] = await predicted(change);
    const values = names.flatMap((_, index) => ['--pcr-values', `${IN}/next-${index}.json`]);
    const reseal = assayKey('reseal', '/etc/assay/evm.key', '--pcrs', SEALED_TO, ...values, '--now', ...TPM);
    await opens('tpm', await guest.boot({ commandLine: FIRST, files, script: [run(...reseal), open] }));
    for (const what of names) {
      await opens('tpm', await guest.boot({ commandLine: FIRST, ...changes[what], script: [open], ...NO }));
    }
  });

  test('where it is sealed to nothing of the kind, its recovery code opens it', async () => {
    await refuses(await guest.boot({ commandLine: STRANGE, script: [open], ...NO }));
    await opens('recovery', await guest.boot({ commandLine: STRANGE, script: [open], files: { code: `${code}\n` } }));
  });

  test('one command sets EVM up; its master key is then unsealed by the kernel, where it is the one of the image', async () => {
    const root = '/srv/other';
    const seal = ['--seal', '--kernel-unseals', '--recovery', '--json', ...TPM];
    const made = await guest.boot({
      commandLine: FIRST,
      script: [
        run('mkdir', '-p', `${root}/etc`),
        runInto('made', ...assayKey('evm-setup', '--root', root, ...seal)),
        runInto('evm', 'cat', '/sys/kernel/security/evm'),
        shell(`for slot in ${root}/etc/assay/evm/*; do cat $slot/fingerprint; echo; done >/srv/masters`),
      ],
    });
    assert.equal(JSON.parse(made.file('made').toString()).evm, 'on');
    assert.equal(made.file('evm').toString().trim(), '1');
    const openOther = openAt(root, '/srv/masters');
    const reopen = () => guest.boot({ commandLine: STRANGE, script: [openOther], ...NO });
    await opens('tpm', await reopen());
    // Another blob of the same TPM, as everybody who reaches the TPM can make one.
    await guest.onDisk((disk) => {
      const slot = join(disk, root, 'etc/assay/evm/1-tpm');
      writeFileSync(join(slot, 'blob'), readFileSync(join(disk, 'etc/assay/evm/1-tpm/blob')));
    });
    const { answers, said } = answer(await reopen());
    assert.deepEqual(answers, ['1', '0'], said);
    assert.match(said, /is not this image's/);
  });
});
