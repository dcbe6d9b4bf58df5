/** The label of a directory: the value of `security.assay.dir`. */
import { readSync } from 'node:fs';
import {
  ByteReader,
  ByteWriter,
  type DigestAlgorithm,
  type DigestInfo,
  digest,
  digestInfo,
  digestInfoByKernelId,
} from '../../bytes/index.ts';
import type { EntryMark } from './mark.ts';
import { encodeMarkList, parseMarkList } from './mark-list.ts';
import { type MarkSketch, parseMarkSketch, sketchOf } from './mark-sketch.ts';
import { LABEL_FORMS, type LabelForm } from './merkle.ts';
import type { DirectoryMetadata } from './metadata.ts';

export const DIRECTORY_XATTR = 'security.assay.dir';

/** Where the directory stood when it was labelled. */
export interface LabelPlace {
  /** `root`: the tree's top, by the path that its keeper calls it. `below`: relative to that top. */
  readonly kind: 'root' | 'below';
  readonly path: Uint8Array;
}

export type LabelDetail =
  | { readonly kind: 'list'; readonly marks: readonly EntryMark[] }
  | { readonly kind: 'sketch'; readonly sketch: MarkSketch };

export interface DirectoryLabel {
  readonly form: LabelForm;
  readonly algorithm: DigestAlgorithm;
  /** {@link directoryDigest} of the entries. */
  readonly digest: Uint8Array;
  /** Of the directory itself; left out where the label leaves it open, as labels of the first encoding do. */
  readonly metadata?: DirectoryMetadata;
  /** Of the whole tree; grows with each labelling, so that who holds it knows an older tree when it comes back. */
  readonly version: bigint;
  readonly place: LabelPlace;
  readonly detail: LabelDetail;
  /** An integrity signature header with its signature (`digsig`), over {@link signedDigest}; empty where there is none. */
  readonly signature: Uint8Array;
}

/** What is the same in all labels of a tree. */
export interface TreeForm {
  readonly algorithm: DigestAlgorithm;
  readonly form: LabelForm;
  /** Whether they cover the directories' metadata. */
  readonly coversMetadata: boolean;
}

export const treeFormOf = ({ algorithm, form, metadata }: DirectoryLabel): TreeForm => ({
  algorithm,
  form,
  coversMetadata: metadata !== undefined,
});

/** By what a tree is read whose root has no label that can be. */
export const UNKNOWN_TREE: TreeForm = { algorithm: 'sha256', form: 'portable', coversMetadata: false };

const MAGIC = Buffer.from('ADIR', 'latin1');
/** By whether they hold the directory's metadata. */
const ENCODINGS = { without: 1, with: 2 } as const;
const PLACES = ['root', 'below'] as const;
const DETAILS = ['list', 'sketch'] as const;

/**
 * A longer list gives way to a sketch: with ext4's usual 4096 bytes for all attributes of an inode, this leaves room for
 * an RSA-4096 signature in the label and one in `security.evm`.
 */
const LONGEST_LIST = 2200;

/** PATH_MAX of linux/limits.h, without its NUL. */
const MAX_PATH = 4095;
/** RSA-16384 and its header, with some room. */
const MAX_SIGNATURE = 4096;

/** @param marks sorted by name */
export function detailOf(marks: readonly EntryMark[]): LabelDetail {
  // The shortest entry takes 10 bytes: beyond that many, no list need be tried
  const isLong = marks.length > LONGEST_LIST / 10 || encodeMarkList(marks).length > LONGEST_LIST;
  return isLong ? { kind: 'sketch', sketch: sketchOf(marks) } : { kind: 'list', marks };
}

/**
 * magic `ADIR` ‖ encoding u8 ‖ form u8 ‖ algorithm u8 (enum hash_algo) ‖ place u8 ‖ version u64 ‖ path length u16 ‖ path ‖ digest ‖
 * [encoding 2: mode u16 ‖ uid u32 ‖ gid u32 ‖ attributes' digest ‖] detail u8 ‖ detail length u16 ‖ detail ‖
 * signature length u16 ‖ signature; integers big-endian.
 */
export function encodeDirectoryLabel(label: DirectoryLabel): Uint8Array {
  return new ByteWriter(512).bytes(encodeSigned(label)).u16be(label.signature.length).bytes(label.signature).finish();
}

type Unsigned = Omit<DirectoryLabel, 'signature'>;

