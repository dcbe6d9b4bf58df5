/** A quote that can be handed out: with the key it was made with and PCR values that it covers. */
import type { TpmClient } from '../client/index.ts';
import { EK_PROFILES, type LoadedKey, loadEndorsementKey } from '../endorsement/index.ts';
import { TpmError } from '../errors.ts';
import { readPcrs } from '../pcr-bank.ts';
import { publicKeyOf } from '../public-key.ts';
import { isResponseCode } from '../response-codes.ts';
import type { TPML_PCR_SELECTION, TPMT_PUBLIC } from '../structures.ts';
import { createAttestationKey, loadAttestationKey, quote, type SignedQuote } from './attestation-key.ts';
import { checkQuote, type SelectedPcrs } from './quote.ts';

export interface CheckedQuote extends SignedQuote {
  /** The attestation key's public area. */
  readonly area: TPMT_PUBLIC;
  readonly pcrs: readonly SelectedPcrs[];
}

/** A PCR that is extended between the quote and the reading spoils the pair; a busy PCR 10 does so now and then. */
const ATTEMPTS = 5;

/**
 * Makes a key from `template` under the EK, quotes with it, and lets go of it again.
 * @throws {TpmError} `tpm.unsupported` where the TPM does not have one of the PCRs or banks,
 *   `tpm.untrusted` where its quote does not cover the values that it gives
 */
export async function quoteWithNewKey(
  tpm: TpmClient,
  template: TPMT_PUBLIC,
  qualification: Uint8Array,
  selection: TPML_PCR_SELECTION,
): Promise<CheckedQuote> {
  const ek = await anyEndorsementKey(tpm);
  try {
    const wrapped = await createAttestationKey(tpm, ek, template);
    const ak = await loadAttestationKey(tpm, ek, wrapped);
    try {
      return await consistentQuote(tpm, ak, qualification, selection);
    } finally {
      await ak.release();
    }
  } finally {
    await ek.release();
  }
}

/** The P-256 EK, which costs least; RSA where the TPM does not know the curve. */
async function anyEndorsementKey(tpm: TpmClient): Promise<LoadedKey> {
  try {
    return await loadEndorsementKey(tpm, EK_PROFILES.p256);
  } catch (error) {
    const isUnknownCurve =
      error instanceof TpmError &&
      error.rc !== undefined &&
      (isResponseCode(error.rc, 'CURVE') || isResponseCode(error.rc, 'VALUE') || isResponseCode(error.rc, 'TYPE'));
    if (!isUnknownCurve) throw error;
    return loadEndorsementKey(tpm, EK_PROFILES.rsa2048);
  }
}

async function consistentQuote(
  tpm: TpmClient,
  ak: LoadedKey,
  qualification: Uint8Array,
  selection: TPML_PCR_SELECTION,
): Promise<CheckedQuote> {
  const key = publicKeyOf(ak.area);
  for (let attempt = 1; ; attempt++) {
    const signed = await quote(tpm, ak.handle, qualification, selection);
    const pcrs = await readSelected(tpm, selection);
    const { failures } = checkQuote({ ...signed, pcrs, key, qualification, selection, acceptSha1: true });
    const [failure] = failures;
    if (failure === undefined) return { ...signed, area: ak.area, pcrs };
    const mayBeRace = failures.every(({ code }) => code === 'quote.pcr-digest');
    if (!mayBeRace || attempt === ATTEMPTS) {
      throw new TpmError('tpm.untrusted', `the TPM's quote does not verify: ${failure.detail}`);
    }
  }
}

async function readSelected(tpm: TpmClient, selection: TPML_PCR_SELECTION): Promise<SelectedPcrs[]> {
  const banks: SelectedPcrs[] = [];
  for (const { hash, pcrs } of selection) {
    const values = await readPcrs(tpm, hash, pcrs);
    const missing = pcrs.filter((pcr) => !values.some(({ index }) => index === pcr));
    if (missing.length > 0) {
      throw new TpmError('tpm.unsupported', `the TPM has no PCR ${missing.join(', ')} in an active ${hash} bank`);
    }
    banks.push({ hash, pcrs: values });
  }
  return banks;
}
