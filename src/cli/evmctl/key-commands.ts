/** `import` and `convert`: public keys for the kernel's keyrings. */
import { writeFileSync } from 'node:fs';
import { formatKeyId, type IntegrityKey, publicKeyV1, readPublicKeys } from '../../digsig/index.ts';
import { addKey, SPECIAL_KEYRINGS } from '../../sys/index.ts';
import { EvmctlError } from './error.ts';
import { readBounded } from './keys.ts';
import type { EvmctlOptions } from './options.ts';
import type { Output } from './output.ts';

export function importKey(operands: readonly string[], options: EvmctlOptions, out: Output): number {
  const [path = options.isV1 ? '/etc/keys/pubkey_evm.pem' : '/etc/keys/x509_evm.der', ring = '@u'] = operands;
  const keyring = keyringNumber(ring);
  const key = onlyKey(path);
  const serial = options.isV1 ? importV1(key, keyring) : importCertificate(key, path, keyring);
  out.detail(`Imported public key ${formatKeyId(key.keyId)} from ${path} into keyring ${keyring}`);
  out.print(`${serial}`);
  return 0;
}

function keyringNumber(text: string): number {
  const special = SPECIAL_KEYRINGS.get(text);
  if (special !== undefined) return special;
  if (/^-?\d{1,10}$|^0x[0-9a-f]{1,8}$/i.test(text)) return Number(text) | 0;
  throw new EvmctlError('evmctl.usage', `'${text}' is no keyring`, {
    advice: 'give its number, or @t, @p, @s, @u, @us, @g',
  });
}

function onlyKey(path: string): IntegrityKey {
  const [key] = readPublicKeys(readBounded(path), { source: path });
  if (key === undefined) throw new EvmctlError('evmctl.file', `${path}: no public key`);
  return key;
}

/** The kernel parses the certificate itself, and wants it in DER. */
function importCertificate(key: IntegrityKey, path: string, keyring: number): number {
  if (key.certificate === undefined) {
    throw new EvmctlError('evmctl.file', `${path}: a bare public key; the kernel takes certificates`, {
      advice: 'give the X.509 certificate, or --rsa for the old format',
    });
  }
  return addKey('asymmetric', null, key.certificate, keyring);
}

function importV1(key: IntegrityKey, keyring: number): number {
  const { bytes, name } = oldForm(key);
  return addKey('user', name, bytes, keyring);
}

function oldForm(key: IntegrityKey): { readonly bytes: Buffer; readonly name: string } {
  const bytes = publicKeyV1(key.publicKey);
  if (bytes === undefined || key.keyIdV1 === undefined) {
    throw new EvmctlError('evmctl.file', `${key.source}: signature format 1 has RSA keys only`);
  }
  return { bytes, name: Buffer.from(key.keyIdV1).toString('hex').toUpperCase() };
}

/** Writes KEY.bin, what the kernel loads, and KEY.keyid, what it is called there. */
export function convert(operands: readonly string[], out: Output): number {
  const [path = '/etc/keys/pubkey_evm.pem'] = operands;
  const { bytes, name } = oldForm(onlyKey(path));
  writeFileSync(`${path}.bin`, bytes);
  writeFileSync(`${path}.keyid`, name);
  out.detail(`${path}.bin, ${path}.keyid: key id ${name}`);
  return 0;
}
