/**
 * From boot to EVM on, with Debian's ordinary kernel and images that mkinitramfs and dracut make with our hooks: by the TPM,
 * by a USB stick, by a password typed at the console; and refused where none of them opens the key. The kernel's EVM is the
 * judge: it takes a file that was labelled under this key and denies one that was changed, and knows what the machine's
 * certificate vouches for.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digest } from '../../src/bytes/index.ts';
import { type EvmMetadata, hmacLabel, readEvmMetadata, signatureLabel } from '../../src/evm/index.ts';
import { encodeImaDigest } from '../../src/ima/index.ts';
import { setXattr } from '../../src/sys/index.ts';
import * as t from '../../src/tpm/index.ts';
import { finished } from '../fixtures/finished.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { keepStorageKey } from '../fixtures/storage-key.ts';
import { type DebianSystem, debianSystem, versionOf } from '../guest/debian-system.ts';
import { makeSparse, whileMounted } from '../guest/disk.ts';
import { type Boot, type BootOptions, type Guest, makeGuest } from '../guest/guest.ts';
import { keepPcrs, parsePcrs } from '../guest/pcrs.ts';
import { keep, runStatus } from '../guest/script.ts';
import { makeSigningKey } from '../guest/signing-key.ts';
import { program } from '../guest/tree.ts';
import { requires, requiresMounts, requiresPath } from './requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const programs = requires('mkinitramfs', 'dracut', 'keyctl', 'argon2', 'openssl');
const kernel = requiresPath('ASSAY_STANDARD_KERNEL', 'Debian package linux-image-amd64');
const skip = machine.skip || programs.skip || kernel.skip || requiresMounts().skip;

const ASSAY = join(import.meta.dirname, '../../bin/assay');
const PASSWORD = 'open sesame';
/** The kernel's image, its command line and its initramfs (EFI stub). */
const SEALED_TO = [4, 9];
const SELECTION = `sha256:${SEALED_TO.join(',')}`;
/** With the default list the kernel oopses once the HMAC key is loaded (evm_inode_init_security, a tmpfs file). */
const FIRST = ['quiet', 'root=/dev/nvme0n1', 'rootfstype=ext4', 'rw', 'lsm=landlock,lockdown,yama,integrity,apparmor'];
const SECOND = [...FIRST, 'audit=1'];
/** For a stick that is not there. */
const NOT_WAITING = 'assay.wait=1';

const TREE = {
  '/sbin/init': program('exec sh /etc/rc'),
  '/srv': { folder: true },
  '/etc/os-release': { text: 'ID=guest\n' }, // without it systemd takes a root for none
} as const;

/** What of dracut's a guest without network and without LVM does not need: the image is made and unpacked sooner. */
const OMITTED =
  'plymouth network kernel-network-modules crypt lvm mdraid dmraid multipath btrfs resume i18n qemu virtiofs';

/**
 * systemd-ask-password shows stars. Its agent resets the console, asks, and only then takes the echo away
 * (systemd v252, ask_password_tty): what is typed in the first instant is shown, which no person is quick enough for.
 */
const systemdAsks = {
  password: { asked: 'Password of the EVM key (press TAB for no echo) ', after: 2 },
  code: { asked: 'Recovery code of the EVM key (press TAB for no echo) ', after: 2 },
};

const ask = { password: 'Password of the EVM key: ', code: 'Recovery code of the EVM key: ' };

