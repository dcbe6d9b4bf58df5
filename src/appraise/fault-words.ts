/** In words for people: why a signature or an HMAC does not stand, which the kernel does not say. */
import type { KernelLimit } from '../digsig/index.ts';
import type { EvmFault } from '../evm/index.ts';
import type { ImaFault } from '../ima/index.ts';

const LIMITS = {
  'key-not-found-by-kernel': 'the kernel does not find the key: its certificate has no subject key identifier',
  'key-size-not-in-kernel': 'the kernel takes no RSA keys of this size: 2048, 3072 and 4096 bits are right',
  'key-kind-not-in-kernel': 'the kernel has had no SM2 since Linux 6.10',
  'hash-not-in-kernel': 'the kernel takes no such digests with such a key',
} as const satisfies Readonly<Record<KernelLimit, string>>;

/** Why the kernel will not verify signatures that are right. */
export const kernelLimitWords = (limit: KernelLimit): string => LIMITS[limit];

const rightBut = (limit: KernelLimit): string => `one that is right, but ${LIMITS[limit]}`;

const FAULTS = {
  'invalid-signature': 'another content or another key’s signature',
  'unknown-key': 'no key of that id in the keyring',
  'blacklisted-key': 'a key that is blacklisted',
  'unsupported-algorithm': 'an algorithm that cannot be computed here',
  'malformed-label': 'bytes that are no signature',
  'key-not-found-by-kernel': rightBut('key-not-found-by-kernel'),
  'key-size-not-in-kernel': rightBut('key-size-not-in-kernel'),
  'key-kind-not-in-kernel': rightBut('key-kind-not-in-kernel'),
  'hash-not-in-kernel': rightBut('hash-not-in-kernel'),
  'no-hmac-key': 'an HMAC, and no key to judge it by',
  'no-ima-label': 'a portable signature without security.ima, which it must cover',
  'wrong-hmac': 'an HMAC of other metadata, or by another key',
} as const satisfies Readonly<Record<ImaFault | EvmFault, string>>;

export const faultText = (fault: ImaFault | EvmFault): string => FAULTS[fault];

/** Of a label that covers metadata. */
export function evmFaultText(fault: ImaFault | EvmFault): string {
  if (fault === 'invalid-signature') return 'a signature of other metadata, or by another key';
  return fault === 'malformed-label' ? 'bytes that are no label' : FAULTS[fault];
}
