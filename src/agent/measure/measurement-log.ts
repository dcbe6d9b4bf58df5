import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { digest, digestInfo } from '../../bytes/index.ts';
import type { PcrBank, PcrValues } from '../../evidence/index.ts';
import { BOOT_AGGREGATE } from '../../ima/index.ts';
import { privateFolder } from '../../sys/index.ts';
import { AgentError } from '../error.ts';
import { encodeEntry, IMA_PCR, type ListedEntry, type NewEntry, readEntries, type WrittenEntry } from './entry.ts';
import {
  banksOf,
  digestsOf,
  type PcrExtender,
  pcrValue,
  sha256BootAggregate,
  type TpmBoot,
  violationDigest,
  violationDigests,
} from './pcr-extender.ts';

/** A list belongs to one boot of the TPM and says so in its name: there is no second file that could disagree. */
const LIST_NAME = /^boot-(\d+)-(\d+)\.ima$/;

function listName({ resetCount, restartCount }: TpmBoot): string {
  return `boot-${resetCount}-${restartCount}.ima`;
}

/** Lists of earlier boots that are kept beside this boot's. */
const KEPT = 1;

/**
 * The agent's own measurement list and PCR 10, which always agree up to a known point:
 *
 * 1. entries are appended and synced to disk, many with one sync;
 * 2. then the PCR is extended with each.
 *
 * So whatever a crash leaves, PCR 10 is what some beginning of the list replays to: entries beyond it are extended at the
 * next start, and a torn end, which no extend can have covered, is cut off. Only a PCR that no beginning of the list
 * explains is an error: someone else extended it, or the list was changed.
 *
 * One agent at a time may hold a folder; its caller sees to that.
 */
export class MeasurementLog {
  readonly #folder: string;
  readonly #tpm: PcrExtender;
  readonly #listed = new Set<string>();
  #file: FileHandle | undefined;
  #path = '';
  #banks: readonly PcrBank[] = [];
  #bytes = 0;
  #waiting: ListedEntry[] = [];
  #count = 0;
  #commit: Promise<void> | undefined;
  /** The last that changes the PCR or wants it still. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, tpm: PcrExtender) {
    this.#folder = folder;
    this.#tpm = tpm;
  }

  /**
   * Takes up this boot's list, or begins it with `boot_aggregate`.
   * @param folder where the lists are; made where it is missing
   * @param options.extend allow to extend PCR 10 of a TPM device; other TPMs need no leave
   * @throws {AgentError} `agent.list-contradicts-pcr`, `agent.extend-not-allowed`
   * @throws {SysError} `sys.folder-not-private`
   */
  static async open(folder: string, tpm: PcrExtender, options: { extend?: boolean } = {}): Promise<MeasurementLog> {
    if (tpm.kind === 'device' && options.extend !== true) throw extendNotAllowed();
    const log = new MeasurementLog(folder, tpm);
    await privateFolder(folder);
    try {
      await log.#settle();
    } catch (error) {
      await log.close();
      throw error;
    }
    return log;
  }

  /** The file of this boot's list, in the kernel's binary form. */
  get path(): string {
    return this.#path;
  }

  /** Number of entries, `boot_aggregate` among them. */
  get entries(): number {
    return this.#count;
  }

  /** Bytes of the list that are synced: read after a quote, no fewer than that quote covers, and never part of an entry. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Lists what is not yet listed in this boot: resolves when it is on disk and in the PCR. What comes while a batch is
   * being written goes together into the next one.
   *
   * After a failure (a full disk, a TPM that does not answer) the next call first makes list and PCR agree again; files
   * of the failed call that did not get onto disk are to be given again.
   */
  add(files: Iterable<NewEntry>): Promise<void> {
    return this.addEntries(Array.from(files, encodeEntry));
  }

