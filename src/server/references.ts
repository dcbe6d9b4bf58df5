/** Reference manifests on the server: taken in, given to hosts, their waiting files approved. */
import type { FileReference, PendingFile, ReferenceManifest } from '../reference/index.ts';
import type { ServerContext } from './context.ts';
import { ServerError } from './error.ts';
import { insertEvent } from './store/events.ts';
import { findHost, hostsOfReference, setHostReference } from './store/hosts.ts';
import { findReference, putReference } from './store/references.ts';

/**
 * Stores a manifest once it compiles; hosts that it judges are judged anew with their next evidence.
 * @throws {AssayError} where the manifest is not one
 */
export async function replaceReference(ctx: ServerContext, id: string, manifest: ReferenceManifest): Promise<string> {
  const compiled = ctx.judgement.compileReference(manifest);
  const now = ctx.now();
  await ctx.store.write(async (trx) => {
    await putReference(trx, id, manifest, now);
    const data = JSON.stringify({ id, identity: compiled.id });
    for (const hostId of (await hostsOfReference(trx, id)).slice(0, MAX_TOLD)) {
      await insertEvent(trx, { at: now, kind: 'reference', hostId, data });
    }
  });
  ctx.references.set(id, compiled);
  ctx.live.notify();
  return compiled.id;
}

/** Hosts that one change of a reference names in events. */
const MAX_TOLD = 100;

export interface Approval {
  /** Paths to approve; left out: every file that waits. */
  readonly paths?: readonly string[];
}

/**
 * Moves waiting files of the host's reference among the approved ones.
 * @returns how many were approved
 * @throws {ServerError} `reference.not-found`, `reference.nothing-pending`
 */
export async function approvePending(ctx: ServerContext, hostId: string, { paths }: Approval): Promise<number> {
  const host = await findHost(ctx.store.read, hostId);
  if (host === undefined) throw new ServerError('host.unknown', 'no such host is enrolled');
  const stored = host.reference_id === null ? undefined : await findReference(ctx.store.read, host.reference_id);
  if (stored === undefined) throw new ServerError('reference.not-found', 'the host has no reference');
  const wanted = paths === undefined ? undefined : new Set(paths);
  const approved = stored.manifest.pending.filter(({ path }) => wanted === undefined || wanted.has(path));
  if (approved.length === 0)
    throw new ServerError('reference.nothing-pending', 'none of these files waits for approval');
  const manifest: ReferenceManifest = {
    ...stored.manifest,
    files: [...stored.manifest.files, ...approved.map(asApproved)],
    pending: stored.manifest.pending.filter((file) => !approved.includes(file)),
  };
  await replaceReference(ctx, stored.id, manifest);
  return approved.length;
}

/** A path is a glob in a reference: a waiting file's name is meant as it is. */
function asApproved({ path, digest }: PendingFile): FileReference {
  return { path: path.replace(/[*\\]/g, '\\$&'), digests: [digest], origin: 'approved' };
}

/** Judges the host by this reference from now on. @throws {ServerError} `reference.not-found`, `host.unknown` */
export async function giveReference(ctx: ServerContext, hostId: string, referenceId: string): Promise<void> {
  if ((await findReference(ctx.store.read, referenceId)) === undefined) {
    throw new ServerError('reference.not-found', `there is no reference ${referenceId}`);
  }
  await ctx.store.write(async (trx) => {
    if ((await findHost(trx, hostId)) === undefined) throw new ServerError('host.unknown', 'no such host is enrolled');
    await setHostReference(trx, hostId, referenceId);
    await insertEvent(trx, { at: ctx.now(), kind: 'reference', hostId, data: JSON.stringify({ id: referenceId }) });
  });
  ctx.live.notify();
}
