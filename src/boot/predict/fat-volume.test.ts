import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fatFile } from './fat-volume.ts';

const SECTOR = 512;
const [RESERVED, TABLES, TABLE, ROOT, PER_CLUSTER] = [1, 2, 1, 16, 1];
const DATA = (RESERVED + TABLES * TABLE) * SECTOR + ROOT * 32;

/** FAT12: GRUB.CFG of one cluster, FONTS with A.PF2 of three clusters that lie apart. */
function volume(): Buffer {
  const image = Buffer.alloc(DATA + 10 * SECTOR);
  image.writeUInt16LE(SECTOR, 11);
  image.writeUInt8(PER_CLUSTER, 13);
  image.writeUInt16LE(RESERVED, 14);
  image.writeUInt8(TABLES, 16);
  image.writeUInt16LE(ROOT, 17);
  image.writeUInt16LE(TABLE, 22);
  const next: Readonly<Record<number, number>> = { 2: 0xfff, 3: 0xfff, 4: 7, 7: 6, 6: 0xfff };
  for (const [cluster, value] of Object.entries(next)) {
    const at = SECTOR + Math.floor((Number(cluster) * 3) / 2);
    const before = image.readUInt16LE(at);
    image.writeUInt16LE(Number(cluster) % 2 === 1 ? (before & 0xf) | (value << 4) : (before & 0xf000) | value, at);
  }
  const entry = (at: number, name: string, attributes: number, cluster: number, size: number): void => {
    image.write(name, at, 'latin1');
    image.writeUInt8(attributes, at + 11);
    image.writeUInt16LE(cluster, at + 26);
    image.writeUInt32LE(size, at + 28);
  };
  const cluster = (number: number): number => DATA + (number - 2) * SECTOR;
  entry(DATA - ROOT * 32, 'GRUB    CFG', 0x20, 2, 5);
  entry(DATA - ROOT * 32 + 32, 'FONTS      ', 0x10, 3, 0);
  entry(cluster(3), 'A       PF2', 0x20, 4, 2 * SECTOR + 3);
  image.write('hello', cluster(2));
  for (const [i, number] of [4, 7, 6].entries()) image.fill('abc'[i] ?? '', cluster(number), cluster(number) + SECTOR);
  return image;
}

test('a file is read through its clusters, in folders too', () => {
  assert.equal(Buffer.from(fatFile(volume(), '/grub.cfg') ?? []).toString(), 'hello');
  const font = Buffer.from(fatFile(volume(), '/fonts/a.pf2') ?? []).toString();
  assert.equal(font, `${'a'.repeat(SECTOR)}${'b'.repeat(SECTOR)}ccc`);
  for (const path of ['/none', '/fonts', '/grub.cfg/x', '/fonts/b.pf2'])
    assert.equal(fatFile(volume(), path), undefined);
});

test('a damaged volume gives a file or none', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(DATA + 3 * SECTOR), fc.nat(255)), { maxLength: 8 }), (changes) => {
      const image = volume();
      for (const [at, value] of changes) image.writeUInt8(value, at);
      const file = fatFile(image, '/fonts/a.pf2');
      assert.ok(file === undefined || file.length <= image.length * 8);
    }),
    { numRuns: 300 },
  );
  assert.equal(fatFile(new Uint8Array(3), '/grub.cfg'), undefined);
});
