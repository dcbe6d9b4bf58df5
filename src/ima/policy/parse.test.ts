import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { REFUSED, TAKEN } from '../../../test/fixtures/policy-rules.ts';
import { PolicyError } from './error.ts';
import { formatPolicy, formatRule } from './format.ts';
import { type KernelVersion, parseKernelVersion } from './kernel.ts';
import { MAX_RULE_SIZE, parsePolicy, readPolicy } from './parse.ts';
import type { PolicyRule } from './rule.ts';

const V6_12 = parseKernelVersion('6.12');

function parse(text: string, kernel: KernelVersion = V6_12): PolicyRule[] {
  return parsePolicy(Buffer.from(`${text}\n`), { kernel }).map(({ rule }) => rule);
}

function faultOf(text: string, kernel: KernelVersion = V6_12): string {
  const [fault] = readPolicy(Buffer.from(text), { kernel }).faults;
  return fault === undefined ? 'none' : `${fault.line}:${fault.column} ${fault.code}`;
}

test('the rules that Linux 6.12 takes are taken, and each reads back from its canonical text', () => {
  for (const text of TAKEN) {
    const [rule, ...more] = parse(text);
    assert.ok(rule !== undefined && more.length === 0, text);
    assert.deepEqual(parse(formatRule(rule)), [rule], text);
  }
});

test('the rules that Linux 6.12 refuses are refused, each with its place and the kernel’s rule', () => {
  for (const text of REFUSED) {
    const faults = readPolicy(Buffer.from(`${text}\n`), { kernel: V6_12 }).faults;
    assert.equal(faults.length, 1, text);
    const [fault] = faults;
    assert.equal(fault?.line, 1, text);
    assert.ok(fault.column >= 1 && fault.column <= text.length, text);
    assert.match(fault.kernel, /^(?:\w+\/)?\w+\.c:\w+$/, text);
  }
});

test('a rule is what it says', () => {
  const uuid = '8bcbe394-4f13-4144-be8e-5aa9ea2ce2f6';
  const [rule] = parse(
    `appraise func=PATH_CHECK mask=^MAY_READ fsmagic=EF53 fsname=ext4 fsuuid=${uuid.toUpperCase()} euid>5 gid<7 ` +
      'fowner=1 fgroup=2 obj_type=bin_t digest_type=verity appraise_type=sigv3 appraise_algos=sha512,sha256 permit_directio',
  );
  assert.deepEqual(rule, {
    action: 'appraise',
    func: 'FILE_CHECK',
    mask: { access: 'MAY_READ', isAmong: true },
    fsmagic: 0xef53n,
    fsname: 'ext4',
    fsuuid: uuid,
    user: { id: 5, operator: '>', isEffective: true },
    group: { id: 7, operator: '<', isEffective: false },
    fowner: { id: 1, operator: '=' },
    fgroup: { id: 2, operator: '=' },
    labels: { obj_type: 'bin_t' },
    digestType: 'verity',
    appraiseType: 'sigv3',
    appraiseAlgos: ['sha256', 'sha512'],
    permitDirectio: true,
  });
  const [measured] = parse('pcr=11 pcr=12 measure template=d-ng|n-ng func=KEY_CHECK keyrings=.ima|_evm uid=0');
  assert.deepEqual(measured, {
    action: 'measure',
    func: 'KEY_CHECK',
    user: { id: 0, operator: '=', isEffective: false },
    pcr: 12,
    template: 'ima-ng',
    keyrings: ['.ima', '_evm'],
  });
});

test('a fault is told at its word, in its line', () => {
  assert.equal(faultOf('# a comment\n\nmeasure  func=BPRM_CHECKS\n'), '3:10 policy.unknown-value');
  assert.equal(faultOf('measure\nmeasure func=KEY_CHECK uid=0 fowner=0\n'), '2:30 policy.combination');
  assert.equal(faultOf('\tfunc=BPRM_CHECK uid=0\n'), '1:2 policy.no-action');
  assert.equal(faultOf('measure uid=0 uid=1\n'), '1:15 policy.repeated');
  assert.equal(faultOf('audit appraise_type=imasig\n'), '1:7 policy.combination');
  assert.equal(faultOf('template=ima measure\n'), '1:1 policy.order');
  assert.equal(faultOf('measure fsname=é uid=x\n'), '1:18 policy.number');
  assert.equal(faultOf('measure\0dont_measure\n'), '1:8 policy.nul');
  assert.equal(faultOf('# nothing\n'), '1:1 policy.empty');
  assert.equal(faultOf(''), '1:1 policy.empty');
  assert.throws(
    () => parsePolicy(Buffer.from('measure\naudit uid=root\nappraise pcr=1\n'), { kernel: V6_12 }),
    (error) =>
      error instanceof PolicyError &&
      error.code === 'policy.number' &&
      error.faults.length === 2 &&
      /^line 2, column 7: .*ima_policy\.c:ima_parse_rule.*and 1 more/.test(error.message),
  );
});

