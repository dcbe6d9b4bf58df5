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
  TPML_CC,
  TPML_PCR_SELECTION,
  TPMS_NV_PUBLIC,
  TPMT_SYM_DEF,
  type TypeOf,
  tpm2b,
  uint8,
  uint16,
  uint32,
  uint64,
} from '../../tpm/index.ts';
import {
  MAX_ACTIVE_SESSIONS,
  MAX_NV_INDEX_SIZE,
  MAX_NV_INDICES,
  MAX_PERSISTENT,
  MAX_TRANSIENT,
  SPLIT_MAX,
} from './limits.ts';
import { SEQUENCE, type Sequence } from './sequence.ts';

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
  /** It or an ancestor has stClear: Startup(CLEAR) makes its contexts unloadable. */
  isStClear: TPMI_YES_NO,
});
export type LoadedObject = TypeOf<typeof OBJECT>;
/** Saved contexts hold the same. */
export const OBJECT_CONTEXT = OBJECT;
export const SEQUENCE_CONTEXT = SEQUENCE;

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
  /** Milliseconds with power, from which recovery counts. TPM2_ClockSet moves the clock, not these. */
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
  /** Name and authorization value of the entity it was bound to, when it was. Audit ends it (Part 1, 19.6.9). */
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
  isPhysicalPresenceNeeded: TPMI_YES_NO,
  /** Which run of TPM time the two below are of. */
  timeEpoch: uint32,
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

/** Empty for a PCR that is not allocated. */
const PCR_BANK = struct('PcrBank', { hash: TPMI_ALG_HASH, digests: list('digests', TPM2B_DIGEST, 32) });

const TRANSIENT = struct('TransientObject', { handle: uint32, object: sized('object', 'object', OBJECT) });
const TRANSIENT_SEQUENCE = struct('TransientSequence', { handle: uint32, sequence: SEQUENCE });

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
  /** TPM2_PCR_Allocate came: state that is shut down could not be had again. */
  isPcrReconfigured: TPMI_YES_NO,
  /** Authorization value of the PCRs that have one. */
  pcrAuth: TPM2B_AUTH,
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
  /** The shutdown before this start was orderly (TPMA_STARTUP_CLEAR). */
  wasOrderly: TPMI_YES_NO,
  /** Clock values below this one may have been reported before (Part 1, 36.3.4). */
  clockSafeFrom: uint64,
  /** Milliseconds since _TPM_Init. */
  time: uint64,
  /** Units of the platform's clock in a millisecond, which TPM2_ClockRateAdjust trims. */
  clockRate: uint32,
  /** An authorization value that is protected against guessing was asked for since the start. */
  isDaUsed: TPMI_YES_NO,
  /** Digest of audited commands; empty before the first (Part 1, 31.2). */
  commandAuditDigest: TPM2B_DIGEST,
  /** Handle of the audit session that saw every command since it began; 0 for none. */
  exclusiveSession: uint32,
  /** Of TPM2_Commit and TPM2_EC_Ephemeral: what r grows from, and which counts are open (Part 1, C.2.2). */
  commitNonce: TPM2B_DIGEST,
  commitCounter: uint64,
  commitArray: tpm2b('commitArray', SPLIT_MAX / 8),
  objectContextId: uint64,
  /** What the next saved session is numbered. */
  sessionContextId: uint64,
  sessions: list('sessions', SESSION, MAX_ACTIVE_SESSIONS),
  savedSessions: list('savedSessions', SAVED_SESSION, MAX_ACTIVE_SESSIONS),
  transients: list('transients', TRANSIENT, MAX_TRANSIENT),
  sequences: list('sequences', TRANSIENT_SEQUENCE, MAX_TRANSIENT),
});

/** `daUsed` is not orderly either, and will count as a failed authorization. */
const ORDERLY = oneOf('Orderly', uint8, TPM_RC.VALUE, { none: 0, clear: 1, state: 2, daUsed: 3 });

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
  /** The PCRs of each bank from the next _TPM_Init on. */
  pcrAllocation: TPML_PCR_SELECTION,
  /** Of the PCRs that have one. */
  pcrPolicy: POLICY,
  /** TPM_CCs that are audited, and with which hash. */
  auditCommands: TPML_CC,
  auditAlg: TPMI_ALG_HASH,
  /** How often an audit digest was begun. */
  auditCounter: uint64,
  /** TPM_CCs that need physical presence where the platform authorizes them. */
  ppCommands: TPML_CC,
  algorithmSet: uint32,
  nvIndices: list('nvIndices', NV_INDEX, MAX_NV_INDICES),
  /** The highest value that any deleted counter index had (Part 3, 31.8). */
  maxCounter: uint64,
  persistents: list('persistents', PERSISTENT_OBJECT, MAX_PERSISTENT),
  clock: uint64,
  /** Milliseconds with power ever. */
  uptime: uint64,
  /** Runs of TPM time so far. */
  timeEpoch: uint32,
  resetCount: uint32,
  /** As resetCount, and TPM2_Clear leaves it: contexts are bound to it. */
  totalResetCount: uint64,
  /** How the TPM was last shut down; `none` from the first command on that changes what is shut down. */
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
  extends Omit<Mutable<SavedVolatile>, 'banks' | 'sessions' | 'savedSessions' | 'transients' | 'sequences'> {
  /** Digests by bank; index is the PCR, a PCR that is not allocated has an empty one. */
  banks: Map<TPMI_ALG_HASH, Uint8Array[]>;
  sessions: Map<number, Session>;
  savedSessions: Map<number, bigint>;
  transients: Map<number, LoadedObject>;
  /** Beside the transient objects, whose places they take. */
  sequences: Map<number, Sequence>;
}

export function openVolatile(saved: SavedVolatile): Volatile {
  return {
    ...saved,
    banks: new Map(saved.banks.map(({ hash, digests }) => [hash, [...digests]])),
    sessions: new Map(saved.sessions.map((session) => [session.handle, { ...session }])),
    savedSessions: new Map(saved.savedSessions.map(({ handle, contextId }) => [handle, contextId])),
    transients: new Map(saved.transients.map(({ handle, object }) => [handle, object])),
    sequences: new Map(saved.sequences.map(({ handle, sequence }) => [handle, sequence])),
  };
}

export function closeVolatile(volatile: Volatile): SavedVolatile {
  return {
    ...volatile,
    banks: [...volatile.banks].map(([hash, digests]) => ({ hash, digests: [...digests] })),
    sessions: [...volatile.sessions.values()].map((session) => ({ ...session })),
    savedSessions: [...volatile.savedSessions].map(([handle, contextId]) => ({ handle, contextId })),
    transients: [...volatile.transients].map(([handle, object]) => ({ handle, object })),
    sequences: [...volatile.sequences].map(([handle, sequence]) => ({ handle, sequence })),
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

export function closePermanent(permanent: Permanent): SavedPermanent {
  return {
    ...permanent,
    nvIndices: [...permanent.nvIndices.values()],
    persistents: [...permanent.persistents].map(([handle, object]) => ({ handle, object })),
  };
}
