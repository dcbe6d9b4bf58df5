/** Platform configuration registers: TPM 2.0 Part 3, 22. */
import { digest, digestInfo } from '../../../bytes/index.ts';
import { TPM_RH, trimAuth } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { HASHES, PCR_COUNT } from '../limits.ts';
import type { Machine } from '../machine.ts';
import {
  extendPcr,
  isInGroup,
  mayExtend,
  mayReset,
  pcrAttributes,
  pcrChanged,
  selectPcrs,
  setPcr,
} from '../pcr-banks.ts';
import { refuse } from '../refusal.ts';

/** TPML_DIGEST holds eight. */
const DIGESTS_A_READ = 8;

/** Bytes of every PCR in every bank. */
const SIZE_AVAILABLE = HASHES.reduce((sum, hash) => sum + digestInfo(hash).size * PCR_COUNT, 0);

/** What _TPM_Init and dynamic launches measure into: some bank has to have them (22.5). */
const NEEDED = [0, 17];

/** @throws {Refusal} `LOCALITY` */
function checkExtend(machine: Machine, pcr: number, locality: number): void {
  if (!mayExtend(pcr, locality)) refuse('LOCALITY');
  if (pcrAttributes(pcr).isSaved) machine.clearOrderly();
}

export const pcr = {
  /** 22.2 */
  TPM2_PCR_Extend(machine, { pcrHandle, digests }, { locality }) {
    if (pcrHandle === TPM_RH.NULL) return {};
    checkExtend(machine, pcrHandle, locality);
    for (const { hashAlg, digest: value } of digests) extendPcr(machine, hashAlg, pcrHandle, value);
    return {};
  },

  /** 22.3: tells every digest, whichever banks there are. */
  TPM2_PCR_Event(machine, { pcrHandle, eventData }, { locality }) {
    const digests = HASHES.map((hashAlg) => ({ hashAlg, digest: digest(hashAlg, eventData) }));
    if (pcrHandle === TPM_RH.NULL) return { digests };
    checkExtend(machine, pcrHandle, locality);
    for (const { hashAlg, digest: value } of digests) extendPcr(machine, hashAlg, pcrHandle, value);
    return { digests };
  },

  /** 22.4 */
  TPM2_PCR_Read(machine, { pcrSelectionIn }) {
    const { selection, digests } = selectPcrs(machine, pcrSelectionIn, DIGESTS_A_READ);
    const { pcrUpdateCounter } = machine.volatile;
    return { pcrUpdateCounter, pcrSelectionOut: selection, pcrValues: digests };
  },

  /** 22.5: takes effect at the next _TPM_Init. */
  TPM2_PCR_Allocate(machine, { pcrAllocation }) {
    const allocation = machine.permanent.pcrAllocation.map(
      (old) => pcrAllocation.findLast(({ hash }) => hash === old.hash) ?? old,
    );
    const isAllocated = (number: number): boolean => allocation.some(({ pcrs }) => pcrs.includes(number));
    if (!NEEDED.every(isAllocated)) refuse('PCR');
    machine.permanent.pcrAllocation = allocation;
    machine.volatile.isPcrReconfigured = true;
    machine.changed();
    const sizeNeeded = allocation.reduce((sum, { hash, pcrs }) => sum + digestInfo(hash).size * pcrs.length, 0);
    return { allocationSuccess: true, maxPCR: PCR_COUNT, sizeNeeded, sizeAvailable: SIZE_AVAILABLE };
  },

  /** 22.6 */
  TPM2_PCR_SetAuthPolicy(machine, { authPolicy, hashAlg, pcrNum }) {
    if (authPolicy.length !== (hashAlg === 'null' ? 0 : digestInfo(hashAlg).size)) refuse('SIZE', 'authPolicy');
    if (!isInGroup(pcrNum)) refuse('VALUE', 'pcrNum');
    machine.permanent.pcrPolicy = { hashAlg, digest: authPolicy };
    machine.changed();
    return {};
  },

  /** 22.7 */
  TPM2_PCR_SetAuthValue(machine, { pcrHandle, auth }) {
    if (!isInGroup(pcrHandle)) refuse('VALUE');
    machine.clearOrderly();
    machine.volatile.pcrAuth = trimAuth(auth);
    machine.changed();
    return {};
  },

  /** 22.8 */
  TPM2_PCR_Reset(machine, { pcrHandle }, { locality }) {
    if (!mayReset(pcrHandle, locality)) refuse('LOCALITY');
    if (pcrAttributes(pcrHandle).isSaved) machine.clearOrderly();
    for (const hash of machine.volatile.banks.keys()) {
      setPcr(machine, hash, pcrHandle, new Uint8Array(digestInfo(hash).size));
    }
    pcrChanged(machine, pcrHandle);
    return {};
  },
} satisfies Handlers;
