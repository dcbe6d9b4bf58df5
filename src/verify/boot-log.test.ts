import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attestation, codes } from '../../test/fixtures/attestation.ts';
import { agileEvent, agileLog, specIdPayload, type TestEvent } from '../../test/fixtures/boot-logs.ts';
import { Machine, SELECTED } from '../../test/fixtures/machine.ts';
import { parseBootLog } from '../boot/index.ts';
import { digest, toHex } from '../bytes/index.ts';
import { type BootComponent, type BootReference, mergeBoots } from '../reference/index.ts';
import { requestFor } from './index.ts';

const SEPARATOR = toHex(digest('sha256', Buffer.alloc(4)));
const event = (text: string, required = true) =>
  ({ pcr: 4, digest: `sha256:${toHex(digest('sha256', Buffer.from(text)))}`, description: text, required }) as const;
const separator = { pcr: 4, digest: `sha256:${SEPARATOR}`, description: 'separator', required: true } as const;

function judged(boot: BootReference) {
  return new Attestation(new Machine(), { boot }).attest();
}

test('a boot PCR with another value is named by what it measures', () => {
  const result = judged({ pcrs: { sha256: { 7: ['00'.repeat(32)], 4: ['11'.repeat(32)] } }, events: [] });
  assert.deepEqual(codes(result), ['boot.pcr-unexpected', 'boot.pcr-unexpected']);
  assert.match(result.findings[1]?.message ?? '', /PCR 7 \(Secure Boot state and keys\)/);
});

test('events are judged one by one: unexpected, missing, optional', () => {
  const pcrs = {};
  assert.deepEqual(codes(judged({ pcrs, events: [event('Booting'), separator] })), []);
  assert.deepEqual(codes(judged({ pcrs, events: [event('Booting'), separator, event('other', false)] })), []);
  const replaced = judged({ pcrs, events: [event('shim'), separator] });
  assert.deepEqual(codes(replaced), ['boot.event-unexpected', 'boot.event-missing']);
  assert.match(replaced.findings[0]?.message ?? '', /'Booting'/);
  assert.deepEqual(replaced.findings[0]?.position, { log: 'boot', index: 1, pcr: 4 });
});

test('findings on the firmware log stay while only its digest is sent', () => {
  const attestation = new Attestation(new Machine(), { boot: { pcrs: {}, events: [event('shim')] } });
  const first = codes(attestation.attest());
  assert.deepEqual(codes(attestation.attest()), first);
  assert.ok(first.includes('boot.event-missing'));
});

test('a digest of another log asks for its bytes', () => {
  const attestation = new Attestation(new Machine(), {});
  attestation.attest();
  const result = attestation.attest({ bootLog: { kind: 'digest', sha256: new Uint8Array(32) } });
  assert.equal(result.verdict, undefined);
  const { state, enrolment, reference, now } = attestation;
  assert.equal(requestFor(state, enrolment, reference, now).bootLog, 'bytes');
});

test('a log that leaves an event out does not lead to the PCR, and the PCR is named', () => {
  const machine = new Machine();
  machine.extend(5, digest('sha256', Buffer.from('hidden')));
  const result = new Attestation(machine, {}).attest();
  assert.deepEqual([result.verdict, codes(result)[0]], ['untrusted', 'boot.log-mismatch']);
  assert.equal(result.findings[0]?.subject, 'PCR 5');
});

test('a log without the quoted bank explains nothing', () => {
  const data = Buffer.alloc(4);
  const sha1Only: TestEvent = { pcr: 0, type: 4, data, digests: [[0x0004, digest('sha1', data)]] };
  const bytes = agileLog(specIdPayload([[0x0004, 20]]), [sha1Only]);
  const result = new Attestation(new Machine(), {}).attest({ bootLog: { kind: 'bytes', bytes } });
  assert.deepEqual(codes(result), ['boot.bank-missing']);
});

test('a bank that the firmware does not use is never trusted, except where it only demonstrates', () => {
  const machine = new Machine({ measuresBoot: false });
  const hardware = new Attestation(machine, {}).attest();
  assert.equal(hardware.verdict, 'untrusted');
  assert.ok(codes(hardware).includes('boot.bank-empty'));
  const swtpm = new Attestation(machine, {}, { assurance: 'swtpm' }).attest();
  assert.ok(codes(swtpm).includes('boot.bank-empty'));
  const unknownTpm = new Attestation(machine, {}, { assurance: undefined }).attest();
  assert.equal(unknownTpm.verdict, 'warning');
  assert.ok(codes(unknownTpm).includes('boot.bank-unused'));
  const demonstration = new Attestation(machine, {}, { assurance: 'demonstration' }).attest();
  assert.equal(demonstration.verdict, 'warning');
  assert.ok(codes(demonstration).includes('boot.nothing-measured'));
  assert.ok(codes(demonstration).includes('boot.no-log'));
});