/** Everything before the signature's length. */
function encodeSigned({ form, algorithm, place, version, digest: value, metadata, detail }: Unsigned): Uint8Array {
  const body = detail.kind === 'list' ? encodeMarkList(detail.marks) : detail.sketch;
  const writer = new ByteWriter(512)
    .bytes(MAGIC)
    .u8(metadata === undefined ? ENCODINGS.without : ENCODINGS.with)
    .u8(LABEL_FORMS.indexOf(form))
    .u8(digestInfo(algorithm).kernelId)
    .u8(PLACES.indexOf(place.kind))
    .u64be(version)
    .u16be(place.path.length)
    .bytes(place.path)
    .bytes(value);
  if (metadata !== undefined) {
    writer.u16be(metadata.mode).u32be(metadata.uid).u32be(metadata.gid).bytes(metadata.attributes);
  }
  return writer.u8(DETAILS.indexOf(detail.kind)).u16be(body.length).bytes(body).finish();
}

/**
 * A file that begins so must never be signed as a file: IMA signs the bare digest of a file's content, and that signature
 * would then be one of a directory label too.
 */
const SIGNED_DOMAIN = Buffer.from('assay directory label 1\0', 'latin1');

/** True for a file that must not be signed as a file. @param fd open for reading; its position is not used */
export function beginsLikeSignedLabel(fd: number): boolean {
  const start = Buffer.alloc(SIGNED_DOMAIN.length);
  return readSync(fd, start, 0, start.length, 0) === start.length && start.equals(SIGNED_DOMAIN);
}

/** What a label's signature signs: H(domain ‖ label without signature), H being the label's own algorithm. */
export function signedDigest(label: Unsigned): Buffer {
  return digest(label.algorithm, SIGNED_DOMAIN, encodeSigned(label));
}

/** @throws {ParseError} for anything but one whole label */
export function parseDirectoryLabel(bytes: Uint8Array): DirectoryLabel {
  const reader = new ByteReader(bytes);
  if (!MAGIC.equals(reader.bytes(MAGIC.length, 'directory label, magic'))) {
    reader.fail('parse.invalid', 'directory label', "does not begin with 'ADIR'", 0);
  }
  const encoding = reader.u8('directory label, encoding');
  if (encoding !== ENCODINGS.without && encoding !== ENCODINGS.with) {
    reader.fail('parse.unknown-value', 'directory label', 'is of a newer encoding', MAGIC.length);
  }
  const form = choice(reader, 'form', LABEL_FORMS);
  const info = algorithmOf(reader);
  const kind = choice(reader, 'place', PLACES);
  const version = reader.u64be('directory label, version');
  const path = sized(reader, 'path', MAX_PATH);
  const value = reader.bytes(info.size, 'directory label, digest');
  const metadata = encoding === ENCODINGS.with ? { metadata: readMetadata(reader, info) } : {};
  const detail = readDetail(reader);
  const signature = sized(reader, 'signature', MAX_SIGNATURE);
  reader.end('directory label');
  return { form, algorithm: info.name, digest: value, ...metadata, version, place: { kind, path }, detail, signature };
}

function readMetadata(reader: ByteReader, { size }: DigestInfo): DirectoryMetadata {
  const mode = reader.u16be('directory label, mode');
  const uid = reader.u32be('directory label, owner');
  const gid = reader.u32be('directory label, group');
  return { mode, uid, gid, attributes: reader.bytes(size, 'directory label, digest of the attributes') };
}

function algorithmOf(reader: ByteReader): DigestInfo {
  const info = digestInfoByKernelId(reader.u8('directory label, algorithm'));
  return (
    info ?? reader.fail('parse.unknown-value', 'directory label, algorithm', 'is not supported', reader.offset - 1)
  );
}

function choice<T>(reader: ByteReader, what: string, values: readonly T[]): T {
  const value = values[reader.u8(`directory label, ${what}`)];
  if (value === undefined) {
    reader.fail('parse.unknown-value', `directory label, ${what}`, 'is not known', reader.offset - 1);
  }
  return value;
}

function sized(reader: ByteReader, what: string, most: number): Uint8Array {
  const length = reader.u16be(`directory label, ${what} length`);
  if (length > most) reader.fail('parse.too-large', `directory label, ${what}`, `${length} bytes, at most ${most}`);
  return reader.bytes(length, `directory label, ${what}`);
}

function readDetail(reader: ByteReader): LabelDetail {
  const kind = choice(reader, 'detail', DETAILS);
  const body = reader.section(reader.u16be('directory label, detail length'), 'directory label, detail');
  if (kind === 'list') return { kind, marks: parseMarkList(body) };
  return { kind, sketch: parseMarkSketch(body) };
}
