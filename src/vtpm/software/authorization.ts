/** Authorization of a command by its sessions (Part 1, 19; Part 4, SessionProcess.c). */
import { ByteReader, bytesEqual, digest } from '../../bytes/index.ts';
import {
  type AnyCommand,
  type AuthRole,
  cpHash,
  cryptParameter,
  type ResponseCodeName,
  rcWith,
  rpHash,
  type SplitCommand,
  sessionHmac,
  TPM_RC,
  TPM_RH,
  type TPMS_AUTH_COMMAND,
  type TPMS_AUTH_RESPONSE,
  trimAuth,
} from '../../tpm/index.ts';
import { countFailure, isLockedOut } from './dictionary-attack.ts';
import { type Entity, entity, isAuthValueAvailable, isPolicyAvailable } from './entities.ts';
import type { Machine } from './machine.ts';
import { freshPolicy } from './policy-session.ts';
import { Refusal } from './refusal.ts';
import type { Session } from './state.ts';

/** One authorization of the command in hand. */
interface Use {
  readonly area: TPMS_AUTH_COMMAND;
  /** Undefined for a password. */
  readonly session: Session | undefined;
  /** What it authorizes; undefined where it only encrypts or audits. */
  readonly subject: (Entity & { readonly role: AuthRole }) | undefined;
  /** Counted from 0. */
  readonly position: number;
}

export interface Authorized {
  readonly uses: readonly Use[];
  /** The parameters, decrypted. */
  readonly parameters: Uint8Array;
}

export interface CommandContext {
  readonly command: AnyCommand;
  readonly handles: readonly number[];
  readonly names: readonly Uint8Array[];
  /** As they came: still encrypted where a session does that. */
  readonly parameters: Uint8Array;
  readonly locality: number;
}

const NONE = new Uint8Array(0);

function refuseSession(name: ResponseCodeName, position: number): never {
  throw new Refusal(rcWith(TPM_RC[name], { kind: 'session', number: position + 1 }));
}

/** Checks every session, then decrypts the first parameter. @throws {Refusal} */
export function authorize(machine: Machine, split: SplitCommand, context: CommandContext): Authorized {
  const { command } = split;
  const roles = command.handles.map(({ auth }) => auth);
  if (split.authorizations.length === 0) {
    if (roles.some((role) => role !== undefined)) throw new Refusal(TPM_RC.AUTH_MISSING);
    return { uses: [], parameters: split.parameters };
  }
  const uses = split.authorizations.map((area, position) => openUse(machine, area, position, roles, split.handles));
  checkAttributes(uses, command);
  const needed = roles.filter((role) => role !== undefined).length;
  if (uses.length < needed) throw new Refusal(TPM_RC.AUTH_MISSING);
  for (const use of uses) checkUse(machine, use, uses, split, context);
  return { uses, parameters: decryptFirst(machine, uses, split.parameters) };
}

function openUse(
  machine: Machine,
  area: TPMS_AUTH_COMMAND,
  position: number,
  roles: readonly (AuthRole | undefined)[],
  handles: readonly number[],
): Use {
  const isPassword = area.sessionHandle === TPM_RH.PW;
  const session = machine.volatile.sessions.get(area.sessionHandle);
  if (!isPassword && session === undefined) throw new Refusal(TPM_RC.REFERENCE_S0 + position);
  const { audit, decrypt, encrypt, auditExclusive, auditReset } = area.sessionAttributes;
  if (isPassword) {
    if (area.nonce.length > 0) refuseSession('NONCE', position);
    if (audit || decrypt || encrypt || auditExclusive || auditReset) refuseSession('ATTRIBUTES', position);
  } else if ((auditExclusive || auditReset) && !audit) refuseSession('ATTRIBUTES', position);
  const role = roles[position];
  const handle = handles[position];
  const subject = role === undefined || handle === undefined ? undefined : { ...entity(machine, handle), role };
  return { area, session, subject, position };
}

