/** How often and how much one caller may send. */
import rateLimit from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import type { ServerContext } from '../context.ts';
import { ServerError } from '../error.ts';
import type { App } from './app.ts';

const WINDOW_MS = 10_000;
/** Bodies below this are not counted against the memory of all: connections bound them. */
const SMALL_BODY = 256 * 1024;

/** One count per host, token, or address of who has neither. */
function callerOf(request: FastifyRequest): string {
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

/** Limits bytes: each host's own, and what all large bodies together take of memory. */
export function limitBytes(app: App, ctx: ServerContext): void {
  app.addHook('preParsing', async (request, reply) => {
    const announced = Number(request.headers['content-length'] ?? request.routeOptions.bodyLimit);
    const bytes = Number.isFinite(announced) ? announced : request.routeOptions.bodyLimit;
    if (bytes > request.routeOptions.bodyLimit) return; // fastify refuses it unread
    const wait = ctx.byteBudget.take(callerOf(request), bytes, ctx.now());
    if (wait > 0) {
      void reply.header('retry-after', Math.ceil(wait / 1000));
      throw new ServerError('rate.limited', `the host has sent too much; wait ${Math.ceil(wait / 1000)} s`);
    }
    if (bytes <= SMALL_BODY) return;
    if (!ctx.inFlight.take(bytes))
      throw new ServerError('server.busy', 'too much is being received', { advice: 'try again' });
    reply.raw.once('close', () => ctx.inFlight.release(bytes)); // comes whatever becomes of the request
  });
}
