/**
 * The guard: IMA's policy held at the door of the file system. This thread only arranges: it starts the threads that
 * decide, read and mark, puts policies in force, and hands on what they tell.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { type JudgeKeys, LabelJudge } from '../appraise/index.ts';
import type { IntegrityRecord } from '../ima/audit/index.ts';
import type { PlacedRule } from '../ima/policy/index.ts';
import { CloseEvents, ignoreLeaseSignal, PermissionEvents, SysError, Waker } from '../sys/index.ts';
import { fileHashRecord, findingRecord, operationRecord } from './audit-log.ts';
import type { Counts } from './counters.ts';
import { coverageOf, type NotEnforced, withoutLabels } from './coverage.ts';
import { GuardError } from './error.ts';
import { Lane, type LaneEvents } from './lane.ts';
import type { DeciderReport, FindingReport, Measurement } from './messages.ts';
import type { GuardMode } from './mode.ts';
import { checkPlaces } from './mounts/places.ts';
import type { LaneGroups, MountOrder, MountReport, MountThreadStart, UnwatchedMount } from './mounts/thread.ts';
import type { LaneName, WatchedMount } from './mounts/watched-mounts.ts';
import { ownStates, stateOf } from './own-states.ts';
import { hasSelinux } from './security-module.ts';
import { readTrees } from './trees/read-trees.ts';
import type { GuardedTree, ReadTree, TreeStatus } from './trees/tree.ts';
import { type FailMode, Watchdog } from './watchdog/watchdog.ts';

/** What is in force: a policy and what depends on it. */
export interface GuardPolicy {
  readonly rules: readonly PlacedRule[];
  readonly mode: GuardMode;
  /** `ima_policy=fail_securely`: what a file system cannot vouch for fails. */
  readonly failSecurely?: boolean;
  readonly keys: JudgeKeys;
  /** The kernel's `ima_template=`; left out: `ima-ng`. */
  readonly template?: string;
  /** What is appraised beneath them must also be what their directory labels say of its path. Read when the policy comes in force. */
  readonly trees?: readonly GuardedTree[];
}

/**
 * Where measurements go. Asked in this thread, for which the access waits: a thread that blocks (spawnSync) makes every
 * measured access wait until the guard's patience is at its end.
 */
export interface MeasurementSink {
  /** Resolves when they are in the list and the PCR. */
  add(measurements: readonly Measurement[]): Promise<void>;
}

export interface GuardOptions extends GuardPolicy {
  /** Mount points: what is mounted there and beneath is watched, now and later. */
  readonly places: readonly string[];
  readonly sink?: MeasurementSink;
  /** How long a file may give nothing, in ms, before the access is decided without it. Left out: 10,000. */
  readonly patienceMs?: number;
  /** Threads that read files. Left out: 2. */
  readonly examiners?: number;
  /** What becomes of accesses when this process has ended, or is silent for so many ms; left out: the first, at its end alone. */
  readonly watchdog?: { readonly fail: FailMode; readonly hangMs: number };
  /** A record as the kernel would write it; `finding` where it is about an access. */
  readonly onRecord?: (record: IntegrityRecord, finding?: FindingReport) => void;
  /** There is a watchdog, or another one. */
  readonly onWatchdog?: (pid: number) => void;
  /** In words, for the guard's own log. */
  readonly onTrouble?: (trouble: string) => void;
  /** The guard can go on no longer: nothing is watched any more. */
  readonly onFailure?: (error: unknown) => void;
}

export interface GuardStatus {
  readonly mode: GuardMode;
  readonly policies: number;
  readonly watched: readonly WatchedMount[];
  readonly unwatched: readonly UnwatchedMount[];
  readonly notEnforced: readonly NotEnforced[];
  readonly trees: readonly TreeStatus[];
  readonly counts: Readonly<Partial<Record<LaneName, Counts>>>;
}

const PATIENCE_MS = 10_000;
const EXAMINERS = 2;
const TEMPLATE = 'ima-ng';

const MOUNT_THREAD = new URL(
  import.meta.url.endsWith('.ts') ? './mounts/thread.ts' : './mounts/thread.js',
  import.meta.url,
);

export class Guard {
  readonly #options: GuardOptions;
  readonly #groups: Groups;
  #watchdog: Watchdog | undefined;
  readonly #local: Lane;
  /** Its threads are started when there is something for them. */
  #remote: Lane | undefined;
  #remoteStart: Promise<void> | undefined;
  /** The last that puts a policy in force. */
  #turn: Promise<void> = Promise.resolve();
  readonly #mountPort: MessagePort;
  readonly #mountThread: Worker;
  readonly #mountWaker: Waker;
  readonly #carriedOutBy = new Map<number, () => void>();
  #policy: GuardPolicy;
  #trees: readonly ReadTree[] = [];
  #policies = 0;
  #mountOrders = 0;
  #watching: MountReport = { kind: 'watching', order: 0, watched: [], unwatched: [], wantsRemote: false };
  #isStopped = false;

