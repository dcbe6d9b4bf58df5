import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodeImaNgEntry } from '../ima/index.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const folder = mkdtempSync(join(tmpdir(), 'assay-cli-policy-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function policy(...args: readonly string[]): Ended {
  return spawnSync(process.execPath, [MAIN, 'ima', 'policy', ...args], { encoding: 'utf8' });
}

test('check names each fault by line, column and the kernel’s rule, and exits 1', () => {
  const path = file('bad', 'measure func=BPRM_CHEK\n\naudit uid=root\nmeasure\n');
  const { status, stdout } = policy('check', path, '--kernel', '6.12');
  assert.equal(status, 1);
  const lines = stdout.split('\n');
  assert.equal(
    lines[0],
    `${path}:1:9: func= has no value 'BPRM_CHEK'; did you mean BPRM_CHECK? [policy.unknown-value, ima_policy.c:ima_parse_rule]`,
  );
  assert.match(lines[1] ?? '', /:3:7: .*\[policy\.number, ima_policy\.c:ima_parse_rule\]$/);
  assert.match(lines[2] ?? '', /2 faults.*kernel 6\.12 refuses it/);
  const { ok, kernel, faults } = JSON.parse(policy('check', path, '--kernel', '6.12', '--json').stdout);
  assert.deepEqual([ok, kernel, faults.map(({ line }: { line: number }) => line)], [false, '6.12', [1, 3]]);
});

test('check exits 0 for what the kernel takes, says what is odd, and with --strict exits 1 for it', () => {
  const path = file('odd', 'measure func=BPRM_CHECK mask=MAY_READ\n');
  const { status, stdout } = policy('check', path);
  assert.equal(status, 0);
  assert.match(stdout, /:1:25: warning: the rule never matches: .*\[never-matches\]/);
  assert.equal(policy('check', path, '--strict').status, 1);
  const { ok, rules, findings } = JSON.parse(policy('check', path, '--json').stdout);
  assert.deepEqual([ok, rules, findings.length, findings[0].code], [true, 1, 1, 'never-matches']);
  assert.equal(policy('check', file('newer', 'dont_audit fsname=xfs\naudit\n'), '--kernel', '6.12').status, 1);
});

test('check takes the built-in policies, and exits 2 without a policy it can read', () => {
  assert.equal(policy('check', '--builtin', 'tcb|appraise_tcb|secure_boot|critical_data', '--strict').status, 0);
  for (const args of [[], ['x', '--builtin', 'tcb'], [join(folder, 'absent')], ['--builtin', 'nonsense']]) {
    assert.equal(policy('check', ...args).status, 2, args.join(' '));
  }
  assert.equal(policy('check', '--builtin', 'tcb', '--kernel', '2.6').status, 2);
});

test('format writes the canonical form through a link, keeps the mode, and refuses what is no policy', () => {
  const path = file('untidy', '# why\n\n\nfunc=BPRM_CHECK\tmeasure\n');
  chmodSync(path, 0o640);
  symlinkSync(path, join(folder, 'link'));
  const formatted = '# why\n\nmeasure func=BPRM_CHECK\n';
  assert.equal(policy('format', path).stdout, formatted);
  assert.equal(policy('format', path, '--check').status, 1);
  assert.equal(policy('format', join(folder, 'link'), '--write').status, 0);
  assert.deepEqual([readFileSync(path, 'utf8'), statSync(path).mode & 0o777], [formatted, 0o640]);
  assert.equal(policy('format', path, '--check').status, 0);
  const bytes = Buffer.concat([Buffer.from('measure fsname='), Buffer.of(0xff, 0xfe), Buffer.from(' # \n')]);
  const odd = file('bytes', bytes);
  policy('format', odd, '--write');
  assert.deepEqual(readFileSync(odd), bytes);
  const refused = policy('format', file('refused', 'measure\nmeasure pcr=x\n'));
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /refused: line 2, column 9: /);
});

