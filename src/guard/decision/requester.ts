/**
 * Who waits for an answer. The thread is held by the kernel while it waits, so that what /proc says of it is what the
 * kernel would have looked at, as long as it still waits when it is answered; who was killed meanwhile gets no answer.
 *
 * Approximate: opens that io_uring makes for a process carry the rights of its worker thread; knfsd, ksmbd and overlayfs
 * open with rights of their own; of /proc/PID/syscall's arguments those in memory (openat2) are not looked at.
 */
import type { Credentials, PolicyAccess } from '../../ima/policy/index.ts';
import { type FileStatus, ProcFile } from '../../sys/index.ts';
import { ACCESS, type AccessKind } from './plans.ts';

/** include/uapi/linux/capability.h */
const CAP_SETGID = 6n;
const CAP_SETUID = 7n;

/** What an open asked for; undefined where the call does not say so. */
export type OpenKind = AccessKind | undefined;

/** asm-generic/fcntl.h */
const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;

/**
 * Where the flags stand among the arguments, by the call's number: x64's with those of 32-bit programs beside it, whose
 * numbers are of calls that open nothing; and the one table of all newer ports, arm64's.
 */
const FLAGS_AT: Readonly<Record<string, ReadonlyMap<number, number>>> = {
  x64: new Map([
    [2, 1], // open
    [257, 2], // openat
    [304, 2], // open_by_handle_at
    [5, 1],
    [295, 2],
    [342, 2],
  ]),
  arm64: new Map([
    [56, 2],
    [265, 2],
  ]),
};
const CREAT: Readonly<Record<string, readonly number[]>> = { x64: [85, 8] };
/** execve, execveat */
const EXECUTE: Readonly<Record<string, readonly number[]>> = { x64: [59, 322, 11, 358], arm64: [221, 281] };

/** As `AuditTask` of `ima/audit` has it. */
export interface RequestingTask {
  readonly pid: number;
  readonly ppid: number;
  readonly comm: Uint8Array;
  readonly uid?: number;
  readonly euid?: number;
  readonly suid?: number;
  readonly fsuid?: number;
  readonly gid?: number;
  readonly egid?: number;
  readonly sgid?: number;
  readonly fsgid?: number;
  readonly auid?: number;
  readonly ses?: number;
}

export class Requesters {
  readonly #proc = new ProcFile();

