/**
 * Unix sockets over which a peer passes descriptors (unix(7), SCM_RIGHTS). Node's own read with read(2), and what came
 * along is lost: the kernel closes it.
 */
import { chmodSync, chownSync, closeSync, unlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { Duplex } from 'node:stream';
import { callFailed, SysError } from './error.ts';
import { errno, native } from './native.ts';
import { type Waitable, waitable } from './readiness.ts';
import { receiveMessage, sendMessage } from './socket-message.ts';

const openSocket = native<[number, number, number], number>('int socket(int domain, int type, int protocol)');
const bindSocket = native<[number, Buffer, number], number>(
  'int bind(int fd, const uint8_t *address, unsigned int length)',
);
const connectTo = native<[number, Buffer, number], number>(
  'int connect(int fd, const uint8_t *address, unsigned int length)',
);
const listenOn = native<[number, number], number>('int listen(int fd, int backlog)');
const acceptFrom = native<[number, null, null, number], number>(
  'int accept4(int fd, void *address, void *length, int flags)',
);
const shutDown = native<[number, number], number>('int shutdown(int fd, int how)');
const fileControl = native<[number, number, 'int', number], number>('int fcntl(int fd, int command, ...)');

// sys/socket.h, sys/un.h, fcntl.h; the same on x64 and arm64.
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0x1 | 0x80000;
const SOCK_CLOEXEC = 0x80000;
const SHUT_WR = 1;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0x800;
/** As Node's own servers. */
const BACKLOG = 511;
const FULL_MS = 100;
/** sockaddr_un.sun_path, less the final NUL. */
const MAX_PATH = 107;
/** chown(2): (uid_t)-1. */
const UNCHANGED = 0xffff_ffff;

/** A call that would have had to wait. */
const isAgain = (code: number): boolean => code === constants.errno.EAGAIN || code === constants.errno.EINTR;

/**
 * A connected Unix socket as a stream, which keeps the last descriptor that came with its bytes. It takes the descriptor
 * over and closes it.
 */
export class PassingSocket extends Duplex {
  /** To be passed on itself; this stream closes it. */
  readonly fd: number;
  readonly #waitable: Waitable;
  #passed: number | undefined;

  /** @throws {SysError} where koffi does not load */
  constructor(fd: number) {
    super({ allowHalfOpen: true });
    this.fd = fd;
    this.#waitable = waitable(fd);
  }

  /** Connects to who listens there. @throws {SysError} */
  static connect(path: string): PassingSocket {
    const address = addressOf(path);
    const fd = newSocket(path);
    if (connectTo(fd, address, address.length) === 0) return new PassingSocket(fd);
    const error = callFailed('connect', path, errno());
    closeSync(fd);
    throw error;
  }

  /** The descriptor that came with what was read, once; the taker's to close. Of several that nobody took, the last. */
  takeDescriptor(): number | undefined {
    const passed = this.#passed;
    this.#passed = undefined;
    return passed;
  }

  /** Sends bytes and a descriptor with them, which stays open here. @throws {SysError} where the peer has gone or reads nothing */
  pass(bytes: Uint8Array, descriptor: number): void {
    if (sendMessage(this.fd, bytes, descriptor) !== bytes.length) throw callFailed('sendmsg', '', errno());
  }

  override _read(): void {
    const received = receiveMessage(this.fd);
    if (typeof received === 'number') {
      if (isAgain(received)) this.#waitable.whenReadable(() => this._read());
      else this.destroy(callFailed('recvmsg', '', received));
      return;
    }
    if (received.descriptor !== undefined) {
      const untaken = this.takeDescriptor();
      if (untaken !== undefined) closeSync(untaken);
      this.#passed = received.descriptor;
    }
    this.push(received.bytes.length === 0 ? null : received.bytes);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    let rest = chunk;
    while (rest.length > 0) {
      const sent = sendMessage(this.fd, rest);
      if (sent < 0) {
        if (isAgain(errno())) this.#waitable.whenWritable(() => this._write(rest, _encoding, done));
        else done(callFailed('sendmsg', '', errno()));
        return;
      }
      rest = rest.subarray(sent);
    }
    done();
  }

  override _final(done: (error?: Error) => void): void {
    shutDown(this.fd, SHUT_WR);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#waitable.forget();
    const untaken = this.takeDescriptor();
    for (const fd of [this.fd, ...(untaken === undefined ? [] : [untaken])]) closeSync(fd);
    done(error);
  }
}

/** Where to listen: at a path, which must be free, or on a socket that was inherited. */
export type ListenAt =
  | { readonly path: string; readonly mode?: number; readonly uid?: number; readonly gid?: number }
  | { readonly fd: number };

/** Accepts connections over which descriptors are passed. */
export class PassingServer {
  readonly #fd: number;
  readonly #path: string | undefined;
  readonly #waitable: Waitable;
  readonly #onConnection: (socket: PassingSocket) => void;
  #isClosed = false;

  /** @throws {SysError} where it cannot be listened there, or koffi does not load */
  constructor(at: ListenAt, onConnection: (socket: PassingSocket) => void) {
    this.#fd = 'fd' in at ? at.fd : listenAtPath(at);
    this.#path = 'fd' in at ? undefined : at.path;
    this.#onConnection = onConnection;
    fileControl(this.#fd, F_SETFL, 'int', fileControl(this.#fd, F_GETFL, 'int', 0) | O_NONBLOCK);
    this.#waitable = waitable(this.#fd);
    this.#acceptNext();
  }

  /** Connections that are open stay so. The path is removed. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waitable.forget();
    closeSync(this.#fd);
    if (this.#path !== undefined) unlinkSync(this.#path);
  }

  #acceptNext(): void {
    if (this.#isClosed) return;
    this.#waitable.whenReadable(() => {
      const fd = acceptFrom(this.#fd, null, null, SOCK_CLOEXEC);
      if (fd < 0 && !isAgain(errno())) {
        // No descriptor is free: the peer waits until somebody ends
        setTimeout(() => this.#acceptNext(), FULL_MS).unref();
        return;
      }
      if (fd >= 0) this.#onConnection(new PassingSocket(fd));
      this.#acceptNext();
    });
  }
}

/** struct sockaddr_un. @throws {SysError} */
function addressOf(path: string): Buffer {
  const name = Buffer.from(path);
  if (name.length > MAX_PATH || name.includes(0)) {
    throw new SysError('sys.call-failed', `${path}: a socket's path has at most ${MAX_PATH} bytes`, {
      errno: 'ENAMETOOLONG',
    });
  }
  return Buffer.concat([Buffer.of(AF_UNIX, 0), name, Buffer.of(0)]);
}

function newSocket(path: string): number {
  const fd = openSocket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0);
  if (fd < 0) throw callFailed('socket', path, errno());
  return fd;
}

function listenAtPath({ path, mode = 0o600, uid, gid }: Extract<ListenAt, { path: string }>): number {
  const address = addressOf(path);
  const fd = newSocket(path);
  try {
    if (bindSocket(fd, address, address.length) !== 0) throw callFailed('bind', path, errno());
    // Before anybody can connect: until listen(2) every connection is refused
    chmodSync(path, mode);
    if (uid !== undefined || gid !== undefined) chownSync(path, uid ?? UNCHANGED, gid ?? UNCHANGED);
    if (listenOn(fd, BACKLOG) !== 0) throw callFailed('listen', path, errno());
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
