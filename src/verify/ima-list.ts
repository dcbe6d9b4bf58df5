/** The measurement list: does it explain the quoted PCR 10, and is each entry that it proves expected? */

import { hash } from 'node:crypto';
import type { ReplayedPcrs } from '../boot/index.ts';
import { type DigestAlgorithm, digest, digestInfo, fromHex, ParseError, toHex } from '../bytes/index.ts';
import type { GrowingLogEvidence } from '../evidence/index.ts';
import {
  detectListForm,
  EMPTY_REPLAY,
  EntryScanner,
  type EntrySpan,
  FORMAT_PROBE_SIZE,
  ImaError,
  ListReplay,
  type ReplayState,
  type RunResult,
  templateData,
} from '../ima/index.ts';
import {
  type CompiledReference,
  hasLeadingKey,
  leadingKey,
  type MeasuredFile,
  measuredFile,
  TemplateKeySet,
} from '../reference/index.ts';
import { fileFinding } from './file-finding.ts';

import type { QuotedPcrs } from './quote.ts';
import { FindingCollector, finding, NO_FINDINGS } from './sentence.ts';
import type { BootState, Finding, StandingFindings, UnprovenReplay } from './types.ts';
import type { ListBehind } from './unproven.ts';

/** Kernel: CONFIG_IMA_MEASURE_PCR_IDX, 10 everywhere. */
export const IMA_PCR = 10;
const SHA1_SIZE = 20;
const BOOT_AGGREGATE = 'boot_aggregate';
const NOTHING_APPROVED = new TemplateKeySet();

export type ImaOutcome =
  /** The list explains PCR 10; what it proves was judged. */
  | { readonly kind: 'covered'; readonly state: ReplayState; readonly standing: StandingFindings }
  /** It does not reach PCR 10 yet: more may come. */
  | ({ readonly kind: 'behind'; readonly detail: string } & ListBehind)
  /** It cannot be taken up where it begins. */
  | { readonly kind: 'needs-start' }
  | { readonly kind: 'failed'; readonly failures: readonly Finding[] };

export interface ImaInput {
  readonly quoted: QuotedPcrs;
  readonly log: GrowingLogEvidence;
  /** This boot's state, where it can be taken up. */
  readonly known: BootState | undefined;
  /** What came of this boot's list in parts before. */
  readonly unproven: UnprovenReplay | undefined;
  readonly reference: CompiledReference | undefined;
  readonly now: number;
  /** What this boot's firmware log replays to, where it came with this evidence. */
  readonly replayedBoot: ReplayedPcrs | undefined;
}

/**
 * Replays the list up to the quoted PCR 10 and judges every entry on the way. Entries beyond are not looked at: the
 * list grows while the TPM quotes, and they wait for the next quote.
 */
export function checkImaList(input: ImaInput): ImaOutcome {
  const { quoted, log, known, unproven } = input;
  const target = quoted.pcrs.get(IMA_PCR);
  if (target === undefined) return { kind: 'covered', state: EMPTY_REPLAY, standing: NO_FINDINGS };
  const offset = log.kind === 'part' ? log.offset : (known?.ima.bytes ?? 0);
  const start = startOf(offset, known, unproven);
  if (start === undefined) return { kind: 'needs-start' };
  const bytes = log.kind === 'part' ? bufferOf(log.bytes) : Buffer.alloc(0);
  // The default list's template digests are SHA-1: the judge compares them with what the reference holds already.
  const storesSha1 = templateDigestSize(bytes, start.state) === SHA1_SIZE;
  const replay = new ListReplay({
    banks: [quoted.bank],
    keyAlgorithm: 'sha256',
    state: start.state,
    checkTemplateDigests: !storesSha1,
  });
  const judge = new EntryJudge(input, start.state, start.standing, storesSha1);
  let result: RunResult;
  try {
    result = replay.run(bytes, {
      until: [{ bank: quoted.bank, pcr: IMA_PCR, value: target }],
      onEntry: judge.onEntry,
    });
  } catch (error) {
    if (!(error instanceof ParseError) && !(error instanceof ImaError)) throw error;
    const what = `The measurement list cannot be read: ${error.message}`;
    return {
      kind: 'failed',
      failures: [...changedEntries(replay, judge), finding('ima.malformed', 'measurement list', what)],
    };
  }
  if (result.reached) judgeOtherPcrsAfter(bytes.subarray(result.consumed), replay, judge);
  const changed = changedEntries(replay, judge);
  if (changed.length > 0) return { kind: 'failed', failures: changed };
  if (!result.reached) {
    const detail = behindDetail(log, replay, result);
    return { kind: 'behind', detail, start: start.state, end: replay.state(), standing: judge.finish() };
  }
  return { kind: 'covered', state: replay.state(), standing: judge.finish() };
}

