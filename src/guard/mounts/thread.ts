/**
 * The thread that marks file systems: those that are mounted, and those that appear. The path of a mount may lead through
 * a file system that does not answer, which must hold up nobody else.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import {
  CloseEvents,
  PermissionEvents,
  type PermissionKind,
  PollSet,
  parseMountInfo,
  SysError,
  Waker,
} from '../../sys/index.ts';
import { type LaneName, type WatchedMount, watchedMounts } from './watched-mounts.ts';

/** Descriptors of a lane's groups. */
export interface LaneGroups {
  readonly events: number;
  readonly closed: number;
}

export interface MountThreadStart {
  readonly port: MessagePort;
  readonly wake: number;
  readonly local: LaneGroups;
  readonly places: readonly string[];
}

export type MountOrder =
  /** Which accesses are to be asked for from now on. */
  | { readonly kind: 'watch'; readonly kinds: readonly PermissionKind[]; readonly order: number }
  /** Who decides about remote file systems is there now. */
  | { readonly kind: 'remote'; readonly groups: LaneGroups; readonly order: number }
  | { readonly kind: 'stop' };

export type MountReport = {
  readonly kind: 'watching';
  /** The last that was carried out. */
  readonly order: number;
  readonly watched: readonly WatchedMount[];
  readonly unwatched: readonly UnwatchedMount[];
  /** There are remote file systems, and nobody who decides about them: they are not marked yet. */
  readonly wantsRemote: boolean;
};

export interface UnwatchedMount {
  readonly path: string;
  readonly type: string;
  readonly reason: string;
}

const ALL_KINDS: readonly PermissionKind[] = ['exec', 'open'];

interface Groups {
  readonly events: PermissionEvents;
  readonly closed: CloseEvents;
}

class MountThread {
  readonly #start: MountThreadStart;
  readonly #groups: Partial<Record<LaneName, Groups>>;
  #kinds: readonly PermissionKind[] = [];
  #order = 0;
  #isStopped = false;

  constructor(start: MountThreadStart) {
    this.#start = start;
    this.#groups = { local: groupsOf(start.local) };
  }

  run(): void {
    const waker = Waker.of(this.#start.wake);
    const mountInfo = openSync('/proc/self/mountinfo', 'r');
    const poll = new PollSet([
      [this.#start.wake, 'readable'],
      [mountInfo, 'changed'],
    ]);
    while (!this.#isStopped) {
      poll.wait(-1);
      if (poll.isReady(0)) {
        waker.clear();
        this.#takeOrders();
      }
      if (!this.#isStopped && poll.hasChanged(1)) this.#watch();
    }
    closeSync(mountInfo);
  }

  #takeOrders(): void {
    const { port } = this.#start;
    for (let got = receiveMessageOnPort(port); got !== undefined; got = receiveMessageOnPort(port)) {
      const order: MountOrder = got.message;
      if (order.kind === 'stop') {
        this.#isStopped = true;
        return;
      }
      if (order.kind === 'remote') this.#groups.remote = groupsOf(order.groups);
      else this.#kinds = order.kinds;
      this.#order = order.order;
      this.#watch();
    }
  }

  /** Marks everything anew: a device's number may stand for another file system than the last time. */
  #watch(): void {
    const watched: WatchedMount[] = [];
    const unwatched: UnwatchedMount[] = [];
    let wantsRemote = false;
    const mounts = parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1'));
    for (const mount of watchedMounts(this.#start.places, mounts)) {
      const groups = this.#groups[mount.lane];
      if (groups === undefined) {
        wantsRemote = true;
        continue;
      }
      try {
        this.#mark(mount, groups);
        watched.push(mount);
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        unwatched.push({ path: mount.path, type: mount.type, reason: error.errno ?? error.message });
      }
    }
    const order = this.#order;
    this.#start.port.postMessage({ kind: 'watching', order, watched, unwatched, wantsRemote } satisfies MountReport);
  }

  /** News of closed files first: nothing may be known of a file whose writers are not heard of. */
  #mark({ path }: WatchedMount, { events, closed }: Groups): void {
    const place = Buffer.from(path, 'latin1');
    if (this.#kinds.length > 0) {
      closed.watchFileSystem(place);
      events.watchFileSystem(place, this.#kinds);
    }
    const others = ALL_KINDS.filter((kind) => !this.#kinds.includes(kind));
    if (others.length > 0) unwatch(events, place, others);
  }
}

function groupsOf({ events, closed }: LaneGroups): Groups {
  return { events: PermissionEvents.of(events), closed: CloseEvents.of(closed) };
}

function unwatch(events: PermissionEvents, place: Buffer, kinds: readonly PermissionKind[]): void {
  try {
    events.unwatchFileSystem(place, kinds);
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== 'ENOENT') throw error; // it was not watched
  }
}

new MountThread(workerData).run();
