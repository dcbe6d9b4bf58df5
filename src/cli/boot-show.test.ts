import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { agileLog, specIdPayload } from '../../test/fixtures/boot-logs.ts';
import { digest } from '../bytes/index.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const assay = (...args: readonly string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });

test('boot show tells a log in text and in JSON, and lets no control character of it through', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-boot-show-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'log');
  const text = Buffer.from('Exit Boot Services Invocation\u001b[2J');
  const event = { pcr: 5, type: 0x80000007, digests: [[0x000b, digest('sha256', text)]] as const, data: text };
  writeFileSync(file, agileLog(specIdPayload([[0x000b, 32]]), [event]));
  const told = assay('boot', 'show', file);
  assert.equal(told.status, 0, told.stderr);
  assert.match(told.stdout, /Kernel\n✓ PCR 5 {3}Exit Boot Services Invocation\\x1b\[2J\n/);
  for (const asJson of [['--json'], ['--format', 'json']]) {
    const { events, story, pcrs } = JSON.parse(assay('boot', 'show', file, ...asJson).stdout);
    assert.equal(events[1].payload.action, 'exit-boot-services');
    assert.equal(events[1].vouched, 'digest');
    assert.equal(story.at(-1).stage, 'kernel');
    assert.equal(typeof pcrs.sha256['5'], 'string');
  }
});

test('boot show prints the YAML of tpm2_eventlog, and says beside it which payload does not match', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-boot-show-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'log');
  const event = {
    pcr: 7,
    type: 4,
    digests: [[0x000b, digest('sha256', Buffer.alloc(4))]] as const,
    data: Buffer.alloc(3),
  };
  writeFileSync(file, agileLog(specIdPayload([[0x000b, 32]]), [event]));
  const { status, stdout, stderr } = assay('boot', 'show', file, '--format', 'tpm2', '--eventlog-version', '2');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^---\nversion: 2\nevents:\n- EventNum: 0\n/);
  assert.match(stdout, /\npcrs:\n {2}sha256:\n {4}7 {2}: 0x[0-9a-f]{64}\n$/);
  assert.match(stderr, /^warning: event 1's digest does not match its payload$/m);
});

test('what is no log is refused with its name', () => {
  const { status, stderr } = assay('boot', 'show', join(import.meta.dirname, 'boot-show.ts'));
  assert.equal(status, 2);
  assert.match(stderr, /boot-show\.ts: this is no TCG event log/);
});

test('a CCEL is shown and replayed under its registers, also where its ACPI table is named', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-ccel-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const data = Buffer.alloc(4);
  const event = { pcr: 1, type: 4, digests: [[0x000c, digest('sha384', data)]] as const, data };
  const log = agileLog(specIdPayload([[0x000c, 48]]), [event]);
  log.writeUInt32LE(1, 0);
  const table = Buffer.alloc(56);
  table.write('CCEL');
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data/CCEL'), log);
  writeFileSync(join(folder, 'CCEL'), table);
  const value = digest('sha384', Buffer.alloc(48), digest('sha384', data)).toString('hex');
  for (const name of ['CCEL', 'data/CCEL']) {
    const { stdout, stderr } = assay('boot', 'replay', join(folder, name), '--json');
    assert.deepEqual(JSON.parse(stdout).registers, { sha384: { RTMR0: value } }, stderr);
  }
  const file = join(folder, 'data/CCEL');
  assert.match(assay('boot', 'replay', file).stdout, new RegExp(`sha384 {2}RTMR0 {2}${value}`));
  assert.match(assay('boot', 'show', file).stdout, /✓ RTMR0 {3}separator/);
  for (const args of [
    ['show', file, '--format', 'tpm2'],
    ['state', file],
    ['diff', file, file],
    ['predict', 'uki', '--uki', file, '--base', file],
  ]) {
    const refused = assay('boot', ...args);
    assert.equal(refused.status, 2, refused.stdout);
    assert.match(refused.stderr, /registers|no PCRs/);
  }
  rmSync(join(folder, 'data'), { recursive: true });
  const { status, stderr } = assay('boot', 'replay', join(folder, 'CCEL'));
  assert.equal(status, 2);
  assert.match(stderr, /the ACPI table that says where the log is/);
});

