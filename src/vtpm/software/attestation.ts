/** What this TPM attests, and by whom it is signed (Part 1, 31; Part 4, Attest_spt.c). */
import { ByteReader, digest } from '../../bytes/index.ts';
import {
  encode,
  handleName,
  KDFa,
  TPM_RH,
  TPMS_ATTEST,
  type TPMT_SIG_SCHEME,
  type TPMT_SIGNATURE,
} from '../../tpm/index.ts';
import { timeInfo } from './clock.ts';
import { FIRMWARE_VERSION, INTEGRITY_HASH } from './limits.ts';
import type { Machine } from './machine.ts';
import { refuse } from './refusal.ts';
import { isSigningKey, type SigningScheme, selectScheme, signDigest } from './sign.ts';
import type { LoadedObject } from './state.ts';

export interface Signer {
  /** Undefined for TPM_RH_NULL, which attests without a signature. */
  readonly key: LoadedObject | undefined;
  readonly scheme: SigningScheme | undefined;
}

/** @throws {Refusal} `KEY` for a key that does not sign, `SCHEME` for a scheme that it does not have */
export function signer(machine: Machine, signHandle: number, inScheme: TPMT_SIG_SCHEME): Signer {
  if (signHandle === TPM_RH.NULL) return { key: undefined, scheme: undefined };
  const key = machine.object(signHandle);
  if (!isSigningKey(key)) refuse('KEY', 'signHandle');
  return { key, scheme: selectScheme(key, inScheme, 'inScheme') };
}

/** Signatures of ECDAA shall not be linked to each other, and so their attestations name no signer (Part 1, C.4.2). */
export function isAnonymous({ scheme }: Signer): boolean {
  return scheme?.scheme === 'ecdaa';
}

/** A variant of TPMS_ATTEST without what all share. */
type Body = TPMS_ATTEST extends infer A
  ? A extends { type: infer T; attested: infer B }
    ? { type: T; attested: B }
    : never
  : never;

export function firmwareVersion(): bigint {
  return (BigInt(FIRMWARE_VERSION.high) << 32n) | BigInt(FIRMWARE_VERSION.low);
}

/**
 * Counters and firmware version tell machines apart, so keys outside the endorsement and platform hierarchies see them
 * shifted by an amount of their own (Part 1, 36.7).
 */
function obfuscation(machine: Machine, key: LoadedObject | undefined, qualifiedSigner: Uint8Array) {
  if (key?.hierarchy === TPM_RH.ENDORSEMENT || key?.hierarchy === TPM_RH.PLATFORM)
    return { firmware: 0n, reset: 0, restart: 0 };
  const { proof } = machine.permanent.owner;
  const bytes = new ByteReader(KDFa(INTEGRITY_HASH, proof, 'OBFUSCATE', qualifiedSigner, new Uint8Array(), 128));
  return { firmware: bytes.u64be('firmware'), reset: bytes.u32be('reset'), restart: bytes.u32be('restart') };
}

function qualifiedSigner(by: Signer): Uint8Array {
  if (by.key === undefined) return handleName(TPM_RH.NULL);
  return isAnonymous(by) ? new Uint8Array() : by.key.qualifiedName;
}

export interface Attestation {
  readonly attested: Uint8Array;
  readonly signature: TPMT_SIGNATURE;
}

export function attest(machine: Machine, by: Signer, qualifyingData: Uint8Array, body: Body): Attestation {
  const { clockInfo } = timeInfo(machine);
  const signerName = qualifiedSigner(by);
  const shift = obfuscation(machine, by.key, signerName);
  const attested = encode(TPMS_ATTEST, {
    ...body,
    qualifiedSigner: signerName,
    extraData: isAnonymous(by) ? new Uint8Array() : qualifyingData,
    clockInfo: {
      ...clockInfo,
      resetCount: (clockInfo.resetCount + shift.reset) >>> 0,
      restartCount: (clockInfo.restartCount + shift.restart) >>> 0,
    },
    firmwareVersion: BigInt.asUintN(64, firmwareVersion() + shift.firmware),
  });
  return { attested, signature: signed(machine, by, qualifyingData, attested) };
}

/** What an anonymous attestation does not say, its signature covers. */
function signed(machine: Machine, by: Signer, qualifyingData: Uint8Array, attested: Uint8Array): TPMT_SIGNATURE {
  const { key, scheme } = by;
  if (key === undefined || scheme === undefined) return { sigAlg: 'null' };
  const hashed = digest(scheme.hashAlg, attested);
  const isQualified = isAnonymous(by) && qualifyingData.length > 0;
  const covered = isQualified ? digest(scheme.hashAlg, qualifyingData, hashed) : hashed;
  const signature = signDigest(machine, key, scheme, covered);
  machine.clearOrderly();
  return signature;
}
