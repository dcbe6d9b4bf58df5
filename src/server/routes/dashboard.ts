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

/** What a person sees whose link is used up; `code` is for those who look things up. Nothing of the request is in it. */
function noEntry({ code, message }: ServerError): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Assay: this link does not open</title>
<h1>This link does not open the dashboard</h1>
<p>${message[0]?.toUpperCase()}${message.slice(1)}. A link opens it once, within ten minutes.</p>
<p>Take a new one, on this machine and as the user who runs the server:</p>
<pre>assay server link</pre>
<p>Where the server was started with <code>--data DIR</code>: <code>assay server link --data DIR</code>.
In a browser where the dashboard is open already, <a href="/">go there</a>.</p>
<p><small>${code}</small></p>
`;
}

export function dashboardRoutes(app: App, ctx: ServerContext): void {
  const querystring = Type.Object({ token: Type.Optional(Type.String()) });
  app.get('/enter', { schema: { hide: true, querystring } }, async (request, reply) => {
    void reply.header('cache-control', 'no-store').type('text/html; charset=utf-8');
    try {
      const session = await openSession(ctx, request.query.token ?? '');
      return reply.header('set-cookie', sessionCookie(portOf(request), session, SESSION_MS)).send(GO_ON);
    } catch (error) {
      if (!(error instanceof ServerError) || error.statusCode !== 401) throw error;
      return reply.code(401).header('www-authenticate', 'Bearer').send(noEntry(error));
    }
  });
}

async function openSession(ctx: ServerContext, token: string): Promise<string> {
  const now = ctx.now();
  const hash = tokenHash(token);
  const session = newToken({ role: 'session', label: 'dashboard', lifetimeMs: SESSION_MS, now });
  await ctx.store.write(async (trx) => {
    const stored = await findToken(trx, hash);
    if (stored?.role !== 'dashboard' || (stored.expires_at !== null && stored.expires_at <= now)) {
      throw new ServerError('token.invalid', 'the link is not known or has expired');
    }
    if (!(await useToken(trx, hash, now))) {
      throw new ServerError('token.used', 'the link was for one use and has been used');
    }
    await insertToken(trx, session.stored);
  });
  return session.token;
}
