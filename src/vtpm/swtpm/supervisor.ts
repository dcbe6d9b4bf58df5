/** Runs `swtpm socket` for one state: starts it, knows when it is ready, says why it ended, stops it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../../sys/index.ts';
import type { TpmAddress } from '../../tpm/index.ts';
import { VtpmError } from '../error.ts';
import type { StateKey } from '../state-key.ts';
import { missingProgram } from './capabilities.ts';
import { lastLine } from './manufacture.ts';
import { daemonCipher, keyText } from './state-key.ts';

export interface SwtpmOptions {
  /** The folder that was manufactured. */
  readonly state: string;
  /** Where the control channel's Unix socket will be; QEMU's chardev connects to it and hands over a data channel. */
  readonly control: string;
  /**
   * A data channel of its own for programs on this host, and a TPM that is started already. Left out for QEMU, whose
   * firmware starts the TPM: never share a started TPM with a guest.
   */
  readonly data?: { readonly path: string } | { readonly port: number };
  readonly key?: StateKey;
  /** It ends when the data channel closes, as a machine's TPM should. */
  readonly endsWithClient?: boolean;
  /** It is killed when this process dies; for tests and demonstrations. A VM's TPM must outlive its supervisor. */
  readonly endsWithParent?: boolean;
  /** How often it is started again after it ended by itself. What was in its memory (PCRs, sessions) is then lost. */
  readonly restarts?: number;
}

/** How one run ended. */
export interface SwtpmExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last line that it wrote to standard error. */
  readonly complaint: string;
  /** It was asked to. */
  readonly expected: boolean;
}

/** sockaddr_un.sun_path, less the final NUL (unix(7)). */
const MAX_SOCKET_PATH = 107;
const READY_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 3_000;
const KEY_DESCRIPTOR = 3;
const MAX_COMPLAINT = 4096;

/** One vTPM; guards its process. */
export class Swtpm {
  readonly #options: SwtpmOptions;
  readonly #onExit: (exit: SwtpmExit) => void;
  #child: ChildProcess | undefined;
  #isStopping = false;
  #restartsLeft: number;

  private constructor(options: SwtpmOptions, onExit: (exit: SwtpmExit) => void) {
    this.#options = options;
    this.#onExit = onExit;
    this.#restartsLeft = options.restarts ?? 0;
  }

  /**
   * @param onExit told of every end of the process, before it is started again
   * @throws {VtpmError} `vtpm.missing-program`; `vtpm.argument` for paths and keys that cannot be;
   *   `vtpm.ended` where it did not come up, with its own words
   */
  static async start(options: SwtpmOptions, onExit: (exit: SwtpmExit) => void = () => {}): Promise<Swtpm> {
    const absolute = { ...options, state: resolve(options.state), control: socketPath(options.control) };
    const data =
      options.data !== undefined && 'path' in options.data ? { path: socketPath(options.data.path) } : options.data;
    const swtpm = new Swtpm(data === undefined ? absolute : { ...absolute, data }, onExit);
    await swtpm.#run();
    return swtpm;
  }

  /** Undefined after it ended. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get control(): string {
    return this.#options.control;
  }

  /** How a client on this host reaches it. @throws {VtpmError} `vtpm.argument` where it has no data channel */
  get address(): TpmAddress {
    const { data } = this.#options;
    if (data === undefined) throw new VtpmError('vtpm.argument', 'this vTPM is for a guest and has no data channel');
    return { kind: 'swtpm', address: 'path' in data ? data : { host: '127.0.0.1', port: data.port } };
  }

