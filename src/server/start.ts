/** Starts and stops the service. */
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ReferenceManifest } from '../reference/index.ts';
import { type ControlSocket, privateFolder } from '../sys/index.ts';
import { newToken, type TokenOptions } from './auth/token.ts';
import type { ServerContext, Settings } from './context.ts';
import { openLinkSocket } from './control-socket.ts';
import type { EkRoot, EnrolmentTpm } from './enrolment-tpm.ts';
import { enrolmentWithTpm } from './enrolment-with-tpm.ts';
import { ServerError } from './error.ts';
import type { App } from './http/app.ts';
import { buildApp, type Site } from './http/build-app.ts';
import { Intake } from './intake.ts';
import type { Judgement } from './judgement.ts';
import type { Listener } from './listener.ts';
import { Live } from './live.ts';
import { OpenStreams } from './open-streams.ts';
import { sweepSilent } from './reachability.ts';
import { ReferenceCache } from './reference-cache.ts';
import { approvePending, giveReference, replaceReference } from './references.ts';
import type { Demonstration } from './routes/demonstration.ts';
import { type FindingView, findingViews, type HostSummary, summaryOf } from './routes/host-body.ts';
import { hostRow } from './store/hosts.ts';
import { fromJson } from './store/json-column.ts';
import { findReference } from './store/references.ts';
import { openStore, type StoreOptions } from './store/store.ts';
import { deleteExpiredTokens, insertToken } from './store/tokens.ts';
import { tlsIdentity } from './tls.ts';
import { VerifyPool } from './verify-pool.ts';

export interface ServerOptions {
  /** Holds the store and the TLS certificate; made where it is not there. One server at a time uses it. */
  readonly dataFolder: string;
  /** Where to listen; port 0 lets the kernel choose. */
  readonly listeners: readonly Listener[];
  readonly judgement: Judgement;
  /** Whose EK certificates are trusted. None: only demonstration can enrol. */
  readonly ekRoots: readonly EkRoot[];
  /** Left out: the `tpm` room's checks against `ekRoots`. */
  readonly tpm?: EnrolmentTpm;
  readonly settings?: Partial<Settings>;
  /** The built dashboard (`web/dist`); left out: the API alone. */
  readonly webRoot?: string;
  /** What the dashboard's "try it" does. */
  readonly demonstration?: Demonstration;
  readonly log: Logger;
  readonly store?: StoreOptions;
  /** Milliseconds since the epoch; left out: the system's clock. */
  readonly now?: () => number;
}

export interface RunningServer {
  /** What each listener got, in the order of the options: `http://127.0.0.1:8080`, `https://…`. */
  readonly urls: readonly string[];
  /** SHA-256 of the TLS certificate, hex: what agents pin. */
  readonly fingerprint: string;
  /** A link that opens the dashboard, once, within ten minutes. Undefined where no listener serves it. */
  dashboardLink(): Promise<string | undefined>;
  /** A one-time token with which one machine enrols. */
  joinToken(options: {
    readonly label: string;
    readonly demonstration?: boolean;
    readonly lifetimeMs?: number;
  }): Promise<string>;
  /** A bearer token for a person or program. */
  bearerToken(role: 'viewer' | 'operator' | 'admin', label: string): Promise<string>;
  /** Stores a manifest; gives its identity. @throws {AssayError} where it is not one */
  putReference(id: string, manifest: ReferenceManifest): Promise<string>;
  /** Judges a host by this reference from now on. */
  useReference(hostId: string, referenceId: string): Promise<void>;
  /** The stored manifest; undefined where there is none of this name. */
  reference(id: string): Promise<ReferenceManifest | undefined>;
  /** A host as the API lists it, with the findings of its last verdict, worst first. */
  host(hostId: string): Promise<AttestedHost | undefined>;
  /** Approves files that wait; all where no paths are named. Gives how many. */
  approve(hostId: string, paths?: readonly string[]): Promise<number>;
  /** Finishes what is under way, ends streams, closes the store. */
  stop(): Promise<void>;
}

export interface AttestedHost extends HostSummary {
  readonly standing: readonly FindingView[];
}

const DEFAULTS: Settings = {
  intervalMs: 10_000,
  missedIntervals: 3,
  maxEvidenceBytes: 64 * 1024 * 1024,
  requestsPerSecond: 50,
  pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  banks: ['sha256', 'sha384', 'sha512'],
  defaultReference: undefined,
};

const LINK_LIFETIME_MS = 10 * 60_000;
const JOIN_LIFETIME_MS = 60 * 60_000;
/** A stop waits so long for requests under way; then their connections are cut. */
const STOP_PATIENCE_MS = 10_000;

