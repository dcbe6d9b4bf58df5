/**
 * Enrolment, in two steps. First the EK's chain and the AK's public area are looked at and a credential is made that
 * only the TPM with both keys can open; then its secret comes back, and the host is fixed: AK, bank, measurer, assurance.
 */
import { randomBytes } from 'node:crypto';
import { bytesEqual, digest, toHex } from '../bytes/index.ts';
import type {
  ActivationRequest,
  Assurance,
  EnrolmentAnswer,
  EnrolmentChallenge,
  EnrolmentRequest,
} from '../evidence/index.ts';
import type { Enrolment } from '../verify/index.ts';
import { newToken } from './auth/token.ts';
import { newChallenge } from './challenge.ts';
import type { ServerContext } from './context.ts';
import { type CheckedEk, hostIdOf } from './enrolment-tpm.ts';
import { ServerError } from './error.ts';
import { refuseChangedIdentity } from './fixed-identity.ts';
import { insertChallenge } from './store/challenges.ts';
import {
  type Activation,
  deleteActivation,
  findActivation,
  findEnrolment,
  insertActivation,
  insertEnrolment,
} from './store/enrolments.ts';
import { insertEvent } from './store/events.ts';
import { insertHost, nextChallengeSeq } from './store/hosts.ts';
import type { PendingEnrolment } from './store/schema.ts';
import { findState } from './store/states.ts';
import type { Db } from './store/store.ts';
import { deleteAgentTokens, insertToken, useToken } from './store/tokens.ts';

/** The join token's holder, and where the request came in. */
export interface Joiner {
  /** The join token's hash. */
  readonly token: string;
  /** The operator chose demonstration for the host that uses this token. */
  readonly demonstration: boolean;
  /** The listener's own address is loopback: nobody else can reach it. */
  readonly loopback: boolean;
}

const SECRET_SIZE = 32;
const ACTIVATION_LIFETIME_MS = 5 * 60_000;

/**
 * Checks who wants to enrol and gives the credential that it must open.
 * @throws {ServerError} `ek.…`, `ak.…`, `enrol.…`
 */
export async function beginEnrolment(
  ctx: ServerContext,
  request: EnrolmentRequest,
  joiner: Joiner,
): Promise<EnrolmentChallenge> {
  const now = ctx.now();
  refuseWeakBank(ctx, request);
  const ek = ctx.tpm.checkEk(request.ekCertificates, request.ekPublic, now);
  const assurance = assuranceOf(ek, request, joiner);
  const ak = ctx.tpm.checkAk(request.akPublic);
  const pending: PendingEnrolment = {
    hostId: hostIdOf(ek),
    name: hostNameOf(request),
    akPublic: toHex(request.akPublic),
    akName: toHex(ak.name),
    ekId: ek.id,
    ekCertificate: toHex(ek.certificate),
    selection: { bank: request.bank, pcrs: ctx.settings.pcrs },
    measurer: request.measurer,
    assurance,
  };
  await refuseChangedIdentity(ctx.store.read, pending);
  const secret = randomBytes(SECRET_SIZE);
  const credential = ctx.tpm.makeCredential(ek.publicArea, ak.name, secret);
  const enrolmentId = randomBytes(16).toString('hex');
  const activation = { pending, joinToken: joiner.token, secretSha256: digest('sha256', secret) };
  await ctx.store.write((trx) => insertActivation(trx, enrolmentId, activation, now, now + ACTIVATION_LIFETIME_MS));
  return { enrolmentId, credentialBlob: credential.credentialBlob, secret: credential.secret };
}

function refuseWeakBank(ctx: ServerContext, { bank, availableBanks }: EnrolmentRequest): void {
  if (!ctx.settings.banks.includes(bank)) {
    const others = availableBanks.filter((each) => ctx.settings.banks.includes(each));
    const instead =
      others.length === 0 ? 'and the TPM has no stronger one allocated' : `but ${others.join(', ')} would do`;
    throw new ServerError('enrol.bank-weak', `the host proposes the ${bank} bank, ${instead}`);
  }
  if (!availableBanks.includes(bank)) {
    throw new ServerError('enrol.bank-weak', `the host proposes the ${bank} bank, which its TPM has not allocated`);
  }
}

