import { hash } from 'node:crypto';
import { type DigestAlgorithm, digestInfo, fromHex, isDigestAlgorithm } from '../bytes/index.ts';
import { Bank, type BankContent } from './bank.ts';
import type { MeasurementEntry } from './entry.ts';
import { ImaError } from './error.ts';
import { detectListForm, templateAlgorithmOf } from './format.ts';
import {
  EMPTY_REPLAY,
  type OnEntry,
  type PcrTarget,
  type PcrValues,
  type ReplayOptions,
  type ReplayState,
  type RunOptions,
  type RunResult,
} from './replay-state.ts';
import { EntryScanner, templateData } from './scan.ts';

/** Beyond this many, bad template digests are counted and no longer noted. */
const MAX_NOTED = 65_536;

/** Every hash over an entry's template data that a replay needs, each algorithm once. */
class TemplateHashes {
  readonly #names: string[] = [];
  readonly values: string[] = [];

  /** @returns the slot of `values` that will hold this algorithm's hash */
  slot(algorithm: DigestAlgorithm): number {
    const { opensslName } = digestInfo(algorithm);
    const known = this.#names.indexOf(opensslName);
    if (known >= 0) return known;
    this.values.push('');
    return this.#names.push(opensslName) - 1;
  }

  compute(data: Buffer): void {
    const names = this.#names;
    for (let i = 0; i < names.length; i++) this.values[i] = hash(names[i] ?? '', data, 'binary');
  }

  at(slot: number): string {
    return this.values[slot] ?? '';
  }
}

/**
 * Replays a measurement list into PCRs, in as many pieces as it comes in and from where an earlier replay stopped.
 *
 * Each entry extends the PCR that it names, in every bank, with that bank's hash of the template data; a violation (an
 * all-zero template digest in the list) extends 0xFF… (kernel: ima_queue.c:ima_add_template_entry).
 *
 * The scan works on offsets and hashes once per algorithm; see `OnEntry` for what a verifier gets.
 */
export class ListReplay {
  readonly banks: readonly DigestAlgorithm[];
  /** Indices of entries whose stored template digest is not the hash of their data (violations excepted). */
  readonly badTemplateDigests: number[] = [];
  /** Their number, also where there are more than are noted. */
  badCount = 0;
  readonly #banks: readonly Bank[];
  readonly #bankSlots: readonly number[];
  readonly #hashes = new TemplateHashes();
  readonly #keySlot: number;
  readonly #checks: boolean;
  readonly #templateAlgorithm: DigestAlgorithm | undefined;
  readonly #templates = new Map<string, number>();
  #runTemplate = '';
  #runLength = 0;
  #checkSlot = -1;
  #scanner: EntryScanner | undefined;
  #digestSize: number;
  #entries: number;
  #violations: number;
  #bytes: number;

