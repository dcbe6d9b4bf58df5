/** Trusted keys and the TPM: sealing and unsealing as the kernel does (trusted_tpm2.c: tpm2_seal_trusted, tpm2_unseal_trusted). */
import { digestInfo } from '../../bytes/index.ts';
import {
  AES_128_CFB,
  activeBanks,
  currentValues,
  extendPcr,
  type HandleAuthorization,
  isAboutParameter,
  objectName,
  type Policy,
  type PolicyPcr,
  policyDigest,
  Session,
  satisfyPolicy,
  TPM_RH,
  TPM2_Create,
  TPM2_FlushContext,
  TPM2_GetRandom,
  TPM2_Load,
  TPM2_LoadExternal,
  TPM2_ReadPublic,
  TPM2_Unseal,
  type TPML_PCR_SELECTION,
  type TPMT_PUBLIC,
  type TpmClient,
  TpmError,
} from '../../tpm/index.ts';
import { KeyError } from '../error.ts';
import type { SealedArea, TrustedBlob } from './blob.ts';
import type { TrustedHash } from './options.ts';
import { foreignBlob, isMissing, keyError } from './tpm-errors.ts';

/** MIN_KEY_SIZE and MAX_KEY_SIZE (keys/trusted-type.h). */
export const TRUSTED_SIZES = { least: 32, most: 128 } as const;

export interface SealRequest {
  readonly payload: Uint8Array;
  /**
   * `asn1` unless told. What is sealed differs, so that a key cannot be turned from one form into the other: the older one
   * holds a byte more than the payload, and at most 127 of it.
   */
  readonly form?: TrustedBlob['form'];
  /** Handle of the storage key; the kernel takes persistent ones. */
  readonly parent: number;
  /** Authorization value of the storage key; a secret. */
  readonly keyAuth?: Uint8Array;
  /** Authorization value of the sealed key; a secret. */
  readonly blobAuth?: Uint8Array;
  readonly hash?: TrustedHash;
  readonly migratable?: boolean;
  /** What must hold to unseal it. */
  readonly policy?: Policy;
  /** The digest of a policy that only the caller knows, instead. */
  readonly policyDigest?: Uint8Array;
}

export interface UnsealRequest {
  /** Left out: what the blob holds. */
  readonly parent?: number;
  readonly keyAuth?: Uint8Array;
  readonly blobAuth?: Uint8Array;
  /** The policy that the key was sealed to. */
  readonly policy?: Policy;
  /** Handle of a policy session that satisfies it already, unsalted as the kernel takes it; it is left there. */
  readonly policyHandle?: number;
}

export interface UnsealedKey {
  /** A secret. */
  readonly payload: Uint8Array;
  readonly migratable: boolean;
}

const EMPTY = new Uint8Array(0);

/** A random payload from the TPM itself, as the kernel's `new` takes it. @throws {KeyError} `key.size`, `key.tpm-reset` */
export function newPayload(tpm: TpmClient, size: number): Promise<Uint8Array> {
  return asKeyErrors(async () => {
    checkSize(size);
    return randomOf(tpm, size);
  });
}

/** What keys are sealed to. @throws {KeyError} `key.tpm-reset` */
export function currentPcrValues(tpm: TpmClient, selection: TPML_PCR_SELECTION): Promise<PolicyPcr[]> {
  return asKeyErrors(async () => [...(await currentValues(tpm, selection))]);
}

async function asKeyErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw keyError(error);
  }
}

async function randomOf(tpm: TpmClient, size: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let left = size; left > 0; ) {
    const { randomBytes } = await tpm.execute(TPM2_GetRandom, { bytesRequested: left });
    if (randomBytes.length === 0) throw new TpmError('tpm.malformed', 'the TPM gives no random bytes');
    parts.push(randomBytes.subarray(0, left));
    left -= Math.min(left, randomBytes.length);
  }
  return Buffer.concat(parts);
}

/**
 * Seals a payload under a storage key. It travels to the TPM encrypted, in a session that is salted with that key.
 * @throws {KeyError} `key.size`, `key.no-parent`, `key.wrong-secret`; `key.option` for a policy that nothing can satisfy here
 */
