/**
 * The kernel's audit records as they are written, over netlink (linux/audit.h, AUDIT_NLGRP_READLOG): beside a running
 * auditd, or without one. The console is no substitute, for printk drops records under load.
 */
import { closeSync, readSync } from 'node:fs';
import { callFailed, SysError } from './error.ts';
import { errno, native } from './native.ts';

const socket = native<[number, number, number], number>('int socket(int domain, int type, int protocol)');
const bind = native<[number, Buffer, number], number>('int bind(int fd, const uint8_t *address, unsigned int length)');
const setSocketOption = native<[number, number, number, Buffer, number], number>(
  'int setsockopt(int fd, int level, int name, const uint8_t *value, unsigned int length)',
);

// sys/socket.h, linux/netlink.h, linux/audit.h; the same on x64 and arm64.
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC_NONBLOCK = 0x3 | 0x80000 | 0x800;
const NETLINK_AUDIT = 9;
const GROUP_READLOG = 1;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;

const HEADER_SIZE = 16;
/** MAX_AUDIT_MESSAGE_LENGTH of libaudit is 8970; longer records the kernel splits. */
const READ_SIZE = 16384;
const QUEUE_SIZE = 4 << 20;

export type AuditEvent =
  /** `type` is a number of linux/audit.h, 1800 to 1807 the integrity subsystem's; `text` begins `audit(`. */
  | { readonly kind: 'record'; readonly type: number; readonly text: string }
  /** The socket's queue was full: records are lost. */
  | { readonly kind: 'overflow' };

/** Hears every audit record from its opening on. Needs CAP_AUDIT_READ in the first user and network namespace. */
export class AuditSocket implements Disposable {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(READ_SIZE);

  /** @throws {SysError} where koffi does not load, or the kernel refuses (not root, a container, no CONFIG_AUDIT) */
  constructor() {
    this.#fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC_NONBLOCK, NETLINK_AUDIT);
    if (this.#fd < 0) throw callFailed('socket', 'NETLINK_AUDIT', errno());
    try {
      this.#listen();
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  #listen(): void {
    const size = Buffer.alloc(4);
    size.writeInt32LE(QUEUE_SIZE);
    if (setSocketOption(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length) !== 0) {
      throw callFailed('setsockopt', 'SO_RCVBUFFORCE', errno());
    }
    // struct sockaddr_nl: family u16, padding u16, port u32 (0: the kernel chooses), groups u32.
    const address = Buffer.alloc(12);
    address.writeUInt16LE(AF_NETLINK, 0);
    address.writeUInt32LE(GROUP_READLOG, 8);
    if (bind(this.#fd, address, address.length) !== 0) throw callFailed('bind', 'NETLINK_AUDIT', errno());
  }

  /** What is waiting; nothing where nothing is. @throws {SysError} */
  read(): AuditEvent[] {
    const events: AuditEvent[] = [];
    for (let event = this.#next(); event !== undefined; event = this.#next()) events.push(event);
    return events;
  }

  #next(): AuditEvent | undefined {
    try {
      return decodeAuditMessage(this.#buffer.subarray(0, readSync(this.#fd, this.#buffer)));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN' || code === 'EINTR') return undefined;
      if (code === 'ENOBUFS') return { kind: 'overflow' };
      throw error;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/**
 * One datagram holds one record. Its nlmsg_len is not looked at: the kernel counts it with the header to some listeners
 * and without to others (kernel/audit.c, kauditd_send_multicast_skb).
 * @throws {SysError} for a datagram shorter than a netlink header
 */
export function decodeAuditMessage(message: Buffer): AuditEvent {
  if (message.length < HEADER_SIZE) {
    throw new SysError('sys.call-failed', `an audit message of ${message.length} bytes has no header`);
  }
  const text = message.toString('latin1', HEADER_SIZE);
  const end = text.indexOf('\0');
  return { kind: 'record', type: message.readUInt16LE(4), text: end < 0 ? text : text.slice(0, end) };
}
