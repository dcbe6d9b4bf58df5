/** The TPM as a machine with memory, time and randomness: what the commands' actions work on. */
import { randomBytes } from 'node:crypto';
import { bytesEqual } from '../../bytes/index.ts';
import { decode, encode, handleType, TPM_HT, TPM_RH, TpmError } from '../../tpm/index.ts';
import { MAX_COMMAND_SIZE } from './limits.ts';
import { refuse } from './refusal.ts';
import {
  closePermanent,
  closeVolatile,
  type LoadedObject,
  type NvIndex,
  openPermanent,
  openVolatile,
  type Permanent,
  SAVED,
  SAVED_VOLATILE,
  type SavedVolatile,
  type Session,
  type Volatile,
} from './state.ts';

const STATE_VERSION = 2;

export interface MachineOptions {
  /** Milliseconds that only ever grow; the default is the kernel's CLOCK_MONOTONIC, equal for all processes of a boot. */
  readonly now?: () => number;
  readonly random?: (size: number) => Uint8Array;
  /** Milliseconds that passed, with power, since the state was saved. */
  readonly elapsed?: number;
}

const monotonic = (): number => Number(process.hrtime.bigint() / 1_000_000n);

export class Machine {
  readonly permanent: Permanent;
  volatile: Volatile;
  /** What the platform's interface takes at once, command or response; TPM2_GetCapability tells it. */
  bufferSize = MAX_COMMAND_SIZE;
  readonly random: (size: number) => Uint8Array;
  readonly #now: () => number;
  #clockBase: number;
  #timeBase: number;
  #changes = 0;

  constructor(permanent: Permanent, volatile: Volatile, time: bigint, options: MachineOptions) {
    this.permanent = permanent;
    this.volatile = volatile;
    this.random = options.random ?? randomBytes;
    this.#now = options.now ?? monotonic;
    this.#clockBase = this.#now() - (options.elapsed ?? 0);
    this.#timeBase = this.#clockBase - Number(time);
  }

  /** Counts what must outlive power or this process: a saver compares it before and after a command. */
  get changes(): number {
    return this.#changes;
  }

  /** To be called by every action that changes PCRs, NV memory or anything else that must not be lost. */
  changed(): void {
    this.#changes++;
  }

  /** Milliseconds since _TPM_Init. */
  get time(): bigint {
    return BigInt(this.#now() - this.#timeBase);
  }

  /** Milliseconds with power since the last TPM2_Clear. */
  get clock(): bigint {
    return this.permanent.clock + BigInt(this.#now() - this.#clockBase);
  }

  setClock(clock: bigint): void {
    this.permanent.clock = clock;
    this.#clockBase = this.#now();
  }

  /** _TPM_Init: power came, and with it a new TPM time. */
  restartTime(): void {
    this.setClock(this.clock);
    this.#timeBase = this.#now();
  }

  /** A transient or persistent object that the engine found loaded. */
  object(handle: number): LoadedObject {
    const { transients, sequences } = this.volatile;
    if (sequences.has(handle)) refuse('SEQUENCE');
    return transients.get(handle) ?? this.permanent.persistents.get(handle) ?? refuse('HANDLE');
  }

  nvIndex(handle: number): NvIndex {
    return this.permanent.nvIndices.get(handle) ?? refuse('HANDLE');
  }

  session(handle: number): Session {
    return this.volatile.sessions.get(handle) ?? refuse('HANDLE');
  }

  /** The proof value of a hierarchy (Part 1, 14.4). */
  proof(hierarchy: number): Uint8Array {
    if (hierarchy === TPM_RH.PLATFORM) return this.permanent.platformProof;
    if (hierarchy === TPM_RH.ENDORSEMENT) return this.permanent.endorsement.proof;
    if (hierarchy === TPM_RH.OWNER) return this.permanent.owner.proof;
    return this.volatile.nullProof;
  }

  primarySeed(hierarchy: number): Uint8Array {
    if (hierarchy === TPM_RH.PLATFORM) return this.permanent.platformSeed;
    if (hierarchy === TPM_RH.ENDORSEMENT) return this.permanent.endorsement.seed;
    if (hierarchy === TPM_RH.OWNER) return this.permanent.owner.seed;
    return this.volatile.nullSeed;
  }

  isHierarchyEnabled(hierarchy: number): boolean {
    if (hierarchy === TPM_RH.PLATFORM) return this.volatile.isPlatformEnabled;
    if (hierarchy === TPM_RH.ENDORSEMENT) return this.volatile.isEndorsementEnabled;
    if (hierarchy === TPM_RH.OWNER) return this.volatile.isStorageEnabled;
    return true;
  }

  flush(handle: number): void {
    const type = handleType(handle);
    if (type === TPM_HT.TRANSIENT) {
      this.volatile.transients.delete(handle);
      this.volatile.sequences.delete(handle);
    } else {
      this.volatile.sessions.delete(handle);
      this.volatile.savedSessions.delete(handle);
    }
  }

  /** Everything, volatile data included, as bytes that `openMachine` takes. */
  save(): Uint8Array<ArrayBuffer> {
    return this.#encode(this.clock, closeVolatile(this.volatile, this.time));
  }

  /** What survives power, as bytes that `openMachine` takes. */
  savePermanent(clock: bigint): Uint8Array<ArrayBuffer> {
    return this.#encode(clock, undefined);
  }

  /** What else `openMachine` needs to go on as if nothing had been. */
  saveVolatile(): Uint8Array<ArrayBuffer> {
    return encode(SAVED_VOLATILE, {
      version: STATE_VERSION,
      identity: this.permanent.identity,
      volatile: closeVolatile(this.volatile, this.time),
    });
  }

  #encode(clock: bigint, volatile: SavedVolatile | undefined): Uint8Array<ArrayBuffer> {
    return encode(SAVED, {
      version: STATE_VERSION,
      permanent: closePermanent(this.permanent, clock),
      volatile,
    });
  }
}

function checkVersion(version: number): void {
  if (version === STATE_VERSION) return;
  throw new TpmError(
    'tpm.unsupported',
    `software TPM state of version ${version}; this program writes ${STATE_VERSION}`,
  );
}

/**
 * @param bytes what `save` or `savePermanent` gave
 * @param volatileBytes what `saveVolatile` gave
 * @param initial memory as _TPM_Init leaves it, where neither has any
 * @throws {TpmParseError} for bytes that are no state
 * @throws {TpmError} `tpm.unsupported` for another version's; `tpm.argument` where the two are not of the same TPM
 */
export function openMachine(
  bytes: Uint8Array,
  volatileBytes: Uint8Array | undefined,
  initial: (permanent: Permanent) => Volatile,
  options: MachineOptions,
): Machine {
  const { version, permanent: saved, volatile } = decode(SAVED, bytes);
  checkVersion(version);
  const kept = volatileBytes === undefined ? volatile : decodeVolatile(volatileBytes, saved.identity);
  const permanent = openPermanent(saved);
  return new Machine(permanent, kept ? openVolatile(kept) : initial(permanent), kept?.time ?? 0n, options);
}

function decodeVolatile(bytes: Uint8Array, identity: Uint8Array): SavedVolatile {
  const saved = decode(SAVED_VOLATILE, bytes);
  checkVersion(saved.version);
  if (bytesEqual(saved.identity, identity)) return saved.volatile;
  throw new TpmError('tpm.argument', 'the volatile state is that of another TPM than the permanent state');
}
