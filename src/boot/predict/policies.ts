/** Predictions as TPM policies: signed ones in systemd-measure's form, and digests that keys are sealed to. */
import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { digest, fromHex, toHex } from '../../bytes/index.ts';
import { type Policy, type PolicyPcr, policyDigest } from '../../tpm/index.ts';
import { notPredictable } from './measurement.ts';
import type { Prediction } from './predict.ts';

const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
type Bank = (typeof BANKS)[number];

/** `{"sha256":[{"pcrs":[11],"pkfp":…,"pol":…,"sig":…}]}`: systemd-measure(1), `.pcrsig` of a unified kernel image. */
export type SignedPolicies = { readonly [bank in Bank]?: readonly SignedPolicy[] };

interface SignedPolicy {
  readonly pcrs: readonly number[];
  /** SHA-256 of the public key in DER (RSAPublicKey, PKCS #1: src/shared/openssl-util.c:pubkey_fingerprint), in hex. */
  readonly pkfp: string;
  /** The policy's digest in hex. */
  readonly pol: string;
  /**
   * Over the policy's digest, in base64: RSA PKCS#1 v1.5 with SHA-256, in whichever bank, since TPM2_PolicyAuthorize hashes
   * with the name algorithm of the key (Part 3, 23.16). systemd-measure 252 takes the bank's: only for SHA-256 is it of use.
   */
  readonly sig: string;
}

/** @throws {BootError} `boot.not-predictable` where a prediction lacks one of the PCRs */
export function signPolicies(
  predictions: readonly Prediction[],
  pcrs: readonly number[],
  key: KeyObject,
): SignedPolicies {
  const pkfp = digest('sha256', createPublicKey(key).export({ type: 'pkcs1', format: 'der' })).toString('hex');
  const banks = BANKS.filter((bank) => predictions.some((prediction) => prediction.pcrs[bank] !== undefined));
  const signed = (bank: Bank): SignedPolicy[] =>
    different(predictions, bank, pcrs).map((values) => {
      const pol = policyDigest([{ kind: 'pcr', values }], 'sha256');
      return { pcrs, pkfp, pol: toHex(pol), sig: sign('sha256', pol, key).toString('base64') };
    });
  return Object.fromEntries(banks.map((bank) => [bank, signed(bank)]));
}

/** The policy that a key is sealed to, so that it opens in each of these boots; up to eight. */
export function sealingPolicy(predictions: readonly Prediction[], bank: Bank, pcrs: readonly number[]): Policy {
  const branches = different(predictions, bank, pcrs).map((values) => [{ kind: 'pcr' as const, values }]);
  if (branches.length > MAX_BRANCHES)
    throw notPredictable(
      `${branches.length} boots differ in these PCRs, and a policy holds ${MAX_BRANCHES}`,
      'name fewer entries, or sign the policies',
    );
  const [only] = branches;
  return branches.length === 1 && only !== undefined ? only : [{ kind: 'or', branches }];
}

/** TPM2_PolicyOR (Part 3, 23.6) takes so many. */
const MAX_BRANCHES = 8;

/** The values of these PCRs, each set of them once. */
function different(predictions: readonly Prediction[], bank: Bank, pcrs: readonly number[]): PolicyPcr[][] {
  const found = new Map<string, PolicyPcr[]>();
  for (const prediction of predictions) {
    const values = pcrValues(prediction, bank, pcrs);
    found.set(values.map(({ value }) => toHex(value)).join(), values);
  }
  return [...found.values()];
}

function pcrValues({ pcrs: predicted, refusals }: Prediction, bank: Bank, pcrs: readonly number[]): PolicyPcr[] {
  return pcrs.map((pcr) => {
    const value = predicted[bank]?.[pcr];
    if (value === undefined) {
      const refusal = refusals.find((candidate) => candidate.pcr === pcr);
      throw notPredictable(`PCR ${pcr} is not predicted${refusal === undefined ? '' : `: ${refusal.reason}`}`);
    }
    return { bank, pcr, value: fromHex(value, `PCR ${pcr}`) };
  });
}
