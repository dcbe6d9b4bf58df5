/** What the verifier remembers of each host; replaced only by who has seen the version before. */
import type { HostState } from '../../verify/index.ts';
import { compiled } from './compiled.ts';
import { fromJson, toJson } from './json-column.ts';
import type { StatesTable } from './schema.ts';
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
  return storedState(row ?? { version: null, body: null });
}

/** From the columns of a row that may have no state. */
export function storedState({ version, body }: Nullable<Pick<StatesTable, 'version' | 'body'>>): StoredState {
  return version === null || body === null ? { version: 0, state: undefined } : { version, state: fromJson(body) };
}

export type Nullable<T> = { readonly [K in keyof T]: T[K] | null };

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
  return (await SWAP(db, { hostId, version, next: version + 1, body })).numAffectedRows === 1n;
}

interface Swap extends Pick<StatesTable, 'version' | 'body'> {
  readonly hostId: string;
  readonly next: number;
}

const SWAP = compiled<Swap, unknown>((db, parameter) =>
  db
    .updateTable('states')
    .set({ version: parameter('next'), body: parameter('body') })
    .where('host_id', '=', parameter('hostId'))
    .where('version', '=', parameter('version')),
);
