/**
 * What the page knows, as signals, kept current by the server's events. An event says that something changed; what it
 * is now is asked for, so that a lost event costs nothing.
 */
import { batch, signal } from '@preact/signals';
import {
  type Demonstration,
  getDemonstration,
  getHost,
  getHosts,
  type HostDetail,
  type HostSummary,
  RefusedError,
} from './api.ts';
import { backoff } from './backoff.ts';
import { ShapeError } from './check.ts';

export type Connection =
  | { readonly state: 'connecting' }
  | { readonly state: 'live' }
  | { readonly state: 'lost'; readonly attempt: number; readonly retryAt: number }
  /** The session is over; only a new link from the terminal helps. */
  | { readonly state: 'signed-out' }
  /** The server answers, and not as this page understands it. */
  | { readonly state: 'failed'; readonly reason: string };

export const connection = signal<Connection>({ state: 'connecting' });
/** Undefined until they were asked for. */
export const hosts = signal<readonly HostSummary[] | undefined>(undefined);
export const chosen = signal<string | undefined>(undefined);
export const host = signal<HostDetail | undefined>(undefined);
export const demonstration = signal<Demonstration | undefined>(undefined);
/** Ticks once a second, for what is said as "12 s ago". */
export const now = signal(Date.now());

let events: EventSource | undefined;
let retryTimer: number | undefined;
let attempts = 0;

/** Begins to follow the server; called once. */
export function follow(): void {
  setInterval(() => {
    now.value = Date.now();
  }, 1000);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && connection.value.state === 'lost') retry();
  });
  addEventListener('online', retry);
  addEventListener('hashchange', () => {
    const wanted = hosts.value?.find((one) => one.id === idInAddress());
    if (wanted !== undefined) choose(wanted.id);
  });
  void connect();
}

/** Tries again now instead of at the end of the wait. */
export function retry(): void {
  if (connection.value.state !== 'lost') return;
  clearTimeout(retryTimer);
  void connect();
}

/** Shows another host. */
export function choose(id: string): void {
  if (id === chosen.value) return;
  batch(() => {
    chosen.value = id;
    host.value = undefined;
  });
  history.replaceState(null, '', `#${encodeURIComponent(id)}`);
  refreshHost();
}

function idInAddress(): string | undefined {
  try {
    return decodeURIComponent(location.hash.slice(1)) || undefined;
  } catch {
    return undefined;
  }
}

async function connect(): Promise<void> {
  try {
    await readAll();
    listen();
  } catch (error) {
    lost(error);
  }
}

function listen(): void {
  events?.close();
  events = new EventSource('/api/events');
  events.onopen = () => {
    attempts = 0;
    connection.value = { state: 'live' };
    refreshAll(); // what changed between reading and listening
  };
  events.onerror = () => lost(undefined);
  for (const kind of ['enrolled', 'removed', 'silent', 'live', 'reference', 'verdict', 'reset']) {
    events.addEventListener(kind, refreshAll);
  }
  events.addEventListener('seen', (event) => {
    if (typeof event.data !== 'string' || chosen.value === undefined) return;
    if (event.data.includes(`"${chosen.value}"`)) refreshHost();
  });
}

function lost(error: unknown): void {
  events?.close();
  events = undefined;
  if (error instanceof RefusedError && (error.status === 401 || error.status === 403)) {
    connection.value = { state: 'signed-out' };
    return;
  }
  if (error instanceof ShapeError) {
    connection.value = { state: 'failed', reason: error.message };
    return;
  }
  attempts += 1;
  const wait = backoff(attempts, Math.random());
  connection.value = { state: 'lost', attempt: attempts, retryAt: Date.now() + wait };
  clearTimeout(retryTimer);
  retryTimer = setTimeout(() => void connect(), wait);
}

async function readAll(): Promise<void> {
  await readHosts();
  await Promise.all([readHost(), readDemonstration()]);
}

async function readHosts(): Promise<void> {
  const found = await getHosts();
  hosts.value = found;
  const wanted = chosen.value ?? idInAddress();
  const known = found.find((one) => one.id === wanted) ?? found[0];
  if (known?.id === chosen.value) return;
  batch(() => {
    chosen.value = known?.id;
    host.value = undefined;
  });
}

async function readHost(): Promise<void> {
  const id = chosen.value;
  if (id === undefined) return;
  try {
    const found = await getHost(id);
    if (chosen.value === id) host.value = found;
  } catch (error) {
    if (!(error instanceof RefusedError && error.status === 404)) throw error;
    await readHosts(); // it has been removed: the next one in the list is shown
  }
}

export async function readDemonstration(): Promise<void> {
  demonstration.value = await getDemonstration();
}

/** At most one request on its way and one waiting: a burst of events asks twice. */
function joined(work: () => Promise<void>): () => void {
  let running = false;
  let again = false;
  const run = async (): Promise<void> => {
    running = true;
    do {
      again = false;
      try {
        await work();
      } catch (error) {
        lost(error);
        break;
      }
    } while (again);
    running = false;
  };
  return () => {
    if (running) again = true;
    else void run();
  };
}

export const refreshHost = joined(readHost);
const refreshAll = joined(readAll);