test('boot diff names what changed with exit status 1, and boot state tells what the PCRs prove', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-boot-diff-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => join(folder, name);
  for (const words of ['ro', 'ro init=/bin/sh']) {
    const data = Buffer.from(`${words}\0`, 'utf16le');
    const event = { pcr: 12, type: 0x0d, digests: [[0x000b, digest('sha256', data)]] as const, data };
    writeFileSync(file(String(words.length)), agileLog(specIdPayload([[0x000b, 32]]), [event]));
  }
  const [before = '', after = ''] = readdirSync(folder)
    .map(file)
    .sort((a, b) => a.length - b.length);
  const same = assay('boot', 'diff', before, before);
  assert.deepEqual([same.status, same.stdout], [0, 'nothing differs\n'], same.stderr);
  const { status, stdout, stderr } = assay('boot', 'diff', before, after, '--json');
  assert.equal(status, 1, stderr);
  assert.deepEqual(
    JSON.parse(stdout).changes.map(({ code, pcrs }: { code: string; pcrs: number[] }) => [code, pcrs]),
    [['boot.command-line-changed', [12]]],
  );
  assert.match(assay('boot', 'diff', before, after).stdout, /\+ init=\/bin\/sh\n/);
  const pcrs = file('pcrs.json');
  writeFileSync(pcrs, JSON.stringify(JSON.parse(assay('boot', 'replay', before, '--json').stdout).pcrs));
  const told = assay('boot', 'state', before, '--pcrs', pcrs, '--json');
  assert.equal(told.status, 3, 'Secure Boot’s state cannot be told');
  const proven = JSON.parse(told.stdout);
  assert.deepEqual([proven.commandLine, proven.provenPcrs, proven.secureBoot.state], [['ro'], [12], 'unknown']);
  const other = assay('boot', 'state', after, '--pcrs', pcrs);
  assert.equal(other.status, 1);
  assert.match(other.stdout, /left out {2}PCR 12: the log does not replay to its value/);
  const reference = file('reference.json');
  assert.equal(assay('boot', 'reference', before, '-o', reference).status, 0);
  const approved = assay('boot', 'diff', before, '--reference', reference);
  assert.equal(approved.status, 0, approved.stderr);
  const changed = assay('boot', 'diff', after, '--reference', reference, '--json');
  assert.equal(changed.status, 1, changed.stderr);
  const [fromReference] = JSON.parse(changed.stdout).changes;
  assert.equal(fromReference.code, 'boot.command-line-changed');
  assert.deepEqual([fromReference.from, fromReference.to], [['ro'], ['ro init=/bin/sh']]);
});

const sha256 = (text: string | Uint8Array): Buffer => digest('sha256', Buffer.from(text));
const hexOf = (value: Uint8Array): string => Buffer.from(value).toString('hex');
const systemdLine = (pcr: number, text: string): string => {
  const content = { string: text, bootId: '0e', timestamp: 1, eventType: 'phase' };
  const digests = [{ hashAlg: 'sha256', digest: hexOf(sha256(text)) }];
  return `\u001e${JSON.stringify({ pcr, digests, content_type: 'systemd', content })}\n`;
};

