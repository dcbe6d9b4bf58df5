/** Hosts: what is known of each now, and its last results. */
import { sql } from 'kysely';
import type { Assurance, Measurer } from '../../evidence/index.ts';
import type { Finding, Verdict } from '../../verify/index.ts';
import { compiled } from './compiled.ts';
import { fromJson, type JsonText, toJson } from './json-column.ts';
import type { HostsTable, ResultsTable } from './schema.ts';
import type { Db } from './store.ts';

/** How many results of one host are kept. */
export const RESULTS_PER_HOST = 256;
/** How many findings each of those shows; the host's row holds those of its last verdict. */
const FINDINGS_PER_RESULT = 16;

export interface NewHost {
  readonly id: string;
  readonly name: string;
  readonly intervalMs: number;
  readonly referenceId: string | null;
}

export async function insertHost(db: Db, host: NewHost, now: number): Promise<void> {
  await db
    .insertInto('hosts')
    .values({
      id: host.id,
      name: host.name,
      created_at: now,
      last_seen_at: null,
      live: 1,
      interval_ms: host.intervalMs,
      verdict: null,
      verdict_as_of: null,
      findings: toJson<readonly Finding[]>([]),
      finding_count: 0,
      measured: 0,
      reference_id: host.referenceId,
      result_seq: 0,
      challenge_seq: 0,
    })
    .execute();
}

