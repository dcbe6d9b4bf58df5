import { timingSafeEqual } from 'node:crypto';

/** Compares in constant time for equal lengths; different lengths are unequal. Use it wherever either side is a secret or a MAC. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
