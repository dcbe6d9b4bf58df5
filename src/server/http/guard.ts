/** Who may come in: Host and Origin on loopback, then the route's `access` against the caller's identity. */
import type { FastifyRequest } from 'fastify';
import { cookieName, readCookie } from '../auth/cookie.ts';
import { type Credential, identify, mayAccess } from '../auth/identity.ts';
import { guardLoopback } from '../auth/loopback-guard.ts';
import type { ServerContext } from '../context.ts';
import { ServerError } from '../error.ts';
import type { Listener } from '../listener.ts';
import type { App } from './app.ts';

/** Checks Host and Origin of whatever comes in on the dashboard's listener, static files included. */
export function guardEveryRequest(app: App, listener: Listener): void {
  if (listener.kind !== 'dashboard') return;
  app.addHook('onRequest', async (request) => {
    const { headers } = request;
    const fetchSite = headers['sec-fetch-site'];
    guardLoopback(
      {
        method: request.method,
        host: headers.host,
        origin: headers.origin,
        fetchSite: typeof fetchSite === 'string' ? fetchSite : undefined,
        byCookie: headers.authorization === undefined,
      },
      portOf(request),
    );
  });
}

/** Lets a request in where its route allows it. A route that does not say who may call it does not come to be. */
export function guardRoutes(app: App, ctx: ServerContext, listener: Listener): void {
  app.addHook('onRoute', (route) => {
    if (route.config?.access === undefined) throw new Error(`route ${route.url} does not say who may call it`);
  });
  app.addHook('onRequest', async (request) => {
    const access = request.routeOptions.config.access ?? 'admin';
    if (access === 'public') return;
    const credential = credentialOf(request, listener);
    if (credential === undefined) throw new ServerError('token.missing', 'the request names no token');
    const identity = await identify(ctx.store.read, credential, ctx.now());
    if (!mayAccess(identity, access)) {
      const role = identity.kind === 'person' ? identity.role : identity.kind;
      throw new ServerError('token.forbidden', `this needs the role ${access}, the token has ${role}`);
    }
    request.identity = identity;
  });
}

function credentialOf(request: FastifyRequest, listener: Listener): Credential | undefined {
  const { authorization, cookie } = request.headers;
  if (authorization !== undefined) {
    const token = /^Bearer ([A-Za-z0-9_-]{1,256})$/i.exec(authorization)?.[1];
    return token === undefined ? undefined : { from: 'bearer', token };
  }
  if (listener.kind !== 'dashboard') return undefined;
  const session = readCookie(cookie, cookieName(portOf(request)));
  return session === undefined ? undefined : { from: 'cookie', token: session };
}

/** The port that the request came in on: it may have been chosen by the kernel. */
export function portOf(request: FastifyRequest): number {
  return request.socket.localPort ?? 0;
}
