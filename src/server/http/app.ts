/** What every listener's application has: types, the clock of slow clients, errors in one form. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider, RawServerBase } from 'fastify';
import type Type from 'typebox';
import type { Access, Identity } from '../auth/identity.ts';

/** Makes fastify read request and response types from typebox schemas. */
export interface TypeBoxProvider extends FastifyTypeProvider {
  readonly validator: this['schema'] extends Type.TSchema ? Type.Static<this['schema']> : unknown;
  readonly serializer: this['schema'] extends Type.TSchema ? Type.Static<this['schema']> : unknown;
}

export type App = FastifyInstance<
  RawServerBase,
  IncomingMessage,
  ServerResponse<IncomingMessage>,
  FastifyBaseLogger,
  TypeBoxProvider
>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route; every route says so. */
    access?: Access;
  }
  interface FastifyRequest {
    /** Set before the handler runs, except on public routes. */
    identity: Identity | undefined;
  }
}
