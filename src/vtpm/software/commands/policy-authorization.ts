/** Policies that somebody authorizes: TPM 2.0 Part 3, 23.3, 23.4, 23.16 and 23.22. */
import { bytesEqual, digest, digestInfo, digestInfoByTpmAlg } from '../../../bytes/index.ts';
import {
  decode,
  encode,
  int32,
  type RequestOf,
  TPM_ALG,
  TPM_RH,
  type TPM2_PolicySecret,
  type TPMT_TK_AUTH,
  uint64,
} from '../../../tpm/index.ts';
import { entity } from '../entities.ts';
import type { Handlers } from '../handler.ts';
import type { Machine } from '../machine.ts';
import { readAllowed } from '../nv-access.ts';
import { checkDigestSize, extendPolicy, requireHash, resetPolicyDigest, updatePolicy } from '../policy-session.ts';
import { refuse } from '../refusal.ts';
import { isGoodSignature } from '../signature-check.ts';
import type { Session } from '../state.ts';
import { authTicket, isSameTicket, verifiedTicket } from '../tickets.ts';

const NONE = new Uint8Array(0);

type AuthorizationRequest = Pick<
  RequestOf<typeof TPM2_PolicySecret>,
  'nonceTPM' | 'cpHashA' | 'policyRef' | 'expiration'
>;

/** When the authorization ends, in TPM time; 0 for never (Part 4, ComputeAuthTimeout). */
function timeoutOf(session: Session, { nonceTPM, expiration }: AuthorizationRequest, now: bigint): bigint {
  if (expiration === 0) return 0n;
  // Without a nonce the session's start says nothing about when it was signed
  const start = nonceTPM.length === 0 ? now : session.startTime;
  return start + BigInt(Math.abs(expiration)) * 1000n;
}

/** Part 4, PolicyParameterChecks. */
function checkParameters(machine: Machine, session: Session, request: AuthorizationRequest): void {
  const { nonceTPM, cpHashA } = request;
  if (nonceTPM.length > 0 && !bytesEqual(nonceTPM, session.nonceTPM)) refuse('VALUE', 'nonceTPM');
  const timeout = timeoutOf(session, request, machine.time);
  if (timeout !== 0n && timeout < machine.time) refuse('EXPIRED', 'expiration');
  if (cpHashA.length === 0) return;
  checkDigestSize(session, cpHashA, 'cpHashA');
  if (session.cpHashKind !== 'none' && !bytesEqual(session.cpHash, cpHashA)) refuse('CPHASH');
}

/** Part 4, PolicyContextUpdate: cpHash and the earliest time-out stay with the session. */
function keep(machine: Machine, session: Session, request: AuthorizationRequest): void {
  if (request.cpHashA.length > 0) requireHash(session, 'cpHash', request.cpHashA);
  keepTimeout(session, timeoutOf(session, request, machine.time));
}

function keepTimeout(session: Session, timeout: bigint): void {
  if (timeout !== 0n && (session.timeout === 0n || timeout < session.timeout)) session.timeout = timeout;
}

/** A ticket where the caller asked for one by a negative expiration, else an empty one. */
function answer(
  machine: Machine,
  session: Session,
  tag: TPMT_TK_AUTH['tag'],
  hierarchy: number,
  entityName: Uint8Array,
  request: AuthorizationRequest,
) {
  const { nonceTPM, cpHashA: cpHash, policyRef, expiration } = request;
  if (expiration >= 0 || nonceTPM.length === 0 || session.type === 'trial') {
    return { timeout: NONE, policyTicket: { tag, hierarchy: TPM_RH.NULL, digest: NONE } };
  }
  const timeout = timeoutOf(session, request, machine.time);
  const policyTicket = authTicket(machine, tag, hierarchy, { timeout, cpHash, policyRef, entityName });
  return { timeout: encode(uint64, timeout), policyTicket };
}

function hierarchyOf(machine: Machine, handle: number): number {
  const object = machine.volatile.transients.get(handle) ?? machine.permanent.persistents.get(handle);
  if (object !== undefined) return object.hierarchy;
  const permanents: readonly number[] = [TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM];
  return permanents.includes(handle) ? handle : TPM_RH.OWNER;
}

