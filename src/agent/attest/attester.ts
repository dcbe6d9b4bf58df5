/** Collects evidence: the TPM quotes first, the logs are read after, so that they reach at least what was quoted. */
import type { Evidence, EvidenceRequest } from '../../evidence/index.ts';
import type { TpmClient } from '../../tpm/index.ts';
import type { LogSources } from './log-sources.ts';
import { quotedValues, takeQuote } from './quoted-values.ts';

export interface Attester {
  readonly tpm: TpmClient;
  /** Handle of the loaded AK. */
  readonly akHandle: number;
  readonly sources: LogSources;
}

/** @throws {AgentError} `agent.pcrs-moving`, `agent.log-unreadable` */
export async function collectEvidence(
  { tpm, akHandle, sources }: Attester,
  nonce: Uint8Array,
  request: EvidenceRequest,
): Promise<Evidence> {
  const { bank, pcrs } = request.selection;
  const taken = await sources.whileStill(() => takeQuote(tpm, akHandle, nonce, request.selection));
  const values = await quotedValues(taken, sources);
  return {
    version: 1,
    nonce,
    quote: {
      ...taken.signed,
      pcrs: { [bank]: Object.fromEntries(pcrs.map((pcr) => [pcr, values[pcr] ?? new Uint8Array(0)])) },
    },
    measurer: sources.measurer,
    bootLog: await sources.bootLog(request.bootLog),
    imaLog: await sources.imaLog(request.imaOffset),
    userspaceLog: await sources.userspaceLog(request.userspaceLogOffset),
    observations: sources.observations(),
  };
}
