/** What a prediction is told of a guest's boot: the files that it loads, found where its loader looks for them. */
import { readFileSync } from 'node:fs';
import type { BootFile, BootWay, GrubDisk } from '../../src/boot/index.ts';
import { LINUX_PARTITION, LINUX_UUID } from './esp.ts';
import type { FirmwareVariable } from './firmware.ts';
import type { Boot, Guest } from './guest.ts';
import { MEMORY_MEGABYTES } from './qemu.ts';

const DEVICE = '(hd0,gpt1)';
export const LOADER = '/EFI/BOOT/BOOTX64.EFI';
export const GRUB = '/EFI/BOOT/grubx64.efi';
const GRUB_CONFIGURATION = '/EFI/debian/grub.cfg';
export const UKI = '/EFI/Linux/assay.efi';
export const ENTRY = '/loader/entries/assay.conf';

/** @param mokList where the machine's owner has keys */
export function describedBoot(
  guest: Guest,
  boot: Pick<Boot, 'esp' | 'payload' | 'words'>,
  mokList?: FirmwareVariable,
): BootWay {
  const file = (path: string): BootFile | undefined => read(boot.esp[path], path);
  const [loader, grub, uki, entry] = [LOADER, GRUB, UKI, ENTRY].map(file);
  if (loader === undefined) return handedOver(guest, boot);
  const disks = [disk(boot, DEVICE, ''), { ...disk(boot, LINUX_PARTITION, LINUX_PARTITION), uuid: LINUX_UUID }];
  if (grub !== undefined) {
    const owner = mokList && { mokList: mokList.data, mokListX: new Uint8Array() };
    return { way: 'shim-grub', shim: loader, grub, disks, bootDevice: DEVICE, owner };
  }
  if (uki !== undefined) return { way: 'systemd-boot', loader, loads: { uki } };
  if (entry !== undefined) return { way: 'systemd-boot', loader, loads: { entry, file } };
  if (file(GRUB_CONFIGURATION) !== undefined) return { way: 'grub', grub: loader, disks, bootDevice: DEVICE };
  return { way: 'uki', uki: loader };
}

/** @param prefix what the names of its files begin with */
const disk = ({ esp }: Pick<Boot, 'esp'>, device: string, prefix: string): GrubDisk => ({
  device,
  file: (path) => read(esp[`${prefix}${path}`], `${prefix}${path}`),
  isDirectory: (path) => Object.keys(esp).some((name) => name.startsWith(`${prefix}${path}/`)),
});

const read = (place: string | undefined, name: string): BootFile | undefined =>
  place === undefined ? undefined : { name, bytes: readFileSync(place) };

function handedOver(guest: Guest, { payload, words }: Pick<Boot, 'payload' | 'words'>): BootWay {
  return {
    way: 'qemu-kernel',
    kernel: { name: 'kernel', bytes: readFileSync(payload.kernel) },
    initrd: { name: 'initrd', bytes: readFileSync(payload.initramfs) },
    commandLine: guest.loadOptions(words),
    memoryMiB: MEMORY_MEGABYTES,
  };
}