export const policyAuthorization = {
  /** 23.3 */
  TPM2_PolicySigned(machine, request) {
    const { authObject, policySession, nonceTPM, cpHashA, policyRef, expiration, auth } = request;
    const session = machine.session(policySession);
    const key = machine.object(authObject);
    if (session.type !== 'trial') {
      checkParameters(machine, session, request);
      const hashAlg =
        auth.sigAlg === 'hmac' ? auth.hmac.hashAlg : auth.sigAlg === 'null' ? refuse('SCHEME', 'auth') : auth.hash;
      const aHash = digest(hashAlg, nonceTPM, encode(int32, expiration), cpHashA, policyRef);
      if (!isGoodSignature(key, aHash, auth, 'auth')) refuse('SIGNATURE', 'auth');
    }
    updatePolicy(session, 'TPM2_PolicySigned', key.name, policyRef);
    keep(machine, session, request);
    return answer(machine, session, 'auth_signed', key.hierarchy, key.name, request);
  },

  /** 23.4: the engine has checked the entity's authorization value. */
  TPM2_PolicySecret(machine, request) {
    const { authHandle, policySession, policyRef } = request;
    const session = machine.session(policySession);
    const { name } = entity(machine, authHandle);
    if (session.type !== 'trial') checkParameters(machine, session, request);
    updatePolicy(session, 'TPM2_PolicySecret', name, policyRef);
    keep(machine, session, request);
    return answer(machine, session, 'auth_secret', hierarchyOf(machine, authHandle), name, request);
  },

  /** 23.5: what TPM2_PolicySigned or TPM2_PolicySecret proved before, in this session too. */
  TPM2_PolicyTicket(machine, { policySession, timeout, cpHashA: cpHash, policyRef, authName: entityName, ticket }) {
    const session = machine.session(policySession);
    if (session.type === 'trial') refuse('ATTRIBUTES', 'policySession');
    if (timeout.length !== 8) refuse('SIZE', 'timeout');
    const until = decode(uint64, timeout);
    if (until !== 0n && until < machine.time) refuse('EXPIRED', 'timeout');
    if (cpHash.length > 0) checkDigestSize(session, cpHash, 'cpHashA');
    const expected = authTicket(machine, ticket.tag, ticket.hierarchy, {
      timeout: until,
      cpHash,
      policyRef,
      entityName,
    });
    if (!isSameTicket(expected, ticket)) refuse('TICKET', 'ticket');
    if (cpHash.length > 0) requireHash(session, 'cpHash', cpHash);
    updatePolicy(
      session,
      ticket.tag === 'auth_signed' ? 'TPM2_PolicySigned' : 'TPM2_PolicySecret',
      entityName,
      policyRef,
    );
    keepTimeout(session, until);
    return {};
  },

  /** 23.16 */
  TPM2_PolicyAuthorize(machine, { policySession, approvedPolicy, policyRef, keySign, checkTicket }) {
    const session = machine.session(policySession);
    if (keySign.length < 2) refuse('SIZE', 'keySign');
    const keyAlg = digestInfoByTpmAlg(Buffer.from(keySign).readUInt16BE())?.name;
    if (keyAlg === undefined) return refuse('HASH', 'keySign');
    if (keySign.length !== digestInfo(keyAlg).size + 2) refuse('SIZE', 'keySign');
    if (session.type !== 'trial') {
      if (!bytesEqual(session.policyDigest, approvedPolicy)) refuse('VALUE', 'approvedPolicy');
      const aHash = digest(keyAlg, approvedPolicy, policyRef);
      const expected = verifiedTicket(machine, checkTicket.hierarchy, aHash, keySign);
      if (!isSameTicket(expected, checkTicket)) refuse('VALUE', 'checkTicket');
    }
    resetPolicyDigest(session);
    updatePolicy(session, 'TPM2_PolicyAuthorize', keySign, policyRef);
    return {};
  },

  /** 23.22: the index holds the hash algorithm and the digest of the policy that is approved. */
  TPM2_PolicyAuthorizeNV(machine, { authHandle, nvIndex, policySession }) {
    const session = machine.session(policySession);
    const index = machine.nvIndex(nvIndex);
    if (session.type !== 'trial') {
      readAllowed(index, authHandle);
      const expected = Buffer.alloc(2);
      expected.writeUInt16BE(TPM_ALG[session.authHash]);
      const held = index.data.subarray(0, 2 + session.policyDigest.length);
      if (!bytesEqual(held.subarray(0, 2), expected)) refuse('HASH');
      if (!bytesEqual(held.subarray(2), session.policyDigest)) refuse('VALUE');
    }
    resetPolicyDigest(session);
    extendPolicy(session, 'TPM2_PolicyAuthorizeNV', entity(machine, nvIndex).name);
    return {};
  },
} satisfies Handlers;