test('an event size of 3 GB and an algorithm count of 0xffffffff are refused at once', () => {
  const huge = Buffer.concat([agileLog(specIdPayload([[0x000b, 32]]), []), Buffer.alloc(46, 0)]);
  const head = huge.length - 46;
  huge.writeUInt32LE(4, head + 4);
  huge.writeUInt32LE(1, head + 8);
  huge.writeUInt16LE(0x000b, head + 12);
  const oversized = Buffer.concat([huge.subarray(0, head + 46), Buffer.from([0, 0, 0, 0xc0])]);
  const counted = specIdPayload([[0x000b, 32]]);
  counted.writeUInt32LE(0xffffffff, 24);
  for (const bytes of [oversized, agileLog(counted, [])]) {
    assert.deepEqual(codes(new Attestation(new Machine(), {}).attest({ bootLog: { kind: 'bytes', bytes } })), [
      'boot.log-malformed',
    ]);
  }
});

test('an event whose payload is not what was measured is a warning, and its payload is not quoted', () => {
  const machine = new Machine();
  const data = Buffer.from('Booting');
  const changed = Buffer.from(machine.bootLog);
  changed.write('Rooting', changed.indexOf(data));
  const boot = { pcrs: {}, events: [separator] };
  const result = new Attestation(machine, { boot }).attest({ bootLog: { kind: 'bytes', bytes: changed } });
  assert.deepEqual(codes(result), ['boot.event-unexpected', 'boot.payload-mismatch']);
  assert.doesNotMatch(result.findings[0]?.message ?? '', /Rooting/);
});

const MOK = [...SELECTED, 11, 12, 13, 14, 15];
const mokEvent = (text: string): TestEvent => {
  const data = Buffer.from(text);
  return {
    pcr: 14,
    type: 0x80000007,
    data,
    digests: [
      [0x0004, digest('sha1', data)],
      [0x000b, digest('sha256', data)],
    ],
  };
};

/** A machine that measured one key into PCR 14, and a log that may say another. */
function judgedMok({ measured, logged, later }: { measured: string; logged: string; later?: string }) {
  const machine = new Machine();
  machine.extend(14, digest('sha256', Buffer.from(measured)));
  if (later !== undefined) machine.extend(14, digest('sha256', Buffer.from(later)));
  machine.bootLog = Buffer.concat([machine.bootLog, agileEvent(mokEvent(logged))]);
  const boot = { ...machine.bootReference(), events: [{ ...event('vendor key'), pcr: 14 }] };
  const selection = { bank: 'sha256', pcrs: MOK } as const;
  const attestation = new Attestation(machine, { boot }, { selection });
  const nonce = attestation.nextNonce();
  return attestation.verify(attestation.ask(nonce, { quote: machine.quote(nonce, { selected: MOK }) }), nonce);
}

test('events beyond PCR 9 are judged only where the log leads to the quoted value', () => {
  assert.deepEqual(codes(judgedMok({ measured: 'vendor key', logged: 'vendor key' })), []);
  const told = judgedMok({ measured: 'own key', logged: 'own key' });
  assert.deepEqual(codes(told), ['boot.event-unexpected', 'boot.event-missing']);
  for (const lie of [
    { measured: 'own key', logged: 'vendor key' },
    { measured: 'vendor key', logged: 'vendor key', later: 'by the kernel' },
  ]) {
    const result = judgedMok(lie);
    assert.deepEqual([result.verdict, codes(result)], ['untrusted', ['boot.event-unproven']]);
    assert.equal(result.findings[0]?.subject, 'PCR 14');
  }
});

/** A machine whose firmware measured a UKI's part into PCR 11 and whose systemd extended it after. */
function judgedPhases(firmware: readonly string[], records: readonly string[], beyond: readonly string[] = []) {
  const machine = new Machine();
  const sha256 = (text: string): Buffer => digest('sha256', Buffer.from(text));
  for (const text of ['.linux', 'enter-initrd', 'ready']) machine.extend(11, sha256(text));
  const events = firmware.map((text) => agileEvent({ ...mokEvent(text), pcr: 11 }));
  machine.bootLog = Buffer.concat([machine.bootLog, ...events]);
  const line = (text: string): string =>
    `\x1e${JSON.stringify({ pcr: 11, digests: [{ hashAlg: 'sha256', digest: toHex(sha256(text)) }], content_type: 'systemd', content: { string: text } })}\n`;
  const bytes = Buffer.from([...records, ...beyond].map(line).join(''));
  const boot = { ...machine.bootReference(), events: [{ ...event('.linux', false), pcr: 11 }] };
  const selection = { bank: 'sha256', pcrs: MOK } as const;
  const attestation = new Attestation(machine, { boot }, { selection });
  const nonce = attestation.nextNonce();
  const quote = machine.quote(nonce, { selected: MOK });
  const userspaceLog = { kind: 'part', offset: 0, bytes } as const;
  return attestation.verify(attestation.ask(nonce, { quote, userspaceLog }), nonce);
}

