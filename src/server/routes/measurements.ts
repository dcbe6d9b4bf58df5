/** Measured files of a host, by page, with what the verifier found on each. */
import Type from 'typebox';
import type { ServerContext } from '../context.ts';
import { ServerError } from '../error.ts';
import type { App } from '../http/app.ts';
import { filesOfPart, type MeasuredFile } from '../measured-files.ts';
import { allImaParts, imaEntriesKept, imaPartsWith } from '../store/evidence.ts';
import { findHost } from '../store/hosts.ts';
import { fromJson } from '../store/json-column.ts';
import { findState } from '../store/states.ts';
import type { Db } from '../store/store.ts';
import { HostId } from './schemas.ts';

const MAX_PAGE = 1000;

const ItemBody = Type.Object({
  index: Type.Integer(),
  pcr: Type.Integer(),
  template: Type.String(),
  digest: Type.String(),
  path: Type.String({ description: 'Raw: may hold any character' }),
  violation: Type.Boolean(),
  judgement: Type.Union([Type.Literal('matches'), Type.Literal('finding'), Type.Literal('not-judged')]),
  findings: Type.Array(Type.String(), { description: 'Codes of the findings on this entry' }),
});

const Query = Type.Object({
  search: Type.String({ maxLength: 4096, default: '', description: 'Part of a path or digest' }),
  order: Type.Union([Type.Literal('oldest'), Type.Literal('newest')], {
    default: 'oldest',
    description: 'What comes first',
  }),
  offset: Type.Integer({ minimum: 0, default: 0 }),
  limit: Type.Integer({ minimum: 1, maximum: MAX_PAGE, default: 100 }),
});

interface Page {
  readonly total: number;
  readonly files: readonly MeasuredFile[];
}

export function measurementRoutes(app: App, ctx: ServerContext): void {
  const schema = {
    summary: 'Measured files of this boot, as the last verified quote covers them',
    tags: ['hosts'],
    params: Type.Object({ id: HostId }),
    querystring: Query,
    response: { 200: Type.Object({ total: Type.Integer(), items: Type.Array(ItemBody) }) },
  };
  app.get('/hosts/:id/measurements', { config: { access: 'viewer' }, schema }, async ({ params, query }) => {
    const db = ctx.store.read;
    const host = await findHost(db, params.id);
    if (host === undefined) throw new ServerError('host.unknown', 'no such host is enrolled');
    const { state } = await findState(db, host.id);
    const digestSize = state?.boot?.ima.templateDigestSize ?? 20;
    const { total, files } =
      query.search === '' ? await pageOf(db, host.id, digestSize, query) : await search(db, host.id, digestSize, query);
    const codes = new Map<number, string[]>();
    for (const { code, position } of fromJson(host.findings)) {
      if (position?.log === 'ima') codes.set(position.index, [...(codes.get(position.index) ?? []), code]);
    }
    const isJudged = state?.boot?.referenceId !== undefined;
    const items = files.map((file) => {
      const findings = codes.get(file.index) ?? [];
      const judgement = findings.length > 0 ? 'finding' : isJudged ? 'matches' : 'not-judged';
      return { ...file, findings, judgement } as const;
    });
    return { total, items };
  });
}

async function pageOf(
  db: Db,
  hostId: string,
  digestSize: number,
  { order, offset, limit }: Type.Static<typeof Query>,
): Promise<Page> {
  const total = await imaEntriesKept(db, hostId);
  const first = order === 'oldest' ? offset : Math.max(0, total - offset - limit);
  const end = order === 'oldest' ? offset + limit : Math.max(0, total - offset);
  const parts = await imaPartsWith(db, hostId, first, end);
  const files = parts.flatMap((part) => [...filesOfPart(part, digestSize)]);
  const shown = files.filter(({ index }) => index >= first && index < end);
  return { total, files: order === 'oldest' ? shown : shown.reverse() };
}

async function search(
  db: Db,
  hostId: string,
  digestSize: number,
  { search: wanted, order, offset, limit }: Type.Static<typeof Query>,
): Promise<Page> {
  const files: MeasuredFile[] = [];
  let total = 0;
  for await (const part of allImaParts(db, hostId, order)) {
    const inPart = [...filesOfPart(part, digestSize)];
    for (const file of order === 'oldest' ? inPart : inPart.reverse()) {
      if (!file.path.includes(wanted) && !file.digest.includes(wanted)) continue;
      if (total >= offset && files.length < limit) files.push(file);
      total += 1;
    }
  }
  return { total, files };
}