  /** The same for entries of any template and PCR. Each PCR agrees with the entries that are for it. */
  async addEntries(entries: Iterable<ListedEntry>): Promise<void> {
    this.#waiting.push(...entries);
    this.#commit ??= this.#commitAll();
    await this.#commit;
  }

  /** Runs `work` between batches: a quote, and the values that it covers, are then of one moment. */
  whileStill<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    await this.#commit?.catch(() => undefined); // its caller has the error
    await this.#file?.close();
    this.#file = undefined;
  }

  async #commitAll(): Promise<void> {
    try {
      for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
        await this.whileStill(async () => this.#append(this.#file ?? (await this.#settle()), batch));
      }
    } catch (error) {
      this.#waiting = [];
      await this.#file?.close();
      this.#file = undefined; // not known to agree with the PCR: settled again before anything is added
      throw error;
    } finally {
      this.#commit = undefined;
    }
  }

  #take(): ListedEntry[] {
    const batch = this.#waiting;
    this.#waiting = [];
    return batch;
  }

  async #append(file: FileHandle, batch: readonly ListedEntry[]): Promise<void> {
    const fresh = this.#unlisted(batch);
    if (fresh.length === 0) return;
    const bytes = Buffer.concat(fresh.map((entry) => entry.bytes));
    await writeAll(file, bytes, this.#bytes);
    await file.datasync();
    this.#bytes += bytes.length;
    for (const entry of fresh) await this.#extend(entry.pcr, entry.templateData, entry.isViolation);
    for (const { key, isViolation } of fresh) this.#note(key, isViolation);
  }

  #unlisted(batch: readonly ListedEntry[]): ListedEntry[] {
    const taken = new Set<string>();
    return batch.filter(({ key, isViolation }) => {
      if (isViolation) return true;
      const isNew = !this.#listed.has(key) && !taken.has(key);
      taken.add(key);
      return isNew;
    });
  }

  #note(key: string, isViolation: boolean): void {
    this.#count += 1;
    if (!isViolation) this.#listed.add(key);
  }

  #extend(pcr: number, data: Uint8Array, isViolation: boolean): Promise<void> {
    return this.#tpm.extend(pcr, isViolation ? violationDigests(this.#banks) : digestsOf(data, this.#banks));
  }

  /** Makes list and PCR agree, from whatever is there. */
  async #settle(): Promise<FileHandle> {
    const boot = await this.#tpm.boot();
    const values = await this.#tpm.read([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, IMA_PCR]);
    this.#banks = banksOf(values);
    const aggregate = encodeEntry({ path: Buffer.from(BOOT_AGGREGATE), sha256: sha256BootAggregate(values) });
    this.#path = join(this.#folder, listName(boot));
    this.#chooseList(boot, values, aggregate.key);
    const file = await open(this.#path, 'a+', 0o600).then(async (made) => {
      await made.close();
      return open(this.#path, 'r+'); // not `a`: appending ignores the position, and a torn end may lie there
    });
    this.#file = file;
    syncFolder(this.#folder);
    await this.#complete(file, values);
    if (this.#count === 0) await this.#append(file, [aggregate]);
    this.#forgetOldLists();
    return file;
  }

  /** Cuts a torn end off and extends what the PCR lacks. */
  async #complete(file: FileHandle, values: PcrValues): Promise<void> {
    const { entries, wholeBytes } = readEntries(await file.readFile());
    const others = [...new Set(entries.map(({ pcr }) => pcr))].filter((pcr) => pcr !== IMA_PCR);
    const all = [values, ...(others.length === 0 ? [] : [await this.#tpm.read(others)])];
    const missing: WrittenEntry[] = [];
    for (const [index, pcr] of [IMA_PCR, ...others].entries()) {
      const own = entries.filter((entry) => entry.pcr === pcr);
      const covered = coveredBy(all[index === 0 ? 0 : 1] ?? values, this.#banks, own, pcr);
      if (covered === undefined) throw contradiction(this.#path, own.length, pcr);
      missing.push(...own.slice(covered));
    }
    await file.truncate(wholeBytes);
    await file.sync();
    for (const { pcr, data, isViolation } of missing) await this.#extend(pcr, data, isViolation);
    this.#listed.clear();
    this.#count = 0;
    for (const { key, isViolation } of entries) this.#note(key, isViolation);
    this.#bytes = wholeBytes;
  }

  /**
   * Sees to it that the file of this boot's name is this boot's list.
   *
   * A PCR that is not zero although the counters have moved on was kept over a suspend (TPM2_Startup(STATE)): the list
   * that explains it goes on under the new name. A PCR that is zero below a list of this very name, whose boot_aggregate
   * is not that of this boot, is another TPM with the same counters: that list is laid aside.
   */
  #chooseList(boot: TpmBoot, values: PcrValues, aggregateKey: string): void {
    const isZero = this.#banks.every((bank) => pcrValue(values, bank, IMA_PCR).every((byte) => byte === 0));
    const own = lists(this.#folder).find((list) => list.name === listName(boot));
    if (own !== undefined) {
      const first = isZero ? readEntries(readFileSync(own.path)).entries[0] : undefined;
      if (first !== undefined && first.key !== aggregateKey) renameSync(own.path, `${own.path}.other-tpm`);
    } else if (!isZero) {
      const kept = lists(this.#folder).find((list) => {
        const own = readEntries(readFileSync(list.path)).entries.filter(({ pcr }) => pcr === IMA_PCR);
        return coveredBy(values, this.#banks, own, IMA_PCR) !== undefined;
      });
      if (kept !== undefined) renameSync(kept.path, this.#path);
    }
  }

  #forgetOldLists(): void {
    const old = lists(this.#folder).filter((list) => list.path !== this.#path);
    for (const list of old.slice(KEPT)) rmSync(list.path, { force: true });
  }
}

/** Newest first. */
function lists(folder: string): { name: string; path: string }[] {
  return readdirSync(folder)
    .filter((name) => LIST_NAME.test(name))
    .map((name) => ({ name, path: join(folder, name), time: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
}

/** How many of its entries a PCR holds, in every bank alike; undefined where no number of them gives its values. */
function coveredBy(
  values: PcrValues,
  banks: readonly PcrBank[],
  entries: readonly WrittenEntry[],
  index: number,
): number | undefined {
  const running: { bank: PcrBank; value: Buffer; wanted: Uint8Array }[] = banks.map((bank) => ({
    bank,
    value: Buffer.alloc(digestInfo(bank).size),
    wanted: pcrValue(values, bank, index),
  }));
  for (let count = 0; ; count++) {
    if (running.every(({ value, wanted }) => value.equals(wanted))) return count;
    const entry = entries[count];
    if (entry === undefined) return undefined;
    for (const pcr of running) pcr.value = digest(pcr.bank, pcr.value, extendedWith(pcr.bank, entry));
  }
}

function extendedWith(bank: PcrBank, { data, isViolation }: WrittenEntry): Uint8Array {
  return isViolation ? violationDigest(bank) : digest(bank, data);
}

function contradiction(path: string, entries: number, pcr: number): AgentError {
  return new AgentError(
    'agent.list-contradicts-pcr',
    `PCR ${pcr} holds what no part of the measurement list ${path} (${entries} entries) replays to`,
    {
      advice:
        'another program extends this PCR, or the list was changed or lost; see that only one agent uses this TPM, ' +
        'then reset the TPM (restart the machine, or the software TPM): a new list begins with it',
    },
  );
}

function extendNotAllowed(): AgentError {
  return new AgentError(
    'agent.extend-not-allowed',
    `PCR ${IMA_PCR} of a TPM device is extended only where that is asked for`,
    {
      advice:
        'give --extend to measure into it (what is extended stays until the machine restarts), or boot with ima_policy=tcb',
    },
  );
}

/** Makes a new name durable: the extends that follow must not outlive the list's name. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
