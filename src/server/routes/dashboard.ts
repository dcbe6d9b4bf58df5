/** How a browser gets in: the one-time token of the printed link becomes a cookie. */
import Type from 'typebox';
import { sessionCookie } from '../auth/cookie.ts';
import { newToken, tokenHash } from '../auth/token.ts';
import type { ServerContext } from '../context.ts';
import { ServerError } from '../error.ts';
import type { App } from '../http/app.ts';
import { portOf } from '../http/guard.ts';
import { findToken, insertToken, useToken } from '../store/tokens.ts';

const SESSION_MS = 12 * 3_600_000;

/**
 * A page that goes on by itself. A redirect would not do: where the link was opened from another site (a terminal in
 * the browser, a mail), the browser counts a redirect as that site's and keeps the strict cookie back.
 */
const GO_ON = '<!doctype html><meta charset="utf-8"><title>Assay</title><meta http-equiv="refresh" content="0; url=/">';

export function dashboardRoutes(app: App, ctx: ServerContext): void {
  const querystring = Type.Object({ token: Type.String({ maxLength: 256 }) });
  app.get('/enter', { schema: { hide: true, querystring } }, async (request, reply) => {
    const session = await openSession(ctx, request.query.token);
    return reply
      .header('set-cookie', sessionCookie(portOf(request), session, SESSION_MS))
      .header('cache-control', 'no-store')
      .type('text/html; charset=utf-8')
      .send(GO_ON);
  });
}

async function openSession(ctx: ServerContext, token: string): Promise<string> {
  const now = ctx.now();
  const hash = tokenHash(token);
  const session = newToken({ role: 'session', label: 'dashboard', lifetimeMs: SESSION_MS, now });
  await ctx.store.write(async (trx) => {
    const stored = await findToken(trx, hash);
    if (stored?.role !== 'dashboard' || (stored.expires_at !== null && stored.expires_at <= now)) {
      throw new ServerError('token.invalid', 'the link is not known or has expired', {
        advice: 'take a new link from `assay up`',
      });
    }
    if (!(await useToken(trx, hash, now))) {
      throw new ServerError('token.used', 'the link was for one use and has been used', {
        advice: 'take a new link from `assay up`',
      });
    }
    await insertToken(trx, session.stored);
  });
  return session.token;
}
