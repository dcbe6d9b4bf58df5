/** `assay key` among enemies: where it writes, what is killed, a full disk, inputs without an end, and who listens. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { finished } from '../fixtures/finished.ts';
import { ASSAY, type KeyCommands, keyCommands } from '../fixtures/key-commands.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { requires, requiresMounts } from './requirements.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

describe('assay key among enemies', requires('swtpm', 'tpm2_quote', 'keyctl'), () => {
  const payload = randomBytes(64);
  const [password, pin] = ['a password of its own', 'a PIN of its own'];
  let key: KeyCommands;
  const file = (name: string): string => key.file(name);

  before(async () => {
    key = await keyCommands();
    writeFileSync(file('payload'), payload);
    writeFileSync(file('password'), `${password}\n`);
    writeFileSync(file('password.crlf'), `${password}\r\n`);
    writeFileSync(file('password.bare'), password);
    writeFileSync(file('pin'), `${pin}\n`);
    writeFileSync(file('master'), randomBytes(32));
    await key.tool('tpm2_dictionarylockout', '-s', '-n', '1000', '-t', '1000', '-l', '1000');
  });
  after(() => key[Symbol.asyncDispose]());

  const trusted = (output: string, ...args: readonly string[]) => [
    ...['create', 'trusted', '--keyhandle', '0x81000001', '--payload-file', 'payload', '-o', output, ...args],
  ];
  const encrypted = (output: string) => [
    ...[
      'create',
      'encrypted',
      '--master',
      'user:m',
      '--master-file',
      'master',
      '--payload-file',
      'payload',
      '-o',
      output,
    ],
  ];
  const protectedKey = (output: string, ...args: readonly string[]) => [
    ...['create', 'protected', '--payload-file', 'payload', '--password', 'file:password', '-o', output, ...args],
  ];

  test('nothing is written through a link, over a key, or in the place of a device', async () => {
    writeFileSync(file('victim'), 'victim');
    symlinkSync('victim', file('link'));
    symlinkSync('nowhere', file('dangling'));
    mkdirSync(file('folder'));
    await key.tool('mknod', 'device', 'c', '1', '3');
    await key.tool('mkfifo', 'pipe');
    for (const output of ['victim', 'link', 'dangling', 'folder', 'device', 'pipe']) {
      const command = output === 'device' ? trusted(output, '--pcrs', 'sha256:16') : encrypted(output);
      const { status, stderr } = await key.assay(...command);
      assert.equal(status, 2, `${output}: ${stderr}`);
      assert.match(stderr.toString(), /is there already, and is not replaced/);
    }
    assert.equal(readFileSync(file('victim'), 'latin1'), 'victim');
    assert.deepEqual([readlinkSync(file('link')), readlinkSync(file('dangling'))], ['victim', 'nowhere']);
    assert.deepEqual([lstatSync(file('device')).isCharacterDevice(), lstatSync(file('pipe')).isFIFO()], [true, true]);
    assert.deepEqual(
      readdirSync(key.folder).filter((name) => /\.policy$|\.new$/.test(name)),
      [],
    );
  });

  test('a file that mktemp made is taken, and what is written is for this user alone', async () => {
    const made = (await key.tool('mktemp', 'made.XXXXXX')).toString().trim();
    await key.ok(...trusted(made, '--pcrs', 'sha256:16'));
    await key.ok(...encrypted('mine'));
    await key.ok(...protectedKey('mine.key'));
    for (const name of [made, `${made}.policy`, 'mine', 'mine.key'])
      assert.equal(statSync(file(name)).mode & 0o777, 0o600, name);
  });

  test('of many who make one file at once one does, and the file is its', async () => {
    const done = await Promise.all(Array.from({ length: 6 }, () => key.assay(...encrypted('contended'), '--json')));
    assert.deepEqual(done.map(({ status }) => status).sort(), [0, 2, 2, 2, 2, 2]);
    assert.deepEqual(await key.ok('unseal', 'contended', '--master-file', 'master'), payload);
  });

  test('who is killed leaves the old key or the new one, and its folder for the boot whole', async () => {
    mkdirSync(file('root'));
    await key.ok(
      'evm-setup',
      '--root',
      'root',
      '--no-load',
      '--seal',
      '--pcrs',
      'sha256:16',
      '--password',
      'file:password',
    );
    const path = 'root/etc/assay/evm.key';
    const whole = (await key.ok('unseal', path, '--password', 'file:password')).toString('hex');
    let killed = 0;
    for (let round = 0; round < 8; round++) {
      const command = round % 2 === 0 ? ['reseal', path, '--pcrs', 'sha256:16', '--now'] : protectorAdd(path);
      const child = spawn(ASSAY, ['key', ...command], { cwd: key.folder, env: key.environment, stdio: 'ignore' });
      const ended = once(child, 'exit');
      await Promise.race([ended, wait(200 + 70 * round)]);
      if (child.kill('SIGKILL')) killed += 1;
      await ended;
      const opened = await key.ok('unseal', path, '--password', 'file:password');
      assert.equal(opened.toString('hex'), whole);
      const folder = file('root/etc/assay/evm');
      for (const slot of readdirSync(folder)) {
        for (const name of ['line', 'master', 'fingerprint']) assert.ok(statSync(`${folder}/${slot}/${name}`).size > 0);
      }
    }
    assert.ok(killed > 2, `${killed}`);
    assert.deepEqual((await key.ok('unseal', path)).toString('hex'), whole, 'and by the TPM');
    await key.ok(...protectorAdd(path));
    assert.deepEqual(readdirSync(file('root/etc/assay')).sort(), ['evm', 'evm.key'], 'nothing is left over');
  });
  const protectorAdd = (path: string) => ['protector', 'add', path, '--recovery', '--open-password', 'file:password'];

  test('a TPM without a storage key gets one, once', async () => {
    await using other = await runSwtpm();
    const made = () => key.ok('create', 'storage', '--tpm', other.name, '--json');
    assert.deepEqual(JSON.parse((await made()).toString()), { keyhandle: '0x81000001', made: true });
    assert.deepEqual(JSON.parse((await made()).toString()), { keyhandle: '0x81000001', made: false });
    await key.ok(...trusted('under-it', '--tpm', other.name));
    assert.deepEqual(await key.ok('unseal', 'under-it', '--tpm', other.name), readFileSync(key.file('payload')));
    const { status, stderr } = await key.assay('create', 'storage', '--tpm', other.name, '--keyhandle', '0x81800000');
    assert.deepEqual([status, /the owner keeps keys from/.test(stderr.toString())], [2, true]);
  });

  test('a blob of another TPM opens nowhere else, whether that has a storage key or none', async () => {
    await key.ok(...trusted('here', '--pcrs', 'sha256:16'));
    await using other = await runSwtpm();
    const there = (...args: readonly string[]) =>
      finished(ASSAY, ['key', ...args], { cwd: key.folder, env: { ...key.environment, ASSAY_TPM: other.name } });
    const reasons = [
      /the TPM has no key at handle 0x81000001/,
      /this TPM did not make the key: another TPM or parent did/,
    ];
    for (const reason of reasons) {
      const { status, stdout, stderr } = await there('unseal', 'here');
      assert.deepEqual([status, stdout.length], [1, 0], stderr.toString());
      assert.match(stderr.toString(), reason);
      assert.equal((await there('create', 'protected', '--seal', '-o', `there-${reasons.indexOf(reason)}`)).status, 0);
    }
  });

  test('on a full disk it fails, and what was there is there', requiresMounts(), async () => {
    mkdirSync(file('full'));
    await key.tool('mount', '-t', 'tmpfs', '-o', 'size=64k', 'full', file('full'));
    try {
      await key.ok(...trusted('full/kept', '--pcrs', 'sha256:16'));
      await key.ok(...protectedKey('full/kept.key', '--seal'));
      const before = readdirSync(file('full')).map((name) => readFileSync(file(`full/${name}`), 'latin1'));
      await finished('dd', ['if=/dev/zero', `of=${file('full/filling')}`, 'bs=4k']);
      for (const command of [
        trusted('full/new', '--pcrs', 'sha256:16'),
        encrypted('full/new'),
        protectedKey('full/new'),
        ['reseal', 'full/kept', '--pcrs', 'sha256:17'],
        ['reseal', 'full/kept.key', '--pcrs', 'sha256:17'],
        ['protector', 'add', 'full/kept.key', '--recovery'],
        ['export', 'full/kept', '--form', 'pem', '-o', 'full/new'],
      ]) {
        const { status, stdout, stderr } = await key.assay(...command);
        assert.deepEqual([status, stdout.length], [2, 0], `${command}: ${stderr}`);
        assert.match(stderr.toString(), /ENOSPC/, command.join(' '));
        assert.doesNotMatch(stderr.toString(), /[0-9A-Z]{5}-[0-9A-Z]{5}-/, 'a code that opens nothing');
      }
      rmSync(file('full/filling'));
      const after = readdirSync(file('full')).map((name) => readFileSync(file(`full/${name}`), 'latin1'));
      assert.deepEqual(after, before);
      assert.deepEqual(await key.ok('unseal', 'full/kept'), payload);
    } finally {
      await key.tool('umount', file('full'));
    }
  });

  test('inputs without an end are refused, and none is waited for', { timeout: 120_000 }, async () => {
    await key.ok(...trusted('sealed', '--pcrs', 'sha256:16'));
    await key.ok(...encrypted('plain'));
    const zero = '/dev/zero';
    for (const command of [
      ['unseal', zero],
      ['show', zero],
      ['protector', 'list', zero],
      ['unseal', 'plain', '--master-file', zero],
      ['unseal', 'sealed', '--policy', zero],
      ['unseal', 'mine.key', '--password', `file:${zero}`],
      ['create', 'trusted', '--keyhandle', '0x81000001', '--payload-file', zero, '-o', 'never'],
      ['create', 'trusted', '--keyhandle', '0x81000001', '-o', 'never', `blobauth=file:${zero}`],
      trusted('never', '--pcrs', 'sha256:16', '--pcr-values', zero),
      trusted('never', '--authorize', zero),
      protectedKey('never', '--usb', zero),
    ]) {
      const { status, stdout, stderr } = await key.assay(...command);
      assert.ok(status === 1 || status === 2, `${command}: ${status} ${stderr}`);
      assert.deepEqual([stdout.length, stderr.toString().split('\n').length], [0, 2], `${command}: ${stderr}`);
      assert.doesNotMatch(stderr.toString(), /defect in assay/, command.join(' '));
    }
    assert.ok(!existsSync(file('never')));
  });

  test('others of this user see nothing of its memory, and no core of it is left', {
    skip: process.getuid?.() !== 0 && 'only root can start it as somebody else',
  }, async () => {
    const child = spawn(process.execPath, [MAIN, 'key', 'unseal', '-'], { uid: 65534, gid: 65534 });
    const ended = once(child, 'exit');
    try {
      const owner = (): number => statSync(`/proc/${child.pid}/mem`).uid;
      for (let tries = 0; owner() !== 0 && tries < 100; tries++) await wait(100);
      assert.equal(owner(), 0);
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
  });

  test('a password is its first line, whatever ends it; bytes that are no text are none', async () => {
    await key.ok(...protectedKey('lines.key'));
    for (const name of ['password', 'password.crlf', 'password.bare'])
      assert.deepEqual(await key.ok('unseal', 'lines.key', '--password', `file:${name}`), payload, name);
    writeFileSync(file('bytes'), Buffer.from('a\xffb', 'latin1'));
    const { status, stderr } = await key.assay('unseal', 'lines.key', '--password', 'file:bytes');
    assert.equal(status, 2);
    assert.match(stderr.toString(), /password is no text in UTF-8/);
  });

  test('what is typed at a terminal is not shown, and Ctrl-C or an end is an answer', requires('script'), async () => {
    const type = async (typed: string): Promise<string> => {
      const command = `${ASSAY} key load lines.key --password prompt`;
      const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: key.folder, env: key.environment });
      const shown: Buffer[] = [];
      child.stdout.on('data', (data: Buffer) => {
        shown.push(data);
        if (data.includes('password: ')) child.stdin.write(typed);
      });
      await once(child, 'exit');
      return Buffer.concat(shown).toString();
    };
    const opened = await type(`${password}\r`);
    assert.match(opened, /it opens/);
    assert.doesNotMatch(opened, /of its own/);
    for (const end of ['\x03', '\x04']) assert.match(await type(end), /nothing was typed where a secret was asked for/);
    const { status, stderr } = await key.assay('load', 'lines.key', '--password', 'prompt');
    assert.deepEqual(
      [status, stderr.toString()],
      [2, 'password: \nassay: nothing was typed where a secret was asked for\n'],
    );
  });

  test(
    'no secret goes to another program, to the TPM in the clear, or anywhere but where it was asked for',
    requires('strace'),
    async () => {
      await key.ok(...trusted('watched', '--pcrs', 'sha256:16', '--pin', 'file:pin'));
      const watch = async (...command: readonly string[]): Promise<{ trace: Buffer; stdout: Buffer }> => {
        const calls = 'trace=execve,write,writev,pwrite64,sendto,sendmsg';
        const traced = ['-f', '-e', calls, '-s', '65536', '-v', '-xx', '-o', file('trace'), ASSAY, 'key', ...command];
        const { status, stdout, stderr } = await finished('strace', traced, { cwd: key.folder, env: key.environment });
        assert.equal(status, 0, stderr.toString());
        return { trace: readFileSync(file('trace')), stdout };
      };
      const written = (bytes: Buffer): string =>
        [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
      const secrets = [payload, Buffer.from(payload.toString('hex')), Buffer.from(pin), Buffer.from(password)];
      for (const command of [
        trusted('watched.new', '--pcrs', 'sha256:16', '--pin', 'file:pin'),
        ['reseal', 'watched', '--pcrs', 'sha256:16', '--open-pin', 'file:pin'],
        ['load', 'watched', '--pin', 'file:pin'],
        protectedKey('watched.key', '--seal', '--pin', 'file:pin'),
        ['load', 'watched.key', '--pin', 'file:pin'],
        ['load', 'watched.key', '--password', 'file:password'],
      ]) {
        const { trace } = await watch(...command);
        assert.ok(trace.includes(written(Buffer.from('watched'))), 'strace sees what is written');
        for (const secret of secrets) assert.ok(!trace.includes(written(secret)), command.join(' '));
      }
      const { trace, stdout } = await watch('unseal', 'watched', '--pin', 'file:pin');
      assert.deepEqual(stdout, payload);
      const lines = trace
        .toString('latin1')
        .split('\n')
        .filter((line) => line.includes(written(payload)));
      assert.deepEqual(
        lines.map((line) => /(?:write|sendto)\((\d+)/.exec(line)?.[1]),
        ['1'],
      );
    },
  );
});
