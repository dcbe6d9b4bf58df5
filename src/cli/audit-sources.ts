/** Where `assay ima audit` takes records from: a file, the audit log, the journal, the kernel itself. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AssayError, type ExitCode } from '../bytes/index.ts';
import { AuditReader, integrityType, type LocatedFind, parseStamped } from '../ima/index.ts';
import { AuditSocket, SysError } from '../sys/index.ts';
import { openInput, readFully } from './read-input.ts';

export interface AuditSource {
  /** For people: `/var/log/audit/audit.log`. */
  readonly name: string;
  /** Ends with the source, or once it is told to stop. */
  read(stop: AbortSignal): AsyncIterable<readonly LocatedFind[]>;
}

type AuditSourceErrorCode =
  /** This machine keeps no log that records could be in. */
  | 'audit.no-source'
  /** journalctl refused. */
  | 'audit.journal';

export class AuditSourceError extends AssayError {
  readonly code: AuditSourceErrorCode;

  constructor(code: AuditSourceErrorCode, message: string, options: { advice: string; exitCode: ExitCode }) {
    super(message, options);
    this.code = code;
  }
}

/** auditd.conf: log_file. */
export const AUDIT_LOG = '/var/log/audit/audit.log';
const KERNEL_LOG = '/dev/kmsg';

/** What is written while nobody looks waits in the socket's queue or the file. */
const INTERVAL_MS = 100;
const CHUNK_SIZE = 1 << 20;

/** A source that was chosen, and what people should know of the choice. */
export interface ChosenSource {
  readonly source: AuditSource;
  readonly note?: string;
}

/** @throws {AuditSourceError} where this machine keeps none, or this user may not read it */
export function machineSource(): ChosenSource {
  if (hasAuditLog()) return { source: fileSource(...rotatedFiles(AUDIT_LOG)) };
  if (hasJournal()) return { source: journalSource(), ...lessThanAll() };
  if (existsSync(KERNEL_LOG)) return { source: kernelLogSource() };
  throw new AuditSourceError('audit.no-source', 'this machine keeps no audit log, no journal and no kernel log', {
    advice: 'name a file, or hear what comes with --follow',
    exitCode: 3,
  });
}

/** The kernel itself, or what can be followed in its place. */
export function followedSource(): ChosenSource {
  try {
    return { source: socketSource(new AuditSocket()) };
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const note = `the kernel is not heard (${error.message})`;
    if (hasAuditLog()) return { source: followedFile(AUDIT_LOG, 'end'), note };
    if (hasJournal()) return { source: journalSource({ follow: true }), note };
    throw error;
  }
}

/** @throws {AuditSourceError} where it cannot be told */
function hasAuditLog(): boolean {
  try {
    return statSync(AUDIT_LOG, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) throw error;
    throw new AuditSourceError('audit.no-source', `${dirname(AUDIT_LOG)} may not be read`, {
      advice: 'run as root',
      exitCode: 3,
    });
  }
}

/** journalctl shows each user what that user may see, and succeeds. */
const lessThanAll = (): Pick<ChosenSource, 'note'> =>
  process.geteuid?.() === 0 ? {} : { note: 'this user may not see all of the journal: run as root' };

/** auditd's `max_log_file_action = ROTATE`: `audit.log.4` is the oldest. */
function rotatedFiles(path: string): [string, ...string[]] {
  const name = basename(path);
  const numbers = readdirSync(dirname(path))
    .filter((other) => other.startsWith(`${name}.`) && /^\d{1,6}$/.test(other.slice(name.length + 1)))
    .map((other) => Number(other.slice(name.length + 1)));
  const older = numbers.toSorted((a, b) => b - a).map((number) => `${path}.${number}`);
  const [first = path, ...rest] = [...older, path];
  return [first, ...rest];
}

/** Files one after the other; `-` is standard input. */
export function fileSource(...paths: readonly [string, ...string[]]): AuditSource {
  return {
    name: paths.length === 1 ? nameOf(paths[0]) : `${paths.at(-1)} and ${paths.length - 1} older`,
    async *read(stop) {
      for (const path of paths) {
        const reader = new AuditReader();
        const { fd, close } = openInput(path);
        try {
          for (const chunk of chunksOf(fd, path)) {
            if (stop.aborted) return;
            yield reader.push(chunk);
          }
          yield reader.end();
        } finally {
          close();
        }
      }
    },
  };
}

const nameOf = (path: string): string => (path === '-' ? 'standard input' : path);

/** The buffer is used again for each chunk. */
function* chunksOf(fd: number, path: string): Generator<Buffer> {
  const buffer = Buffer.allocUnsafe(CHUNK_SIZE);
  for (;;) {
    const count = namingErrors(path, () => readFully(fd, buffer));
    if (count > 0) yield buffer.subarray(0, count);
    if (count < buffer.length) return;
  }
}

/** Reading a folder fails at the first read, whose error does not say which. */
function namingErrors<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'syscall' in error && !('path' in error)) Object.assign(error, { path });
    throw error;
  }
}

/**
 * A file that grows, is renamed and begun anew (auditd, logrotate), or cut to nothing (copytruncate): what has its name.
 * @param from `start`: with what it holds already
 */
