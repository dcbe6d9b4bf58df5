/** Collects evidence: the TPM quotes first, the logs are read after, so that they reach at least what was quoted. */
import type {
  BootLogEvidence,
  Evidence,
  EvidenceRequest,
  GrowingLogEvidence,
  Measurer,
  Observation,
  PcrBank,
  Quote,
} from '../../evidence/index.ts';
import { checkQuote, quote, type TpmClient } from '../../tpm/index.ts';
import { readBank } from './tpm-extender.ts';

/** Where this host's logs come from: the kernel's files, or the agent's own list. */
export interface LogSources {
  readonly measurer: Measurer;
  /** Runs `work` while this agent extends nothing; a kernel goes on when it wants to. */
  whileStill<T>(work: () => Promise<T>): Promise<T>;
  bootLog(want: EvidenceRequest['bootLog']): Promise<BootLogEvidence>;
  /** From this byte on; from the start where the list is shorter (the kernel began a new one). */
  imaLog(offset: number): Promise<GrowingLogEvidence>;
  userspaceLog(offset: number): Promise<GrowingLogEvidence>;
  /** What was seen beside the list: words for findings, never vouched for. */
  observations(): readonly Observation[];
}

export interface Attester {
  readonly tpm: TpmClient;
  /** Handle of the loaded AK. */
  readonly akHandle: number;
  readonly sources: LogSources;
}

export async function collectEvidence(
  { tpm, akHandle, sources }: Attester,
  nonce: Uint8Array,
  request: EvidenceRequest,
): Promise<Evidence> {
  const { bank, pcrs } = request.selection;
  const { signed, values } = await sources.whileStill(() => quoteWithValues(tpm, akHandle, nonce, request));
  return {
    version: 1,
    nonce,
    quote: {
      ...signed,
      pcrs: { [bank]: Object.fromEntries(pcrs.map((pcr) => [pcr, values[pcr] ?? new Uint8Array(0)])) },
    },
    measurer: sources.measurer,
    bootLog: await sources.bootLog(request.bootLog),
    imaLog: await sources.imaLog(request.imaOffset),
    userspaceLog: await sources.userspaceLog(request.userspaceLogOffset),
    observations: sources.observations(),
  };
}

/** A few tries are enough for a list that grows with each execution; past them the verifier says what differs. */
const MAX_TRIES = 5;

type Values = Awaited<ReturnType<typeof readBank>>;

/**
 * A quote and the values that it covers. The kernel can extend PCR 10 at any time: values are read before and after the
 * quote, and those are taken that the quote's digest is over.
 */
async function quoteWithValues(tpm: TpmClient, akHandle: number, nonce: Uint8Array, { selection }: EvidenceRequest) {
  const { bank, pcrs } = selection;
  let before = await readBank(tpm, bank, pcrs);
  for (let attempt = 1; ; attempt++) {
    const signed = await quote(tpm, akHandle, nonce, [{ hash: bank, pcrs }]);
    if (isOver(signed, before, bank, nonce)) return { signed, values: before };
    const after = await readBank(tpm, bank, pcrs);
    if (attempt === MAX_TRIES || isOver(signed, after, bank, nonce)) return { signed, values: after };
    before = after;
  }
}

function isOver(
  signed: Pick<Quote, 'message' | 'signature'>,
  values: Values,
  bank: PcrBank,
  nonce: Uint8Array,
): boolean {
  const pcrs = Object.entries(values).map(([index, value]) => ({ index: Number(index), value }));
  const { failures } = checkQuote({ ...signed, pcrs: [{ hash: bank, pcrs }], key: undefined, qualification: nonce });
  return !failures.some(({ code }) => code === 'quote.pcr-digest');
}
