/** File systems by statfs(2)'s magic number, as a label run tells them apart. */
import { FILE_SYSTEMS } from '../ima/policy/index.ts';

/** What the kernel makes up while it is read: neither IMA's built-in policies nor a label run look there (ima_policy.c, default_measurement_rules). */
const KERNEL: ReadonlySet<number> = new Set(
  FILE_SYSTEMS.filter(({ kind }) => kind === 'pseudo').map(({ magic }) => magic),
);

const BY_NAME: ReadonlyMap<string, number> = new Map(
  FILE_SYSTEMS.filter(({ kind }) => kind !== 'pseudo').map(({ name, magic }) => [name, magic]),
);

export const isKernelFileSystem = (magic: number): boolean => KERNEL.has(magic);

export const fileSystemNames = (): readonly string[] => [...BY_NAME.keys()];

/** The number of a name (`ext4`) or of a number in hexadecimal (`0xef53`); undefined for neither. */
export function fileSystemMagic(name: string): number | undefined {
  const known = BY_NAME.get(name);
  if (known !== undefined) return known;
  return /^0x[0-9a-f]{1,8}$/i.test(name) ? Number(name) : undefined;
}
