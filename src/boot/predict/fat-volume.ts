/** Files of a FAT12 or FAT16 volume by their short names (Microsoft, "FAT File System Specification"). */

const ENTRY = 32;
const DIRECTORY = 0x10;
/** A cluster's number from here on ends a chain. */
const LAST = { 12: 0xff8, 16: 0xfff8 } as const;
/** Volumes with fewer clusters have 12 bits for each. */
const FAT12_CLUSTERS = 4085;

/** @returns the file's bytes; undefined where it is not there or the volume is damaged */
export function fatFile(volume: Uint8Array, path: string): Uint8Array | undefined {
  const fat = openFat(Buffer.from(volume.buffer, volume.byteOffset, volume.length));
  const names = path.split('/').filter((name) => name !== '');
  let directory = fat?.root;
  for (const [i, name] of names.entries()) {
    const entry = directory === undefined ? undefined : entryOf(directory, name);
    if (fat === undefined || entry === undefined) return undefined;
    const isLast = i === names.length - 1;
    if (entry.isDirectory === isLast) return undefined;
    const chain = fat.chain(entry.cluster);
    if (isLast) return chain !== undefined && chain.length >= entry.size ? chain.subarray(0, entry.size) : undefined;
    directory = chain;
  }
  return undefined;
}

interface Fat {
  readonly root: Buffer;
  /** All bytes of the clusters from here on; undefined where the chain leaves the volume or turns back. */
  chain(cluster: number): Buffer | undefined;
}

function openFat(volume: Buffer): Fat | undefined {
  if (volume.length < 512) return undefined;
  const sector = volume.readUInt16LE(11);
  const clusterSize = volume.readUInt8(13) * sector;
  const table = volume.readUInt16LE(14) * sector;
  const rootAt = table + volume.readUInt8(16) * volume.readUInt16LE(22) * sector;
  const dataAt = rootAt + volume.readUInt16LE(17) * ENTRY;
  if (clusterSize === 0 || dataAt > volume.length) return undefined;
  const clusters = Math.floor((volume.length - dataAt) / clusterSize);
  const width = clusters < FAT12_CLUSTERS ? 12 : 16;
  const next = (cluster: number): number => {
    const at = table + Math.floor((cluster * width) / 8);
    if (at + 2 > rootAt) return 0;
    const value = volume.readUInt16LE(at);
    return width === 16 ? value : cluster % 2 === 1 ? value >> 4 : value & 0xfff;
  };
  return {
    root: volume.subarray(rootAt, dataAt),
    chain(first) {
      const parts: Buffer[] = [];
      for (let cluster = first; cluster < LAST[width]; cluster = next(cluster)) {
        if (cluster < 2 || cluster >= clusters + 2 || parts.length > clusters) return undefined;
        const at = dataAt + (cluster - 2) * clusterSize;
        parts.push(volume.subarray(at, at + clusterSize));
      }
      return Buffer.concat(parts);
    },
  };
}

function entryOf(
  directory: Buffer,
  name: string,
): { readonly cluster: number; readonly size: number; readonly isDirectory: boolean } | undefined {
  const [base = '', extension = ''] = name.toUpperCase().split('.', 2);
  const wanted = base.padEnd(8) + extension.padEnd(3);
  for (let at = 0; at + ENTRY <= directory.length; at += ENTRY) {
    if (directory.toString('latin1', at, at + 11) !== wanted) continue;
    const isDirectory = (directory.readUInt8(at + 11) & DIRECTORY) !== 0;
    return { cluster: directory.readUInt16LE(at + 26), size: directory.readUInt32LE(at + 28), isDirectory };
  }
  return undefined;
}
