/** The authorization area of a command, and the check of the response's (TPM 2.0 Part 1, 19.6). */
import { randomBytes } from 'node:crypto';
import { bytesEqual, digestInfo } from '../../bytes/index.ts';
import type { AnyCommand } from '../command.ts';
import { TpmError } from '../errors.ts';
import type { TPMS_AUTH_COMMAND, TPMS_AUTH_RESPONSE } from '../frame.ts';
import { cpHash, rpHash } from '../names.ts';
import { cryptParameter, sessionHmac, trimAuth, withFirstBuffer } from '../session-crypto.ts';
import { TPM_RH, type TPMA_SESSION } from '../structures.ts';
import type { Session } from './session.ts';

/** How a handle is authorized: with its value in the clear, or with a session. */
export type HandleAuthorization =
  | { readonly password: Uint8Array }
  | {
      readonly session: Session;
      /** Left out: empty, or what the session was bound with where this is the entity that it is bound to. */
      readonly authValue?: Uint8Array;
      /** Where the command itself changes the value (or removes the entity: empty): the response is under this one. */
      readonly authValueAfter?: Uint8Array;
    };

/** One entry of the authorization area. */
export interface PlannedAuthorization {
  /** Name of the entity that it authorizes; missing for a session that only encrypts or audits. */
  readonly name?: Uint8Array;
  readonly by: HandleAuthorization;
}

type Direction = 'command' | 'response';

const EMPTY = new Uint8Array(0);

const sessionOf = ({ by }: PlannedAuthorization): Session | undefined => ('session' in by ? by.session : undefined);

/** The authorization value of the entity, as it is when the command is checked or its response is made. */
function authValueOf({ name, by }: PlannedAuthorization, direction: Direction): Uint8Array {
  if (!('session' in by) || name === undefined) return EMPTY;
  const { boundTo } = by.session;
  const isNamed = boundTo !== undefined && bytesEqual(boundTo.name, name);
  const before = by.authValue ?? (isNamed ? boundTo.auth : EMPTY);
  return trimAuth(direction === 'response' ? (by.authValueAfter ?? before) : before);
}

/**
 * Bound is a session to a Name and a value: an entity whose value changed is another (Part 1, 19.6.12). What the command
 * was decides for its response too (libtpms, SessionProcess.c: requestWasBound).
 */
function isBoundEntity(planned: PlannedAuthorization, { boundTo }: Session): boolean {
  if (boundTo === undefined || planned.name === undefined || !bytesEqual(boundTo.name, planned.name)) return false;
  return bytesEqual(trimAuth(boundTo.auth), authValueOf(planned, 'command'));
}

/** sessionKey ‖ the entity's authorization value, where the session's kind takes it (Part 1, 19.6.5, 19.6.12–15). */
function hmacKey(planned: PlannedAuthorization, session: Session, direction: Direction): Uint8Array {
  const takesValue = session.type === 'hmac' ? !isBoundEntity(planned, session) : session.policyAuth === 'value';
  return takesValue ? Buffer.concat([session.sessionKey, authValueOf(planned, direction)]) : session.sessionKey;
}

/** Rolls nonceCaller of every session: the beginning of a command. */
export function rollNonces(plan: readonly PlannedAuthorization[]): void {
  for (const session of new Set(plan.map(sessionOf))) {
    if (session !== undefined) session.nonceCaller = randomBytes(digestInfo(session.authHash).size);
  }
}

/** The parameters as they travel: the first one encrypted where a session decrypts on the TPM's side. */
export function encryptedParameters(plan: readonly PlannedAuthorization[], parameters: Uint8Array): Uint8Array {
  const planned = plan.find((entry) => sessionOf(entry)?.attributes.decrypt === true);
  const session = planned && sessionOf(planned);
  if (planned === undefined || session === undefined) return parameters;
  const nonces = { nonceNewer: session.nonceCaller, nonceOlder: session.nonceTPM };
  const cipher = { ...cipherOf(planned, session, 'command'), ...nonces };
  return withFirstBuffer(parameters, (content) => cryptParameter('encrypt', cipher, content));
}

/** The response's parameters in the clear, after its HMACs were checked. */
export function decryptedParameters(plan: readonly PlannedAuthorization[], parameters: Uint8Array): Uint8Array {
  const planned = plan.find((entry) => sessionOf(entry)?.attributes.encrypt === true);
  const session = planned && sessionOf(planned);
  if (planned === undefined || session === undefined) return parameters;
  const nonces = { nonceNewer: session.nonceTPM, nonceOlder: session.nonceCaller };
  const cipher = { ...cipherOf(planned, session, 'response'), ...nonces };
  return withFirstBuffer(parameters, (content) => cryptParameter('decrypt', cipher, content));
}

