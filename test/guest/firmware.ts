/** The machine's firmware: OVMF, the Secure Boot keys in its variables, and signing with the keys that are public. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian's package ovmf. */
export const FIRMWARE = '/usr/share/OVMF/OVMF_CODE_4M.fd';

/** Variables with which a machine begins: no keys (Secure Boot off), Microsoft's keys, or Debian's test key. */
export const FIRMWARE_VARIABLES = {
  none: '/usr/share/OVMF/OVMF_VARS_4M.fd',
  microsoft: '/usr/share/OVMF/OVMF_VARS_4M.ms.fd',
  snakeoil: '/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd',
} as const;

export type SecureBootKeys = keyof typeof FIRMWARE_VARIABLES;

const SNAKEOIL = { key: '/usr/share/ovmf/PkKek-1-snakeoil.key', certificate: '/usr/share/ovmf/PkKek-1-snakeoil.pem' };

/** A key and its certificate as PEM files. */
export interface ImageKey {
  readonly key: string;
  readonly certificate: string;
}

/** The private key that belongs to the snakeoil variables, without the passphrase that sbsign would ask for. */
export async function snakeoilKey(folder: string): Promise<ImageKey> {
  const key = join(folder, 'snakeoil.key');
  await run('openssl', ['rsa', '-in', SNAKEOIL.key, '-passin', 'pass:snakeoil', '-out', key]);
  return { key, certificate: SNAKEOIL.certificate };
}

/** A key that no firmware knows, for a machine owner. */
export async function makeImageKey(folder: string, name: string): Promise<ImageKey> {
  const [key, certificate] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  const files = ['-nodes', '-keyout', key, '-out', certificate];
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', ...files, '-days', '3650', '-subj', `/CN=${name}`]);
  return { key, certificate };
}

/** Adds an Authenticode signature. */
export async function signImage({ key, certificate }: ImageKey, image: string, signed: string): Promise<string> {
  await run('sbsign', ['--key', key, '--cert', certificate, '--output', signed, image]);
  return signed;
}

export interface FirmwareVariable {
  readonly name: string;
  /** As in text: `8be4df61-93ca-11d2-aa0d-00e098032b8c`. */
  readonly vendor: string;
  /** UEFI 2.10, 8.2: 1 non-volatile, 2 boot services, 4 run time. */
  readonly attributes: number;
  readonly data: Uint8Array;
}

/** Where a firmware volume says how long its header is (UEFI PI 1.8, volume 3, 3.2.1: EFI_FIRMWARE_VOLUME_HEADER). */
const VOLUME_HEADER_LENGTH = 48;
/** EDK II, MdeModulePkg/Include/Guid/VariableFormat.h: VARIABLE_STORE_HEADER, AUTHENTICATED_VARIABLE_HEADER. */
const STORE = { size: 16, header: 28 } as const;
const VARIABLE = {
  startId: 0x55aa,
  state: 2,
  added: 0x3f,
  deleted: 0x3d,
  nameSize: 36,
  dataSize: 40,
  vendor: 44,
  header: 60,
} as const;

/**
 * Writes variables behind those of a file of firmware variables, as the firmware does, and marks older ones of their names
 * as deleted: how a machine's owner sets what only the firmware's or shim's own screens can set.
 */
export async function setVariables(file: string, variables: readonly FirmwareVariable[]): Promise<void> {
  const flash = await readFile(file);
  const store = flash.readUInt16LE(VOLUME_HEADER_LENGTH);
  const end = store + flash.readUInt32LE(store + STORE.size);
  const names = new Set(variables.map(({ name }) => name));
  let at = store + STORE.header;
  for (const found of variablesIn(flash)) {
    if (names.has(found.name) && found.isThere) flash.writeUInt8(VARIABLE.deleted, found.at + VARIABLE.state);
    at = found.end;
  }
  for (const variable of variables) {
    const record = recordOf(variable);
    if (at + record.length > end) throw new Error(`no room for ${variable.name} in ${file}`);
    record.copy(flash, at);
    at = aligned(at + record.length);
  }
  await writeFile(file, flash);
}

