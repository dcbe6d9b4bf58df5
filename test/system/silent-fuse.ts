/**
 * A FUSE file system of one file, `silent`, whose content it never gives: it takes each read and does not answer.
 * Argument: the folder to mount on. Kernel: include/uapi/linux/fuse.h, in the machine's byte order (little here).
 */
import { openSync, readSync, writeSync } from 'node:fs';
import koffi from 'koffi';

const [folder = ''] = process.argv.slice(2);
const ENOENT = 2;
const ENOSYS = 38;
const ROOT = 1n;
const FILE = 2n;

const OPCODE = { lookup: 1, forget: 2, getattr: 3, open: 14, read: 15, release: 18, init: 26, interrupt: 36 };
const BATCH_FORGET = 42;
const HEADER_OUT = 16;

const mount = koffi
  .load(null)
  .func('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)');
const device = openSync('/dev/fuse', 'r+');
const options = `fd=${device},rootmode=40000,user_id=0,group_id=0,allow_other`;
if (mount('silent', folder, 'fuse', 0, options) !== 0) throw new Error(`mount: errno ${koffi.errno()}`);
process.stdout.write('mounted\n');

/** struct fuse_attr */
function attributes(node: bigint): Buffer {
  const attr = Buffer.alloc(88);
  attr.writeBigUInt64LE(node, 0);
  attr.writeBigUInt64LE(node === FILE ? 65_536n : 0n, 8);
  attr.writeUInt32LE(node === FILE ? 0o100755 : 0o040755, 60);
  attr.writeUInt32LE(1, 64);
  return attr;
}

/** struct fuse_entry_out: valid for a day, so that the kernel need not ask again. */
function entry(): Buffer {
  const out = Buffer.alloc(40);
  out.writeBigUInt64LE(FILE, 0);
  out.writeBigUInt64LE(86_400n, 16);
  out.writeBigUInt64LE(86_400n, 24);
  return Buffer.concat([out, attributes(FILE)]);
}

/** struct fuse_init_out, version 7.31 */
function init(): Buffer {
  const out = Buffer.alloc(64);
  out.writeUInt32LE(7, 0);
  out.writeUInt32LE(31, 4);
  out.writeUInt32LE(65_536, 20);
  return out;
}

/** @returns an error number, the answer, or undefined for what gets none */
function answer(opcode: number, node: bigint, body: Buffer): Buffer | number | undefined {
  switch (opcode) {
    case OPCODE.init:
      return init();
    case OPCODE.lookup:
      return node === ROOT && body.toString('latin1') === 'silent\0' ? entry() : ENOENT;
    case OPCODE.getattr: {
      const valid = Buffer.alloc(16);
      valid.writeBigUInt64LE(86_400n, 0);
      return Buffer.concat([valid, attributes(node)]);
    }
    case OPCODE.open:
      return Buffer.alloc(16);
    case OPCODE.release:
      return Buffer.alloc(0);
    case OPCODE.read:
    case OPCODE.forget:
    case OPCODE.interrupt:
    case BATCH_FORGET:
      return undefined;
    default:
      return ENOSYS;
  }
}

const request = Buffer.alloc(1 << 20);
for (;;) {
  const length = readSync(device, request, 0, request.length, null);
  const result = answer(request.readUInt32LE(4), request.readBigUInt64LE(16), request.subarray(40, length));
  if (result === undefined) continue;
  const body = typeof result === 'number' ? Buffer.alloc(0) : result;
  const header = Buffer.alloc(HEADER_OUT);
  header.writeUInt32LE(HEADER_OUT + body.length, 0);
  header.writeInt32LE(typeof result === 'number' ? -result : 0, 4);
  header.writeBigUInt64LE(request.readBigUInt64LE(8), 8);
  writeSync(device, Buffer.concat([header, body]));
}
