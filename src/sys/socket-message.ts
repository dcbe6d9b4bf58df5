/** recvmsg(2) and sendmsg(2) with one descriptor beside the bytes (unix(7), SCM_RIGHTS; cmsg(3)). */
import { errno, foreign, native } from './native.ts';

const receive = native<[number, unknown, number], number | bigint>(
  'int64_t recvmsg(int fd, _Inout_ void *message, int flags)',
);
const send = native<[number, unknown, number], number | bigint>('int64_t sendmsg(int fd, void *message, int flags)');

// sys/socket.h; the same on x64 and arm64.
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** Bytes of one call. */
const CHUNK = 8192;

// Laid out one after the other: struct msghdr, struct iovec, struct cmsghdr with an int, the bytes.
const IOV_AT = 56;
const CONTROL_AT = IOV_AT + 16;
/** CMSG_LEN(sizeof(int)): the kernel closes what does not fit, so that no peer fills this process with descriptors. */
const CONTROL_SIZE = 16 + 4;
const BYTES_AT = CONTROL_AT + 24;

interface Memory {
  readonly at: unknown;
  readonly view: Buffer;
}

let memory: Memory | undefined;

/** One place for all: it is used during a call and not after. */
function place(): Memory {
  if (memory !== undefined) return memory;
  const koffi = foreign();
  const at: unknown = koffi.alloc('uint8_t', BYTES_AT + CHUNK);
  const view = Buffer.from(koffi.view(at, BYTES_AT + CHUNK));
  const base = koffi.address(at);
  view.fill(0, 0, BYTES_AT);
  view.writeBigUInt64LE(base + BigInt(IOV_AT), 16); // msg_iov
  view.writeBigUInt64LE(1n, 24); // msg_iovlen
  view.writeBigUInt64LE(base + BigInt(BYTES_AT), IOV_AT);
  memory = { at, view };
  return memory;
}

function lay({ view }: Memory, size: number, hasControl: boolean): void {
  const control = view.readBigUInt64LE(16) + BigInt(CONTROL_AT - IOV_AT);
  view.writeBigUInt64LE(BigInt(size), IOV_AT + 8);
  view.writeBigUInt64LE(hasControl ? control : 0n, 32); // msg_control
  view.writeBigUInt64LE(hasControl ? BigInt(CONTROL_SIZE) : 0n, 40); // msg_controllen
}

export interface ReceivedMessage {
  /** None where the peer has ended. */
  readonly bytes: Buffer;
  /** Open in this process now, and its to close. */
  readonly descriptor: number | undefined;
}

/** What is there, without waiting. @returns the errno where nothing is @throws {SysError} where koffi does not load */
export function receiveMessage(fd: number): ReceivedMessage | number {
  const { at, view } = place();
  lay({ at, view }, CHUNK, true);
  const size = Number(receive(fd, at, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (size < 0) return errno();
  const bytes = Buffer.from(view.subarray(BYTES_AT, BYTES_AT + size));
  return { bytes, descriptor: descriptorIn(view) };
}

function descriptorIn(view: Buffer): number | undefined {
  const hasOne =
    view.readBigUInt64LE(40) >= CONTROL_SIZE &&
    view.readInt32LE(CONTROL_AT + 8) === SOL_SOCKET &&
    view.readInt32LE(CONTROL_AT + 12) === SCM_RIGHTS;
  return hasOne ? view.readInt32LE(CONTROL_AT + 16) : undefined;
}

/** Sends what the socket takes at once. @returns how many bytes, -1 where it takes none and `errno` says why */
export function sendMessage(fd: number, bytes: Uint8Array, descriptor?: number): number {
  const { at, view } = place();
  const size = Math.min(bytes.length, CHUNK);
  lay({ at, view }, size, descriptor !== undefined);
  view.set(bytes.subarray(0, size), BYTES_AT);
  if (descriptor !== undefined) {
    view.writeBigUInt64LE(BigInt(CONTROL_SIZE), CONTROL_AT);
    view.writeInt32LE(SOL_SOCKET, CONTROL_AT + 8);
    view.writeInt32LE(SCM_RIGHTS, CONTROL_AT + 12);
    view.writeInt32LE(descriptor, CONTROL_AT + 16);
  }
  return Number(send(fd, at, MSG_DONTWAIT | MSG_NOSIGNAL));
}
