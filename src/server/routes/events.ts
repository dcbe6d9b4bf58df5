/** Live events (server-sent events, WHATWG HTML 9.2): a stream is read from the store, so it can be taken up anywhere. */
import type { ServerResponse } from 'node:http';
import Type from 'typebox';
import type { ServerContext } from '../context.ts';
import { ServerError } from '../error.ts';
import type { App } from '../http/app.ts';
import { callerOf } from '../http/rate.ts';
import { whenClosed } from '../http/when-closed.ts';
import type { Sighting } from '../live.ts';
import { eventRange, eventsAfter, type StoredEvent } from '../store/events.ts';

const PING_MS = 15_000;
const PAGE = 200;
/** A stream whose reader takes nothing for so long is closed; it can come back with Last-Event-ID. */
const STALLED_MS = 30_000;

export function eventRoutes(app: App, ctx: ServerContext, stopping: AbortSignal): void {
  const schema = {
    summary: 'Verdicts and what else happens, as server-sent events; Last-Event-ID continues',
    description:
      'Events `enrolled`, `verdict`, `silent`, `live`, `reference`, `removed` have ids and are kept; `seen` (hosts seen in the last second) is not; `reset` says that events were missed for good: read the state anew.',
    tags: ['events'],
    querystring: Type.Object({ after: Type.Optional(Type.Integer({ minimum: 0 })) }),
    produces: ['text/event-stream'],
  };
  app.get('/events', { config: { access: 'viewer' }, schema }, async (request, reply) => {
    takePlace(ctx, callerOf(request), reply.raw);
    const named = request.headers['last-event-id'];
    const after = typeof named === 'string' && /^\d{1,15}$/.test(named) ? Number(named) : request.query.after;
    const range = await eventRange(ctx.store.read);
    reply.hijack();
    if (reply.raw.closed) return; // the client went meanwhile
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    new EventStream(ctx, reply.raw, after ?? range.last).open(range, stopping);
  });
}

/** Before anything is waited for; given back when the response ends, however it ends. */
function takePlace({ streams }: ServerContext, caller: string, response: ServerResponse): void {
  const place = streams.take(caller);
  if (place === 'own') throw new ServerError('rate.limited', 'this token or session has 8 streams open; close one');
  if (place === 'full') throw new ServerError('server.busy', 'too many streams are open', { advice: 'try again' });
  whenClosed(response, () => streams.release(caller));
}

class EventStream {
  readonly #ctx: ServerContext;
  readonly #response: ServerResponse;
  #sent: number;
  #pumping = false;
  #again = false;

  constructor(ctx: ServerContext, response: ServerResponse, sent: number) {
    this.#ctx = ctx;
    this.#response = response;
    this.#sent = sent;
  }

  open(range: { first: number; last: number }, stopping: AbortSignal): void {
    const response = this.#response;
    response.write('retry: 1000\n\n');
    const isGap = this.#sent > range.last || (range.first > 0 && this.#sent < range.first - 1);
    if (isGap) {
      this.#sent = range.last;
      response.write(`id: ${range.last}\nevent: reset\ndata: {}\n\n`);
    }
    const unsubscribe = this.#ctx.live.subscribe({
      onEvents: () => void this.#pump(),
      onSightings: (sightings) => this.#tellSightings(sightings),
    });
    const ping = setInterval(() => {
      if (!response.writableNeedDrain) response.write(': \n\n');
    }, PING_MS);
    const end = () => response.end();
    stopping.addEventListener('abort', end, { once: true });
    response.once('close', () => {
      clearInterval(ping);
      unsubscribe();
      stopping.removeEventListener('abort', end);
    });
    if (stopping.aborted) end();
    else void this.#pump();
  }

  /** Sends what the store holds beyond what was sent, at the pace of the reader. */
  async #pump(): Promise<void> {
    this.#again = true;
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#again && !this.#response.writableEnded) {
        this.#again = false; // before the read: a notice that comes meanwhile asks for another
        const events = await eventsAfter(this.#ctx.store.read, this.#sent, PAGE);
        this.#again ||= events.length === PAGE;
        for (const event of events) await this.#send(event);
      }
    } catch (error) {
      this.#ctx.log.error({ err: error }, 'a stream of events failed');
      this.#response.destroy();
    } finally {
      this.#pumping = false;
    }
  }

  async #send(event: StoredEvent): Promise<void> {
    const { seq, kind, hostId, at, data } = event;
    this.#sent = seq;
    const text = `id: ${seq}\nevent: ${kind}\ndata: {"hostId":${JSON.stringify(hostId)},"at":${at},"detail":${data}}\n\n`;
    if (!this.#response.write(text)) await drained(this.#response);
  }

  #tellSightings(sightings: readonly Sighting[]): void {
    if (this.#response.writableNeedDrain) return; // a slow reader hears of them a second later
    this.#response.write(`event: seen\ndata: ${JSON.stringify(sightings)}\n\n`);
  }
}

/** Resolves when the reader has taken what was written, or is gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => response.destroy(), STALLED_MS);
    const done = () => {
      clearTimeout(timer);
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.once('drain', done).once('close', done);
  });
}
