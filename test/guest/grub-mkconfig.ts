/** The configuration that Debian's grub-mkconfig writes for a machine, made beside it and not upon it. */
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LINUX_UUID } from './esp.ts';

const run = promisify(execFile);

export interface GrubMachine {
  /** Folder of tools/boot-loaders. */
  readonly loaders: string;
  /** Kernel's version, as in the name of its file. */
  readonly release: string;
  readonly commandLine: string;
  /** A new one. */
  readonly folder: string;
}

/** What grub-probe would find out of the machine's disk. */
const PROBE = `#!/bin/sh
case "$*" in
  *target=device*) echo /dev/sda2 ;;
  *target=fs_uuid*) echo ${LINUX_UUID} ;;
  *target=fs_label*|*target=cryptodisk_uuid*) exit 1 ;;
  *target=partuuid*) echo 0e5a5a10-0000-4000-8000-000000000006 ;;
  *target=partmap*) echo gpt ;;
  *target=compatibility_hint*) echo hd0,gpt2 ;;
  *target=hints_string*) echo '--hint-bios=hd0,gpt2 --hint-efi=hd0,gpt2 --hint-baremetal=ahci0,gpt2' ;;
  *target=fs*|*'-t fs'*) echo ext2 ;;
esac
`;

/** As Debian installs it, but for the time to wait. */
const DEFAULTS = `GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=quiet
`;

/** @returns the text of grub.cfg: everything of it is what Debian's scripts print */
export async function grubMkconfig({ loaders, release, commandLine, folder }: GrubMachine): Promise<string> {
  const place = (path: string): string => join(folder, path);
  for (const part of ['etc/grub.d', 'usr/share/grub']) await cp(join(loaders, part), place(part), { recursive: true });
  for (const part of ['boot/grub', 'usr/bin', 'usr/sbin', 'etc/default']) await mkdir(place(part), { recursive: true });
  for (const file of [`vmlinuz-${release}`, `initrd.img-${release}`]) await writeFile(place(`boot/${file}`), 'file');
  const relative = `#!/bin/sh\nexec echo "\${1#${folder}}"\n`;
  for (const [name, text] of [
    ['usr/sbin/grub-probe', PROBE],
    ['usr/bin/grub-mkrelpath', relative],
    ['usr/bin/grub-script-check', '#!/bin/sh\n'],
  ] as const) {
    await writeFile(place(name), text);
    await chmod(place(name), 0o755);
  }
  await writeFile(place('etc/default/grub'), `${DEFAULTS}GRUB_CMDLINE_LINUX='${commandLine}'\n`);
  // Other systems on this machine's disks are none of the guest's.
  for (const other of ['20_linux_xen', '30_os-prober']) await rm(place(`etc/grub.d/${other}`), { force: true });
  await cp(join(loaders, 'usr/sbin/grub-mkconfig'), place('usr/sbin/grub-mkconfig'));
  const scripts = (await readdir(place('etc/grub.d'))).filter((name) => name !== 'README');
  for (const script of [
    'usr/sbin/grub-mkconfig',
    'usr/share/grub/grub-mkconfig_lib',
    ...scripts.map((name) => `etc/grub.d/${name}`),
  ]) {
    // The scripts name their places in full.
    const text = await readFile(place(script), 'utf8');
    await writeFile(place(script), text.replace(/(?<![\w.}*])\/(usr|etc|boot)\b/g, `${folder}/$1`));
  }
  const { stdout } = await run('sh', [place('usr/sbin/grub-mkconfig')], {
    env: { PATH: `${place('usr/sbin')}:${process.env.PATH ?? ''}`, EUID: '0', LANG: 'de_DE.UTF-8' },
  });
  return stdout.replaceAll(folder, '');
}
