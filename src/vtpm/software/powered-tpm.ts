/**
 * A software TPM that a virtual machine's monitor switches on and off, as swtpm does it: power comes with `init` and goes with
 * `stop` or with the process, and takes PCRs, sessions and objects along, unless they were stored or went to another host.
 * What survives power is kept in a store before the command that changed it is answered.
 */
import { AssayError, bytesEqual, digest } from '../../bytes/index.ts';
import { errorResponse, marshalCommand, TPM_RC, TPM2_Shutdown } from '../../tpm/index.ts';
import { VtpmError } from '../error.ts';
import { BUFFER_SIZES, type SwitchedTpm, type TravellingState } from '../serve/servable-tpm.ts';
import type { StateKey } from '../state-key.ts';
import { SoftwareTpm } from './software-tpm.ts';
import { isEncryptedState, openState, sealState } from './state-blob.ts';
import type { KeptPart, StateStore } from './state-folder.ts';

export interface PoweredOptions {
  /** Under which blobs travel, whatever the store's key is. */
  readonly migrationKey?: StateKey | undefined;
  /** Leave TPM2_Shutdown to the guest: a power cut then counts as one, and dictionary attack protection with it. */
  readonly disableAutoShutdown?: boolean | undefined;
  /** Others may use the store until the first blob or command comes: it may be on another host's side still. */
  readonly isIncoming?: boolean | undefined;
  /** Others may use the store once everything has been handed over. */
  readonly releasesWhenGone?: boolean | undefined;
  /** Told of every command with power: its code, the response's, the locality. */
  readonly onCommand?: ((code: number, rc: number, locality: number) => void) | undefined;
  /** Told why power was lost. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
}

/** TPM_PT_CLOCK_UPDATE: how far, in milliseconds, a kept clock may lag behind. */
const CLOCK_UPDATE_MS = 4096n;
const HEADER_SIZE = 10;

export class PoweredTpm implements SwitchedTpm {
  readonly #store: StateStore;
  readonly #options: PoweredOptions;
  #tpm: SoftwareTpm | undefined;
  /** Parts that came from another host, for the next `init`; undefined for one that was said to be empty. */
  readonly #incoming = new Map<KeptPart, Uint8Array | undefined>();
  /** Digest of what the store has, with the clock left out. */
  #kept: Uint8Array | undefined;
  #keptClock = 0n;
  #changes = -1;
  #permanentChanges = -1;
  #hasStoredVolatile = false;
  #isShutDown = false;
  #isEstablished = false;
  #bufferSize: number = BUFFER_SIZES.max;
  #isWaitingForState: boolean;
  #last: Promise<unknown> = Promise.resolve();

  constructor(store: StateStore, options: PoweredOptions = {}) {
    this.#store = store;
    this.#options = options;
    this.#isWaitingForState = options.isIncoming ?? false;
  }

  /** Has power. */
  get isRunning(): boolean {
    return this.#tpm !== undefined;
  }

  get hasStateKey(): boolean {
    return this.#store.key !== undefined;
  }

  get hasMigrationKey(): boolean {
    return this.#options.migrationKey !== undefined;
  }

  /** A launch sequence came since the bit was reset. Without power, as it was. */
  get isEstablished(): boolean {
    return this.#tpm?.isEstablished ?? this.#isEstablished;
  }

  get bufferSize(): number {
    return this.#bufferSize;
  }

  /** @returns what it is then: the nearest that can be */
  setBufferSize(wanted: number): number {
    this.#bufferSize = Math.min(BUFFER_SIZES.max, Math.max(BUFFER_SIZES.min, wanted));
    return this.#bufferSize;
  }

  /**
   * _TPM_Init: goes on where volatile state is stored or came from another host, else begins anew; a TPM that was never there
   * is made.
   *
   * @throws {VtpmError} where a state is damaged, has another key, is in use or cannot be kept: there is no power then
   */
  init(deleteVolatile: boolean): Promise<void> {
    return this.#inTurn(async () => {
      await this.#powerOff();
      if (!this.#isWaitingForState) await this.#store.lock(0);
      const tpm = await this.#openTpm();
      tpm.bufferSize = this.#bufferSize;
      this.#isShutDown = false;
      this.#incoming.clear();
      await this.#keep(tpm);
      this.#changes = tpm.changes;
      if (deleteVolatile) await this.#removeVolatile();
      this.#tpm = tpm;
    });
  }

