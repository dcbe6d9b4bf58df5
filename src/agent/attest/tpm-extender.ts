/** A TPM as measuring sees it. */
import type { PcrBank, PcrValues, TpmKind } from '../../evidence/index.ts';
import {
  activeBanks,
  extendPcr,
  readPcrs,
  TPM2_ReadClock,
  type TPMI_ALG_HASH,
  type TpmClient,
} from '../../tpm/index.ts';
import type { PcrExtender } from '../measure/pcr-extender.ts';

const BANKS: readonly string[] = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'] satisfies PcrBank[];

/** True for a bank that evidence can carry. */
export function isPcrBank(hash: TPMI_ALG_HASH): hash is PcrBank & TPMI_ALG_HASH {
  return BANKS.includes(hash);
}

/** The active banks of a TPM that Assay knows. */
export async function pcrBanks(tpm: TpmClient): Promise<PcrBank[]> {
  return (await activeBanks(tpm)).map(({ hash }) => hash).filter(isPcrBank);
}

export function tpmExtender(tpm: TpmClient, kind: TpmKind): PcrExtender {
  return {
    kind,
    async boot() {
      const { currentTime } = await tpm.execute(TPM2_ReadClock, {});
      const { resetCount, restartCount } = currentTime.clockInfo;
      return { resetCount, restartCount };
    },
    async read(pcrs) {
      const values: Record<string, Record<number, Uint8Array>> = {};
      for (const bank of await pcrBanks(tpm)) values[bank] = await readBank(tpm, bank, pcrs);
      return values satisfies PcrValues;
    },
    async extend(pcr, digests) {
      const list = Object.entries(digests).flatMap(
        ([bank, digest]) => (digest === undefined ? [] : [{ hashAlg: bank as PcrBank, digest }]), // keys of a record by bank
      );
      await extendPcr(tpm, pcr, list);
    },
  };
}

/** PCR index → value. */
export async function readBank(
  tpm: TpmClient,
  bank: PcrBank,
  pcrs: readonly number[],
): Promise<Record<number, Uint8Array>> {
  const values = await readPcrs(tpm, bank, pcrs);
  return Object.fromEntries(values.map(({ index, value }) => [index, value]));
}
