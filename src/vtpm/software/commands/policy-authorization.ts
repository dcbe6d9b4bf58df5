/** Policies that somebody authorizes: TPM 2.0 Part 3, 23.3, 23.4, 23.16 and 23.22. */
import { bytesEqual, digest, digestInfo } from '../../../bytes/index.ts';
import {
  decode,
  encode,
  handleType,
  int32,
  ProfiledReader,
  type RequestOf,
  TPM_HT,
  TPM_NT,
  TPM_RH,
  type TPM2_PolicySecret,
  TPMT_HA,
  type TPMT_TK_AUTH,
  uint64,
} from '../../../tpm/index.ts';
import { entity, hierarchyOf } from '../entities.ts';
import type { Handlers } from '../handler.ts';
import { HASHES } from '../limits.ts';
import type { Machine } from '../machine.ts';
import { readAllowed } from '../nv-access.ts';
import { checkDigestSize, extendPolicy, resetPolicyDigest, setHash, updatePolicy } from '../policy-session.ts';
import { PROFILE } from '../profile.ts';
import { refuse, unmarshal } from '../refusal.ts';
import { checkSignature } from '../signature-check.ts';
import type { NvIndex, Session } from '../state.ts';
import { authTicket, isSameTicket, verifiedTicket } from '../tickets.ts';

const NONE = new Uint8Array(0);

type AuthorizationRequest = Pick<
  RequestOf<typeof TPM2_PolicySecret>,
  'nonceTPM' | 'cpHashA' | 'policyRef' | 'expiration'
>;

/** Set in a time-out that a TPM Reset ends, as nothing else tells which run of the clock it is of (Part 4, Policy_spt.c). */
const EXPIRES_ON_RESET = 1n << 63n;

/** When the authorization ends, in TPM time; 0 for never (23.2.4; Part 4, ComputeAuthTimeout). */
function timeoutOf(machine: Machine, session: Session, { nonceTPM, expiration }: AuthorizationRequest): bigint {
  if (expiration === 0) return 0n;
  const milliseconds = BigInt(Math.min(Math.abs(expiration), 0x7fffffff)) * 1000n;
  // With a nonce from when that was made, else on the TPM's clock itself
  return nonceTPM.length > 0 ? session.startTime + milliseconds : milliseconds + (machine.volatile.time % 1000n);
}

/** Part 4, PolicyParameterChecks. @throws {Refusal} about the fields of a request, or about `timeoutField` */
function checkParameters(
  machine: Machine,
  session: Session,
  { nonceTPM, cpHashA }: Pick<AuthorizationRequest, 'nonceTPM' | 'cpHashA'>,
  timeout: bigint,
  timeoutField: 'expiration' | 'timeout',
): void {
  if (nonceTPM.length > 0 && !bytesEqual(nonceTPM, session.nonceTPM)) refuse('NONCE', 'nonceTPM');
  const isOfNow = session.timeEpoch === machine.permanent.timeEpoch && timeout >= machine.volatile.time;
  if (timeout !== 0n && !isOfNow) refuse('EXPIRED', timeoutField);
  if (cpHashA.length === 0) return;
  checkDigestSize(session, cpHashA, 'cpHashA');
  if (session.cpHashKind !== 'none' && !bytesEqual(session.cpHash, cpHashA)) refuse('CPHASH');
}

/** Part 4, PolicyContextUpdate: cpHash and the earliest time-out stay with the session. */
function keep(session: Session, cpHash: Uint8Array, timeout: bigint): void {
  if (cpHash.length > 0) setHash(session, 'cpHash', cpHash);
  if (timeout !== 0n && (session.timeout === 0n || timeout < session.timeout)) session.timeout = timeout;
}

/** A ticket where the caller asked for one by a negative expiration, else an empty one. */
function answer(
  machine: Machine,
  tag: TPMT_TK_AUTH['tag'],
  authorizer: number,
  timeout: bigint,
  request: AuthorizationRequest,
) {
  const { nonceTPM, cpHashA: cpHash, policyRef } = request;
  const expiresOnReset = nonceTPM.length === 0;
  const entityName = entity(machine, authorizer).name;
  const facts = { timeout: timeout & ~EXPIRES_ON_RESET, expiresOnReset, cpHash, policyRef, entityName };
  return {
    timeout: encode(uint64, facts.timeout | (expiresOnReset ? EXPIRES_ON_RESET : 0n)),
    policyTicket: authTicket(machine, tag, hierarchyOf(machine, authorizer), facts),
  };
}

function noTicket(tag: TPMT_TK_AUTH['tag']) {
  return { timeout: NONE, policyTicket: { tag, hierarchy: TPM_RH.NULL, digest: NONE } };
}

