import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TAKEN } from '../../../test/fixtures/policy-rules.ts';
import { BUILT_IN_POLICIES, builtInRules } from './built-in.ts';
import { formatRule } from './format.ts';
import { generatePolicy, POLICY_AIMS } from './generate.ts';
import { parseKernelVersion } from './kernel.ts';
import { lintPolicy } from './lint.ts';
import { readPolicy } from './parse.ts';

/** `2:9 shadowed`, the line and column of each finding; notes in brackets. */
function lint(...lines: readonly string[]): string[] {
  const text = readPolicy(Buffer.from(`${lines.join('\n')}\n`));
  assert.deepEqual(text.faults, []);
  return lintPolicy(text).map(({ code, severity, line, column }) => {
    const told = `${line}:${column} ${code}`;
    return severity === 'note' ? `(${told})` : told;
  });
}

const UUID = '8bcbe394-4f13-4144-be8e-5aa9ea2ce2f6';

test('a rule whose conditions never hold together is told', () => {
  assert.deepEqual(lint('measure func=BPRM_CHECK mask=MAY_READ'), ['1:25 never-matches']);
  assert.deepEqual(lint('measure func=MODULE_CHECK mask=^MAY_EXEC'), ['1:27 never-matches']);
  assert.deepEqual(lint('measure func=FILE_CHECK mask=MAY_APPEND uid=1000'), ['1:25 never-matches']);
  assert.deepEqual(lint('audit mask=^MAY_APPEND fsname=ext4'), []);
  assert.deepEqual(lint('audit fsmagic=0xef5300000000'), ['1:7 never-matches']);
  assert.deepEqual(lint('audit fsmagic=0x9fa0 fsname=ext4'), ['1:22 never-matches']);
  assert.deepEqual(lint('audit fsname=ext4 fs_subtype=sshfs'), ['1:19 never-matches']);
  assert.deepEqual(lint('audit func=BPRM_CHECK uid<0'), ['1:23 never-matches']);
  assert.deepEqual(lint('audit func=BPRM_CHECK fgroup>4294967294'), ['1:23 never-matches']);
});

test('a rule behind one that matches whatever it matches is told', () => {
  assert.deepEqual(lint('measure func=BPRM_CHECK', 'dont_measure func=BPRM_CHECK fowner=5'), ['2:14 shadowed']);
  assert.deepEqual(lint('measure func=BPRM_CHECK', 'measure func=BPRM_CHECK mask=MAY_EXEC uid=0'), ['(2:9 redundant)']);
  assert.deepEqual(lint('measure func=BPRM_CHECK mask=MAY_EXEC', 'measure func=BPRM_CHECK'), ['(2:9 redundant)']);
  assert.deepEqual(lint('audit fsmagic=0xef53', 'audit fsname=ext4 uid=0'), ['(2:7 redundant)']);
  assert.deepEqual(lint('audit func=BPRM_CHECK uid>99', 'audit func=BPRM_CHECK uid=100'), ['(2:7 redundant)']);
  assert.deepEqual(lint('audit func=BPRM_CHECK uid>99', 'audit func=BPRM_CHECK euid=100'), []);
  assert.deepEqual(lint('measure func=KEY_CHECK keyrings=.ima|_evm', 'measure func=KEY_CHECK keyrings=_evm pcr=10'), [
    '(1:9 needs-configuration)',
    '2:9 shadowed',
  ]);
});

test('an exception that comes too late, or of nothing, is told', () => {
  assert.deepEqual(lint('audit func=BPRM_CHECK', 'dont_audit fsname=xfs'), ['2:12 late-exclusion']);
  assert.deepEqual(lint('audit func=BPRM_CHECK', 'dont_audit fsname=xfs', 'audit func=MODULE_CHECK'), [
    '(2:12 late-exclusion)',
  ]);
  assert.deepEqual(lint('audit func=BPRM_CHECK fsname=ext4', 'dont_audit fsname=xfs'), []);
  assert.deepEqual(lint('dont_appraise fsname=xfs', 'audit func=BPRM_CHECK'), ['(1:15 idle)']);
});

test('what is said of lines behind one another is said once', () => {
  const findings = lintPolicy(
    readPolicy(
      Buffer.from('audit func=BPRM_CHECK\ndont_audit fsname=xfs\ndont_audit fsname=ext4\ndont_audit fsname=nfs\n'),
    ),
  );
  assert.deepEqual(
    findings.map(({ code, line, through }) => [code, line, through]),
    [['late-exclusion', 2, 4]],
  );
});

test('two ways for the same files are told, but not an exception before a wide rule', () => {
  assert.deepEqual(lint('measure func=BPRM_CHECK uid=0', 'measure func=BPRM_CHECK fowner=0 template=ima-sig'), [
    '(2:9 overlap)',
  ]);
  assert.deepEqual(lint('measure func=BPRM_CHECK uid=0 template=ima-sig', 'measure func=BPRM_CHECK'), []);
});

