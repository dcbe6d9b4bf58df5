/** Collects evidence: the TPM quotes first, the logs are read after, so that they reach at least what was quoted. */
import type {
  BootLogEvidence,
  Evidence,
  EvidenceRequest,
  GrowingLogEvidence,
  Measurer,
  Observation,
} from '../../evidence/index.ts';
import { quote, type TpmClient } from '../../tpm/index.ts';
import { readBank } from './tpm-extender.ts';

/** Where this host's logs come from: the kernel's files, or the agent's own list. */
export interface LogSources {
  readonly measurer: Measurer;
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
  const { signed, values } = await quoteWithValues(tpm, akHandle, nonce, request);
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

/** A quote and the values it covers: PCR 10 can move between the two, so values are read before and after it. */
async function quoteWithValues(tpm: TpmClient, akHandle: number, nonce: Uint8Array, { selection }: EvidenceRequest) {
  const { bank, pcrs } = selection;
  let before = await readBank(tpm, bank, pcrs);
  for (let attempt = 1; ; attempt++) {
    const signed = await quote(tpm, akHandle, nonce, [{ hash: bank, pcrs }]);
    const after = await readBank(tpm, bank, pcrs);
    if (attempt === MAX_TRIES || sameValues(before, after)) return { signed, values: after };
    before = after;
  }
}

function sameValues(a: Record<number, Uint8Array>, b: Record<number, Uint8Array>): boolean {
  return Object.entries(a).every(([pcr, value]) => Buffer.compare(value, b[Number(pcr)] ?? new Uint8Array(0)) === 0);
}
