/** Reference manifests by id. */
import type { ReferenceManifest } from '../../reference/index.ts';
import { fromJson, toJson } from './json-column.ts';
import type { Db } from './store.ts';

export interface StoredReference {
  readonly id: string;
  readonly manifest: ReferenceManifest;
  readonly updatedAt: number;
}

export async function findReference(db: Db, id: string): Promise<StoredReference | undefined> {
  const row = await db.selectFrom('reference_manifests').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : { id: row.id, manifest: fromJson(row.manifest), updatedAt: row.updated_at };
}

export async function putReference(db: Db, id: string, manifest: ReferenceManifest, now: number): Promise<void> {
  await db
    .replaceInto('reference_manifests')
    .values({ id, manifest: toJson(manifest), updated_at: now })
    .execute();
}

/** Ids and times, without the manifests. */
export function listReferences(db: Db): Promise<{ id: string; updated_at: number }[]> {
  return db.selectFrom('reference_manifests').select(['id', 'updated_at']).orderBy('id').limit(1000).execute();
}
