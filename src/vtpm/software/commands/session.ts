/** Sessions: TPM 2.0 Part 3, 11. */
import { digestInfo } from '../../../bytes/index.ts';
import { handleType, KDFa, TPM_HT, TPM_RH, type TPMT_SYM_DEF } from '../../../tpm/index.ts';
import { type Entity, entity } from '../entities.ts';
import type { Handlers } from '../handler.ts';
import { AES_KEY_BITS, isImplementedHash, MAX_ACTIVE_SESSIONS, MAX_LOADED_SESSIONS } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { freshPolicy } from '../policy-session.ts';
import { refuse } from '../refusal.ts';
import { recoverSecret } from '../secret.ts';

const NONE = new Uint8Array(0);
const MIN_NONCE = 16;

function checkSymmetric(symmetric: TPMT_SYM_DEF): void {
  if (symmetric.algorithm === 'null') return;
  if (symmetric.algorithm === 'xor') {
    if (!isImplementedHash(symmetric.hashAlg)) refuse('HASH', 'symmetric');
    return;
  }
  if (symmetric.algorithm !== 'aes') throw refuse('SYMMETRIC', 'symmetric');
  if (!AES_KEY_BITS.includes(symmetric.keyBits)) refuse('VALUE', 'symmetric');
  if (symmetric.mode !== 'cfb') refuse('MODE', 'symmetric');
}

/** The salt that the caller encrypted to `tpmKey` (Part 1, 19.6.13). */
function saltOf(machine: Machine, tpmKey: number, encryptedSalt: Uint8Array): Uint8Array {
  if (tpmKey === TPM_RH.NULL) return encryptedSalt.length === 0 ? NONE : refuse('VALUE', 'encryptedSalt');
  if (encryptedSalt.length === 0) refuse('VALUE', 'encryptedSalt');
  const key = machine.object(tpmKey);
  if (key.publicArea.type !== 'rsa' && key.publicArea.type !== 'ecc') refuse('KEY', 'tpmKey');
  if (key.sensitive === undefined) refuse('HANDLE', 'tpmKey');
  if (!key.publicArea.objectAttributes.decrypt) refuse('ATTRIBUTES', 'tpmKey');
  return recoverSecret(key, 'SECRET', encryptedSalt, 'encryptedSalt');
}

function boundEntity(machine: Machine, bind: number): Entity | undefined {
  if (bind === TPM_RH.NULL) return undefined;
  const type = handleType(bind);
  const isObject = type === TPM_HT.TRANSIENT || type === TPM_HT.PERSISTENT;
  if (isObject && machine.object(bind).sensitive === undefined) refuse('HANDLE', 'bind');
  return entity(machine, bind);
}

/** The first free slot; its number is the low part of the handle (Part 1, 15.6). */
function freeHandle({ volatile }: Machine, type: number): number {
  if (volatile.sessions.size >= MAX_LOADED_SESSIONS) refuse('SESSION_MEMORY');
  const taken = new Set(
    [...volatile.sessions.keys(), ...volatile.savedSessions.keys()].map((handle) => handle & 0xffffff),
  );
  for (let slot = 0; slot < MAX_ACTIVE_SESSIONS; slot++) {
    if (!taken.has(slot)) return ((type << 24) | slot) >>> 0;
  }
  return refuse('SESSION_HANDLES');
}

export const session = {
  /** 11.1 */
  TPM2_StartAuthSession(machine, { tpmKey, bind, nonceCaller, encryptedSalt, sessionType, symmetric, authHash }) {
    if (!isImplementedHash(authHash)) refuse('HASH', 'authHash');
    checkSymmetric(symmetric);
    const { size } = digestInfo(authHash);
    if (nonceCaller.length < MIN_NONCE || nonceCaller.length > size) refuse('SIZE', 'nonceCaller');
    const salt = saltOf(machine, tpmKey, encryptedSalt);
    const bound = boundEntity(machine, bind);
    const handle = freeHandle(machine, sessionType === 'hmac' ? TPM_HT.HMAC_SESSION : TPM_HT.POLICY_SESSION);
    const nonceTPM = machine.random(size);
    const secret = Buffer.concat([bound?.authValue ?? NONE, salt]);
    const hasKey = bind !== TPM_RH.NULL || tpmKey !== TPM_RH.NULL;
    machine.volatile.sessions.set(handle, {
      handle,
      type: sessionType,
      authHash,
      symmetric,
      sessionKey: hasKey ? KDFa(authHash, secret, 'ATH', nonceTPM, nonceCaller, size * 8) : NONE,
      nonceTPM,
      // Only HMAC sessions remember what they were bound to (11.1.1)
      isBound: bound !== undefined && sessionType === 'hmac',
      boundName: bound?.name ?? NONE,
      boundAuth: bound?.authValue ?? NONE,
      isDaBound: bound !== undefined && !bound.isDaExempt && bind !== TPM_RH.LOCKOUT,
      isLockoutBound: bind === TPM_RH.LOCKOUT,
      isAudit: false,
      auditDigest: NONE,
      ...freshPolicy(machine, authHash),
    });
    return { sessionHandle: handle, nonceTPM };
  },

  /** 11.2 */
  TPM2_PolicyRestart(machine, { sessionHandle }) {
    const restarted = machine.session(sessionHandle);
    Object.assign(restarted, freshPolicy(machine, restarted.authHash));
    return {};
  },
} satisfies Handlers;
