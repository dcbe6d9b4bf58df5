/** Accesses in a guest under a policy that tells them apart, and what the kernel measured of them, rule for rule. */
import type { MeasurementEntry } from '../../src/ima/index.ts';
import type { UseName } from '../../src/ima/policy/index.ts';
import { run, type Step, scriptOf, shell, write } from './script.ts';
import { program, type Tree } from './tree.ts';

export const USER = 1000;
const EXCEPTED_OWNER = 1001;
const MEASURED_GROUP = 1002;
const MEASURED_OWNER = 1003;

/** What is done with which file by whom. */
export interface GuestAccess {
  readonly path: string;
  readonly use: UseName;
  readonly uid: number;
}

const access = (path: string, use: UseName, uid = 0): GuestAccess => ({ path, use, uid });

/** Each with a file of its own, so that what the list has of a file is of one access. */
const ACCESSES: readonly GuestAccess[] = [
  access('/srv/run-by-root', 'run'),
  access('/srv/run-by-user', 'run', USER),
  access('/srv/elf/true', 'run'),
  access('/srv/run-excepted', 'run'),
  access('/tmp/run-by-root', 'run'),
  access('/tmp/run-by-user', 'run', USER),
  access('/mnt/run-by-root', 'run'),
  access('/mnt/read-by-root', 'read'),
  access('/mnt/read-by-user', 'read', USER),
  access('/srv/read-by-root', 'read'),
  access('/srv/read-by-user', 'read', USER),
  access('/srv/read-by-user-of-group', 'read', USER),
  access('/srv/read-by-root-of-group', 'read'),
  access('/srv/update-by-root', 'update'),
  access('/srv/update-by-user', 'update', USER),
  access('/srv/write-by-root', 'write'),
  access('/srv/write-by-root-of-owner', 'write'),
  access('/srv/append-by-root', 'append'),
  access('/proc/version', 'read'),
  access('/srv/more-rules', 'policy'),
];

/** What a kernel can do beside the rest. */
export interface AccessOptions {
  /** It has overlayfs. */
  readonly overlay: boolean;
  /** It takes a policy after the first. */
  readonly secondPolicy: boolean;
}

export const accessesOf = ({ overlay, secondPolicy }: AccessOptions): readonly GuestAccess[] =>
  ACCESSES.filter(({ path, use }) => (overlay || !path.startsWith('/mnt/')) && (secondPolicy || use !== 'policy'));

/** Every rule of it decides some access. In the guest `more-rules` follows it, which asks for nothing. */
export const POLICY: readonly string[] = [
  'dont_measure fsmagic=0x9fa0',
  'dont_measure fsmagic=0x62656572',
  'dont_measure fsmagic=0x73636673',
  `measure func=BPRM_CHECK fsname=tmpfs uid=${USER}`,
  'dont_measure fsmagic=0x01021994',
  'measure func=BPRM_CHECK mask=MAY_EXEC fsname=overlay',
  `dont_measure fowner=${EXCEPTED_OWNER}`,
  'measure func=MMAP_CHECK mask=MAY_EXEC',
  'measure func=BPRM_CHECK mask=MAY_EXEC',
  'measure func=FILE_CHECK mask=^MAY_READ euid=0',
  `measure func=FILE_CHECK mask=MAY_READ fgroup=${MEASURED_GROUP} uid>999`,
  'measure func=FILE_CHECK mask=^MAY_APPEND',
  `measure func=FILE_CHECK mask=MAY_WRITE fowner=${MEASURED_OWNER}`,
  'measure func=POLICY_CHECK',
];

/** PCRs that a guest's TPM has beside 10, one for each rule that measures. */
const PCRS = [11, 12, 13, 14, 15, 16, 23, 8, 9, 7];

/** The policy with a PCR of its own for each rule that measures, so that the list says which one it was. */
export function taggedPolicy(): { readonly text: string; readonly lineOfPcr: ReadonlyMap<number, number> } {
  const lineOfPcr = new Map<number, number>();
  const lines = POLICY.map((rule, index) => {
    if (!rule.startsWith('measure')) return rule;
    const pcr = PCRS[lineOfPcr.size];
    if (pcr === undefined) throw new Error('there are too few PCRs');
    lineOfPcr.set(pcr, index + 1);
    return `${rule} pcr=${pcr}`;
  });
  return { text: `${lines.join('\n')}\n`, lineOfPcr };
}

export const plainPolicy = (): string => `${POLICY.join('\n')}\n`;

