/** Challenges: a ring per host, each consumed once. */
import type { Challenge } from '../../evidence/index.ts';
import { fromJson, toJson } from './json-column.ts';
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
  await db
    .replaceInto('challenges')
    .values({
      host_id: hostId,
      slot: seq % CHALLENGES_PER_HOST,
      nonce,
      ak_name: akName,
      body: toJson(request),
      issued_at: issuedAt,
      expires_at: expiresAt,
      consumed_at: null,
    })
    .execute();
}

/** The challenge with this nonce, whosever it is and whether consumed or not. */
export async function findChallenge(db: Db, nonce: Uint8Array): Promise<StoredChallenge | undefined> {
  const row = await db.selectFrom('challenges').selectAll().where('nonce', '=', nonce).executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    hostId: row.host_id,
    akName: row.ak_name,
    challenge: { ...fromJson(row.body), nonce: row.nonce, issuedAt: row.issued_at, expiresAt: row.expires_at },
    consumedAt: row.consumed_at,
  };
}

/** Compare and swap: false where it was consumed already, or has left the ring. */
export async function consumeChallenge(db: Db, hostId: string, nonce: Uint8Array, now: number): Promise<boolean> {
  const done = await db
    .updateTable('challenges')
    .set({ consumed_at: now })
    .where('nonce', '=', nonce)
    .where('host_id', '=', hostId)
    .where('consumed_at', 'is', null)
    .executeTakeFirst();
  return done.numUpdatedRows === 1n;
}
