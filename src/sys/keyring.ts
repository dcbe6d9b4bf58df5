/** The kernel's keyrings (keyrings(7)). */
import { callFailed } from './error.ts';
import { errno, native } from './native.ts';

// The C library has no add_key; libkeyutils has, and is not everywhere. The same numbers: asm/unistd_64.h, asm-generic/unistd.h.
const NUMBER = process.arch === 'x64' ? 248 : 217;
const KEYCTL = process.arch === 'x64' ? 250 : 219;
/** linux/keyctl.h */
const KEYCTL_UPDATE = 2;
const KEYCTL_LINK = 8;
const KEYCTL_SEARCH = 10;
const KEYCTL_READ = 11;

const addKeyCall = native<[number, string, string | null, Uint8Array, number, number], number>(
  'long syscall(long number, const char *type, const char *description, const uint8_t *payload, size_t size, int keyring)',
);

/** `KEY_SPEC_*_KEYRING` of linux/keyctl.h, by the names that keyctl(1) has for them. */
export const SPECIAL_KEYRINGS: ReadonlyMap<string, number> = new Map([
  ['@t', -1],
  ['@p', -2],
  ['@s', -3],
  ['@u', -4],
  ['@us', -5],
  ['@g', -6],
]);

/**
 * add_key(2).
 * @param description null where the type makes its own (`asymmetric` takes it from the certificate)
 * @returns the key's serial number
 * @throws {SysError}
 */
export function addKey(type: string, description: string | null, payload: Uint8Array, keyring: number): number {
  const serial = Number(addKeyCall(NUMBER, type, description, payload, payload.length, keyring));
  if (serial >= 0) return serial;
  throw callFailed('add_key', `of type ${type} to keyring ${keyring}`, errno());
}

const searchCall = native<[number, number, number, string, string, number], number>(
  'long syscall(long number, long operation, long keyring, const char *type, const char *description, long destination)',
);
const readCall = native<[number, number, number, Uint8Array | null, number], number>(
  'long syscall(long number, long operation, long key, uint8_t *buffer, size_t size)',
);
const updateCall = native<[number, number, number, Uint8Array, number], number>(
  'long syscall(long number, long operation, long key, const uint8_t *payload, size_t size)',
);

/**
 * KEYCTL_SEARCH: the key of that type and name in a keyring or in those that it links to.
 * @returns its serial number; undefined where there is none
 * @throws {SysError}
 */
export function searchKey(type: string, description: string, keyring: number): number | undefined {
  const serial = Number(searchCall(KEYCTL, KEYCTL_SEARCH, keyring, type, description, 0));
  if (serial >= 0) return serial;
  const number = errno();
  if (number === ENOKEY) return undefined;
  throw callFailed('keyctl', `searching keyring ${keyring} for a ${type} key`, number);
}

/** asm-generic/errno.h */
const ENOKEY = 126;
/** What a key's payload can have at most (keyrings(7)). */
const MAX_PAYLOAD = 1024 * 1024;

/** KEYCTL_READ: what the key's type gives out; of a `user` key its payload, a secret. @throws {SysError} */
export function readKey(serial: number): Buffer {
  const size = Number(readCall(KEYCTL, KEYCTL_READ, serial, null, 0));
  if (size < 0) throw callFailed('keyctl', `reading key ${serial}`, errno());
  const buffer = Buffer.alloc(Math.min(size, MAX_PAYLOAD));
  const got = Number(readCall(KEYCTL, KEYCTL_READ, serial, buffer, buffer.length));
  if (got < 0) throw callFailed('keyctl', `reading key ${serial}`, errno());
  return buffer.subarray(0, Math.min(got, buffer.length));
}

const linkCall = native<[number, number, number, number], number>(
  'long syscall(long number, long operation, long key, long keyring)',
);

/** KEYCTL_LINK: what can be searched from `keyring` holds `key`, which may be a keyring itself, from now on. @throws {SysError} */
export function linkKey(key: number, keyring: number): void {
  const result = Number(linkCall(KEYCTL, KEYCTL_LINK, key, keyring));
  if (result < 0) throw callFailed('keyctl', `linking key ${key} to keyring ${keyring}`, errno());
}

/** KEYCTL_UPDATE. @throws {SysError} */
export function updateKey(serial: number, payload: Uint8Array): void {
  const result = Number(updateCall(KEYCTL, KEYCTL_UPDATE, serial, payload, payload.length));
  if (result < 0) throw callFailed('keyctl', `updating key ${serial}`, errno());
}
