/** What this TPM attests, and by whom it is signed (Part 1, 31; Part 4, Attest_spt.c). */
import { ByteReader } from '../../bytes/index.ts';
import {
  encode,
  handleName,
  KDFa,
  TPM_RH,
  TPMS_ATTEST,
  type TPMT_SIG_SCHEME,
  type TPMT_SIGNATURE,
} from '../../tpm/index.ts';
import { timeInfo } from './commands/clock.ts';
import { FIRMWARE_VERSION, INTEGRITY_HASH } from './limits.ts';
import type { Machine } from './machine.ts';
import { refuse } from './refusal.ts';
import { type SigningScheme, selectScheme, signData } from './sign.ts';
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
  if (!key.publicArea.objectAttributes.sign || key.sensitive === undefined) refuse('KEY', 'signHandle');
  return { key, scheme: selectScheme(key, inScheme, 'inScheme') };
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
function obfuscation(machine: Machine, key: LoadedObject | undefined) {
  if (key?.hierarchy === TPM_RH.ENDORSEMENT || key?.hierarchy === TPM_RH.PLATFORM)
    return { firmware: 0n, reset: 0, restart: 0 };
  const signerName = key?.qualifiedName ?? handleName(TPM_RH.NULL);
  const { proof } = machine.permanent.owner;
  const bytes = new ByteReader(KDFa(INTEGRITY_HASH, proof, 'OBFUSCATE', signerName, new Uint8Array(), 128));
  return { firmware: bytes.u64be('firmware'), reset: bytes.u32be('reset'), restart: bytes.u32be('restart') };
}

export function attest(
  machine: Machine,
  { key, scheme }: Signer,
  extraData: Uint8Array,
  body: Body,
): { readonly attested: Uint8Array; readonly signature: TPMT_SIGNATURE } {
  const { clockInfo } = timeInfo(machine);
  const shift = obfuscation(machine, key);
  const attested = encode(TPMS_ATTEST, {
    ...body,
    qualifiedSigner: key?.qualifiedName ?? handleName(TPM_RH.NULL),
    extraData,
    clockInfo: {
      ...clockInfo,
      resetCount: (clockInfo.resetCount + shift.reset) >>> 0,
      restartCount: (clockInfo.restartCount + shift.restart) >>> 0,
    },
    firmwareVersion: BigInt.asUintN(64, firmwareVersion() + shift.firmware),
  });
  if (key === undefined || scheme === undefined) return { attested, signature: { sigAlg: 'null' } };
  return { attested, signature: signData(key, scheme, attested) };
}