export function followedFile(path: string, from: 'start' | 'end'): AuditSource {
  return {
    name: path,
    async *read(stop) {
      let file = new FollowedFile(path, from);
      try {
        while (!stop.aborted) {
          for (const finds of file.finds()) yield finds;
          if (file.isReplaced()) {
            // Once more: what was written between the last look and the renaming.
            for (const finds of file.finds()) yield finds;
            yield file.reader.end();
            file.close();
            file = new FollowedFile(path, 'start');
          } else {
            await pause(stop);
          }
        }
      } finally {
        file.close();
      }
    },
  };
}

class FollowedFile {
  reader = new AuditReader();
  readonly #path: string;
  readonly #fd: number;
  readonly #inode: bigint;
  #at = 0;

  constructor(path: string, from: 'start' | 'end') {
    this.#path = path;
    this.#fd = openSync(path, 'r');
    const { ino, size } = fstatSync(this.#fd, { bigint: true });
    this.#inode = ino;
    if (from === 'end') this.#at = Number(size);
  }

  *finds(): Generator<readonly LocatedFind[]> {
    if (fstatSync(this.#fd).size < this.#at) {
      this.#at = 0;
      this.reader = new AuditReader();
    }
    const buffer = Buffer.allocUnsafe(65_536);
    for (;;) {
      const count = namingErrors(this.#path, () => readSync(this.#fd, buffer, 0, buffer.length, this.#at));
      if (count === 0) return;
      this.#at += count;
      yield this.reader.push(buffer.subarray(0, count));
    }
  }

  /** False while nothing has the name: the new file comes yet. */
  isReplaced(): boolean {
    return statSync(this.#path, { bigint: true, throwIfNoEntry: false })?.ino !== this.#inode && existsSync(this.#path);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** The records that journald heard, and those that the kernel printed. */
const JOURNAL_MATCHES = ['_TRANSPORT=audit', '+', '_TRANSPORT=kernel'];

function hasJournal(): boolean {
  const { status, stdout } = spawnSync('journalctl', ['--no-pager', '--quiet', '--lines=1', '--output=cat'], {
    encoding: 'utf8',
  });
  return status === 0 && stdout !== '';
}

export function journalSource({ follow = false } = {}): AuditSource {
  return {
    name: 'the journal',
    async *read(stop) {
      const ways = follow ? ['--follow', '--lines=0'] : ['--no-pager'];
      const journalctl = spawn('journalctl', ['--quiet', '--output=export', ...ways, ...JOURNAL_MATCHES], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const ended = once(journalctl, 'close');
      // The loop below ends first where the program could not be started; it is waited for behind it.
      ended.catch(() => undefined);
      const onStop = (): void => void journalctl.kill();
      stop.addEventListener('abort', onStop, { once: true });
      let complaint = '';
      journalctl.stderr.setEncoding('utf8').on('data', (text: string) => {
        complaint = (complaint + text).slice(0, 500);
      });
      const reader = new AuditReader();
      try {
        for await (const chunk of journalctl.stdout) yield reader.push(chunk);
        const [status] = await ended;
        if (stop.aborted) return;
        if (status !== 0) throw journalRefused(complaint.trim());
        yield reader.end();
      } finally {
        stop.removeEventListener('abort', onStop);
        journalctl.kill();
      }
    },
  };
}

const journalRefused = (complaint: string): AuditSourceError =>
  new AuditSourceError('audit.journal', `journalctl: ${complaint === '' ? 'it failed' : complaint}`, {
    advice: 'run as root',
    exitCode: 3,
  });

/** The kernel's own ring of messages, where neither auditd nor journald keeps records. */
function kernelLogSource(): AuditSource {
  return {
    name: `the kernel's log (${KERNEL_LOG}), which drops records under load`,
    async *read() {
      const reader = new AuditReader();
      const fd = openSync(KERNEL_LOG, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        const buffer = Buffer.allocUnsafe(16_384);
        for (let count = readMessage(fd, buffer); count > 0; count = readMessage(fd, buffer)) {
          yield reader.push(buffer.subarray(0, count));
        }
        yield reader.end();
      } finally {
        closeSync(fd);
      }
    },
  };
}

/** One message a read; 0 at the end. EPIPE: messages were overwritten before they were read. */
function readMessage(fd: number, buffer: Buffer): number {
  for (;;) {
    try {
      return readSync(fd, buffer);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN') return 0;
      if (code !== 'EPIPE') throw error;
    }
  }
}

/** Records as they are written. */
function socketSource(socket: AuditSocket): AuditSource {
  return {
    name: 'the kernel, over netlink',
    async *read(stop) {
      let position = 0;
      using heard = socket;
      while (!stop.aborted) {
        const finds = heard.read().flatMap((event): LocatedFind[] => {
          if (event.kind === 'overflow') return [{ find: { kind: 'lost', count: undefined }, position }];
          const type = integrityType(event.type);
          if (type === undefined) return [];
          position += 1;
          return [{ find: parseStamped(type, event.text), position }];
        });
        if (finds.length > 0) yield finds;
        await pause(stop);
      }
    },
  };
}

async function pause(stop: AbortSignal): Promise<void> {
  await sleep(INTERVAL_MS, undefined, { signal: stop }).catch(() => undefined);
}