test('a misspelt word is told with the one that was meant', () => {
  const advice = (text: string) => readPolicy(Buffer.from(text), { kernel: V6_12 }).faults[0]?.advice;
  assert.equal(advice('mesure'), 'did you mean measure?');
  assert.equal(advice('measure func=bprm_check'), 'did you mean BPRM_CHECK?');
  assert.equal(advice('measure fsmagik=1'), 'did you mean fsmagic?');
  assert.equal(advice('measure\r'), 'the line ends in CR LF: end it in LF alone');
  assert.equal(advice('measure uid='), 'uid wants a value, as uid=…');
});

test('a line is as long as one write', () => {
  const line = (size: number) => `measure fsname=${'x'.repeat(size - 15)}`;
  assert.equal(faultOf(line(MAX_RULE_SIZE)), 'none');
  assert.equal(faultOf(line(MAX_RULE_SIZE + 1)), '1:1 policy.too-large');
  assert.equal(faultOf(`measure\n# ${'é'.repeat(MAX_RULE_SIZE / 2)}`), '2:1 policy.too-large');
  assert.throws(() => readPolicy(Buffer.alloc((1 << 20) + 1, '\n')), { code: 'policy.too-large' });
});

test('each kernel has its words', () => {
  const cases: readonly [rule: string, since: string, before: string][] = [
    ['measure func=CRITICAL_DATA', '5.12', '5.11'],
    ['measure template=evm-sig', '5.14', '5.13'],
    ['appraise appraise_algos=sha256', '5.15', '5.14'],
    ['measure fgroup=5', '5.16', '5.15'],
    ['measure digest_type=verity', '5.19', '5.18'],
    ['measure func=MMAP_CHECK_REQPROT', '6.3', '6.2'],
    ['appraise appraise_flag=check_blacklist', '6.6', '6.5'],
    ['measure # all', '6.15', '6.14'],
    ['dont_audit', '6.19', '6.18'],
    ['measure fs_subtype=sshfs', '6.19', '6.18'],
    ['appraise appraise_type=sigv3', '7.1', '7.0'],
    ['appraise appraise_type=sigv3 digest_type=verity', '7.1', '7.0'],
  ];
  for (const [rule, since, before] of cases) {
    assert.equal(faultOf(rule, parseKernelVersion(since)), 'none', rule);
    assert.notEqual(faultOf(rule, parseKernelVersion(before)), 'none', rule);
  }
  const modsig = 'appraise func=MODULE_CHECK appraise_type=imasig|modsig appraise_flag=check_blacklist';
  assert.equal(faultOf(modsig, parseKernelVersion('5.10')), 'none');
  assert.deepEqual(parseKernelVersion('6.12.5-amd64'), V6_12);
  assert.throws(() => parseKernelVersion('5.4'), { code: 'policy.invalid-argument' });
  assert.throws(() => parseKernelVersion('six'), { code: 'policy.invalid-argument' });
});

test('comments and one blank line at a time are kept; the rest is canonical, and stays as it is', () => {
  const text = '\n\n  # one\n\n\n\tfunc=BPRM_CHECK  measure # why\n   \naudit\n\n';
  const formatted = formatPolicy(readPolicy(Buffer.from(text)).lines);
  assert.equal(formatted, '# one\n\nmeasure func=BPRM_CHECK # why\n\naudit\n');
  assert.equal(formatPolicy(readPolicy(Buffer.from(formatted)).lines), formatted);
});

const words = fc.constantFrom(...[...TAKEN, ...REFUSED].flatMap((rule) => rule.split(/[ \t]+/)));
const policies = fc
  .array(
    fc.array(words, { maxLength: 6 }).map((some) => some.join(' ')),
    { maxLength: 6 },
  )
  .map((lines) => lines.join('\n'));

test('any bytes give rules, or faults with a place in them', () => {
  const input = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    policies.map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(input, (bytes) => {
      const { lines, faults } = readPolicy(bytes);
      const count = Buffer.from(bytes).toString('latin1').split('\n').length;
      for (const { line, column } of faults) assert.ok(line >= 1 && line <= count && column >= 1);
      if (faults.length === 0) assert.ok(lines.some(({ kind }) => kind === 'rule'));
      else assert.throws(() => parsePolicy(bytes), PolicyError);
    }),
    { numRuns: 2000 },
  );
});

test('what is taken reads back from its canonical text as the same rules', () => {
  fc.assert(
    fc.property(policies, fc.constantFrom(V6_12, parseKernelVersion('newest')), (text, kernel) => {
      const { lines } = readPolicy(Buffer.from(text), { kernel });
      const rules = lines.flatMap((line) => (line.kind === 'rule' ? [line.placed.rule] : []));
      const again = readPolicy(Buffer.from(formatPolicy(lines)), { kernel });
      assert.deepEqual(
        again.lines.flatMap((line) => (line.kind === 'rule' ? [line.placed.rule] : [])),
        rules,
      );
    }),
    { numRuns: 2000 },
  );
});