/** The entity's value is in the key of parameter encryption whatever kind the session is of (Part 1, 21.1). */
function cipherOf(planned: PlannedAuthorization, session: Session, direction: Direction) {
  const { authHash, symmetric, sessionKey } = session;
  return { authHash, symmetric, sessionValue: Buffer.concat([sessionKey, authValueOf(planned, direction)]) };
}

/** @throws {TpmError} `tpm.argument` where a session would encrypt what cannot be: a first parameter that is no TPM2B */
export function checkEncryptable(plan: readonly PlannedAuthorization[], command: AnyCommand): void {
  const sessions = plan.map(sessionOf);
  for (const [attribute, is] of [
    ['decrypt', 'command'],
    ['encrypt', 'response'],
  ] as const) {
    if (command.encryptable[is] || !sessions.some((session) => session?.attributes[attribute] === true)) continue;
    throw new TpmError('tpm.argument', `${command.name}: the first parameter of its ${is} cannot be encrypted`, {
      advice: `take ${attribute} out of the session's attributes`,
    });
  }
}

/**
 * nonceTPM of the decrypting and of the encrypting session, into the first session's HMAC where they are others: only
 * where the first session authorizes (libtpms, SessionProcess.c: ComputeCommandHMAC).
 */
function otherNonces(plan: readonly PlannedAuthorization[], index: number): Uint8Array[] {
  if (index !== 0 || plan[0]?.name === undefined) return [];
  const first = plan[0] && sessionOf(plan[0]);
  const find = (attribute: 'decrypt' | 'encrypt') =>
    plan.map(sessionOf).find((session) => session?.attributes[attribute] === true);
  const decrypting = find('decrypt');
  const encrypting = find('encrypt');
  const others: Uint8Array[] = [];
  if (decrypting !== undefined && decrypting !== first) others.push(decrypting.nonceTPM);
  if (encrypting !== undefined && encrypting !== first && encrypting !== decrypting) others.push(encrypting.nonceTPM);
  return others;
}

export function authorize(
  plan: readonly PlannedAuthorization[],
  code: number,
  names: readonly Uint8Array[],
  parameters: Uint8Array,
): TPMS_AUTH_COMMAND[] {
  return plan.map((planned, index) => {
    const { by } = planned;
    if ('password' in by) {
      const sessionAttributes: TPMA_SESSION = { continueSession: true };
      return { sessionHandle: TPM_RH.PW, nonce: EMPTY, sessionAttributes, hmac: by.password };
    }
    const { session } = by;
    const common = { sessionHandle: session.handle, nonce: session.nonceCaller, sessionAttributes: session.attributes };
    if (session.policyAuth === 'password') return { ...common, hmac: authValueOf(planned, 'command') };
    const key = hmacKey(planned, session, 'command');
    if (needsNoHmac(session, key)) return { ...common, hmac: EMPTY };
    const hmac = sessionHmac({
      authHash: session.authHash,
      key,
      pHash: cpHash(session.authHash, code, names, parameters),
      nonceNewer: session.nonceCaller,
      nonceOlder: session.nonceTPM,
      otherNonces: otherNonces(plan, index),
      attributes: session.attributes,
    });
    return { ...common, hmac };
  });
}

/** A policy session without a key and without an authorization value carries no HMAC (Part 1, 19.7.1). */
const needsNoHmac = (session: Session, key: Uint8Array): boolean =>
  session.type !== 'hmac' && session.policyAuth !== 'value' && key.length === 0;

/**
 * Takes over the TPM's nonces and checks its HMACs.
 * @throws {TpmError} `tpm.session` where one is missing or wrong: what came is then not the TPM's answer to this command
 */
export function checkResponse(
  plan: readonly PlannedAuthorization[],
  code: number,
  parameters: Uint8Array,
  authorizations: readonly TPMS_AUTH_RESPONSE[],
): void {
  if (authorizations.length !== plan.length) {
    throw new TpmError('tpm.session', `the response has ${authorizations.length} authorizations, not ${plan.length}`);
  }
  for (const [index, planned] of plan.entries()) {
    const session = sessionOf(planned);
    const answer = authorizations[index];
    if (session === undefined || answer === undefined) continue;
    session.nonceTPM = answer.nonce;
    const key = hmacKey(planned, session, 'response');
    if (session.policyAuth === 'password' || needsNoHmac(session, key)) continue;
    const expected = sessionHmac({
      authHash: session.authHash,
      key,
      pHash: rpHash(session.authHash, 0, code, parameters),
      nonceNewer: session.nonceTPM,
      nonceOlder: session.nonceCaller,
      attributes: answer.sessionAttributes,
    });
    if (!bytesEqual(expected, answer.hmac)) {
      throw new TpmError('tpm.session', `the response's HMAC of session ${index + 1} is wrong`, {
        advice: 'something between this program and the TPM altered the answer, or the authorization value is another',
      });
    }
  }
}
