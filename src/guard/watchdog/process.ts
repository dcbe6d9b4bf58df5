/**
 * Entry of the watchdog: a process of its own beside the guard, in a session of its own, for nothing within a process can
 * look after it when all of it is stopped. It shares the descriptors of the permission events. Where the guard has ended,
 * or does not say that it is alive, it ends the guard and takes its place:
 * - `open`: nothing is watched any more, and everybody who waits is let pass;
 * - `closed`: whatever is asked is refused, but what the guard itself is made of and the first process needs to start it
 *   again; until the next guard ends this process.
 */
import { closeSync } from 'node:fs';
import {
  closeFile,
  EVENTS_A_READ,
  FileStatus,
  hearPipe,
  PermissionEvents,
  PollSet,
  SysError,
  stayInMemory,
  tellPipe,
} from '../../sys/index.ts';
import { stateText, wordsOf } from '../decision/file-table.ts';
import { Requesters } from '../decision/requester.ts';
import { ownStates } from '../own-states.ts';
import { GOODBYE, READY, type WatchdogOptions } from './watchdog.ts';

/** Descriptors that it is started with, in the order of `stdio`. */
const FD = { heart: 3, voice: 4, local: 5, remote: 6 } as const;

const LOOK_MS = 200;

function main(options: WatchdogOptions): void {
  stayInMemory();
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
  const lanes = [PermissionEvents.of(FD.local), PermissionEvents.of(FD.remote)];
  const own = new Set(ownStates());
  const requesters = new Requesters();
  requesters.credentials(process.pid); // everything that is needed later is loaded now
  tellPipe(FD.voice, READY);
  closeSync(FD.voice);
  if (listen(options) === 'goodbye') return;
  kill(options.guard);
  if (options.fail === 'open') letPass(lanes);
  else refuse(lanes, own, requesters);
}

/** Waits as long as the guard lives. */
function listen({ hangMs }: WatchdogOptions): 'goodbye' | 'gone' {
  const heart = new PollSet([[FD.heart, 'readable']]);
  const said = Buffer.alloc(4096);
  let hasBegun = false;
  // Counted in looks and not by the clock: a machine that was suspended has missed none.
  for (let missed = 0; !hasBegun || missed * LOOK_MS < hangMs; ) {
    if (!heart.wait(LOOK_MS)) {
      missed += 1;
      continue;
    }
    const length = hearPipe(FD.heart, said);
    if (length === 0) return 'gone';
    if (length > 0 && said.subarray(0, length).includes(GOODBYE)) return 'goodbye';
    // Before its thread has started the guard watches nothing and says nothing.
    hasBegun = true;
    missed = 0;
  }
  return 'gone';
}

/** Stopped or traced, SIGKILL ends it; where a file system holds a thread of it, the rest ends. */
function kill(guard: number): void {
  try {
    process.kill(guard, 'SIGKILL');
  } catch {
    // it has ended
  }
}

function letPass(lanes: readonly PermissionEvents[]): void {
  for (const lane of lanes) lane.unwatchAll();
  for (const lane of lanes) answerTaken(lane, true);
  // What waits in the queues passes when this process ends, and with it the last descriptor; where the guard's own
  // process cannot end, it has one still.
  for (const lane of lanes) answerWaiting(lane, () => true);
}

/** Events that the guard had taken are known by the numbers of its descriptors alone. */
function answerTaken(lane: PermissionEvents, isAllowed: boolean): void {
  for (let fd = 0; fd < MAX_TAKEN; fd++) lane.answer(fd, isAllowed);
}

/** The guard takes no more events than it keeps accesses waiting, and has some descriptors beside. */
const MAX_TAKEN = 16_384;

function answerWaiting(lane: PermissionEvents, isAllowed: (fd: number, id: number, isExec: boolean) => boolean): void {
  for (let count = EVENTS_A_READ; count === EVENTS_A_READ; ) {
    count = lane.read();
    for (let index = 0; index < count; index++) {
      const fd = lane.events.fd(index);
      if (fd < 0) continue;
      lane.answer(fd, isAllowed(fd, lane.events.id(index), lane.isExec(index)));
      closeFile(fd);
    }
  }
}

function refuse(lanes: readonly PermissionEvents[], own: ReadonlySet<string>, requesters: Requesters): void {
  const status = new FileStatus();
  const isOwn = (of: FileStatus | undefined): boolean => of !== undefined && own.has(stateText(wordsOf(of)));
  const mayPass = (fd: number, id: number, isExec: boolean): boolean => {
    if (isOwn(statusOf(status, fd))) return true;
    if (isExec) return false;
    // Who starts the guard again, and the guard that is started, read what they need.
    return id === 1 || (requesters.credentials(id)?.euid === 0 && isOwn(requesters.program(id)));
  };
  for (const lane of lanes) answerTaken(lane, false);
  const poll = new PollSet(lanes.map(({ fd }) => [fd, 'readable']));
  // Until SIGTERM, which ends this process at once: its only work is to say no.
  for (;;) {
    if (!poll.wait(-1)) continue;
    for (const [index, lane] of lanes.entries()) if (poll.isReady(index)) answerWaiting(lane, mayPass);
  }
}

function statusOf(status: FileStatus, fd: number): FileStatus | undefined {
  try {
    return status.ofOpenAsKnown(fd);
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

main(JSON.parse(process.argv[2] ?? '{}'));
