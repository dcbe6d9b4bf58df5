/**
 * The judge kernel's own word on IMA policies: which rules it takes and which it refuses, each in a policy file of its own; what
 * it understands by those that it takes, as it prints them; its built-in policies.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  builtInRules,
  formatRule,
  generatePolicy,
  NEWEST_KERNEL,
  type PlacedRule,
  POLICY_AIMS,
  type PolicyRule,
  parseKernelVersion,
  parsePolicy,
  readPolicy,
} from '../../src/ima/policy/index.ts';
import { REFUSED, TAKEN } from '../fixtures/policy-rules.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import { IN, keep, OUT, type Step } from '../guest/script.ts';
import { requires, requiresPath } from '../system/requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const kernel = requiresPath('ASSAY_JUDGE_KERNEL', 'judge kernel');
const V6_12 = parseKernelVersion('6.12');

const POLICY = '/sys/kernel/security/ima/policy';

/** Whether we take a policy's text, for the kernel of the test. */
const isTaken = (text: string | Uint8Array): boolean =>
  readPolicy(Buffer.from(text), { kernel: V6_12 }).faults.length === 0;

/** Labels that no security module of the guest knows: it has SELinux without a policy. */
const LABELLED = ['measure obj_type=bin_t', 'measure subj_user=system_u func=FILE_CHECK mask=MAY_READ'];

/**
 * What stays in force before whatever the test adds, so that the guest goes on: nothing is appraised, measured or hashed.
 */
const SHIELD = ['dont_measure', 'dont_appraise', 'dont_hash'];

/** As policies are put down: one that audits everything last, for the console's sake. */
const taken = [...TAKEN].sort((one, other) => Number(one.includes('audit')) - Number(other.includes('audit')));

/** Whole files, given to the kernel by their path. */
const FILES: readonly (readonly [name: string, text: string])[] = [
  ['two-rules', 'measure func=BPRM_CHECK\n\n  # and\nmeasure func=MMAP_CHECK\n'],
  ['one-bad-rule', 'measure func=BPRM_CHECK\nmeasure func=NO_CHECK\nmeasure func=MMAP_CHECK\n'],
  ['no-newline', 'measure func=BPRM_CHECK'],
  ['nul', 'measure func=BPRM_CHECK\0\nmeasure\n'],
  ['carriage-returns', 'measure func=BPRM_CHECK\r\n'],
];

/** What the kernel does with a file that it is given by its path: `NAME yes` or `NAME no`. */
const LOAD = `load() { if echo "${IN}/$1" >${POLICY}; then echo "$1 yes"; else echo "$1 no"; fi 2>/dev/null >>${OUT}/answers; }`;
/** The same of a file that is written rule by rule, as one write(2) each and what it leaves. */
const WRITE = `written() { if cat "${IN}/$1" >${POLICY}; then echo "$1 yes"; else echo "$1 no"; fi 2>/dev/null >>${OUT}/answers; }`;

const MAX_LINE = 4095;
const longRule = (size: number): string => `measure fsname=${'x'.repeat(size - 15)}\n`;
const WRITTEN: readonly (readonly [name: string, text: string])[] = [
  ['written-no-newline', 'measure func=BPRM_CHECK'],
  ['written-longest', longRule(MAX_LINE)],
  ['written-too-long', longRule(MAX_LINE + 20)],
  ['written-bad', 'measure func=NO_CHECK\n'],
];

const GENERATED = POLICY_AIMS.flatMap((aim) =>
  [false, true].map((dmVerity): [string, string] => [
    `generated-${aim}-${dmVerity}`,
    generatePolicy(aim, { fsuuid: '8bcbe394-4f13-4144-be8e-5aa9ea2ce2f6', dmVerity }).text,
  ]),
);

const named = (prefix: string, rules: readonly string[]): [string, string][] =>
  rules.map((rule, index) => [`${prefix}-${index}`, `${rule}\n`]);

const refused = named('refused', REFUSED);
const labelledFirst = named('labelled-first', LABELLED);
const labelledLater = named('labelled-later', LABELLED);
const added = named('taken', taken);

const each = (verb: string, files: readonly (readonly [name: string, text: string])[]): Step => ({
  shell: files.map(([name]) => `${verb} ${name}`).join('\n'),
});

