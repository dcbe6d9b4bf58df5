/** The authorization area of a command, and the check of the response's (TPM 2.0 Part 1, 19.6). */
import { randomBytes } from 'node:crypto';
import { bytesEqual, digestInfo } from '../../bytes/index.ts';
import { TpmError } from '../errors.ts';
import type { TPMS_AUTH_COMMAND, TPMS_AUTH_RESPONSE } from '../frame.ts';
import { cpHash, rpHash } from '../names.ts';
import { cryptParameter, sessionHmac, trimAuth, withFirstBuffer } from '../session-crypto.ts';
import { TPM_RH, type TPMA_SESSION } from '../structures.ts';
import type { Session } from './session.ts';

/** How a handle is authorized: with its value in the clear, or with a session. */
export type HandleAuthorization =
  | { readonly password: Uint8Array }
  | { readonly session: Session; readonly authValue?: Uint8Array };

/** One entry of the authorization area. `handle` is missing for a session that only encrypts or audits. */
export interface PlannedAuthorization {
  readonly handle?: number;
  readonly by: HandleAuthorization;
}

const EMPTY = new Uint8Array(0);

const sessionOf = ({ by }: PlannedAuthorization): Session | undefined => ('session' in by ? by.session : undefined);
const authValueOf = ({ by }: PlannedAuthorization): Uint8Array =>
  'session' in by ? trimAuth(by.authValue ?? EMPTY) : EMPTY;

/** sessionKey ‖ the entity's authorization value, where the session's kind takes it (Part 1, 19.6.5, 19.6.12–15). */
function hmacKey(planned: PlannedAuthorization, session: Session): Uint8Array {
  const takesValue =
    session.type === 'hmac'
      ? planned.handle !== undefined && planned.handle !== session.boundTo?.handle
      : session.policyAuth === 'value';
  return takesValue ? Buffer.concat([session.sessionKey, authValueOf(planned)]) : session.sessionKey;
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
  const cipher = {
    authHash: session.authHash,
    symmetric: session.symmetric,
    sessionValue: Buffer.concat([session.sessionKey, authValueOf(planned)]),
    nonceNewer: session.nonceCaller,
    nonceOlder: session.nonceTPM,
  };
  return withFirstBuffer(parameters, (content) => cryptParameter('encrypt', cipher, content));
}

/** The response's parameters in the clear, after its HMACs were checked. */
export function decryptedParameters(plan: readonly PlannedAuthorization[], parameters: Uint8Array): Uint8Array {
  const planned = plan.find((entry) => sessionOf(entry)?.attributes.encrypt === true);
  const session = planned && sessionOf(planned);
  if (planned === undefined || session === undefined) return parameters;
  const cipher = {
    authHash: session.authHash,
    symmetric: session.symmetric,
    sessionValue: Buffer.concat([session.sessionKey, authValueOf(planned)]),
    nonceNewer: session.nonceTPM,
    nonceOlder: session.nonceCaller,
  };
  return withFirstBuffer(parameters, (content) => cryptParameter('decrypt', cipher, content));
}

/** nonceTPM of the decrypting and of the encrypting session, into the first session's HMAC where they are others. */
function otherNonces(plan: readonly PlannedAuthorization[], index: number): Uint8Array[] {
  if (index !== 0) return [];
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
    if (session.policyAuth === 'password') return { ...common, hmac: authValueOf(planned) };
    const key = hmacKey(planned, session);
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
    const key = hmacKey(planned, session);
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
