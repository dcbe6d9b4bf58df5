/**
 * A machine whose EVM runs with a key that only its own boot state gives: made by `assay key`, opened at boot by
 * `initramfs/open-evm-key`, refused after another command line, sealed anew to a predicted one before that is booted,
 * and recovered by its code. TPM, kernel and its EVM are the judges.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { predictBoot } from '../../src/boot/index.ts';
import { digest, fromHex } from '../../src/bytes/index.ts';
import { appraiseEvm, hmacLabel, readEvmMetadata } from '../../src/evm/index.ts';
import { encodeImaDigest } from '../../src/ima/index.ts';
import {
  bootFiles,
  encodeProtectedKey,
  masterText,
  newProtectorId,
  type ProtectedKey,
  recoveryProtector,
  sealTrustedKey,
  slotFor,
} from '../../src/keys/index.ts';
import { setXattr } from '../../src/sys/index.ts';
import * as t from '../../src/tpm/index.ts';
import { Swtpm } from '../../src/vtpm/index.ts';
import { logOf } from '../guest/boot-judgement.ts';
import { describedBoot } from '../guest/described-boot.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import { keepBootLog } from '../guest/lists.ts';
import { keepPcrs, parsePcrs } from '../guest/pcrs.ts';
import { IN, keep, OUT, run, runInto, type Step, shell } from '../guest/script.ts';
import { GUEST_PROJECT, nodeTree, program, programTree, projectTree, type Tree } from '../guest/tree.ts';
import { requires, requiresMounts, requiresPath } from '../system/requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const programs = requires('keyctl', 'tpm2_quote');
const kernel = requiresPath('ASSAY_JUDGE_KERNEL', 'judge kernel');
const skip = machine.skip || programs.skip || kernel.skip || requiresMounts().skip;

const PROJECT = join(import.meta.dirname, '../..');
const PARENT = 0x81000001;
const NONE = new Uint8Array(0);
/** The kernel's image, its command line and its initramfs (EFI stub). */
const SEALED_TO = [4, 9];
const FIRST = ['quiet'];
const SECOND = ['quiet', 'audit=1'];
const THIRD = ['quiet', 'init=/bin/sh'];

const TPM2_TOOLS = ['load', 'startauthsession', 'policypcr', 'policyor', 'policyauthvalue', 'unseal', 'flushcontext'];

function tools(): Tree {
  const multicall = programTree('/usr/bin/tpm2');
  const tcti = readdirSync('/usr/lib/x86_64-linux-gnu').find((name) => name === 'libtss2-tcti-device.so.0');
  assert.ok(tcti !== undefined, 'libtss2-tcti-device.so.0');
  const place = `/usr/lib/x86_64-linux-gnu/${tcti}`;
  return {
    ...multicall,
    ...programTree(place),
    [place]: { copy: place },
    ...Object.fromEntries(TPM2_TOOLS.map((name) => [`/usr/bin/tpm2_${name}`, { link: '/usr/bin/tpm2' }] as const)),
    ...programTree('/usr/bin/keyctl'),
    // The person at the console, who knows the code.
    '/usr/bin/systemd-ask-password': program(`cat ${IN}/code`),
    '/usr/lib/assay/open-evm-key': { text: readFileSync(join(PROJECT, 'initramfs/open-evm-key'), 'utf8'), mode: 0o755 },
    '/srv': { folder: true },
  };
}

const open: Step = shell(
  `ASSAY_TRIES=1 /usr/lib/assay/open-evm-key /etc/assay/evm 2>${OUT}/said; echo $? >${OUT}/opened; cat /sys/kernel/security/evm >${OUT}/evm`,
);

