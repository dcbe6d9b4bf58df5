/** The guard as a service of a machine: one guard with its folder, its log, and a door for its administrator. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AssayError } from '../bytes/index.ts';
import { type ControlSocket, openControlSocket, privateFolder, SysError, stayInMemory } from '../sys/index.ts';
import { GuardError } from './error.ts';
import { Guard, type GuardOptions, type GuardPolicy, type GuardStatus } from './guard.ts';
import type { FindingReport } from './messages.ts';
import { RecordLog } from './record-log.ts';
import { endPredecessors, forgetWatchdogs, noteWatchdog, WATCHDOGS } from './watchdog/predecessor.ts';

/** Denials that are kept to be shown. */
const KEPT_DENIALS = 50;

export const AUDIT_LOG = 'audit.log';
/** For `kill`, which a shell has built in: no program need be executed for it. */
const PID_FILE = 'guard.pid';

export interface ServiceOptions extends Omit<GuardOptions, keyof GuardPolicy | 'onRecord' | 'onFailure'> {
  /** This user's alone: the control socket and the log. */
  readonly folder: string;
  /** Reads the policy, with its keys, again; under another name where one is given. */
  readonly load: (name: string | undefined) => NamedPolicy;
  readonly onFinding?: (finding: FindingReport) => void;
}

export interface NamedPolicy extends GuardPolicy {
  readonly name: string;
}

/** An access that was refused, or would have been. */
export interface Denial {
  readonly at: string;
  readonly isDenied: boolean;
  readonly access: 'execute' | 'open';
  readonly path: string;
  readonly cause: string;
  readonly expected?: string;
  readonly found?: string;
  readonly pid?: number;
  readonly uid?: number;
  readonly comm?: string;
}

export interface ServiceStatus extends GuardStatus {
  readonly pid: number;
  readonly since: string;
  readonly policy: string;
  readonly rules: number;
  readonly fail: 'open' | 'closed';
  readonly log: string;
  readonly suppressedRecords: number;
  readonly logTrouble?: string;
  /** The last ones, the newest first. */
  readonly denials: readonly Denial[];
}

export class GuardService {
  readonly #options: ServiceOptions;
  readonly #log: RecordLog;
  #since = new Date();
  readonly #denials: Denial[] = [];
  readonly #ended = Promise.withResolvers<unknown>();
  #guard: Guard | undefined;
  #control: ControlSocket | undefined;
  #policy: NamedPolicy;

  private constructor(options: ServiceOptions, policy: NamedPolicy) {
    this.#options = options;
    this.#policy = policy;
    this.#log = new RecordLog(join(options.folder, AUDIT_LOG));
  }

  /**
   * @throws {GuardError} `guard.running` where a guard uses the folder, and what `Guard.start` throws
   * @throws {SysError} `sys.folder-not-private`
   */
  static async start(options: ServiceOptions): Promise<GuardService> {
    await privateFolder(options.folder);
    const policy = options.load(undefined);
    const service = new GuardService(options, policy);
    await service.#open();
    return service;
  }

  /** Resolves when the guard has ended: with an error where it did so by itself. */
  get ended(): Promise<unknown> {
    return this.#ended.promise;
  }

  async #open(): Promise<void> {
    const { folder } = this.#options;
    this.#control = await openControlSocket(folder, (line) => this.#answer(line)).catch((error: unknown) => {
      if (!(error instanceof SysError) || error.code !== 'sys.socket-taken') throw error;
      const advice = 'see `assay guard status`; one guard uses a folder';
      throw new GuardError('guard.running', `${folder}: a guard runs there`, { advice, cause: error });
    });
    try {
      stayInMemory();
      this.#guard = await Guard.start({
        ...this.#options,
        ...this.#policy,
        onRecord: (record, finding) => {
          this.#log.write(record);
          if (finding !== undefined) this.#note(finding);
        },
        onWatchdog: (pid) => {
          noteWatchdog(folder, pid);
          this.#guard?.allowOwn(join(folder, WATCHDOGS));
        },
        onFailure: (error) => void this.#end(error),
      });
      this.#since = new Date();
      writeFileSync(join(folder, PID_FILE), `${process.pid}\n`, { mode: 0o600 });
      endPredecessors(folder, this.#guard.watchdogPid);
      // Who has to stop the guard by a shell's own kill reads them, whatever the policy says.
      for (const name of [PID_FILE, WATCHDOGS]) this.#guard.allowOwn(join(folder, name));
    } catch (error) {
      await this.#control.close();
      throw error;
    }
  }

  #note(finding: FindingReport): void {
    this.#denials.unshift(denialOf(finding, new Date()));
    this.#denials.length = Math.min(this.#denials.length, KEPT_DENIALS);
    this.#options.onFinding?.(finding);
  }

  async #answer(line: string): Promise<object> {
    const [word = '', ...rest] = line.split(' ');
    switch (word) {
      case 'status':
        return { status: this.status };
      case 'reload':
        return this.#reload(rest.length === 0 ? undefined : rest.join(' '));
      case 'stop':
        await this.#guard?.stop();
        // The door is closed behind who asked.
        setImmediate(() => void this.stop());
        return { stopped: true };
      default:
        return { error: { code: 'request.invalid', message: 'unknown request' } };
    }
  }

  async #reload(name: string | undefined): Promise<object> {
    try {
      await this.reload(name);
      return { status: this.status };
    } catch (error) {
      if (!(error instanceof AssayError)) return { error: { code: 'fault', message: String(error) } };
      const { code, message, advice } = error;
      return { error: { code, message, ...(advice === undefined ? {} : { advice }) } };
    }
  }

  /** Reads the policy again and puts it in force; the old one stays where the new one has an error. @throws what reading it throws */
  async reload(name?: string): Promise<void> {
    const policy = this.#options.load(name);
    await this.#guard?.reload(policy);
    this.#policy = policy;
  }

  get status(): ServiceStatus {
    if (this.#guard === undefined) throw new GuardError('guard.not-running', 'the guard is starting');
    const { trouble } = this.#log;
    return {
      pid: process.pid,
      since: this.#since.toISOString(),
      policy: this.#policy.name,
      rules: this.#policy.rules.length,
      fail: this.#options.watchdog?.fail ?? 'open',
      ...this.#guard.status,
      log: this.#log.path,
      suppressedRecords: this.#log.suppressed,
      ...(trouble === undefined ? {} : { logTrouble: trouble }),
      denials: this.#denials,
    };
  }

  /** Watches nothing any more. */
  async stop(): Promise<void> {
    await this.#end(undefined);
  }

  async #end(error: unknown): Promise<void> {
    await this.#guard?.stop();
    rmSync(join(this.#options.folder, PID_FILE), { force: true });
    forgetWatchdogs(this.#options.folder);
    await this.#control?.close();
    await this.#log.close();
    this.#ended.resolve(error);
  }
}

function denialOf({ isDenied, access, path, fault, task }: FindingReport, at: Date): Denial {
  const { cause, expected, found } = fault;
  return {
    at: at.toISOString(),
    isDenied,
    access,
    path: Buffer.from(path).toString(),
    cause,
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(task === undefined ? {} : { pid: task.pid, comm: Buffer.from(task.comm).toString() }),
    ...(task?.uid === undefined ? {} : { uid: task.uid }),
  };
}
