/**
 * The PCR values that a quote is over. A quote carries only their digest (TPM 2.0 part 2, 10.12.1), and the values are
 * read by commands of their own: in between, the kernel extends PCR 10 whenever it measures.
 */
import { ParseError } from '../../bytes/index.ts';
import type { EvidenceRequest, PcrBank } from '../../evidence/index.ts';
import { ImaError, ListReplay, type ReplayOptions } from '../../ima/index.ts';
import { checkQuote, quote, type SignedQuote, type TpmClient } from '../../tpm/index.ts';
import { AgentError } from '../error.ts';
import { IMA_PCR } from '../measure/entry.ts';
import type { LogSources } from './log-sources.ts';
import { readBank } from './tpm-extender.ts';

type Values = Awaited<ReturnType<typeof readBank>>;
type List = Pick<LogSources, 'imaLog'>;

/** A quote, with what tells whether values are those that it is over. */
export interface TakenQuote {
  readonly signed: SignedQuote;
  readonly bank: PcrBank;
  readonly nonce: Uint8Array;
  /** Read before the quote. */
  readonly before: Values;
  /** Those that the quote is over, where they were read before or after it. */
  readonly values: Values | undefined;
}

/** Enough where programs start now and then; where they start all the time the list has to tell. */
const MAX_TRIES = 3;

/** Values are read before and after each quote. */
export async function takeQuote(
  tpm: TpmClient,
  akHandle: number,
  nonce: Uint8Array,
  { bank, pcrs }: EvidenceRequest['selection'],
): Promise<TakenQuote> {
  let before = await readBank(tpm, bank, pcrs);
  for (let attempt = 1; ; attempt++) {
    const signed = await quote(tpm, akHandle, nonce, [{ hash: bank, pcrs }]);
    const taken = { signed, bank, nonce, before, values: undefined };
    if (isOver(taken, before)) return { ...taken, values: before };
    const after = await readBank(tpm, bank, pcrs);
    if (isOver(taken, after)) return { ...taken, values: after };
    if (attempt === MAX_TRIES) return taken;
    before = after;
  }
}

/**
 * The values that the quote is over: those that were read, or those that the measurement list leads to where only PCR 10
 * moved on. What the list says is not believed: it fits the TPM's digest, or it does not.
 * @throws {AgentError} `agent.pcrs-moving`: values that do not fit would only look like a forgery to the verifier
 */
export async function quotedValues(taken: TakenQuote, list: List): Promise<Values> {
  const values = taken.values ?? (await listedValues(taken, list));
  if (values !== undefined) return values;
  throw new AgentError(
    'agent.pcrs-moving',
    `the PCRs changed during each of ${MAX_TRIES} quotes, and the measurement list does not explain how`,
    { advice: 'see which program extends them beside the kernel; the next attestation tries again' },
  );
}

/** How the kernel may fill a bank: with the bank's own hash, or SHA-1's in two ways (see ReplayOptions). */
const FILLINGS: readonly ((bank: PcrBank) => Partial<ReplayOptions>)[] = [
  () => ({}),
  (bank) => ({ paddedBanks: [bank] }),
  (bank) => ({ unallocatedBanks: [bank] }),
];

async function listedValues(taken: TakenQuote, list: List): Promise<Values | undefined> {
  const { before, bank } = taken;
  if (before[IMA_PCR] === undefined) return undefined;
  for (const filling of FILLINGS) {
    const replay = new ListReplay({ banks: [bank], checkTemplateDigests: false, ...filling(bank) });
    const values = await searchList(taken, replay, list);
    if (values !== undefined) return values;
  }
  return undefined;
}

/** Replays to the value read before the quote, then asks at each entry whether the quote is over its value. */
async function searchList(taken: TakenQuote, replay: ListReplay, list: List): Promise<Values | undefined> {
  const { before, bank } = taken;
  const start = { bank, pcr: IMA_PCR, value: before[IMA_PCR] ?? new Uint8Array() };
  let isPastStart = false;
  let found: Values | undefined;
  const look = (): boolean => {
    const values = { ...before, [IMA_PCR]: runningValue(replay, bank) };
    if (isOver(taken, values)) found = values;
    return found === undefined;
  };
  for (;;) {
    const part = await list.imaLog(replay.state().bytes);
    if (part.kind === 'absent') return undefined;
    const bytes = Buffer.from(part.bytes.buffer, part.bytes.byteOffset, part.bytes.byteLength);
    let consumed = 0;
    if (!isPastStart) ({ consumed, reached: isPastStart } = run(replay, bytes, { until: [start] }));
    if (isPastStart) consumed += run(replay, bytes.subarray(consumed), { onEntry: look }).consumed;
    if (found !== undefined || consumed === 0) return found;
  }
}

/** A list that cannot be read explains nothing; the verifier gets it and says what is wrong with it. */
function run(replay: ListReplay, bytes: Buffer, options: Parameters<ListReplay['run']>[1]) {
  try {
    return replay.run(bytes, options);
  } catch (error) {
    if (error instanceof ParseError || error instanceof ImaError) return { consumed: 0, reached: false };
    throw error;
  }
}

function runningValue(replay: ListReplay, bank: PcrBank): Uint8Array {
  return Buffer.from(replay.pcrs()[bank]?.[IMA_PCR] ?? '', 'hex');
}

function isOver({ signed, bank, nonce }: TakenQuote, values: Values): boolean {
  const pcrs = Object.entries(values).map(([index, value]) => ({ index: Number(index), value }));
  const { failures } = checkQuote({ ...signed, pcrs: [{ hash: bank, pcrs }], key: undefined, qualification: nonce });
  return !failures.some(({ code }) => code === 'quote.pcr-digest');
}
