/**
 * All that a TPM remembers, as declared structures: what is saved is what is here, bounded and read back totally.
 * The split follows Part 4's Global.h: permanent data survives power, volatile data lives until _TPM_Init, and a part
 * of it is kept by TPM2_Shutdown(STATE).
 */
import {
  list,
  oneOf,
  sized,
  sizedOrEmpty,
  struct,
  TPM_RC,
  TPM_SE,
  TPM2B_AUTH,
  TPM2B_DIGEST,
  TPM2B_NAME,
  TPM2B_PUBLIC,
  TPM2B_SENSITIVE,
  TPMI_ALG_HASH,
  TPMI_ALG_HASH_NULL,
  TPMI_YES_NO,
  TPMS_NV_PUBLIC,
  TPMT_SYM_DEF,
  type TypeOf,
  tpm2b,
  uint8,
  uint16,
  uint32,
  uint64,
} from '../../tpm/index.ts';
import { MAX_ACTIVE_SESSIONS, MAX_NV_INDEX_SIZE, MAX_NV_INDICES, MAX_PERSISTENT, MAX_TRANSIENT } from './limits.ts';
import type { Sequence } from './sequence.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const POLICY = struct('Policy', { hashAlg: TPMI_ALG_HASH_NULL, digest: TPM2B_DIGEST });
export type Policy = TypeOf<typeof POLICY>;

/** A hierarchy's secrets: primary keys grow from the seed, tickets and contexts are bound by the proof. */
const HIERARCHY = struct('Hierarchy', { seed: TPM2B_DIGEST, proof: TPM2B_DIGEST, auth: TPM2B_AUTH, policy: POLICY });
export type Hierarchy = Mutable<TypeOf<typeof HIERARCHY>>;

const OBJECT = struct('Object', {
  publicArea: TPM2B_PUBLIC,
  /** Undefined where only the public area was loaded. */
  sensitive: TPM2B_SENSITIVE,
  name: TPM2B_NAME,
  qualifiedName: TPM2B_NAME,
  /** TPM_RH of the hierarchy it belongs to. */
  hierarchy: uint32,
  /** Came in through TPM2_LoadExternal. */
  isExternal: TPMI_YES_NO,
});
export type LoadedObject = TypeOf<typeof OBJECT>;
/** A saved context holds the same. */
export const OBJECT_CONTEXT = OBJECT;

const PERSISTENT_OBJECT = struct('PersistentObject', { handle: uint32, object: sized('object', 'object', OBJECT) });

const NV_INDEX = struct('NvIndex', {
  publicArea: TPMS_NV_PUBLIC,
  auth: TPM2B_AUTH,
  data: tpm2b('nvData', MAX_NV_INDEX_SIZE),
});
export type NvIndex = Mutable<TypeOf<typeof NV_INDEX>>;

const DICTIONARY_ATTACK = struct('DictionaryAttack', {
  failedTries: uint32,
  maxTries: uint32,
  /** Seconds until one failure is forgotten. */
  recoveryTime: uint32,
  /** Seconds until lockoutAuth may be tried again after it failed. */
  lockoutRecovery: uint32,
  isLockoutAuthEnabled: TPMI_YES_NO,
  /** Clock, in milliseconds, from which recovery counts. */
  selfHealTimer: uint64,
  lockoutTimer: uint64,
});
export type DictionaryAttack = Mutable<TypeOf<typeof DICTIONARY_ATTACK>>;

const CP_HASH_KIND = oneOf('CpHashKind', uint8, TPM_RC.VALUE, { none: 0, cpHash: 1, nameHash: 2, templateHash: 3 });
const NV_WRITTEN = oneOf('NvWritten', uint8, TPM_RC.VALUE, { unchecked: 0, written: 1, unwritten: 2 });

