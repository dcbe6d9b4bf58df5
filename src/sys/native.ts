import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { SysError } from './error.ts';

const ADVICE = 'assay polls /proc instead where it can; koffi has builds for Linux on x64 and arm64, glibc and musl';

let loaded: { koffi: typeof Koffi; process: Koffi.LibraryHandle } | SysError | undefined;

/**
 * koffi, loaded when the first system call is made and not before: a command that needs none runs where it does not load.
 * `process` holds the symbols of this process: the C library's, and OpenSSL's, which Node exports.
 */
function load(): { koffi: typeof Koffi; process: Koffi.LibraryHandle } {
  if (loaded === undefined) {
    try {
      const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
      loaded = { koffi, process: koffi.load(null) };
    } catch (cause) {
      loaded = new SysError('sys.unavailable', 'the native module koffi does not load here', { advice: ADVICE, cause });
    }
  }
  if (loaded instanceof SysError) throw loaded;
  return loaded;
}

/** True where system calls can be made at all. */
export function isNativeAvailable(): boolean {
  try {
    load();
    return true;
  } catch {
    return false;
  }
}

/**
 * A C function of this process by its prototype; looked up at its first call.
 * @throws {SysError} `sys.unavailable`, at the call
 */
export function native<Args extends readonly unknown[], Result>(prototype: string): (...args: Args) => Result {
  let call: ((...args: Args) => Result) | undefined;
  return (...args) => {
    call ??= find<Args, Result>(prototype);
    return call(...args);
  };
}

function find<Args extends readonly unknown[], Result>(prototype: string): (...args: Args) => Result {
  const { process } = load();
  try {
    return process.func(prototype);
  } catch (cause) {
    throw new SysError('sys.unavailable', `this process has no function '${prototype}'`, { cause });
  }
}

/** koffi itself, for a library of the machine's: its functions are found through what the library says of itself. */
export function foreign(): typeof Koffi {
  return load().koffi;
}

/** `errno` of this thread's last native call. */
export function errno(): number {
  return load().koffi.errno();
}

/** A path as C wants it. A NUL inside would silently name another file. @throws {SysError} for such a path */
export function cPath(path: string | Uint8Array): Buffer {
  const bytes = typeof path === 'string' ? Buffer.from(path) : path;
  if (bytes.includes(0)) throw new SysError('sys.call-failed', 'a path cannot hold a NUL byte', { errno: 'EINVAL' });
  return Buffer.concat([bytes, Buffer.of(0)]);
}
