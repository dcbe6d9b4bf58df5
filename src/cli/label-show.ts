/** `assay label show`: what the labels of one file say. */
import { lstatSync } from 'node:fs';
import type { Command } from 'commander';
import { metadataWords, parseDirectoryLabel } from '../appraise/index.ts';
import { type DigestAlgorithm, ParseError, toHex } from '../bytes/index.ts';
import { formatKeyId, parseSignature, type SignatureHeader } from '../digsig/index.ts';
import { EVM_XATTR, parseEvmXattr } from '../evm/index.ts';
import { IMA_XATTR, parseImaXattr } from '../ima/index.ts';
import { getXattr, listXattrs } from '../sys/index.ts';
import { escapeControls, printJson, printLine } from './terminal.ts';

export function registerShow(label: Command): void {
  label
    .command('show')
    .description("Show the labels of a file: every attribute of the kernel's integrity subsystem, and of directories")
    .argument('<path>', 'file or folder')
    .option('--json', 'print {"path","labels","decoded"}; labels are whole values in hexadecimal')
    .addHelpText(
      'after',
      `
What a label says is not verified here: assay appraise does that. Exit code 1 where there is none.

Example:
  assay label show /usr/bin/true`,
    )
    .action(show);
}

/** What a label says, by name: for people as `name value`, in JSON as it is. */
type Said = Readonly<Record<string, string | number | boolean>>;

const READERS: Readonly<Record<string, (value: Uint8Array) => Said>> = {
  [IMA_XATTR]: readIma,
  [EVM_XATTR]: readEvm,
  'security.assay.dir': readDirectory,
  'user.ima': readIma,
  'user.evm': readEvm,
  'user.assay.dir': readDirectory,
};

function show(path: string, options: { readonly json?: boolean }): void {
  lstatSync(path); // what is not there is said as everywhere
  const present = listXattrs(path);
  const labels = Object.entries(READERS).flatMap(([name, read]) => {
    const value = present.includes(name) ? getXattr(path, name) : undefined;
    return value === undefined ? [] : [{ name, value, said: saidBy(read, value) }];
  });
  if (labels.length === 0) process.exitCode = 1;
  if (options.json === true) {
    const values = Object.fromEntries(labels.map(({ name, value }) => [name, toHex(value)]));
    printJson({ path, labels: values, decoded: Object.fromEntries(labels.map(({ name, said }) => [name, said])) });
    return;
  }
  if (labels.length === 0) printLine('no labels');
  for (const { name, said } of labels) {
    const words = Object.entries(said).map(([what, value]) => (what === 'kind' ? `${value}` : `${what} ${value}`));
    printLine(escapeControls(`${name}  ${words.join(', ')}`));
  }
}

function saidBy(read: (value: Uint8Array) => Said, value: Uint8Array): Said {
  try {
    return read(value);
  } catch (error) {
    if (error instanceof ParseError) return { kind: 'malformed', reason: error.message, value: toHex(value) };
    throw error;
  }
}

const digestText = (algorithm: DigestAlgorithm, digest: Uint8Array): string => `${algorithm}:${toHex(digest)}`;

function readIma(value: Uint8Array): Said {
  const label = parseImaXattr(value);
  if (label.kind === 'digest') return { kind: 'hash', digest: digestText(label.algorithm, label.digest) };
  return {
    kind: label.verity ? 'signature of the digest of fs-verity' : 'signature',
    ...saidBySignature(label.header),
  };
}

function readEvm(value: Uint8Array): Said {
  const label = parseEvmXattr(value);
  if (label.kind === 'hmac') return { kind: 'HMAC', digest: digestText('sha1', label.hmac) };
  return { kind: label.portable ? 'portable signature' : 'signature', ...saidBySignature(label.header) };
}

function saidBySignature(header: SignatureHeader): Said {
  const hash = header.algorithm ?? `unknown (${header.hashId})`;
  const key = header.version === 1 ? toHex(header.keyId) : formatKeyId(header.keyId);
  return { format: header.version, hash, key, bytes: header.signature.length };
}

function readDirectory(value: Uint8Array): Said {
  const { form, algorithm, digest, metadata, version, place, detail, signature } = parseDirectoryLabel(value);
  const signed =
    signature.length === 0 ? { signed: false } : { signed: true, ...saidBySignature(parseSignature(signature)) };
  return {
    kind: `directory label, ${form}`,
    digest: digestText(algorithm, digest),
    ...(metadata === undefined ? {} : { directory: metadataWords(metadata) }),
    version: Number(version),
    place: `${place.kind === 'root' ? 'root' : 'below it'} ${Buffer.from(place.path)}`,
    entries: detail.kind === 'list' ? detail.marks.length : 'in a sketch',
    ...signed,
  };
}