test('what systemd extends after the firmware explains the PCR, up to the quote', () => {
  assert.deepEqual(codes(judgedPhases(['.linux'], ['enter-initrd', 'ready'])), []);
  assert.deepEqual(codes(judgedPhases(['.linux'], ['enter-initrd', 'ready'], ['shutdown'])), []);
  assert.deepEqual(codes(judgedPhases(['.linux'], ['enter-initrd'])), ['boot.event-unproven']);
  assert.deepEqual(codes(judgedPhases(['.other'], ['enter-initrd', 'ready'])), ['boot.event-unproven']);
});

test('an event of the firmware that is passed off as a record of systemd’s is judged like an event', () => {
  const machine = new Machine();
  const evil = digest('sha256', Buffer.from('.evil'));
  machine.extend(11, evil);
  const record = { pcr: 11, digests: [{ hashAlg: 'sha256', digest: toHex(evil) }], content: { string: '.evil' } };
  const boot = { ...machine.bootReference(), events: [{ ...event('.linux', false), pcr: 11 }] };
  const attestation = new Attestation(machine, { boot }, { selection: { bank: 'sha256', pcrs: MOK } });
  const nonce = attestation.nextNonce();
  const quote = machine.quote(nonce, { selected: MOK });
  const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
  const evidence = attestation.ask(nonce, { quote, userspaceLog: { kind: 'part', offset: 0, bytes } });
  const result = attestation.verify(evidence, nonce);
  assert.deepEqual([result.verdict, codes(result)], ['untrusted', ['boot.event-unexpected']]);
  assert.deepEqual(result.findings[0]?.position, { log: 'userspace', index: 0, pcr: 11 });
});

test('a log that is withheld hides no unexpected event', () => {
  const boot = { pcrs: {}, events: [event('shim', false), { ...separator, required: false }] };
  const told = new Attestation(new Machine(), { boot }).attest();
  assert.equal(told.verdict, 'untrusted');
  const withheld = new Attestation(new Machine(), { boot }).attest({ bootLog: { kind: 'absent', reason: 'none' } });
  assert.deepEqual([withheld.verdict, codes(withheld)], ['untrusted', ['boot.event-unproven', 'boot.no-log']]);
});

test('events of a PCR that is not quoted are not taken as seen', () => {
  const result = judged({ pcrs: {}, events: [{ ...event('vendor key'), pcr: 14 }] });
  assert.deepEqual(codes(result), ['boot.event-missing', 'boot.pcr-not-quoted']);
});

test('values beside the quoted PCRs are refused', () => {
  const machine = new Machine();
  const reference = { sha256: { ...machine.bootReference().pcrs.sha256, 17: ['ab'.repeat(32)] } };
  const attestation = new Attestation(machine, { boot: { pcrs: reference, events: [] } });
  const nonce = attestation.nextNonce();
  const { pcrs, ...quote } = machine.quote(nonce);
  const padded = { sha256: { ...pcrs.sha256, 17: Buffer.alloc(32, 0xab) } };
  const result = attestation.verify(attestation.ask(nonce, { quote: { ...quote, pcrs: padded } }), nonce);
  assert.deepEqual([result.verdict, codes(result)], ['untrusted', ['quote.selection']]);
});

/** One more event of the firmware, before the kernel writes the boot_aggregate. */
function measureAlso(machine: Machine, event: TestEvent): void {
  const [, [, value] = []] = event.digests;
  machine.extend(event.pcr, value ?? Buffer.alloc(0));
  machine.bootLog = Buffer.concat([machine.bootLog, agileEvent(event)]);
  machine.pcrs[10] = Buffer.alloc(32);
  machine.list = Buffer.alloc(0);
  machine.measured = [];
  machine.measureEntry('boot_aggregate', `sha256:${toHex(digest('sha256', ...machine.pcrs.slice(0, 10)))}`);
}

/** A reference of components from the boot of one machine, and another machine judged by it. */
function judgedByComponents(
  approved: Machine,
  judged: Machine,
  change: (components: readonly BootComponent[]) => readonly BootComponent[] = (components) => components,
) {
  const components = change(mergeBoots([parseBootLog(approved.bootLog)]));
  return new Attestation(judged, { boot: { pcrs: {}, events: [], components } }).attest();
}

