/** Where keys are written: by several at once, through links, in other roots, on devices, to standard output. */
import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
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
import { requiresMounts } from './requirements.ts';

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

  test('a system is set up in its own root, wherever its links lead, and one that is not there is bad input', async () => {
    const setup = (root: string) => ['evm-setup', '--root', root, '--no-load', '--recovery', '--json'];
    await refused(2, /no-such is no folder/, ...setup('no-such').slice(0, -1));
    assert.ok(!existsSync(file('no-such')));
    mkdirSync(file('elsewhere/initramfs-tools'), { recursive: true });
    mkdirSync(file('image'));
    symlinkSync(file('elsewhere'), file('image/etc'));
    await refused(2, /\/etc in the root .* is a link that leads to nothing there/, ...setup('image').slice(0, -1));
    assert.deepEqual(readdirSync(file('elsewhere')), ['initramfs-tools']);
    const within = join(file('image'), file('elsewhere'));
    mkdirSync(join(within, 'initramfs-tools/scripts'), { recursive: true });
    symlinkSync(file('elsewhere/initramfs-tools'), join(within, 'initramfs-tools/hooks'));
    mkdirSync(join(within, 'initramfs-tools/scripts/local-bottom'));
    writeFileSync(file('victim'), 'victim');
    symlinkSync(file('victim'), join(within, 'initramfs-tools/scripts/local-bottom/assay'));
    const { key, hooks } = JSON.parse((await ok(...setup('image'))).toString());
    assert.equal(key, join(within, 'assay/evm.key'));
    assert.ok(hooks.includes(join(within, 'initramfs-tools/assay')), hooks);
    assert.ok(
      hooks.every((hook: string) => hook.startsWith(`${file('image')}/`)),
      hooks,
    );
    assert.deepEqual(readdirSync(file('elsewhere/initramfs-tools')), []);
    assert.deepEqual(readdirSync(file('elsewhere')), ['initramfs-tools']);
    assert.equal(readFileSync(file('victim'), 'utf8'), 'victim');
  });

  test(
    'a kernel without EVM is a part that is missing: the files are made, and it is said',
    requiresMounts(),
    async () => {
      mkdirSync(file('no-evm'));
      // Never where the switch of a real EVM could be reached.
      const hidden = 'mount -t tmpfs none /sys/kernel && exec "$0" key evm-setup --root no-evm --recovery "$@"';
      const run = (...args: string[]) =>
        finished('unshare', ['-m', 'sh', '-c', hidden, ASSAY, ...args], { cwd: folder, env });
      const told = await run('--json');
      const { evm, reason, recoveryCode } = JSON.parse(told.stdout.toString());
      assert.deepEqual([told.status, evm, typeof recoveryCode], [3, 'no-evm', 'string'], told.stderr.toString());
      assert.match(reason, /there is no .*security\/evm/);
      rmSync(file('no-evm/etc'), { recursive: true });
      const said = await run();
      assert.deepEqual([said.status, /recovery code: /.test(said.stdout.toString())], [3, true]);
      assert.match(said.stderr.toString(), /EVM is not switched on.*boot a kernel with CONFIG_EVM/);
    },
  );

  test('a key file is made on a device that will be found again, or not at all', async () => {
    const memory = mkdtempSync('/dev/shm/assay-key-changes-'); // a tmpfs, which has no UUID
    try {
      for (const usb of [`${memory}/usb.key`, `${memory}/not/a/stick/usb.key`])
        await refused(2, /lies on no device|there is no folder/, 'create', 'protected', '--usb', usb, '-o', 'usb');
      assert.deepEqual([readdirSync(memory), existsSync(file('usb'))], [[], false]);
    } finally {
      rmSync(memory, { recursive: true });
    }
  });
});
