/** Which extended attributes travel, and in which order they are written. A closed list: a manifest chooses no others. */
import { ParseError } from '../../bytes/index.ts';
import { parseEvmXattr } from '../../evm/index.ts';
import { fgetXattr } from '../../sys/index.ts';
import { parseDirectoryLabel } from '../directory/label.ts';

/** EVM last: where the kernel holds a key, a label of EVM that stands freezes what it covers (evm_main.c:evm_protect_xattr). */
const NAMES = ['ima', 'assay.dir', 'evm'] as const;

export type Namespace = 'security' | 'user';
export type LabelAttribute = `${Namespace}.${(typeof NAMES)[number]}`;

export const labelAttributes = (namespace: Namespace): readonly LabelAttribute[] =>
  NAMES.map((name): LabelAttribute => `${namespace}.${name}`);

const ALL: readonly LabelAttribute[] = [...labelAttributes('security'), ...labelAttributes('user')];

export const labelAttribute = (name: string): LabelAttribute | undefined => ALL.find((one) => one === name);

/** File capabilities: no label, and covered by EVM's. */
export const CAPABILITY = 'security.capability';

export type Labels = ReadonlyMap<LabelAttribute, Uint8Array>;

/** In the order of writing. */
export const inOrder = (labels: Labels): [LabelAttribute, Uint8Array][] =>
  ALL.flatMap((name): [LabelAttribute, Uint8Array][] => {
    const value = labels.get(name);
    return value === undefined ? [] : [[name, value]];
  });

export const hasEvm = (labels: Labels): boolean => labels.has('security.evm') || labels.has('user.evm');

/**
 * False for what holds for one inode alone, and so for no copy: EVM labels but the portable ones (05), and directory
 * labels over inode numbers. A value that is not understood travels: who wrote it knows.
 */
export function isPortable(name: LabelAttribute, value: Uint8Array): boolean {
  if (name.endsWith('.evm')) return understood(() => isPortableEvm(value));
  return !name.endsWith('.assay.dir') || understood(() => parseDirectoryLabel(value).form !== 'bound');
}

function isPortableEvm(value: Uint8Array): boolean {
  const label = parseEvmXattr(value);
  return label.kind === 'signature' && label.portable;
}

function understood(judge: () => boolean): boolean {
  try {
    return judge();
  } catch (error) {
    if (error instanceof ParseError) return true;
    throw error;
  }
}

/** The labels of an open file or folder. @param bound also those that hold for its inode alone @throws {SysError} */
export function readLabels(fd: number, attributes: readonly LabelAttribute[], bound: boolean): Labels {
  const labels = new Map<LabelAttribute, Uint8Array>();
  for (const name of attributes) {
    const value = fgetXattr(fd, name);
    if (value !== undefined && (bound || isPortable(name, value))) labels.set(name, value);
  }
  return labels;
}
