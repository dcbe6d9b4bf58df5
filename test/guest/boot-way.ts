/** How a guest's kernel is started: by the firmware itself, or from a disk by the loaders that distributions use. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type EspFiles, LINUX_PARTITION, LINUX_UUID } from './esp.ts';
import { grubMkconfig } from './grub-mkconfig.ts';
import { makeUki } from './uki.ts';

/** What every way starts in the end. */
export interface Payload {
  readonly kernel: string;
  readonly initramfs: string;
  readonly commandLine: string;
}

/** Signs a PE image into a file of its own, which it returns. */
export type Sign = (image: string) => Promise<string>;

/** Lays the loader's files out. @param folder where files that it makes may lie */
export type BootWay = (payload: Payload, folder: string) => Promise<EspFiles>;

/** Debian's loaders, unpacked by `tools/boot-loaders`. */
function loader(path: string): string {
  const folder = process.env.ASSAY_BOOT_LOADERS;
  if (folder === undefined) throw new Error('ASSAY_BOOT_LOADERS does not say where the boot loaders are');
  return join(folder, path);
}

/** Firmware starts this one from a disk that no boot option names (UEFI 2.10, 3.5.1.1). */
const DEFAULT_LOADER = '/EFI/BOOT/BOOTX64.EFI';

const unsigned: Sign = async (image) => image;

async function written(folder: string, name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const SHIM = 'usr/lib/shim/shimx64.efi.signed';
const GRUB = 'usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed';
const SYSTEMD_BOOT = 'usr/lib/systemd/boot/efi/systemd-bootx64.efi';
const STUB = 'usr/lib/systemd/boot/efi/linuxx64.efi.stub';

const grubConfiguration = (commandLine: string): string => `set timeout=0
menuentry 'Assay guest' {
  linux /vmlinuz ${commandLine}
  initrd /initrd.img
}
`;

/** Debian's signed GRUB looks here. */
const GRUB_CONFIGURATION = '/EFI/debian/grub.cfg';

async function grubFiles({ kernel, initramfs, commandLine }: Payload, folder: string): Promise<EspFiles> {
  return {
    [GRUB_CONFIGURATION]: await written(folder, 'grub.cfg', grubConfiguration(commandLine)),
    '/vmlinuz': kernel,
    '/initrd.img': initramfs,
  };
}

/** shim and GRUB with a configuration of a few lines beside them: boots under Microsoft's keys. */
export const shimAndGrub: BootWay = async (payload, folder) => ({
  ...(await grubFiles(payload, folder)),
  [DEFAULT_LOADER]: loader(SHIM),
  '/EFI/BOOT/grubx64.efi': loader(GRUB),
});

/** GRUB by itself: it enters the kernel past its EFI stub, which hands the firmware's log on. */
export const grubAlone: BootWay = async (payload, folder) => ({
  ...(await grubFiles(payload, folder)),
  [DEFAULT_LOADER]: loader(GRUB),
});

/** As grub-install leaves it for GRUB's environment block (grub-core/lib/envblk.c, 1024 bytes). */
const environmentBlock = (lines: string): string => `# GRUB Environment Block\n${lines}`.padEnd(1024, '#');

/** What `uname -r` says of the guest's kernel does not matter: the name of its file has it. */
const RELEASE = '6.1.0-guest-amd64';
export const DEBIAN_KERNEL = `${LINUX_PARTITION}/boot/vmlinuz-${RELEASE}`;
export const DEBIAN_CONFIGURATION = `${LINUX_PARTITION}/boot/grub/grub.cfg`;

/**
 * shim and GRUB as Debian installs them: a stub of a configuration on the ESP, the one of grub-mkconfig, GRUB's modules,
 * its environment, font and language on a Linux partition.
 * @param environment GRUB's variables that an earlier run has left, each line as `saved_entry=1`
 * @param custom what the machine's keeper has added, in custom.cfg
 * @param signShim makes another shim of Debian's
 */
export const shimAndDebianGrub =
  ({ environment = '', custom = '', signShim = unsigned } = {}): BootWay =>
  async (payload, folder) => {
    const [modules, linux] = ['usr/lib/grub/x86_64-efi', `${LINUX_PARTITION}/boot`];
    const { commandLine } = payload;
    const made = join(folder, 'mkconfig');
    await mkdir(made);
    const text = await grubMkconfig({ loaders: loader('.'), release: RELEASE, commandLine, folder: made });
    const stub = `search.fs_uuid ${LINUX_UUID} root hd0,gpt2 \nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n`;
    const names = (await readdir(loader(modules))).filter((name) => /\.(mod|lst)$/.test(name));
    return {
      [DEFAULT_LOADER]: await signShim(loader(SHIM)),
      '/EFI/BOOT/grubx64.efi': loader(GRUB),
      [GRUB_CONFIGURATION]: await written(folder, 'stub.cfg', stub),
      [DEBIAN_KERNEL]: payload.kernel,
      [`${linux}/initrd.img-${RELEASE}`]: payload.initramfs,
      [DEBIAN_CONFIGURATION]: await written(folder, 'grub.cfg', text),
      [`${linux}/grub/grubenv`]: await written(folder, 'grubenv', environmentBlock(environment)),
      [`${linux}/grub/custom.cfg`]: await written(folder, 'custom.cfg', custom),
      [`${linux}/grub/fonts/unicode.pf2`]: loader('usr/share/grub/unicode.pf2'),
      [`${linux}/grub/locale/de.mo`]: loader('usr/share/locale/de/LC_MESSAGES/grub.mo'),
      ...Object.fromEntries(names.map((name) => [`${linux}/grub/x86_64-efi/${name}`, loader(`${modules}/${name}`)])),
    };
  };

const LOADER_CONFIGURATION = 'timeout 0\neditor no\n';

/** systemd-boot and a unified kernel image. */
export const systemdBootAndUki =
  (sign: Sign = unsigned): BootWay =>
  async (payload, folder) => ({
    [DEFAULT_LOADER]: await sign(loader(SYSTEMD_BOOT)),
    '/EFI/Linux/assay.efi': await sign(await ukiOf(payload, folder)),
    '/loader/loader.conf': await written(folder, 'loader.conf', LOADER_CONFIGURATION),
  });

/** systemd-boot with an entry that names kernel, initramfs and command line (Boot Loader Specification, type 1). */
export const systemdBootAndEntry =
  (sign: Sign = unsigned): BootWay =>
  async (payload, folder) => ({
    [DEFAULT_LOADER]: await sign(loader(SYSTEMD_BOOT)),
    '/vmlinuz': await sign(payload.kernel),
    '/initrd.img': payload.initramfs,
    '/loader/loader.conf': await written(folder, 'loader.conf', LOADER_CONFIGURATION),
    '/loader/entries/assay.conf': await written(
      folder,
      'assay.conf',
      `title Assay guest\nlinux /vmlinuz\ninitrd /initrd.img\noptions ${payload.commandLine}\n`,
    ),
  });

/** A unified kernel image that the firmware starts itself. */
export const ukiAlone =
  (sign: Sign = unsigned): BootWay =>
  async (payload, folder) => ({ [DEFAULT_LOADER]: await sign(await ukiOf(payload, folder)) });

async function ukiOf(payload: Payload, folder: string): Promise<string> {
  const image = join(folder, 'uki.efi');
  await makeUki(loader(STUB), payload, image);
  return image;
}