const text = (name: string): { text: string } => ({ text: `${name}\n` });

/** Files of the accesses, beside busybox. */
export const accessTree: Tree = {
  '/etc/passwd': { text: `root:x:0:0:root:/root:/bin/sh\nuser:x:${USER}:${USER}:user:/:/bin/sh\n` },
  '/etc/group': { text: `root:x:0:\nuser:x:${USER}:\n` },
  '/mnt': { folder: true },
  '/srv/run-by-root': program('echo run by root'),
  '/srv/run-by-user': program('echo run by user'),
  '/srv/run-excepted': program('echo excepted'),
  '/srv/elf/true': { copy: '/bin/busybox' },
  '/srv/lower/run-by-root': program('echo overlaid'),
  '/srv/lower/read-by-root': text('overlaid, read by root'),
  '/srv/lower/read-by-user': text('overlaid, read by user'),
  '/srv/read-by-root': text('read by root'),
  '/srv/read-by-user': text('read by user'),
  '/srv/read-by-user-of-group': text('of a group, read by user'),
  '/srv/read-by-root-of-group': text('of a group, read by root'),
  '/srv/update-by-root': text('updated by root'),
  '/srv/update-by-user': text('updated by user'),
  '/srv/write-by-root': text('written by root'),
  '/srv/write-by-root-of-owner': text('of an owner, written by root'),
  '/srv/append-by-root': text('appended by root'),
  '/srv/more-rules': { text: 'dont_hash\n' },
};

/** Who owns what, where it is not root's. */
const OWNERS: Readonly<Record<string, { readonly owner?: number; readonly group?: number }>> = {
  '/srv/run-excepted': { owner: EXCEPTED_OWNER },
  '/srv/read-by-user-of-group': { group: MEASURED_GROUP },
  '/srv/read-by-root-of-group': { group: MEASURED_GROUP },
  '/srv/write-by-root-of-owner': { owner: MEASURED_OWNER },
  '/srv/update-by-user': { owner: USER },
};

export function ownersOf(path: string): { readonly owner: number; readonly group: number } {
  return { owner: 0, group: 0, ...OWNERS[path] };
}

/** Before the policy is loaded. */
export const prepareAccesses = ({ overlay }: Pick<AccessOptions, 'overlay'>): readonly Step[] => [
  ...Object.keys(OWNERS).map((path) => run('chown', `${ownersOf(path).owner}:${ownersOf(path).group}`, path)),
  run('chmod', '1777', '/tmp'),
  write('/tmp/run-by-root', '#!/bin/sh\necho in memory, by root\n'),
  write('/tmp/run-by-user', '#!/bin/sh\necho in memory, by user\n'),
  run('chmod', '755', '/tmp/run-by-root', '/tmp/run-by-user'),
  ...(overlay ? [run('mount', '-t', 'overlay', '-o', 'lowerdir=/srv/lower:/srv/elf', 'overlay', '/mnt')] : []),
];

/** As root by the shell itself, so that nothing else opens the file; as the user by one that `su` starts. */
const OPENED: Readonly<Partial<Record<UseName, (path: string) => string>>> = {
  run: (path) => path,
  read: (path) => `exec 7<${path}; exec 7<&-`,
  update: (path) => `exec 7<>${path}; exec 7<&-`,
  write: (path) => `exec 7>${path}; exec 7>&-`,
  append: (path) => `exec 7>>${path}; exec 7>&-`,
  policy: (path) => `echo ${path} >/sys/kernel/security/ima/policy`,
};

function stepOf({ path, use, uid }: GuestAccess): Step {
  const words = OPENED[use]?.(path);
  if (words === undefined) throw new Error(`no guest does ${use}`);
  return uid === 0 ? shell(words) : run('su', 'user', '-c', words);
}

export const doAccesses = (accesses: readonly GuestAccess[]): Step => ({ shell: scriptOf(accesses.map(stepOf)) });

/** Of each path, the lines of the rules of {@link taggedPolicy} that caused its entries, in their order. */
export function linesOfPaths(
  entries: readonly MeasurementEntry[],
  lineOfPcr: ReadonlyMap<number, number>,
): ReadonlyMap<string, readonly number[]> {
  const lines = new Map<string, number[]>();
  for (const { pcr, fields } of entries) {
    const line = lineOfPcr.get(pcr);
    const path = fields?.path;
    if (line === undefined || path === undefined) continue;
    lines.set(path, [...(lines.get(path) ?? []), line]);
  }
  return lines;
}
