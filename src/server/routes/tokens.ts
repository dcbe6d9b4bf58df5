/** Tokens: one-time join tokens for machines, bearer tokens for people and programs. */
import Type from 'typebox';
import { newToken } from '../auth/token.ts';
import type { ServerContext } from '../context.ts';
import { ServerError } from '../error.ts';
import type { App } from '../http/app.ts';
import { joinCommand } from '../join-command.ts';
import { deleteToken, insertToken, listTokens } from '../store/tokens.ts';
import type { TlsIdentity } from '../tls.ts';
import { Milliseconds, orNull } from './schemas.ts';

const HOUR_MS = 3_600_000;
const Label = Type.String({ maxLength: 200 });

const JoinBody = Type.Object({
  label: Type.Optional(Label),
  demonstration: Type.Optional(
    Type.Boolean({ description: 'Let a TPM without configured root enrol, on loopback only' }),
  ),
  minutes: Type.Optional(Type.Integer({ minimum: 1, maximum: 7 * 24 * 60, default: 60 })),
});

const TokenBody = Type.Object({
  role: Type.Union([Type.Literal('viewer'), Type.Literal('operator'), Type.Literal('admin')]),
  label: Label,
  days: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650, description: 'Left out: until it is deleted' })),
});

const GivenToken = { token: Type.String({ description: 'Shown once' }), expiresAt: orNull(Milliseconds) };

const ListedToken = Type.Object({
  id: Type.String(),
  role: Type.String(),
  label: Type.String(),
  hostId: orNull(Type.String()),
  createdAt: Milliseconds,
  expiresAt: orNull(Milliseconds),
  usedAt: orNull(Milliseconds),
});

/** What a machine needs to know to join. */
export interface JoinSite {
  readonly tls: TlsIdentity;
  /** Where agents come in. */
  readonly joinUrl: () => string;
}

export function tokenRoutes(app: App, ctx: ServerContext, site: JoinSite): void {
  app.post(
    '/tokens/join',
    {
      config: { access: 'operator' },
      schema: {
        summary: 'A one-time token with which one machine enrols, and the fingerprint that its agent pins',
        tags: ['tokens'],
        body: JoinBody,
        response: { 200: Type.Object({ ...GivenToken, fingerprint: Type.String(), command: Type.String() }) },
      },
      preValidation: async (request) => {
        request.body ??= {}; // everything has a default
      },
    },
    async ({ body }) => {
      const lifetimeMs = ((body.minutes ?? 60) / 60) * HOUR_MS;
      const demonstration = body.demonstration ?? false;
      const made = newToken({ role: 'join', label: body.label ?? '', lifetimeMs, demonstration, now: ctx.now() });
      await ctx.store.write((trx) => insertToken(trx, made.stored));
      const { token } = made;
      const { fingerprint } = site.tls;
      const command = joinCommand({ url: site.joinUrl(), fingerprint, token });
      return { token, expiresAt: made.stored.expires_at, fingerprint, command };
    },
  );

  app.post(
    '/tokens',
    {
      config: { access: 'admin' },
      schema: {
        summary: 'A bearer token',
        tags: ['tokens'],
        body: TokenBody,
        response: { 200: Type.Object(GivenToken) },
      },
    },
    async ({ body }) => {
      const lifetime = body.days === undefined ? {} : { lifetimeMs: body.days * 24 * HOUR_MS };
      const made = newToken({ role: body.role, label: body.label, now: ctx.now(), ...lifetime });
      await ctx.store.write((trx) => insertToken(trx, made.stored));
      return { token: made.token, expiresAt: made.stored.expires_at };
    },
  );

  app.get(
    '/tokens',
    {
      config: { access: 'admin' },
      schema: { summary: 'Tokens, without their values', tags: ['tokens'], response: { 200: Type.Array(ListedToken) } },
    },
    async () => {
      const rows = await listTokens(ctx.store.read);
      return rows.map((row) => ({
        id: row.hash,
        role: row.role,
        label: row.label,
        hostId: row.host_id,
        createdAt: row.created_at,
        expiresAt: row.expires_at,
        usedAt: row.used_at,
      }));
    },
  );

  app.delete(
    '/tokens/:id',
    {
      config: { access: 'admin' },
      schema: {
        summary: 'Withdraw a token',
        tags: ['tokens'],
        params: Type.Object({ id: Type.String({ pattern: '^[0-9a-f]{64}$' }) }),
        response: { 204: Type.Null() },
      },
    },
    async ({ params }, reply) => {
      const found = await ctx.store.write((trx) => deleteToken(trx, params.id));
      if (!found) throw new ServerError('request.not-found', 'there is no such token');
      return reply.code(204).send(null);
    },
  );
}