test('canonical logs and systemd’s own are shown and replayed as well; what makes a value doubtful is said', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-boot-logs-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => join(folder, name);
  const section = { pcr: 11, type: 0x0d, digests: [[0x000b, sha256('.linux')]] as const, data: Buffer.from('.linux') };
  const firmware = agileLog(specIdPayload([[0x000b, 32]]), [section]);
  writeFileSync(file('boot.log'), firmware);
  writeFileSync(file('systemd.log'), systemdLine(11, 'enter-initrd'));
  for (const [form, name] of [
    ['cel-json', 'boot.json'],
    ['cel-tlv', 'boot.cel'],
  ] as const) {
    assert.equal(assay('boot', 'convert', file('boot.log'), '--to', form, '-o', file(name)).status, 0);
    const replayed = assay('boot', 'replay', file(name), '--json');
    assert.equal(replayed.status, 0, replayed.stderr);
    assert.deepEqual(
      JSON.parse(replayed.stdout),
      JSON.parse(assay('boot', 'replay', file('boot.log'), '--json').stdout),
    );
  }
  const alone = assay('boot', 'show', file('systemd.log'));
  assert.match(alone.stdout, /✓ PCR 11 {2}boot phase 'enter-initrd'/);
  assert.match(alone.stderr, /^warning: the firmware’s log is not there: each PCR is taken to begin at zero$/m);
  const refused = assay('boot', 'state', file('systemd.log'));
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /nothing of the firmware's/);
  const lines = readFileSync(file('boot.json'), 'utf8').trimEnd().slice(1, -1).split(/,\n/);
  writeFileSync(file('both.json'), `${lines.join('\n')}\n${systemdLine(11, 'enter-initrd')}`);
  const { pcrs } = JSON.parse(assay('boot', 'replay', file('both.json'), '--json').stdout);
  const uki = digest('sha256', Buffer.alloc(32), sha256('.linux'));
  assert.equal(pcrs.sha256['11'], hexOf(digest('sha256', uki, sha256('enter-initrd'))));
  const states = JSON.parse(
    assay('boot', 'state', file('both.json'), '--pcrs', writeJson(file('pcrs.json'), pcrs), '--json').stdout,
  );
  assert.deepEqual([states.provenPcrs, states.leftOut], [[11], []]);

  const locality = (value: number) => ({
    pcr: 0,
    type: 3,
    digests: [[0x000b, Buffer.alloc(32)]] as const,
    data: Buffer.from(`StartupLocality\0${String.fromCharCode(value)}`, 'latin1'),
  });
  writeFileSync(file('doubtful.log'), agileLog(specIdPayload([[0x000b, 32]]), [locality(3), locality(4), section]));
  for (const verb of ['replay', 'show']) {
    const told = assay('boot', verb, file('doubtful.log'));
    assert.equal(told.status, 0, told.stderr);
    assert.match(
      told.stderr,
      /^warning: StartupLocality events contradict one another: PCR 0 may have another value$/m,
    );
    assert.equal(JSON.parse(assay('boot', verb, file('doubtful.log'), '--json').stdout).warnings.length, 1);
  }
});

function writeJson(path: string, value: unknown): string {
  writeFileSync(path, JSON.stringify(value));
  return path;
}

test('nothing that a log names reaches the terminal as a control character, in any form of output', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-boot-escapes-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => join(folder, name);
  const evil = '\u001b[2J\u009b31m\u202e\nevents:\n- EventNum: 99';
  const measured = (pcr: number, type: number, data: Buffer) => ({
    pcr,
    type,
    digests: [[0x000b, sha256(data)]] as const,
    data,
  });
  const name = Buffer.from(`SecureBoot${evil}`, 'utf16le');
  const head = Buffer.alloc(32);
  head.writeBigUInt64LE(BigInt(name.length / 2), 16);
  const path = Buffer.from(`\\${evil}\0`, 'utf16le');
  const node = Buffer.concat([Buffer.from([4, 4, path.length + 4, 0]), path, Buffer.from('7fff0400', 'hex')]);
  const load = Buffer.alloc(32);
  load.writeBigUInt64LE(BigInt(node.length), 24);
  const events = [
    measured(7, 0x80000001, Buffer.concat([head, name])),
    measured(4, 0x80000003, Buffer.concat([load, node])),
    measured(8, 0x0d, Buffer.from(`grub_cmd: ${evil}\0`)),
    measured(0, 0x08, Buffer.from(`${evil}\0`, 'utf16le')),
    measured(17, 0x502, Buffer.from(evil)),
  ];
  writeFileSync(file('evil.log'), agileLog(specIdPayload([[0x000b, 32]]), events));
  writeFileSync(file('plain.log'), agileLog(specIdPayload([[0x000b, 32]]), []));
  writeFileSync(file('systemd.log'), systemdLine(11, evil));
  const made = assay('boot', 'reference', file('evil.log'), '-o', file('reference.json'));
  const printed = [
    made,
    assay('boot', 'show', file('evil.log')),
    assay('boot', 'show', file('evil.log'), '--format', 'tpm2', '--eventlog-version', '2'),
    assay('boot', 'show', file('systemd.log')),
    assay('boot', 'state', file('evil.log')),
    assay('boot', 'diff', file('plain.log'), file('evil.log')),
    assay('boot', 'diff', file('evil.log'), file('plain.log')),
    assay('boot', 'diff', file('plain.log'), '--reference', file('reference.json')),
    assay('boot', 'diff', file('evil.log'), file('plain.log'), '--json'),
  ];
  for (const { stdout, stderr } of printed) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    assert.doesNotMatch(`${stdout}${stderr}`, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    assert.doesNotMatch(stdout, /^- EventNum: 99/m);
  }
});
