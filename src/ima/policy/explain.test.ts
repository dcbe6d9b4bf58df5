import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeViolation } from '../../../test/fixtures/ima-lists.ts';
import { parseMeasurementList } from '../reader.ts';
import { digestField, encodeEntry, encodeImaNgEntry, pathField } from '../write.ts';
import type { PolicyAccess } from './access.ts';
import { builtInRules } from './built-in.ts';
import { type Candidate, causeFinder, type FileFacts, listFactsOf, UNKNOWN_FILE } from './cause.ts';
import { compilePolicy, decideAccess } from './decide.ts';
import { explainAccess } from './explain.ts';
import { parsePolicy } from './parse.ts';
import { FUNCS, MAY } from './rule.ts';
import { fileKind } from './use.ts';

const policyOf = (...lines: readonly string[]) => compilePolicy(parsePolicy(Buffer.from(lines.join('\n'))));
const EXT4 = { fsMagic: 0xef53, fsName: 'ext4', owner: 0, group: 0 } as const;
const root = { uid: 0, euid: 0, gid: 0, egid: 0 } as const;

test('of each rule it is told whether it decides, and if not, why', () => {
  const policy = policyOf(
    'dont_measure fsmagic=0x9fa0',
    'measure func=MMAP_CHECK mask=MAY_EXEC',
    'measure func=BPRM_CHECK mask=MAY_EXEC uid=1000 fowner>5',
    'measure func=BPRM_CHECK',
    'measure func=BPRM_CHECK uid=0',
    'dont_appraise fsmagic=0x9fa0',
    'audit obj_type=bin_t',
    'audit uid=0',
  );
  const access: PolicyAccess = { ...EXT4, ...root, func: 'BPRM_CHECK', mask: MAY.MAY_EXEC };
  const { outcomes, decision, uncertain } = explainAccess(policy, access);
  assert.deepEqual(
    outcomes.map(({ outcome }) => outcome.kind),
    ['differs', 'other-func', 'differs', 'decides', 'too-late', 'idle', 'unknown', 'decides'],
  );
  assert.deepEqual(outcomes[0]?.outcome, {
    kind: 'differs',
    conditions: [{ condition: 'fsmagic=0x9fa0', found: '0xef53' }],
  });
  assert.deepEqual(outcomes[2]?.outcome, {
    kind: 'differs',
    conditions: [
      { condition: 'uid=1000', found: '0' },
      { condition: 'fowner>5', found: '0' },
    ],
  });
  assert.deepEqual(outcomes[6]?.outcome, { kind: 'unknown', conditions: ['obj_type=bin_t'] });
  assert.deepEqual([decision.measure, decision.audit, uncertain], [true, true, ['audit']]);
});

test('the outcomes are the decision', () => {
  const lines = fc.subarray([...builtInRules(['tcb', 'appraise_tcb', 'critical_data']).initial], { minLength: 1 });
  const access = fc.record({
    func: fc.constantFrom(...FUNCS),
    mask: fc.constantFrom(0, 1, 2, 4, 6),
    uid: fc.constantFrom(0, 1000),
    euid: fc.constantFrom(0, 1000),
    owner: fc.constantFrom(0, 1000),
    fsMagic: fc.option(fc.constantFrom(0xef53, 0x9fa0, 0x01021994), { nil: undefined }),
  });
  fc.assert(
    fc.property(lines, access, (rules, { fsMagic, ...rest }) => {
      const asked = { ...rest, ...(fsMagic === undefined ? {} : { fsMagic }) };
      const policy = compilePolicy(rules);
      const { outcomes, decision } = explainAccess(policy, asked);
      const deciding = outcomes.filter(({ outcome }) => outcome.kind === 'decides').map(({ placed }) => placed);
      assert.deepEqual(new Set(deciding), new Set(Object.values(decideAccess(policy, asked).rules)));
      assert.deepEqual(decision, decideAccess(policy, asked));
    }),
  );
});

const tcb = compilePolicy(builtInRules(['tcb']).initial);
const fileOf = (kind: FileFacts['kind'], more: Partial<FileFacts> = {}): FileFacts => ({ ...EXT4, kind, ...more });

const list = (...entries: readonly { readonly bytes: Uint8Array }[]) =>
  parseMeasurementList(Buffer.concat([aggregate, ...entries].map(({ bytes }) => bytes)));
const ng = (path: string, pcr = 10) => encodeImaNgEntry(pcr, 'sha256', Buffer.alloc(32, 1), path);
const aggregate = ng('boot_aggregate');

function caused(file: FileFacts, entry = ng('/usr/bin/true'), policy = tcb): string {
  const [first, second] = list(entry);
  assert.ok(second !== undefined);
  const cause = causeFinder(policy, listFactsOf(first))(second, file);
  if (cause.kind !== 'rule') return cause.kind;
  const told = ({ placed: { rule, line }, use, uid, untold }: Candidate): string =>
    `${use ?? rule.func} ${line}${uid === 0 || uid === undefined ? '' : ` by ${uid}`}${untold.map((one) => ` if ${one}`).join('')}`;
  return cause.candidates.map(told).join(', ');
}

