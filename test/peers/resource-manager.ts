/**
 * A flushing resource manager: many programs on one TPM, each over the simulator's protocol (mssim: one connection for
 * the program's life). What a program leaves loaded is flushed when its connection ends, as tpm2-abrmd and /dev/tpmrm0
 * do; handles are not virtualised. Every command is counted where it arrives.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { commandName, marshalCommand, TPM_RC, TPM2_FlushContext, type Transport } from '../../src/tpm/index.ts';

export interface Arrived {
  readonly command: string;
  /** The TPM's response code; 0 is success. */
  readonly rc: number;
}

export interface ResourceManager extends AsyncDisposable {
  /** As tpm2-tools' TPM2TOOLS_TCTI takes it. */
  readonly tcti: string;
  /** What programs sent, in order; what the resource manager itself flushed is not in it. */
  readonly arrived: readonly Arrived[];
}

/** The reference simulator's TcpTpmProtocol.h. */
const SEND_COMMAND = 8;
const SESSION_END = 20;
const ACKNOWLEDGED = Buffer.alloc(4);
const SEND_COMMAND_HEAD = 9;
const HEADER = 10;

const GIVES_HANDLE = new Set([
  'TPM2_CreatePrimary',
  'TPM2_CreateLoaded',
  'TPM2_Load',
  'TPM2_LoadExternal',
  'TPM2_ContextLoad',
  'TPM2_HashSequenceStart',
  'TPM2_HMAC_Start',
  'TPM2_StartAuthSession',
]);

function isSession(handle: number): boolean {
  return handle >>> 24 === 0x02 || handle >>> 24 === 0x03;
}

/** One command at a time, whoever sends it. */
function inTurn(transport: Transport): (command: Uint8Array) => Promise<Buffer> {
  let last: Promise<unknown> = Promise.resolve();
  return (command) => {
    const response = last.then(async () => Buffer.from(await transport.execute(command)));
    last = response.catch(() => undefined);
    return response;
  };
}

/** What one program has loaded. */
class LoadedHandles {
  readonly #handles = new Set<number>();

  /** A session that was saved is the program's no more: another program loads it, and a flush would end it. */
  note(name: string, command: Buffer, response: Buffer): void {
    if (GIVES_HANDLE.has(name)) this.#handles.add(response.readUInt32BE(HEADER));
    if (name !== 'TPM2_ContextSave' && name !== 'TPM2_FlushContext') return;
    const handle = command.readUInt32BE(HEADER);
    if (name === 'TPM2_FlushContext' || isSession(handle)) this.#handles.delete(handle);
  }

  /** Sequences that completed and sessions that ended are gone already: their flush is refused, which does no harm. */
  async flush(execute: (command: Uint8Array) => Promise<Buffer>): Promise<void> {
    for (const flushHandle of this.#handles) await execute(marshalCommand(TPM2_FlushContext, { flushHandle }));
    this.#handles.clear();
  }
}

/** Calls `take` with what came and is not taken yet; it answers how many bytes it took, 0 to wait for more. */
function onFrames(socket: Socket, take: (pending: Buffer) => number): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    for (let taken = take(pending); taken > 0; taken = take(pending)) pending = pending.subarray(taken);
  });
}

function listen(path: string, serve: (socket: Socket) => void, sockets: Set<Socket>): Promise<Server> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    serve(socket);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(path, () => resolve(server));
  });
}

/** Power is on, and stays on: every signal is acknowledged. */
function servePlatform(socket: Socket): void {
  onFrames(socket, (pending) => {
    if (pending.length < 4) return 0;
    if (pending.readUInt32BE() === SESSION_END) socket.end();
    else socket.write(ACKNOWLEDGED);
    return 4;
  });
}

/** @param path a Unix socket for commands; the platform's is at `path.ctrl`, where tpm2-tss looks for it */
export async function startResourceManager(transport: Transport, path: string): Promise<ResourceManager> {
  const execute = inTurn(transport);
  const arrived: Arrived[] = [];
  const sockets = new Set<Socket>();

  const serveProgram = (socket: Socket): void => {
    const loaded = new LoadedHandles();
    const answer = async (command: Buffer): Promise<void> => {
      const response = await execute(command);
      const arrival = { command: commandName(command.readUInt32BE(6)), rc: response.readUInt32BE(6) };
      arrived.push(arrival);
      if (arrival.rc === TPM_RC.SUCCESS) loaded.note(arrival.command, command, response);
      const size = Buffer.alloc(4);
      size.writeUInt32BE(response.length);
      if (socket.writable) socket.write(Buffer.concat([size, response, ACKNOWLEDGED]));
    };
    onFrames(socket, (pending) => {
      if (pending.length < 4) return 0;
      if (pending.readUInt32BE() !== SEND_COMMAND) {
        socket.end();
        return 4;
      }
      // signal, locality (1 byte), size, command
      if (pending.length < SEND_COMMAND_HEAD) return 0;
      const end = SEND_COMMAND_HEAD + pending.readUInt32BE(5);
      if (pending.length < end) return 0;
      answer(pending.subarray(SEND_COMMAND_HEAD, end)).catch(() => socket.destroy());
      return end;
    });
    socket.on('close', () => {
      loaded.flush(execute).catch(() => undefined); // the TPM itself has gone
    });
  };

  const servers = [await listen(path, serveProgram, sockets), await listen(`${path}.ctrl`, servePlatform, sockets)];
  return {
    tcti: `mssim:path=${path}`,
    arrived,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}
