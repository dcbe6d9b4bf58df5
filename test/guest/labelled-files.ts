/** Files with labels, put on a guest's disk while the machine is off, and what our appraisal says of them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { appraiseTree, type BadFile, type KeyFileBytes, labelTree } from '../../src/appraise/index.ts';
import { type DigestAlgorithm, digest, toHex } from '../../src/bytes/index.ts';
import { type IntegrityKey, type Keyring, type Signer, signDigest, signModsig } from '../../src/digsig/index.ts';
import { EVM_XATTR, hmacLabel, readEvmMetadata, signatureLabel } from '../../src/evm/index.ts';
import {
  type AppraiseType,
  appraiseIma,
  encodeImaDigest,
  encodeImaSignature,
  IMA_XATTR,
  type ImaAppraisal,
} from '../../src/ima/index.ts';
import { fileSystem, getXattr, setXattr } from '../../src/sys/index.ts';

const PROGRAM = '#!/bin/sh\necho hello\n';

/** Does something to a file. */
export type Preparation = (file: string) => void;

/**
 * One file, what is to be said of it (`pass`, or operation and cause of the kernel's audit record), and what was done to
 * it, which began as an unlabelled program of root.
 */
export type LabelledFile = readonly [name: string, says: string, ...prepared: Preparation[]];

const FOLDER = '/srv';

/** The file's place in the guest. */
export const placeOf = ([name]: LabelledFile): string => join(FOLDER, name);

export function placeFiles(root: string, files: readonly LabelledFile[]): void {
  for (const labelled of files) {
    const [, , ...prepared] = labelled;
    const file = join(root, placeOf(labelled));
    writeFileSync(file, PROGRAM, { mode: 0o755 });
    for (const prepare of prepared) prepare(file);
  }
}

/** What the kernel has loaded when it judges. */
export interface Judge {
  /** What fs-verity will say of the file once it is enabled; left out: it is not. */
  readonly verityDigest?: (file: string) => NonNullable<ImaAppraisal['verityDigest']>;
  readonly type: AppraiseType;
  /** Of the keyring `_ima`. */
  readonly keyring: Keyring;
  /** Left out: EVM is not on. */
  readonly evm?: { readonly hmacKey?: Uint8Array; readonly keyring?: Keyring };
}

/** Our judgement of a file of the mounted disk, in the words of {@link LabelledFile}: that of `assay appraise`. */
export async function ourJudgement(file: string, judge: Judge): Promise<string> {
  const { type, keyring, evm, verityDigest } = judge;
  if (verityDigest !== undefined) return judgementUnderVerity(file, keyring, verityDigest(file));
  const bad: BadFile[] = [];
  const { done, problems } = await appraiseTree(file, {
    type,
    keys: certificatesOf(keyring),
    evmKeys: certificatesOf(evm?.keyring ?? []),
    ...(evm?.hmacKey === undefined ? {} : { evmHmacKey: evm.hmacKey }),
    onBad: (found) => bad.push(found),
  });
  assert.deepEqual({ done, problems }, { done: 1, problems: 0 }, file);
  const [found] = bad;
  return found === undefined ? 'pass' : `${found.cause === 'no-verity-digest' ? COLLECT : APPRAISE} ${found.cause}`;
}

/** Operations of the audit record: which of them it is is the cause's. */
const APPRAISE = 'appraise_data';
const COLLECT = 'collect_data';

const certificatesOf = (keys: Iterable<IntegrityKey>): KeyFileBytes[] =>
  Array.from(keys, ({ certificate, name }) => ({ bytes: certificate ?? Buffer.alloc(0), source: name }));

/** fs-verity is turned on in the guest alone: here the file is judged by the digest that it will give. */
function judgementUnderVerity(
  file: string,
  keyring: Keyring,
  verityDigest: NonNullable<ImaAppraisal['verityDigest']>,
): string {
  const { status, op, cause } = appraiseIma({
    xattr: getXattr(file, IMA_XATTR),
    type: 'sigv3',
    keyring,
    fileDigest: (algorithm) => digest(algorithm, readFileSync(file)),
    verityDigest,
  });
  return status === 'pass' ? 'pass' : `${op} ${cause}`;
}

/** Gives every file of the disk a digest and an HMAC: what a machine under appraisal starts from. */
export async function labelWholeDisk(root: string, hmacKey: Uint8Array): Promise<void> {
  const { problems } = await labelTree(root, { evm: { mode: 'hmac', key: hmacKey } });
  assert.equal(problems, 0);
}

/** As policies write it. */
export function fileSystemUuid(mounted: string): string {
  const { uuid } = fileSystem(mounted);
  return toHex(uuid ?? Buffer.alloc(16)).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

export const digestOf = (file: string, algorithm: DigestAlgorithm = 'sha256'): Buffer =>
  digest(algorithm, readFileSync(file));

export const setHash: Preparation = (file) => setXattr(file, IMA_XATTR, encodeImaDigest('sha256', digestOf(file)));

/** Gives `security.ima` the value that `label` makes for the file. */
export const setIma =
  (label: (file: string) => Uint8Array): Preparation =>
  (file) =>
    setXattr(file, IMA_XATTR, label(file));

/** Format 2, over the content. */
export const sign = (signer: Signer, algorithm: DigestAlgorithm = 'sha256'): Preparation =>
  setIma((file) => encodeImaSignature(signDigest(signer, algorithm, digestOf(file, algorithm))));

export const setHmac =
  (key: Uint8Array): Preparation =>
  (file) =>
    setXattr(file, EVM_XATTR, hmacLabel(key, readEvmMetadata(file).metadata));

export const signMetadata =
  (signer: Signer, { portable = false } = {}): Preparation =>
  (file) => {
    const { metadata } = readEvmMetadata(file, { portable });
    setXattr(file, EVM_XATTR, signatureLabel(signer, 'sha256', metadata, { portable }));
  };

/** As the last thing: what comes after it is no longer in front of the marker. */
export const appendSignature =
  (signer: Signer): Preparation =>
  (file) =>
    appendFileSync(file, signModsig(signer, 'sha256', digestOf(file)));

const ASSAY = join(import.meta.dirname, '../../bin/assay');

/** What `assay label` does, as people call it. */
export const byCommand =
  (...options: readonly string[]): Preparation =>
  (file) => {
    execFileSync(ASSAY, ['label', file, ...options], { stdio: 'ignore' });
  };

export const changeContent: Preparation = (file) => appendFileSync(file, '# changed\n');
export const changeMode: Preparation = (file) => chmodSync(file, 0o4755);
export const giveTo =
  (uid: number): Preparation =>
  (file) =>
    chownSync(file, uid, 0);
