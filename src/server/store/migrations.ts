/** The store's shape, step by step. A step that has shipped is never edited: the next one changes what it made. */
import { type Kysely, sql, type Transaction } from 'kysely';
import { ServerError } from '../error.ts';
import type { Schema } from './schema.ts';

type Step = (trx: Transaction<Schema>) => Promise<void>;

/** Step n of the list is migration number n + 1. Rings are stored by their key alone: one tree to write instead of two. */
const STEPS: readonly Step[] = [firstTables];

async function firstTables(trx: Transaction<Schema>): Promise<void> {
  const statements = [
    sql`create table hosts (
      id text primary key, name text not null unique, created_at integer not null, last_seen_at integer,
      live integer not null, interval_ms integer not null, verdict text, verdict_as_of integer, findings text not null,
      finding_count integer not null, measured integer not null, reference_id text, result_seq integer not null, challenge_seq integer not null)`,
    sql`create table enrolments (
      host_id text primary key references hosts (id) on delete cascade, ak_public blob not null,
      ak_name text not null unique, ek_id text not null unique, ek_certificate blob not null, selection text not null,
      measurer text not null, assurance text not null, enrolled_at integer not null)`,
    sql`create table activations (
      id text primary key, join_token text not null, body text not null, secret_sha256 blob not null,
      created_at integer not null, expires_at integer not null)`,
    sql`create table challenges (
      host_id text not null references hosts (id) on delete cascade, slot integer not null, nonce blob not null unique,
      ak_name text not null, body text not null, issued_at integer not null, expires_at integer not null,
      consumed_at integer, primary key (host_id, slot)) without rowid`,
    sql`create table states (
      host_id text primary key references hosts (id) on delete cascade, version integer not null, body text not null)`,
    sql`create table results (
      host_id text not null references hosts (id) on delete cascade, slot integer not null, seq integer not null,
      as_of integer not null, received_at integer not null, verdict text, measured integer not null,
      findings text not null, primary key (host_id, slot)) without rowid`,
    sql`create table evidence (
      host_id text primary key references hosts (id) on delete cascade, nonce blob not null, message blob not null,
      signature blob not null, pcrs text not null, received_at integer not null)`,
    sql`create table ima_parts (
      host_id text not null references hosts (id) on delete cascade, first_byte integer not null,
      first_entry integer not null, entries integer not null, bytes blob not null, primary key (host_id, first_byte))`,
    sql`create table boot_logs (
      host_id text primary key references hosts (id) on delete cascade, sha256 text not null, bytes blob not null)`,
    sql`create table reference_manifests (id text primary key, manifest text not null, updated_at integer not null)`,
    sql`create table tokens (
      hash text primary key, role text not null, host_id text references hosts (id) on delete cascade,
      label text not null, demonstration integer not null, created_at integer not null, expires_at integer,
      used_at integer)`,
    sql`create table events (
      seq integer primary key autoincrement, at integer not null, kind text not null, host_id text not null,
      data text not null)`,
    sql`create index events_by_host on events (host_id, seq)`,
    sql`create index tokens_by_host on tokens (host_id)`,
    sql`create index activations_by_token on activations (join_token)`,
  ];
  for (const statement of statements) await statement.execute(trx);
}

/**
 * Brings the store to the newest shape, each step in a transaction of its own.
 * @throws {ServerError} `store.newer` where a newer Assay has written it
 */
export async function migrate(db: Kysely<Schema>, now: number): Promise<void> {
  await sql`create table if not exists migrations (number integer primary key, applied_at integer not null)`.execute(
    db,
  );
  const row = await db
    .selectFrom('migrations')
    .select(({ fn }) => fn.max('number').as('last'))
    .executeTakeFirst();
  const applied = row?.last ?? 0;
  if (applied > STEPS.length) {
    throw new ServerError('store.newer', `the store is of version ${applied}, this Assay knows up to ${STEPS.length}`, {
      advice: 'run the newer Assay that wrote it',
    });
  }
  for (const [index, step] of STEPS.entries()) {
    const number = index + 1;
    if (number <= applied) continue;
    await db.transaction().execute(async (trx) => {
      await step(trx);
      await trx.insertInto('migrations').values({ number, applied_at: now }).execute();
    });
  }
}
