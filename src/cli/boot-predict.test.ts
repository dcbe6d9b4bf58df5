import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { makePe } from '../../test/fixtures/pe-image.ts';
import { checkManifest } from '../reference/index.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const predict = (...args: readonly string[]) =>
  spawnSync(process.execPath, [MAIN, 'boot', 'predict', ...args], { encoding: 'utf8' });

const magic = (program: string) => ({
  name: '.sdmagic',
  content: Buffer.from(`#### LoaderInfo: ${program} 252.39-1 ####\0`),
});
const uki = (linux: string) =>
  makePe([
    magic('systemd-stub'),
    { name: '.linux', content: makePe([{ name: '.text', content: Buffer.from(linux) }]) },
  ]);

let esp: string;
before(() => {
  esp = mkdtempSync(join(tmpdir(), 'assay-esp-'));
  const files = {
    'EFI/BOOT/BOOTX64.EFI': makePe([magic('systemd-boot')]),
    'EFI/Linux/one.efi': uki('one'),
    'EFI/Linux/two.efi': uki('two'),
    'loader/entries/three.conf': 'title Three\nlinux /vmlinuz\noptions quiet\n',
    vmlinuz: makePe([{ name: '.text', content: Buffer.from('kernel') }]),
  };
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(join(esp, dirname(path)), { recursive: true });
    writeFileSync(join(esp, path), bytes);
  }
});
after(() => rmSync(esp, { recursive: true }));

test('each entry and image that systemd-boot could start is a variant', () => {
  const { status, stdout, stderr } = predict('systemd-boot', '--esp', esp, '--json');
  assert.equal(status, 0, stderr);
  const { variants } = JSON.parse(stdout);
  assert.deepEqual(
    variants.map(({ name, pcrs }: { name: string; pcrs: { sha256: object } }) => [name, Object.keys(pcrs.sha256)]),
    [
      ['loader/entries/three.conf', ['9', '12']],
      ['EFI/Linux/one.efi', ['9', '11']],
      ['EFI/Linux/two.efi', ['9', '11']],
    ],
  );
});

test('the reference has each entry as variants of its components, and what is not judged is said beside it', () => {
  const { status, stdout, stderr } = predict('systemd-boot', '--esp', esp, '--format', 'reference');
  assert.equal(status, 0, stderr);
  const about = {
    assayReference: 1,
    name: 'esp',
    created: '2026-11-24',
    self: false,
    files: [],
    pending: [],
    deny: [],
  };
  const { components = [] } = checkManifest({ ...about, boot: JSON.parse(stdout) }).boot ?? {};
  assert.deepEqual(
    components.map(({ name, variants }) => [name, variants.map((one) => one.name)]),
    [
      ['command line (PCR 9)', ['quiet', '2']],
      ['command line (PCR 12)', ['quiet', 'none']],
      ['unified kernel image (PCR 11)', ['none', '2', '3']],
    ],
  );
  assert.match(stderr, /^warning: PCR 4 is not in the reference: EFI\/Linux\/one\.efi: the firmware extends it/m);
});

test('an entry that was found and starts no Linux is left out, and said', () => {
  const entry = join(esp, 'loader/entries/windows.conf');
  writeFileSync(entry, 'title Windows\nefi /EFI/Microsoft/Boot/bootmgfw.efi\n');
  const { status, stdout, stderr } = predict('systemd-boot', '--esp', esp, '--json');
  assert.equal(status, 0, stderr);
  const { variants, skipped } = JSON.parse(stdout);
  assert.equal(variants.length, 3);
  assert.match(skipped[0].reason, /windows\.conf, line 2: 'efi' is not followed/);
  const asked = predict('systemd-boot', '--esp', esp, '--entry', 'loader/entries/windows.conf');
  assert.equal(asked.status, 3);
  assert.match(asked.stderr, /'efi' is not followed/);
  const policy = predict('systemd-boot', '--esp', esp, '--format', 'policy', '--pcrs', '9');
  assert.match(policy.stderr, /warning: left out: loader\/entries\/windows\.conf/);
  assert.match(policy.stdout, /^[0-9a-f]{64}\n$/);
  rmSync(entry);
});

test('what is wrong with the way is said in one line, with what to do', () => {
  const bare = join(esp, 'bare');
  const place = (...names: readonly string[]): string => join(bare, ...names);
  mkdirSync(place('EFI/BOOT'), { recursive: true });
  mkdirSync(place('EFI/debian'), { recursive: true });
  for (const name of ['EFI/BOOT/BOOTX64.EFI', 'EFI/BOOT/fbx64.efi'])
    writeFileSync(place(name), makePe([magic('systemd-boot')]));
  symlinkSync(join(esp, 'vmlinuz'), place('EFI/debian/shimx64.efi'));
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [['morse'], /no way to boot 'morse'; use one of shim-grub/],
    [['systemd-boot'], /needs --esp/],
    [['systemd-boot', '--esp', bare], /nothing that systemd-boot starts/],
    [['shim-grub', '--esp', bare], /beside EFI\/BOOT\/BOOTX64\.EFI lies fbx64\.efi, which shim starts from there/],
    [['shim-grub', '--esp', bare, '--loader', 'EFI/debian/shimx64.efi'], /shimx64\.efi: lies outside of/],
    [['shim-grub', '--esp', esp, '--phase', ':'], /--phase is about PCR 11, which way shim-grub does not extend/],
    [['qemu-kernel', '--kernel', join(esp, 'vmlinuz'), '--initrd', join(esp, 'vmlinuz')], /needs --memory/],
    [['shim-grub', '--esp', esp, '--grub', 'vmlinuz', '--disk', 'hd0,gpt2'], /--disk hd0,gpt2 is no partition/],
    [['shim-grub', '--esp', esp, '--grub', 'vmlinuz', '--disk', '(hd0,gpt2)=/none/x'], /\/none\/x is no folder/],
    [['shim-grub', '--esp', esp, '--grub', 'vmlinuz'], /BOOTX64\.EFI: no section \.vendor_cert, so this is no shim/],
    [['qemu-kernel', '--kernel', join(esp, 'vmlinuz')], /needs --cmdline or --cmdline-file/],
  ];
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = predict(...args);
    assert.notEqual(status, 0);
    assert.equal(stdout, '');
    assert.match(stderr, message);
    assert.equal(stderr.trim().split('\n').length, 1);
  }
  rmSync(bare, { recursive: true });
});

test('credentials and add-ons on the partition keep PCRs 9, 12 and 13 from being told', () => {
  mkdirSync(join(esp, 'EFI/Linux/one.efi.extra.d'));
  writeFileSync(join(esp, 'EFI/Linux/one.efi.extra.d/key.cred'), 'secret');
  const { stdout } = predict('systemd-boot', '--esp', esp, '--json');
  const pcrs = JSON.parse(stdout).variants.map((one: { pcrs: { sha256: object } }) => Object.keys(one.pcrs.sha256));
  assert.deepEqual(pcrs, [['9', '12'], ['11'], ['9', '11']]);
  const alone = predict('uki', '--uki', join(esp, 'EFI/Linux/one.efi'), '--phase', ':', '--json');
  assert.equal(alone.status, 0, alone.stderr);
  rmSync(join(esp, 'EFI/Linux/one.efi.extra.d'), { recursive: true });
});
