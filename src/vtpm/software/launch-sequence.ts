/**
 * What the platform measures without commands, by _TPM_Hash_Start, _Data and _End (Part 1, 34; Part 3, 22.9 to 22.11; Part
 * 4, IntegrityCommands.c and PCR.c: PcrDrtm). Before TPM2_Startup it is the H-CRTM and goes into PCR 0, after it a dynamic
 * launch: PCRs 17 to 22 become zero, and PCR 17 tells what was launched.
 */
import { createHash, type Hash } from 'node:crypto';
import { digestInfo } from '../../bytes/index.ts';
import type { TPMI_ALG_HASH } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import { extendPcr, isDynamic, PCRS, setPcr } from './pcr-banks.ts';

const HCRTM_PCR = 0;
const DRTM_PCR = 17;
/** What PCR 0 begins with: the locality of an H-CRTM. */
const HCRTM_LOCALITY = 4;

export interface LaunchSequence {
  update(data: Uint8Array): void;
  end(): void;
}

export function startLaunch(machine: Machine): LaunchSequence {
  const hashes: readonly [TPMI_ALG_HASH, Hash][] = [...machine.volatile.banks.keys()].map((hash) => [
    hash,
    createHash(digestInfo(hash).opensslName),
  ]);
  machine.volatile.isEstablished = true;
  machine.changed();
  return {
    update(data) {
      for (const [, state] of hashes) state.update(data);
    },
    end() {
      const pcr = machine.volatile.isStarted ? beginDynamicLaunch(machine) : beginHcrtm(machine);
      for (const [hash, state] of hashes) extendPcr(machine, hash, pcr, state.digest());
    },
  };
}

function beginHcrtm(machine: Machine): number {
  machine.volatile.hasHcrtm = true;
  resetPcr(machine, HCRTM_PCR, HCRTM_LOCALITY);
  return HCRTM_PCR;
}

function beginDynamicLaunch(machine: Machine): number {
  for (const pcr of PCRS.filter(isDynamic)) resetPcr(machine, pcr, 0);
  machine.volatile.restartCount++;
  return DRTM_PCR;
}

function resetPcr(machine: Machine, pcr: number, lastByte: number): void {
  for (const hash of machine.volatile.banks.keys()) {
    const value = new Uint8Array(digestInfo(hash).size);
    value[value.length - 1] = lastByte;
    setPcr(machine, hash, pcr, value);
  }
}
