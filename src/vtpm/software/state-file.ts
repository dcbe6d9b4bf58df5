/**
 * A software TPM's state in a file: written whole, to the side, synced and renamed into place, so that a crash leaves the
 * old state or the new one; with a checksum over every byte. It says in which boot of the machine, and when in it, it
 * was written: PCRs live as long as that boot, as in a TPM of hardware.
 *
 *     "ASSAYTPM" ‖ version (2) ‖ boot id (16) ‖ milliseconds since boot (8) ‖ size (4) ‖ state ‖ SHA-256 of all before
 */
import { readFile } from 'node:fs/promises';
import { ByteReader, ByteWriter, bytesEqual, digest } from '../../bytes/index.ts';
import { replaceFile } from '../../sys/index.ts';
import { stateIo, VtpmError } from '../error.ts';

const MAGIC = Buffer.from('ASSAYTPM', 'latin1');
const VERSION = 1;
const HEADER = MAGIC.length + 2 + 16 + 8 + 4;
const CHECKSUM = 32;

export interface StoredState {
  readonly state: Uint8Array;
  /** 32 hex digits: /proc/sys/kernel/random/boot_id. */
  readonly bootId: string;
  /** CLOCK_MONOTONIC when it was written. */
  readonly milliseconds: number;
}

function damaged(file: string, what: string): VtpmError {
  return new VtpmError('vtpm.state-damaged', `${file}: ${what}`, {
    advice: 'restore the file from a backup, or move it away: a new software TPM, with another identity, is made then',
  });
}

/** @throws {VtpmError} `vtpm.state-damaged` where any byte is not what was written */
export function decodeState(bytes: Uint8Array, file: string): StoredState {
  if (bytes.length < HEADER + CHECKSUM) throw damaged(file, `${bytes.length} bytes are no state of a software TPM`);
  const body = bytes.subarray(0, bytes.length - CHECKSUM);
  if (!bytesEqual(digest('sha256', body), bytes.subarray(body.length)))
    throw damaged(file, 'its checksum does not match');
  const reader = new ByteReader(body);
  if (!bytesEqual(reader.bytes(MAGIC.length, 'magic'), MAGIC)) throw damaged(file, 'it is no state of a software TPM');
  const version = reader.u16be('version');
  if (version !== VERSION) throw damaged(file, `it has version ${version}, and this program reads ${VERSION}`);
  const bootId = Buffer.from(reader.bytes(16, 'boot id')).toString('hex');
  const milliseconds = Number(reader.u64be('milliseconds'));
  const size = reader.u32be('size');
  if (size !== reader.remaining) throw damaged(file, `it says ${size} bytes of state and has ${reader.remaining}`);
  return { state: new Uint8Array(reader.rest()), bootId, milliseconds };
}

export function encodeState({ state, bootId, milliseconds }: StoredState): Uint8Array {
  const body = new ByteWriter(HEADER + state.length)
    .bytes(MAGIC)
    .u16be(VERSION)
    .bytes(Buffer.from(bootId, 'hex'))
    .u64be(BigInt(milliseconds))
    .u32be(state.length)
    .bytes(state)
    .finish();
  return Buffer.concat([body, digest('sha256', body)]);
}

/** @returns undefined where there is no such file @throws {VtpmError} */
export async function readStateFile(file: string): Promise<StoredState | undefined> {
  try {
    return decodeState(await readFile(file), file);
  } catch (error) {
    if (error instanceof VtpmError) throw error;
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw stateIo(`the software TPM's state ${file} cannot be read`, error);
  }
}

/** @param durable wait until disk has it @throws {VtpmError} `vtpm.state-io`; the old state is there then */
export async function writeStateFile(file: string, stored: StoredState, durable: boolean): Promise<void> {
  try {
    await replaceFile(file, encodeState(stored), { durable });
  } catch (error) {
    throw stateIo('the software TPM cannot keep its state', error);
  }
}
