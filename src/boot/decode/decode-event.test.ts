import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { agileLog, corpusLogs, needsCorpus, specIdPayload } from '../../../test/fixtures/boot-logs.ts';
import { ByteWriter, digest } from '../../bytes/index.ts';
import { EventType } from '../event-types.ts';
import { parseBootLog } from '../parse.ts';
import { decodeEvent, decodeLog } from './decode-event.ts';
import type { DecodedEvent } from './decoded-event.ts';

const SHA256 = 0x000b;

/** One event behind a Spec ID event, decoded; its digest is the payload's unless given. */
function decoded(pcr: number, type: number, data: Uint8Array, hashed = data): DecodedEvent {
  const event = { pcr, type, digests: [[SHA256, digest('sha256', hashed)]] as const, data: Buffer.from(data) };
  const log = parseBootLog(agileLog(specIdPayload([[SHA256, 32]]), [event]));
  const [, last] = log.events;
  assert.ok(last !== undefined);
  return decodeEvent(last, log);
}

test('every payload of the corpus is in the form of its type', needsCorpus, () => {
  for (const { name, bytes } of corpusLogs()) {
    const events = decodeLog(parseBootLog(bytes));
    for (const { index, typeName, payload } of events) {
      const isValueWrong = payload.kind === 'variable' && payload.value?.kind === 'undecodable';
      assert.ok(payload.kind !== 'undecodable' && !isValueWrong, `${name}, event ${index}, ${typeName}`);
    }
  }
});

test('any bytes under any type give a value, and one that is undecodable names a place inside the log', () => {
  const types = fc.oneof(fc.constantFrom(...Object.values(EventType)), fc.nat(0x20));
  const tail = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(fc.nat(23), types, fc.uint8Array({ maxLength: 60 }), tail, (pcr, type, head, rest) => {
      const data = Buffer.concat([head, rest]);
      const { payload } = decoded(pcr, type, data);
      if (payload.kind === 'undecodable') assert.ok(payload.offset <= 4096 && payload.reason.length > 0);
    }),
    { numRuns: 300 },
  );
});

test('what the digest is over is told apart from a remark and from a contradiction', () => {
  const text = Buffer.from('Exit Boot Services Invocation');
  const kinds = [
    decoded(5, EventType.EV_EFI_ACTION, text),
    decoded(5, EventType.EV_EFI_ACTION, text, Buffer.from('other')),
    decoded(0, EventType.EV_NO_ACTION, text),
    decoded(9, EventType.EV_IPL, Buffer.from('(hd0,gpt2)/vmlinuz\0'), Buffer.from('the file')),
  ];
  assert.deepEqual(
    kinds.map(({ vouched }) => vouched),
    ['digest', 'differs', 'no-payload-rule', 'no-payload-rule'],
  );
  assert.deepEqual(kinds[0]?.payload, { kind: 'action', action: 'exit-boot-services', text: text.toString() });
  assert.deepEqual(kinds[3]?.payload, { kind: 'ipl', role: 'grub-file', text: '(hd0,gpt2)/vmlinuz' });
});

test('only what stands where GRUB measures it is a command line of GRUB’s', () => {
  const text = Buffer.from('kernel_cmdline: ro ima_appraise=enforce\0');
  const measured = text.subarray('kernel_cmdline: '.length, -1);
  const roleIn = (pcr: number, hashed: Buffer) => {
    const { payload, vouched } = decoded(pcr, EventType.EV_IPL, text, hashed);
    return payload.kind === 'ipl' ? [payload.role, payload.text, vouched] : payload.kind;
  };
  assert.deepEqual(roleIn(8, measured), ['kernel-cmdline', 'ro ima_appraise=enforce', 'digest']);
  assert.deepEqual(roleIn(9, measured), ['text', 'kernel_cmdline: ro ima_appraise=enforce', 'no-payload-rule']);
});

test('a payload that ends too early is undecodable at its offset in the log', () => {
  const { payload } = decoded(4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, Buffer.alloc(20));
  const specId = 32 + specIdPayload([[SHA256, 32]]).length;
  assert.equal(payload.kind, 'undecodable');
  // Its head: PCR, type, count, one digest with its algorithm, size; then two of three addresses.
  if (payload.kind === 'undecodable') assert.equal(payload.offset, specId + 4 + 4 + 4 + 2 + 32 + 4 + 16);
});

test('texts and names of a MiB of NULs with something behind cost no more than their length', () => {
  const text = Buffer.concat([Buffer.alloc(1 << 20), Buffer.from('x')]);
  const { payload } = decoded(9, EventType.EV_IPL, text);
  assert.equal(payload.kind, 'unknown');
  const name = Buffer.concat([Buffer.alloc(1 << 20), Buffer.from('x', 'utf16le')]);
  const variable = new ByteWriter()
    .bytes(Buffer.alloc(16))
    .u64le(BigInt(name.length / 2))
    .u64le(0n)
    .bytes(name);
  assert.equal(decoded(7, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, variable.finish()).payload.kind, 'variable');
});

test('separators: boundary, error, text', () => {
  const meaning = (data: Buffer) => {
    const { payload } = decoded(7, EventType.EV_SEPARATOR, data);
    return payload.kind === 'separator' ? payload.meaning : payload.kind;
  };
  assert.equal(meaning(Buffer.alloc(4)), 'boundary');
  assert.equal(meaning(Buffer.alloc(4, 0xff)), 'boundary');
  assert.equal(meaning(Buffer.from([1, 0, 0, 0])), 'error');
  assert.equal(meaning(Buffer.from('WBCL')), 'text');
});

