/** Platform configuration registers: TPM 2.0 Part 3, 22. */
import { digest, digestInfo } from '../../../bytes/index.ts';
import { TPM_RH } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { isImplementedHash, PCR_COUNT } from '../limits.ts';
import { extendPcr, mayExtend, mayReset, pcrChanged, selectPcrs, setPcr } from '../pcr-banks.ts';
import { refuse } from '../refusal.ts';

/** TPML_DIGEST holds eight. */
const DIGESTS_A_READ = 8;

export const pcr = {
  /** 22.2 */
  TPM2_PCR_Extend(machine, { pcrHandle, digests }, { locality }) {
    if (digests.some(({ hashAlg }) => !isImplementedHash(hashAlg))) refuse('HASH', 'digests');
    if (pcrHandle === TPM_RH.NULL) return {};
    if (!mayExtend(pcrHandle, locality)) refuse('LOCALITY');
    for (const { hashAlg, digest: value } of digests) extendPcr(machine, hashAlg, pcrHandle, value);
    return {};
  },

  /** 22.3 */
  TPM2_PCR_Event(machine, { pcrHandle, eventData }, { locality }) {
    const digests = [...machine.volatile.banks.keys()].map((hashAlg) => ({
      hashAlg,
      digest: digest(hashAlg, eventData),
    }));
    if (pcrHandle === TPM_RH.NULL) return { digests };
    if (!mayExtend(pcrHandle, locality)) refuse('LOCALITY');
    for (const { hashAlg, digest: value } of digests) extendPcr(machine, hashAlg, pcrHandle, value);
    return { digests };
  },

  /** 22.4 */
  TPM2_PCR_Read(machine, { pcrSelectionIn }) {
    const { selection, digests } = selectPcrs(machine, pcrSelectionIn, DIGESTS_A_READ);
    const { pcrUpdateCounter } = machine.volatile;
    return { pcrUpdateCounter, pcrSelectionOut: selection, pcrValues: digests };
  },

  /** 22.5: banks are wholly allocated or not at all; it takes effect at the next TPM Reset. */
  TPM2_PCR_Allocate(machine, { pcrAllocation }) {
    const banks = new Set(machine.permanent.pcrAllocation);
    for (const { hash, pcrs } of pcrAllocation) {
      if (!isImplementedHash(hash)) refuse('HASH', 'pcrAllocation');
      if (pcrs.length === 0) banks.delete(hash);
      else banks.add(hash);
    }
    const sizeNeeded = [...banks].reduce((sum, hash) => sum + digestInfo(hash).size * PCR_COUNT, 0);
    // Without any bank a platform could not measure at all (22.5: TPM_RC_PCR)
    if (banks.size === 0) refuse('PCR');
    machine.permanent.pcrAllocation = [...banks];
    machine.changed();
    return { allocationSuccess: true, maxPCR: PCR_COUNT, sizeNeeded, sizeAvailable: 4 * 64 * PCR_COUNT };
  },

  /** 22.8 */
  TPM2_PCR_Reset(machine, { pcrHandle }, { locality }) {
    if (!mayReset(pcrHandle, locality)) refuse('LOCALITY');
    for (const hash of machine.volatile.banks.keys()) {
      setPcr(machine, hash, pcrHandle, new Uint8Array(digestInfo(hash).size));
    }
    pcrChanged(machine, pcrHandle);
    return {};
  },
} satisfies Handlers;