test('generate makes policies that check takes', () => {
  const uuid = '8bcbe394-4f13-4144-be8e-5aa9ea2ce2f6';
  for (const args of [
    ['tcb'],
    ['root-executables', '--signed'],
    ['immutable-image', '--dm-verity', '--fsuuid', uuid],
  ]) {
    const made = policy('generate', ...args);
    assert.equal(made.status, 0);
    assert.match(made.stdout, /^# Left out: /m);
    assert.equal(policy('check', file('made', made.stdout), '--strict').status, 0);
  }
  assert.equal(policy('generate', 'immutable-image').status, 2);
  assert.equal(policy('generate', 'world-peace').status, 2);
  assert.ok(JSON.parse(policy('generate', 'container-host', '--json').stdout).leavesOut.length > 0);
});

test('explain says of a file which rule decides, and of each other why not', () => {
  const program = file('program', '#!/bin/sh\n');
  chmodSync(program, 0o755);
  const rules = file(
    'rules',
    'dont_measure fsmagic=0x9fa0\nmeasure func=BPRM_CHECK uid=1234\nmeasure func=BPRM_CHECK\nappraise fowner>0 fgroup=7\n',
  );
  const asked = ['explain', rules, '--path', program, '--user', '1234'];
  const { uses } = JSON.parse(policy(...asked, '--func', 'BPRM_CHECK', '--json').stdout);
  const [hook] = uses[0].hooks;
  assert.deepEqual(
    [hook.func, hook.mask, hook.measure.done, hook.measure.rule.line],
    ['BPRM_CHECK', 'MAY_EXEC', true, 2],
  );
  const kinds = hook.rules.map(({ outcome }: { outcome: { kind: string } }) => outcome.kind);
  assert.deepEqual(kinds, ['differs', 'decides', 'too-late', 'differs']);
  const text = policy(...asked, '--verbose');
  assert.equal(text.status, 0);
  assert.match(text.stdout, /: a script on .*, of user \d+, group \d+; asked by user 1234, group 1234\nis run\n/);
  assert.match(text.stdout, /policy:1 +dont_measure fsmagic=0x9fa0 +fsmagic=0x9fa0 does not hold: 0x/);
  assert.match(text.stdout, /policy:3 .*policy:2 decides before it/);
  const other = JSON.parse(policy(...asked.slice(0, 4), '--func', 'BPRM_CHECK', '--json').stdout);
  assert.equal(other.uses[0].hooks[0].measure.rule.line, 3);
});

test('explain exits 3 where a rule hangs on what is not known, and takes it by --label', () => {
  const rules = file('labels', 'audit func=BPRM_CHECK obj_type=bin_t\n');
  const asked = ['explain', rules, '--path', process.execPath, '--func', 'BPRM_CHECK'];
  assert.equal(policy(...asked).status, 3);
  assert.match(policy(...asked).stdout, /not known: obj_type=bin_t/);
  const known = policy(...asked, '--label', 'obj_type=bin_t', '--json');
  assert.deepEqual([known.status, JSON.parse(known.stdout).uses[0].hooks[0].audit.done], [0, true]);
});

test('explain says what is no question', () => {
  assert.match(policy('explain', '--builtin', 'tcb', '--path', folder).stdout, /no regular file/);
  const wrong = [
    ['--builtin', 'tcb'],
    ['--builtin', 'tcb', '--func', 'EXEC'],
    ['--builtin', 'tcb', '--path', '/bin/sh', '--mask', 'READ'],
    ['--builtin', 'tcb', '--path', '/bin/sh', '--user', 'no-such-user'],
    ['--builtin', 'tcb', '--path', join(folder, 'absent')],
    ['--builtin', 'tcb', '--func', 'BPRM_CHECK', '--label', 'colour=red'],
  ];
  for (const args of wrong) assert.equal(policy('explain', ...args).status, 2, args.join(' '));
});

test('explain --list names the rule of each entry, by files below --root', () => {
  const root = join(folder, 'root');
  mkdirSync(join(root, 'bin'), { recursive: true });
  writeFileSync(join(root, 'bin/run'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(root, 'bin/data'), 'data\n');
  const digest = Buffer.alloc(32, 1);
  const entry = (path: string, pcr = 10) => encodeImaNgEntry(pcr, 'sha256', digest, path).bytes;
  const rules = file('caused', 'measure func=BPRM_CHECK\nmeasure func=FILE_CHECK mask=MAY_READ uid=0\n');
  const known = file('list', Buffer.concat([entry('boot_aggregate'), entry('/bin/run'), entry('/bin/data')]));
  const asked = ['explain', rules, '--root', root, '--list'];
  const { status, stdout } = policy(...asked, known, '--json');
  assert.equal(status, 0);
  const told = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
    .map(({ path, cause, candidates: [first] }) => `${path} ${cause} ${first?.rule.line ?? ''} ${first?.use ?? ''}`);
  assert.deepEqual(told, ['boot_aggregate kernel  ', '/bin/run rule 1 run', '/bin/data rule 2 read']);
  const strange = policy(...asked, file('other', Buffer.concat([entry('boot_aggregate'), entry('/bin/data', 11)])));
  assert.equal(strange.status, 1);
  assert.match(strange.stdout, /\/bin\/data {2}no rule of this policy makes such an entry/);
});
