import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BootEvent, BootLog } from '../../boot/index.ts';
import { digest } from '../../bytes/index.ts';
import { bootReference } from '../boot-section.ts';
import { type BootComponent, BootMerger, judgeComponents, mergeBoots, quirksOf } from './index.ts';

const EV_S_CRTM_VERSION = 8;
const EV_SEPARATOR = 4;
const EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003;
const EV_EFI_VARIABLE_BOOT = 0x80000002;
const EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001;
const EV_EVENT_TAG = 6;
const INITRD = Uint8Array.of(0xec, 0x22, 0x3b, 0x8f, 0, 0, 0, 0);
const OPTIONS = Uint8Array.of(0xed, 0x22, 0x3b, 0x8f, 0, 0, 0, 0);
const GLOBAL = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex');
const ALL = new Set([0, 1, 4, 5, 7, 9]);

type Part = Omit<BootEvent, 'index' | 'offset'>;

/** An event whose digest is over `content`; left out: over its data. */
function event(pcr: number, type: number, data: Uint8Array, content: Uint8Array | string = data): Part {
  const value = digest('sha256', Buffer.from(content));
  return { pcr, type, digests: [{ tpmAlg: 0xb, algorithm: 'sha256', value }], data };
}

function logOf(parts: readonly Part[]): BootLog {
  const events = parts.map((part, index): BootEvent => ({ ...part, index, offset: 0 }));
  const specId = { platformClass: 0, versionMajor: 2, versionMinor: 0, errata: 0, uintnSize: 2 } as const;
  const algorithms = [{ tpmAlg: 0xb, size: 32 }];
  return { format: 'agile', specId: { ...specId, algorithms, vendorInfo: new Uint8Array() }, events, padding: 0 };
}

function variable(name: string, data: Uint8Array): Buffer {
  const head = Buffer.alloc(32);
  GLOBAL.copy(head);
  head.writeBigUInt64LE(BigInt(name.length), 16);
  head.writeBigUInt64LE(BigInt(data.length), 24);
  return Buffer.concat([head, Buffer.from(name, 'utf16le'), data]);
}

const none = new Uint8Array();
const kernelParts = (kernel: string, initrd: string): Part[] => [
  event(0, EV_S_CRTM_VERSION, none, 'firmware'),
  event(4, EV_EFI_BOOT_SERVICES_APPLICATION, none, kernel),
  event(9, EV_EVENT_TAG, OPTIONS, 'quiet'),
  event(9, EV_EVENT_TAG, INITRD, initrd),
];
const boot = (kernel: string, initrd: string): BootLog => logOf(kernelParts(kernel, initrd));

const brief = (components: readonly BootComponent[], log: BootLog, proven: ReadonlySet<number> = ALL): string[] =>
  judgeComponents(components, log, 'sha256', proven).map(({ kind, component }) => `${kind} ${component}`);

test('an observed boot is explained; a changed part is named with its event', () => {
  const reference = mergeBoots([boot('k1', 'i1')]);
  assert.deepEqual(judgeComponents(reference, boot('k1', 'i1'), 'sha256', ALL), []);
  assert.deepEqual(judgeComponents(reference, boot('k1', 'evil'), 'sha256', ALL), [
    { kind: 'unknown-variant', component: 'initrd (PCR 9)', pcr: 9, event: 3, known: ['1'] },
  ]);
  assert.deepEqual(judgeComponents(reference, boot('k1', 'evil'), 'sha256', new Set([0, 4])), []);
});

test('a kernel goes only with the initrds that it was seen with', () => {
  const reference = mergeBoots([boot('k1', 'i1'), boot('k2', 'i2')]);
  assert.deepEqual(brief(reference, boot('k2', 'i2')), []);
  const [found, ...more] = judgeComponents(reference, boot('k2', 'i1'), 'sha256', ALL);
  assert.equal(more.length, 0);
  assert.ok(found?.kind === 'not-together');
  assert.deepEqual(
    [found.component, found.variant, found.other, found.allowed],
    ['kernel (PCR 4)', '2', 'initrd (PCR 9)', ['2']],
  );
});

