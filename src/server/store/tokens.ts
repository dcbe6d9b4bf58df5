/** Tokens by their SHA-256. */
import { compiled } from './compiled.ts';
import type { TokensTable } from './schema.ts';
import type { Db } from './store.ts';

export type StoredToken = TokensTable;

export async function insertToken(db: Db, token: StoredToken): Promise<void> {
  await db.insertInto('tokens').values(token).execute();
}

/** The token as it is stored, used and expired ones too; undefined where there never was one. */
export async function findToken(db: Db, hash: string): Promise<StoredToken | undefined> {
  const { rows } = await TOKEN(db, { hash });
  return rows[0];
}

const TOKEN = compiled<Pick<StoredToken, 'hash'>, StoredToken>((db, parameter) =>
  db.selectFrom('tokens').selectAll().where('hash', '=', parameter('hash')),
);

/** Marks a one-time token as used. False where somebody else was first: compare and swap. */
export async function useToken(db: Db, hash: string, now: number): Promise<boolean> {
  const done = await db
    .updateTable('tokens')
    .set({ used_at: now })
    .where('hash', '=', hash)
    .where('used_at', 'is', null)
    .executeTakeFirst();
  return done.numUpdatedRows === 1n;
}

/** An agent has one token: a new one puts the old one out of force. */
export async function deleteAgentTokens(db: Db, hostId: string): Promise<void> {
  await db.deleteFrom('tokens').where('host_id', '=', hostId).where('role', '=', 'agent').execute();
}

export async function deleteToken(db: Db, hash: string): Promise<boolean> {
  const done = await db.deleteFrom('tokens').where('hash', '=', hash).executeTakeFirst();
  return done.numDeletedRows === 1n;
}

/** What is past its time goes; used one-time tokens stay until then, so that a second use is told from a wrong token. */
export async function deleteExpiredTokens(db: Db, now: number): Promise<void> {
  await db.deleteFrom('tokens').where('expires_at', '<', now).execute();
}

/** Bearer tokens for people and programs, newest first. */
export function listTokens(db: Db): Promise<StoredToken[]> {
  return db
    .selectFrom('tokens')
    .selectAll()
    .where('role', 'in', ['viewer', 'operator', 'admin', 'agent', 'join'])
    .orderBy('created_at', 'desc')
    .limit(1000)
    .execute();
}
