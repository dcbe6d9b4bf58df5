/** The kernel's keyrings (keyrings(7)). */
import { callFailed } from './error.ts';
import { errno, native } from './native.ts';

// The C library has no add_key; libkeyutils has, and is not everywhere. The same numbers: asm/unistd_64.h, asm-generic/unistd.h.
const NUMBER = process.arch === 'x64' ? 248 : 217;

const syscall = native<[number, string, string | null, Uint8Array, number, number], number>(
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
  const serial = Number(syscall(NUMBER, type, description, payload, payload.length, keyring));
  if (serial >= 0) return serial;
  throw callFailed('add_key', `of type ${type} to keyring ${keyring}`, errno());
}
