/** What the verifier remembers of each host; replaced only by who has seen the version before. */
import type { HostState } from '../../verify/index.ts';
import { fromJson, toJson } from './json-column.ts';
import type { Db } from './store.ts';

export interface StoredState {
  /** 0: there is none yet. */
  readonly version: number;
  readonly state: HostState | undefined;
}

export async function findState(db: Db, hostId: string): Promise<StoredState> {
  const row = await db
    .selectFrom('states')
    .select(['version', 'body'])
    .where('host_id', '=', hostId)
    .executeTakeFirst();
  return row === undefined ? { version: 0, state: undefined } : { version: row.version, state: fromJson(row.body) };
}

/** Compare and swap: false where the host's state is no longer of `version`. */
export async function swapState(db: Db, hostId: string, version: number, state: HostState): Promise<boolean> {
  const body = toJson(state);
  if (version === 0) {
    const made = await db
      .insertInto('states')
      .values({ host_id: hostId, version: 1, body })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    return made.numInsertedOrUpdatedRows === 1n;
  }
  const done = await db
    .updateTable('states')
    .set({ version: version + 1, body })
    .where('host_id', '=', hostId)
    .where('version', '=', version)
    .executeTakeFirst();
  return done.numUpdatedRows === 1n;
}
