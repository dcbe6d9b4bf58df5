import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { KERNEL_MESSAGES } from '../../../test/fixtures/audit-records.ts';
import { auditCausesPage } from '../../../tools/audit-causes-doc.ts';
import { AUDIT_CAUSES, auditCause } from './causes.ts';
import { explainRecord } from './explain.ts';
import { parseAuditLine } from './line.ts';
import { parseIntegrityRecord } from './parse.ts';

test('docs/IMA-AUDIT.md is what the table says', () => {
  const page = readFileSync(new URL('../../../docs/IMA-AUDIT.md', import.meta.url), 'utf8');
  assert.equal(page, auditCausesPage(), 'run: node tools/audit-causes-doc.ts > docs/IMA-AUDIT.md');
});

test('a meaning is a sentence without its end, a repair whole sentences', () => {
  for (const [op, causes] of Object.entries(AUDIT_CAUSES)) {
    for (const [cause, { meaning, repair }] of Object.entries(causes)) {
      assert.match(meaning, /^[A-Z`].*[^.]$/, `${op} ${cause}`);
      assert.match(repair, /^[A-Z].*\.$/, `${op} ${cause}`);
    }
  }
});

test('every record that a kernel wrote is known', () => {
  for (const message of Object.values(KERNEL_MESSAGES)) {
    const found = parseAuditLine(message);
    assert.ok(found?.kind === 'record');
    assert.equal(explainRecord(found.record).isKnown, true, message);
  }
});

test('a violation is a doubt although the kernel says res=1, a TPM that failed a failure', () => {
  const weightOf = (text: string) => explainRecord(parseIntegrityRecord('INTEGRITY_PCR', text)).weight;
  assert.equal(weightOf('op=invalid_pcr cause=ToMToU comm="a" name="/a" res=1 errno=0'), 'doubt');
  assert.equal(weightOf('op=add_template_measure cause=TPM_error(256) comm="a" name="/a" res=1 errno=0'), 'failure');
  assert.equal(weightOf('op=add_template_measure cause=hash_added comm="a" name="/a" res=1 errno=0'), 'information');
  assert.equal(weightOf('op=collect_data cause=failed-mprotect comm="a" name="/a" res=1 errno=0'), 'doubt');
  assert.equal(weightOf('op=collect_data cause=failed-mprotect comm="a" name="/a" res=0 errno=0'), 'failure');
});

test('spellings of other kernels are the same cause', () => {
  assert.equal(
    auditCause('appraise_data', 'IMA signature required'),
    auditCause('appraise_data', 'IMA-signature-required'),
  );
  assert.equal(auditCause('update_policy', 'invalid policy'), auditCause('update_policy', 'invalid-policy'));
});

test('a cause that is not known is said to be so', () => {
  for (const [op, cause] of [
    ['appraise_data', 'new-cause'],
    ['new_op', 'failed'],
    ['constructor', 'name'],
    ['appraise_data', 'constructor'],
  ]) {
    const record = parseIntegrityRecord('INTEGRITY_DATA', `op=${op} cause=${cause} comm="a" res=0 errno=0`);
    const { isKnown, meaning, weight } = explainRecord(record);
    assert.deepEqual([isKnown, weight], [false, 'failure']);
    assert.match(meaning, new RegExp(`'${cause}'.*'${op}'`));
  }
});

test('a rule that was refused is told with the reason, where the newest kernel would refuse it too', () => {
  const meaningOf = (text: string) => explainRecord(parseIntegrityRecord('INTEGRITY_POLICY_RULE', text)).meaning;
  assert.match(meaningOf('action=appraise func=FILE_CHECK UNKNOWN=nonsense res=0'), /refused: .*nonsense/);
  assert.match(meaningOf('action=measure func=KEY_CHECK fowner=0 res=0'), /refused: .*fowner/);
  assert.match(meaningOf('action=appraise func=SETXATTR_CHECK appraise_algos=sha384 res=0'), /refused: this kernel/);
});

test('attributes of EVM: added, refused, the list closed', () => {
  const explain = (text: string) => explainRecord(parseIntegrityRecord('INTEGRITY_EVM_XATTR', text));
  assert.match(explain('xattr="security.other" res=0').meaning, /one more attribute from now on/);
  assert.match(explain('xattr="." res=0').meaning, /closed/);
  assert.match(explain('xattr="security.ima" res=-17').meaning, /already/);
  assert.match(explain('xattr="user.x" res=-22').meaning, /is not security\.NAME/);
  assert.match(explain(' res=-5').meaning, /errno -5/);
});