/** Part 1, 18.6 and 21.2: at most one session of each purpose, and each with a purpose. */
function checkAttributes(uses: readonly Use[], command: AnyCommand): void {
  const seen = new Set<number>();
  const purposes = { decrypt: false, encrypt: false, audit: false };
  for (const { area, session, subject, position } of uses) {
    const { sessionHandle, sessionAttributes } = area;
    if (session !== undefined && seen.has(sessionHandle)) refuseSession('HANDLE', position);
    seen.add(sessionHandle);
    for (const purpose of ['decrypt', 'encrypt', 'audit'] as const) {
      if (!sessionAttributes[purpose]) continue;
      if (purposes[purpose]) refuseSession('ATTRIBUTES', position);
      purposes[purpose] = true;
      if (purpose === 'audit') {
        if (session?.type !== 'hmac') refuseSession('ATTRIBUTES', position);
        continue;
      }
      const isPossible = purpose === 'decrypt' ? command.encryptable.command : command.encryptable.response;
      if (!isPossible) refuseSession('ATTRIBUTES', position);
      if (session?.symmetric.algorithm === 'null') refuseSession('SYMMETRIC', position);
    }
    if (subject !== undefined) {
      if (session?.type === 'trial') refuseSession('ATTRIBUTES', position);
      continue;
    }
    // A session that authorizes nothing has to do something else (Part 3, 5.4)
    if (session === undefined) refuseSession('HANDLE', position);
    const { decrypt, encrypt, audit } = sessionAttributes;
    if (!decrypt && !encrypt && !audit) refuseSession('ATTRIBUTES', position);
  }
}

function checkUse(
  machine: Machine,
  use: Use,
  uses: readonly Use[],
  split: SplitCommand,
  context: CommandContext,
): void {
  const { session, subject, position } = use;
  if (subject === undefined) {
    if (session !== undefined) checkHmac(machine, use, session, uses, split, context);
    return;
  }
  const { name } = context.command;
  const isPolicy = session?.type === 'policy';
  const usesValue = session === undefined || !isPolicy || session.isAuthValueNeeded || session.isPasswordNeeded;
  if (usesValue && isLockedOut(machine, subject)) throw new Refusal(TPM_RC.LOCKOUT);
  const isAvailable = isPolicy
    ? isPolicyAvailable(machine, subject, subject.role, name)
    : isAuthValueAvailable(machine, subject, subject.role, name);
  if (!isAvailable) throw new Refusal(TPM_RC.AUTH_UNAVAILABLE);
  if (isPolicy) checkPolicy(machine, session, { ...subject, position }, split, context);
  if (session === undefined || (isPolicy && session.isPasswordNeeded)) checkPassword(machine, use, subject);
  else checkHmac(machine, use, session, uses, split, context);
}

function checkPassword(machine: Machine, { area, position }: Use, subject: Entity): void {
  if (bytesEqual(trimAuth(area.hmac), subject.authValue)) return;
  refuseSession(countFailure(machine, subject) ? 'AUTH_FAIL' : 'BAD_AUTH', position);
}

function includesAuthValue(session: Session, subject: Entity | undefined): subject is Entity {
  if (subject === undefined) return false;
  if (session.type === 'policy') return session.isAuthValueNeeded;
  return !isBoundTo(session, subject);
}

/** Part 1, 19.6.10: bound to this entity, and its authorization value has not changed since. */
function isBoundTo(session: Session, subject: Entity): boolean {
  const { isBound, boundName, boundAuth } = session;
  return isBound && bytesEqual(boundName, subject.name) && bytesEqual(boundAuth, subject.authValue);
}

function checkHmac(
  machine: Machine,
  use: Use,
  session: Session,
  uses: readonly Use[],
  split: SplitCommand,
  context: CommandContext,
): void {
  const { area, subject, position } = use;
  const key = Buffer.concat([session.sessionKey, includesAuthValue(session, subject) ? subject.authValue : NONE]);
  if (key.length === 0 && area.hmac.length === 0) return; // Part 1, 19.6.5: no key, no HMAC
  const pHash = cpHash(session.authHash, split.code, context.names, split.parameters);
  const expected = sessionHmac({
    authHash: session.authHash,
    key,
    pHash,
    nonceNewer: area.nonce,
    nonceOlder: session.nonceTPM,
    otherNonces: position === 0 && subject !== undefined ? otherNonces(uses) : [],
    attributes: area.sessionAttributes,
  });
  if (bytesEqual(expected, area.hmac)) return;
  refuseSession(isFailureCounted(machine, session, subject) ? 'AUTH_FAIL' : 'BAD_AUTH', position);
}

/** Part 1, 19.6.5: the HMAC of the first session, if it authorizes, covers the nonces of the others that decrypt and encrypt. */
function otherNonces(uses: readonly Use[]): Uint8Array[] {
  const decryptor = uses.find(({ area }) => area.sessionAttributes.decrypt);
  const encryptor = uses.find(({ area }) => area.sessionAttributes.encrypt);
  const nonces: Uint8Array[] = [];
  if (decryptor?.session !== undefined && decryptor.position > 0) nonces.push(decryptor.session.nonceTPM);
  if (encryptor?.session !== undefined && encryptor.position > 0 && encryptor !== decryptor) {
    nonces.push(encryptor.session.nonceTPM);
  }
  return nonces;
}

