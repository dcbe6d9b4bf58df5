/** PCR 11 of unified kernel images, and the policies that are signed for it, against systemd-measure (252). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { DEFAULT_PHASES, measurementDigest, predictUki } from '../../src/boot/index.ts';
import { extendPcr } from '../../src/tpm/index.ts';
import { finished } from '../fixtures/finished.ts';
import { makePe } from '../fixtures/pe-image.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { keepStorageKey } from '../fixtures/storage-key.ts';
import { requires } from './requirements.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
const PARTS = {
  linux: Buffer.alloc(5000, 'kernel'),
  osrel: Buffer.from('ID=test\n'),
  cmdline: Buffer.from('console=ttyS0 quiet'),
  initrd: Buffer.alloc(3000, 'initrd'),
  splash: Buffer.from('BM'),
  dtb: Buffer.from('tree'),
  pcrpkey: Buffer.from('key'),
} as const;
const MAGIC = { name: '.sdmagic', content: Buffer.from('#### LoaderInfo: systemd-stub 252.39-1 ####\0') };
/** In another order than the one in which they are measured. */
const SECTIONS = Object.entries(PARTS).map(([name, content]) => ({ name: `.${name}`, content }));
const UKI = { name: 'test.efi', bytes: makePe([MAGIC, ...SECTIONS.toReversed()]) };

function systemdMeasure(verb: 'calculate' | 'sign', args: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'assay-measure-'));
  try {
    const files = Object.entries(PARTS).map(([name, bytes]) => {
      writeFileSync(join(folder, name), bytes);
      return `--${name}=${join(folder, name)}`;
    });
    const banks = BANKS.map((bank) => `--bank=${bank}`);
    return execFileSync('/lib/systemd/systemd-measure', [verb, '--json=short', ...files, ...banks, ...args], {
      encoding: 'utf8',
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const ours = (phases: readonly string[]): unknown =>
  Object.fromEntries(
    BANKS.map((bank) => [bank, phases.map((path) => predictUki(UKI, [bank], path).pcrs[bank]?.['11'])] as const),
  );

function theirs(text: string): unknown {
  const banks: Record<string, { hash: string }[]> = JSON.parse(text);
  return Object.fromEntries(Object.entries(banks).map(([bank, list]) => [bank, list.map(({ hash }) => hash)]));
}

const Policy = Type.Object({
  pcrs: Type.Array(Type.Number()),
  pkfp: Type.String(),
  pol: Type.String(),
  sig: Type.String(),
});
const Signed = Type.Record(Type.String(), Type.Array(Policy));
const withoutSignatures = (signed: Static<typeof Signed> = {}): unknown =>
  Object.entries(signed).map(([bank, list]) => [bank, list.map(({ sig: _, ...policy }) => policy)]);

test('PCR 11 is systemd-measure’s, before user space and in each phase', requires('systemd-measure'), () => {
  assert.deepEqual(ours([':']), theirs(systemdMeasure('calculate', ['--phase=:'])));
  assert.deepEqual(ours(DEFAULT_PHASES), theirs(systemdMeasure('calculate', [])));
});

test('signed policies are those of systemd-measure in each bank and phase; signatures over SHA-256, as a TPM takes them', {
  skip: requires('systemd-measure').skip || requires('swtpm').skip,
}, async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const folder = mkdtempSync(join(tmpdir(), 'assay-sign-'));
  try {
    const [secret, open] = [join(folder, 'key.pem'), join(folder, 'key.pub')];
    writeFileSync(secret, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(open, publicKey.export({ type: 'spki', format: 'pem' }));
    writeFileSync(join(folder, 'uki'), UKI.bytes);
    // It has a TPM compute the policy's digest.
    await using running = await runSwtpm();
    const keys = [`--private-key=${secret}`, `--public-key=${open}`, `--tpm2-device=${running.name}`];
    const theirs = systemdMeasure('sign', keys);
    const ours = await finished(process.execPath, [
      ...[MAIN, 'boot', 'predict', 'uki', '--uki', join(folder, 'uki')],
      ...['--format', 'signed', '--private-key', secret],
    ]);
    assert.equal(ours.status, 0, ours.stderr.toString());
    const [made, expected] = [ours.stdout.toString(), theirs].map((text) => Value.Parse(Signed, JSON.parse(text)));
    assert.deepEqual(made?.sha256, expected?.sha256, 'byte for byte');
    assert.deepEqual(withoutSignatures(made), withoutSignatures(expected));
    // 252 signs with the bank's hash, which TPM2_PolicyAuthorize takes for SHA-256 alone (Part 3, 23.16).
    for (const { pol, sig } of Object.values(made ?? {}).flat()) {
      assert.ok(verify('sha256', Buffer.from(pol, 'hex'), publicKey, Buffer.from(sig, 'base64')));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test(
  'a key that is sealed to a predicted policy opens once the TPM has measured that boot, and in no other',
  requires('swtpm'),
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'assay-sealed-'));
    const place = (name: string): string => join(folder, name);
    try {
      await using running = await runSwtpm();
      const tpm = await running.client();
      await keepStorageKey(tpm, 0x81000001);
      await tpm.close();
      const assay = async (...args: readonly string[]) => {
        const env = { ...process.env, ASSAY_TPM: running.name };
        const { status, stdout, stderr } = await finished(process.execPath, [MAIN, ...args], { env });
        return { status, said: status === 0 ? stdout.toString() : stderr.toString() };
      };
      writeFileSync(place('uki'), UKI.bytes);
      // Several phases: one policy with as many branches.
      const predicted = ['boot', 'predict', 'uki', '--uki', place('uki'), '--format', 'policy'];
      const policy = await assay(...predicted, '--policy-file', place('policy'));
      assert.equal(policy.status, 0, policy.said);
      const option = `policydigest=${policy.said.trim()}`;
      const sealed = await assay('key', 'create', 'trusted', '--keyhandle', '0x81000001', '-o', place('k'), option);
      assert.equal(sealed.status, 0, sealed.said);
      const open = () => assay('key', 'unseal', place('k'), '--policy', place('policy'));
      assert.notEqual((await open()).status, 0);
      const { measurements } = predictUki(UKI, ['sha256'], DEFAULT_PHASES[1]);
      const machine = await running.client();
      for (const measurement of measurements) {
        await extendPcr(machine, 11, [{ hashAlg: 'sha256', digest: measurementDigest(measurement, 'sha256') }]);
      }
      await machine.close();
      const opened = await open();
      assert.equal(opened.status, 0, opened.said);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
