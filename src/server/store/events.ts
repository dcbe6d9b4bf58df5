/** Events for subscribers, kept so that one who comes back misses nothing; the oldest go first. */
import type { EventKind } from './schema.ts';
import type { Db } from './store.ts';

/** How many events are kept of all hosts, and of one: a host whose verdict flaps cannot push out the others'. */
export const EVENTS_KEPT = 10_000;
export const EVENTS_PER_HOST = 200;

export interface StoredEvent {
  readonly seq: number;
  readonly at: number;
  readonly kind: EventKind;
  readonly hostId: string;
  /** JSON. */
  readonly data: string;
}

/** Appends one event and lets go of what is too old. */
export async function insertEvent(db: Db, event: Omit<StoredEvent, 'seq'>): Promise<void> {
  const done = await db
    .insertInto('events')
    .values({ at: event.at, kind: event.kind, host_id: event.hostId, data: event.data })
    .executeTakeFirst();
  const seq = Number(done.insertId ?? 0);
  await db
    .deleteFrom('events')
    .where('seq', '<=', seq - EVENTS_KEPT)
    .execute();
  const oldest = db
    .selectFrom('events')
    .select('seq')
    .where('host_id', '=', event.hostId)
    .orderBy('seq', 'desc')
    .limit(1)
    .offset(EVENTS_PER_HOST);
  await db.deleteFrom('events').where('host_id', '=', event.hostId).where('seq', '<=', oldest).execute();
}

/** Events after `seq`, oldest first. */
export async function eventsAfter(db: Db, seq: number, limit: number): Promise<StoredEvent[]> {
  const rows = await db.selectFrom('events').selectAll().where('seq', '>', seq).orderBy('seq').limit(limit).execute();
  return rows.map((row) => ({ seq: row.seq, at: row.at, kind: row.kind, hostId: row.host_id, data: row.data }));
}

/** The first and last number that is kept; both 0 where there is none. */
export async function eventRange(db: Db): Promise<{ first: number; last: number }> {
  const row = await db
    .selectFrom('events')
    .select(({ fn }) => [fn.min('seq').as('first'), fn.max('seq').as('last')])
    .executeTakeFirst();
  return { first: row?.first ?? 0, last: row?.last ?? 0 };
}
