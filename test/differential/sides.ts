/** The two TPMs that are compared: the software TPM in this process, and swtpm as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SoftwareTpm } from '../../src/vtpm/index.ts';

export interface Side {
  readonly name: string;
  execute(command: Uint8Array): Promise<Uint8Array>;
  setLocality(locality: number): Promise<void>;
  /** _TPM_Init. */
  powerOn(): Promise<void>;
  close(): Promise<void>;
}

/** One thing for each of the two. */
export type Pair<T> = readonly [ours: T, theirs: T];
export type Which = 0 | 1;

export function softwareSide(): Side {
  const tpm = SoftwareTpm.manufacture();
  let locality = 0;
  return {
    name: 'software TPM',
    execute: (command) => Promise.resolve(tpm.execute(command, locality)),
    setLocality(to) {
      locality = to;
      return Promise.resolve();
    },
    powerOn() {
      tpm.powerOn();
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}

/** One socket, one message at a time. */
class Channel {
  readonly #socket: Socket;
  #buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #end: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data) => {
      this.#buffer = Buffer.concat([this.#buffer, data]);
      this.#wake?.();
    });
    socket.on('close', () => this.#stop(new Error('swtpm closed the connection')));
    socket.on('error', (error) => this.#stop(error));
  }

  #stop(error: Error): void {
    this.#end ??= error;
    this.#wake?.();
  }

  /** swtpm needs a moment until its sockets are there. */
  static async open(path: string): Promise<Channel> {
    for (let attempt = 0; ; attempt++) {
      const socket = await new Promise<Socket | Error>((resolve) => {
        const trying = connect(path, () => resolve(trying));
        trying.once('error', resolve);
      });
      if (!(socket instanceof Error)) return new Channel(socket);
      if (attempt > 500) throw socket;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #read(size: number): Promise<Buffer> {
    while (this.#buffer.length < size) {
      if (this.#end !== undefined) throw this.#end;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const out = this.#buffer.subarray(0, size);
    this.#buffer = this.#buffer.subarray(size);
    return out;
  }

  async command(bytes: Uint8Array): Promise<Buffer> {
    this.#socket.write(bytes);
    const header = await this.#read(6);
    return Buffer.concat([header, await this.#read(header.readUInt32BE(2) - 6)]);
  }

  /** Of the control channel: a code and its parameters. @returns the result, 0 for success */
  async control(code: number, parameters: Uint8Array): Promise<number> {
    const request = Buffer.alloc(4);
    request.writeUInt32BE(code);
    this.#socket.write(Buffer.concat([request, parameters]));
    return (await this.#read(4)).readUInt32BE();
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** swtpm_ioctls(3). */
const CMD_INIT = 2;
const CMD_SET_LOCALITY = 5;

/** A new swtpm with a new state, which goes with it. */
export async function swtpmSide(): Promise<Side> {
  const folder = await mkdtemp(join(tmpdir(), 'assay-differential-'));
  const [data, control] = [join(folder, 'data'), join(folder, 'control')];
  const child: ChildProcess = spawn(
    'swtpm',
    [
      'socket',
      '--tpm2',
      ...['--tpmstate', `dir=${folder}`],
      ...['--server', `type=unixio,path=${data}`],
      ...['--ctrl', `type=unixio,path=${control}`],
      ...['--flags', 'not-need-init'],
    ],
    { stdio: 'ignore' },
  );
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const [commands, ioctls] = [await Channel.open(data), await Channel.open(control)];
  return {
    name: 'swtpm',
    execute: (command) => commands.command(command),
    async setLocality(locality) {
      await ioctls.control(CMD_SET_LOCALITY, Buffer.of(locality));
    },
    async powerOn() {
      await ioctls.control(CMD_INIT, Buffer.alloc(4));
    },
    async close() {
      commands.close();
      ioctls.close();
      child.kill('SIGKILL');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