function isFailureCounted(machine: Machine, session: Session, subject: Entity | undefined): boolean {
  if (subject !== undefined) return countFailure(machine, subject);
  if (session.isLockoutBound) return countFailure(machine, { handle: TPM_RH.LOCKOUT, isDaExempt: false });
  return session.isDaBound && countFailure(machine, { handle: session.handle, isDaExempt: false });
}

/** Part 1, 19.7.8 and Part 4, CheckPolicyAuthSession: is the policy the entity's, and does it allow this command? */
function checkPolicy(
  machine: Machine,
  session: Session,
  subject: Entity & { readonly role: AuthRole; readonly position: number },
  split: SplitCommand,
  context: CommandContext,
): void {
  const refuseIt = (name: ResponseCodeName): never => refuseSession(name, subject.position);
  const { command, locality } = context;
  const needsValue = command.name === 'TPM2_PolicySecret'; // what the secret proves cannot be proven by a policy alone
  if (needsValue && !session.isPasswordNeeded && !session.isAuthValueNeeded) refuseIt('MODE');
  if (session.pcrUpdateCounter !== 0 && session.pcrUpdateCounter !== machine.volatile.pcrUpdateCounter) {
    throw new Refusal(TPM_RC.PCR_CHANGED);
  }
  if (!bytesEqual(session.policyDigest, subject.policy.digest)) refuseIt('POLICY_FAIL');
  if (subject.policy.hashAlg !== session.authHash) refuseIt('POLICY_FAIL');
  if (session.timeout !== 0n && session.timeout < machine.time) refuseIt('EXPIRED');
  if (session.commandCode !== 0) {
    if (session.commandCode !== command.code) refuseIt('POLICY_CC');
  } else if (subject.role !== 'user') refuseIt('POLICY_FAIL');
  if (!allowsLocality(session.locality, locality)) throw new Refusal(TPM_RC.LOCALITY);
  if (!matchesCpHash(session, split, context)) refuseIt('POLICY_FAIL');
  if (session.nvWritten !== 'unchecked') {
    const isWritten = subject.nvIndex?.publicArea.attributes.written === true;
    if (subject.nvIndex === undefined || isWritten !== (session.nvWritten === 'written')) refuseIt('POLICY_FAIL');
  }
}

/** TPMA_LOCALITY: bits for 0–4, the number itself above. */
function allowsLocality(allowed: number, locality: number): boolean {
  if (allowed === 0) return true;
  return allowed > 31 ? allowed === locality : ((allowed >> locality) & 1) === 1;
}

function matchesCpHash(session: Session, split: SplitCommand, { names }: CommandContext): boolean {
  switch (session.cpHashKind) {
    case 'none':
      return true;
    case 'cpHash':
      return bytesEqual(session.cpHash, cpHash(session.authHash, split.code, names, split.parameters));
    case 'nameHash':
      return bytesEqual(session.cpHash, digest(session.authHash, ...names));
    case 'templateHash':
      return bytesEqual(session.cpHash, templateHash(session, split));
  }
}

/** H(TPMT_PUBLIC) of the object that the command creates; inPublic is the second parameter, a TPM2B. */
function templateHash({ authHash }: Session, { command, parameters }: SplitCommand): Uint8Array {
  if (!['TPM2_Create', 'TPM2_CreatePrimary', 'TPM2_CreateLoaded'].includes(command.name)) return NONE;
  try {
    const reader = new ByteReader(parameters);
    reader.bytes(reader.u16be('inSensitive'), 'inSensitive');
    return digest(authHash, reader.bytes(reader.u16be('inPublic'), 'inPublic'));
  } catch {
    return NONE; // the parameters are refused when they are read
  }
}

// --- parameter encryption (Part 1, 21) --------------------------------------------------------------------------------

function decryptFirst(machine: Machine, uses: readonly Use[], parameters: Uint8Array): Uint8Array {
  const use = uses.find(({ area }) => area.sessionAttributes.decrypt);
  if (use?.session === undefined) return parameters;
  const { session, area, subject } = use;
  const size = firstSize(parameters);
  if (size === undefined) throw new Refusal(rcWith(TPM_RC.SIZE, { kind: 'parameter', number: 1 }));
  const cipher = {
    authHash: session.authHash,
    symmetric: session.symmetric,
    sessionValue: sessionValue(machine, session, subject),
    nonceNewer: area.nonce,
    nonceOlder: session.nonceTPM,
  };
  const plain = cryptParameter('decrypt', cipher, parameters.subarray(2, 2 + size));
  return Buffer.concat([parameters.subarray(0, 2), plain, parameters.subarray(2 + size)]);
}

