/** Hosts: what they are, what the verifier says of them, and the evidence behind it. */
import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import { pcrMeaning } from '../../boot/index.ts';
import { chainOfTrust } from '../chain-of-trust.ts';
import type { ServerContext } from '../context.ts';
import { ServerError } from '../error.ts';
import { type EvidenceFiles, evidenceFiles } from '../evidence-files.ts';
import type { App } from '../http/app.ts';
import { findEnrolment, type StoredEnrolment } from '../store/enrolments.ts';
import { insertEvent } from '../store/events.ts';
import { findQuote, type StoredQuote } from '../store/evidence.ts';
import { deleteHost, hostRow, listHosts, listResults } from '../store/hosts.ts';
import { fromJson } from '../store/json-column.ts';
import { findState } from '../store/states.ts';
import { tar } from '../tar.ts';
import { findingViews, HostSummaryBody, summaryOf } from './host-body.ts';
import { FindingBody, HostId, Milliseconds, VerdictBody } from './schemas.ts';

const params = Type.Object({ id: HostId });

const DetailBody = Type.Object({
  ...HostSummaryBody.properties,
  findings: Type.Array(FindingBody),
  chain: Type.Array(
    Type.Object({ link: Type.String(), state: Type.String(), findings: Type.Integer(), says: Type.String() }),
    { description: 'The chain of trust, link by link' },
  ),
  bank: Type.String(),
  pcrs: Type.Array(Type.Object({ index: Type.Integer(), meaning: Type.String(), value: Type.String() })),
});

const ResultBody = Type.Object({
  seq: Type.Integer(),
  asOf: Milliseconds,
  receivedAt: Milliseconds,
  verdict: Type.Optional(VerdictBody),
  measured: Type.Integer(),
  findings: Type.Array(FindingBody),
});

const EvidenceBody = Type.Object({
  receivedAt: Milliseconds,
  files: Type.Array(
    Type.Object({
      name: Type.String(),
      description: Type.String(),
      content: Type.String({
        description: 'Base64: files of one quote belong together, and the next quote comes soon',
      }),
    }),
  ),
  command: Type.String({ description: 'Checks the quote with tpm2-tools, in the folder with the files' }),
});

export function hostRoutes(app: App, ctx: ServerContext): void {
  const db = ctx.store.read;

  app.get(
    '/hosts',
    {
      config: { access: 'viewer' },
      schema: {
        summary: 'Hosts by name',
        tags: ['hosts'],
        querystring: Type.Object({
          after: Type.String({ default: '', maxLength: 255, description: 'The last name of the page before' }),
          limit: Type.Integer({ minimum: 1, maximum: 1000, default: 1000 }),
        }),
        response: { 200: Type.Object({ hosts: Type.Array(HostSummaryBody) }) },
      },
    },
    async ({ query }) => ({ hosts: (await listHosts(db, query.after, query.limit)).map(summaryOf) }),
  );

  app.get(
    '/hosts/:id',
    {
      config: { access: 'viewer' },
      schema: {
        summary: 'One host, with its findings, PCRs and chain of trust',
        tags: ['hosts'],
        params,
        response: { 200: DetailBody },
      },
    },
    async ({ params: { id } }) => {
      const row = await hostRow(db, id);
      const enrolment = await findEnrolment(db, id);
      if (row === undefined || enrolment === undefined) throw noSuchHost();
      const quote = await findQuote(db, id);
      const findings = fromJson(row.findings);
      const { state } = await findState(db, id);
      return {
        ...summaryOf(row),
        findings: findingViews(findings),
        chain: [...chainOfTrust(findings, state, row.measurer)],
        bank: enrolment.selection.bank,
        pcrs: pcrsOf(quote, enrolment),
      };
    },
  );

  app.delete(
    '/hosts/:id',
    {
      config: { access: 'admin' },
      schema: {
        summary: 'Remove a host: its enrolment, token, state and results',
        tags: ['hosts'],
        params,
        response: { 204: Type.Null() },
      },
    },
    async ({ params: { id } }, reply) => {
      await ctx.store.write(async (trx) => {
        if (!(await deleteHost(trx, id))) throw noSuchHost();
        await insertEvent(trx, { at: ctx.now(), kind: 'removed', hostId: id, data: '{}' });
      });
      ctx.live.notify();
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/hosts/:id/results',
    {
      config: { access: 'viewer' },
      schema: {
        summary: 'The last results, newest first',
        tags: ['hosts'],
        params,
        querystring: Type.Object({ limit: Type.Integer({ minimum: 1, maximum: 256, default: 50 }) }),
        response: { 200: Type.Object({ results: Type.Array(ResultBody) }) },
      },
    },
    async ({ params: { id }, query }) => {
      const past = await listResults(db, id, query.limit);
      const results = past.map(({ verdict, findings, ...rest }) => ({
        ...rest,
        ...(verdict === null ? {} : { verdict }),
        findings: findingViews(findings),
      }));
      return { results };
    },
  );

  app.get(
    '/hosts/:id/evidence',
    {
      config: { access: 'viewer' },
      schema: {
        summary: 'The last accepted quote as files, and the line that checks it without Assay',
        tags: ['hosts'],
        params,
        response: { 200: EvidenceBody },
      },
    },
    async ({ params: { id } }) => {
      const { receivedAt, files, command } = await filesOf(ctx, id);
      return {
        receivedAt,
        command,
        files: files.map(({ name, description, bytes }) => ({
          name,
          description,
          content: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
        })),
      };
    },
  );

  app.get(
    '/hosts/:id/evidence/:name',
    {
      config: { access: 'viewer' },
      schema: {
        summary: 'One of those files, or all as evidence.tar',
        tags: ['hosts'],
        params: Type.Object({ id: HostId, name: Type.String({ maxLength: 64 }) }),
        produces: ['application/octet-stream'],
      },
    },
    async ({ params: { id, name } }, reply) => {
      const { files } = await filesOf(ctx, id);
      if (name === 'evidence.tar') return sendFile(reply, name, tar(files, ctx.now()));
      const file = files.find((each) => each.name === name);
      if (file === undefined) throw new ServerError('request.not-found', 'there is no such file');
      return sendFile(reply, file.name, file.bytes);
    },
  );
}

function noSuchHost(): ServerError {
  return new ServerError('host.unknown', 'no such host is enrolled');
}

async function filesOf(ctx: ServerContext, id: string): Promise<EvidenceFiles> {
  const enrolment = await findEnrolment(ctx.store.read, id);
  if (enrolment === undefined) throw noSuchHost();
  const quote = await findQuote(ctx.store.read, id);
  if (quote === undefined) throw new ServerError('host.no-evidence', 'no evidence of this host has been accepted yet');
  return evidenceFiles(quote, enrolment);
}

function sendFile(reply: FastifyReply, name: string, bytes: Uint8Array): FastifyReply {
  return reply
    .type('application/octet-stream')
    .header('content-disposition', `attachment; filename="${name}"`)
    .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

function pcrsOf(
  quote: StoredQuote | undefined,
  { selection }: StoredEnrolment,
): { index: number; meaning: string; value: string }[] {
  const values = quote === undefined ? {} : (fromJson(quote.pcrs)[selection.bank] ?? {});
  return Object.entries(values)
    .filter(([index]) => selection.pcrs.includes(Number(index)))
    .map(([index, value]) => ({ index: Number(index), meaning: pcrMeaning(Number(index)), value }))
    .sort((a, b) => a.index - b.index);
}