  private constructor(options: GuardOptions, groups: Groups, watchdog: Watchdog | undefined) {
    this.#options = options;
    this.#policy = options;
    this.#groups = groups;
    this.#watchdog = watchdog;
    this.#local = this.#newLane('local');
    this.#mountWaker = Waker.open();
    const { port1, port2 } = new MessageChannel();
    this.#mountPort = port1;
    this.#mountPort.on('message', (report: MountReport) => this.#takeMounts(report));
    const workerData: MountThreadStart = {
      port: port2,
      wake: this.#mountWaker.fd,
      local: descriptorsOf(groups.local),
      places: options.places,
    };
    this.#mountThread = new Worker(MOUNT_THREAD, { workerData, transferList: [port2], trackUnmanagedFds: false });
    this.#mountThread.on('error', (error) => this.#fail(error));
  }

  #newLane(name: LaneName): Lane {
    const { examiners = EXAMINERS, patienceMs = PATIENCE_MS } = this.#options;
    return new Lane({
      name,
      ...this.#groups[name],
      heart: name === 'local' ? this.#watchdog?.heart : undefined,
      examiners,
      patienceMs,
      ownProcesses: [process.pid, ...(this.#watchdog === undefined ? [] : [this.#watchdog.pid])],
      ownStates: ownStates(),
      onReport: (from, report) => this.#take(from, report),
      onFailure: (error) => this.#fail(error),
    });
  }

  get #lanes(): Lane[] {
    return [this.#local, ...(this.#remote === undefined ? [] : [this.#remote])];
  }

  /**
   * Resolves when every access is decided by the policy.
   * @throws {GuardError} `guard.not-a-mount`, `guard.cannot-watch`
   * @throws {GuardError} `guard.option`, `guard.tree` for trees whose labels are to be judged
   * @throws {DigsigError} for keys that cannot be read
   */
  static async start(options: GuardOptions): Promise<Guard> {
    checkPlaces(options.places);
    ignoreLeaseSignal();
    let groups: Groups;
    try {
      groups = { local: openGroups(), remote: openGroups() };
    } catch (error) {
      throw error instanceof SysError ? cannotWatch(error) : error;
    }
    const guard = new Guard(options, groups, await startWatchdog(options, groups, () => guard.#restartWatchdog()));
    try {
      await guard.#putInForce(options);
      if (guard.#watching.watched.length === 0 && coverageOf(options.rules).kinds.length > 0) {
        const reason = guard.#watching.unwatched[0]?.reason ?? 'nothing is mounted there';
        throw new GuardError('guard.cannot-watch', `${options.places.join(', ')}: ${reason}`);
      }
    } catch (error) {
      await guard.stop();
      throw error;
    }
    return guard;
  }

  /**
   * Puts another policy in force, without a moment without one: what is asked for before it is, is decided by the old one.
   * @throws {DigsigError} for keys that cannot be read; the old one stays
   */
  async reload(policy: GuardPolicy): Promise<void> {
    const done = this.#turn.then(() => this.#putInForce(policy));
    this.#turn = done.catch(() => undefined);
    await done;
  }

  /** More accesses are asked for before the policy that wants them, fewer after it. */
  async #putInForce(policy: GuardPolicy): Promise<void> {
    const { keys, rules } = policy;
    new LabelJudge(keys); // here, where an error stops the one who asks, and not the threads
    const trees = await readTrees(policy.trees ?? [], keys);
    this.#policies += 1;
    const before = new Set(coverageOf(this.#policy.rules).kinds);
    const { kinds } = coverageOf(rules);
    const isFirst = this.#policies === 1;
    if (!isFirst && kinds.some((kind) => !before.has(kind))) await this.#watch(kinds);
    this.#policy = policy;
    this.#trees = trees;
    await Promise.all(this.#lanes.map((lane) => this.#instruct(lane)));
    await this.#watch(kinds);
  }

  #instruct(lane: Lane): Promise<void> {
    const { keys, mode, rules, failSecurely = false, template = TEMPLATE } = this.#policy;
    return lane.setPolicy(
      { keys, mode, template },
      {
        kind: 'policy',
        policy: this.#policies,
        rules,
        mode,
        failSecurely,
        trees: this.#trees.map(({ places }) => places),
      },
    );
  }

  async #watch(kinds: ReturnType<typeof coverageOf>['kinds']): Promise<void> {
    await this.#carriedOut((order) => ({ kind: 'watch', kinds, order }));
    await this.#startRemote();
  }

  /** Remote file systems have appeared: they are marked when somebody is there who decides about them. */
  async #startRemote(): Promise<void> {
    if (this.#watching.wantsRemote) this.#remoteStart ??= this.#newRemote();
    await this.#remoteStart;
  }

  async #newRemote(): Promise<void> {
    const lane = this.#newLane('remote');
    this.#remote = lane;
    await this.#instruct(lane);
    await this.#carriedOut((order) => ({ kind: 'remote', groups: descriptorsOf(this.#groups.remote), order }));
  }

  async #carriedOut(orderOf: (order: number) => MountOrder): Promise<void> {
    const order = ++this.#mountOrders;
    const done = new Promise<void>((resolve) => this.#carriedOutBy.set(order, resolve));
    this.#mountOrder(orderOf(order));
    await done;
  }

  #mountOrder(order: MountOrder): void {
    this.#mountPort.postMessage(order);
    this.#mountWaker.wake();
  }

  #takeMounts(report: MountReport): void {
    this.#watching = report;
    this.#carriedOutBy.get(report.order)?.();
    this.#carriedOutBy.delete(report.order);
    for (const lane of this.#lanes) lane.remounted();
    this.#startRemote().catch((error: unknown) => this.#fail(error));
  }

  #take(lane: Lane, report: DeciderReport): void {
    const { onRecord, onTrouble } = this.#options;
    switch (report.kind) {
      case 'finding':
        onRecord?.(findingRecord(report), report);
        break;
      case 'file-hash':
        onRecord?.(fileHashRecord(report));
        break;
      case 'measure':
        void this.#measure(lane, report.job, report.measurements);
        break;
      case 'stuck':
        onTrouble?.(
          `${Buffer.from(report.path).toString()} gives nothing; accesses to its file system are not waited for`,
        );
        break;
      case 'fault':
        onTrouble?.(report.message);
        break;
      default:
        break;
    }
  }

