/** Predictions against PCRs that TPMs held: boots kept in the folder that ASSAY_BOOTS names, each with its log, PCRs and files. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { parseBootLog } from '../../src/boot/parse.ts';
import { type BootFile, type BootWay, type GrubDisk, predictBoot } from '../../src/boot/predict/index.ts';
import { toolDiffers, YAML_VERSIONS } from '../fixtures/eventlog-yaml.ts';
import { LINUX_PARTITION, LINUX_UUID } from '../guest/esp.ts';
import { requires } from '../system/requirements.ts';

const BOOTS = process.env.ASSAY_BOOTS;
const needsBoots = { skip: BOOTS === undefined ? 'needs kept boots (their folder in ASSAY_BOOTS)' : false };
const DEVICE = '(hd0,gpt1)';
const Pcrs = Type.Record(Type.String(), Type.Record(Type.String(), Type.String()));

const place = (boot: string, path: string): string => join(BOOTS ?? '', boot, path);
const bytesOf = (boot: string, path: string): Buffer => readFileSync(place(boot, path));
const file = (boot: string, path: string): BootFile => ({ name: path, bytes: bytesOf(boot, path) });
const kind = (boot: string, path: string): ReturnType<typeof statSync> =>
  statSync(place(boot, path), { throwIfNoEntry: false });

function wayOf(boot: string): BootWay {
  const onDisk = (folder: string): Pick<GrubDisk, 'file' | 'isDirectory'> => ({
    file: (path) => (kind(boot, `${folder}${path}`)?.isFile() === true ? file(boot, `${folder}${path}`) : undefined),
    isDirectory: (path) => kind(boot, `${folder}${path}`)?.isDirectory() === true,
  });
  const onEsp = onDisk('esp').file;
  const loader = (): BootFile => file(boot, 'esp/EFI/BOOT/BOOTX64.EFI');
  if (boot.startsWith('direct')) {
    const [kernel, initrd] = [file(boot, 'kernel'), file(boot, 'initrd')];
    return { way: 'qemu-kernel', kernel, initrd, commandLine: bytesOf(boot, 'cmdline').toString(), memoryMiB: 1024 };
  }
  if (boot.startsWith('shim-grub') || boot.startsWith('debian-grub')) {
    const grub = file(boot, 'esp/EFI/BOOT/grubx64.efi');
    const disks = [
      { device: DEVICE, ...onDisk('esp') },
      { device: LINUX_PARTITION, uuid: LINUX_UUID, ...onDisk('linux') },
    ];
    return { way: 'shim-grub', shim: loader(), grub, disks, bootDevice: DEVICE, owner: undefined };
  }
  if (boot.endsWith('entry')) {
    const entry = file(boot, 'esp/loader/entries/assay.conf');
    return { way: 'systemd-boot', loader: loader(), loads: { entry, file: onEsp } };
  }
  if (boot === 'uki') return { way: 'uki', uki: loader() };
  return { way: 'systemd-boot', loader: loader(), loads: { uki: file(boot, 'esp/EFI/Linux/assay.efi') } };
}

/** boot ← an earlier boot of the machine, whose log is the base. */
const PAIRS = [
  ['direct-debian-kernel', 'direct-debian'],
  ['direct-debian-initrd', 'direct-debian'],
  ['direct-debian-cmdline', 'direct-debian'],
  ['shim-grub-second-boot', 'shim-grub-first-boot'],
  ['shim-grub-initrd', 'shim-grub-first-boot'],
  ['shim-grub-cmdline', 'shim-grub-first-boot'],
  ['debian-grub-entry', 'debian-grub'],
  ['debian-grub-custom', 'debian-grub'],
  ['systemd-boot-uki-kernel', 'systemd-boot-uki'],
  ['systemd-boot-uki-initrd', 'systemd-boot-uki'],
  ['systemd-boot-uki-cmdline', 'systemd-boot-uki'],
  ['snakeoil-systemd-boot-uki', 'snakeoil-systemd-boot-uki'],
  ['snakeoil-systemd-boot-entry', 'snakeoil-systemd-boot-entry'],
] as const;

for (const [boot, base] of PAIRS) {
  test(`${boot}: what the log of ${base} and the files predict is what the TPM held`, needsBoots, () => {
    const { pcrs, refusals, warnings } = predictBoot({
      boot: wayOf(boot),
      base: parseBootLog(bytesOf(base, 'boot.log')),
    });
    const held = Value.Parse(Pcrs, JSON.parse(bytesOf(boot, 'pcrs.json').toString()));
    assert.deepEqual({ refusals, warnings }, { refusals: [], warnings: [] });
    assert.ok(Object.keys(pcrs.sha256 ?? {}).length >= 9);
    for (const [bank, values] of Object.entries(pcrs)) {
      for (const [pcr, value] of Object.entries(values)) assert.equal(value, held[bank]?.[pcr], `${bank} PCR ${pcr}`);
    }
  });
}

test('a shim boot whose owner has keys is not predicted without them', needsBoots, () => {
  const base = parseBootLog(bytesOf('shim-grub-mok', 'boot.log'));
  const { refusals, pcrs } = predictBoot({ boot: wayOf('shim-grub-first-boot'), base });
  assert.deepEqual(
    refusals.map(({ pcr }) => pcr),
    [7, 14],
  );
  assert.equal(pcrs.sha256?.['14'], undefined);
});

test('another way to boot than the base log’s is refused, naming its record', needsBoots, () => {
  const base = parseBootLog(bytesOf('systemd-boot-uki', 'boot.log'));
  const { refusals } = predictBoot({ boot: wayOf('uki'), base });
  assert.match(
    refusals.find(({ pcr }) => pcr === 4)?.reason ?? '',
    /base log, event \d+: an image that is not described/,
  );
});

test('every kept log is printed as tpm2_eventlog prints it', needsBoots, (t) => {
  const boots = readdirSync(BOOTS ?? '').filter((boot) => kind(boot, 'boot.log')?.isFile() === true);
  assert.ok(boots.length > 0);
  const { skip } = requires('tpm2_eventlog');
  if (skip !== false) return t.skip(skip);
  for (const boot of boots) {
    for (const version of YAML_VERSIONS) assert.deepEqual(toolDiffers(bytesOf(boot, 'boot.log'), version), [], boot);
  }
});
