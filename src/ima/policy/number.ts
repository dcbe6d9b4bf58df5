/** Numbers as the kernel's kstrtoul family reads them (lib/kstrtox.c): a sign of plus, no space, nothing behind. */

const DECIMAL = /^\+?(\d+)$/;
/** Base 16: `0x` may stand before it, behind the sign. */
const HEXADECIMAL = /^\+?(?:0[xX])?([0-9a-fA-F]+)$/;
const SIGNED = /^(?:\+?|-)(\d+)$/;

const MAX_ULONG = (1n << 64n) - 1n;
const MAX_INT = 0x7fffffffn;

/** kstrtoul(…, 16): `fsmagic=`. Undefined for what is none, and above 64 bits. */
export function readHexadecimal(text: string): bigint | undefined {
  const digits = HEXADECIMAL.exec(text)?.[1];
  const value = digits === undefined ? undefined : BigInt(`0x${digits}`);
  return value === undefined || value > MAX_ULONG ? undefined : value;
}

/** kstrtoul(…, 10) into a uid or gid: 32 bits, of which the highest value is no id (make_kuid, uid_valid). */
export function readId(text: string): number | undefined {
  const digits = DECIMAL.exec(text)?.[1];
  const value = digits === undefined ? undefined : BigInt(digits);
  return value === undefined || value >= 0xffff_ffffn ? undefined : Number(value);
}

/** kstrtoint(…, 10), which takes a minus too. */
export function readInteger(text: string): number | undefined {
  const digits = SIGNED.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const value = text.startsWith('-') ? -BigInt(digits) : BigInt(digits);
  return value > MAX_INT || value < -MAX_INT - 1n ? undefined : Number(value);
}
