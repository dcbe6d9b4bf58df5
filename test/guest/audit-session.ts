/**
 * A guest that makes its kernel write records of every kind it has, heard by four: journald, the kernel's own log, auditd
 * (which starts in the middle: from then on the kernel prints no more), and `assay ima audit --follow` over netlink.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { AuditReader, type AuditRecord, decodePath } from '../../src/ima/index.ts';
import { EVM_FILES, loadHmacKey, loadPolicy, turnEvmOn } from './appraisal-steps.ts';
import { AUDIT_OWNERS, ODD_NAMES, ODD_PROGRAMS } from './audit-deeds.ts';
import type { Boot, BootOptions } from './guest.ts';
import { IN, keep, OUT, run, runInto, type Step, shell } from './script.ts';
import { GUEST_PROJECT, nodeTree, programTree, projectTree, type Tree } from './tree.ts';

const JOURNALD = '/lib/systemd/systemd-journald';
/** journald names its folder by it. */
const MACHINE_ID = '0123456789abcdef0123456789abcdef';

/** As Debian's package has it, but for a group and a library that this disk has not. */
const AUDITD_CONF = `log_file = /var/log/audit/audit.log
log_group = root
log_format = ENRICHED
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 8
num_logs = 5
max_log_file_action = ROTATE
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
use_libwrap = no
plugin_dir = /etc/audit/plugins.d
`;

/** @param auditd folder of `tools/audit-daemon` */
export function auditTree(auditd: string): Tree {
  return {
    ...nodeTree(),
    ...projectTree(),
    [`${GUEST_PROJECT}/test/guest/audit-deeds.ts`]: { copy: join(import.meta.dirname, 'audit-deeds.ts') },
    ...programTree('/usr/bin/keyctl'),
    ...programTree(JOURNALD),
    ...unpackedProgramTree(auditd, '/sbin/auditd'),
    '/etc/machine-id': { text: `${MACHINE_ID}\n` },
    '/etc/passwd': { text: 'root:x:0:0:root:/root:/bin/sh\n' },
    '/etc/group': { text: 'root:x:0:\n' },
    '/etc/audit/auditd.conf': { text: AUDITD_CONF, mode: 0o640 },
    '/etc/audit/plugins.d': { folder: true },
    '/var/log/audit': { folder: true },
    '/var/run': { link: '/run' },
    '/srv': { folder: true },
  };
}