test('a missing part, an added part and a bank without digests are differences', () => {
  const reference = mergeBoots([boot('k1', 'i1')]);
  const whole = boot('k1', 'i1');
  const cut = logOf(kernelParts('k1', 'i1').slice(0, 3));
  assert.deepEqual(brief(reference, cut), ['missing initrd (PCR 9)']);
  assert.deepEqual(brief(mergeBoots([cut]), whole), ['unknown-component initrd (PCR 9)']);
  assert.equal(judgeComponents(reference, whole, 'sha384', ALL).length, 4);
});

test('a PCR that no approved boot extended stays empty, and one that is left out is not judged', () => {
  const rom = logOf([...kernelParts('k1', 'i1'), event(2, EV_EFI_BOOT_SERVICES_APPLICATION, none, 'rom')]);
  const reference = mergeBoots([boot('k1', 'i1')]);
  assert.deepEqual(brief(reference, rom, new Set([2])), ['unknown-component option ROMs (PCR 2)']);
  const merger = new BootMerger();
  merger.addLog(boot('k1', 'i1'));
  assert.deepEqual(brief(merger.finish(new Set([0, 4, 9])), rom, new Set([2])), []);
});

test('a loader that was approved with Secure Boot does not start without it', () => {
  const secure = (on: number, loader: string): BootLog =>
    logOf([
      event(7, EV_EFI_VARIABLE_DRIVER_CONFIG, variable('SecureBoot', Uint8Array.of(on))),
      event(4, EV_EFI_BOOT_SERVICES_APPLICATION, none, loader),
    ]);
  const reference = mergeBoots([secure(1, 'signed'), secure(0, 'own')]);
  assert.deepEqual(
    reference.find(({ name }) => name === 'Secure Boot (PCR 7)')?.variants.map(({ name }) => name),
    ['on', 'off'],
  );
  assert.deepEqual(brief(reference, secure(1, 'signed')), []);
  assert.deepEqual(brief(reference, secure(0, 'signed')), ['not-together boot loader 1 (PCR 4)']);
});

test('each boot of a fleet is explained by the fleet’s reference, and no other pair of kernel and initrd', () => {
  const pair = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('x', 'y', 'z'));
  fc.assert(
    fc.property(fc.array(pair, { minLength: 1, maxLength: 6 }), pair, (fleet, [kernel, initrd]) => {
      const made = mergeBoots(fleet.map(([k, i]) => boot(k, i)));
      const read = bootReference(JSON.parse(JSON.stringify({ pcrs: {}, events: [], components: made })), '$.boot');
      const known = fleet.some(([k, i]) => k === kernel && i === initrd);
      assert.equal(brief(read.components ?? [], boot(kernel, initrd)).length === 0, known);
    }),
    { numRuns: 200 },
  );
});

/** `HD(1,GPT,…)/File(\EFI\debian\shimx64.efi)` on some disk. */
function loadOption(description: string, disk: number, file = '\\EFI\\debian\\shimx64.efi'): Buffer {
  const partition = Buffer.alloc(42);
  Buffer.from([4, 1, 42, 0, 1]).copy(partition);
  partition.fill(disk, 24, 40);
  partition[40] = 2;
  partition[41] = 2;
  const name = Buffer.from(`${file}\0`, 'utf16le');
  const node = Buffer.concat([Buffer.from([4, 4, (4 + name.length) & 0xff, (4 + name.length) >> 8]), name]);
  const path = Buffer.concat([partition, node, Buffer.from([0x7f, 0xff, 4, 0])]);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(1, 0);
  head.writeUInt16LE(path.length, 4);
  return Buffer.concat([head, Buffer.from(`${description}\0`, 'utf16le'), path]);
}

interface Options {
  readonly pcr?: number;
  /** The digest is over the data alone, as the profile has it. */
  readonly dataOnly?: boolean;
  readonly before?: readonly Part[];
}

/** Boot options, first to last, from number `from` on. */
function optionsLog(
  options: readonly Buffer[],
  from: number,
  { pcr = 1, dataOnly, before = [] }: Options = {},
): BootLog {
  const numbers = Buffer.alloc(options.length * 2);
  for (const i of options.keys()) numbers.writeUInt16LE(from + i, i * 2);
  const measured = (name: string, data: Buffer): Part => {
    const whole = variable(name, data);
    return event(pcr, EV_EFI_VARIABLE_BOOT, whole, dataOnly === true ? data : whole);
  };
  const named = options.map((data, i) =>
    measured(`Boot${(from + i).toString(16).toUpperCase().padStart(4, '0')}`, data),
  );
  return logOf([...before, measured('BootOrder', numbers), ...named]);
}