  powerOn(): Promise<void> {
    return this.init(false);
  }

  /** Power goes. @throws {VtpmError} `vtpm.state-io` where the last of its state could not be kept */
  stop(): Promise<void> {
    return this.#inTurn(() => this.#powerOff());
  }

  /** Stops, and leaves the store to others. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      try {
        await this.#powerOff();
      } finally {
        await this.#store.unlock();
      }
    });
  }

  /**
   * Without power, and where its state cannot be kept, TPM_RC_FAILURE; power is gone then.
   * @param locality 0–4, or 32–255
   * @throws {VtpmError} `vtpm.state-in-use` where another has the store, which was left to others until now
   */
  execute(command: Uint8Array, locality = 0): Promise<Uint8Array> {
    return this.#inTurn(async () => {
      const tpm = this.#tpm;
      if (tpm === undefined) return errorResponse(TPM_RC.FAILURE);
      await this.#lock();
      this.#isShutDown = codeOf(command) === TPM2_Shutdown.code;
      const response = tpm.execute(command, locality);
      this.#options.onCommand?.(codeOf(command), codeOf(response), locality);
      return (await this.#isKept(tpm)) ? response : errorResponse(TPM_RC.FAILURE);
    });
  }

  hashStart(): Promise<void> {
    return this.#measure((tpm) => tpm.hashStart());
  }

  hashData(data: Uint8Array): Promise<void> {
    return this.#measure((tpm) => tpm.hashData(data));
  }

  hashEnd(): Promise<void> {
    return this.#measure((tpm) => tpm.hashEnd());
  }

  /** @returns false at a locality that may not */
  resetEstablished(locality: number): boolean {
    return this.#tpm?.resetEstablished(locality) ?? false;
  }

  /** Stores PCRs, sessions and objects for the next `init`. Whatever changes the TPM after this removes them again. */
  storeVolatile(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#store.store('volatile', this.#powered().saveVolatile());
      this.#hasStoredVolatile = true;
    });
  }

  /** A part for another host. @param isPlain not under the store's key; under the migration key it is, where there is one */
  getState(part: KeptPart, isPlain: boolean): Promise<TravellingState> {
    return this.#inTurn(async () => {
      const tpm = this.#powered();
      const state = part === 'permanent' ? tpm.savePermanent() : tpm.saveVolatile();
      if (part === 'volatile') await this.#removeVolatile();
      const key = isPlain ? undefined : this.#store.key;
      const inner = sealState(part, 'rest', state, key);
      return { blob: sealState(part, 'travel', inner, this.#options.migrationKey), isEncrypted: key !== undefined };
    });
  }

  /** All that goes to another host has gone. */
  async handedOver(): Promise<void> {
    if (this.#options.releasesWhenGone === true) await this.#inTurn(() => this.#store.unlock());
  }

  /** @throws {VtpmError} `vtpm.state-in-use` */
  lockStore(retries: number): Promise<void> {
    return this.#inTurn(() => this.#lock(retries));
  }

  /**
   * A part from another host, for the next `init`; nothing is kept before that. An empty one: there is none. One that was not
   * encrypted on its way is taken, too, as swtpm takes it: encryption can begin with a move.
   *
   * @throws {VtpmError} where it is damaged, no state of this TPM, or under another key; what had come before is forgotten then
   */
  setState(part: KeptPart, blob: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      await this.#lock();
      try {
        this.#incoming.set(part, blob.length === 0 ? undefined : this.#unwrap(part, blob));
        if (blob.length > 0) await this.#openTpm(); // whether it can be
      } catch (error) {
        this.#incoming.clear();
        throw error;
      }
    });
  }

  #unwrap(part: KeptPart, blob: Uint8Array): Uint8Array {
    const name = `the ${part} state from another host`;
    const keyIfNeeded = (sealed: Uint8Array, key: StateKey | undefined) => (isEncryptedState(sealed) ? key : undefined);
    const inner = openState(part, 'travel', blob, keyIfNeeded(blob, this.#options.migrationKey), name);
    return openState(part, 'rest', inner, keyIfNeeded(inner, this.#store.key), name);
  }

  async #openTpm(): Promise<SoftwareTpm> {
    const permanent = this.#incoming.get('permanent') ?? (await this.#store.load('permanent'));
    const volatile = await this.#volatile();
    if (permanent === undefined) {
      if (volatile === undefined) return SoftwareTpm.manufacture();
      throw new VtpmError('vtpm.state-damaged', `${this.#store.name}: volatile state without permanent state`);
    }
    try {
      const tpm = SoftwareTpm.restoreParts({ permanent, volatile });
      if (volatile === undefined && this.#isEstablished) tpm.markEstablished();
      return tpm;
    } catch (error) {
      if (!(error instanceof AssayError)) throw error;
      const message = `${this.#store.name}: ${error.message}`;
      throw new VtpmError('vtpm.state-damaged', message, { cause: error });
    }
  }

  /** What is stored belongs to the permanent state beside it, not to one that comes from another host. */
  async #volatile(): Promise<Uint8Array | undefined> {
    if (this.#incoming.has('volatile') || this.#incoming.has('permanent')) return this.#incoming.get('volatile');
    const stored = await this.#store.load('volatile');
    this.#hasStoredVolatile = stored !== undefined;
    return stored;
  }

  #powered(): SoftwareTpm {
    if (this.#tpm === undefined) throw new VtpmError('vtpm.ended', `the software TPM ${this.#store.name} has no power`);
    return this.#tpm;
  }

  async #powerOff(): Promise<void> {
    const tpm = this.#tpm;
    if (tpm === undefined) return;
    this.#isEstablished = tpm.isEstablished;
    this.#tpm = undefined;
    if (this.#options.disableAutoShutdown !== true && !this.#isShutDown && tpm.isStarted) {
      tpm.execute(marshalCommand(TPM2_Shutdown, { shutdownType: 'state' }));
      await this.#keep(tpm);
    }
  }

  async #measure(action: (tpm: SoftwareTpm) => void): Promise<void> {
    await this.#inTurn(async () => {
      const tpm = this.#powered();
      await this.#lock();
      action(tpm);
      await this.#isKept(tpm);
    });
  }

  async #lock(retries = 0): Promise<void> {
    await this.#store.lock(retries);
    this.#isWaitingForState = false;
  }

  async #isKept(tpm: SoftwareTpm): Promise<boolean> {
    const isChanged = tpm.changes !== this.#changes;
    const isOld = tpm.clock - this.#keptClock >= CLOCK_UPDATE_MS;
    try {
      if (isChanged && this.#hasStoredVolatile) await this.#removeVolatile();
      if (isOld || tpm.permanentChanges !== this.#permanentChanges) await this.#keep(tpm);
      this.#changes = tpm.changes;
      return true;
    } catch (error) {
      this.#tpm = undefined; // its memory is ahead of what is kept: the next `init` goes on from there
      this.#options.onFailure?.(error);
      return false;
    }
  }

  async #keep(tpm: SoftwareTpm): Promise<void> {
    const { permanentChanges, clock } = tpm;
    const state = digest('sha256', tpm.savePermanent(0n));
    const isKept = this.#kept !== undefined && bytesEqual(this.#kept, state);
    if (!isKept || clock - this.#keptClock >= CLOCK_UPDATE_MS) {
      this.#kept = undefined;
      await this.#store.store('permanent', tpm.savePermanent(clock));
      this.#kept = state;
      this.#keptClock = clock;
    }
    this.#permanentChanges = permanentChanges;
  }

  async #removeVolatile(): Promise<void> {
    await this.#store.remove('volatile');
    this.#hasStoredVolatile = false;
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** A command's code, a response's response code: 0 where there is none. */
function codeOf({ buffer, byteOffset, length }: Uint8Array): number {
  return length < HEADER_SIZE ? 0 : new DataView(buffer, byteOffset, length).getUint32(6);
}
