/** The digest over selected PCRs that quotes, policies and creation data hold (Part 4, PCRComputeCurrentDigest). */
import { type DigestAlgorithm, digest } from '../../bytes/index.ts';
import type { TPML_PCR_SELECTION } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import { selectPcrs } from './pcr-banks.ts';

export function pcrDigestOf(machine: Machine, hashAlg: DigestAlgorithm, asked: TPML_PCR_SELECTION) {
  const { selection, digests } = selectPcrs(machine, asked);
  return { selection, pcrDigest: digest(hashAlg, ...digests) };
}