const DEBIAN = loadOption('debian', 1);

test('boot options mean the same under other numbers, on another disk, with a card of another address', () => {
  const card = (mac: string): Buffer => loadOption(`UEFI: PXE IP4 Card - ${mac}`, 1);
  const reference = mergeBoots([optionsLog([DEBIAN, card('0CC47AFF601C')], 0)]);
  assert.deepEqual(brief(reference, optionsLog([loadOption('debian', 9), card('0CC47AFF99FF')], 5)), []);
  assert.deepEqual(brief(reference, optionsLog([card('0CC47AFF601C'), DEBIAN], 0)), [
    'unknown-variant boot options (PCR 1)',
  ]);
  const usb = loadOption('USB', 1, '\\EFI\\BOOT\\BOOTX64.EFI');
  const [order, option] = judgeComponents(reference, optionsLog([DEBIAN, card('0CC47AFF601C'), usb], 0), 'sha256', ALL);
  assert.deepEqual(
    [order, option].map((found) => found !== undefined && 'event' in found && found.event),
    [0, 3],
  );
});

test('where a digest leaves the name out, a boot order is its numbers and an option still its content', () => {
  const reference = mergeBoots([optionsLog([DEBIAN], 0, { dataOnly: true })]);
  assert.deepEqual(brief(reference, optionsLog([loadOption('debian', 9)], 0, { dataOnly: true })), []);
  const [found, ...more] = judgeComponents(reference, optionsLog([DEBIAN], 5, { dataOnly: true }), 'sha256', ALL);
  assert.equal(more.length, 0);
  assert.ok(found?.kind === 'unknown-variant' && found.event === 0);
});

test('a boot option whose digest is not over it has no meaning', () => {
  const reference = mergeBoots([optionsLog([DEBIAN], 0)]);
  const log = optionsLog([DEBIAN], 0);
  const [order, option] = log.events;
  assert.ok(order !== undefined && option !== undefined);
  const forged = { ...event(1, EV_EFI_VARIABLE_BOOT, option.data, 'something else'), index: 1, offset: 0 };
  const found = judgeComponents(reference, { ...log, events: [order, forged] }, 'sha256', ALL);
  // Without the option behind its number the order has another meaning, too.
  assert.deepEqual(
    found.map((difference) => 'event' in difference && difference.event),
    [0, 1],
  );
});

/** UEFI_HANDOFF_TABLE_POINTERS with SMBIOS3's GUID. */
function handoff(address: number, digested: string): Part {
  const data = Buffer.alloc(32);
  data.writeUInt8(1);
  Buffer.from('4415fdf294972c4a992ee5bbcf20e394', 'hex').copy(data, 8);
  data.writeUInt32LE(address, 24);
  return event(1, 0x80000009, data, digested);
}

test('hand-off tables are compared by digest, wherever the log says that they lie', () => {
  const tables = mergeBoots([logOf([handoff(0x1000, 'tables')])]);
  assert.deepEqual(brief(tables, logOf([handoff(0x2000, 'tables')])), []);
  assert.deepEqual(brief(tables, logOf([handoff(0x1000, 'others')])), ['unknown-variant hand-off tables (PCR 1)']);
});

const version = (text: string, content: string | Uint8Array = Buffer.from(text)): Part =>
  event(0, EV_S_CRTM_VERSION, Buffer.from(text), content);

test('a quirk applies where PCR 0 vouches for its firmware, and only where it changes something', () => {
  const log = (before: readonly Part[], pcr = 5): BootLog => optionsLog([DEBIAN], 0, { pcr, before });
  const names = (of: BootLog, proven: ReadonlySet<number> = ALL): string[] =>
    quirksOf(of, 'sha256', proven).map(({ name }) => name);
  const thinkpad = log([version('N24ET56W ')]);
  assert.deepEqual(names(thinkpad), ['thinkpad-boot-options-pcr5']);
  assert.deepEqual(names(log([version('N24ET56W ')], 1)), []);
  assert.deepEqual(names(log([version('N99ET56W ')])), []);
  assert.deepEqual(names(log([version('N24ET56W ', 'another')])), []);
  assert.deepEqual(names(thinkpad, new Set([5])), []);
  const reference = mergeBoots([thinkpad]);
  assert.deepEqual(
    brief(reference, optionsLog([loadOption('debian', 9)], 3, { pcr: 5, before: [version('N24ET56W ')] })),
    [],
  );
  assert.notDeepEqual(brief(reference, optionsLog([DEBIAN], 3, { pcr: 5, before: [version('N99ET56W ')] })), []);
});

