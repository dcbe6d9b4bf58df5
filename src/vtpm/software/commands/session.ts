/** Sessions: TPM 2.0 Part 3, 11. */
import { digestInfo } from '../../../bytes/index.ts';
import { handleNumber, isAsymmetric, KDFa, TPM_HT, TPM_NT, TPM_RH, type TPMT_SYM_DEF } from '../../../tpm/index.ts';
import { type Entity, entity, isObjectHandle } from '../entities.ts';
import type { Handlers } from '../handler.ts';
import { MAX_ACTIVE_SESSIONS, MAX_LOADED_SESSIONS } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { freshPolicy, startTime } from '../policy-session.ts';
import { refuse, refusedAs } from '../refusal.ts';
import { isContextGap } from '../saved-sessions.ts';
import { recoverSecret } from '../secret.ts';
import { cipherOf } from '../symmetric.ts';

const NONE = new Uint8Array(0);
const MIN_NONCE = 16;

/** The salt that the caller encrypted to `tpmKey` (Part 1, 19.6.13). */
function saltOf(machine: Machine, tpmKey: number, encryptedSalt: Uint8Array): Uint8Array {
  if (tpmKey === TPM_RH.NULL) return encryptedSalt.length === 0 ? NONE : refuse('VALUE', 'encryptedSalt');
  const key = machine.object(tpmKey);
  if (!isAsymmetric(key.publicArea)) refuse('KEY', 'tpmKey');
  if (encryptedSalt.length === 0) refuse('VALUE', 'encryptedSalt');
  if (key.sensitive === undefined) refuse('HANDLE', 'tpmKey');
  if (!key.publicArea.objectAttributes.decrypt) refuse('ATTRIBUTES', 'tpmKey');
  return refusedAs('VALUE', 'encryptedSalt', () => recoverSecret(key, 'SECRET', encryptedSalt, 'encryptedSalt'));
}

/** An index whose authorization value is counted cannot be proven without a count (Part 1, 37.2.7). */
function boundEntity(machine: Machine, bind: number): Entity | undefined {
  if (bind === TPM_RH.NULL) return undefined;
  const isPublicOnly =
    isObjectHandle(bind) && !machine.isSequence(bind) && machine.object(bind).sensitive === undefined;
  const bound = entity(machine, bind);
  const nt = bound.nvIndex?.publicArea.attributes.nt;
  if (isPublicOnly || nt === TPM_NT.PIN_FAIL || nt === TPM_NT.PIN_PASS) refuse('HANDLE', 'bind');
  return bound;
}

function checkMode(symmetric: TPMT_SYM_DEF): void {
  if (cipherOf(symmetric) !== undefined && 'mode' in symmetric && symmetric.mode !== 'cfb') refuse('MODE', 'symmetric');
}

/** The first number that is free; the handle's type says what kind of session it is (Part 1, 15.6). */
function freeHandle(machine: Machine, type: number): number {
  const { sessions, savedSessions } = machine.volatile;
  if (sessions.size >= MAX_LOADED_SESSIONS) refuse('SESSION_MEMORY');
  // The last place is for the oldest saved session, where only that one could come back
  if (sessions.size === MAX_LOADED_SESSIONS - 1 && isContextGap(machine)) refuse('CONTEXT_GAP');
  const taken = new Set([...sessions.keys(), ...savedSessions.keys()].map(handleNumber));
  for (let number = 0; number < MAX_ACTIVE_SESSIONS; number++) {
    if (!taken.has(number)) return ((type << 24) | number) >>> 0;
  }
  return refuse('SESSION_HANDLES');
}

export const session = {
  /** 11.1 */
  TPM2_StartAuthSession(machine, { tpmKey, bind, nonceCaller, encryptedSalt, sessionType, symmetric, authHash }) {
    const { size } = digestInfo(authHash);
    if (nonceCaller.length < MIN_NONCE || nonceCaller.length > size) refuse('SIZE', 'nonceCaller');
    const salt = saltOf(machine, tpmKey, encryptedSalt);
    const bound = boundEntity(machine, bind);
    checkMode(symmetric);
    const handle = freeHandle(machine, sessionType === 'hmac' ? TPM_HT.HMAC_SESSION : TPM_HT.POLICY_SESSION);
    // As long as the caller's: who asks for less gets less
    const nonceTPM = machine.random(nonceCaller.length);
    const secret = Buffer.concat([bound?.authValue ?? NONE, salt]);
    const hasKey = bound !== undefined || salt.length > 0;
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
      isDaBound: bound !== undefined && !bound.isDaExempt,
      isLockoutBound: bind === TPM_RH.LOCKOUT,
      isAudit: false,
      auditDigest: NONE,
      ...freshPolicy(authHash),
      ...startTime(machine),
    });
    return { sessionHandle: handle, nonceTPM };
  },

  /** 11.2 */
  TPM2_PolicyRestart(machine, { sessionHandle }) {
    const restarted = machine.session(sessionHandle);
    Object.assign(restarted, freshPolicy(restarted.authHash));
    return {};
  },
} satisfies Handlers;