  /** @throws {ImaError} for no banks, or a state that these banks cannot resume */
  constructor(options: ReplayOptions) {
    const { banks, state = EMPTY_REPLAY } = options;
    const [first] = banks;
    if (first === undefined) throw new ImaError('ima.invalid-argument', 'a replay needs at least one PCR bank');
    this.banks = banks;
    this.#banks = banks.map((algorithm) => new Bank(algorithm, contentOf(algorithm, options)));
    this.#bankSlots = this.#banks.map((bank) => this.#hashes.slot(bank.padded ? 'sha1' : bank.algorithm));
    this.#keySlot = this.#hashes.slot(options.keyAlgorithm ?? first);
    this.#checks = options.checkTemplateDigests ?? true;
    this.#templateAlgorithm = options.templateAlgorithm;
    this.#digestSize = state.templateDigestSize;
    this.#entries = state.entries;
    this.#violations = state.violations;
    this.#bytes = state.bytes;
    for (const bank of this.#banks) restore(bank, state);
    if (this.#digestSize !== 0) this.#setDigestSize(this.#digestSize);
  }

  get entries(): number {
    return this.#entries;
  }

  get violations(): number {
    return this.#violations;
  }

  /** 0 while no entry has been seen. */
  get templateDigestSize(): number {
    return this.#digestSize;
  }

  /** Entries by template name, of this replay (a resumed one counts from where it resumed). */
  get templates(): ReadonlyMap<string, number> {
    this.#endRun(this.#runTemplate);
    return this.#templates;
  }

  /** Where the replay stands; a copy. */
  state(): ReplayState {
    return {
      entries: this.#entries,
      violations: this.#violations,
      bytes: this.#bytes,
      templateDigestSize: this.#digestSize,
      pcrs: this.pcrs(),
    };
  }

  /** Running values in hex. */
  pcrs(): PcrValues {
    return Object.fromEntries(this.#banks.map((bank) => [bank.algorithm, bank.values()]));
  }

  /** True where every target holds; of a bank that is not replayed none does. */
  holds(targets: readonly PcrTarget[]): boolean {
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i];
      if (target !== undefined && !this.#holds(target)) return false;
    }
    return true;
  }

  /** Asked after every entry: plain loops, which make nothing. */
  #holds(target: PcrTarget): boolean {
    for (let i = 0; i < this.#banks.length; i++) {
      const bank = this.#banks[i];
      if (bank?.algorithm === target.bank) return bank.holds(target.pcr, target.value);
    }
    return false;
  }

  /**
   * Replays the whole entries of `list`, which begins where the state stands. What is left over (`consumed` on) belongs
   * in front of the next piece. The first piece of a list must hold its first entry's template name
   * (`FORMAT_PROBE_SIZE` bytes do).
   * @throws {ParseError} for bytes that cannot be an entry; the state then stands before that entry
   * @throws {ImaError} where the first piece is no binary list
   */
  run(list: Buffer, options: RunOptions = {}): RunResult {
    const until = options.until ?? [];
    if (until.length > 0 && this.holds(until)) return { consumed: 0, reached: true, incomplete: false };
    if (list.length === 0) return { consumed: 0, reached: false, incomplete: false };
    const scanner = this.#scannerFor(list);
    const base = this.#bytes;
    let at = 0;
    while (at < list.length) {
      if (!scanner.next(list, at, base)) return { consumed: at, reached: false, incomplete: true };
      const goOn = this.#replay(list, scanner, options.onEntry);
      at = scanner.end;
      this.#bytes = base + at;
      if (until.length > 0 && this.holds(until)) return { consumed: at, reached: true, incomplete: false };
      if (!goOn) break;
    }
    return { consumed: at, reached: false, incomplete: false };
  }

  /** Replays an entry that was parsed before (of an ASCII list, say). */
  add(entry: Pick<MeasurementEntry, 'pcr' | 'template' | 'templateData' | 'templateDigest' | 'violation'>): void {
    if (this.#digestSize !== entry.templateDigest.length) this.#setDigestSize(entry.templateDigest.length);
    this.#hashes.compute(Buffer.from(entry.templateData));
    const expected = this.#checks && !entry.violation ? this.#hashes.at(this.#checkSlot) : undefined;
    if (expected !== undefined && !bytesAre(entry.templateDigest, 0, expected)) this.#noteBad();
    this.#extend(entry.pcr, entry.violation);
    this.#count(entry.template);
  }

  #replay(list: Buffer, span: EntryScanner, onEntry: OnEntry | undefined): boolean {
    const hashes = this.#hashes;
    hashes.compute(templateData(list, span));
    if (this.#checks && !span.violation && !bytesAre(list, span.digestStart, hashes.at(this.#checkSlot))) {
      this.#noteBad();
    }
    this.#extend(span.pcr, span.violation);
    this.#count(span.layout.name);
    return onEntry === undefined || onEntry(hashes.at(this.#keySlot), span, list);
  }

  #extend(pcr: number, violation: boolean): void {
    for (let i = 0; i < this.#banks.length; i++) {
      const bank = this.#banks[i];
      bank?.extend(pcr, violation ? bank.violationDigest : this.#hashes.at(this.#bankSlots[i] ?? 0));
    }
    if (violation) this.#violations++;
  }

  #count(template: string): void {
    this.#entries++;
    // A list is made of long runs of one template: count the run, not each entry.
    if (template !== this.#runTemplate) this.#endRun(template);
    this.#runLength++;
  }

  #endRun(next: string): void {
    const before = this.#templates.get(this.#runTemplate) ?? 0;
    if (this.#runLength > 0) this.#templates.set(this.#runTemplate, before + this.#runLength);
    this.#runTemplate = next;
    this.#runLength = 0;
  }

  #noteBad(): void {
    this.badCount++;
    if (this.badTemplateDigests.length < MAX_NOTED) this.badTemplateDigests.push(this.#entries);
  }

  #scannerFor(list: Buffer): EntryScanner {
    if (this.#scanner !== undefined) return this.#scanner;
    if (this.#digestSize === 0) this.#setDigestSize(binaryDigestSize(list, this.#templateAlgorithm));
    this.#scanner = new EntryScanner(this.#digestSize);
    return this.#scanner;
  }

  #setDigestSize(size: number): void {
    const algorithm = this.#templateAlgorithm ?? templateAlgorithmOf(size);
    if (digestInfo(algorithm).size !== size) {
      throw new ImaError('ima.invalid-argument', `${algorithm} digests do not have the ${size} bytes of this list's`);
    }
    if (this.#checks) this.#checkSlot = this.#hashes.slot(algorithm);
    this.#digestSize = size;
  }
}

function contentOf(algorithm: DigestAlgorithm, { paddedBanks, unallocatedBanks }: ReplayOptions): BankContent {
  if (paddedBanks?.includes(algorithm) === true) return 'padded';
  return unallocatedBanks?.includes(algorithm) === true ? 'unallocated' : 'hashed';
}

/** Compares without making a string or a view of the stored bytes, which would cost more than the comparison. */
function bytesAre(list: Uint8Array, at: number, expected: string): boolean {
  for (let i = 0; i < expected.length; i++) if (list[at + i] !== expected.charCodeAt(i)) return false;
  return true;
}

function binaryDigestSize(list: Buffer, algorithm: DigestAlgorithm | undefined): number {
  if (algorithm !== undefined) return digestInfo(algorithm).size;
  const form = detectListForm(list);
  if (form.form === 'binary') return form.templateDigestSize;
  throw new ImaError('ima.not-a-list', 'this list is in ASCII form, where the binary one is needed (at byte 0)');
}

function restore(bank: Bank, state: ReplayState): void {
  const values = state.pcrs[bank.algorithm];
  if (values === undefined && state.entries > 0) {
    throw new ImaError('ima.invalid-argument', `the replay to resume did not keep PCR bank ${bank.algorithm}`);
  }
  for (const [pcr, value] of Object.entries(values ?? {})) bank.set(Number(pcr), fromHex(value, `PCR ${pcr}`));
}

/** Takes bank names from the command line or a configuration. @throws {DigestAlgorithmError} for one that is not known */
export function parseBanks(text: string): DigestAlgorithm[] {
  const names = text.split(',').map((name) => name.trim());
  return [...new Set(names)].map((name) => (isDigestAlgorithm(name) ? name : digestInfo(name).name));
}
