/** The images that a guest boots from, made without root. */
import { execFile } from 'node:child_process';
import { mkdir, open, rm, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { layOut, type Tree } from './tree.ts';

const run = promisify(execFile);
const SBIN = { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };

/** An ext4 image that holds `tree`: IMA's built-in `tcb` policy leaves tmpfs and rootfs out, ext4 it measures. */
export async function makeDisk(
  tree: Tree,
  image: string,
  megabytes: number,
  features: readonly string[] = [],
): Promise<void> {
  const staging = `${image}.tree`;
  layOut(tree, staging);
  await makeSparse(image, megabytes);
  const options = [
    '-q',
    '-F',
    '-O',
    ['^has_journal', ...features].join(','),
    '-E',
    'root_owner=0:0,lazy_itable_init=0',
  ];
  // A block of ext4 as large as a page, which fs-verity needs; mkfs takes smaller ones for small images.
  await run('mkfs.ext4', [...options, '-b', '4096', '-d', staging, image], { env: SBIN });
  await rm(staging, { recursive: true });
}

/** Changes one file of an image behind the guest's back, as somebody with the disk in hand would. */
export async function replaceOnDisk(image: string, path: string, source: string): Promise<void> {
  for (const command of [`rm ${path}`, `write ${source} ${path}`, `set_inode_field ${path} mode 0100755`]) {
    await run('debugfs', ['-w', '-R', command, image], { env: SBIN });
  }
}

/** Mounts an image over a loop device, for labels that depend on inode numbers. Needs root. */
export async function whileMounted<T>(image: string, work: (root: string) => T | Promise<T>): Promise<T> {
  const place = `${image}.mounted`;
  await mkdir(place, { recursive: true });
  await run('mount', ['-t', 'ext4', '-o', 'loop', image, place], { env: SBIN });
  try {
    return await work(place);
  } finally {
    await run('umount', [place], { env: SBIN });
    await rm(place, { recursive: true });
  }
}

/** A file of zeros that takes no room. */
export async function makeSparse(image: string, megabytes: number): Promise<void> {
  const file = await open(image, 'w');
  await file.truncate(megabytes * 2 ** 20);
  await file.close();
}

/** Finds the disk, mounts it and makes it the root. The kernel measures this file (PCR 9), so it is the same in every boot. */
const INIT = `#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /dev /root
$b mount -t devtmpfs dev /dev
for try in 0 1 2 3 4 5 6 7 8 9; do
  for disk in /dev/vda /dev/nvme0n1; do [ -b $disk ] && break 2; done
  $b sleep 0.3
done
$b mount -t ext4 $disk /root || $b poweroff -f
$b mount --move /dev /root/dev
exec $b switch_root /root /bin/sh /etc/rc
`;

/** An initramfs of busybox and what runs first. */
export async function makeInitramfs(image: string, init = INIT): Promise<void> {
  const staging = `${image}.tree`;
  await mkdir(staging);
  layOut({ '/init': { text: init, mode: 0o755 }, '/bin/busybox': { copy: '/bin/busybox' } }, staging);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = execFile('sh', ['-c', `cpio -o -H newc --quiet >'${image}'`], { cwd: staging }, (error) =>
    error === null ? resolve() : reject(error),
  );
  child.stdin?.end('.\nbin\nbin/busybox\ninit\n');
  await promise;
  await rm(staging, { recursive: true });
}

/**
 * What goes in and out lies as a tar archive on a raw disk of its own: nothing there is a file that IMA would measure. What
 * goes in begins at the second MiB; the first says how many there are, since busybox's tar reads a disk to its end, in
 * pieces of 512 bytes, for which emulation takes longer than for all the rest of a boot.
 */
export async function writeExchange(image: string, folder: string): Promise<void> {
  await makeSparse(image, 128);
  const archive = `${image}.tar`;
  await run('tar', ['-cf', archive, '-C', folder, '.']);
  const { size } = await stat(archive);
  // conv=notrunc keeps the disk's size behind the archive.
  await run('dd', [`if=${archive}`, `of=${image}`, 'bs=1M', 'seek=1', 'conv=notrunc', 'status=none']);
  const file = await open(image, 'r+');
  await file.write(`${Math.ceil(size / 2 ** 20)}\n`, 0);
  await file.close();
  await rm(archive);
}

/** Unpacks what the guest wrote into `folder`; nothing where it did not come so far. */
export async function readExchange(image: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file = await open(image);
  const { buffer } = await file.read({ buffer: Buffer.alloc(8), position: 0 });
  await file.close();
  if (/^\d+\n/.test(buffer.toString('latin1'))) return;
  await run('tar', ['-xf', image, '-C', folder]);
}