const SESSION = struct('Session', {
  handle: uint32,
  type: TPM_SE,
  authHash: TPMI_ALG_HASH,
  symmetric: TPMT_SYM_DEF,
  sessionKey: TPM2B_DIGEST,
  nonceTPM: TPM2B_DIGEST,
  isBound: TPMI_YES_NO,
  /** Name and authorization value of the entity it was bound to, when it was. */
  boundName: TPM2B_NAME,
  boundAuth: TPM2B_AUTH,
  isDaBound: TPMI_YES_NO,
  isLockoutBound: TPMI_YES_NO,
  isAudit: TPMI_YES_NO,
  auditDigest: TPM2B_DIGEST,
  // Policy (Part 1, 19.7)
  policyDigest: TPM2B_DIGEST,
  /** TPM_CC that the policy allows; 0 for any. */
  commandCode: uint32,
  cpHashKind: CP_HASH_KIND,
  cpHash: TPM2B_DIGEST,
  /** PCR update counter when TPM2_PolicyPCR looked; 0 before. */
  pcrUpdateCounter: uint32,
  isAuthValueNeeded: TPMI_YES_NO,
  isPasswordNeeded: TPMI_YES_NO,
  /** TPM time, in milliseconds. */
  startTime: uint64,
  /** TPM time at which it expires; 0 for never. */
  timeout: uint64,
  /** TPMA_LOCALITY; 0 for any. */
  locality: uint8,
  nvWritten: NV_WRITTEN,
});
export type Session = Mutable<TypeOf<typeof SESSION>>;
export const SESSION_CONTEXT = SESSION;

const SAVED_SESSION = struct('SavedSession', { handle: uint32, contextId: uint64 });

const PCR_BANK = struct('PcrBank', { hash: TPMI_ALG_HASH, digests: list('digests', TPM2B_DIGEST, 32) });

const TRANSIENT = struct('TransientObject', { handle: uint32, object: sized('object', 'object', OBJECT) });

const VOLATILE = struct('VolatileState', {
  isStarted: TPMI_YES_NO,
  /** TPM2_Startup came at locality 3: a Resume has to, too. */
  isStartedAtLocality3: TPMI_YES_NO,
  /** An H-CRTM sequence came before TPM2_Startup, and PCR 0 tells it. */
  hasHcrtm: TPMI_YES_NO,
  /** The platform's interface tells it: a launch sequence came since the bit was reset. _TPM_Init leaves it. */
  isEstablished: TPMI_YES_NO,
  banks: list('banks', PCR_BANK, 4),
  pcrUpdateCounter: uint32,
  platformAuth: TPM2B_AUTH,
  platformPolicy: POLICY,
  isPlatformEnabled: TPMI_YES_NO,
  isStorageEnabled: TPMI_YES_NO,
  isEndorsementEnabled: TPMI_YES_NO,
  isPlatformNvEnabled: TPMI_YES_NO,
  nullSeed: TPM2B_DIGEST,
  nullProof: TPM2B_DIGEST,
  restartCount: uint32,
  /** Counts Startup(CLEAR)s, so that contexts of stClear objects do not outlive one. */
  clearCount: uint32,
  /** No clock value as high as the present one was reported before (Part 1, 36.3.4). */
  isClockSafe: TPMI_YES_NO,
  /** Milliseconds since _TPM_Init. */
  time: uint64,
  objectContextId: uint64,
  sessionContextId: uint64,
  sessions: list('sessions', SESSION, MAX_ACTIVE_SESSIONS),
  savedSessions: list('savedSessions', SAVED_SESSION, MAX_ACTIVE_SESSIONS),
  transients: list('transients', TRANSIENT, MAX_TRANSIENT),
});

const ORDERLY = oneOf('Orderly', uint8, TPM_RC.VALUE, { none: 0, clear: 1, state: 2 });

