/** A disk that firmware boots from: a GUID partition table and an EFI system partition, made without root and without mounting. */
import { execFile } from 'node:child_process';
import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { makeSparse } from './disk.ts';
import { layOut, type Tree } from './tree.ts';

const run = promisify(execFile);
const SBIN = { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };

/**
 * Path on the partition, as `/EFI/BOOT/BOOTX64.EFI` → the file of this machine that lies there. Paths that begin with
 * LINUX_PARTITION lie on a second one, of ext4.
 */
export type EspFiles = Readonly<Record<string, string>>;

export const LINUX_PARTITION = '(hd0,gpt2)';
export const LINUX_UUID = '5a5a0e10-0000-4000-8000-000000000005';

const MEBIBYTE = 2 ** 20;
const SECTOR = 512;
/** The partition begins where partitioning tools put the first one. */
const START = MEBIBYTE;
/** Room for the table at the disk's end. */
const TAIL = MEBIBYTE;

/** Fixed: the firmware measures the table into PCR 5, so equal disks have to have equal tables. */
export interface DiskIdentity {
  readonly disk: string;
  readonly partition: string;
}

export const FIRST_DISK: DiskIdentity = {
  disk: '0E5A5A10-0000-4000-8000-000000000001',
  partition: '0E5A5A10-0000-4000-8000-000000000002',
};
export const SECOND_DISK: DiskIdentity = {
  disk: '0E5A5A10-0000-4000-8000-000000000003',
  partition: '0E5A5A10-0000-4000-8000-000000000004',
};

/** Makes `image`. Its size follows from the files, in steps that small changes of them do not cross. */
export async function makeBootDisk(files: EspFiles, image: string, identity = FIRST_DISK): Promise<void> {
  const all = Object.entries(files);
  const esp = Object.fromEntries(all.filter(([path]) => !path.startsWith(LINUX_PARTITION)));
  const linux = Object.fromEntries(
    all.flatMap(([path, file]) =>
      path.startsWith(LINUX_PARTITION) ? [[path.slice(LINUX_PARTITION.length), file] as const] : [],
    ),
  );
  const megabytes = await roomFor(esp);
  const more = Object.keys(linux).length === 0 ? 0 : await roomFor(linux);
  await makeSparse(image, megabytes + more + (START + TAIL) / MEBIBYTE);
  await partition(image, [megabytes, more], identity);
  const offset = START / SECTOR;
  // A fixed volume number, so that equal files make an equal disk but for their dates.
  const fat = ['-F', '32', '-n', 'ESP', '-i', 'a55a0001', '--offset', `${offset}`, image, `${megabytes * 1024}`];
  await run('mkfs.vfat', fat, { env: SBIN });
  await fill(esp, image);
  if (more > 0) await makeLinuxPartition(linux, image, START + megabytes * MEBIBYTE, more);
}

async function roomFor(files: EspFiles): Promise<number> {
  return 40 + 16 * Math.ceil((await total(Object.values(files))) / (16 * MEBIBYTE));
}

async function makeLinuxPartition(files: EspFiles, image: string, offset: number, megabytes: number): Promise<void> {
  const staging = `${image}.linux`;
  await mkdir(staging);
  layOut(treeOf(files), staging);
  const options = ['-q', '-F', '-O', '^has_journal', '-U', LINUX_UUID, '-E', `offset=${offset},root_owner=0:0`];
  await run('mkfs.ext4', [...options, '-d', staging, image, `${megabytes}M`], { env: SBIN });
  await rm(staging, { recursive: true });
}

const treeOf = (files: EspFiles): Tree =>
  Object.fromEntries(Object.entries(files).map(([path, file]) => [path, { copy: file }] as const));

async function total(paths: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const path of paths) bytes += (await stat(path)).size;
  return bytes;
}

/** sfdisk reads its script from standard input. */
async function partition(
  image: string,
  [megabytes, more]: readonly [number, number],
  identity: DiskIdentity,
): Promise<void> {
  const sectors = (size: number): number => (size * MEBIBYTE) / SECTOR;
  const start = START / SECTOR + sectors(megabytes);
  const linux = `start=${start}, size=${sectors(more)}, type=L, uuid=0E5A5A10-0000-4000-8000-000000000006\n`;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = execFile('sfdisk', ['--quiet', image], { env: SBIN }, (error) =>
    error === null ? resolve() : reject(error),
  );
  child.stdin?.end(`label: gpt
label-id: ${identity.disk}
start=${START / SECTOR}, size=${sectors(megabytes)}, type=U, uuid=${identity.partition}, name=ESP
${more === 0 ? '' : linux}`);
  await promise;
}

/** Copies a whole tree at once: mcopy asks nothing of a partition that is not mounted. */
async function fill(files: EspFiles, image: string): Promise<void> {
  const staging = `${image}.tree`;
  await mkdir(staging);
  layOut(treeOf(files), staging);
  const tops = [...new Set(Object.keys(files).map((path) => join(staging, top(path))))];
  await run('mcopy', ['-s', '-Q', '-i', `${image}@@${START}`, ...tops, '::/'], { env: SBIN });
  await rm(staging, { recursive: true });
}

const top = (path: string): string => (dirname(path) === '/' ? path : top(dirname(path)));
