/** Builds the application of one listener. Nothing listens yet. */
import fastifyStatic from '@fastify/static';
import fastify from 'fastify';
import type { ServerContext } from '../context.ts';
import type { Listener } from '../listener.ts';
import { agentRoutes } from '../routes/agent.ts';
import { dashboardRoutes } from '../routes/dashboard.ts';
import { type Demonstration, demonstrationRoutes } from '../routes/demonstration.ts';
import { eventRoutes } from '../routes/events.ts';
import { findingRoutes } from '../routes/findings.ts';
import { healthRoutes } from '../routes/health.ts';
import { hostRoutes } from '../routes/hosts.ts';
import { measurementRoutes } from '../routes/measurements.ts';
import { referenceRoutes } from '../routes/references.ts';
import { tokenRoutes } from '../routes/tokens.ts';
import type { TlsIdentity } from '../tls.ts';
import type { App } from './app.ts';
import { answerErrors } from './errors.ts';
import { guardEveryRequest, guardRoutes } from './guard.ts';
import { describeApi } from './openapi.ts';
import { limitBytes, limitRequests } from './rate.ts';

/** Bodies of people's requests; agents' and manifests' routes set their own. */
const BODY_LIMIT = 64 * 1024;
const MAX_CONNECTIONS = 20_000;

/** Slow clients: headers within 10 s, the whole request within a minute, nothing at all for two minutes closes. */
const PATIENCE = { headersTimeout: 10_000, connectionsCheckingInterval: 1000 } as const;

export interface Site {
  /** Folder of the built dashboard; left out: the API alone. */
  readonly webRoot: string | undefined;
  readonly tls: TlsIdentity;
  /** Where agents come in. */
  readonly joinUrl: () => string;
  /** What the dashboard's "try it" does; left out: there is nothing to try. */
  readonly demonstration: Demonstration | undefined;
  /** Aborted when the server stops: streams end. */
  readonly stopping: AbortSignal;
}

export async function buildApp(ctx: ServerContext, listener: Listener, site: Site): Promise<App> {
  const app = bareApp(listener, site);
  app.server.maxConnections = MAX_CONNECTIONS;
  app.decorateRequest('identity', undefined);
  answerErrors(app, ctx.log);
  guardEveryRequest(app, listener);
  await describeApi(app);
  await app.register(async (api) => apiRoutes(api, ctx, listener, site), { prefix: '/api' });
  if (listener.kind === 'dashboard') await serveDashboard(app, ctx, site);
  return app;
}

function bareApp(listener: Listener, { tls }: Site): App {
  const options = {
    bodyLimit: BODY_LIMIT,
    requestTimeout: 60_000,
    connectionTimeout: 120_000,
    keepAliveTimeout: 90_000,
    forceCloseConnections: 'idle',
    ajv: { customOptions: { removeAdditional: false } },
  } as const;
  if (listener.kind === 'dashboard') return fastify({ ...options, http: { ...PATIENCE } });
  const https = { ...PATIENCE, key: tls.pem, cert: tls.pem, minVersion: 'TLSv1.3', handshakeTimeout: 10_000 } as const;
  return fastify({ ...options, https });
}

async function apiRoutes(api: App, ctx: ServerContext, listener: Listener, site: Site): Promise<void> {
  guardRoutes(api, ctx, listener);
  await limitRequests(api, ctx);
  healthRoutes(api, ctx);
  hostRoutes(api, ctx);
  measurementRoutes(api, ctx);
  referenceRoutes(api, ctx);
  findingRoutes(api);
  tokenRoutes(api, ctx, site);
  if (site.demonstration !== undefined) demonstrationRoutes(api, site.demonstration);
  eventRoutes(api, ctx, site.stopping);
  if (listener.kind !== 'tls') return;
  await api.register(async (agents) => {
    limitBytes(agents, ctx);
    agentRoutes(agents, ctx, listener);
  });
}

async function serveDashboard(app: App, ctx: ServerContext, { webRoot }: Site): Promise<void> {
  app.addHook('onSend', async (_request, reply) => {
    void reply.headers({
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
  });
  dashboardRoutes(app, ctx);
  if (webRoot === undefined) return;
  await app.register(fastifyStatic, { root: webRoot, index: 'index.html', dotfiles: 'deny' });
  // Browsers ask for this name by themselves where they have not yet read the page's own <link rel="icon">.
  app.get('/favicon.ico', (_request, reply) => reply.sendFile('mark.svg'));
}