export async function sealTrustedKey(tpm: TpmClient, request: SealRequest): Promise<TrustedBlob> {
  const { hash = 'sha256', blobAuth = EMPTY, form = 'asn1', payload, migratable = false } = request;
  checkSize(payload.length, form);
  if (blobAuth.length > digestInfo(hash).size) {
    throw new KeyError('key.size', `an authorization value under ${hash} has at most ${digestInfo(hash).size} bytes`);
  }
  // What the kernel takes off again (tpm2_unseal_cmd: old_format).
  const data = form === 'legacy' ? Buffer.concat([payload, Buffer.of(migratable ? 1 : 0)]) : payload;
  try {
    const parent = await parentOf(tpm, request.parent);
    for (const step of request.policy ?? []) if (step.kind === 'authorize') await tryPolicyKey(tpm, step.key);
    const sealed = await underParent(tpm, parent, request.keyAuth, { decrypt: true }, (parentHandle) =>
      tpm.execute(
        TPM2_Create,
        {
          parentHandle: parent.handle,
          inSensitive: { userAuth: blobAuth, data },
          inPublic: sealedArea(request, hash),
          outsideInfo: EMPTY,
          creationPCR: [],
        },
        { ...authorizedBy(parentHandle), names: parent.names },
      ),
    );
    const { outPublic, outPrivate } = sealed;
    if (outPublic.type !== 'keyedhash') throw new TpmError('tpm.malformed', 'the TPM sealed something else');
    const sealedKey = { area: outPublic, private: outPrivate };
    if (form === 'legacy') return { form, parent: undefined, emptyAuth: false, ...sealedKey };
    return { form, parent: request.parent, emptyAuth: blobAuth.length === 0, ...sealedKey };
  } catch (error) {
    throw keyError(error);
  }
}

/** A key that the TPM cannot load would be noticed when the machine no longer opens. */
async function tryPolicyKey(tpm: TpmClient, key: TPMT_PUBLIC): Promise<void> {
  try {
    const request = { inPrivate: undefined, inPublic: key, hierarchy: TPM_RH.OWNER };
    const { objectHandle } = await tpm.execute(TPM2_LoadExternal, request);
    await tpm.execute(TPM2_FlushContext, { flushHandle: objectHandle });
  } catch (cause) {
    if (!(cause instanceof TpmError) || cause.rc === undefined) throw cause;
    throw new KeyError('key.option', `this TPM does not take the key that signs the policies: ${cause.message}`, {
      advice: 'take an RSA key of 2048 bits, which every TPM 2.0 has',
      cause,
    });
  }
}

/** The public area that the kernel asks for; a policy is then the only way to the payload. */
function sealedArea(request: SealRequest, hash: TrustedHash): SealedArea {
  const { policy, migratable = false } = request;
  const authPolicy = policy === undefined ? (request.policyDigest ?? EMPTY) : policyDigest(policy, hash);
  return {
    type: 'keyedhash',
    nameAlg: hash,
    objectAttributes: {
      ...(authPolicy.length === 0 ? { userWithAuth: true } : {}),
      ...(migratable ? {} : { fixedTPM: true, fixedParent: true }),
    },
    authPolicy,
    parameters: { scheme: { scheme: 'null' } },
    unique: EMPTY,
  };
}

/**
 * Unseals a trusted key.
 * @throws {KeyError} `key.no-parent`, `key.foreign-blob`, `key.wrong-boot-state` with the PCR that differs,
 *   `key.wrong-secret`, `key.locked-out`, `key.policy` where its policy is not known, `key.tpm-reset`
 */