test('a boot is judged by components: what changed is named with its event, and only what the digest vouches for is quoted', () => {
  assert.deepEqual(codes(judgedByComponents(new Machine(), new Machine())), []);
  const machine = new Machine();
  machine.boot('Rescue');
  const result = judgedByComponents(new Machine(), machine);
  assert.deepEqual([result.verdict, codes(result)], ['untrusted', ['boot.component-changed']]);
  const [found] = result.findings;
  assert.match(found?.message ?? '', /'boot attempts \(PCR 4\)', from event 1 on \(EV_EFI_ACTION 'Rescue'\)/);
  assert.deepEqual(found?.position, { log: 'boot', index: 1, pcr: 4 });
});

test('a component that is new or missing is named, and one of which anything is allowed is said to be left out', () => {
  const approved = new Machine();
  const judged = new Machine();
  measureAlso(judged, { ...mokEvent('rom'), pcr: 2 });
  assert.deepEqual(codes(judgedByComponents(approved, judged)), ['boot.component-changed']);
  const option = (components: readonly BootComponent[]): readonly BootComponent[] =>
    components.map((one) => (one.pcr === 2 ? { ...one, name: 'other (PCR 2)' } : one));
  assert.deepEqual(codes(judgedByComponents(approved, judged, option)), [
    'boot.component-unknown',
    'boot.component-missing',
  ]);
  const any = (components: readonly BootComponent[]): readonly BootComponent[] =>
    components.map((one) => (one.pcr === 2 ? { ...one, variants: [], anything: 'cards vary' } : one));
  const leftOut = judgedByComponents(approved, judged, any);
  assert.deepEqual([leftOut.verdict, codes(leftOut)], ['trusted', ['boot.component-left-out']]);
});

test('components of a PCR that the log does not lead to are unproven, and without a log none is', () => {
  const approved = new Machine();
  const components = mergeBoots([parseBootLog(approved.bootLog)]);
  const withheld = new Attestation(new Machine(), { boot: { pcrs: {}, events: [], components } });
  const result = withheld.attest({ bootLog: { kind: 'absent', reason: 'none' } });
  assert.equal(result.verdict, 'untrusted');
  assert.ok(codes(result).includes('boot.event-unproven'));
});

test('a firmware’s known fault is allowed for only where PCR 0 vouches for that firmware, and is said', () => {
  const machine = new Machine();
  // The digest that the XR4520c measures for its version 1.17.3 (tpm2-tools issue 3457), over bytes that nobody knows.
  const value = Buffer.from('76d538bb3a43ef27b2e9ccca3b0bad02b9ee15ffbf0dadbdfa823dbf43d83a1f', 'hex');
  const measured = (digested: Buffer): TestEvent => ({
    pcr: 0,
    type: 8,
    data: Buffer.from('1.17.3\0', 'utf16le'),
    digests: [
      [0x0004, Buffer.alloc(20)],
      [0x000b, digested],
    ],
  });
  const attested = (digested: Buffer) => {
    machine.boot();
    measureAlso(machine, measured(digested));
    return new Attestation(machine, { boot: machine.bootReference() }).attest();
  };
  const known = attested(value);
  assert.deepEqual([known.verdict, codes(known)], ['trusted', ['boot.quirk']]);
  assert.match(known.findings[0]?.message ?? '', /dell-xr4520c-crtm-version, version 1; https:/);
  assert.deepEqual(codes(attested(Buffer.alloc(32, 7))), ['boot.payload-mismatch']);
});

test('boot phases that no log tells explain PCR 11 in their order, and nothing else does', () => {
  const attested = (extended: readonly string[]) => {
    const machine = new Machine();
    const stub: TestEvent = { ...mokEvent('.linux'), pcr: 11 };
    measureAlso(machine, stub);
    for (const word of extended) machine.extend(11, digest('sha256', Buffer.from(word)));
    const components = mergeBoots([parseBootLog(machine.bootLog)]);
    const boot = { pcrs: {}, events: [], components };
    const attestation = new Attestation(machine, { boot }, { selection: { bank: 'sha256', pcrs: MOK } });
    const nonce = attestation.nextNonce();
    return codes(attestation.verify(attestation.ask(nonce, { quote: machine.quote(nonce, { selected: MOK }) }), nonce));
  };
  for (const phases of [[], ['enter-initrd', 'leave-initrd', 'sysinit', 'ready'], ['sysinit', 'ready']]) {
    assert.deepEqual(attested(phases), [], phases.join());
  }
  for (const others of [['ready'], ['enter-initrd', 'sysinit'], ['enter-initrd', 'evil']]) {
    assert.deepEqual(attested(others), ['boot.event-unproven'], others.join());
  }
});
