/** What evmctl's options say, as one value. */
import { type DigestAlgorithm, isDigestAlgorithm } from '../../bytes/index.ts';
import { type KeyId, parseKeyId } from '../../digsig/index.ts';
import { EvmctlError } from './error.ts';
import { type GivenOption, getopt, type OptionSpec } from './getopt.ts';

type OptionName =
  | 'help'
  | 'version'
  | 'verbose'
  | 'print'
  | 'imasig'
  | 'imahash'
  | 'hashalgo'
  | 'pass'
  | 'sigfile'
  | 'uuid'
  | 'rsa'
  | 'key'
  | 'type'
  | 'recursive'
  | 'immutable'
  | 'm32'
  | 'm64'
  | 'portable'
  | 'smack'
  | 'inode'
  | 'ino'
  | 'uid'
  | 'gid'
  | 'mode'
  | 'generation'
  | 'ima'
  | 'selinux'
  | 'caps'
  | 'verify-sig'
  | 'engine'
  | 'provider'
  | 'xattr-user'
  | 'ignore-violations'
  | 'pcrs'
  | 'verify-bank'
  | 'keyid'
  | 'keyid-from-cert'
  | 'veritysig'
  | 'hwtpm'
  | 'hmackey';

const flag = (name: OptionName, short?: string): OptionSpec<OptionName> =>
  short === undefined ? { name, argument: 'none' } : { name, short, argument: 'none' };
const value = (name: OptionName, short?: string): OptionSpec<OptionName> =>
  short === undefined ? { name, argument: 'required' } : { name, short, argument: 'required' };

const SPECS: readonly OptionSpec<OptionName>[] = [
  flag('help', 'h'),
  flag('version'),
  flag('verbose', 'v'),
  flag('print', 'n'),
  flag('imasig', 's'),
  flag('imahash', 'd'),
  value('hashalgo', 'a'),
  { name: 'pass', short: 'p', argument: 'optional' },
  flag('sigfile', 'f'),
  { name: 'uuid', short: 'u', argument: 'optional' },
  flag('rsa'),
  value('key', 'k'),
  value('type', 't'),
  flag('recursive', 'r'),
  flag('immutable', 'i'),
  flag('m32'),
  flag('m64'),
  flag('portable', 'o'),
  flag('smack'),
  value('inode'),
  value('ino'), // as evmctl's own help spells it
  value('uid'),
  value('gid'),
  value('mode'),
  value('generation'),
  value('ima'),
  value('selinux'),
  { name: 'caps', argument: 'optional' },
  flag('verify-sig'),
  value('engine'),
  value('provider'),
  flag('xattr-user'),
  flag('ignore-violations'),
  value('pcrs'),
  { name: 'verify-bank', argument: 'optional' },
  value('keyid'),
  value('keyid-from-cert'),
  flag('veritysig'),
  flag('hwtpm'),
  value('hmackey'),
];

/** What `security.evm` covers instead of what the file has; undefined: what the file has. */
export interface MetadataOverrides {
  readonly ino: bigint | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly mode: number | undefined;
  readonly generation: number | undefined;
  /** `none`: left out. */
  readonly uuid: Buffer | 'none' | undefined;
  readonly ima: Buffer | undefined;
  readonly selinux: string | undefined;
  /** `none`: left out. */
  readonly caps: string | 'none' | undefined;
}

export interface EvmctlOptions {
  readonly wants: 'help' | 'version' | 'command';
  readonly verbose: number;
  /** Print the value and set no attribute. */
  readonly isPrintOnly: boolean;
  readonly algorithm: DigestAlgorithm;
  readonly withImaSignature: boolean;
  readonly withImaHash: boolean;
  readonly useSigFile: boolean;
  /** Signature format 1. */
  readonly isV1: boolean;
  readonly key: string | undefined;
  readonly keyId: KeyId | undefined;
  readonly keyIdCertificate: string | undefined;
  readonly pass: string | 'ask' | undefined;
  readonly hmacKey: string | undefined;
  readonly types: string;
  readonly isRecursive: boolean;
  readonly evm: 'ordinary' | 'portable' | 'immutable';
  readonly wordBits: 32 | 64;
  readonly withSmack: boolean;
  readonly overrides: MetadataOverrides;
  readonly xattrIma: 'security.ima' | 'user.ima';
  readonly xattrEvm: 'security.evm' | 'user.evm';
  readonly verifyListSignatures: boolean;
  readonly ignoreViolations: boolean;
  readonly pcrs: readonly string[];
  readonly verifyBank: string | undefined;
  readonly isVeritySignature: boolean;
  readonly useHardwareTpm: boolean;
}

export interface EvmctlCall {
  readonly options: EvmctlOptions;
  readonly operands: readonly string[];
}

/** @throws {EvmctlError} `evmctl.usage`; {@link DigsigError} for a key id that is none */
export function parseCall(args: readonly string[]): EvmctlCall {
  const { options, operands } = getopt(args, SPECS);
  return { options: optionsOf(options), operands };
}