/**
 * Entries of other PCRs that stand between the last one covered and the next of PCR 10: the quoted PCR 10 tells
 * nothing of them, so what is there is taken as it is.
 */
function judgeOtherPcrsAfter(list: Buffer, replay: ListReplay, judge: EntryJudge): void {
  if (replay.entries === 0) return; // PCR 10 is zero: nothing is covered
  const scanner = new EntryScanner(replay.templateDigestSize);
  let end = 0;
  try {
    while (end < list.length && scanner.next(list, end, 0) && scanner.pcr !== IMA_PCR) end = scanner.end;
  } catch (error) {
    if (!(error instanceof ParseError) && !(error instanceof ImaError)) throw error; // what follows waits for its quote
  }
  replay.run(list.subarray(0, end), { onEntry: judge.onEntry });
}

/** Of the list at hand; 0 where it is too short to tell, and then the replay finds out. */
function templateDigestSize(list: Buffer, state: ReplayState): number {
  if (state.templateDigestSize > 0 || list.length < FORMAT_PROBE_SIZE) return state.templateDigestSize;
  try {
    const form = detectListForm(list);
    return form.form === 'binary' ? form.templateDigestSize : 0;
  } catch (error) {
    // The replay finds it out again and says it.
    if (error instanceof ImaError) return 0;
    throw error;
  }
}

interface Start {
  readonly state: ReplayState;
  readonly standing: StandingFindings | undefined;
}

function startOf(
  offset: number,
  known: BootState | undefined,
  unproven: UnprovenReplay | undefined,
): Start | undefined {
  if (unproven !== undefined && offset === unproven.ima.bytes) {
    return { state: unproven.ima, standing: unproven.findings };
  }
  if (known !== undefined && offset === known.ima.bytes) return { state: known.ima, standing: known.findings.ima };
  return offset === 0 ? { state: EMPTY_REPLAY, standing: undefined } : undefined;
}

/** What PCR 10 itself says of measurement, every time. */
export function judgeImaPcr({ pcrs }: QuotedPcrs, entries: number): Finding[] {
  const subject = `PCR ${IMA_PCR}`;
  if (!pcrs.has(IMA_PCR)) {
    return [finding('ima.not-quoted', subject, 'PCR 10 is not quoted, so the measurement list proves nothing')];
  }
  if (entries > 0) return [];
  return [finding('ima.no-list', subject, 'PCR 10 is zero: neither the kernel nor the agent measures files')];
}

const MAX_NAMED_ENTRIES = 20;

function changedEntries(replay: ListReplay, judge: EntryJudge): Finding[] {
  return [...replay.badTemplateDigests, ...judge.changed].slice(0, MAX_NAMED_ENTRIES).map((index) => {
    const what = `Entry ${index} of the measurement list does not have the digest that is stored with it`;
    return finding('ima.template-digest', `entry ${index}`, what, { position: { log: 'ima', index, pcr: IMA_PCR } });
  });
}

function behindDetail(log: GrowingLogEvidence, replay: ListReplay, { incomplete }: RunResult): string {
  if (log.kind === 'absent') return `PCR 10 is not zero, and no measurement list was sent: ${log.reason}`;
  if (incomplete) return `the list ends inside entry ${replay.entries}, before the quoted PCR 10 is reached`;
  return `after ${replay.entries} entries the list has not led to the quoted PCR 10`;
}

/** Judges entry by entry. The common case, an approved `ima-ng` entry, is one look-up. */
class EntryJudge {
  readonly onEntry: (key: string, span: EntrySpan, list: Buffer) => boolean;
  /** Entries whose stored SHA-1 is not that of their data. */
  readonly changed: number[] = [];
  readonly #input: ImaInput;
  readonly #reference: CompiledReference | undefined;
  readonly #expired: boolean;
  /** The reference, unless it has expired. */
  readonly #approving: CompiledReference | undefined;
  readonly #findings: FindingCollector;
  #index: number;
  /**
   * No entry of PCR 10 was seen yet: the first must be boot_aggregate. Entries of other PCRs may stand before it, where
   * nothing vouches for them.
   */
  #awaitsAggregate: boolean;

