/** Commands as no program would send them: one change to bytes that are right otherwise. */
import { Random } from './random.ts';

/** The same change to both commands of a pair, which are equally long. */
export type Mutation = (command: Uint8Array) => Uint8Array;

type Change = (random: Random, command: Buffer) => Buffer;

const BYTES = [0, 1, 2, 7, 8, 0x10, 0x20, 0x40, 0x7f, 0x80, 0xff] as const;

/** Handles that name something else, or nothing. */
const HANDLES = [
  0x40000001, 0x40000007, 0x40000009, 0x4000000a, 0x4000000b, 0x4000000c, 0x4000000d, 0x80000000, 0x80000001,
  0x80000002, 0x80ffffff, 0x81000001, 0x81800000, 0x01000001, 0x01800001, 0x02000000, 0x03000000, 0, 16, 23, 24,
  0xffffffff,
] as const;

/** The size in the header as it is, which a TPM checks first. */
function sized(command: Buffer): Buffer {
  const copy = Buffer.from(command);
  if (copy.length >= 6) copy.writeUInt32BE(copy.length, 2);
  return copy;
}

/** Behind tag and size: changes to those tell little, and are rare. */
function place(random: Random, command: Buffer, width: number): number {
  const first = random.chance(0.02) ? 0 : Math.min(10, command.length - width);
  return Math.max(0, first + random.int(Math.max(1, command.length - width - first + 1)));
}

function writeHandle(random: Random, command: Buffer, at: number): Buffer {
  if (at + 4 <= command.length) command.writeUInt32BE(random.pick(HANDLES) ?? 0, at);
  return command;
}

const CHANGES: readonly [Change, ...Change[]] = [
  (random, command) => {
    const at = place(random, command, 1);
    command[at] = (command[at] ?? 0) ^ (1 << random.int(8));
    return command;
  },
  (random, command) => {
    command[place(random, command, 1)] = random.pick(BYTES) ?? 0;
    return command;
  },
  // a number of two bytes, somewhat more or less
  (random, command) => {
    const at = place(random, command, 2);
    if (at + 2 <= command.length) {
      command.writeUInt16BE((command.readUInt16BE(at) + random.of(-1, 1, 0x100)) & 0xffff, at);
    }
    return command;
  },
  // an algorithm, a size or a set of bits
  (random, command) => {
    const at = place(random, command, 2);
    if (at + 2 <= command.length) command.writeUInt16BE(random.int(0x48), at);
    return command;
  },
  (random, command) => writeHandle(random, command, 10 + 4 * random.int(3)),
  (random, command) => writeHandle(random, command, place(random, command, 4)),
  (random, command) => sized(command.subarray(0, Math.max(10, command.length - 1 - random.int(12)))),
  (random, command) => sized(Buffer.concat([command, random.bytes(1 + random.int(4))])),
  // swtpm waits for the rest of a header
  (random, command) => {
    const at = place(random, command, 1);
    if (command.length <= 10) return command;
    return sized(Buffer.concat([command.subarray(0, at), command.subarray(at + 1)]));
  },
];

export function randomMutation(random: Random): Mutation {
  const seed = random.int(0x1_0000_0000);
  return (command) => {
    const drawn = new Random(seed);
    return drawn.of(...CHANGES)(drawn, Buffer.from(command));
  };
}
