/**
 * The software TPM of this machine, kept in a file. It behaves as a TPM soldered to the machine would: PCRs and saved
 * contexts stay while the machine is on, whatever becomes of this process; with the machine's next boot comes a TPM
 * Reset. What changed is on disk before the command that changed it is answered.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { privateFolder, removeLeftovers } from '../../sys/index.ts';
import type { Transport } from '../../tpm/index.ts';
import { stateIo } from '../error.ts';
import type { ServableTpm } from '../serve/servable-tpm.ts';
import type { StateKey } from '../state-key.ts';
import { newEndorsedTpm, startUp } from './manufacture.ts';
import { SoftwareTpm } from './software-tpm.ts';
import { readStateFile, type StoredState, writeStateFile } from './state-file.ts';
import { lockStateFile } from './state-lock.ts';

export interface EmbeddedOptions {
  /**
   * Wait for the disk before a command that changed something is answered (default). Without, a power cut can lose the
   * last changes; a killed process loses nothing either way. Commands that come while the disk works share one write.
   */
  readonly durable?: boolean;
  /** Where the CA of its EK certificates is, or will be: `certificate.pem` and `key.pem`. Beside the file by default. */
  readonly authorityFolder?: string;
  /** Under which the file is encrypted. */
  readonly key?: StateKey;
}

/** Where the CA is that certified the EKs of the software TPM in `file`. */
export function authorityFolderOf(file: string): string {
  return join(dirname(file), 'software-tpm-ca');
}

const milliseconds = (): number => Number(process.hrtime.bigint() / 1_000_000n);

function currentBoot(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '');
}

function resume({ state, bootId, milliseconds: savedAt }: StoredState): SoftwareTpm {
  if (bootId === currentBoot()) {
    const tpm = SoftwareTpm.restore(state, { elapsed: Math.max(0, milliseconds() - savedAt) });
    tpm.releaseHandles(); // whoever held them went with the process
    return tpm;
  }
  const tpm = SoftwareTpm.restore(state);
  tpm.powerOn();
  startUp(tpm);
  return tpm;
}

/** A person chose the folder, it may be their home: only the files in it are closed to readers. */
async function ownFolder(folder: string): Promise<void> {
  try {
    await privateFolder(folder, { tighten: false });
  } catch (error) {
    throw stateIo('the software TPM cannot keep its state', error);
  }
}

export class EmbeddedTpm implements ServableTpm {
  readonly file: string;
  readonly #tpm: SoftwareTpm;
  readonly #durable: boolean;
  readonly #key: StateKey | undefined;
  readonly #release: () => Promise<void>;
  #savedChanges = -1;
  /** The write that is under way, and the one that will begin after it. */
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  private constructor(file: string, tpm: SoftwareTpm, options: EmbeddedOptions, release: () => Promise<void>) {
    this.file = file;
    this.#tpm = tpm;
    this.#durable = options.durable ?? true;
    this.#key = options.key;
    this.#release = release;
  }

  /**
   * Opens the TPM in `file`, which is made where it is not there: with endorsement keys, and certificates for them by a
   * CA of its own. It is started already, as by firmware.
   *
   * @throws {VtpmError} `vtpm.state-damaged`, `vtpm.state-key`, `vtpm.state-in-use`, `vtpm.state-io`
   */
  static async open(file: string, options: EmbeddedOptions = {}): Promise<EmbeddedTpm> {
    await ownFolder(dirname(file));
    const release = await lockStateFile(file);
    try {
      await removeLeftovers(file);
      const stored = await readStateFile(file, options.key);
      const folder = options.authorityFolder ?? authorityFolderOf(file);
      const tpm = stored === undefined ? await newEndorsedTpm(folder) : resume(stored);
      const embedded = new EmbeddedTpm(file, tpm, options, release);
      await embedded.#saved();
      return embedded;
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** @throws {VtpmError} `vtpm.state-io` where the change could not be kept; nothing is answered then */
  async execute(command: Uint8Array, locality = 0): Promise<Uint8Array> {
    const response = this.#tpm.execute(command, locality);
    if (this.#tpm.changes !== this.#savedChanges) await this.#saved();
    return response;
  }

  async powerOn(): Promise<void> {
    this.#tpm.powerOn();
    await this.#saved();
  }

  async hashStart(): Promise<void> {
    this.#tpm.hashStart();
    await this.#saved();
  }

  hashData(data: Uint8Array): void {
    this.#tpm.hashData(data);
  }

  async hashEnd(): Promise<void> {
    this.#tpm.hashEnd();
    await this.#saved();
  }

  get isEstablished(): boolean {
    return this.#tpm.isEstablished;
  }

  resetEstablished(locality: number): boolean {
    return this.#tpm.resetEstablished(locality);
  }

  /** Keeps everything, sessions and objects too, and lets the file go. */
  async close(): Promise<void> {
    try {
      await this.#saved();
    } finally {
      await this.#release();
    }
  }

  /** A write that began after now has ended: all who ask while one is under way share the next. */
  #saved(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        this.#running = this.#write();
        return this.#running;
      });
    return this.#next;
  }

  async #write(): Promise<void> {
    const { changes } = this.#tpm;
    // The time first: what passes until the state is made counts twice then, and the TPM's clock never falls.
    const stored = { milliseconds: milliseconds(), bootId: currentBoot(), state: this.#tpm.save() };
    await writeStateFile(this.file, stored, { durable: this.#durable, key: this.#key });
    this.#savedChanges = changes;
  }
}

/** A TPM in this process, as the client takes it. Closing it leaves the TPM itself alone unless `close` does more. */
export function inProcessTransport(
  tpm: { execute(command: Uint8Array): Uint8Array | Promise<Uint8Array> },
  description: string,
  close: () => Promise<void> = () => Promise.resolve(),
): Transport {
  return { description, execute: async (command) => tpm.execute(command), close };
}
