/**
 * One attestation: evidence in, verdict and next challenge out. The nonce is consumed in the same transaction that
 * stores the verifier's state and the verdict; both are compared and swapped, so of any number of answers to one
 * challenge exactly one counts, and the answer leaves only when all of it is durable.
 */
import {
  type Challenge,
  type Evidence,
  type EvidenceAnswer,
  EvidenceCodec,
  MAX_REPORTED_FINDINGS,
  type ReportedFinding,
} from '../evidence/index.ts';
import type { AttestationResult, Finding } from '../verify/index.ts';
import { bySeverity } from './by-severity.ts';
import { newChallenge } from './challenge.ts';
import type { ServerContext } from './context.ts';
import { ServerError } from './error.ts';
import { keepEvidence, keepRestOfList } from './keep-evidence.ts';
import { consumeChallenge, findChallenge, insertChallenge, type StoredChallenge } from './store/challenges.ts';
import { type Attester, findAttester, type StoredEnrolment } from './store/enrolments.ts';
import { insertEvent } from './store/events.ts';
import { recordResult } from './store/hosts.ts';
import { toJson } from './store/json-column.ts';
import { swapState } from './store/states.ts';
import type { Db } from './store/store.ts';

/** What is read before anything is judged. */
interface Known extends Attester {
  readonly challenge: Challenge;
}

/** What is written together. */
interface Outcome {
  readonly result: AttestationResult;
  readonly next: Challenge;
  readonly now: number;
  readonly intervalMs: number;
}

/**
 * Judges the evidence of the host that the caller's token speaks for.
 * @throws {EvidenceError} for bytes that are no evidence
 * @throws {ServerError} `nonce.…`, `challenge.conflict`, `host.unknown`
 */
export async function attest(ctx: ServerContext, hostId: string, bytes: Uint8Array): Promise<EvidenceAnswer> {
  const sent = EvidenceCodec.decode(bytes);
  const now = ctx.now();
  const known = await readKnown(ctx.store.read, hostId, sent.nonce, now);
  const reference = known.host.reference_id === null ? undefined : await ctx.references.get(known.host.reference_id);
  const { result, evidence } = await ctx.verifying.verify(hostId, {
    evidence: sent,
    enrolment: known.enrolment,
    reference,
    state: known.state.state,
    nonce: known.challenge.nonce,
    now,
  });
  const { intervalMs } = ctx.settings;
  const next = newChallenge(ctx, { enrolment: known.enrolment, state: result.state, reference }, ctx.now());
  const changed = await ctx.store.write((trx) => writeOutcome(trx, known, evidence, { result, next, now, intervalMs }));
  await keepRestOfList(ctx.store.write, hostId, evidence, known.state.state, result);
  if (changed) ctx.live.notify();
  ctx.live.sighted({ hostId, lastSeenAt: now, measured: result.measured });
  return answerOf(result, next, intervalMs);
}

async function readKnown(db: Db, hostId: string, nonce: Uint8Array, now: number): Promise<Known> {
  const attester = await findAttester(db, hostId);
  if (attester === undefined) throw new ServerError('host.unknown', 'this host is not enrolled');
  return { ...attester, challenge: answerable(await findChallenge(db, nonce), attester.enrolment, now) };
}

function answerable(stored: StoredChallenge | undefined, enrolment: StoredEnrolment, now: number): Challenge {
  if (stored === undefined) throw new ServerError('nonce.unknown', 'no such challenge was given out, or long ago');
  if (stored.hostId !== enrolment.hostId || stored.akName !== enrolment.akName) {
    throw new ServerError('nonce.foreign', 'the challenge was given to another host or key');
  }
  if (stored.consumedAt !== null) throw new ServerError('nonce.replayed', 'the challenge was answered before');
  if (stored.challenge.expiresAt <= now) {
    const late = Math.ceil((now - stored.challenge.expiresAt) / 1000);
    throw new ServerError('nonce.expired', `the challenge expired ${late} s ago`);
  }
  return stored.challenge;
}

/** True where something changed that subscribers are told of. */
async function writeOutcome(db: Db, known: Known, evidence: Evidence, outcome: Outcome): Promise<boolean> {
  const { host, enrolment, challenge } = known;
  const { result, next, now, intervalMs } = outcome;
  if (!(await consumeChallenge(db, host.id, challenge.nonce, now))) {
    throw new ServerError('nonce.replayed', 'the challenge was answered before');
  }
  if (result.state !== undefined && !(await swapState(db, host.id, known.state.version, result.state))) {
    throw new ServerError('challenge.conflict', 'another attestation of this host was faster');
  }
  const recorded = await recordResult(db, host.id, {
    asOf: challenge.issuedAt,
    receivedAt: now,
    verdict: result.verdict,
    findings: result.findings,
    measured: result.measured,
    intervalMs,
  });
  if (recorded === undefined) throw new ServerError('host.unknown', 'this host is not enrolled');
  await insertChallenge(db, host.id, enrolment.akName, recorded.challengeSeq, next);
  await keepEvidence(db, host.id, evidence, known.state.state, result, now);
  return tellChange(db, known, result, now);
}

/** An event where the verdict or its findings differ from the last, and one where a silent host is back. */
async function tellChange(db: Db, known: Known, result: AttestationResult, now: number): Promise<boolean> {
  const { host, enrolment, challenge } = known;
  const back = host.live === 0;
  if (back)
    await insertEvent(db, { at: now, kind: 'live', hostId: host.id, data: JSON.stringify({ name: host.name }) });
  const { verdict } = result;
  if (verdict === undefined) return back;
  if (verdict === host.verdict && toJson(result.findings) === host.findings) return back;
  const findings = reported(result.findings, FINDINGS_PER_EVENT);
  const { assurance } = enrolment;
  const data = {
    name: host.name,
    verdict,
    before: host.verdict,
    assurance,
    asOf: challenge.issuedAt,
    measured: result.measured,
    findings,
  };
  await insertEvent(db, { at: now, kind: 'verdict', hostId: host.id, data: JSON.stringify(data) });
  return true;
}

const FINDINGS_PER_EVENT = 10;
/** Bounds of the answer's encoding. */
const MAX_SUBJECT = 4096;
const MAX_MESSAGE = 12_288;

function reported(findings: readonly Finding[], limit: number): ReportedFinding[] {
  return bySeverity(findings)
    .slice(0, limit)
    .map(({ code, subject, message }) => ({
      code,
      subject: subject.slice(0, MAX_SUBJECT),
      message: message.slice(0, MAX_MESSAGE),
    }));
}

function answerOf(result: AttestationResult, next: Challenge, intervalMs: number): EvidenceAnswer {
  return {
    verdict: result.verdict,
    findings: reported(result.findings, MAX_REPORTED_FINDINGS),
    measured: result.measured,
    next,
    retry: result.verdict === undefined,
    intervalMs,
  };
}