export async function unsealTrustedKey(
  tpm: TpmClient,
  blob: TrustedBlob,
  request: UnsealRequest = {},
): Promise<UnsealedKey> {
  const handle = request.parent ?? blob.parent;
  if (handle === undefined) {
    throw new KeyError('key.option', 'a key in the older form does not say under which key it is sealed', {
      advice: 'name it: --keyhandle 0x81000001',
    });
  }
  if (request.policyHandle === undefined) checkPolicy(blob, request.policy);
  checkAuth(blob, request);
  try {
    const parent = await parentOf(tpm, handle);
    const objectHandle = await loaded(tpm, parent, blob, request.keyAuth);
    try {
      return payloadOf(blob, await unsealObject(tpm, parent, objectHandle, blob, request));
    } finally {
      await tpm.execute(TPM2_FlushContext, { flushHandle: objectHandle }).catch(() => undefined); // as the session's
    }
  } catch (error) {
    // A key whose parent is not there does not open, which is an answer.
    if (error instanceof KeyError && error.code === 'key.no-parent') throw notOpening(error);
    throw keyError(error);
  }
}

function notOpening({ code, message, advice, cause }: KeyError): KeyError {
  return new KeyError(code, message, { exitCode: 1, cause, ...(advice === undefined ? {} : { advice }) });
}

async function loaded(
  tpm: TpmClient,
  parent: Parent,
  blob: TrustedBlob,
  keyAuth: Uint8Array | undefined,
): Promise<number> {
  const loading = { parentHandle: parent.handle, inPrivate: blob.private, inPublic: blob.area };
  try {
    const { objectHandle } = await underParent(tpm, parent, keyAuth, {}, (parentHandle) =>
      tpm.execute(TPM2_Load, loading, { ...authorizedBy(parentHandle), names: parent.names }),
    );
    return objectHandle;
  } catch (error) {
    // Which code a damaged blob gets depends on where it is damaged, and on the TPM: INTEGRITY, SIZE, ATTRIBUTES, HASH, …
    if (error instanceof TpmError && error.rc !== undefined && isAboutParameter(error.rc)) throw foreignBlob(error);
    throw error;
  }
}

function checkPolicy({ area }: TrustedBlob, policy: Policy | undefined): void {
  if (area.authPolicy.length === 0) return;
  if (area.nameAlg === 'null') throw new KeyError('key.malformed', 'this is no trusted key: it has no name algorithm');
  if (policy === undefined) {
    throw new KeyError('key.policy', 'the key was sealed to a policy, and the blob does not say to which', {
      advice: 'name it as at its creation, with --pcrs or --policy; `key create` keeps it in FILE.policy',
    });
  }
}

/** What can only be wrong is not tried: the TPM counts wrong tries. */
function checkAuth({ form, emptyAuth, area }: TrustedBlob, { blobAuth, policy, policyHandle }: UnsealRequest): void {
  if (blobAuth !== undefined) return;
  const isPolicy = area.authPolicy.length > 0;
  const isAsked = isPolicy
    ? policyHandle === undefined && policy?.some(({ kind }) => kind === 'auth-value') === true
    : form !== 'legacy' && !emptyAuth;
  if (!isAsked) return;
  throw new KeyError('key.wrong-secret', 'the key asks for an authorization value, and none was given', {
    advice: 'give it with --blobauth, or its PIN with --pin',
  });
}

async function unsealObject(
  tpm: TpmClient,
  parent: Parent,
  itemHandle: number,
  { area }: TrustedBlob,
  { blobAuth = EMPTY, policy, policyHandle }: UnsealRequest,
): Promise<Uint8Array> {
  const authHash = area.nameAlg === 'null' ? 'sha256' : area.nameAlg;
  if (policyHandle !== undefined) {
    const session = Session.ofPolicyHandle(policyHandle, authHash);
    // In the clear, as the kernel sends it: an HMAC takes the session's nonce, which its owner has (TPM2_PolicyPassword).
    if (blobAuth.length > 0) session.policyAuth = 'password';
    return (await tpm.execute(TPM2_Unseal, { itemHandle }, { auth: { itemHandle: { session, authValue: blobAuth } } }))
      .outData;
  }
  const isPolicy = area.authPolicy.length > 0;
  const salt = { handle: parent.handle, area: parent.area };
  const session = await Session.start(tpm, {
    type: isPolicy ? 'policy' : 'hmac',
    authHash,
    salt,
    symmetric: AES_128_CFB,
  });
  try {
    if (isPolicy) await satisfyPolicy(tpm, session, policy ?? []);
    session.attributes = { continueSession: true, encrypt: true };
    const auth = { itemHandle: { session, authValue: blobAuth } };
    // The name is ours and not the TPM's word: what anybody else loaded there does not unseal in this session.
    const names = new Map([[itemHandle, objectName(area)]]);
    return (await tpm.execute(TPM2_Unseal, { itemHandle }, { auth, names })).outData;
  } finally {
    await session.flush(tpm).catch(() => undefined); // a TPM that was reset has none; what happened before counts
  }
}