/**
 * Opens the store and listens. Nothing of the process is touched: no signals, no exit.
 * @throws {ServerError} `store.in-use`, `store.newer`, `server.listen`, `server.control`
 * @throws {SysError} `sys.folder-not-private` where the data folder is another user's, or others may write to it
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const settings = { ...DEFAULTS, ...options.settings };
  const now = options.now ?? Date.now;
  await privateFolder(options.dataFolder);
  const tls = await tlsIdentity(join(options.dataFolder, 'server'), now());
  const tpm = options.tpm ?? (await enrolmentWithTpm(options.ekRoots));
  const store = await openStore(join(options.dataFolder, 'server'), options.store);
  const { judgement, log } = options;
  const ctx: ServerContext = {
    store,
    settings,
    judgement,
    verifying: new VerifyPool({ judgement }),
    tpm,
    references: new ReferenceCache(store.read, judgement.compileReference),
    live: new Live(),
    intake: new Intake({ maxBody: settings.maxEvidenceBytes, now }),
    streams: new OpenStreams(),
    log,
    now,
  };
  const stopping = new AbortController();
  const urls: string[] = [];
  const apps: App[] = [];
  const site: Site = {
    webRoot: options.webRoot,
    tls,
    demonstration: options.demonstration,
    stopping: stopping.signal,
    joinUrl: () => joinUrl(options.listeners, urls),
  };
  const inside = doors(ctx, options.listeners, urls);
  let control: ControlSocket;
  try {
    for (const listener of options.listeners) {
      const app = await buildApp(ctx, listener, site);
      apps.push(app);
      urls.push(await listen(app, listener));
    }
    control = await openLinkSocket(options.dataFolder, inside.dashboardLink);
  } catch (error) {
    await stopAll(apps, ctx);
    throw error;
  }
  const endChores = startChores(ctx);
  log.info({ urls, fingerprint: tls.fingerprint }, 'listening');
  let stopped: Promise<void> | undefined;
  return {
    urls,
    fingerprint: tls.fingerprint,
    ...inside,
    stop: () => {
      stopped ??= (async () => {
        endChores();
        stopping.abort();
        await control.close();
        await stopAll(apps, ctx);
        log.info('stopped');
      })();
      return stopped;
    },
  };
}

async function listen(app: App, { kind, address, port }: Listener): Promise<string> {
  try {
    await app.listen({ host: address, port });
  } catch (cause) {
    const isTaken = cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE';
    const why = isTaken ? 'the port is in use' : cause instanceof Error ? cause.message : String(cause);
    throw new ServerError('server.listen', `cannot listen on ${address} port ${port}: ${why}`, {
      advice: 'choose another port, or stop what uses it',
      cause,
    });
  }
  const bound = app.server.address();
  return `${kind === 'tls' ? 'https' : 'http'}://${hostAndPort(address, isAddressInfo(bound) ? bound.port : port)}`;
}

function isAddressInfo(address: string | AddressInfo | null): address is AddressInfo {
  return address !== null && typeof address === 'object';
}

function hostAndPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The address that another machine would use: the last TLS listener, which `up` opens widest. */
function joinUrl(listeners: readonly Listener[], urls: readonly string[]): string {
  const last = listeners.findLastIndex(({ kind }) => kind === 'tls');
  return urls[last] ?? '';
}

/** What the program that started the server may do without going through HTTP. */
function doors(
  ctx: ServerContext,
  listeners: readonly Listener[],
  urls: readonly string[],
): Omit<RunningServer, 'urls' | 'fingerprint' | 'stop'> {
  const give = async (options: Omit<TokenOptions, 'now'>): Promise<string> => {
    const made = newToken({ ...options, now: ctx.now() });
    await ctx.store.write((trx) => insertToken(trx, made.stored));
    return made.token;
  };
  return {
    async dashboardLink() {
      const url = urls[listeners.findIndex(({ kind }) => kind === 'dashboard')];
      if (url === undefined) return undefined;
      const token = await give({ role: 'dashboard', label: 'link', lifetimeMs: LINK_LIFETIME_MS });
      return `${url}/enter?token=${token}`;
    },
    joinToken: ({ label, demonstration = false, lifetimeMs = JOIN_LIFETIME_MS }) =>
      give({ role: 'join', label, demonstration, lifetimeMs }),
    bearerToken: (role, label) => give({ role, label }),
    putReference: (id, manifest) => replaceReference(ctx, id, manifest),
    useReference: (hostId, referenceId) => giveReference(ctx, hostId, referenceId),
    reference: async (id) => (await findReference(ctx.store.read, id))?.manifest,
    async host(hostId) {
      const row = await hostRow(ctx.store.read, hostId);
      return row && { ...summaryOf(row), standing: findingViews(fromJson(row.findings)) };
    },
    approve: (hostId, paths) => approvePending(ctx, hostId, paths === undefined ? {} : { paths }),
  };
}

const EXPIRY_CHORE_MS = 60_000;

/** Silence is looked for a few times an interval; nobody is silent before the server itself has been up that long. */
function startChores(ctx: ServerContext): () => void {
  const { intervalMs, missedIntervals } = ctx.settings;
  const patience = intervalMs * missedIntervals;
  const started = ctx.now();
  const guarded = (what: string, chore: () => Promise<unknown>) => () => {
    chore().catch((error: unknown) => ctx.log.error({ err: error }, `${what} failed`));
  };
  const sweep = guarded('the search for silent hosts', async () => {
    if (ctx.now() - started >= patience) await sweepSilent(ctx);
  });
  const expire = guarded('the removal of expired tokens', () =>
    ctx.store.write((trx) => deleteExpiredTokens(trx, ctx.now())),
  );
  const timers = [
    setInterval(sweep, Math.min(5000, Math.max(50, intervalMs / 4))),
    setInterval(expire, EXPIRY_CHORE_MS),
  ];
  return () => timers.forEach(clearInterval);
}

async function stopAll(apps: readonly App[], ctx: ServerContext): Promise<void> {
  ctx.live.close();
  const began = Date.now();
  // Connections whose last request ends during the stop would be kept open by their clients.
  const closing = setInterval(() => {
    const isLate = Date.now() - began > STOP_PATIENCE_MS;
    for (const { server } of apps) closeConnections(server, isLate ? 'all' : 'idle');
  }, 50);
  await Promise.all(apps.map((app) => app.close()));
  clearInterval(closing);
  await ctx.verifying.close();
  await ctx.store.close();
}

function closeConnections(server: App['server'], which: 'all' | 'idle'): void {
  if (!('closeAllConnections' in server)) return;
  if (which === 'all') server.closeAllConnections();
  else server.closeIdleConnections();
}
