/** Is the use of an entity authorized (Part 1, 19; Part 4, SessionProcess.c: CheckAuthSession)? */
import { bytesEqual } from '../../bytes/index.ts';
import {
  type AnyCommand,
  COMMANDS,
  type CommandName,
  cpHash,
  handleType,
  sessionHmac,
  TPM_HT,
  TPM_NT,
  TPM_RH,
  trimAuth,
} from '../../tpm/index.ts';
import { checkLockedOut, countFailure } from './dictionary-attack.ts';
import { type Entity, isObjectHandle } from './entities.ts';
import type { Machine } from './machine.ts';
import { isInGroup } from './pcr-banks.ts';
import { checkPin, countPin } from './pin-index.ts';
import { checkPolicy } from './policy-check.ts';
import { refuse } from './refusal.ts';
import type { CommandContext, Subject, Use } from './session-use.ts';
import type { Session } from './state.ts';

type Authorization = Use & { readonly subject: Subject };

const NONE = new Uint8Array(0);

/** In the order of the reference code: what could cost a guess comes last. @throws {Refusal} */
export function checkAuthorization(
  machine: Machine,
  use: Authorization,
  uses: readonly Use[],
  context: CommandContext,
): void {
  const { session, subject, includesAuth } = use;
  const { command } = context;
  const needsPresence = subject.handle === TPM_RH.PLATFORM && machine.permanent.ppCommands.includes(command.code);
  if (needsPresence && !machine.isPhysicallyPresent) refuse('PP');
  if (includesAuth && !subject.isDaExempt) checkLockedOut(machine, subject.handle === TPM_RH.LOCKOUT);
  if (session?.type === 'policy') {
    if (!isPolicyAvailable(machine, subject, command)) refuse('AUTH_UNAVAILABLE');
    checkPolicy(machine, session, subject, context);
  } else {
    if (isPolicyRequired(machine, subject)) refuse('AUTH_TYPE');
    if (!isAuthValueAvailable(machine, subject, command)) refuse('AUTH_UNAVAILABLE');
  }
  const isGood = proves(use, uses, context);
  if (includesAuth && subject.nvIndex !== undefined) countPin(machine, subject.nvIndex, isGood);
  if (!isGood) refuseProof(machine, use);
}

function proves(use: Authorization, uses: readonly Use[], context: CommandContext): boolean {
  const { area, session, subject } = use;
  if (session === undefined || session.isPasswordNeeded) return bytesEqual(trimAuth(area.hmac), subject.authValue);
  return isGoodHmac({ ...use, session }, uses, context);
}

/** Part 1, 19.6.10: bound to this entity, and its authorization value has not changed since. */
export function isBoundTo({ isBound, boundName, boundAuth }: Session, subject: Entity): boolean {
  return isBound && bytesEqual(boundName, subject.name) && bytesEqual(boundAuth, subject.authValue);
}

// --- which kind of authorization there is -----------------------------------------------------------------------------

const codes = (...names: readonly CommandName[]): ReadonlySet<number> =>
  new Set(names.map((name) => COMMANDS[name].code));

/** Part 4, IsWriteOperation: what the write attributes of an index are for. */
const NV_WRITES = codes('TPM2_NV_Write', 'TPM2_NV_Increment', 'TPM2_NV_Extend', 'TPM2_NV_SetBits', 'TPM2_NV_WriteLock');

/** Part 1, 19.3: DUP and ADMIN ask for a policy, but that an object may leave ADMIN to its authorization value. */
function isPolicyRequired(machine: Machine, { handle, role, policy }: Subject): boolean {
  if (role === 'dup') return true;
  if (role === 'admin') {
    return !isObjectHandle(handle) || machine.object(handle).publicArea.objectAttributes.adminWithPolicy === true;
  }
  return handleType(handle) === TPM_HT.PCR && isInGroup(handle) && policy.hashAlg !== 'null';
}