test('SP800-155 events of all three versions, StartupLocality and H-CRTM components are read', () => {
  const counted = (text: string) => Buffer.concat([Buffer.from([text.length + 1]), Buffer.from(`${text}\0`)]);
  const ids = Buffer.concat([Buffer.from([1, 2, 0, 0]), Buffer.alloc(16, 0xab)]);
  const names = ['Maker', 'Model', '1.0', 'Firm'].map(counted);
  const second = Buffer.concat([ids, ...names, Buffer.from([3, 0, 0, 0]), counted('2.0')]);
  const locator = (text: string) => Buffer.concat([Buffer.from([1, 0, 0, 0, text.length, 0, 0, 0]), Buffer.from(text)]);
  const read = (signature: string, ...parts: Buffer[]) =>
    decoded(0, EventType.EV_NO_ACTION, Buffer.concat([Buffer.from(signature), ...parts])).payload;
  const guid = 'abababab-abab-abab-abab-abababababab';
  assert.deepEqual(read('SP800-155 Event\0', ids), {
    kind: 'sp800-155',
    version: 1,
    manufacturerId: 0x201,
    referenceManifestGuid: guid,
  });
  const third = read('SP800-155 Event3', second, locator('https://x'), locator(''));
  assert.ok(third.kind === 'sp800-155' && third.version === 3);
  assert.deepEqual(third.platform, { manufacturer: 'Maker', model: 'Model', version: '1.0' });
  assert.deepEqual(third.firmware, { manufacturer: 'Firm', manufacturerId: 3, version: '2.0' });
  assert.equal(third.rimLocator?.text, 'https://x');
  assert.equal(read('SP800-155 Event2', second).kind, 'sp800-155');
  assert.deepEqual(read('StartupLocality\0', Buffer.from([3])), { kind: 'startup-locality', locality: 3 });
  const component = read('H-CRTM CompMeas\0', counted('ACM'), Buffer.from([0, 2, 0, 9, 9]));
  assert.ok(component.kind === 'hcrtm-component');
  assert.equal(component.description, 'ACM');
  assert.deepEqual([...component.measurement], [9, 9]);
});

const PCI_PATH = Buffer.from('02010c00d041030a000000000101060000037fff0400', 'hex');

test('what devices say of themselves over SPDM is read in both versions', () => {
  const first = new ByteWriter().bytes(Buffer.from('SPDM Device Sec\0')).u16le(0).u16le(0).u32le(0x0b).u32le(1);
  first
    .u8(1)
    .u8(1)
    .u16le(3)
    .bytes(Buffer.from('abc'))
    .u64le(22n)
    .bytes(PCI_PATH)
    .bytes(Buffer.from([7]));
  const second = new ByteWriter().bytes(Buffer.from('SPDM Device Sec2')).u16le(2).u8(0).u8(0).u32le(0).u32le(2);
  second.u32le(0).u32le(3).u64le(9n).u64le(22n).bytes(PCI_PATH).bytes(Buffer.from('abc'));
  for (const [version, writer, name] of [
    [1, first, 'PCI'],
    [2, second, 'USB'],
  ] as const) {
    const { payload } = decoded(2, EventType.EV_EFI_SPDM_FIRMWARE_BLOB, writer.finish());
    assert.ok(payload.kind === 'spdm', payload.kind);
    assert.deepEqual([payload.version, payload.deviceTypeName], [version, name]);
    assert.equal(payload.devicePath.text, 'PciRoot(0x0)/Pci(0x3,0x0)');
    assert.equal(Buffer.from(payload.measurement).toString(), 'abc');
  }
});

test('firmware blobs, hand-off tables and tagged events are read in their forms', () => {
  const blob = new ByteWriter().u8(4).bytes(Buffer.from('POST')).u64le(0x1000n).u64le(0x20n).finish();
  assert.deepEqual(decoded(0, EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2, blob).payload, {
    kind: 'firmware-blob',
    description: 'POST',
    address: 0x1000n,
    length: 0x20n,
  });
  const smbios = Buffer.from('312d9deb882dd3119a160090273fc14d', 'hex');
  const tables = new ByteWriter().u64le(1n).bytes(smbios).u64le(0xf0000n).finish();
  const { payload: handoff } = decoded(1, EventType.EV_EFI_HANDOFF_TABLES, tables);
  assert.ok(handoff.kind === 'handoff-tables');
  assert.deepEqual(handoff.tables, [
    { guid: 'eb9d2d31-2d88-11d3-9a16-0090273fc14d', name: 'SMBIOS table', address: 0xf0000n },
  ]);
  const many = new ByteWriter().u64le(0xffffffffffffffffn).bytes(smbios).u64le(0n).finish();
  assert.equal(decoded(1, EventType.EV_EFI_HANDOFF_TABLES, many).payload.kind, 'undecodable');
  const tag = new ByteWriter().u32le(0x8f3b22ec).u32le(13).bytes(Buffer.from('Linux initrd\0')).finish();
  const { payload: tagged } = decoded(9, EventType.EV_EVENT_TAG, tag, Buffer.from('the initrd'));
  assert.ok(tagged.kind === 'tagged' && tagged.text === 'Linux initrd');
  assert.match(tagged.name ?? '', /initrd/);
});
