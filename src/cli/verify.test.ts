import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Attestation, referenceOf } from '../../test/fixtures/attestation.ts';
import { akPublicOf, contentDigest, Machine, SELECTED } from '../../test/fixtures/machine.ts';
import { fromHex } from '../bytes/index.ts';
import { EvidenceCodec } from '../evidence/index.ts';
import { writeEnrolmentRecord } from '../verify/index.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const NONCE = '01'.repeat(32);
let folder = '';
const at = (name: string): string => join(folder, name);

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'assay-verify-'));
  const machine = new Machine();
  machine.measure('/usr/bin/ls', 'ls');
  machine.measure('/usr/bin/odd *\nname', 'odd');
  const attestation = new Attestation(machine);
  writeFileSync(at('evidence'), EvidenceCodec.encode(attestation.ask(attestation.nextNonce())));
  writeFileSync(at('list'), machine.list);
  writeFileSync(at('ak.tpmt'), machine.akPublic);
  writeFileSync(at('ak.pem'), createPublicKey(machine.key).export({ type: 'spki', format: 'pem' }));
  writeFileSync(at('enrolment.json'), writeEnrolmentRecord(attestation.enrolment));
  const short = { quote: machine.quote(fromHex(NONCE, 'nonce'), { selected: SELECTED.filter((pcr) => pcr !== 9) }) };
  writeFileSync(at('short'), EvidenceCodec.encode(attestation.ask(fromHex(NONCE, 'nonce'), short)));
  const files = [
    { path: '/usr/bin/ls', digests: [contentDigest('ls')] },
    { path: '/usr/bin/odd *\nname', digests: [contentDigest('odd')] },
  ];
  const boot = machine.bootReference();
  const event = { pcr: 14, digest: `sha256:${'11'.repeat(32)}`, description: 'a key', required: false } as const;
  const references = {
    'boot.json': boot,
    'boot-14.json': { ...boot, events: [event] },
    'boot-sha384.json': { pcrs: { sha384: { 7: ['11'.repeat(48)] } }, events: [] },
  };
  for (const [name, section] of Object.entries(references)) {
    writeFileSync(at(name), JSON.stringify(referenceOf({ files, boot: section }).manifest));
  }
  const loose = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  writeFileSync(at('loose.tpmt'), akPublicOf(loose, { restricted: false }));
});

after(() => rmSync(folder, { recursive: true }));

function assay(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  const json: unknown = stdout.startsWith('{') ? JSON.parse(stdout) : undefined;
  return { status, stdout, stderr, json };
}

const judge = (...args: readonly string[]) => assay('verify', at('evidence'), '--nonce', NONCE, ...args);

function verdictOf(json: unknown): unknown {
  return typeof json === 'object' && json !== null && 'verdict' in json ? json.verdict : undefined;
}

function codesOf(json: unknown): string[] {
  if (typeof json !== 'object' || json === null || !('findings' in json) || !Array.isArray(json.findings)) return [];
  return json.findings.map((found: { code: string }) => found.code);
}

test('a reference made from the list approves it again, under odd names too', () => {
  const made = assay('reference', 'from-list', at('list'), '-o', at('reference.json'), '--json');
  assert.deepEqual([made.status, made.json], [0, { files: 2, skipped: 1 }]);
  const checked = assay('reference', 'check', at('reference.json'), '--json');
  assert.equal(checked.status, 0);
  const judged = judge('--enrolment', at('enrolment.json'), '--reference', at('reference.json'), '--json');
  assert.equal(judged.status, 0, judged.stderr);
  assert.deepEqual(codesOf(judged.json), ['reference.self', 'boot.no-reference']);
});

test('without a key the verdict is unknown, exit 3; a key of any form binds it', () => {
  const unbound = judge('--json');
  assert.equal(unbound.status, 3);
  assert.deepEqual(codesOf(unbound.json), ['ak.unbound', 'reference.none']);
  for (const key of ['ak.tpmt', 'ak.pem'])
    assert.deepEqual(codesOf(judge('--ak', at(key), '--json').json), ['reference.none', 'ima.user-space']);
});

test('with a key alone nothing vouches for the measurer, unless the person does', () => {
  const args = ['--ak', at('ak.tpmt'), '--reference', at('boot.json'), '--json'];
  const unsaid = judge(...args);
  assert.deepEqual([unsaid.status, verdictOf(unsaid.json), codesOf(unsaid.json)], [0, 'warning', ['ima.user-space']]);
  assert.match(unsaid.stdout, /--measurer kernel/);
  const kernel = judge(...args, '--measurer', 'kernel');
  assert.deepEqual([kernel.status, verdictOf(kernel.json), codesOf(kernel.json)], [0, 'trusted', []]);
  const other = judge(...args, '--measurer', 'user-space');
  assert.deepEqual([other.status, codesOf(other.json)], [1, ['evidence.measurer']]);
});

test('with a key alone the quote must cover PCR 0–10 and what the reference names, in a bank that it names', () => {
  const short = assay('verify', at('short'), '--nonce', NONCE, '--ak', at('ak.tpmt'), '--reference', at('boot.json'));
  assert.equal(short.status, 1);
  assert.match(short.stdout, /quote\.selection +The quote leaves out PCR 9, which was asked for/);
  const named = judge('--ak', at('ak.tpmt'), '--reference', at('boot-14.json'), '--json');
  assert.deepEqual([named.status, codesOf(named.json)], [1, ['quote.selection']]);
  assert.match(named.stdout, /leaves out PCR 14/);
  const asked = judge('--ak', at('ak.tpmt'), '--reference', at('boot.json'), '--pcrs', '0,1,7,10', '--json');
  assert.deepEqual([asked.status, codesOf(asked.json)], [1, ['quote.selection']]);
  const chosen = [at('short'), '--nonce', NONCE, '--pcrs', '0,1,2,3,4,5,6,7,8,10', '--ak', at('ak.tpmt'), '--json'];
  assert.ok(!codesOf(assay('verify', ...chosen).json).includes('quote.selection'));
  const bank = judge('--ak', at('ak.tpmt'), '--reference', at('boot-sha384.json'), '--json');
  assert.deepEqual([bank.status, codesOf(bank.json)], [1, ['quote.bank']]);
});

test('--pcrs and --measurer belong to --ak: a record says both', () => {
  for (const option of [
    ['--pcrs', '0'],
    ['--measurer', 'kernel'],
    ['--ak', at('ak.tpmt')],
  ])
    assert.equal(judge('--enrolment', at('enrolment.json'), ...option).status, 2);
  assert.equal(judge('--ak', at('ak.tpmt'), '--pcrs', '0,24').status, 2);
});

test('another nonce is untrusted, exit 1; what cannot be read is exit 2 with the place', () => {
  assert.equal(assay('verify', at('evidence'), '--nonce', '02'.repeat(32), '--ak', at('ak.tpmt')).status, 1);
  const unreadable = assay('verify', at('list'), '--nonce', NONCE);
  assert.equal(unreadable.status, 2);
  assert.match(unreadable.stderr, /at byte 0/);
});

test('a key that is not restricted is refused by name', () => {
  const refused = judge('--ak', at('loose.tpmt'), '--json');
  assert.deepEqual([refused.status, JSON.stringify(refused.json).includes('ak.unrestricted')], [2, true]);
});

test('people read the verdict first', () => {
  const { stdout } = judge('--enrolment', at('enrolment.json'));
  assert.match(stdout, /^unknown {2}\(assurance: hardware; 3 measurements proven\)\n {2}unknown {4}reference\.none/);
});
