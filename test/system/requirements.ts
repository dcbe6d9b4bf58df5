/**
 * System tests name what they need. Where it is missing the test is skipped with one clear line; with
 * ASSAY_REQUIRE_SYSTEM=1 (CI) a missing part is a failure instead.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian's package for each program that the system tests run. */
const PACKAGE_OF = {
  swtpm: 'swtpm',
  swtpm_setup: 'swtpm-tools',
  swtpm_ioctl: 'swtpm-tools',
  tpm2_quote: 'tpm2-tools',
  tpm2_checkquote: 'tpm2-tools',
  tpm2_eventlog: 'tpm2-tools',
  'qemu-system-x86_64': 'qemu-system-x86',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.vfat': 'dosfstools',
  mcopy: 'mtools',
  sfdisk: 'fdisk',
  objcopy: 'binutils',
  sbsign: 'sbsigntool',
  sbattach: 'sbsigntool',
  cpio: 'cpio',
  busybox: 'busybox-static',
  chromium: 'chromium',
  openssl: 'openssl',
  evmctl: 'ima-evm-utils',
  getfattr: 'attr',
  'softhsm2-util': 'softhsm2',
  bsdtar: 'libarchive-tools',
  tar: 'tar',
  unshare: 'util-linux',
  keyctl: 'keyutils',
  argon2: 'argon2',
  mkinitramfs: 'initramfs-tools-core',
  dracut: 'dracut-core',
  strace: 'strace',
  script: 'bsdutils',
  fsverity: 'fsverity',
  'dpkg-query': 'dpkg',
  'systemd-measure': 'systemd',
  'systemd-journald': 'systemd',
  journalctl: 'systemd',
} as const;

export type Program = keyof typeof PACKAGE_OF;

function isOnPath(program: string): boolean {
  return `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/lib/systemd`.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const isRequired = process.env.ASSAY_REQUIRE_SYSTEM === '1';

function skipUnless(missing: readonly string[]): { skip: string | false } {
  if (missing.length === 0 || isRequired) return { skip: false };
  return { skip: `needs ${missing.join(', ')}` };
}

/** Options for `test(name, requires('swtpm'), …)`. */
export function requires(...programs: readonly Program[]): { skip: string | false } {
  const missing = programs.filter((program) => !isOnPath(program));
  return skipUnless([...new Set(missing.map((program) => `Debian package ${PACKAGE_OF[program]}`))]);
}

/** Options for a test that reads a file or folder whose place an environment variable gives. */
export function requiresPath(variable: string, what: string): { skip: string | false } {
  const path = process.env[variable];
  return skipUnless(path !== undefined && existsSync(path) ? [] : [`${what} (its place in ${variable})`]);
}

/** Options for a test that mounts an image. Not a package that CI could install, so that it is skipped there too. */
export function requiresMounts(): { skip: string | false } {
  const mounts = process.getuid?.() === 0 && existsSync('/dev/loop-control');
  return { skip: mounts ? false : 'needs root and loop devices' };
}
