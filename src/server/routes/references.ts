/** Reference manifests. */
import Type from 'typebox';
import type { ServerContext } from '../context.ts';
import { ServerError } from '../error.ts';
import type { App } from '../http/app.ts';
import { approvePending, giveReference, replaceReference } from '../references.ts';
import { findReference, listReferences } from '../store/references.ts';
import { HostId, Milliseconds, ReferenceId } from './schemas.ts';

/** A manifest of 100,000 files has some 20 MB. */
const MANIFEST_LIMIT = 64 * 1024 * 1024;

const params = Type.Object({ id: ReferenceId });

const Change = Type.Union([
  Type.Object(
    {
      approve: Type.Union([Type.Literal('all'), Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 100_000 })], {
        description: 'Files that wait for a person: all, or these paths',
      }),
    },
    { additionalProperties: false },
  ),
  Type.Object({ use: ReferenceId }, { additionalProperties: false, description: 'Judge the host by this reference' }),
]);

export function referenceRoutes(app: App, ctx: ServerContext): void {
  const tags = ['references'];

  app.get(
    '/references',
    {
      config: { access: 'viewer' },
      schema: {
        summary: 'References',
        tags,
        response: { 200: Type.Array(Type.Object({ id: Type.String(), updatedAt: Milliseconds })) },
      },
    },
    async () => (await listReferences(ctx.store.read)).map(({ id, updated_at }) => ({ id, updatedAt: updated_at })),
  );

  app.get(
    '/references/:id',
    { config: { access: 'viewer' }, schema: { summary: 'A reference manifest', tags, params } },
    async ({ params: { id } }) => {
      const stored = await findReference(ctx.store.read, id);
      if (stored === undefined) throw new ServerError('reference.not-found', `there is no reference ${id}`);
      return stored.manifest;
    },
  );

  app.put(
    '/references/:id',
    {
      config: { access: 'operator' },
      bodyLimit: MANIFEST_LIMIT,
      schema: {
        summary: 'Replace a reference manifest; it counts from each host’s next evidence on',
        tags,
        params,
        body: Type.Unknown(),
        response: { 200: Type.Object({ identity: Type.String() }) },
      },
    },
    async ({ params: { id }, body }) => {
      const manifest = ctx.judgement.parseReference(body);
      return { identity: await replaceReference(ctx, id, manifest) };
    },
  );

  app.post(
    '/hosts/:id/reference',
    {
      config: { access: 'operator' },
      bodyLimit: MANIFEST_LIMIT,
      schema: {
        summary: 'Approve files that wait, or judge the host by another reference',
        tags: ['hosts', 'references'],
        params: Type.Object({ id: HostId }),
        body: Change,
        response: { 200: Type.Object({ approved: Type.Integer() }) },
      },
    },
    async ({ params: { id }, body }) => {
      if ('use' in body) {
        await giveReference(ctx, id, body.use);
        return { approved: 0 };
      }
      const approval = body.approve === 'all' ? {} : { paths: body.approve };
      return { approved: await approvePending(ctx, id, approval) };
    },
  );
}
