/** PCR 11 of unified kernel images against systemd-measure, and the digest of images against osslsigncode. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_PHASES, predictUki, signPolicies } from '../../src/boot/index.ts';
import { digest } from '../../src/bytes/index.ts';
import { makePe } from '../fixtures/pe-image.ts';
import { requires } from './requirements.ts';

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

function systemdMeasure(args: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'assay-measure-'));
  try {
    const files = Object.entries(PARTS).map(([name, bytes]) => {
      writeFileSync(join(folder, name), bytes);
      return `--${name}=${join(folder, name)}`;
    });
    const banks = BANKS.map((bank) => `--bank=${bank}`);
    return execFileSync('/lib/systemd/systemd-measure', ['calculate', '--json=short', ...files, ...banks, ...args], {
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

test('PCR 11 is systemd-measure’s, before user space and in each phase', requires('systemd-measure'), () => {
  assert.deepEqual(ours([':']), theirs(systemdMeasure(['--phase=:'])));
  assert.deepEqual(ours(DEFAULT_PHASES), theirs(systemdMeasure([])));
});

test('signed policies are over PolicyPCR’s digest, by the key that they name', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const prediction = predictUki(UKI, ['sha256'], ':');
  const [policy] = signPolicies([prediction], [11], privateKey).sha256 ?? [];
  assert.ok(policy);
  // TPM2_PolicyPCR (Part 3, 23.7): H(0 ‖ TPM_CC_PolicyPCR ‖ TPML_PCR_SELECTION ‖ H(values)).
  const values = digest('sha256', Buffer.from(prediction.pcrs.sha256?.['11'] ?? '', 'hex'));
  const selection = Buffer.from('00000001' + '000b' + '03' + '000800', 'hex');
  const pol = digest('sha256', Buffer.alloc(32), Buffer.from('0000017f', 'hex'), selection, values);
  assert.equal(policy.pol, pol.toString('hex'));
  assert.ok(verify('sha256', pol, publicKey, Buffer.from(policy.sig, 'base64')));
  assert.equal(policy.pkfp, digest('sha256', publicKey.export({ type: 'pkcs1', format: 'der' })).toString('hex'));
});