  constructor(input: ImaInput, from: ReplayState, start: StandingFindings | undefined, checksSha1: boolean) {
    this.#input = input;
    this.#reference = input.reference;
    this.#expired = input.reference?.hasExpired(input.now) ?? false;
    this.#findings = new FindingCollector(start);
    this.#index = from.entries;
    this.#awaitsAggregate = from.pcrs[input.quoted.bank]?.[IMA_PCR] === undefined;
    this.#approving = this.#expired ? undefined : input.reference;
    this.onEntry = (key, span, list) => {
      const known = this.#knownKeys(span);
      const slot = known.find(key);
      if (checksSha1 && !(slot < 0 ? sha1Stands(list, span) : known.storesSha1(slot, list, span))) this.#noteChanged();
      if (slot < 0) this.#judge(key, span, list);
      this.#index++;
      return true;
    };
  }

  /**
   * Where an entry may be found by its key alone, and then is approved. The first entry must be boot_aggregate; a
   * violation's data is in no digest, so that an approved file's could stand there; another template's data could look
   * like two fields.
   */
  #knownKeys({ layout, pcr, violation }: EntrySpan): TemplateKeySet {
    const approving = this.#approving;
    if (approving === undefined || pcr !== IMA_PCR || violation || this.#awaitsAggregate) return NOTHING_APPROVED;
    if (layout.name === 'ima-ng') return approving.approved;
    return hasLeadingKey(layout) ? approving.recognised : NOTHING_APPROVED;
  }

  #noteChanged(): void {
    if (this.changed.length < MAX_NAMED_ENTRIES) this.changed.push(this.#index);
  }

  finish(): StandingFindings {
    return this.#findings.finish();
  }

