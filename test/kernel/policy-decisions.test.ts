/**
 * Whether we decide as the kernel did: a guest does accesses under a policy, once as it is and once with a PCR of its own for
 * each rule, which says in the list which rule it was.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type MeasurementEntry, parseMeasurementList } from '../../src/ima/index.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import type { ExplainedAccess } from '../guest/inside/explain-accesses.ts';
import { keepList } from '../guest/lists.ts';
import {
  accessesOf,
  accessTree,
  doAccesses,
  linesOfPaths,
  plainPolicy,
  prepareAccesses,
  taggedPolicy,
} from '../guest/policy-accesses.ts';
import { IN, OUT, run, runInto, type Step, shell } from '../guest/script.ts';
import { GUEST_PROJECT, nodeTree, programTree, projectTree } from '../guest/tree.ts';
import { requires, requiresPath } from '../system/requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const programs = requires('keyctl', 'getfattr');
const kernel = requiresPath('ASSAY_JUDGE_KERNEL', 'judge kernel');

/** Programs with libraries: by root, whose loader reads them first, and by the user, who may only map them. */
const DYNAMIC: readonly Step[] = [run('getfattr', '--version'), run('su', 'user', '-c', 'keyctl --version')];

const accesses = accessesOf({ overlay: true, secondPolicy: true });

const ASSAY = ['node', `${GUEST_PROJECT}/src/cli/main.ts`];
const POLICY_FILE = `${IN}/policy`;

interface TracedEntry {
  readonly path: string;
  readonly cause: string;
  readonly certain?: boolean;
  readonly candidates: readonly {
    readonly rule: { readonly line: number };
    readonly use?: string;
    readonly uid?: number;
  }[];
}

describe('decisions of the judge kernel', {
  skip: machine.skip || programs.skip || kernel.skip,
  timeout: 900_000,
}, () => {
  const { text: tagged, lineOfPcr } = taggedPolicy();
  let guest: Guest;
  let plain: Boot;
  let truth: ReadonlyMap<string, readonly number[]>;
  let entries: readonly MeasurementEntry[];
  let explained: readonly ExplainedAccess[];
  let caused: readonly TracedEntry[];

  before(async () => {
    const tree = {
      ...nodeTree(),
      ...projectTree(),
      ...programTree('/usr/bin/keyctl'),
      ...programTree('/usr/bin/getfattr'),
      ...accessTree,
    };
    guest = await makeGuest({ kernel: 'judge', tree, banks: ['sha256'], diskMegabytes: 400 });
    const work = [
      ...prepareAccesses({ overlay: true }),
      shell(`echo ${POLICY_FILE} >/sys/kernel/security/ima/policy`),
      ...DYNAMIC,
      doAccesses(accesses),
      keepList('list'),
    ];
    const marked = await guest.boot({ commandLine: [], files: { policy: tagged }, script: work });
    truth = linesOfPaths(parseMeasurementList(marked.file('list')), lineOfPcr);
    plain = await guest.boot({
      commandLine: [],
      // Node starts three times.
      seconds: 400,
      files: { policy: plainPolicy(), 'accesses.json': JSON.stringify(accesses) },
      script: [
        ...work,
        run(
          'node',
          `${GUEST_PROJECT}/test/guest/inside/explain-accesses.ts`,
          POLICY_FILE,
          `${IN}/accesses.json`,
          `${OUT}/explained`,
        ),
        runInto('caused', ...ASSAY, 'ima', 'policy', 'explain', POLICY_FILE, '--list', `${OUT}/list`, '--json'),
        runInto(
          'why-not',
          ...ASSAY,
          ...['ima', 'policy', 'explain', POLICY_FILE, '--path', '/srv/read-by-user', '--user', 'user', '--json'],
        ),
      ],
    });
    entries = parseMeasurementList(plain.file('list'));
    explained = JSON.parse(plain.file('explained').toString());
    caused = plain
      .file('caused')
      .toString()
      .trimEnd()
      .split('\n')
      .map((line): TracedEntry => JSON.parse(line));
  });
  after(() => guest?.[Symbol.asyncDispose]());

  test('of each access we say by which rules it is measured, or that it is not', () => {
    for (const { path, use, uid, lines } of explained) {
      const told = { path, use, uid, lines: [...lines].sort() };
      assert.deepEqual(told, { path, use, uid, lines: [...(truth.get(path) ?? [])].sort() });
    }
    const decided = new Set(explained.flatMap(({ lines }) => lines));
    for (const line of lineOfPcr.values()) assert.ok(decided.has(line), `line ${line} decides no access`);
  });

  test('what is accessed and not listed is told with what keeps it out', () => {
    const unlisted = explained.filter(({ lines }) => lines.length === 0);
    const reasons = Object.fromEntries(unlisted.map(({ path, because }) => [path, [...new Set(because)]]));
    assert.deepEqual(reasons, {
      '/srv/run-excepted': ['line 7'],
      '/tmp/run-by-root': ['line 5'],
      '/mnt/read-by-user': ['no rule matches'],
      '/srv/read-by-user': ['no rule matches'],
      '/srv/update-by-user': ['no rule matches'],
      '/srv/write-by-root': ['no rule matches'],
      '/proc/version': ['line 1'],
    });
    const listed = new Set(entries.map(({ fields }) => fields?.path));
    for (const { path } of unlisted) assert.ok(!listed.has(path), path);
    const { uses } = JSON.parse(plain.file('why-not').toString());
    const [{ measure, rules }] = uses[0].hooks;
    assert.deepEqual([measure.done, measure.certain, measure.rule], [false, true, null]);
    assert.deepEqual(rules[9].outcome, {
      kind: 'differs',
      conditions: [{ condition: 'euid=0', found: '1000' }],
    });
  });

  test('of each entry of the list we name the rule that caused it', () => {
    assert.equal(caused.length, entries.length);
    assert.deepEqual([caused[0]?.path, caused[0]?.cause], ['boot_aggregate', 'kernel']);
    const otherwise: string[] = [];
    for (const { path, candidates, certain } of caused.slice(1)) {
      const lines = candidates.map(({ rule }) => rule.line);
      const [first] = truth.get(path) ?? [];
      assert.ok(first !== undefined && lines.includes(first), `${path}: line ${first}, told were ${lines}`);
      if (certain === true) assert.deepEqual(lines, [first]);
      if (lines[0] !== first) otherwise.push(path.replace(/.*\/(libkeyutils)\.so.*/, '$1'));
    }
    assert.ok(caused.length > 20);
    // A list says neither who nor what it was: that root read them is likelier, and would be in the list just so.
    assert.deepEqual(otherwise.sort(), [
      '/srv/append-by-root',
      '/srv/read-by-user-of-group',
      '/srv/write-by-root-of-owner',
      'libkeyutils',
    ]);
  });
});