  async #measure(lane: Lane, job: number, measurements: readonly Measurement[]): Promise<void> {
    let isDone = false;
    try {
      await this.#options.sink?.add(measurements);
      isDone = this.#options.sink !== undefined;
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      this.#options.onTrouble?.(`measurement failed: ${cause}`);
      const name = measurements[0]?.template ?? TEMPLATE;
      this.#options.onRecord?.(operationRecord({ op: 'add_template_measure', cause: 'ENOMEM' }, name, false));
    }
    if (!this.#isStopped) lane.measured(job, isDone);
  }

  /** Whoever opens this file of the guard's own is allowed to, as long as it is as it is now. */
  allowOwn(path: string): void {
    const state = stateOf(path);
    if (state !== undefined) for (const lane of this.#lanes) lane.allowOwn(state);
  }

  get watchdogPid(): number | undefined {
    return this.#watchdog?.pid;
  }

  get status(): GuardStatus {
    const { mode, rules } = this.#policy;
    const { watched, unwatched } = this.#watching;
    return {
      mode,
      policies: this.#policies,
      watched,
      unwatched,
      notEnforced: [...coverageOf(rules).notEnforced, ...(hasSelinux() ? [] : withoutLabels(rules))],
      trees: this.#trees.map((tree) => tree.status),
      counts: Object.fromEntries(this.#lanes.map(({ name, counters }) => [name, counters.all()])),
    };
  }

  /** It ended by itself, or somebody ended it. */
  #restartWatchdog(): void {
    if (this.#isStopped) return;
    this.#local.setHeart(undefined);
    startWatchdog(this.#options, this.#groups, () => this.#restartWatchdog()).then(
      (watchdog) => {
        this.#watchdog = watchdog;
        this.#local.setHeart(watchdog?.heart);
        if (this.#isStopped) watchdog?.dismiss();
      },
      (error: unknown) => this.#options.onTrouble?.(`nobody looks after the guard: ${String(error)}`),
    );
  }

  /** Watches nothing any more; everybody who waits is let pass. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#mountOrder({ kind: 'stop' });
    for (const { events } of Object.values(this.#groups)) events.unwatchAll();
    this.#watchdog?.dismiss();
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
    if (this.#remote === undefined) {
      this.#groups.remote.events.close();
      this.#groups.remote.closed.close();
    }
    this.#mountPort.close();
    this.#mountThread.unref();
    void this.#mountThread.terminate();
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return;
    void this.stop();
    this.#options.onFailure?.(error);
  }
}

type Groups = Readonly<Record<LaneName, LaneEvents>>;

const openGroups = (): LaneEvents => ({ events: PermissionEvents.open(), closed: CloseEvents.open() });

const descriptorsOf = ({ events, closed }: LaneEvents): LaneGroups => ({ events: events.fd, closed: closed.fd });

async function startWatchdog(
  { watchdog, onWatchdog }: GuardOptions,
  { local, remote }: Groups,
  onEnd: () => void,
): Promise<Watchdog | undefined> {
  if (watchdog === undefined) return undefined;
  const groups = { local: local.events.fd, remote: remote.events.fd };
  const started = await Watchdog.start({ ...watchdog, groups, onEnd });
  onWatchdog?.(started.pid);
  return started;
}

function cannotWatch(cause: SysError): GuardError {
  const advice = cause.advice ?? 'the guard needs root (CAP_SYS_ADMIN) and CONFIG_FANOTIFY_ACCESS_PERMISSIONS';
  return new GuardError('guard.cannot-watch', cause.message, { advice, exitCode: 3, cause });
}