/** A PIN Pass index must be asked each time: its ticket would not be counted (23.4.1). */
function isCounted(machine: Machine, handle: number): boolean {
  if (handleType(handle) !== TPM_HT.NV_INDEX) return false;
  return machine.nvIndex(handle).publicArea.attributes.nt === TPM_NT.PIN_PASS;
}

/** The hash algorithm in front of a Name. @throws {Refusal} `HASH` */
function nameAlgorithm(name: Uint8Array) {
  const number = name.length < 2 ? 0 : Buffer.from(name).readUInt16BE();
  return HASHES.find((hash) => digestInfo(hash).tpmAlg === number) ?? refuse('HASH', 'keySign');
}

/** The policy that an index holds (Part 3, 23.22.1). @throws {Refusal} as it unmarshals, without a number */
function policyIn(index: NvIndex): TPMT_HA {
  return unmarshal('nvData', () => TPMT_HA.read(new ProfiledReader(index.data, PROFILE)));
}

export const policyAuthorization = {
  /** 23.3 */
  TPM2_PolicySigned(machine, request) {
    const { authObject, policySession, nonceTPM, cpHashA, policyRef, expiration, auth } = request;
    const session = machine.session(policySession);
    const key = machine.object(authObject);
    const isTrial = session.type === 'trial';
    const timeout = isTrial ? 0n : timeoutOf(machine, session, request);
    if (!isTrial) {
      checkParameters(machine, session, request, timeout, 'expiration');
      // The hash of an ECDAA signature is the host's affair
      if (auth.sigAlg === 'ecdaa') return refuse('SCHEME', 'auth');
      const hashAlg = auth.sigAlg === 'hmac' ? auth.hmac.hashAlg : auth.hash;
      const aHash = digest(hashAlg, nonceTPM, encode(int32, expiration), cpHashA, policyRef);
      checkSignature(key, aHash, auth, 'auth');
    }
    updatePolicy(session, 'TPM2_PolicySigned', key.name, policyRef);
    keep(session, cpHashA, timeout);
    return expiration < 0 && !isTrial
      ? answer(machine, 'auth_signed', authObject, timeout, request)
      : noTicket('auth_signed');
  },

  /** 23.4: the engine has checked the entity's authorization value. */
  TPM2_PolicySecret(machine, request) {
    const { authHandle, policySession, policyRef, expiration, cpHashA } = request;
    const session = machine.session(policySession);
    const isTrial = session.type === 'trial';
    const timeout = isTrial ? 0n : timeoutOf(machine, session, request);
    if (!isTrial) checkParameters(machine, session, request, timeout, 'expiration');
    updatePolicy(session, 'TPM2_PolicySecret', entity(machine, authHandle).name, policyRef);
    keep(session, cpHashA, timeout);
    return expiration < 0 && !isTrial && !isCounted(machine, authHandle)
      ? answer(machine, 'auth_secret', authHandle, timeout, request)
      : noTicket('auth_secret');
  },

  /** 23.5: what TPM2_PolicySigned or TPM2_PolicySecret proved before, in this session too. */
  TPM2_PolicyTicket(machine, { policySession, timeout, cpHashA: cpHash, policyRef, authName: entityName, ticket }) {
    const session = machine.session(policySession);
    if (session.type === 'trial') refuse('ATTRIBUTES', 'policySession');
    if (timeout.length !== 8) refuse('SIZE', 'timeout');
    const marked = decode(uint64, timeout);
    const until = marked & ~EXPIRES_ON_RESET;
    checkParameters(machine, session, { nonceTPM: NONE, cpHashA: cpHash }, until, 'timeout');
    const facts = { timeout: until, expiresOnReset: marked !== until, cpHash, policyRef, entityName };
    if (!isSameTicket(authTicket(machine, ticket.tag, ticket.hierarchy, facts), ticket)) refuse('TICKET', 'ticket');
    const proven = ticket.tag === 'auth_signed' ? 'TPM2_PolicySigned' : 'TPM2_PolicySecret';
    updatePolicy(session, proven, entityName, policyRef);
    keep(session, cpHash, until);
    return {};
  },

  /** 23.16 */
  TPM2_PolicyAuthorize(machine, { policySession, approvedPolicy, policyRef, keySign, checkTicket }) {
    const session = machine.session(policySession);
    const keyAlg = nameAlgorithm(keySign);
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
      const approved = policyIn(index);
      if (approved.hashAlg !== session.authHash) refuse('HASH');
      if (!bytesEqual(approved.digest, session.policyDigest)) refuse('VALUE');
    }
    resetPolicyDigest(session);
    extendPolicy(session, 'TPM2_PolicyAuthorizeNV', entity(machine, nvIndex).name);
    return {};
  },
} satisfies Handlers;