describe('policies before the judge kernel', { skip: machine.skip || kernel.skip, timeout: 900_000 }, () => {
  let guest: Guest;
  let boot: Boot;
  const answers = new Map<string, string>();

  before(async () => {
    guest = await makeGuest({ kernel: 'judge', tree: {}, banks: ['sha256'] });
    boot = await guest.boot({
      commandLine: ['ima_tcb', 'ima_hash=sha256'],
      files: Object.fromEntries([
        ...refused,
        ...labelledFirst,
        ...labelledLater,
        ...FILES,
        ...WRITTEN,
        ...GENERATED,
        ...added,
        ['shield', `${SHIELD.join('\n')}\n`],
      ]),
      script: [
        { shell: `${LOAD}\n${WRITE}` },
        keep(POLICY, 'built-in'),
        each('load', [...refused, ...labelledFirst]),
        each('load', [['shield', '']]),
        each('load', labelledLater),
        each('load', FILES),
        each('written', WRITTEN),
        each('load', GENERATED),
        keep(POLICY, 'before'),
        each('load', added),
        keep(POLICY, 'after'),
      ],
    });
    for (const line of boot.file('answers').toString().trimEnd().split('\n')) {
      const [name = '', answer = ''] = line.split(' ');
      answers.set(name, answer);
    }
  });
  after(() => guest?.[Symbol.asyncDispose]());

  test(`it refuses what we refuse: ${REFUSED.length} rules`, () => {
    assert.ok(REFUSED.length >= 80);
    for (const [name, text] of refused) {
      assert.deepEqual({ text, answer: answers.get(name) }, { text, answer: 'no' });
      assert.equal(isTaken(text), false, text);
    }
  });

  test(`it takes what we take: ${TAKEN.length} rules`, () => {
    assert.ok(TAKEN.length >= 80);
    for (const [name, text] of added) {
      assert.deepEqual({ text, answer: answers.get(name) }, { text, answer: 'yes' });
      assert.equal(isTaken(text), true, text);
    }
  });

  test('it understands by each rule what we do', () => {
    const before = kernelRules(boot.file('before'));
    const understood = kernelRules(boot.file('after')).slice(before.length);
    // It forgets appraise_flag=, which it does not look at.
    const ours = taken.flatMap((text) => rulesOf(text)).map(({ appraiseFlag: _, ...rule }) => rule);
    assert.deepEqual(understood.map(formatRule), ours.map(formatRule));
    assert.deepEqual(understood, ours);
  });

  test('its older built-in policy is ours', () => {
    assert.deepEqual(kernelRules(boot.file('built-in')).map(formatRule), texts(builtInRules(['ima_tcb']).initial));
  });

  test('a label that no security module knows is refused in the first policy alone', () => {
    const answered = (files: readonly (readonly [string, string])[]) => files.map(([name]) => answers.get(name));
    assert.deepEqual(answered(labelledFirst), ['no', 'no']);
    assert.deepEqual(answered(labelledLater), ['yes', 'yes']);
    // The checker takes them, and says what they hang on: see the notes `needs-configuration`.
    assert.ok(LABELLED.every(isTaken));
  });

  test('whole files are refused for one rule, and by their path without a newline at the end', () => {
    const answered = Object.fromEntries(FILES.map(([name]) => [name, answers.get(name)]));
    assert.deepEqual(answered, {
      'two-rules': 'yes',
      'one-bad-rule': 'no',
      'no-newline': 'no',
      nul: 'no',
      'carriage-returns': 'no',
    });
    const ours = Object.fromEntries(FILES.map(([name, text]) => [name, isTaken(text) ? 'yes' : 'no']));
    // The one difference is in how the file is given; the linter warns of it (`no-newline`).
    assert.deepEqual(ours, { ...answered, 'no-newline': 'yes' });
  });

  test('what is written is taken as far as one write goes', () => {
    const answered = Object.fromEntries(WRITTEN.map(([name]) => [name, answers.get(name)]));
    assert.deepEqual(answered, {
      'written-no-newline': 'yes',
      'written-longest': 'yes',
      'written-too-long': 'no',
      'written-bad': 'no',
    });
    for (const [name, text] of WRITTEN) assert.equal(isTaken(text), answers.get(name) === 'yes', name);
  });

  test('it takes the policies that are generated', () => {
    for (const [name] of GENERATED) assert.equal(answers.get(name), 'yes', name);
  });

  test('its built-in policies are ours, rule for rule', async () => {
    const names = ['tcb', 'appraise_tcb', 'secure_boot', 'critical_data', 'fail_securely'] as const;
    const started = await guest.boot({
      commandLine: [`ima_policy=${names.join('|')}`, 'ima_appraise=log'],
      script: [keep(POLICY, 'built-in')],
    });
    // CONFIG_IMA_ARCH_POLICY and the signatures that a build can require are off in this kernel.
    const { initial, failSecurely } = builtInRules(names, { configuration: new Set(['IMA_WRITE_POLICY']) });
    assert.deepEqual(kernelRules(started.file('built-in')).map(formatRule), texts(initial));
    assert.equal(failSecurely, true);
  });
});

/** The kernel prints digest_type= behind appraise_type=, an order that it does not take back itself; the newest do. */
const kernelRules = (bytes: Uint8Array): PolicyRule[] =>
  parsePolicy(bytes, { kernel: NEWEST_KERNEL }).map(({ rule }) => rule);

const rulesOf = (text: string): PolicyRule[] =>
  parsePolicy(Buffer.from(text), { kernel: V6_12 }).map(({ rule }) => rule);

const texts = (rules: readonly PlacedRule[]): string[] => rules.map(({ rule }) => formatRule(rule));