function optionsOf(given: readonly GivenOption<OptionName>[]): EvmctlOptions {
  const last = (name: OptionName): GivenOption<OptionName> | undefined => given.findLast((one) => one.name === name);
  const has = (name: OptionName): boolean => last(name) !== undefined;
  const text = (name: OptionName): string | undefined => last(name)?.value;
  const pass = last('pass');
  const keyid = text('keyid');
  return {
    wants: has('version') ? 'version' : has('help') ? 'help' : 'command',
    verbose: given.filter(({ name }) => name === 'verbose').length,
    isPrintOnly: has('print'),
    algorithm: algorithmOf(text('hashalgo') ?? 'sha256'),
    withImaSignature: has('imasig'),
    withImaHash: has('imahash'),
    useSigFile: has('sigfile'),
    isV1: has('rsa'),
    key: text('key'),
    keyId: keyid === undefined ? undefined : keyIdOf(keyid),
    keyIdCertificate: text('keyid-from-cert'),
    pass: pass === undefined ? process.env.EVMCTL_KEY_PASSWORD : (pass.value ?? 'ask'),
    hmacKey: text('hmackey'),
    types: text('type') ?? 'f',
    isRecursive: has('recursive'),
    evm: evmKind(given),
    wordBits: has('m32') ? 32 : 64,
    withSmack: has('smack'),
    overrides: overridesOf(given),
    xattrIma: has('xattr-user') ? 'user.ima' : 'security.ima',
    xattrEvm: has('xattr-user') ? 'user.evm' : 'security.evm',
    verifyListSignatures: has('verify-sig'),
    ignoreViolations: has('ignore-violations'),
    pcrs: given.flatMap((one) => (one.name === 'pcrs' && one.value !== undefined ? [one.value] : [])),
    verifyBank: text('verify-bank'),
    isVeritySignature: has('veritysig'),
    useHardwareTpm: has('hwtpm'),
  };
}

/** Where both are given, the first holds, as with evmctl. */
function evmKind(given: readonly GivenOption<OptionName>[]): EvmctlOptions['evm'] {
  const first = given.find(({ name }) => name === 'portable' || name === 'immutable');
  return first === undefined ? 'ordinary' : first.name === 'portable' ? 'portable' : 'immutable';
}

function overridesOf(given: readonly GivenOption<OptionName>[]): MetadataOverrides {
  const last = (name: OptionName): GivenOption<OptionName> | undefined => given.findLast((one) => one.name === name);
  const number = (name: OptionName): number | undefined => {
    const text = last(name)?.value;
    return text === undefined ? undefined : wholeNumber(name, text, 0xffff_ffffn, 10);
  };
  const ino = last('inode') ?? last('ino');
  const uuid = last('uuid');
  const caps = last('caps');
  const mode = last('mode')?.value;
  const ima = last('ima')?.value;
  return {
    ino: ino?.value === undefined ? undefined : big('inode', ino.value, 0xffff_ffff_ffff_ffffn),
    uid: number('uid'),
    gid: number('gid'),
    // evmctl takes it as decimal; with a leading zero or 0o it is octal here, as people write modes
    mode: mode === undefined ? undefined : wholeNumber('mode', mode, 0xffffn, /^0o?[0-7]+$/.test(mode) ? 8 : 10),
    generation: number('generation'),
    uuid:
      uuid === undefined ? undefined : uuid.value === undefined || uuid.value === '' ? 'none' : uuidBytes(uuid.value),
    ima: ima === undefined ? undefined : hexBytes('ima', ima),
    selinux: last('selinux')?.value,
    caps: caps === undefined ? undefined : (caps.value ?? 'none'),
  };
}

function bad(option: string, text: string, must: string): EvmctlError {
  return new EvmctlError('evmctl.usage', `--${option} ${text}: must be ${must}`);
}

function big(option: string, text: string, most: bigint): bigint {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) > most) throw bad(option, text, `a whole number up to ${most}`);
  return BigInt(text);
}

function wholeNumber(option: string, text: string, most: bigint, base: 8 | 10): number {
  return Number(base === 8 ? Number.parseInt(text.replace('o', ''), 8) : big(option, text, most));
}

function hexBytes(option: string, text: string): Buffer {
  if (text === '' || !/^(?:[0-9a-f]{2})+$/i.test(text)) throw bad(option, text, 'bytes in hex');
  return Buffer.from(text, 'hex');
}

function uuidBytes(text: string): Buffer {
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) throw bad('uuid', text, 'a UUID');
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

function algorithmOf(name: string): DigestAlgorithm {
  if (isDigestAlgorithm(name)) return name;
  throw new EvmctlError('evmctl.usage', `Unknown hash algo: ${name}`, {
    advice: 'use sha1, sha224, sha256, sha384, sha512, sm3, rmd160 or md5 (streebog and md4 are not in this OpenSSL)',
  });
}

/** Zero is no key id: evmctl keeps it for "not given". */
function keyIdOf(text: string): KeyId {
  const id = parseKeyId(text);
  if (id === 0) throw bad('keyid', text, 'a hex number other than 0');
  return id;
}