export interface FoundVariable {
  readonly name: string;
  readonly data: Buffer;
  readonly isThere: boolean;
  readonly at: number;
  /** Where the next one begins. */
  readonly end: number;
}

/** Those that are deleted too. @param flash a file of firmware variables */
export function variablesIn(flash: Buffer): FoundVariable[] {
  const found: FoundVariable[] = [];
  let at = flash.readUInt16LE(VOLUME_HEADER_LENGTH) + STORE.header;
  while (flash.readUInt16LE(at) === VARIABLE.startId) {
    const nameEnd = at + VARIABLE.header + flash.readUInt32LE(at + VARIABLE.nameSize);
    const dataEnd = nameEnd + flash.readUInt32LE(at + VARIABLE.dataSize);
    found.push({
      name: flash.toString('utf16le', at + VARIABLE.header, nameEnd - 2),
      data: flash.subarray(nameEnd, dataEnd),
      isThere: flash.readUInt8(at + VARIABLE.state) === VARIABLE.added,
      at,
      end: aligned(dataEnd),
    });
    at = aligned(dataEnd);
  }
  return found;
}

/** The machine's database of allowed images with a certificate more. @param file its firmware variables */
export async function grownDatabase(file: string, key: ImageKey): Promise<FirmwareVariable> {
  const before = variablesIn(await readFile(file)).find(({ name, isThere }) => name === 'db' && isThere);
  if (before === undefined) throw new Error(`${file} has no variable db`);
  // UEFI 2.10, 8.2.1: non-volatile, boot services, run time, authenticated by time.
  const attributes = 0x27;
  return { name: 'db', vendor: IMAGE_SECURITY, attributes, data: Buffer.concat([before.data, await x509List(key)]) };
}

const aligned = (offset: number): number => (offset + 3) & ~3;

function recordOf({ name, vendor, attributes, data }: FirmwareVariable): Buffer {
  const nameBytes = Buffer.from(`${name}\0`, 'utf16le');
  const header = Buffer.alloc(VARIABLE.header);
  header.writeUInt16LE(VARIABLE.startId, 0);
  header.writeUInt8(VARIABLE.added, 2);
  header.writeUInt32LE(attributes, 4);
  header.writeUInt32LE(nameBytes.length, VARIABLE.nameSize);
  header.writeUInt32LE(data.length, VARIABLE.dataSize);
  guidBytes(vendor).copy(header, VARIABLE.vendor);
  return Buffer.concat([header, nameBytes, data]);
}

/** EFI_GUID: the first three parts are little-endian. */
export function guidBytes(text: string): Buffer {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

const SHIM_LOCK = '605dab50-e046-4300-abb6-3dd810dd8b23';
/** UEFI 2.10, 32.4.1: EFI_CERT_X509_GUID. */
const X509_LIST = 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072';

const IMAGE_SECURITY = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';

/** shim's list of machine owner keys with one certificate, as MokManager would enrol it. */
export async function machineOwnerKey(key: ImageKey): Promise<FirmwareVariable> {
  return { name: 'MokList', vendor: SHIM_LOCK, attributes: 3, data: await x509List(key) };
}

async function x509List({ certificate }: ImageKey): Promise<Buffer> {
  const { stdout } = await run('openssl', ['x509', '-in', certificate, '-outform', 'DER'], { encoding: 'buffer' });
  const list = Buffer.alloc(28);
  guidBytes(X509_LIST).copy(list);
  const signature = Buffer.concat([guidBytes(SHIM_LOCK), stdout]);
  list.writeUInt32LE(list.length + signature.length, 16);
  list.writeUInt32LE(signature.length, 24);
  return Buffer.concat([list, signature]);
}