/** What the TPM is worth: what a configured root says of it, or demonstration where the operator chose that. */
function assuranceOf(ek: CheckedEk, request: EnrolmentRequest, joiner: Joiner): Assurance {
  if (ek.assurance !== undefined) return ek.assurance;
  if (!joiner.demonstration) {
    if (request.tpmKind === 'software') throw new ServerError('ek.software', 'the host has a software TPM');
    throw new ServerError('ek.untrusted-root', 'the EK certificate leads to no configured root');
  }
  if (!joiner.loopback) {
    throw new ServerError('enrol.demonstration-refused', 'demonstration is allowed on loopback only', {
      advice: 'enrol this host through a listener on 127.0.0.1, or configure the root of its TPM',
    });
  }
  return 'demonstration';
}

/** Shown to people: control characters and bidirectional overrides could make one name look like another. */
function hostNameOf({ hostName }: EnrolmentRequest): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/.test(hostName)) {
    throw new ServerError(
      'evidence.malformed',
      'the host name may hold letters, digits, dots, hyphens and underscores only',
    );
  }
  return hostName;
}

/**
 * Completes the enrolment of who opened the credential. The same answer twice is no error: an agent that lost the first
 * one (it crashed, the line broke) asks again and gets a new token.
 * @throws {ServerError} `enrol.unknown`, `enrol.activation-failed`, `enrol.identity-changed`, `token.used`
 */
export async function activateEnrolment(ctx: ServerContext, request: ActivationRequest): Promise<EnrolmentAnswer> {
  const now = ctx.now();
  const activation = await findActivation(ctx.store.read, request.enrolmentId, now);
  if (activation === undefined) throw new ServerError('enrol.unknown', 'no such enrolment is under way');
  if (!bytesEqual(digest('sha256', request.credential), activation.secretSha256)) {
    await ctx.store.write((trx) => deleteActivation(trx, request.enrolmentId));
    throw new ServerError('enrol.activation-failed', 'the credential that came back is not the one that was sent');
  }
  const answer = await ctx.store.write((trx) => completeEnrolment(ctx, trx, activation, now));
  ctx.live.notify();
  return answer;
}

async function completeEnrolment(
  ctx: ServerContext,
  trx: Db,
  { pending, joinToken }: Activation,
  now: number,
): Promise<EnrolmentAnswer> {
  await refuseChangedIdentity(trx, pending);
  const isKnown = (await findEnrolment(trx, pending.hostId)) !== undefined;
  const isFirstUse = await useToken(trx, joinToken, now);
  if (!isFirstUse && !isKnown) throw new ServerError('token.used', 'the join token has been used by another host');
  if (!isKnown) await insertNewHost(ctx, trx, pending, now);
  const token = newToken({ role: 'agent', label: pending.name, hostId: pending.hostId, now });
  await deleteAgentTokens(trx, pending.hostId);
  await insertToken(trx, token.stored);
  const enrolment = enrolmentOf(pending);
  // Without a reference everything of this boot is asked for: the agent may have lost what it sent before.
  const { state } = await findState(trx, pending.hostId);
  const challenge = newChallenge(ctx, { enrolment, state, reference: undefined }, now);
  const seq = await nextChallengeSeq(trx, pending.hostId);
  await insertChallenge(trx, pending.hostId, pending.akName, seq ?? 0, challenge);
  return { hostId: pending.hostId, token: token.token, challenge };
}

async function insertNewHost(ctx: ServerContext, trx: Db, pending: PendingEnrolment, now: number): Promise<void> {
  const { hostId, name, assurance, measurer } = pending;
  const { intervalMs, defaultReference } = ctx.settings;
  await insertHost(trx, { id: hostId, name, intervalMs, referenceId: defaultReference ?? null }, now);
  await insertEnrolment(trx, pending, now);
  const data = JSON.stringify({ name, assurance, measurer });
  await insertEvent(trx, { at: now, kind: 'enrolled', hostId, data });
}

function enrolmentOf(pending: PendingEnrolment): Enrolment {
  const { hostId, selection, measurer, assurance } = pending;
  return { hostId, akPublic: Buffer.from(pending.akPublic, 'hex'), selection, measurer, assurance };
}