test('wide rules are told what else they match', () => {
  assert.deepEqual(lint('measure'), ['1:1 measures-everything', '1:1 missing-exclusion']);
  assert.deepEqual(lint('appraise fowner=0'), ['1:10 missing-exclusion']);
  assert.deepEqual(lint('appraise fowner>999'), []);
  assert.deepEqual(lint(`appraise fsuuid=${UUID}`), []);
  assert.deepEqual(lint('measure func=FILE_CHECK mask=MAY_WRITE'), []);
});

test('appraisal where no label can be is told', () => {
  assert.deepEqual(lint('appraise fsmagic=0x4d44'), ['1:10 no-labels']);
  assert.deepEqual(lint('appraise fsname=proc'), ['1:10 no-labels']);
  assert.deepEqual(lint('appraise fsname=tmpfs'), ['(1:10 no-labels)']);
});

test('what the kernel does not look at is told', () => {
  assert.deepEqual(lint('audit fsname=xfs fsname=ext4'), ['1:18 ignored']);
  assert.deepEqual(lint('measure func=CRITICAL_DATA gid=5'), ['1:28 ignored']);
  const setxattr = 'appraise func=SETXATTR_CHECK appraise_algos=sha256';
  assert.deepEqual(lint(setxattr, setxattr), ['2:10 ignored']);
  assert.deepEqual(lint(`appraise fsuuid=${UUID} appraise_flag=check_blacklist`), ['(1:54 ignored)']);
});

test('PCRs, templates, the build and what follows are noted', () => {
  assert.deepEqual(lint('measure func=BPRM_CHECK pcr=24'), ['1:25 pcr']);
  assert.deepEqual(lint('measure func=BPRM_CHECK pcr=7'), ['(1:25 pcr)']);
  assert.deepEqual(lint('measure func=BPRM_CHECK digest_type=verity'), ['(1:25 verity-template)']);
  assert.deepEqual(lint('measure func=BPRM_CHECK digest_type=verity template=ima-ngv2'), []);
  assert.deepEqual(lint('appraise func=POLICY_CHECK appraise_type=imasig'), ['(1:10 policy-signed)']);
  assert.deepEqual(lint(`appraise fsuuid=${UUID} appraise_algos=sm3`), ['(1:54 needs-configuration)']);
});

test('a last line without a newline is told', () => {
  const text = readPolicy(Buffer.from('measure func=BPRM_CHECK'));
  assert.deepEqual(
    lintPolicy(text).map(({ code }) => code),
    ['no-newline'],
  );
});

test('the built-in policies are without a warning', () => {
  for (const name of BUILT_IN_POLICIES) {
    const configuration = new Set(['IMA_WRITE_POLICY', 'IMA_ARCH_POLICY']);
    const rules = builtInRules([name], { configuration, secureBoot: true }).initial;
    const warnings = lint(...rules.map(({ rule }) => formatRule(rule))).filter((told) => !told.startsWith('('));
    assert.deepEqual(warnings, [], name);
  }
});

test('the generated policies are taken by every kernel, without a warning', () => {
  for (const aim of POLICY_AIMS) {
    for (const dmVerity of [false, true]) {
      const { text, leavesOut } = generatePolicy(aim, { fsuuid: UUID, dmVerity, signed: dmVerity && aim !== 'tcb' });
      assert.ok(leavesOut.length > 0 && leavesOut.every((one) => text.includes(one)));
      for (const kernel of ['5.10', '6.12', 'newest']) {
        const read = readPolicy(Buffer.from(text), { kernel: parseKernelVersion(kernel) });
        assert.deepEqual(read.faults, []);
        assert.deepEqual(
          lintPolicy(read).filter(({ severity }) => severity === 'warning'),
          [],
        );
      }
    }
  }
  assert.throws(() => generatePolicy('immutable-image'), { code: 'policy.invalid-argument' });
  assert.throws(() => generatePolicy('immutable-image', { fsuuid: 'x\nmeasure' }), { code: 'policy.invalid-argument' });
  assert.throws(() => generatePolicy('container-host', { containerPcr: 24 }), { code: 'policy.invalid-argument' });
  assert.throws(() => generatePolicy('tcb', { signed: true }), { code: 'policy.invalid-argument' });
});

test('a policy of very many rules is not compared with itself, and says so', () => {
  const text = readPolicy(Buffer.from('audit\n'.repeat(100_000)));
  assert.deepEqual(
    lintPolicy(text).map(({ code }) => code),
    ['not-compared', 'missing-exclusion'],
  );
});

test('any policy that is taken is looked through, and each finding has its place', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...TAKEN), { minLength: 1, maxLength: 8 }), (lines) => {
      const text = readPolicy(Buffer.from(lines.join('\n')));
      for (const { line, column } of lintPolicy(text)) {
        assert.ok(column >= 1 && column <= (lines[line - 1]?.length ?? 0));
      }
    }),
    { numRuns: 500 },
  );
});
