/**
 * `initramfs/open-evm-key` with this machine's kernel, keyctl and argon2, and swtpm: everything but EVM itself, whose switch
 * is a file here. That the kernel's EVM takes the key is seen in a guest.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { ASSAY, type KeyCommands, keyCommands, PARENT } from '../fixtures/key-commands.ts';
import { requires } from './requirements.ts';

/** Node's sockets do not wait, as a TPM's device does. */
const BLOCKING = ['-MFcntl', '-e', '$^F = 3; open(T, "+<&=3"); fcntl(T, F_SETFL, O_RDWR); exec @ARGV'];
const OPENER = join(import.meta.dirname, '../../initramfs/open-evm-key');

describe('open-evm-key', requires('swtpm', 'tpm2_quote', 'keyctl', 'argon2'), () => {
  let key: KeyCommands;
  let code = '';
  const file = (name: string): string => key.file(name);
  const path = 'root/etc/assay/evm.key';
  const keys = (): string => file('root/etc/assay/evm');

  before(async () => {
    key = await keyCommands();
    mkdirSync(file('root'));
    mkdirSync(file('bin'));
    writeFileSync(file('password'), 'open sesame\n');
    writeFileSync(file('pin'), '1234\n');
    // The person at the console: each question takes the next line.
    writeFileSync(
      file('bin/systemd-ask-password'),
      '#!/bin/sh\necho "$2" >>asked\nhead -n 1 answers\nsed -i 1d answers\n',
    );
    chmodSync(file('bin/systemd-ask-password'), 0o755);
    await key.tool('tpm2_dictionarylockout', '-s', '-n', '100', '-t', '1000', '-l', '1000');
    const options = ['--seal', '--pcrs', 'sha256:16', '--password', 'file:password', '--recovery'];
    const made = await key.ok('evm-setup', '--root', 'root', '--no-load', ...options, '--json');
    code = JSON.parse(made.toString()).recoveryCode;
    keepMasters();
  });
  after(() => key[Symbol.asyncDispose]());

  /** As the hooks put them into the image. */
  const fingerprints = (): string =>
    readdirSync(keys())
      .map((slot) => `${readFileSync(join(keys(), slot, 'fingerprint'), 'latin1')}\n`)
      .join('');

  const keepMasters = (): void => writeFileSync(file('masters'), fingerprints());

  /** @param tpm whether there is one */
  async function open(answers: readonly string[], { masters = 'masters', tries = '2', tpm = true } = {}) {
    writeFileSync(file('switch'), '');
    writeFileSync(file('asked'), '');
    writeFileSync(file('answers'), answers.map((line) => `${line}\n`).join(''));
    const socket = connect(join(key.running.folder, 'socket'));
    await once(socket, 'connect');
    const options = ['-t', tpm ? '-' : '/nowhere', '-m', file(masters), '-r', '@s', '-e', file('switch'), '-n', tries];
    const child = spawn('perl', [...BLOCKING, 'keyctl', 'session', '-', OPENER, ...options, keys()], {
      cwd: key.folder,
      env: { ...process.env, PATH: `${file('bin')}:${process.env.PATH ?? ''}` },
      stdio: ['ignore', 'ignore', 'pipe', socket],
    });
    assert.ok(child.stderr !== null);
    const [said, [status]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    socket.destroy();
    const asked = readFileSync(file('asked'), 'utf8').trimEnd().split('\n').filter(Boolean);
    return { status, said, asked, evm: readFileSync(file('switch'), 'latin1').trim() };
  }

  async function opens(by: string, ...answers: readonly string[]): Promise<{ said: string; asked: string[] }> {
    const { status, said, evm, asked } = await open(answers);
    assert.deepEqual([status, evm], [0, '1'], said);
    assert.match(said, new RegExp(`opened by its ${by} protector`));
    return { said, asked };
  }

  async function fails(reason: RegExp, ...answers: readonly string[]): Promise<{ said: string; asked: string[] }> {
    const { status, said, evm, asked } = await open(answers);
    assert.deepEqual([status, evm], [1, ''], said);
    assert.match(said, reason);
    assert.doesNotMatch(said, /sesame|barley|1234|4321/);
    return { said, asked };
  }

  const extend = (pcr: number) => key.tool('tpm2_pcrextend', `${pcr}:sha256=${randomBytes(32).toString('hex')}`);

  /** Puts a TPM protector in the place of the one that there is. */
  async function sealAnew(...policy: readonly string[]): Promise<void> {
    const { protectors } = JSON.parse((await key.ok('protector', 'list', path, '--json')).toString());
    for (const { id, kind } of protectors) if (kind === 'tpm') await key.ok('protector', 'remove', path, id);
    await key.ok('protector', 'add', path, '--seal', ...policy, '--open-password', 'file:password');
    keepMasters();
  }

  test('in the right state the TPM opens the key, EVM is switched on, and nobody is asked', async () => {
    const { asked } = await opens('tpm');
    assert.deepEqual(asked, []);
    await opens('tpm'); // nothing was left in the TPM, and no PCR has changed
  });

  test('a master key that the image does not know is not used: the disk is not believed', async () => {
    writeFileSync(file('others'), `${'0'.repeat(64)}\n`);
    const { status, said, evm } = await open(['open sesame', 'open sesame', code, code], { masters: 'others' });
    assert.deepEqual([status, evm], [1, ''], said);
    assert.match(said, /what the TPM unsealed is not this image's key/);
  });

  test('after a refusal the TPM opens nothing more in this boot, though its PCRs were right: a shell comes next', async () => {
    await sealAnew('--pcrs', 'sha1:7+sha256:7');
    await opens('tpm');
    assert.equal((await open(['x', 'x', 'x', 'x'], { masters: 'others' })).status, 1);
    const { said } = await opens('password', 'open sesame');
    assert.match(said, /PCR sha1:7\+sha256:7 are not as they were/);
    const banks = JSON.parse((await key.tool(ASSAY, 'tpm', 'pcrs', '--json')).toString()).pcrs;
    for (const [bank, values] of Object.entries<Record<string, string>>(banks)) {
      const spoiled = Object.keys(values).filter((pcr) => !/^(?:0+|f+)$/.test(values[pcr] ?? ''));
      assert.deepEqual(
        spoiled.slice(0, 16).map(Number),
        Array.from({ length: 16 }, (_, pcr) => pcr),
        bank,
      );
    }
    await sealAnew('--pcrs', 'sha256:16');
  });

  test('a changed key on the disk does not load', async () => {
    const line = join(keys(), '1-tpm', 'line');
    const before = readFileSync(line, 'latin1');
    writeFileSync(line, before.slice(0, -2) + (before.endsWith('00') ? '11' : '00'));
    await fails(/what the TPM unsealed is not this image's key/, 'x', 'x', 'x', 'x');
    writeFileSync(line, before);
  });

  test('an image without fingerprints opens nothing', async () => {
    writeFileSync(file('none'), '');
    assert.equal((await open([], { masters: 'none' })).status, 2);
  });

  test('without a TPM, or by another one, the next protectors are asked', async () => {
    const { status, said } = await open(['open sesame'], { tpm: false });
    assert.equal(status, 0, said);
    assert.match(said, /there is no TPM[\s\S]*opened by its password protector/);
    const sealed = join(keys(), '1-tpm', 'private');
    const before = readFileSync(sealed);
    writeFileSync(sealed, Buffer.from(before).fill(0x5a, 40));
    const { said: why } = await opens('password', 'open sesame');
    assert.match(why, /the TPM does not take the key: another TPM sealed it, or it was changed/);
    writeFileSync(sealed, before);
    const parent = join(keys(), '1-tpm', 'parent');
    writeFileSync(parent, Buffer.from('81000077', 'hex'));
    assert.match((await opens('password', 'open sesame')).said, /the TPM has no storage key where/);
    writeFileSync(parent, Buffer.from(PARENT.toString(16), 'hex'));
    await opens('tpm');
  });

  test('in another state the TPM refuses; password and recovery code open it, wrong ones do not', async () => {
    await extend(16);
    await fails(/PCR sha256:16 are not as they were/, 'open barley', 'sesame', 'nonsense', 'nonsense');
    await opens('password', 'open barley', 'open sesame');
    await opens('recovery', 'x', 'x', code.toLowerCase().replaceAll('-', ' '));
  });

  test('sealed anew to two states it opens again, and the image’s fingerprints still hold', async () => {
    writeFileSync(file('next.json'), JSON.stringify({ sha256: { 16: 'cd'.repeat(32) } }));
    await sealAnew('--pcrs', 'sha256:16');
    await key.ok('reseal', path, '--pcrs', 'sha256:16', '--pcr-values', 'next.json', '--now');
    await opens('tpm');
    await extend(16);
    assert.match((await opens('password', 'open sesame')).said, /PCR sha256:16 are not as they were/);
  });

  test('a PIN is asked for where the PCRs are right, and not where they are not', async () => {
    await sealAnew('--pcrs', 'sha256:16', '--pin', 'file:pin');
    assert.deepEqual((await opens('tpm', '1234')).asked, ["PIN of this machine's TPM"]);
    const { said } = await opens('tpm', '4321', '1234');
    assert.match(said, /this is not the PIN/);
    await fails(/this is not the PIN/, '4321', '4321', 'x', 'x', 'x', 'x');
    assert.match((await opens('password', '', 'open sesame')).said, /opened/); // no PIN, no try
    await extend(16);
    assert.deepEqual((await opens('password', 'open sesame')).asked, ['Password of the EVM key']);
  });

  test('a PIN that tpm2-tools would take for a form of theirs is a PIN all the same', async () => {
    for (const pin of ['hex:1234', '+a b%s\\n$(id)ü€']) {
      writeFileSync(file('odd-pin'), pin);
      await sealAnew('--pin', 'file:odd-pin');
      await opens('tpm', pin);
    }
  });

  test('after too many wrong PINs it is said that the TPM answers none, and no further one is asked for', async () => {
    await sealAnew('--pin', 'file:pin');
    await key.tool('tpm2_dictionarylockout', '-c');
    await key.tool('tpm2_dictionarylockout', '-s', '-n', '1', '-t', '1000', '-l', '1000');
    const { said, asked } = await fails(/there were too many wrong ones/, '4321', '1234', 'x', 'x', 'x', 'x');
    assert.match(said, /this is not the PIN/);
    assert.equal(asked.filter((question) => question.startsWith('PIN')).length, 2);
    await key.tool('tpm2_dictionarylockout', '-c');
    await opens('tpm', '1234');
  });

  test('what the key’s owner has signed opens it, one of several, and what is kept later', async () => {
    const owner = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(file('owner.pem'), owner.publicKey.export({ type: 'spki', format: 'pem' }));
    writeFileSync(file('owner.key'), owner.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const sign = async (name: string, pcrs: string): Promise<void> => {
      await key.tool(
        'sh',
        '-c',
        'tpm2_startauthsession -S s.ctx && tpm2_policypcr -Q -S s.ctx -l "$1" -L pol',
        'sh',
        `sha256:${pcrs}`,
      );
      await key.tool('tpm2_flushcontext', 's.ctx');
      await key.tool('openssl', 'dgst', '-sha256', '-sign', 'owner.key', '-out', 'sig', 'pol');
      const [pol, sig] = [readFileSync(file('pol')).toString('hex'), readFileSync(file('sig')).toString('base64')];
      writeFileSync(file(name), JSON.stringify({ sha256: [{ pcrs: pcrs.split(',').map(Number), pol, sig }] }));
    };
    await sign('before.json', '16');
    await extend(16);
    await sign('now.json', '16');
    await sealAnew('--authorize', 'owner.pem', '--approve', 'before.json', '--pin', 'file:pin');
    assert.match(
      (await opens('password', 'open sesame')).said,
      /nothing that its owner signed is about the PCRs as they are/,
    );
    await key.ok('reseal', path, '--approve', 'now.json');
    await opens('tpm', '1234');
    await key.ok('reseal', path, '--approve', 'before.json');
    await opens('tpm', '1234');
    // A stranger's signature in the place of the owner's: the TPM says no.
    const [signed = ''] = readdirSync(join(keys(), '1-tpm')).filter((name) => name === 'signed-02');
    const signature = join(keys(), '1-tpm', signed, 'signature');
    const bytes = readFileSync(signature);
    writeFileSync(signature, bytes.fill(0x33, 20));
    assert.match((await opens('password', 'open sesame')).said, /the TPM does not open the key/);
  });

  test('what is left of a secret, in files that it makes: nothing', async () => {
    const left = readdirSync('/run').filter((name) => name.startsWith('assay.'));
    assert.deepEqual(left, []);
  });
});
