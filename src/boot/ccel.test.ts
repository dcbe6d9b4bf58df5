import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, sha1Log, specIdPayload, type TestEvent } from '../../test/fixtures/boot-logs.ts';
import { digest, toHex } from '../bytes/index.ts';
import { isCcelTable, isCcLog, replayCcLog, tellCcBoot } from './ccel.ts';
import { parseBootLog } from './parse.ts';

const SHA384 = 0x000c;

function event(pcr: number, type: number, data: Uint8Array | string, hashed: Uint8Array | string = data): TestEvent {
  return { pcr, type, digests: [[SHA384, digest('sha384', Buffer.from(hashed))]], data: Buffer.from(data) };
}

/** As TDVF writes it: the Spec ID event under index 1, and the log area filled up. */
function ccLog(...events: TestEvent[]) {
  const bytes = agileLog(specIdPayload([[SHA384, 48]]), events);
  bytes.writeUInt32LE(1, 0);
  return parseBootLog(Buffer.concat([bytes, Buffer.alloc(64, 0xff)]));
}

const variable = (name: string, data: Uint8Array): Buffer => {
  const head = Buffer.alloc(32);
  Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex').copy(head);
  head.writeBigUInt64LE(BigInt(name.length), 16);
  head.writeBigUInt64LE(BigInt(data.length), 24);
  return Buffer.concat([head, Buffer.from(name, 'utf16le'), data]);
};
const SECURE_BOOT = event(1, 0x80000001, variable('SecureBoot', Buffer.of(1)));
const BOOT_ORDER = event(1, 0x80000002, variable('BootOrder', Buffer.of(1, 0)));
const EXIT = event(2, 0x80000007, 'Exit Boot Services Invocation');
const GRUB = event(3, 0x0d, 'grub_cmd: set default=2\0', 'set default=2');
const LOG = ccLog(SECURE_BOOT, BOOT_ORDER, EXIT, GRUB);

test("a log under registers is told by its first event's index, and by no index above the last register", () => {
  assert.ok(isCcLog(LOG));
  const asPcrs = parseBootLog(agileLog(specIdPayload([[SHA384, 48]]), [SECURE_BOOT]));
  assert.ok(!isCcLog(asPcrs));
  assert.ok(!isCcLog(ccLog(SECURE_BOOT, event(7, 4, Buffer.alloc(4)))));
  assert.ok(!isCcLog(parseBootLog(sha1Log([{ pcr: 1, type: 4, digests: [], data: Buffer.alloc(4) }]))));
});

test('each RTMR begins at zero and has the events of its index plus one', () => {
  const extend = (...events: TestEvent[]): string => {
    let value: Uint8Array = Buffer.alloc(48);
    for (const { digests } of events) value = digest('sha384', value, digests[0]?.[1] ?? Buffer.alloc(0));
    return toHex(value);
  };
  assert.deepEqual(replayCcLog(LOG), {
    registers: { sha384: { RTMR0: extend(SECURE_BOOT, BOOT_ORDER), RTMR1: extend(EXIT), RTMR2: extend(GRUB) } },
    strays: [],
  });
});

test('what says to be in MRTD is in no value, and is named', () => {
  assert.deepEqual(replayCcLog(ccLog(event(0, 8, 'x'), event(0, 3, 'remark'))), {
    registers: { sha384: {} },
    strays: [1],
  });
});

test('a boot under registers is told in the same stages, each line under its register', () => {
  const { events, story } = tellCcBoot(LOG);
  assert.deepEqual(
    story.map(({ stage, lines }) => [stage, lines.map(({ pcr, text, vouched }) => [pcr, text, vouched])]),
    [
      ['configuration', [[1, 'crypto-agile log, version 2.0 errata 0', 'no-payload-rule']]],
      ['secure-boot', [[1, 'SecureBoot is on', 'digest']]],
      ['boot-manager', [[1, 'BootOrder: Boot0001', 'digest']]],
      ['loader', [[3, "GRUB ran 'set default=2'", 'digest']]],
      ['kernel', [[2, 'Exit Boot Services Invocation', 'digest']]],
    ],
  );
  assert.deepEqual(
    events.map(({ pcr }) => pcr),
    [1, 1, 1, 2, 3],
  );
});

test('the ACPI table is no log', () => {
  const table = Buffer.alloc(56);
  table.write('CCEL');
  assert.ok(isCcelTable(table));
  assert.ok(!isCcelTable(table.subarray(1)));
  assert.ok(!isCcelTable(Buffer.alloc(56)));
});