export function findHost(db: Db, id: string): Promise<HostsTable | undefined> {
  return db.selectFrom('hosts').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Removes the host with everything that is known of it. False where there is none. */
export async function deleteHost(db: Db, id: string): Promise<boolean> {
  const done = await db.deleteFrom('hosts').where('id', '=', id).executeTakeFirst();
  return done.numDeletedRows === 1n;
}

export async function setHostReference(db: Db, id: string, referenceId: string): Promise<void> {
  await db.updateTable('hosts').set({ reference_id: referenceId }).where('id', '=', id).execute();
}

/** The host's next number for a challenge. Undefined where the host is gone. */
export async function nextChallengeSeq(db: Db, id: string): Promise<number | undefined> {
  const row = await db
    .updateTable('hosts')
    .set({ challenge_seq: sql<number>`challenge_seq + 1` })
    .where('id', '=', id)
    .returning('challenge_seq')
    .executeTakeFirst();
  return row?.challenge_seq;
}

export interface NewResult {
  readonly asOf: number;
  readonly receivedAt: number;
  /** Undefined: the evidence gave no new verdict, and the last one stands. */
  readonly verdict: Verdict | undefined;
  readonly findings: readonly Finding[];
  readonly measured: number;
  /** When the host is told to come again; its silence is counted from this. */
  readonly intervalMs: number;
}

export interface RecordedResult {
  readonly resultSeq: number;
  readonly challengeSeq: number;
}

/** Records a result on the host's row and in its ring, and takes the number for the next challenge. */
export async function recordResult(db: Db, hostId: string, result: NewResult): Promise<RecordedResult | undefined> {
  const { asOf, receivedAt, verdict = null, findings, measured, intervalMs } = result;
  const current =
    verdict === null
      ? { verdict, asOf: null, findings: null, findingCount: null, measured: null }
      : { verdict, asOf, findings: toJson(findings), findingCount: findings.length, measured };
  const [row] = (await RECORD(db, { hostId, receivedAt, intervalMs, ...current })).rows;
  if (row === undefined) return undefined;
  await KEEP_RESULT(db, {
    host_id: hostId,
    slot: row.result_seq % RESULTS_PER_HOST,
    seq: row.result_seq,
    as_of: asOf,
    received_at: receivedAt,
    verdict,
    measured,
    findings: toJson(findings.slice(0, FINDINGS_PER_RESULT)),
  });
  return { resultSeq: row.result_seq, challengeSeq: row.challenge_seq };
}

interface Recorded {
  readonly hostId: string;
  readonly receivedAt: number;
  readonly intervalMs: number;
  /** Null, as the four that follow: the last verdict stands. */
  readonly verdict: Verdict | null;
  readonly asOf: number | null;
  readonly findings: HostsTable['findings'] | null;
  readonly findingCount: number | null;
  readonly measured: number | null;
}

const RECORD = compiled<Recorded, Pick<HostsTable, 'result_seq' | 'challenge_seq'>>((db, parameter) =>
  db
    .updateTable('hosts')
    .set(({ fn, ref }) => ({
      verdict: fn.coalesce(parameter('verdict'), ref('verdict')),
      verdict_as_of: fn.coalesce(parameter('asOf'), ref('verdict_as_of')),
      findings: fn.coalesce(parameter('findings'), ref('findings')),
      finding_count: fn.coalesce(parameter('findingCount'), ref('finding_count')),
      measured: fn.coalesce(parameter('measured'), ref('measured')),
      last_seen_at: parameter('receivedAt'),
      live: 1,
      interval_ms: parameter('intervalMs'),
      result_seq: sql<number>`result_seq + 1`,
      challenge_seq: sql<number>`challenge_seq + 1`,
    }))
    .where('id', '=', parameter('hostId'))
    .returning(['result_seq', 'challenge_seq']),
);

const KEEP_RESULT = compiled<ResultsTable, unknown>((db, parameter) =>
  db.replaceInto('results').values({
    host_id: parameter('host_id'),
    slot: parameter('slot'),
    seq: parameter('seq'),
    as_of: parameter('as_of'),
    received_at: parameter('received_at'),
    verdict: parameter('verdict'),
    measured: parameter('measured'),
    findings: parameter('findings'),
  }),
);

export interface HostRow extends Omit<HostsTable, 'findings'> {
  readonly findings: JsonText<readonly Finding[]>;
  readonly assurance: Assurance;
  readonly measurer: Measurer;
  readonly enrolled_at: number;
}

/** Hosts with what was fixed at their enrolment, by name; `after` continues a page. */
export function listHosts(db: Db, after: string, limit: number): Promise<HostRow[]> {
  return db
    .selectFrom('hosts')
    .innerJoin('enrolments', 'enrolments.host_id', 'hosts.id')
    .selectAll('hosts')
    .select(['enrolments.assurance', 'enrolments.measurer', 'enrolments.enrolled_at'])
    .where('hosts.name', '>', after)
    .orderBy('hosts.name')
    .limit(limit)
    .execute();
}

export function hostRow(db: Db, id: string): Promise<HostRow | undefined> {
  return db
    .selectFrom('hosts')
    .innerJoin('enrolments', 'enrolments.host_id', 'hosts.id')
    .selectAll('hosts')
    .select(['enrolments.assurance', 'enrolments.measurer', 'enrolments.enrolled_at'])
    .where('hosts.id', '=', id)
    .executeTakeFirst();
}

/** Ids of the hosts that this reference judges. */
export async function hostsOfReference(db: Db, referenceId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('hosts')
    .select('id')
    .where('reference_id', '=', referenceId)
    .limit(10_000)
    .execute();
  return rows.map((row) => row.id);
}

export interface PastResult {
  readonly seq: number;
  readonly asOf: number;
  readonly receivedAt: number;
  readonly verdict: Verdict | null;
  readonly measured: number;
  readonly findings: readonly Finding[];
}

/** The host's last results, newest first. */
export async function listResults(db: Db, hostId: string, limit: number): Promise<PastResult[]> {
  const rows = await db
    .selectFrom('results')
    .selectAll()
    .where('host_id', '=', hostId)
    .orderBy('seq', 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    seq: row.seq,
    asOf: row.as_of,
    receivedAt: row.received_at,
    verdict: row.verdict,
    measured: row.measured,
    findings: fromJson(row.findings),
  }));
}

/** Hosts that are live by the store and have missed `missed` intervals. */
export async function overdueHosts(db: Db, now: number, missed: number): Promise<{ id: string; name: string }[]> {
  return db
    .selectFrom('hosts')
    .select(['id', 'name'])
    .where('live', '=', 1)
    .where(sql<number>`coalesce(last_seen_at, created_at) + interval_ms * ${missed}`, '<', now)
    .limit(1000)
    .execute();
}

/** Marks a host as silent unless something came from it meanwhile. */
export async function markSilent(db: Db, hostId: string, now: number, missed: number): Promise<boolean> {
  const done = await db
    .updateTable('hosts')
    .set({ live: 0 })
    .where('id', '=', hostId)
    .where('live', '=', 1)
    .where(sql<number>`coalesce(last_seen_at, created_at) + interval_ms * ${missed}`, '<', now)
    .executeTakeFirst();
  return done.numUpdatedRows === 1n;
}