/** In the older form the last byte says whether the key may be moved; in the newer one its attributes do. */
function payloadOf({ form, area }: TrustedBlob, data: Uint8Array): UnsealedKey {
  const { fixedTPM = false, fixedParent = false } = area.objectAttributes;
  if (form === 'asn1') return { payload: data, migratable: !(fixedTPM && fixedParent) };
  return { payload: data.subarray(0, -1), migratable: data.at(-1) === 1 };
}

/** `pcrlock=`: a random value into every bank, so that nothing that comes later in this boot unseals what was sealed to this PCR. */
export function lockPcr(tpm: TpmClient, pcr: number): Promise<void> {
  return asKeyErrors(async () => {
    const digests = [];
    for (const { hash } of await activeBanks(tpm)) {
      digests.push({ hashAlg: hash, digest: await randomOf(tpm, digestInfo(hash).size) });
    }
    await extendPcr(tpm, pcr, digests);
  });
}

interface Parent {
  readonly handle: number;
  readonly area: TPMT_PUBLIC;
  readonly names: ReadonlyMap<number, Uint8Array>;
}

async function parentOf(tpm: TpmClient, handle: number): Promise<Parent> {
  try {
    const { outPublic, name } = await tpm.execute(TPM2_ReadPublic, { objectHandle: handle });
    const { restricted, decrypt } = outPublic.objectAttributes;
    if (restricted === true && decrypt === true) return { handle, area: outPublic, names: new Map([[handle, name]]) };
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new KeyError('key.no-parent', `the TPM has no key at handle 0x${handle.toString(16)}`, {
      advice: `make a storage key there: assay key create storage --keyhandle 0x${handle.toString(16)}, with the same --tpm`,
      cause: error,
    });
  }
  throw new KeyError('key.no-parent', `the key at handle 0x${handle.toString(16)} is no storage key`, {
    advice: 'name a restricted decryption key: the storage root key is mostly at 0x81000001',
  });
}

/**
 * Runs one command under the parent's authorization, in a session that is salted with it; without one where there is
 * nothing to hide, neither an authorization value nor what goes in: a salt costs the TPM a private key's operation.
 */
async function underParent<T>(
  tpm: TpmClient,
  { handle, area }: Parent,
  keyAuth: Uint8Array | undefined,
  attributes: { readonly decrypt?: true },
  use: (by?: HandleAuthorization) => Promise<T>,
): Promise<T> {
  if (keyAuth === undefined && attributes.decrypt !== true) return use();
  const session = await Session.start(tpm, { type: 'hmac', salt: { handle, area }, symmetric: AES_128_CFB });
  try {
    session.attributes = { continueSession: true, ...attributes };
    return await use({ session, authValue: keyAuth ?? EMPTY });
  } finally {
    await session.flush(tpm).catch(() => undefined);
  }
}

const authorizedBy = (parentHandle?: HandleAuthorization) =>
  parentHandle === undefined ? {} : { auth: { parentHandle } };

function checkSize(size: number, form: TrustedBlob['form'] = 'asn1'): void {
  const most = form === 'legacy' ? TRUSTED_SIZES.most - 1 : TRUSTED_SIZES.most;
  if (size >= TRUSTED_SIZES.least && size <= most) return;
  const which = form === 'legacy' ? ' in the older form' : '';
  throw new KeyError('key.size', `a trusted key${which} has ${TRUSTED_SIZES.least} to ${most} bytes, and not ${size}`);
}