/** A program of unpacked packages, with the libraries that it has there or on this machine, where the loader looks. */
function unpackedProgramTree(folder: string, program: string): Tree {
  const libraries = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'].map((place) => join(folder, place)).join(':');
  const env = { ...process.env, LD_LIBRARY_PATH: libraries };
  const found = execFileSync('ldd', [join(folder, program)], { encoding: 'utf8', env }).matchAll(/(\/\S+) \(0x/g);
  const placed = Array.from(found, ([, path = '']): [string, { copy: string }] => {
    const place = path.startsWith(folder) ? `/lib/x86_64-linux-gnu/${basename(path)}` : path;
    return [place, { copy: path }];
  });
  return { [program]: { copy: join(folder, program) }, ...Object.fromEntries(placed) };
}

/** Folders of the deeds before auditd runs, and while it does. */
const BEFORE = '/srv/before';
const AFTER = '/srv/after';

const { measured, appraised, signed, audited } = AUDIT_OWNERS;
const POLICY = [
  `measure func=FILE_CHECK mask=^MAY_READ fowner=${measured}`,
  `appraise func=FILE_CHECK fowner=${appraised}`,
  `appraise func=FILE_CHECK fowner=${signed} appraise_type=imasig`,
  `audit func=FILE_CHECK mask=^MAY_READ fowner=${audited} uid<1`,
  'appraise func=SETXATTR_CHECK appraise_algos=sha256',
];
const BAD_POLICY = ['measure func=FILE_CHECK euid>7', 'appraise func=FILE_CHECK nonsense fowner=0'];

const deeds = (what: 'deeds' | 'metadata', folder: string): Step =>
  run('node', `${GUEST_PROJECT}/test/guest/inside/audit-deeds.ts`, what, folder);

const untilGone = (pid: string): string => `while kill -0 ${pid} 2>/dev/null; do sleep 0.1; done`;

/** With the default list the kernel oopses once the HMAC key is loaded (evm_inode_init_security, a tmpfs file). */
const LSM = 'lsm=landlock,lockdown,yama,integrity,apparmor';

const followed = `node ${GUEST_PROJECT}/src/cli/main.ts ima audit --follow --json`;
const PID = '/run/follow.pid';

/** @param more further deeds while auditd runs */
export function auditSession(more: readonly Step[] = []): BootOptions {
  return {
    commandLine: ['ima_appraise=enforce', 'ima_hash=sha256', LSM],
    seconds: 500,
    files: { ...EVM_FILES, policy: `${POLICY.join('\n')}\n`, 'bad-policy': `${BAD_POLICY.join('\n')}\n` },
    script: [
      shell('echo 0 >/proc/sys/kernel/printk_ratelimit'),
      run('mount', '-t', 'cgroup2', 'cgroup', '/sys/fs/cgroup'),
      shell(`${JOURNALD} & until [ -S /run/systemd/journal/socket ]; do sleep 0.1; done`),
      shell(
        `${followed} >${OUT}/netlink 2>${OUT}/netlink.err & echo $! >${PID}; ` +
          `until grep -q netlink ${OUT}/netlink.err; do sleep 0.1; done`,
      ),
      shell(`cat ${IN}/bad-policy >/sys/kernel/security/ima/policy || true`),
      loadPolicy('policy'),
      deeds('deeds', BEFORE),
      runInto('dmesg', 'dmesg'),
      run('/sbin/auditd', '-s', 'enable'),
      deeds('deeds', AFTER),
      ...loadHmacKey,
      turnEvmOn(1),
      deeds('metadata', AFTER),
      ...more,
      shell(`sleep 1; kill $(cat ${PID}); ${untilGone(`$(cat ${PID})`)}`),
      shell(`pid=$(cat /run/auditd.pid); kill $pid; ${untilGone('$pid')}`),
      shell(`pid=$(pidof systemd-journald); kill $pid; ${untilGone('$pid')}`),
      keep('/var/log/audit/audit.log', 'audit.log'),
      keep(`/run/log/journal/${MACHINE_ID}/system.journal`, 'journal'),
    ],
  };
}

/** What each of the four heard. */
export interface HeardRecords {
  /** All of it: the JSON that `assay ima audit --follow` printed. */
  readonly netlink: readonly Record<string, unknown>[];
  readonly journal: readonly AuditRecord[];
  /** Until auditd came. */
  readonly kernelLog: readonly AuditRecord[];
  /** From then on. */
  readonly auditLog: readonly AuditRecord[];
}

export function heardRecords(boot: Boot): HeardRecords {
  const folder = mkdtempSync(join(tmpdir(), 'assay-journal-'));
  try {
    const journal = join(folder, 'system.journal');
    writeFileSync(journal, boot.file('journal'));
    const exported = execFileSync('journalctl', ['--file', journal, '-o', 'export'], { maxBuffer: 1 << 28 });
    const lines = boot.file('netlink').toString().trim().split('\n');
    return {
      netlink: lines.map((line) => JSON.parse(line)),
      journal: recordsIn(exported),
      kernelLog: recordsIn(boot.file('dmesg')),
      auditLog: recordsIn(boot.file('audit.log')),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function recordsIn(bytes: Buffer): AuditRecord[] {
  const reader = new AuditReader();
  return [...reader.push(bytes), ...reader.end()].map(({ find }) => {
    if (find.kind !== 'record') throw new Error(`not a record: ${JSON.stringify(find)}`);
    return find;
  });
}

/** A record in a few words: `appraise_data missing-hash /srv/before/plain`. */
export function inWords({ record }: AuditRecord): string {
  switch (record.kind) {
    case 'operation':
      return [record.op, record.cause, ...(record.name === undefined ? [] : [decodePath(record.name)])].join(' ');
    case 'file-hash':
      return `audit ${decodePath(record.file)}`;
    case 'policy-rule':
      return `${record.accepted ? 'rule' : 'no rule'} ${record.rule}`;
    default:
      return `attribute ${decodePath(record.xattr ?? Buffer.alloc(0))} ${record.errno}`;
  }
}

/** What the session's deeds in one folder have to cause. */
const expectedOf = (folder: string): string[] => [
  ...ODD_NAMES.map((name) => `appraise_data missing-hash ${folder}/${decodePath(Buffer.from(name))}`),
  `appraise_data invalid-hash ${folder}/changed`,
  `appraise_data IMA-signature-required ${folder}/unsigned`,
  'collect_data failed(directio) direct',
  ...ODD_NAMES.map((name) => `audit ${folder}/audited ${decodePath(Buffer.from(name))}`),
  `invalid_pcr ToMToU ${folder}/written while read`,
  `invalid_pcr open_writers ${folder}/read while written`,
  `set_data denied-hash-algorithm ${folder}/by sha1`,
  ...ODD_PROGRAMS.map((name) => `appraise_data missing-hash ${folder}/read by ${name}`),
];

export const EXPECTED_BEFORE: readonly string[] = [
  'rule measure func=FILE_CHECK euid>7',
  // As far as it was read.
  'no rule appraise func=FILE_CHECK nonsense',
  'update_policy invalid-policy',
  'policy_update failed',
  ...POLICY.map((rule) => `rule ${rule}`),
  'policy_update completed',
  ...expectedOf(BEFORE),
];

export const EXPECTED_AFTER: readonly string[] = [
  ...expectedOf(AFTER),
  'appraise_metadata no_label changed',
  `appraise_data missing-HMAC ${AFTER}/changed`,
  'update_metadata no_xattrs bare',
  'appraise_metadata no_xattrs bare',
];