test('no payload that a log may hold keeps a boot from being judged', () => {
  const types = [
    EV_S_CRTM_VERSION,
    EV_SEPARATOR,
    EV_EVENT_TAG,
    EV_EFI_VARIABLE_BOOT,
    0x8000000c,
    0x80000009,
    0x8000000d,
  ];
  const part = fc.record({
    pcr: fc.constantFrom(0, 1, 4, 5, 7, 8, 9, 11),
    type: fc.constantFrom(...types, 13, EV_EFI_BOOT_SERVICES_APPLICATION, EV_EFI_VARIABLE_DRIVER_CONFIG, 0x800000e0),
    data: fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ maxLength: 40 }).map((data) => variable('Boot0001', data)),
    ),
  });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const log = logOf(parts.map(({ pcr, type, data }) => event(pcr, type, data)));
      const made = mergeBoots([log]);
      const read = bootReference(JSON.parse(JSON.stringify({ pcrs: {}, events: [], components: made })), '$.boot');
      assert.deepEqual(judgeComponents(read.components ?? [], log, 'sha256', ALL), []);
    }),
    { numRuns: 300 },
  );
});

test('a log of very many unknown boot options is judged to its end', () => {
  const option = event(1, EV_EFI_VARIABLE_BOOT, variable('Boot0001', none));
  const found = judgeComponents(
    mergeBoots([optionsLog([DEBIAN], 0)]),
    logOf(Array(150_000).fill(option)),
    'sha256',
    ALL,
  );
  assert.equal(found.filter(({ kind }) => kind === 'unknown-variant').length, 150_000);
});

test('what is left out is tied to by nothing', () => {
  const merger = new BootMerger();
  for (const log of [boot('k1', 'i1'), boot('k2', 'i2')]) merger.addLog(log);
  for (const components of [
    merger.finish(new Set([0, 4])),
    merger.finish(undefined, new Map([['initrd (PCR 9)', 'grows']])),
  ]) {
    const read = bootReference(JSON.parse(JSON.stringify({ pcrs: {}, events: [], components })), '$.boot');
    assert.deepEqual(brief(read.components ?? [], boot('k2', 'i1')), []);
  }
});

test('a component that appears later was absent before', () => {
  const separator = event(5, EV_SEPARATOR, Buffer.alloc(4));
  const reference = mergeBoots([logOf([]), logOf([separator])]);
  assert.deepEqual(brief(reference, logOf([])), []);
  assert.deepEqual(brief(reference, logOf([separator])), []);
  assert.deepEqual(brief(reference, logOf([separator, separator])), ['unknown-variant boot actions (PCR 5)']);
});

test('the boot section is refused where its components contradict themselves', () => {
  const component = { name: 'a (PCR 4)', pcr: 4, match: 'whole', variants: [{ name: '1', events: [], only: {} }] };
  const section = (...components: unknown[]): unknown => ({ pcrs: {}, events: [], components });
  assert.ok(bootReference(section(component), '$'));
  const variants = (only: object): unknown => ({ ...component, variants: [{ name: '1', events: [], only }] });
  for (const [bad, place] of [
    [section(component, component), /\[1\]\.name: stands twice/],
    [section({ ...component, pcr: 24 }), /\[0\]\.pcr/],
    [section({ ...component, match: 'some' }), /\[0\]\.match/],
    [section({ ...component, match: 'each' }), /must be one event/],
    [section(variants({ 'a (PCR 4)': ['2'] })), /has no variant '2'/],
    [section(variants({ 'b (PCR 4)': ['1'] })), /is no component that is judged/],
    [section(variants({ 'a (PCR 4)': [] })), /is empty/],
    [section({ ...component, variants: [{ name: '1', events: [{ digests: { sha256: 'ab' } }], only: {} }] }), /64 hex/],
    [section({ ...component, variants: [...component.variants, ...component.variants] }), /one name twice/],
  ] as const) {
    assert.throws(() => bootReference(bad, '$'), place);
  }
});
