/** Attestation keys: restricted signing keys under the EK, as tpm2_createak makes them. */
import type { TpmClient } from '../client/index.ts';
import { encode } from '../codec.ts';
import { TPM2_Create, TPM2_FlushContext, TPM2_Load, TPM2_Quote } from '../commands.ts';
import { type LoadedKey, withEndorsementKey } from '../endorsement/endorsement-key.ts';
import { type TPMI_ALG_HASH, type TPML_PCR_SELECTION, type TPMT_PUBLIC, TPMT_SIGNATURE } from '../structures.ts';

export const AK_KINDS = ['p256', 'p384', 'rsa2048', 'rsapss2048'] as const;
export type AkKind = (typeof AK_KINDS)[number];

const ATTESTATION_KEY = {
  fixedTPM: true,
  fixedParent: true,
  sensitiveDataOrigin: true,
  userWithAuth: true,
  restricted: true,
  sign: true,
} as const;

/** The template of an AK that signs quotes with `hashAlg`. */
export function attestationKeyTemplate(kind: AkKind, hashAlg: TPMI_ALG_HASH = 'sha256'): TPMT_PUBLIC {
  const shared = { nameAlg: 'sha256', objectAttributes: ATTESTATION_KEY, authPolicy: new Uint8Array(0) } as const;
  const symmetric = { algorithm: 'null' } as const;
  if (kind === 'rsa2048' || kind === 'rsapss2048') {
    const scheme = { scheme: kind === 'rsa2048' ? 'rsassa' : 'rsapss', hashAlg } as const;
    const parameters = { symmetric, scheme, keyBits: 2048, exponent: 0 };
    return { ...shared, type: 'rsa', parameters, unique: new Uint8Array(0) };
  }
  const parameters = {
    symmetric,
    scheme: { scheme: 'ecdsa', hashAlg },
    curveID: kind,
    kdf: { scheme: 'null' },
  } as const;
  return { ...shared, type: 'ecc', parameters, unique: { x: new Uint8Array(0), y: new Uint8Array(0) } };
}

/** A key outside the TPM: only the TPM that wrapped it can open `private`. */
export interface WrappedKey {
  readonly area: TPMT_PUBLIC;
  readonly private: Uint8Array;
}

/** Creates an AK under the EK. Of restricted keys only those whose parent is an EK count in clear reset counters. */
export async function createAttestationKey(
  tpm: TpmClient,
  ek: LoadedKey,
  template = attestationKeyTemplate('p256'),
): Promise<WrappedKey> {
  const request = {
    parentHandle: ek.handle,
    inSensitive: { userAuth: new Uint8Array(0), data: new Uint8Array(0) },
    inPublic: template,
    outsideInfo: new Uint8Array(0),
    creationPCR: [],
  };
  const { outPublic, outPrivate } = await withEndorsementKey(tpm, ek, (parentHandle) =>
    tpm.execute(TPM2_Create, request, { auth: { parentHandle } }),
  );
  return { area: outPublic, private: outPrivate };
}

export async function loadAttestationKey(tpm: TpmClient, ek: LoadedKey, wrapped: WrappedKey): Promise<LoadedKey> {
  const request = { parentHandle: ek.handle, inPrivate: wrapped.private, inPublic: wrapped.area };
  const { objectHandle, name } = await withEndorsementKey(tpm, ek, (parentHandle) =>
    tpm.execute(TPM2_Load, request, { auth: { parentHandle } }),
  );
  const release = async (): Promise<void> => void (await tpm.execute(TPM2_FlushContext, { flushHandle: objectHandle }));
  return { handle: objectHandle, area: wrapped.area, name, release };
}

export interface SignedQuote {
  /** TPMS_ATTEST as it was signed. */
  readonly message: Uint8Array;
  /** TPMT_SIGNATURE. */
  readonly signature: Uint8Array;
}

/** TPM2_Quote with the key's own scheme (Part 3, 18.4). */
export async function quote(
  tpm: TpmClient,
  signHandle: number,
  qualifyingData: Uint8Array,
  selection: TPML_PCR_SELECTION,
): Promise<SignedQuote> {
  const request = { signHandle, qualifyingData, inScheme: { scheme: 'null' } as const, PCRselect: selection };
  const { quoted, signature } = await tpm.execute(TPM2_Quote, request);
  return { message: quoted, signature: encode(TPMT_SIGNATURE, signature) };
}
