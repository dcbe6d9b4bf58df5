/** How a guest is made to appraise: its keyrings, EVM's key, its policy. */
import { loadEncryptedKey } from './encrypted-key.ts';
import { IN, run, type Step, shell, write } from './script.ts';

/** Payload of the kernel's `evm-key`. */
export const HMAC_KEY = Buffer.from(Array.from({ length: 64 }, (_, index) => index * 3));
const MASTER = { name: 'kmk', payload: Buffer.alloc(32, 0x5a) };

/** Among the files handed to a boot that does {@link loadHmacKey}. */
export const EVM_FILES = { master: MASTER.payload };

/** `_ima` and `_evm` are ordinary keyrings in the tests' kernels (CONFIG_INTEGRITY_TRUSTED_KEYRING is off). */
export const loadCertificates = (keyring: '_ima' | '_evm', ...certificates: readonly string[]): Step => {
  const load = certificates.map((name) => `keyctl padd asymmetric '' %keyring:${keyring} <${IN}/${name}`);
  return shell([`keyctl newring ${keyring} @u`, ...load].join(' && '));
};

export const loadHmacKey: readonly Step[] = [
  shell(`keyctl padd user ${MASTER.name} @u <${IN}/master`),
  run('keyctl', 'add', 'encrypted', 'evm-key', loadEncryptedKey(HMAC_KEY, MASTER), '@u'),
];

/** @param flags 1: HMAC, 2: X.509 (Documentation/ABI/testing/evm) */
export const turnEvmOn = (flags: number): Step => write('/sys/kernel/security/evm', `${flags}`);

/** Rules from a file below `IN`. A kernel without CONFIG_IMA_WRITE_POLICY takes them once. */
export const loadPolicy = (name: string): Step => shell(`cat ${IN}/${name} >/sys/kernel/security/ima/policy`);
