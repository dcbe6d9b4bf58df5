/** The last evidence of each host: the quote, and the logs that quotes of this boot covered. */
import { compiled } from './compiled.ts';
import type { EvidenceTable, ImaPartsTable } from './schema.ts';
import type { Db } from './store.ts';

export type StoredQuote = EvidenceTable;
export type ImaPart = ImaPartsTable;

export async function putQuote(db: Db, quote: StoredQuote): Promise<void> {
  await PUT_QUOTE(db, quote);
}

const PUT_QUOTE = compiled<StoredQuote, unknown>((db, parameter) => {
  const rest = {
    nonce: parameter('nonce'),
    message: parameter('message'),
    signature: parameter('signature'),
    pcrs: parameter('pcrs'),
    received_at: parameter('received_at'),
  };
  return db
    .insertInto('evidence')
    .values({ host_id: parameter('host_id'), ...rest })
    .onConflict((conflict) => conflict.column('host_id').doUpdateSet(rest));
});

export function findQuote(db: Db, hostId: string): Promise<StoredQuote | undefined> {
  return db.selectFrom('evidence').selectAll().where('host_id', '=', hostId).executeTakeFirst();
}

export async function putBootLog(db: Db, hostId: string, sha256: string, bytes: Uint8Array): Promise<void> {
  await db.replaceInto('boot_logs').values({ host_id: hostId, sha256, bytes }).execute();
}

export async function findBootLog(db: Db, hostId: string): Promise<Uint8Array | undefined> {
  const row = await db.selectFrom('boot_logs').select('bytes').where('host_id', '=', hostId).executeTakeFirst();
  return row?.bytes;
}

export async function deleteImaParts(db: Db, hostId: string): Promise<void> {
  await db.deleteFrom('ima_parts').where('host_id', '=', hostId).execute();
}

/** Adds a part, or replaces the one that begins at the same byte. */
export async function putImaPart(db: Db, part: ImaPart): Promise<void> {
  await db.replaceInto('ima_parts').values(part).execute();
}

export function lastImaPart(db: Db, hostId: string): Promise<ImaPart | undefined> {
  return db
    .selectFrom('ima_parts')
    .selectAll()
    .where('host_id', '=', hostId)
    .orderBy('first_byte', 'desc')
    .executeTakeFirst();
}

/** The parts that hold entries of [first, end), in order. */
export async function imaPartsWith(db: Db, hostId: string, first: number, end: number): Promise<ImaPart[]> {
  const parts = await db
    .selectFrom('ima_parts')
    .selectAll()
    .where('host_id', '=', hostId)
    .where('first_entry', '<', end)
    .where((eb) => eb(eb('first_entry', '+', eb.ref('entries')), '>', first))
    .orderBy('first_byte')
    .execute();
  return parts;
}

export async function imaEntriesKept(db: Db, hostId: string): Promise<number> {
  const last = await db
    .selectFrom('ima_parts')
    .select(['first_entry', 'entries'])
    .where('host_id', '=', hostId)
    .orderBy('first_byte', 'desc')
    .executeTakeFirst();
  return last === undefined ? 0 : last.first_entry + last.entries;
}

/** Every part, from either end of the list, one in memory at a time. */
export async function* allImaParts(db: Db, hostId: string, first: 'oldest' | 'newest'): AsyncGenerator<ImaPart> {
  let after = first === 'oldest' ? -1 : Number.MAX_SAFE_INTEGER;
  for (;;) {
    const part = await db
      .selectFrom('ima_parts')
      .selectAll()
      .where('host_id', '=', hostId)
      .where('first_byte', first === 'oldest' ? '>' : '<', after)
      .orderBy('first_byte', first === 'oldest' ? 'asc' : 'desc')
      .limit(1)
      .executeTakeFirst();
    if (part === undefined) return;
    yield part;
    after = part.first_byte;
  }
}