/** Part 1, 21.2: sessionKey ‖ authValue of the entity that the session authorizes. */
function sessionValue(machine: Machine, session: Session, subject: Entity | undefined): Uint8Array {
  return Buffer.concat([session.sessionKey, subject === undefined ? NONE : authValueNow(machine, subject)]);
}

function firstSize(parameters: Uint8Array): number | undefined {
  if (parameters.length < 2) return undefined;
  const size = new ByteReader(parameters).u16be('size');
  return size <= parameters.length - 2 ? size : undefined;
}

/** The entity's authorization value after the command, or as it was where the command removed the entity. */
function authValueNow(machine: Machine, subject: Entity): Uint8Array {
  try {
    return entity(machine, subject.handle).authValue;
  } catch (error) {
    if (error instanceof Refusal) return subject.authValue;
    throw error;
  }
}

// --- the response -----------------------------------------------------------------------------------------------------

export interface AuthorizedResponse {
  readonly parameters: Uint8Array;
  readonly authorizations: readonly TPMS_AUTH_RESPONSE[];
}

/**
 * New nonces, the first parameter encrypted, HMACs over it; sessions that shall not continue end (Part 1, 19.6.6). A
 * policy is good for one command: a session that goes on begins again, as swtpm's does.
 */
export function answerSessions(
  machine: Machine,
  uses: readonly Use[],
  context: CommandContext,
  plain: Uint8Array,
): AuthorizedResponse {
  for (const { session } of uses) {
    if (session !== undefined) session.nonceTPM = machine.random(session.nonceTPM.length);
  }
  const parameters = encryptFirst(machine, uses, plain);
  auditCommand(uses, context, parameters);
  const authorizations = uses.map((use) => answerUse(machine, use, context, parameters));
  for (const { session, area, subject } of uses) {
    if (session === undefined) continue;
    if (!area.sessionAttributes.continueSession) machine.flush(session.handle);
    else if (session.type === 'policy' && subject !== undefined)
      Object.assign(session, freshPolicy(machine, session.authHash));
  }
  return { parameters, authorizations };
}

function encryptFirst(machine: Machine, uses: readonly Use[], parameters: Uint8Array): Uint8Array {
  const use = uses.find(({ area }) => area.sessionAttributes.encrypt);
  const size = firstSize(parameters);
  if (use?.session === undefined || size === undefined) return parameters;
  const { session, area, subject } = use;
  const cipher = {
    authHash: session.authHash,
    symmetric: session.symmetric,
    sessionValue: sessionValue(machine, session, subject),
    nonceNewer: session.nonceTPM,
    nonceOlder: area.nonce,
  };
  const secret = cryptParameter('encrypt', cipher, parameters.subarray(2, 2 + size));
  return Buffer.concat([parameters.subarray(0, 2), secret, parameters.subarray(2 + size)]);
}

function answerUse(
  machine: Machine,
  { area, session, subject }: Use,
  { command }: CommandContext,
  parameters: Uint8Array,
): TPMS_AUTH_RESPONSE {
  if (session === undefined) {
    return { nonce: NONE, sessionAttributes: { continueSession: true }, hmac: NONE };
  }
  const { sessionAttributes } = area;
  const nonce = session.nonceTPM;
  if (session.type === 'policy' && session.isPasswordNeeded && subject !== undefined) {
    return { nonce, sessionAttributes, hmac: NONE };
  }
  const value = includesAuthValue(session, subject) ? authValueNow(machine, subject) : NONE;
  const key = Buffer.concat([session.sessionKey, value]);
  if (key.length === 0 && area.hmac.length === 0) return { nonce, sessionAttributes, hmac: NONE };
  const pHash = rpHash(session.authHash, TPM_RC.SUCCESS, command.code, parameters);
  const hmac = sessionHmac({
    authHash: session.authHash,
    key,
    pHash,
    nonceNewer: nonce,
    nonceOlder: area.nonce,
    attributes: sessionAttributes,
  });
  return { nonce, sessionAttributes, hmac };
}

/** Part 1, 19.6.9 and 31.3: the audit session's digest grows by cpHash and rpHash. */
function auditCommand(uses: readonly Use[], context: CommandContext, parameters: Uint8Array): void {
  const session = uses.find(({ area }) => area.sessionAttributes.audit)?.session;
  if (session === undefined) return;
  const { authHash } = session;
  const start = session.isAudit ? session.auditDigest : new Uint8Array(digest(authHash, NONE).length);
  session.isAudit = true;
  const { code } = context.command;
  const asked = cpHash(authHash, code, context.names, context.parameters);
  session.auditDigest = digest(authHash, start, asked, rpHash(authHash, TPM_RC.SUCCESS, code, parameters));
}