  /** @returns undefined for a thread that is gone */
  credentials(id: number): Credentials | undefined {
    const text = this.#proc.read(id, 'status')?.toString('latin1');
    if (text === undefined) return undefined;
    const [uid, euid, suid] = idsOf(text, 'Uid');
    const [gid, egid, sgid] = idsOf(text, 'Gid');
    if (uid === undefined || euid === undefined || gid === undefined || egid === undefined) return undefined;
    const capabilities = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(text)?.[1] ?? '0'}`);
    return {
      uid,
      euid,
      gid,
      egid,
      ...(suid === undefined ? {} : { suid }),
      ...(sgid === undefined ? {} : { sgid }),
      hasSetuid: (capabilities & (1n << CAP_SETUID)) !== 0n,
      hasSetgid: (capabilities & (1n << CAP_SETGID)) !== 0n,
    };
  }

  /** The security module's label of the thread; undefined without one. */
  label(id: number): string | undefined {
    const text = this.#proc
      .read(id, 'attr/current')
      ?.toString('latin1')
      .replace(/[\0\n]+$/, '');
    return text === '' ? undefined : text;
  }

  /** What the open that the thread waits in asked for. */
  openKind(id: number): OpenKind {
    const call = this.#call(id);
    if (call === undefined) return undefined;
    if (CREAT[process.arch]?.includes(call.number) === true) return ACCESS.write;
    const at = FLAGS_AT[process.arch]?.get(call.number);
    return at === undefined ? undefined : kindOfFlags(call.args[at] ?? 0);
  }

  /**
   * Whether the thread may still be on its way into a program that it was allowed to execute; not where it is gone, or
   * has returned from the call.
   */
  isExecuting(id: number): boolean {
    const text = this.#proc.read(id, 'syscall')?.toString('latin1');
    if (text === undefined) return false;
    if (text.startsWith('running')) return true; // on a processor, or waiting for one: where it is cannot be told
    const call = parseCall(text);
    return call !== undefined && EXECUTE[process.arch]?.includes(call.number) === true;
  }

  /** User time of this thread alone, in clock ticks: proc(5), stat, field 14; undefined where it is gone. */
  userTicks(id: number): number | undefined {
    const stat = this.#proc.read(id, `task/${id}/stat`)?.toString('latin1');
    // The name, in brackets, may hold anything.
    const ticks = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[11];
    return ticks === undefined ? undefined : Number(ticks);
  }

  /** False for a thread that has ended, killed while it waited: nobody is there to be answered. */
  isThere(id: number): boolean {
    if (id === 0) return true; // of another pid namespace: nothing is known of it here
    const stat = this.#proc.read(id, 'stat')?.toString('latin1');
    // The name, in brackets, may hold anything.
    return stat !== undefined && !/\) [ZX]/.test(stat.slice(stat.lastIndexOf(')')));
  }

  /** The program that the thread's process runs; undefined where it is gone. Overwritten by the next call. */
  program(id: number): FileStatus | undefined {
    return this.#proc.status(id, 'exe');
  }

  /** What an audit record says of a thread that waits. */
  task(id: number): RequestingTask | undefined {
    const status = this.#proc.read(id, 'status')?.toString('latin1');
    if (status === undefined) return undefined;
    const number = (name: string): number | undefined => {
      const text = new RegExp(`^${name}:\\t(\\d+)`, 'm').exec(status)?.[1];
      return text === undefined ? undefined : Number(text);
    };
    const [uid, euid, suid, fsuid] = idsOf(status, 'Uid');
    const [gid, egid, sgid, fsgid] = idsOf(status, 'Gid');
    return {
      pid: number('Tgid') ?? id,
      ppid: number('PPid') ?? 0,
      comm: withoutEnd(this.#proc.read(id, 'comm')),
      ...known({ uid, euid, suid, fsuid, gid, egid, sgid, fsgid }),
      ...known({ auid: this.#number(id, 'loginuid'), ses: this.#number(id, 'sessionid') }),
    };
  }

  #number(id: number, name: string): number | undefined {
    const text = this.#proc.read(id, name)?.toString('latin1').trim();
    return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
  }

  hasThread(process: number, id: number): boolean {
    return this.#proc.status(process, `task/${id}`) !== undefined;
  }

  #call(id: number): SystemCall | undefined {
    const text = this.#proc.read(id, 'syscall');
    return text === undefined ? undefined : parseCall(text.toString('latin1'));
  }
}

interface SystemCall {
  readonly number: number;
  readonly args: readonly number[];
}

/** /proc/PID/syscall: number, six arguments in hex, stack and program pointers; `running` for one that does not wait. */
export function parseCall(text: string): SystemCall | undefined {
  const match = /^(\d+)((?: 0x[0-9a-f]+){6})/.exec(text);
  if (match === null) return undefined;
  // Flags are an int: the upper half of the register is whatever it was.
  const args = (match[2] ?? '')
    .trim()
    .split(' ')
    .map((word) => Number(BigInt(word) & 0xffff_ffffn));
  return { number: Number(match[1]), args };
}

/** namei.c:build_open_flags */
export function kindOfFlags(flags: number): OpenKind {
  const mode = flags & O_ACCMODE;
  const isWriting = mode === O_WRONLY || mode === O_RDWR || (flags & O_TRUNC) !== 0;
  if (!isWriting) return mode === O_RDONLY ? ACCESS.read : undefined;
  const isReading = mode !== O_WRONLY;
  if ((flags & O_APPEND) !== 0) return isReading ? ACCESS.readAppend : ACCESS.append;
  return isReading ? ACCESS.readWrite : ACCESS.write;
}

/** Real, effective, saved, of file accesses. */
function idsOf(status: string, name: 'Uid' | 'Gid'): (number | undefined)[] {
  const match = new RegExp(`^${name}:\\t(\\d+)\\t(\\d+)\\t(\\d+)\\t(\\d+)`, 'm').exec(status);
  return [1, 2, 3, 4].map((index) => {
    const text = match?.[index];
    return text === undefined ? undefined : Number(text);
  });
}

function known<T extends Record<string, number | undefined>>(values: T): { [K in keyof T]?: number } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: number; // what is left of the same keys
  };
}

const withoutEnd = (text: Buffer | undefined): Uint8Array =>
  text === undefined ? new Uint8Array() : Uint8Array.from(text.at(-1) === 0x0a ? text.subarray(0, -1) : text);

/** `user:role:type:range` of SELinux, or one word (Smack, AppArmor), by what a policy's conditions ask for. */
export function labelParts(side: 'obj' | 'subj', label: string | undefined): NonNullable<PolicyAccess['labels']> {
  if (label === undefined) return {};
  const [user, role, type] = label.split(':', 3);
  const parts = type === undefined ? { user: label } : { user, role, type };
  return Object.fromEntries(Object.entries(parts).map(([name, value]) => [`${side}_${name}`, value]));
}
