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

const STATE_VERSION = 3;

export interface MachineOptions {
  /** Milliseconds that only ever grow; the default is the kernel's CLOCK_MONOTONIC, equal for all processes of a boot. */
  readonly now?: () => number;
  readonly random?: (size: number) => Uint8Array;
  /** Milliseconds that passed, with power, since the state was saved. */
  readonly elapsed?: number;
}

const monotonic = (): number => Number(process.hrtime.bigint() / 1_000_000n);

/** Units of the platform's clock in a millisecond, untrimmed (Part 4, PlatformClock.h: CLOCK_NOMINAL). */
export const NOMINAL_RATE = 30_000;

/** What stands for a sequence where a key is looked for: it is of no use there, and its type is none that is. */
const SEQUENCE_OBJECT: LoadedObject = {
  publicArea: {
    type: 'symcipher',
    nameAlg: 'null',
    objectAttributes: { noDA: true },
    authPolicy: new Uint8Array(0),
    parameters: { sym: { algorithm: 'aes', keyBits: 128, mode: 'null' } },
    unique: new Uint8Array(0),
  },
  sensitive: undefined,
  name: new Uint8Array(0),
  qualifiedName: new Uint8Array(0),
  hierarchy: TPM_RH.NULL,
  isExternal: false,
  isStClear: false,
};

export class Machine {
  readonly permanent: Permanent;
  volatile: Volatile;
  /** What the platform's interface takes at once, command or response; TPM2_GetCapability tells it. */
  bufferSize = MAX_COMMAND_SIZE;
  /** Asserted by the platform (Part 1, 19.6.16). */
  isPhysicallyPresent = false;
  /** Slots that persistent objects take for the length of a command (Part 4, Object.c: ObjectLoadEvict). */
  readonly evicted = new Set<number>();
  readonly random: (size: number) => Uint8Array;
  readonly #now: () => number;
  /** When time was taken in last, and what of it was less than a millisecond of TPM time. */
  #last: number;
  #rest = 0;
  #changes = 0;
  #permanentChanges = 0;

  constructor(permanent: Permanent, volatile: Volatile, options: MachineOptions) {
    this.permanent = permanent;
    this.volatile = volatile;
    this.random = options.random ?? randomBytes;
    this.#now = options.now ?? monotonic;
    this.#last = this.#now() - (options.elapsed ?? 0);
  }

  /** Counts what must outlive power or this process: a saver compares it before and after a command. */
  get changes(): number {
    return this.#changes;
  }

  /** Of these, what concerns `permanent`. */
  get permanentChanges(): number {
    return this.#permanentChanges;
  }

  /** To be called by every action that changes NV memory or anything else that must not be lost. */
  changed(): void {
    this.#changes++;
    this.#permanentChanges++;
  }

  /** To be called by every action that changes PCRs, and with them `volatile` alone. */
  memoryChanged(): void {
    this.#changes++;
  }

  /** To be called by every action that changes what TPM2_Shutdown keeps: the shutdown is void then (Part 3, 9.4). */
  clearOrderly(): void {
    if (!this.isOrderly) return;
    this.permanent.orderly = this.volatile.isDaUsed ? 'daUsed' : 'none';
    this.changed();
  }

  /** Nothing has voided the last TPM2_Shutdown yet. */
  get isOrderly(): boolean {
    const { orderly } = this.permanent;
    return orderly === 'clear' || orderly === 'state';
  }

  /** Takes in the time that has passed: within a command time stands still (Part 4, Time.c: TimeUpdate). */
  tick(): void {
    const now = this.#now();
    const units = (now - this.#last) * NOMINAL_RATE + this.#rest;
    this.#last = now;
    this.#rest = units % this.volatile.clockRate;
    const elapsed = BigInt(Math.floor(units / this.volatile.clockRate));
    this.volatile.time += elapsed;
    this.permanent.clock += elapsed;
    this.permanent.uptime += elapsed;
  }

  /** The clock shows no value that it may have shown before (Part 1, 36.3.4). */
  get isClockSafe(): boolean {
    return this.permanent.clock >= this.volatile.clockSafeFrom;
  }

  /** A transient or persistent object that the engine found loaded, or what stands for a sequence. */
  object(handle: number): LoadedObject {
    const { transients, sequences } = this.volatile;
    if (sequences.has(handle)) return SEQUENCE_OBJECT;
    return transients.get(handle) ?? this.permanent.persistents.get(handle) ?? refuse('HANDLE');
  }

  isSequence(handle: number): boolean {
    return this.volatile.sequences.has(handle);
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
      if (this.volatile.exclusiveSession === handle) this.volatile.exclusiveSession = 0;
    }
  }

  /** Everything, volatile data included, as bytes that `openMachine` takes. */
  save(): Uint8Array<ArrayBuffer> {
    this.tick();
    return this.#encode(this.permanent.clock, closeVolatile(this.volatile));
  }

  /** What survives power, as bytes that `openMachine` takes. */
  savePermanent(clock: bigint): Uint8Array<ArrayBuffer> {
    this.tick();
    return this.#encode(clock, undefined);
  }

  /** What else `openMachine` needs to go on as if nothing had been. */
  saveVolatile(): Uint8Array<ArrayBuffer> {
    this.tick();
    return encode(SAVED_VOLATILE, {
      version: STATE_VERSION,
      identity: this.permanent.identity,
      volatile: closeVolatile(this.volatile),
    });
  }

  /** @param clock what the clock says there; the time with power moves along with it */
  #encode(clock: bigint, volatile: SavedVolatile | undefined): Uint8Array<ArrayBuffer> {
    const uptime = BigInt.asUintN(64, this.permanent.uptime - this.permanent.clock + clock);
    return encode(SAVED, {
      version: STATE_VERSION,
      permanent: { ...closePermanent(this.permanent), clock, uptime },
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
  return new Machine(permanent, kept ? openVolatile(kept) : initial(permanent), options);
}

function decodeVolatile(bytes: Uint8Array, identity: Uint8Array): SavedVolatile {
  const saved = decode(SAVED_VOLATILE, bytes);
  checkVersion(saved.version);
  if (bytesEqual(saved.identity, identity)) return saved.volatile;
  throw new TpmError('tpm.argument', 'the volatile state is that of another TPM than the permanent state');
}
