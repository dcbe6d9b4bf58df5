/** The fields of a measurement list's entry about an open file (kernel: security/integrity/ima/ima_template_lib.c). */
import { type DigestAlgorithm, digestInfo } from '../../bytes/index.ts';
import { EVM_XATTR, EVM_XATTRS } from '../../evm/index.ts';
import { decodePath, digestField, IMA_TYPE, pathField, type TemplateFieldId, templateLayout } from '../../ima/index.ts';
import { type FileStatus, fgetXattr } from '../../sys/index.ts';

export interface MeasuredFile {
  readonly fd: number;
  readonly status: FileStatus;
  readonly path: Uint8Array;
  /** Value of `security.ima`. */
  readonly label: Uint8Array | undefined;
  /** Undefined for the entry of a violation, which has zeros in its place. */
  readonly digest:
    | { readonly algorithm: DigestAlgorithm; readonly digest: Uint8Array; readonly isVerity: boolean }
    | undefined;
  /** Names that EVM protects beside its own. */
  readonly evmXattrs: readonly string[];
  /** The content's SHA-1, which template `ima` wants whatever else it is hashed with. */
  readonly sha1: () => Uint8Array;
  /** What a violation's zeros are said to be. */
  readonly imaHash: DigestAlgorithm;
}

/** `EVM_XATTR_PORTABLE_DIGSIG` */
const PORTABLE = 5;
/** IMA_EVENT_NAME_LEN_MAX */
const LONGEST_NAME = 255;

/** @returns undefined for a template whose fields are not known */
export function templateFields(template: string, file: MeasuredFile): Uint8Array[] | undefined {
  const { fields } = templateLayout(template);
  return fields?.map((id) => field(id, file));
}

function field(id: TemplateFieldId, file: MeasuredFile): Uint8Array {
  switch (id) {
    case 'd':
      return file.digest === undefined ? Buffer.alloc(20) : legacyDigest(file);
    case 'd-ng':
      return namedDigest(file);
    case 'd-ngv2':
      return Buffer.concat([Buffer.from(file.digest?.isVerity === true ? 'verity:' : 'ima:'), namedDigest(file)]);
    case 'n':
      return Buffer.concat([shortName(file.path), Buffer.of(0)]);
    case 'n-ng':
      return pathField(decodePath(file.path));
    case 'sig':
      return isSignature(file.label) ? (file.label ?? new Uint8Array()) : evmSignature(file.fd);
    case 'evmsig':
      return evmSignature(file.fd);
    case 'xattrnames':
      return Buffer.from(names(file).join('|') + (names(file).length > 0 ? '\0' : ''));
    case 'xattrlengths':
      return Buffer.concat(values(file).map((value) => number(value.length, 4)));
    case 'xattrvalues':
      return Buffer.concat(values(file));
    case 'iuid':
      return number(file.status.uid, 4);
    case 'igid':
      return number(file.status.gid, 4);
    case 'imode':
      return number(file.status.mode, 2);
    // A buffer is no file, and appended signatures are looked for at what the kernel reads itself alone.
    case 'buf':
    case 'd-modsig':
    case 'modsig':
      return new Uint8Array();
  }
}

function namedDigest({ digest, imaHash }: MeasuredFile): Buffer {
  if (digest === undefined) return digestField(imaHash, Buffer.alloc(digestInfo(imaHash).size));
  return digestField(digest.algorithm, digest.digest);
}

function legacyDigest({ digest, sha1 }: MeasuredFile): Uint8Array {
  const isShort = digest?.algorithm === 'sha1' || digest?.algorithm === 'md5';
  const value = isShort ? (digest?.digest ?? sha1()) : sha1();
  return Buffer.concat([value], 20);
}

/** A longer path gives way to its last part. */
function shortName(path: Uint8Array): Buffer {
  const bytes = Buffer.from(path);
  const name = bytes.length <= LONGEST_NAME ? bytes : bytes.subarray(bytes.lastIndexOf('/') + 1);
  return Buffer.from(name.map((byte) => (byte === 0x20 ? 0x5f : byte)));
}

function isSignature(label: Uint8Array | undefined): boolean {
  return label?.[0] === IMA_TYPE.signature || label?.[0] === IMA_TYPE.veritySignature;
}

function evmSignature(fd: number): Uint8Array {
  const label = fgetXattr(fd, EVM_XATTR);
  return label?.[0] === PORTABLE ? label : new Uint8Array();
}

const present = ({ fd, evmXattrs }: MeasuredFile): (readonly [string, Buffer])[] =>
  [...EVM_XATTRS, ...evmXattrs].flatMap((name) => {
    const value = fgetXattr(fd, name);
    return value === undefined ? [] : [[name, value] as const];
  });

const names = (file: MeasuredFile): string[] => present(file).map(([name]) => name);
const values = (file: MeasuredFile): Buffer[] => present(file).map(([, value]) => value);

function number(value: number, size: 2 | 4): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntLE(value, 0, size);
  return bytes;
}