/** Part 4, IsAuthValueAvailable, of a role that needs no policy. */
function isAuthValueAvailable(machine: Machine, { handle, role, nvIndex }: Subject, { code }: AnyCommand): boolean {
  if (nvIndex !== undefined) {
    const { nt, authread, authwrite } = nvIndex.publicArea.attributes;
    if (NV_WRITES.has(code)) return authwrite === true;
    return nt === TPM_NT.PIN_FAIL || nt === TPM_NT.PIN_PASS ? checkPin(nvIndex) : authread === true;
  }
  if (!isObjectHandle(handle) || machine.isSequence(handle)) return true;
  const { publicArea, sensitive } = machine.object(handle);
  return sensitive !== undefined && (role === 'admin' || publicArea.objectAttributes.userWithAuth === true);
}

/** Part 4, IsAuthPolicyAvailable. */
function isPolicyAvailable(machine: Machine, subject: Subject, { code }: AnyCommand): boolean {
  const { handle, role, nvIndex, policy } = subject;
  if (nvIndex !== undefined) {
    if (policy.digest.length === 0) return false;
    const { policyread, policywrite } = nvIndex.publicArea.attributes;
    return role !== 'user' || (NV_WRITES.has(code) ? policywrite : policyread) === true;
  }
  if (isObjectHandle(handle)) return !machine.isSequence(handle) && machine.object(handle).sensitive !== undefined;
  return handleType(handle) === TPM_HT.PCR ? isInGroup(handle) : policy.digest.length > 0;
}

// --- HMACs ------------------------------------------------------------------------------------------------------------

/** Of a session that authorizes nothing. @throws {Refusal} `AUTH_FAIL` or `BAD_AUTH` */
export function checkHmac(
  machine: Machine,
  use: Use & { readonly session: Session },
  uses: readonly Use[],
  context: CommandContext,
): void {
  if (!isGoodHmac(use, uses, context)) refuseProof(machine, use);
}

function isGoodHmac(
  use: Use & { readonly session: Session },
  uses: readonly Use[],
  { command, names, parameters }: CommandContext,
): boolean {
  const { area, session, subject, includesAuth, position } = use;
  const value = includesAuth && subject !== undefined ? subject.authValue : NONE;
  const key = Buffer.concat([session.sessionKey, value]);
  if (key.length === 0 && area.hmac.length === 0) return true; // Part 1, 19.6.5: no key, no HMAC
  const expected = sessionHmac({
    authHash: session.authHash,
    key,
    pHash: cpHash(session.authHash, command.code, names, parameters),
    nonceNewer: area.nonce,
    nonceOlder: session.nonceTPM,
    otherNonces: position === 0 && subject !== undefined ? otherNonces(uses) : [],
    attributes: area.sessionAttributes,
  });
  return bytesEqual(expected, area.hmac);
}

/** Part 1, 19.6.5: the HMAC of the first session, if it authorizes, covers the nonces of the others that decrypt and encrypt. */
function otherNonces(uses: readonly Use[]): Uint8Array[] {
  const decryptor = uses.find(({ area }) => area.sessionAttributes.decrypt);
  const encryptor = uses.find(({ area }) => area.sessionAttributes.encrypt);
  const others = [decryptor, encryptor === decryptor ? undefined : encryptor];
  return others.flatMap((use) => (use?.session === undefined || use.position === 0 ? [] : [use.session.nonceTPM]));
}

/** Part 4, IncrementLockout: a wrong proof counts where the entity, or what the session is bound to, is protected. */
function refuseProof(machine: Machine, { session, subject, includesAuth }: Use): never {
  const isLockout = session?.isLockoutBound === true || subject?.handle === TPM_RH.LOCKOUT;
  const isExempt = !isLockout && (subject === undefined || subject.isDaExempt);
  const isProtected = session === undefined ? !isExempt : session.isDaBound || (!isExempt && includesAuth);
  if (!isProtected) return refuse('BAD_AUTH');
  countFailure(machine, isLockout);
  return refuse('AUTH_FAIL');
}
