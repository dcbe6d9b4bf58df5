/** Makes challenges: what to send, under a nonce that is good for one host, one key and one answer. */
import { randomBytes } from 'node:crypto';
import type { Challenge } from '../evidence/index.ts';
import type { CompiledReference } from '../reference/index.ts';
import type { Enrolment, HostState } from '../verify/index.ts';
import type { ServerContext } from './context.ts';
import { ServerError } from './error.ts';
import { insertChallenge } from './store/challenges.ts';
import { findEnrolment } from './store/enrolments.ts';
import { findHost, nextChallengeSeq } from './store/hosts.ts';
import { findState } from './store/states.ts';

const NONCE_SIZE = 32;
/** A host answers at its next interval; twice that and a minute more is late, not stale. */
const GRACE_MS = 60_000;

/** What a request for evidence follows from. */
export interface Asked {
  readonly enrolment: Enrolment;
  readonly state: HostState | undefined;
  readonly reference: CompiledReference | undefined;
}

/** A new challenge; it counts once it is stored. */
export function newChallenge(ctx: ServerContext, { enrolment, state, reference }: Asked, now: number): Challenge {
  return {
    ...ctx.judgement.requestFor(state, enrolment, reference, now),
    nonce: randomBytes(NONCE_SIZE),
    issuedAt: now,
    expiresAt: now + 2 * ctx.settings.intervalMs + GRACE_MS,
  };
}

/** A challenge out of turn, for who has none or whose last one has expired. @throws {ServerError} `host.unknown` */
export async function freshChallenge(ctx: ServerContext, hostId: string): Promise<Challenge> {
  const enrolment = await findEnrolment(ctx.store.read, hostId);
  if (enrolment === undefined) throw new ServerError('host.unknown', 'this host is not enrolled');
  const { state } = await findState(ctx.store.read, hostId);
  const reference = await referenceOf(ctx, hostId);
  const challenge = newChallenge(ctx, { enrolment, state, reference }, ctx.now());
  await ctx.store.write(async (trx) => {
    const seq = await nextChallengeSeq(trx, hostId);
    if (seq === undefined) throw new ServerError('host.unknown', 'this host is not enrolled');
    await insertChallenge(trx, hostId, enrolment.akName, seq, challenge);
  });
  return challenge;
}

async function referenceOf(ctx: ServerContext, hostId: string): Promise<CompiledReference | undefined> {
  const host = await findHost(ctx.store.read, hostId);
  return host === undefined || host.reference_id === null ? undefined : ctx.references.get(host.reference_id);
}