const PERMANENT = struct('PermanentState', {
  /** Random from manufacture on: what volatile data goes with. */
  identity: TPM2B_DIGEST,
  owner: HIERARCHY,
  endorsement: HIERARCHY,
  platformSeed: TPM2B_DIGEST,
  platformProof: TPM2B_DIGEST,
  lockoutAuth: TPM2B_AUTH,
  lockoutPolicy: POLICY,
  isClearDisabled: TPMI_YES_NO,
  dictionaryAttack: DICTIONARY_ATTACK,
  /** Banks from the next TPM Reset on. */
  pcrAllocation: list('pcrAllocation', TPMI_ALG_HASH, 4),
  nvIndices: list('nvIndices', NV_INDEX, MAX_NV_INDICES),
  /** The highest value that any deleted counter index had (Part 3, 31.8). */
  maxCounter: uint64,
  persistents: list('persistents', PERSISTENT_OBJECT, MAX_PERSISTENT),
  clock: uint64,
  resetCount: uint32,
  /** How the TPM was last shut down; `none` from the first command after Startup on. */
  orderly: ORDERLY,
  /** What TPM2_Shutdown(STATE) kept. */
  savedState: sizedOrEmpty('savedState', 'savedState', VOLATILE),
});

/** The whole TPM; volatile data is there while the TPM has power. */
export const SAVED = struct('SavedTpm', {
  version: uint16,
  permanent: PERMANENT,
  volatile: sizedOrEmpty('volatile', 'volatile', VOLATILE),
});

/** Volatile data alone, as it travels beside the permanent data of the same TPM. */
export const SAVED_VOLATILE = struct('SavedVolatile', {
  version: uint16,
  identity: TPM2B_DIGEST,
  volatile: VOLATILE,
});

export type SavedVolatile = TypeOf<typeof VOLATILE>;
export type SavedPermanent = TypeOf<typeof PERMANENT>;

export interface Permanent
  extends Omit<Mutable<SavedPermanent>, 'owner' | 'endorsement' | 'dictionaryAttack' | 'nvIndices' | 'persistents'> {
  owner: Hierarchy;
  endorsement: Hierarchy;
  dictionaryAttack: DictionaryAttack;
  nvIndices: Map<number, NvIndex>;
  persistents: Map<number, LoadedObject>;
}

export interface Volatile
  extends Omit<Mutable<SavedVolatile>, 'banks' | 'sessions' | 'savedSessions' | 'transients' | 'time'> {
  /** Digests by bank; index is the PCR. */
  banks: Map<TPMI_ALG_HASH, Uint8Array[]>;
  sessions: Map<number, Session>;
  savedSessions: Map<number, bigint>;
  transients: Map<number, LoadedObject>;
  /** Beside the transient objects, whose places they take. They are in no saved state: a program ends its own. */
  sequences: Map<number, Sequence>;
}

export function openVolatile(saved: SavedVolatile): Volatile {
  return {
    ...saved,
    banks: new Map(saved.banks.map(({ hash, digests }) => [hash, [...digests]])),
    sessions: new Map(saved.sessions.map((session) => [session.handle, { ...session }])),
    savedSessions: new Map(saved.savedSessions.map(({ handle, contextId }) => [handle, contextId])),
    transients: new Map(saved.transients.map(({ handle, object }) => [handle, object])),
    sequences: new Map(),
  };
}

export function closeVolatile(volatile: Volatile, time: bigint): SavedVolatile {
  return {
    ...volatile,
    time,
    banks: [...volatile.banks].map(([hash, digests]) => ({ hash, digests: [...digests] })),
    sessions: [...volatile.sessions.values()].map((session) => ({ ...session })),
    savedSessions: [...volatile.savedSessions].map(([handle, contextId]) => ({ handle, contextId })),
    transients: [...volatile.transients].map(([handle, object]) => ({ handle, object })),
  };
}

export function openPermanent(saved: SavedPermanent): Permanent {
  return {
    ...saved,
    owner: { ...saved.owner },
    endorsement: { ...saved.endorsement },
    dictionaryAttack: { ...saved.dictionaryAttack },
    nvIndices: new Map(saved.nvIndices.map((index) => [index.publicArea.nvIndex, { ...index }])),
    persistents: new Map(saved.persistents.map(({ handle, object }) => [handle, object])),
  };
}

export function closePermanent(permanent: Permanent, clock: bigint): SavedPermanent {
  return {
    ...permanent,
    clock,
    nvIndices: [...permanent.nvIndices.values()],
    persistents: [...permanent.persistents].map(([handle, object]) => ({ handle, object })),
  };
}
