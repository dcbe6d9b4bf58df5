/** Challenges: a ring per host, each consumed once. */
import type { Challenge } from '../../evidence/index.ts';
import { compiled } from './compiled.ts';
import { fromJson, toJson } from './json-column.ts';
import type { ChallengesTable } from './schema.ts';
import type { Db } from './store.ts';

/** How many challenges of one host are remembered, the answered ones included. */
export const CHALLENGES_PER_HOST = 8;

export interface StoredChallenge {
  readonly hostId: string;
  readonly akName: string;
  readonly challenge: Challenge;
  readonly consumedAt: number | null;
}

/** Puts a challenge in the place of the host's oldest. @param seq the host's counter of challenges */
export async function insertChallenge(
  db: Db,
  hostId: string,
  akName: string,
  seq: number,
  challenge: Challenge,
): Promise<void> {
  const { nonce, issuedAt, expiresAt, ...request } = challenge;
  await INSERT(db, {
    host_id: hostId,
    slot: seq % CHALLENGES_PER_HOST,
    nonce,
    ak_name: akName,
    body: toJson(request),
    issued_at: issuedAt,
    expires_at: expiresAt,
  });
}

const INSERT = compiled<Omit<ChallengesTable, 'consumed_at'>, unknown>((db, parameter) =>
  db.replaceInto('challenges').values({
    host_id: parameter('host_id'),
    slot: parameter('slot'),
    nonce: parameter('nonce'),
    ak_name: parameter('ak_name'),
    body: parameter('body'),
    issued_at: parameter('issued_at'),
    expires_at: parameter('expires_at'),
    consumed_at: null,
  }),
);

/** The challenge with this nonce, whosever it is and whether consumed or not. */
export async function findChallenge(db: Db, nonce: Uint8Array): Promise<StoredChallenge | undefined> {
  const [row] = (await BY_NONCE(db, { nonce })).rows;
  if (row === undefined) return undefined;
  return {
    hostId: row.host_id,
    akName: row.ak_name,
    challenge: { ...fromJson(row.body), nonce: row.nonce, issuedAt: row.issued_at, expiresAt: row.expires_at },
    consumedAt: row.consumed_at,
  };
}

const BY_NONCE = compiled<Pick<ChallengesTable, 'nonce'>, ChallengesTable>((db, parameter) =>
  db.selectFrom('challenges').selectAll().where('nonce', '=', parameter('nonce')),
);

/** Compare and swap: false where it was consumed already, or has left the ring. */
export async function consumeChallenge(db: Db, hostId: string, nonce: Uint8Array, now: number): Promise<boolean> {
  return (await CONSUME(db, { hostId, nonce, now })).numAffectedRows === 1n;
}

interface Consumption {
  readonly hostId: string;
  readonly nonce: Uint8Array;
  readonly now: number;
}

const CONSUME = compiled<Consumption, unknown>((db, parameter) =>
  db
    .updateTable('challenges')
    .set({ consumed_at: parameter('now') })
    .where('nonce', '=', parameter('nonce'))
    .where('host_id', '=', parameter('hostId'))
    .where('consumed_at', 'is', null),
);