describe('from boot to EVM on', { skip, timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-boot-to-evm-'));
  const place = (name: string): string => join(folder, name);
  const own = makeSigningKey(folder, 'own', ['rsa:2048']);
  const other = makeSigningKey(folder, 'other', ['rsa:2048']);
  let guest: Guest;
  let system: DebianSystem;
  let code = '';
  let first: Boot;

  before(async () => {
    guest = await makeGuest({ kernel: 'standard', tree: TREE, banks: ['sha256'] });
    system = await debianSystem(process.env.ASSAY_STANDARD_KERNEL ?? '');
    writeFileSync(place('password'), PASSWORD);
    await makeStick();
    await provision();
    await setUp();
    mkdirSync(join(system.root, 'etc/keys'), { recursive: true });
    for (const name of ['x509_evm', 'x509_ima'])
      writeFileSync(join(system.root, `etc/keys/${name}.der`), own.certificate);
    await makeImages();
    await guest.onDisk(install);
  });
  after(async () => {
    await system?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  async function makeStick(): Promise<void> {
    await makeSparse(place('stick'), 32);
    execFileSync('mkfs.ext4', ['-q', '-F', place('stick')], {
      env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` },
    });
  }

  /** With the machine's TPM, while the machine is off: its PCRs are all zero then. */
  async function whileOff(work: (tpm: string) => Promise<void>): Promise<void> {
    await using running = await runSwtpm(guest.tpmState);
    await work(running.name);
  }

  async function provision(): Promise<void> {
    await using running = await runSwtpm(guest.tpmState);
    const tpm = await running.client();
    await keepStorageKey(tpm, 0x81000001);
    // A swtpm that is ended without TPM2_Shutdown counts as a wrong try, of which three are allowed.
    const patience = { newMaxTries: 1000, newRecoveryTime: 1000, lockoutRecovery: 1000 };
    await tpm.execute(t.TPM2_DictionaryAttackParameters, { lockHandle: t.TPM_RH.LOCKOUT, ...patience });
  }

  async function assay(tpm: string, ...args: readonly string[]): Promise<Buffer> {
    const env = { ...process.env, ASSAY_TPM: tpm };
    const { status, stdout, stderr } = await finished(ASSAY, ['key', ...args], { env });
    assert.equal(status, 0, stderr.toString());
    return stdout;
  }

  /** One command makes key, protectors, files for the boot and hooks. */
  async function setUp(): Promise<void> {
    await whileMounted(place('stick'), (stick) =>
      whileOff(async (tpm) => {
        const protectors = ['--seal', '--pcrs', SELECTION, '--usb', join(stick, 'assay.key')];
        const secrets = ['--password', `file:${place('password')}`, '--recovery'];
        const made = await assay(
          tpm,
          'evm-setup',
          '--root',
          system.root,
          '--no-load',
          ...protectors,
          ...secrets,
          '--json',
        );
        code = JSON.parse(made.toString()).recoveryCode;
      }),
    );
  }

  /** Only what this machine needs, as MODULES=dep would find on it: the image is made and unpacked sooner. */
  async function makeImages(): Promise<void> {
    const tools = join(system.root, 'etc/initramfs-tools');
    mkdirSync(join(tools, 'conf.d'), { recursive: true });
    writeFileSync(join(tools, 'conf.d/few-modules'), 'MODULES=list\nCOMPRESS=lz4\n');
    writeFileSync(join(tools, 'modules'), 'nvme\next4\n');
    const version = versionOf(process.env.ASSAY_STANDARD_KERNEL ?? '');
    await system.run('mkinitramfs', '-o', '/boot/image', version);
    const few = ['--no-hostonly', '--no-hostonly-cmdline', '--omit', OMITTED, '--drivers', 'nvme ext4'];
    await system.run('dracut', '--quiet', ...few, '--compress', 'lz4', '--kver', version, '/boot/image-of-dracut');
  }

  async function install(root: string): Promise<void> {
    cpSync(join(system.root, 'etc/assay'), join(root, 'etc/assay'), { recursive: true });
    writeFileSync(place('code'), code);
    const key = join(root, 'etc/assay/evm.key');
    const payload = await assay('', 'unseal', key, '--recovery', `file:${place('code')}`);
    const labels: Readonly<Record<string, (metadata: EvmMetadata) => Buffer>> = {
      kept: (metadata) => hmacLabel(payload, metadata),
      changed: (metadata) => hmacLabel(payload, metadata),
      signed: (metadata) => signatureLabel(own.signer, 'sha256', metadata, { portable: true }),
      strange: (metadata) => signatureLabel(other.signer, 'sha256', metadata, { portable: true }),
    };
    for (const [name, labelOf] of Object.entries(labels)) {
      const path = join(root, 'srv', name);
      writeFileSync(path, name, { mode: 0o644 });
      setXattr(path, 'security.ima', imaLabel(name));
      setXattr(path, 'security.evm', labelOf(readEvmMetadata(path).metadata));
    }
    setXattr(join(root, 'srv/changed'), 'security.ima', imaLabel('other'));
  }

  const imaLabel = (content: string): Buffer => encodeImaDigest('sha256', digest('sha256', Buffer.from(content)));

  const boot = (commandLine: readonly string[], others: Partial<BootOptions> = {}): Promise<Boot> =>
    guest.boot({
      commandLine,
      initramfs: join(system.root, 'boot/image'),
      script: [
        keep('/sys/kernel/security/evm', 'evm'),
        // Allowed where the label holds; the kernel then writes a new one.
        runStatus('kept', 'chmod', '640', '/srv/kept'),
        runStatus('changed', 'chmod', '640', '/srv/changed'),
        // What the machine's certificate vouches for as immutable may not change; what a stranger signed may, as invalid.
        runStatus('signed', 'chmod', '640', '/srv/signed'),
        runStatus('strange', 'chmod', '640', '/srv/strange'),
        keepPcrs('pcrs', ['sha256']),
      ],
      ...others,
    });

  /** Before the next boot, which is as this one was. The key opens by its TPM while the machine is off, or by that boot. */
  async function sealTo(kept: Boot): Promise<void> {
    const { sha256 = {} } = parsePcrs(kept.file('pcrs').toString());
    const values = Object.fromEntries(SEALED_TO.map((pcr) => [pcr, sha256[pcr]]));
    const off = Object.fromEntries(SEALED_TO.map((pcr) => [pcr, '00'.repeat(32)]));
    writeFileSync(place('next.json'), JSON.stringify({ sha256: values }));
    writeFileSync(place('off.json'), JSON.stringify({ sha256: off }));
    const states = ['next', 'off'].flatMap((name) => ['--pcr-values', place(`${name}.json`)]);
    await guest.onDisk((root) =>
      whileOff(async (tpm) => {
        await assay(tpm, 'reseal', join(root, 'etc/assay/evm.key'), '--pcrs', SELECTION, ...states);
      }),
    );
  }

  function assertOn({ console, file }: Boot, by: string): void {
    const answers = ['evm', 'kept', 'changed', 'signed', 'strange'].map((name) => file(name).toString().trim());
    assert.deepEqual(answers, ['3', '0', '1', '1', '0'], console.slice(-2000));
    assert.match(console, new RegExp(`the EVM key was opened by its ${by} protector`));
  }

  test('a boot password, typed at the console; a wrong one is asked for again', async () => {
    const answers = [
      { asked: ask.password, typed: 'let me in' },
      { asked: ask.password, typed: PASSWORD },
    ];
    first = await boot([...FIRST, NOT_WAITING], { answers });
    assertOn(first, 'password');
    assert.match(first.console, /PCR sha256:4,9 are not as they were.*is not plugged in.*this is not the password/s);
    assert.doesNotMatch(first.console, /open sesame|let me in/, 'what is typed is not shown');
  });

  test('the TPM, once the key is sealed to this boot, and nobody is asked', async () => {
    await sealTo(first);
    const opened = await boot([...FIRST, NOT_WAITING]);
    assertOn(opened, 'tpm');
    assert.doesNotMatch(opened.console, /Password|Recovery/);
  });

  test('a USB stick, known by its file system, where the boot state is another one', async () => {
    const opened = await boot(SECOND, { attached: [{ stick: place('stick') }] });
    assertOn(opened, 'usb');
    assert.match(opened.console, /PCR sha256:4,9 are not as they were/);
  });

  test('without token and password the recovery code is asked for, and opens it', async () => {
    const wrong = { asked: ask.password, typed: 'let me in' };
    const answers = [wrong, wrong, wrong, { asked: ask.code, typed: code.toLowerCase() }];
    assertOn(await boot([...SECOND, NOT_WAITING], { answers }), 'recovery');
  });

  test('and without the code the machine does not start', async () => {
    const wrong = { asked: ask.password, typed: 'let me in' };
    const wrongCode = { asked: ask.code, typed: 'AAAAA-BBBBB' };
    const answers = [wrong, wrong, wrong, wrongCode, wrongCode, wrongCode];
    await assert.rejects(
      boot([...SECOND, NOT_WAITING], { answers }),
      /no protector opened the EVM key.*this machine does not start/s,
    );
  });

  /** dracut with systemd, which does a lot more: emulation makes that slow. */
  const ofDracut = (commandLine: readonly string[], others: Partial<BootOptions> = {}): Promise<Boot> =>
    boot([...commandLine, NOT_WAITING], {
      seconds: 300,
      initramfs: join(system.root, 'boot/image-of-dracut'),
      ...others,
    });

  test('in an image of dracut: by password, then by the TPM, once the key is sealed to that boot', async () => {
    const answers = [
      { ...systemdAsks.password, typed: 'let me in' },
      { ...systemdAsks.password, typed: PASSWORD },
    ];
    const kept = await ofDracut(FIRST, { answers });
    assertOn(kept, 'password');
    assert.doesNotMatch(kept.console, /open sesame|let me in/, 'what is typed is not shown');
    await sealTo(kept);
    const opened = await ofDracut(FIRST);
    assertOn(opened, 'tpm');
    assert.doesNotMatch(opened.console, /Password of|Recovery code/);
  });

  test('in an image of dracut, too, the machine does not start where nothing opens the key', async () => {
    const wrong = { ...systemdAsks.password, typed: 'let me in' };
    const wrongCode = { ...systemdAsks.code, typed: 'AAAAA-BBBBB' };
    const answers = [wrong, wrong, wrong, wrongCode, wrongCode, wrongCode];
    await assert.rejects(
      ofDracut(SECOND, { answers }),
      /no protector opened the EVM key.*this machine does not start/s,
    );
  });
});
