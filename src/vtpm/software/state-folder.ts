/**
 * A software TPM's state in a folder, in files of the names that swtpm gives them, so that what looks after swtpm's folders
 * (libvirt, backups) looks after these; their content is our own. Each is written to the side and renamed into place: a
 * crash leaves the old or the new.
 */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { privateFolder, removeLeftovers, replaceFile } from '../../sys/index.ts';
import { stateIo, VtpmError } from '../error.ts';
import type { StateKey } from '../state-key.ts';
import { openState, sealState } from './state-blob.ts';
import { lockStateFile } from './state-lock.ts';

export type KeptPart = 'permanent' | 'volatile';

/** Where a TPM that is switched on and off keeps its state. */
export interface StateStore {
  /** What errors call it. */
  readonly name: string;
  /** Under which parts are encrypted, here and in blobs that travel. */
  readonly key: StateKey | undefined;
  /** @returns undefined where there is none @throws {VtpmError} */
  load(part: KeptPart): Promise<Uint8Array | undefined>;
  /** @throws {VtpmError} `vtpm.state-io`; the old part is there then */
  store(part: KeptPart, state: Uint8Array): Promise<void>;
  remove(part: KeptPart): Promise<void>;
  /** Keeps others out until `unlock`; again does nothing. @throws {VtpmError} `vtpm.state-in-use` */
  lock(retries: number): Promise<void>;
  unlock(): Promise<void>;
}

export interface StateFolderOptions {
  readonly key?: StateKey | undefined;
  /** Permissions of the files; 0640 as swtpm's where nothing is said. */
  readonly mode?: number | undefined;
  /** Wait for the disk before a command that changed something is answered. Without, a power cut can lose the last changes. */
  readonly durable?: boolean | undefined;
}

/** As swtpm names them: SWTPM_NVRAM_GetFilenameForName, with libtpms' TPM_PERMANENT_ALL_NAME and TPM_VOLATILESTATE_NAME. */
const FILES = { permanent: 'tpm2-00.permall', volatile: 'tpm2-00.volatilestate' } as const;
const NAMES = { permanent: 'permall', volatile: 'volatilestate' } as const;
const DEFAULT_MODE = 0o640;
const RETRY_MS = 10;

export class StateFolder implements StateStore {
  readonly name: string;
  readonly key: StateKey | undefined;
  readonly #mode: number;
  readonly #durable: boolean;
  #release: (() => Promise<void>) | undefined;

  private constructor(path: string, { key, mode = DEFAULT_MODE, durable = false }: StateFolderOptions) {
    this.name = path;
    this.key = key;
    this.#mode = mode;
    this.#durable = durable;
  }

  /** @throws {VtpmError} `vtpm.state-io` where the folder is not this user's alone to write to, or cannot be made */
  static async open(path: string, options: StateFolderOptions = {}): Promise<StateFolder> {
    try {
      await privateFolder(path, { tighten: false });
    } catch (error) {
      throw stateIo('the software TPM cannot keep its state', error);
    }
    return new StateFolder(path, options);
  }

  fileOf(part: KeptPart): string {
    return join(this.name, FILES[part]);
  }

  async load(part: KeptPart): Promise<Uint8Array | undefined> {
    const file = this.fileOf(part);
    const blob = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw stateIo(`the software TPM's state ${file} cannot be read`, error);
    });
    return blob === undefined ? undefined : openState(part, 'rest', blob, this.key, file);
  }

  async store(part: KeptPart, state: Uint8Array): Promise<void> {
    const blob = sealState(part, 'rest', state, this.key);
    try {
      await replaceFile(this.fileOf(part), blob, { mode: this.#mode, durable: this.#durable });
    } catch (error) {
      throw stateIo('the software TPM cannot keep its state', error);
    }
  }

  async remove(part: KeptPart): Promise<void> {
    try {
      await rm(this.fileOf(part), { force: true });
    } catch (error) {
      throw stateIo('the software TPM cannot remove a state', error);
    }
  }

  async lock(retries: number): Promise<void> {
    for (let left = retries; this.#release === undefined; left--) {
      try {
        this.#release = await lockStateFile(this.fileOf('permanent'));
      } catch (error) {
        if (left <= 0 || !(error instanceof VtpmError && error.code === 'vtpm.state-in-use')) throw error;
        await sleep(RETRY_MS);
        continue;
      }
      for (const part of ['permanent', 'volatile'] as const) await removeLeftovers(this.fileOf(part));
    }
  }

  async unlock(): Promise<void> {
    const release = this.#release;
    this.#release = undefined;
    await release?.();
  }
}

/** Which states a folder has, and how large the files are. @throws {VtpmError} `vtpm.state-io` */
export async function statesIn(path: string): Promise<{ readonly name: string; readonly size: number }[]> {
  const states: { name: string; size: number }[] = [];
  for (const part of ['permanent', 'volatile'] as const) {
    const file = join(path, FILES[part]);
    const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw stateIo(`the software TPM's state ${file} cannot be looked at`, error);
    });
    if (found !== undefined) states.push({ name: NAMES[part], size: found.size });
  }
  return states;
}
