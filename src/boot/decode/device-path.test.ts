import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteReader, ParseError } from '../../bytes/index.ts';
import { readDevicePath } from './device-path.ts';

const read = (hex: string) => readDevicePath(new ByteReader(Buffer.from(hex, 'hex')));
const END = '7fff0400';

// Paths of logs published in tpm2-tools (test/integration/fixtures); the text by UEFI 2.10, 10.6.
const REAL: readonly (readonly [hex: string, text: string])[] = [
  [
    `02010c00d041030a0000000001010600001703120a000100ffff000004012a0001000000000800000000000000000800000000001346501ab519444ba83dd926d40daa1c020204042a005c0076006d006c0069006e0075007a002d006c0069006e00750078002d006c00740073000000${END}`,
    'PciRoot(0x0)/Pci(0x17,0x0)/Sata(0x1,0xFFFF,0x0)/HD(1,GPT,1a504613-19b5-4b44-a83d-d926d40daa1c,0x800,0x80000)/File(\\vmlinuz-linux-lts)',
  ],
  [
    `02010c00d041030a03000000010106000000010106000000030b25000cc47aff601c000000000000000000000000000000000000000000000000000001030c1b000000000000000000000000000000000000000000000000${END}`,
    'PciRoot(0x3)/Pci(0x0,0x0)/Pci(0x0,0x0)/MAC(0cc47aff601c,0x1)/IPv4(0.0.0.0,0x0,DHCP,0.0.0.0,0.0.0.0,0.0.0.0)',
  ],
  [
    `04071400c9bdb87cebf8344faaea3ee4af6516a10406140021aa2c4614760345836e8ab6f4662331${END}`,
    'Fv(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(462caa21-7614-4503-836e-8ab6f4662331)',
  ],
  [`05011d0002000000566972745363736928302c332c3029204469736b00${END}`, 'BBS(HD,VirtScsi(0,3,0) Disk,0x0)'],
  [`02010c00d041030a000000000101060000030302080001000000${END}`, 'PciRoot(0x0)/Pci(0x3,0x0)/Scsi(0x1,0x0)'],
  [
    `02010c00d041030a000000000101060000040408180000000000005c010000000000ff7f040000000000${END}`,
    'PciRoot(0x0)/Pci(0x4,0x0)/Offset(0x15C00,0x47FFF)',
  ],
];

test('paths of real logs have the text that UEFI gives them', () => {
  for (const [hex, text] of REAL) assert.equal(read(hex).text, text);
});

test('a file and its partition can be asked for, nodes of one file joined', () => {
  const part = (name: string) => {
    const text = Buffer.from(`${name}\0`, 'utf16le');
    return `0404${Buffer.from([text.length + 4, 0]).toString('hex')}${text.toString('hex')}`;
  };
  const path = read(`${part('\\EFI\\')}${part('\\debian')}${part('shimx64.efi')}${END}`);
  assert.equal(path.file, '\\EFI\\debian\\shimx64.efi');
  const disk = read(`04012a0001000000000800000000000000000800000000001346501ab519444ba83dd926d40daa1c0202${END}`);
  assert.equal(disk.partition, '1a504613-19b5-4b44-a83d-d926d40daa1c');
});

test('a node that is unknown, or too short for its fields, is shown by its bytes', () => {
  assert.equal(read(`03630600abcd${END}`).text, 'Path(3,99,abcd)');
  assert.equal(read(`01010500aa${END}`).text, 'Path(1,1,aa)');
  assert.equal(read(`0101060000017f010400010106000002${END}`).text, 'Pci(0x1,0x0),Pci(0x2,0x0)');
});

test('without an end node the path is what there is, and says that it was not closed', () => {
  assert.deepEqual(
    { ...read('010106000001') },
    { text: 'Pci(0x1,0x0)', file: undefined, partition: undefined, ended: false },
  );
});

test('a length below the head, or beyond the bytes, is refused at its place', () => {
  const at = (offset: number) => (error: unknown) => error instanceof ParseError && error.offset === offset;
  assert.throws(() => read('0101060000010404000000'), at(8));
  assert.throws(() => read('0101ffff0001'), at(4));
});

test('a path of more nodes than any machine has is refused', () => {
  assert.throws(() => read('7f010400'.repeat(2000)), /more than 1024 nodes/);
});

test('any bytes give a path or a ParseError', () => {
  const nodes = fc.array(
    fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 40 }), fc.uint8Array({ maxLength: 60 })),
    { maxLength: 5 },
  );
  fc.assert(
    fc.property(nodes, (list) => {
      const bytes = list.map(([type, sub, body]) => Buffer.from([type, sub, body.length + 4, 0, ...body]));
      const { text, ended } = readDevicePath(new ByteReader(Buffer.concat(bytes)));
      assert.equal(ended, false);
      assert.equal(text === '', list.length === 0);
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        readDevicePath(new ByteReader(bytes));
      } catch (error) {
        assert.ok(error instanceof ParseError && error.offset <= bytes.length);
      }
    }),
    { numRuns: 300 },
  );
});