  /** Ends it: SIGTERM, on which swtpm saves nothing that it had not saved before; SIGKILL where it does not listen. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const child = this.#child;
    if (child === undefined) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await gone;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(): Promise<void> {
    const { control, data } = this.#options;
    for (const path of [control, data !== undefined && 'path' in data ? data.path : control]) {
      await makeFolder(dirname(path));
      await rm(path, { force: true });
    }
    const child = launch(this.#options);
    this.#child = child;
    const complaint = keepComplaint(child);
    const failed = once(child, 'error').then(([cause]) => {
      throw missingProgram('swtpm', cause);
    });
    failed.catch(() => {});
    child.once('exit', (code, signal) =>
      this.#ended({ code, signal, complaint: complaint(), expected: this.#isStopping }),
    );
    await Promise.race([this.#ready(child, complaint), failed]);
  }

  /** Ready is who answers: the socket's file is there before anybody listens on it. */
  async #ready(child: ChildProcess, complaint: () => string): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await answers(this.#options.control))) {
      const isGone = child.exitCode !== null || child.signalCode !== null;
      if (isGone || Date.now() > deadline) {
        await this.stop();
        throw new VtpmError(
          'vtpm.ended',
          `swtpm did not start on ${this.#options.state}: ${complaint() || 'it says nothing'}`,
        );
      }
      await sleep(5);
    }
  }

  #ended(exit: SwtpmExit): void {
    this.#child = undefined;
    this.#onExit(exit);
    if (exit.expected || this.#restartsLeft === 0) return;
    this.#restartsLeft--;
    this.#run().catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      this.#onExit({ code: null, signal: null, complaint: reason, expected: false });
    });
  }
}

function socketPath(path: string): string {
  const absolute = resolve(path);
  if (Buffer.byteLength(absolute) <= MAX_SOCKET_PATH && !absolute.includes(',')) return absolute;
  const why = absolute.includes(',') ? 'has a comma' : `is longer than ${MAX_SOCKET_PATH} bytes`;
  throw new VtpmError('vtpm.argument', `the socket's path ${absolute} ${why}`, { advice: 'take another folder' });
}

function launch(options: SwtpmOptions): ChildProcess {
  const { state, control, data, key, endsWithClient, endsWithParent } = options;
  const args = ['socket', '--tpm2', '--tpmstate', `dir=${state}`, '--ctrl', `type=unixio,path=${control},mode=0600`];
  if (data !== undefined) {
    const server = 'path' in data ? `type=unixio,path=${data.path},mode=0600` : `type=tcp,port=${data.port}`;
    args.push('--server', server, '--flags', 'not-need-init,startup-clear');
  }
  if (endsWithClient === true) args.push('--terminate');
  if (key !== undefined) args.push('--key', `fd=${KEY_DESCRIPTOR},format=hex,mode=${daemonCipher(key)}`);
  const text = key === undefined ? undefined : keyText(key);
  const command = endsWithParent === true ? ['setpriv', '--pdeathsig', 'KILL', 'swtpm', ...args] : ['swtpm', ...args];
  const [program = '', ...rest] = command;
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe', text === undefined ? 'ignore' : 'pipe'] });
  if (text !== undefined) giveKey(child, text);
  return child;
}

function giveKey(child: ChildProcess, text: string): void {
  const pipe = child.stdio[KEY_DESCRIPTOR] as Writable; // a pipe from the parent's side, as stdio asks above
  pipe.on('error', () => {}); // it ended before it read: its exit is reported
  pipe.end(text);
}

/** The end of what it wrote to standard error. */
function keepComplaint(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (data: Buffer) => {
    text = (text + data.toString()).slice(-MAX_COMPLAINT);
  });
  return () => lastLine(text);
}

/** CMD_GET_CAPABILITY on the control channel (swtpm's include/swtpm/tpm_ioctl.h), which changes nothing. */
function answers(control: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(control);
    const finish = (result: boolean) => {
      socket.destroy();
      done(result);
    };
    socket.setTimeout(1000, () => finish(false));
    socket.once('error', () => finish(false));
    socket.once('close', () => finish(false));
    socket.once('connect', () => socket.write(Buffer.from([0, 0, 0, 1])));
    socket.once('data', () => finish(true));
  });
}