test('an entry is caused by the likeliest use of its file, beside which the others stand', () => {
  // Lines of tcb: 14 MMAP_CHECK, 15 BPRM_CHECK, 16 FILE_CHECK by root, 18 MODULE_CHECK, 19 FIRMWARE_CHECK, 20 POLICY_CHECK.
  assert.equal(caused(fileOf('program')), 'run 15, read 16');
  assert.equal(caused(fileOf('script')), 'run 15, read 16');
  assert.match(caused(fileOf('interpreter')), /^interpret 14, map 16$/);
  assert.match(caused(fileOf('library')), /^map 16, map 14 by 1000$/);
  assert.match(caused(fileOf('other')), /^read 16$/);
  assert.equal(caused(fileOf('program', { fsMagic: 0x9fa0 })), 'none');
});

test('PCR and template of an entry tell rules apart', () => {
  const policy = policyOf(
    'measure func=BPRM_CHECK pcr=11',
    'measure func=FILE_CHECK mask=MAY_READ pcr=12',
    'measure func=FILE_CHECK mask=MAY_WRITE',
  );
  assert.equal(caused(fileOf('program'), ng('/x', 11), policy), 'run 1');
  assert.equal(caused(fileOf('program'), ng('/x', 12), policy), 'read 2');
  assert.equal(caused(fileOf('program'), ng('/x'), policy), 'write 3');
  assert.equal(caused(fileOf('program'), ng('/x', 13), policy), 'none');
  const byTemplate = policyOf('measure func=BPRM_CHECK template=ima-sig', 'measure func=FILE_CHECK mask=MAY_READ');
  assert.equal(caused(fileOf('program'), ng('/x'), byTemplate), 'read 2');
});

test('of a file that is gone it is told what its rule hangs on', () => {
  const policy = policyOf('dont_measure fsmagic=0x9fa0', 'measure func=BPRM_CHECK fowner=0', 'measure func=BPRM_CHECK');
  assert.equal(
    caused(UNKNOWN_FILE, ng('/gone'), policy),
    'run 2 if fsmagic=0x9fa0 if fowner=0, run 3 if fsmagic=0x9fa0 if fowner=0',
  );
});

test('a violation stands in the kernel’s PCR, whatever the rule says', () => {
  const policy = policyOf('measure func=FILE_CHECK mask=MAY_READ pcr=12 template=ima-sig');
  assert.equal(caused(fileOf('other'), encodeViolation('/var/log/wtmp'), policy), 'read 1');
});

test('what is measured from memory is told by its name', () => {
  const fields = (name: string) => [
    digestField('sha256', Buffer.alloc(32, 2)),
    pathField(name),
    Buffer.from('content'),
  ];
  const buffer = (name: string) => encodeEntry({ pcr: 10, template: 'ima-buf', fields: fields(name) });
  const policy = policyOf(
    'measure func=KEXEC_CMDLINE',
    'measure func=KEY_CHECK keyrings=.ima',
    'measure func=CRITICAL_DATA label=selinux',
    'measure func=CRITICAL_DATA label=device-mapper',
  );
  assert.equal(caused(UNKNOWN_FILE, buffer('kexec-cmdline'), policy), 'KEXEC_CMDLINE 1');
  assert.match(caused(UNKNOWN_FILE, buffer('.ima'), policy), /^KEY_CHECK 2/);
  assert.equal(caused(UNKNOWN_FILE, buffer('selinux-state'), policy), 'CRITICAL_DATA 3');
  assert.equal(caused(UNKNOWN_FILE, buffer('dm_table_load'), policy), 'CRITICAL_DATA 4');
});

test('a file’s kind is read off its first bytes, its name and its mode', () => {
  const elf = (type: number, segment?: number): Buffer => {
    const bytes = Buffer.alloc(200);
    bytes.write('\x7fELF\x02\x01\x01', 'latin1');
    bytes.writeUInt16LE(type, 16);
    bytes.writeBigUInt64LE(64n, 32);
    bytes.writeUInt16LE(56, 54);
    bytes.writeUInt16LE(segment === undefined ? 0 : 2, 56);
    bytes.writeUInt32LE(segment ?? 0, 64 + 56);
    return bytes;
  };
  assert.equal(fileKind('/bin/true', 0o755, elf(3, 3)), 'program');
  assert.equal(fileKind('/bin/static', 0o755, elf(2)), 'program');
  assert.equal(fileKind('/bin/static-pie', 0o755, elf(3, 1)), 'program');
  assert.equal(fileKind('/lib/libc.so.6', 0o755, elf(3, 1)), 'library');
  assert.equal(fileKind('/lib/libc.so.6', 0o755, elf(3, 3)), 'library'); // glibc's can be run, and rarely is
  assert.equal(fileKind('/lib64/ld-linux-x86-64.so.2', 0o755, elf(3)), 'interpreter');
  assert.equal(fileKind('/lib/modules/x.ko', 0o644, elf(1)), 'module');
  assert.equal(fileKind('/bin/script', 0o755, Buffer.from('#!/bin/sh')), 'script');
  assert.equal(fileKind('/etc/rc', 0o644, Buffer.from('#!/bin/sh')), 'other');
  assert.equal(fileKind('/empty', 0o755, Buffer.alloc(0)), 'other');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (rest) => {
      fileKind('/x', 0o755, Buffer.concat([Buffer.from('\x7fELF', 'latin1'), rest]));
    }),
  );
});