  #judge(key: string, span: EntrySpan, list: Buffer): void {
    if (span.pcr !== IMA_PCR) {
      this.#otherPcr(span, list);
      return;
    }
    if (this.#isApprovedByLeadingKey(span, list)) {
      this.#approving?.recognise({ sha256: key, sha1: sha1Of(list, span) });
      return;
    }
    const isFirst = this.#awaitsAggregate;
    this.#awaitsAggregate = false;
    const file = measuredFile(list, span);
    if (span.violation) this.#violation(file);
    else if (file === undefined) this.#unknownTemplate(span.layout.name);
    else if (file.path === BOOT_AGGREGATE) this.#bootAggregate(file, isFirst);
    else this.#other(file, isFirst);
  }

  #isApprovedByLeadingKey(span: EntrySpan, list: Buffer): boolean {
    if (span.violation || this.#awaitsAggregate || this.#approving === undefined) return false;
    const leading = leadingKey(list, span);
    return leading !== undefined && this.#approving.approved.has(leading);
  }

  #other(file: MeasuredFile, isFirst: boolean): void {
    if (isFirst) {
      const what = `The list begins with ${file.path} and not with boot_aggregate`;
      this.#findings.add(finding('ima.boot-aggregate', BOOT_AGGREGATE, what, { position: this.#position() }));
    }
    if (file.isBuffer) this.#buffer(file);
    else if (file.key === undefined || this.#approving?.approved.has(file.key) !== true) this.#file(file);
  }

  #file(file: MeasuredFile, pcr = IMA_PCR): void {
    const reference = this.#reference;
    if (reference === undefined) return;
    const judgement = reference.judge(file.path, file.digest);
    // An expired reference approves nothing, which is one finding of its own; its denials hold.
    if (this.#expired && judgement.kind !== 'denied') return;
    const found = fileFinding(file, judgement, this.#position(pcr));
    if (found !== undefined) this.#findings.add(found);
  }

  #violation(file: MeasuredFile | undefined): void {
    const path = file?.path ?? 'a file';
    const expected = file !== undefined && (this.#reference?.mayViolate(file.path) ?? false);
    const code = expected ? 'ima.violation-expected' : 'ima.violation';
    const what = `${path} (the quote does not vouch for this name) was open for writing while it was measured`;
    this.#findings.add(finding(code, path, what, { position: this.#position() }));
  }

  #unknownTemplate(name: string): void {
    const what = `Entry ${this.#index} with template ${name} cannot be read as a file’s digest and name`;
    this.#findings.add(finding('ima.unknown-template', `entry ${this.#index}`, what, { position: this.#position() }));
  }

  /** Nothing proves that these are all; what is there and bad is said. */
  #otherPcr(span: EntrySpan, list: Buffer): void {
    this.#noteOtherPcr(span.pcr);
    const file = span.violation ? undefined : measuredFile(list, span);
    if (file === undefined || file.isBuffer || file.path === BOOT_AGGREGATE) return;
    const approved = this.#approving?.approved;
    if (file.key !== undefined && approved?.has(file.key) === true) return;
    this.#file(file, span.pcr);
  }

  #noteOtherPcr(pcr: number): void {
    if (this.#findings.has('ima.other-pcr')) return;
    const what = `Entry ${this.#index}, and perhaps later ones, went into PCR ${pcr}`;
    this.#findings.add(finding('ima.other-pcr', `PCR ${pcr}`, what, { position: this.#position(pcr) }));
  }

  #buffer({ path, digest: found }: MeasuredFile): void {
    const what = `The kernel measured ${path}, which is no file`;
    this.#findings.add(finding('ima.buffer', path, what, { position: this.#position(), found }));
  }

  #bootAggregate(file: MeasuredFile, isFirst: boolean): void {
    if (!isFirst) {
      const what = `Entry ${this.#index} is another boot_aggregate: a kernel was started without the firmware`;
      this.#findings.add(finding('ima.kexec', BOOT_AGGREGATE, what, { position: this.#position() }));
    }
    const found = this.#aggregateFinding(file.digest, isFirst);
    if (found !== undefined) this.#findings.add(found);
  }

  /** Kernel: ima_crypto.c:ima_calc_boot_aggregate_tfm; before Linux 5.8 PCR 8 and 9 were never in it. */
  #aggregateFinding(tagged: string, isFirst: boolean): Finding | undefined {
    const [algorithm = '', found = ''] = tagged.split(':');
    const position = this.#position();
    const bank = (['sha1', 'sha256', 'sha384', 'sha512', 'sm3'] as const).find((name) => name === algorithm);
    const pcrs = bank === undefined ? undefined : bootPcrs(this.#input, bank);
    if (bank === undefined || pcrs === undefined) {
      const what = `boot_aggregate is made in ${algorithm || 'no bank'}, where PCR 0–9 are neither quoted nor logged`;
      // A file on a detached mount is listed by its bare name, which may be this one: only the first entry is the kernel's.
      const code = isFirst ? 'ima.boot-aggregate-unchecked' : 'ima.boot-aggregate';
      return finding(code, BOOT_AGGREGATE, what, { position, found: tagged });
    }
    const expected = toHex(digest(bank, ...(bank === 'sha1' ? pcrs.slice(0, 8) : pcrs)));
    if (found === expected || found === toHex(digest(bank, ...pcrs.slice(0, 8)))) {
      if (bank === this.#input.quoted.bank) return undefined;
      const what = `boot_aggregate is made in ${bank}: the log leads to it, but the quote is of another bank`;
      return finding('ima.boot-aggregate-unchecked', BOOT_AGGREGATE, what, { position, found: tagged });
    }
    const cause = /^0+$/.test(found)
      ? 'is zero: the measurer saw no TPM when it began'
      : 'is not that of the quoted PCR 0–9';
    return finding('ima.boot-aggregate', BOOT_AGGREGATE, `boot_aggregate ${cause}`, { position, expected, found });
  }

  #position(pcr = IMA_PCR): NonNullable<Finding['position']> {
    return { log: 'ima', index: this.#index, pcr };
  }
}

function sha1Stands(list: Buffer, span: EntrySpan): boolean {
  if (span.violation) return true;
  return list.toString('latin1', span.digestStart, span.digestStart + SHA1_SIZE) === sha1Of(list, span);
}

/** One character a byte: a Buffer would cost three times as much. */
function sha1Of(list: Buffer, span: EntrySpan): string {
  return hash('sha1', templateData(list, span), 'binary');
}

/** PCR 0–9 of a bank: as quoted, or as the firmware log that came with this evidence replays to. */
function bootPcrs({ quoted, replayedBoot }: ImaInput, bank: DigestAlgorithm): Uint8Array[] | undefined {
  const indices = Array.from({ length: 10 }, (_, pcr) => pcr);
  if (bank === quoted.bank) {
    const values = indices.flatMap((pcr) => quoted.pcrs.get(pcr) ?? []);
    return values.length === indices.length ? values : undefined;
  }
  const replayed = replayedBoot?.[bank];
  if (replayed === undefined) return undefined;
  const { size } = digestInfo(bank);
  return indices.map((pcr) => fromHex(replayed[pcr] ?? '00'.repeat(size), `PCR ${pcr}`));
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
