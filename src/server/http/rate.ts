/** How often and how much one caller may send. */
import rateLimit from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import type { ServerContext } from '../context.ts';
import { ServerError } from '../error.ts';
import type { Unwelcome } from '../intake.ts';
import type { App } from './app.ts';
import { MeteredBody } from './metered-body.ts';
import { whenClosed } from './when-closed.ts';

const WINDOW_MS = 10_000;

/** One count per host, token, or address of who has neither. */
export function callerOf(request: FastifyRequest): string {
  const { identity } = request;
  if (identity === undefined) return `address:${request.ip}`;
  return identity.kind === 'agent' ? `host:${identity.hostId}` : `token:${identity.token}`;
}

/** Limits requests; after the caller is known, before the body is read. */
export async function limitRequests(app: App, ctx: ServerContext): Promise<void> {
  const headers = { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false };
  await app.register(rateLimit, {
    hook: 'preParsing',
    max: Math.ceil((ctx.settings.requestsPerSecond * WINDOW_MS) / 1000),
    timeWindow: WINDOW_MS,
    cache: 20_000,
    keyGenerator: callerOf,
    addHeaders: { ...headers, 'retry-after': true },
    addHeadersOnExceeding: headers,
    errorResponseBuilder: (_request, { ttl }) =>
      new ServerError('rate.limited', `too many requests; wait ${Math.ceil(ttl / 1000)} s`),
  });
}

/** Limits bytes: each host's own, and what all bodies together take of memory; cuts those that do not come on. */
export function limitBytes(app: App, { intake }: ServerContext): void {
  app.addHook('preParsing', async (request, reply, payload) => {
    const caller = callerOf(request);
    const tellWait = ({ waitMs }: Unwelcome) => void reply.header('retry-after', Math.ceil(waitMs / 1000));
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > request.routeOptions.bodyLimit) return payload; // fastify refuses it unread
    const unwelcome = intake.refusalOf(caller, announced);
    if (unwelcome !== undefined) {
      tellWait(unwelcome);
      throw unwelcome.error;
    }
    const body = intake.open(caller);
    const metered = new MeteredBody(body, tellWait);
    whenClosed(reply.raw, () => {
      body.close();
      metered.destroy();
    });
    payload.once('error', (error) => metered.destroy(error)); // pipe does not hand it on
    return payload.pipe(metered);
  });
}
