/** Enrolments: what was fixed, and those that wait for their credential to come back. */
import { fromHex } from '../../bytes/index.ts';
import type { Enrolment } from '../../verify/index.ts';
import { compiled } from './compiled.ts';
import { fromJson, toJson } from './json-column.ts';
import type { EnrolmentsTable, HostsTable, PendingEnrolment, StatesTable } from './schema.ts';
import { type Nullable, type StoredState, storedState } from './states.ts';
import type { Db } from './store.ts';

export interface StoredEnrolment extends Enrolment {
  /** Name of the AK, hex. */
  readonly akName: string;
  readonly ekId: string;
  /** The host's name. */
  readonly name: string;
}

type Row = EnrolmentsTable & { readonly name: string };

function enrolmentOf(row: Row): StoredEnrolment {
  return {
    hostId: row.host_id,
    name: row.name,
    akPublic: row.ak_public,
    akName: row.ak_name,
    ekId: row.ek_id,
    selection: fromJson(row.selection),
    measurer: row.measurer,
    assurance: row.assurance,
  };
}

async function findBy(
  db: Db,
  column: 'enrolments.host_id' | 'enrolments.ek_id' | 'enrolments.ak_name' | 'hosts.name',
  value: string,
): Promise<StoredEnrolment | undefined> {
  const row = await db
    .selectFrom('enrolments')
    .innerJoin('hosts', 'hosts.id', 'enrolments.host_id')
    .selectAll('enrolments')
    .select('hosts.name')
    .where(column, '=', value)
    .executeTakeFirst();
  return row === undefined ? undefined : enrolmentOf(row);
}

/** All that is known of the host that attests, in one read. */
export interface Attester {
  readonly enrolment: StoredEnrolment;
  readonly host: HostsTable;
  readonly state: StoredState;
}

export async function findAttester(db: Db, hostId: string): Promise<Attester | undefined> {
  const [row] = (await ATTESTER(db, { hostId })).rows;
  return row === undefined ? undefined : { host: row, enrolment: enrolmentOf(row), state: storedState(row) };
}

type AttesterRow = HostsTable & EnrolmentsTable & Nullable<Pick<StatesTable, 'version' | 'body'>>;

const ATTESTER = compiled<{ readonly hostId: string }, AttesterRow>((db, parameter) =>
  db
    .selectFrom('hosts')
    .innerJoin('enrolments', 'enrolments.host_id', 'hosts.id')
    .leftJoin('states', 'states.host_id', 'hosts.id')
    .selectAll('hosts')
    .selectAll('enrolments')
    .select(['states.version', 'states.body'])
    .where('hosts.id', '=', parameter('hostId')),
);

export function findEnrolment(db: Db, hostId: string): Promise<StoredEnrolment | undefined> {
  return findBy(db, 'enrolments.host_id', hostId);
}

/** The enrolment of the TPM with this EK. */
export function findEnrolmentByEk(db: Db, ekId: string): Promise<StoredEnrolment | undefined> {
  return findBy(db, 'enrolments.ek_id', ekId);
}

/** The enrolment whose AK has this Name (hex). */
export function findEnrolmentByAk(db: Db, akName: string): Promise<StoredEnrolment | undefined> {
  return findBy(db, 'enrolments.ak_name', akName);
}

/** The enrolment of the host that calls itself so. */
export function findEnrolmentByName(db: Db, name: string): Promise<StoredEnrolment | undefined> {
  return findBy(db, 'hosts.name', name);
}

export async function insertEnrolment(db: Db, pending: PendingEnrolment, now: number): Promise<void> {
  await db
    .insertInto('enrolments')
    .values({
      host_id: pending.hostId,
      ak_public: fromHex(pending.akPublic),
      ak_name: pending.akName,
      ek_id: pending.ekId,
      ek_certificate: fromHex(pending.ekCertificate),
      selection: toJson(pending.selection),
      measurer: pending.measurer,
      assurance: pending.assurance,
      enrolled_at: now,
    })
    .execute();
}

export interface Activation {
  readonly pending: PendingEnrolment;
  readonly joinToken: string;
  readonly secretSha256: Uint8Array;
}

/** One join token has one enrolment under way: a new attempt puts the one before it out of force. */
export async function insertActivation(
  db: Db,
  id: string,
  activation: Activation,
  now: number,
  expiresAt: number,
): Promise<void> {
  await db.deleteFrom('activations').where('expires_at', '<', now).execute();
  await db.deleteFrom('activations').where('join_token', '=', activation.joinToken).execute();
  await db
    .insertInto('activations')
    .values({
      id,
      join_token: activation.joinToken,
      body: toJson(activation.pending),
      secret_sha256: activation.secretSha256,
      created_at: now,
      expires_at: expiresAt,
    })
    .execute();
}

export async function findActivation(db: Db, id: string, now: number): Promise<Activation | undefined> {
  const row = await db
    .selectFrom('activations')
    .selectAll()
    .where('id', '=', id)
    .where('expires_at', '>', now)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return { pending: fromJson(row.body), joinToken: row.join_token, secretSha256: row.secret_sha256 };
}

export async function deleteActivation(db: Db, id: string): Promise<void> {
  await db.deleteFrom('activations').where('id', '=', id).execute();
}