describe('EVM with a key that only the right boot state gives', { skip, timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-evm-key-'));
  const payload = randomBytes(64);
  let guest: Guest;
  let first: Boot;
  let code = '';

  before(async () => {
    guest = await makeGuest({
      kernel: 'judge',
      tree: { ...nodeTree(), ...projectTree(), ...tools() },
      banks: ['sha256'],
      diskMegabytes: 400,
    });
    first = await guest.boot({ commandLine: FIRST, script: [keepBootLog('boot'), keepPcrs('pcrs', ['sha256'])] });
    const made = await makeKey(first);
    code = made.code;
    await guest.onDisk((root) => install(root, made.key));
  });
  after(async () => {
    await guest[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** As `assay key evm-setup` does it, with the machine's TPM while the machine is off. */
  async function makeKey(boot: Boot): Promise<{ key: ProtectedKey; code: string }> {
    await using swtpm = await Swtpm.start({
      state: join(dirname(guest.variables), 'tpm-state'),
      control: join(folder, 'control'),
      data: { path: join(folder, 'socket') },
      endsWithParent: true,
    });
    const { address } = swtpm;
    if (address.kind === 'software') throw new TypeError('swtpm is no software TPM of ours');
    const tpm = new t.TpmClient(await t.openTransport(address));
    try {
      await provision(tpm);
      const master = masterText(randomBytes(32));
      const pcrs = parsePcrs(boot.file('pcrs').toString()).sha256 ?? {};
      const values = SEALED_TO.map((pcr) => ({ bank: 'sha256' as const, pcr, value: fromHex(pcrs[pcr] ?? '') }));
      const policy: t.Policy = [{ kind: 'pcr', values }];
      const blob = await sealTrustedKey(tpm, { payload: master, parent: PARENT, policy });
      const slot = slotFor(newProtectorId('tpm'), payload, master);
      const recovery = recoveryProtector(payload);
      const protectors = [{ ...slot, kind: 'tpm', blob, policy } as const, recovery.protector];
      return { key: { size: payload.length, protectors }, code: recovery.code };
    } finally {
      await tpm.close();
    }
  }

  function install(root: string, key: ProtectedKey): void {
    const place = join(root, 'etc/assay');
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'evm.key'), encodeProtectedKey(key), { mode: 0o600 });
    for (const { path, content } of bootFiles(key)) {
      mkdirSync(dirname(join(place, 'evm', path)), { recursive: true });
      writeFileSync(join(place, 'evm', path), content);
    }
    const masters = key.protectors.map(({ fingerprint }) => `${fingerprint}\n`).join('');
    writeFileSync(join(place, 'evm.masters'), masters);
    const labelled = join(root, 'srv/labelled');
    writeFileSync(labelled, 'labelled', { mode: 0o644 });
    setXattr(labelled, 'security.ima', encodeImaDigest('sha256', digest('sha256', Buffer.from('labelled'))));
    setXattr(labelled, 'security.evm', hmacLabel(payload, readEvmMetadata(labelled).metadata));
  }

  /** What a boot answered. */
  const answer = (boot: Boot) => ({
    opened: boot.file('opened').toString().trim(),
    evm: boot.file('evm').toString().trim(),
    said: boot.file('said').toString(),
  });

  test('in the state that it was sealed to EVM is on, and the kernel’s labels are under this key', async () => {
    const boot = await guest.boot({
      commandLine: FIRST,
      script: [
        open,
        run('chmod', '640', '/srv/labelled'), // allowed where its label holds; the kernel then writes a new one
      ],
    });
    assert.deepEqual([answer(boot).opened, answer(boot).evm], ['0', '1'], answer(boot).said);
    const status = await guest.onDisk((root) => {
      const { metadata, label: xattr } = readEvmMetadata(join(root, 'srv/labelled'));
      assert.equal(metadata.mode & 0o777, 0o640);
      return appraiseEvm({ xattr, metadata, hmacKey: payload }).status;
    });
    assert.equal(status, 'pass');
  });

  test('after another command line it does not load, and nothing says what it is', async () => {
    const boot = await guest.boot({ commandLine: SECOND, script: [open], files: { code: 'nonsense\n' } });
    assert.deepEqual([answer(boot).opened, answer(boot).evm], ['1', '0'], answer(boot).said);
    assert.match(answer(boot).said, /PCR sha256:4,9 are not as they were/);
  });

  test('sealed anew to the predicted state before that is booted, it loads there; elsewhere its code recovers it', async () => {
    const { payload: files } = first;
    const described = describedBoot(guest, { esp: {}, payload: files, words: SECOND });
    const { pcrs, refusals } = predictBoot({ boot: described, base: logOf(first), banks: ['sha256'] });
    assert.deepEqual(
      refusals.filter(({ pcr }) => SEALED_TO.includes(pcr)),
      [],
    );
    const next = Object.fromEntries(SEALED_TO.map((pcr) => [pcr, pcrs.sha256?.[pcr]]));
    const reseal = ['node', `${GUEST_PROJECT}/src/cli/main.ts`, 'key', 'reseal', '/etc/assay/evm.key'];
    const resealed = await guest.boot({
      commandLine: FIRST,
      files: { 'next.json': JSON.stringify({ sha256: next }) },
      script: [
        run(
          ...reseal,
          '--tpm',
          'device:/dev/tpmrm0',
          '--pcrs',
          'sha256:4,9',
          '--pcr-values',
          `${IN}/next.json`,
          '--now',
        ),
        open,
        keep('/etc/assay/evm.key', 'evm.key'),
      ],
    });
    assert.deepEqual([answer(resealed).opened, answer(resealed).evm], ['0', '1'], answer(resealed).said);
    const booted = await guest.boot({ commandLine: SECOND, script: [open] });
    assert.deepEqual([answer(booted).opened, answer(booted).evm], ['0', '1'], answer(booted).said);
    assert.match(answer(booted).said, /opened by its tpm protector/);
    const recovered = await guest.boot({ commandLine: THIRD, script: [open], files: { code: `${code}\n` } });
    assert.deepEqual([answer(recovered).opened, answer(recovered).evm], ['0', '1'], answer(recovered).said);
    assert.match(answer(recovered).said, /opened by its recovery protector/);
  });

  test('one command sets EVM up; its master key is then unsealed by the kernel, where it is the one of the image', async () => {
    const [main, root] = [`${GUEST_PROJECT}/src/cli/main.ts`, '/srv/other'];
    const seal = ['--seal', '--kernel-unseals', '--recovery', '--tpm', 'device:/dev/tpmrm0', '--json'];
    const made = await guest.boot({
      commandLine: FIRST,
      script: [
        run('mkdir', '-p', `${root}/etc`),
        runInto('made', 'node', main, 'key', 'evm-setup', '--root', root, ...seal),
        runInto('evm', 'cat', '/sys/kernel/security/evm'),
        shell(`for slot in ${root}/etc/assay/evm/*; do cat $slot/fingerprint; echo; done >/srv/masters`),
      ],
    });
    assert.equal(JSON.parse(made.file('made').toString()).evm, 'on');
    assert.equal(made.file('evm').toString().trim(), '1');
    const openOther = shell(
      `ASSAY_MASTERS=/srv/masters ASSAY_TRIES=1 /usr/lib/assay/open-evm-key ${root}/etc/assay/evm 2>${OUT}/said; echo $? >${OUT}/opened; cat /sys/kernel/security/evm >${OUT}/evm`,
    );
    const reopen = () => guest.boot({ commandLine: THIRD, script: [openOther], files: { code: 'nonsense\n' } });
    const opened = answer(await reopen());
    assert.deepEqual([opened.opened, opened.evm], ['0', '1'], opened.said);
    assert.match(opened.said, /opened by its tpm protector/);
    // Another blob of the same TPM, as everybody who reaches the TPM can make one.
    await guest.onDisk((disk) => {
      const slot = join(disk, root, 'etc/assay/evm/1-tpm');
      writeFileSync(join(slot, 'blob'), readFileSync(join(disk, 'etc/assay/evm/1-tpm/blob')));
    });
    const refused = answer(await reopen());
    assert.deepEqual([refused.opened, refused.evm], ['1', '0'], refused.said);
    assert.match(refused.said, /is not this image's/);
  });
});

/** The storage root key, kept at PARENT. */
async function provision(tpm: t.TpmClient): Promise<void> {
  const { template } = t.EK_PROFILES.p256;
  const objectAttributes = { ...template.objectAttributes, adminWithPolicy: false, userWithAuth: true, noDA: true };
  const { objectHandle } = await tpm.execute(t.TPM2_CreatePrimary, {
    primaryHandle: t.TPM_RH.OWNER,
    inSensitive: { userAuth: NONE, data: NONE },
    inPublic: { ...template, objectAttributes, authPolicy: NONE },
    outsideInfo: NONE,
    creationPCR: [],
  });
  await tpm.execute(t.TPM2_EvictControl, { auth: t.TPM_RH.OWNER, objectHandle, persistentHandle: PARENT });
  await tpm.execute(t.TPM2_FlushContext, { flushHandle: objectHandle });
}
