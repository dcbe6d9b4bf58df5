/**
 * The state of this machine's software TPM in a file: written whole, to the side, synced and renamed into place, so that a
 * crash leaves the old state or the new one. Beside the TPM's state it says in which boot of the machine, and when in it, it
 * was written: PCRs live as long as that boot, as in a TPM of hardware.
 *
 *     boot id (16) ‖ milliseconds since boot (8) ‖ state, in a state blob (`state-blob.ts`)
 */
import { readFile } from 'node:fs/promises';
import { ByteReader, ByteWriter } from '../../bytes/index.ts';
import { replaceFile } from '../../sys/index.ts';
import { stateIo, VtpmError } from '../error.ts';
import type { StateKey } from '../state-key.ts';
import { openState, sealState } from './state-blob.ts';

const HEADER = 16 + 8;

export interface StoredState {
  readonly state: Uint8Array;
  /** 32 hex digits: /proc/sys/kernel/random/boot_id. */
  readonly bootId: string;
  /** CLOCK_MONOTONIC when it was written. */
  readonly milliseconds: number;
}

/** @throws {VtpmError} `vtpm.state-damaged` where any byte is not what was written; `vtpm.state-key` */
export function decodeState(bytes: Uint8Array, file: string, key?: StateKey): StoredState {
  const reader = new ByteReader(openState('machine', 'rest', bytes, key, file));
  const bootId = Buffer.from(reader.bytes(16, 'boot id')).toString('hex');
  const milliseconds = Number(reader.u64be('milliseconds'));
  return { state: new Uint8Array(reader.rest()), bootId, milliseconds };
}

export function encodeState({ state, bootId, milliseconds }: StoredState, key?: StateKey): Uint8Array {
  const content = new ByteWriter(HEADER + state.length)
    .bytes(Buffer.from(bootId, 'hex'))
    .u64be(BigInt(milliseconds))
    .bytes(state)
    .finish();
  return sealState('machine', 'rest', content, key);
}

/** @returns undefined where there is no such file @throws {VtpmError} */
export async function readStateFile(file: string, key?: StateKey): Promise<StoredState | undefined> {
  try {
    return decodeState(await readFile(file), file, key);
  } catch (error) {
    if (error instanceof VtpmError) throw error;
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw stateIo(`the software TPM's state ${file} cannot be read`, error);
  }
}

/** @param durable wait until disk has it @throws {VtpmError} `vtpm.state-io`; the old state is there then */
export async function writeStateFile(
  file: string,
  stored: StoredState,
  { durable, key }: { readonly durable: boolean; readonly key?: StateKey | undefined },
): Promise<void> {
  try {
    await replaceFile(file, encodeState(stored, key), { durable });
  } catch (error) {
    throw stateIo('the software TPM cannot keep its state', error);
  }
}
