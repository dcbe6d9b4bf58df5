/** Key files that several processes change at once, and through links; keys on standard output. */
import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Finished, finished } from '../fixtures/finished.ts';
import { ASSAY } from '../fixtures/key-commands.ts';

describe('assay key changes files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-key-changes-'));
  const file = (name: string): string => join(folder, name);
  after(() => rmSync(folder, { recursive: true, force: true }));

  const TPM = ['--tpm', 'software:t.tpm'];
  const { ASSAY_TPM: _, ...env } = process.env;
  const assay = (...args: readonly string[]): Promise<Finished> =>
    finished(ASSAY, ['key', ...args], { cwd: folder, env });
  async function ok(...args: readonly string[]): Promise<Buffer> {
    const { status, stdout, stderr } = await assay(...args);
    assert.equal(status, 0, stderr.toString());
    return stdout;
  }
  async function refused(expected: number, reason: RegExp, ...args: readonly string[]): Promise<void> {
    const { status, stdout, stderr } = await assay(...args);
    assert.deepEqual([status, stdout.length], [expected, 0], `${args.join(' ')}: ${stderr}`);
    assert.match(stderr.toString(), reason, args.join(' '));
  }

  interface Made {
    readonly added: readonly string[];
    readonly recoveryCode: string;
  }
  const madeBy = (out: Buffer): Made => JSON.parse(out.toString());
  const add = (name: string): string[] => [
    'protector',
    'add',
    name,
    '--recovery',
    '--open-recovery',
    'file:code',
    '--json',
  ];
  async function idsIn(name: string): Promise<string[]> {
    const { protectors } = JSON.parse((await ok('protector', 'list', name, '--json')).toString());
    return protectors.map(({ id }: { readonly id: string }) => id).sort();
  }

  /** A key that `code` opens. */
  async function makeKey(name: string): Promise<Made> {
    const made = madeBy(await ok('create', 'protected', '--recovery', '-o', name, '--json'));
    writeFileSync(file('code'), made.recoveryCode);
    return made;
  }

  const trusted = (output: string): string[] => [
    ...['create', 'trusted', ...TPM, '--keyhandle', '0x81000001', '-o', output],
  ];
  before(() => ok('create', 'storage', ...TPM));

  test('what is reported done is in the file: protectors added and removed at once', async () => {
    const first = await makeKey('many.key');
    const second = madeBy(await ok(...add('many.key')));
    const [removed, ...added] = await Promise.all([
      ok('protector', 'remove', 'many.key', second.added[0] ?? ''),
      ...Array.from({ length: 4 }, () => ok(...add('many.key')).then(madeBy)),
    ]);
    assert.match(removed.toString(), /no longer opens it/);
    assert.deepEqual(await idsIn('many.key'), [first, ...added].flatMap((one) => one.added).sort());
    const payload = await ok('recover', 'many.key', '--code', 'file:code');
    for (const { recoveryCode } of added) {
      writeFileSync(file('another'), recoveryCode);
      assert.deepEqual(await ok('recover', 'many.key', '--code', 'file:another'), payload);
    }
  });

  test('a link is followed to the key, and what is beside both stays true', async () => {
    mkdirSync(file('real'));
    await makeKey('real/evm.key');
    symlinkSync('real/evm.key', file('evm.key'));
    await ok('boot-files', 'evm.key');
    await ok(...add('evm.key'));
    assert.equal(readlinkSync(file('evm.key')), 'real/evm.key');
    assert.equal((await idsIn('real/evm.key')).length, 2);
    assert.equal(readdirSync(file('evm')).length, 2);
    await ok(...trusted('real/kmk'), '--pcrs', 'sha256:16');
    symlinkSync('real/kmk', file('kmk'));
    await ok('reseal', 'kmk', ...TPM, '--pcrs', 'sha256:17');
    assert.ok(lstatSync(file('kmk')).isSymbolicLink() && !existsSync(file('kmk.policy')));
    assert.deepEqual(await ok('unseal', 'kmk', ...TPM), await ok('unseal', 'real/kmk', ...TPM));
  });

  test('- is standard output: the key alone stands there', async () => {
    const { stdout, stderr } = await assay(...trusted('-'), '--pcrs', 'sha256:16');
    assert.match(stdout.toString(), /^[0-9a-f]+$/);
    assert.match(stderr.toString(), /sealed to sha256:16\n.*is kept nowhere/);
    writeFileSync(file('piped'), stdout);
    assert.equal((await ok('unseal', 'piped', ...TPM, '--pcrs', 'sha256:16')).length, 32);
    const made = await assay('create', 'protected', '--recovery', '-o', '-');
    writeFileSync(file('piped.key'), made.stdout);
    writeFileSync(file('another'), /recovery code: (\S+)/.exec(made.stderr.toString())?.[1] ?? '');
    assert.equal((await ok('recover', 'piped.key', '--code', 'file:another')).length, 64);
    const signed = ['--pcrs', 'sha256:16', '--pcr-values', 'states', '--now'];
    writeFileSync(file('states'), JSON.stringify({ sha256: { 16: '11'.repeat(32) } }));
    await refused(2, /opens only with its policy/, ...trusted('-'), ...signed);
    for (const command of [
      ['reseal', '-'],
      ['protector', 'remove', '-', 'x'],
    ])
      await refused(2, /a key on standard input cannot be changed/, ...command);
    assert.ok(!existsSync(file('-')) && !existsSync(file('-.policy')));
  });
});
