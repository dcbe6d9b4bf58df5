/**
 * `initramfs/open-evm-key` with this machine's kernel, keyctl, tpm2-tools and argon2: everything but EVM itself, whose
 * switch is a file here. That the kernel's EVM takes the key is seen in a guest.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { finished } from '../fixtures/finished.ts';
import { type RunningSwtpm, runSwtpm } from '../fixtures/running-swtpm.ts';
import { requires } from './requirements.ts';

const ROOT = join(import.meta.dirname, '../..');
const ASSAY = join(ROOT, 'bin/assay');
const OPENER = join(ROOT, 'initramfs/open-evm-key');

describe('open-evm-key', requires('swtpm', 'tpm2_quote', 'keyctl', 'argon2'), () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-opener-'));
  const file = (name: string): string => join(folder, name);
  const environment: NodeJS.ProcessEnv = { ...process.env };
  const keys = file('root/etc/assay/evm');
  let running: RunningSwtpm;
  let code = '';
  async function tool(program: string, ...args: string[]): Promise<Buffer> {
    const { status, stdout, stderr } = await finished(program, args, { cwd: folder, env: environment });
    assert.equal(status, 0, `${program}: ${stderr.toString()}`);
    return stdout;
  }

  before(async () => {
    running = await runSwtpm();
    environment.TPM2TOOLS_TCTI = running.name;
    environment.ASSAY_TPM = running.name;
    await tool('tpm2_createprimary', '-Q', '-C', 'o', '-c', 'primary.ctx');
    await tool('tpm2_evictcontrol', '-Q', '-C', 'o', '-c', 'primary.ctx', '0x81000001');
    await tool('tpm2_flushcontext', '-t');
    mkdirSync(file('root'));
    mkdirSync(file('bin'));
    writeFileSync(file('password'), 'open sesame\n');
    // The person at the console: each question takes the next line.
    writeFileSync(file('bin/systemd-ask-password'), '#!/bin/sh\nhead -n 1 answers\nsed -i 1d answers\n');
    chmodSync(file('bin/systemd-ask-password'), 0o755);
    const options = ['--seal', '--pcrs', 'sha256:16', '--password', 'file:password', '--recovery'];
    const made = await tool(ASSAY, 'key', 'evm-setup', '--root', file('root'), '--no-load', ...options, '--json');
    code = JSON.parse(made.toString()).recoveryCode;
    writeFileSync(file('masters'), fingerprints());
  });
  after(async () => {
    await running[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** As the hooks put them into the image. */
  const fingerprints = (): string =>
    readdirSync(keys)
      .map((slot) => `${readFileSync(join(keys, slot, 'fingerprint'), 'latin1')}\n`)
      .join('');

  async function open(answers: readonly string[], masters = 'masters') {
    writeFileSync(file('switch'), '');
    writeFileSync(file('answers'), answers.map((line) => `${line}\n`).join(''));
    const env = {
      ...environment,
      PATH: `${file('bin')}:${process.env.PATH ?? ''}`,
      ASSAY_EVM: file('switch'),
      ASSAY_MASTERS: file(masters),
      ASSAY_KEYRING: '@s',
      ASSAY_TRIES: '2',
    };
    const { status, stderr } = await finished('keyctl', ['session', '-', OPENER, keys], { cwd: folder, env });
    return { status, said: stderr.toString(), evm: readFileSync(file('switch'), 'latin1').trim() };
  }

  test('in the right state the TPM opens the key and EVM is switched on', async () => {
    const { status, said, evm } = await open([]);
    assert.deepEqual([status, evm], [0, '1'], said);
    assert.match(said, /opened by its tpm protector/);
  });

  test('a master key that the image does not know is not used: the disk is not believed', async () => {
    writeFileSync(file('others'), `${'0'.repeat(64)}\n`);
    const { status, said, evm } = await open(['open sesame', 'open sesame', code, code], 'others');
    assert.deepEqual([status, evm], [1, ''], said);
  });

  test('a changed key on the disk does not load', async () => {
    const line = join(keys, '1-tpm', 'line');
    const before = readFileSync(line, 'latin1');
    writeFileSync(line, before.slice(0, -2) + (before.endsWith('00') ? '11' : '00'));
    assert.equal((await open(['x', 'x', 'x', 'x'])).status, 1);
    writeFileSync(line, before);
  });

  test('an image without fingerprints opens nothing', async () => {
    writeFileSync(file('none'), '');
    assert.equal((await open([], 'none')).status, 2);
  });

  test('in another state the TPM refuses; password and recovery code open it, wrong ones do not', async () => {
    await tool('tpm2_pcrextend', `16:sha256=${'ab'.repeat(32)}`);
    const wrong = await open(['open barley', 'sesame', 'nonsense', 'nonsense']);
    assert.deepEqual([wrong.status, wrong.evm], [1, ''], wrong.said);
    assert.match(wrong.said, /PCR sha256:16 are not as they were/);
    assert.doesNotMatch(wrong.said, /sesame|barley/);
    const password = await open(['open barley', 'open sesame']);
    assert.deepEqual([password.status, password.evm], [0, '1'], password.said);
    const recovered = await open(['x', 'x', code.toLowerCase().replaceAll('-', ' ')]);
    assert.deepEqual([recovered.status, recovered.evm], [0, '1'], recovered.said);
    assert.match(recovered.said, /opened by its recovery protector/);
  });

  test('sealed anew to two states it opens again, and the image’s fingerprints still hold', async () => {
    const path = file('root/etc/assay/evm.key');
    writeFileSync(file('next.json'), JSON.stringify({ sha256: { 16: 'cd'.repeat(32) } }));
    const added = [
      'protector',
      'remove',
      path,
      readFileSync(join(keys, '1-tpm/master'), 'latin1').replace('user:assay-', ''),
    ];
    await tool(ASSAY, 'key', ...added);
    await tool(
      ASSAY,
      'key',
      'protector',
      'add',
      path,
      '--seal',
      '--pcrs',
      'sha256:16',
      '--open-password',
      'file:password',
    );
    writeFileSync(file('masters'), fingerprints());
    await tool(ASSAY, 'key', 'reseal', path, '--pcrs', 'sha256:16', '--pcr-values', 'next.json', '--now');
    const { status, said } = await open([]);
    assert.equal(status, 0, said);
    assert.match(said, /opened by its tpm protector/);
  });
});
