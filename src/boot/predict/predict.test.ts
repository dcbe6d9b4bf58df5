import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agileLog, specIdPayload, type TestEvent } from '../../../test/fixtures/boot-logs.ts';
import { makePe } from '../../../test/fixtures/pe-image.ts';
import { digest } from '../../bytes/index.ts';
import type { BootLog } from '../log.ts';
import { parseBootLog } from '../parse.ts';
import type { BootFile } from './measurement.ts';
import { predictBoot } from './predict.ts';
import { mokMeasurements, variableData } from './secure-boot.ts';
import { machineOwner } from './secure-boot-pcrs.ts';
import type { BootModel, BootWay } from './ways.ts';

const SHA256 = 0x000b;
const GLOBAL = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex');
const event = (pcr: number, type: number, data: Uint8Array, measured: Uint8Array = data): TestEvent => ({
  pcr,
  type,
  digests: [[SHA256, digest('sha256', measured)]],
  data,
});
const logOf = (...events: readonly TestEvent[]): BootLog =>
  parseBootLog(agileLog(specIdPayload([[SHA256, 32]]), events));
const variable = (name: string, data: Uint8Array, measured = data): TestEvent =>
  event(7, 0x80000001, variableData(GLOBAL, name, data), variableData(GLOBAL, name, measured));
const OFF = ['SecureBoot', 'PK', 'KEK', 'db', 'dbx'].map((name) =>
  variable(name, name === 'SecureBoot' ? Buffer.of(0) : Buffer.alloc(0)),
);
/** UEFI_IMAGE_LOAD_EVENT with a file's path. */
function imageLoad(path: string): TestEvent {
  const text = Buffer.from(`${path}\0`, 'utf16le');
  const node = Buffer.concat([Buffer.from([4, 4, text.length + 4, 0]), text, Buffer.from('7fff0400', 'hex')]);
  const head = Buffer.alloc(32);
  head.writeBigUInt64LE(BigInt(node.length), 24);
  return event(4, 0x80000003, Buffer.concat([head, node]), Buffer.from(path));
}
const magic = (program: string) => ({
  name: '.sdmagic',
  content: Buffer.from(`#### LoaderInfo: ${program} 252.39-1 ####\0`),
});
const file = (name: string, bytes: Uint8Array): BootFile => ({ name, bytes });
const LOADER = file('esp/EFI/systemd/systemd-bootx64.efi', makePe([magic('systemd-boot')]));
const KERNEL = makePe([{ name: '.text', content: Buffer.from('kernel') }]);
const entry = (text: string): BootWay => ({
  way: 'systemd-boot',
  loader: LOADER,
  loads: {
    entry: file('a.conf', Buffer.from(text)),
    file: (path) => (path === '/vmlinuz' || path === '/initrd' ? file(path, KERNEL) : undefined),
  },
});
const BOOT = entry('linux /vmlinuz\noptions quiet\n');
const started = [imageLoad('\\EFI\\systemd\\systemd-bootx64.efi'), imageLoad('\\vmlinuz')];
const stub = [event(9, 6, Buffer.from('load options')), event(12, 0x0d, Buffer.from('quiet\0', 'utf16le'))];
const BASE = logOf(...OFF, ...started, ...stub);

test('a boot that its base log describes is predicted without a warning', () => {
  const { pcrs, refusals, warnings } = predictBoot({ boot: BOOT, base: BASE });
  assert.deepEqual({ refusals, warnings }, { refusals: [], warnings: [] });
  assert.deepEqual(Object.keys(pcrs.sha256 ?? {}), ['4', '7', '9', '12']);
});

test('a variable that no PCR holds is refused: it would change nothing, in silence', () => {
  const variables = { DB: Buffer.from('x') };
  assert.throws(() => predictBoot({ boot: BOOT, base: BASE, variables }), /measures no variable DB into PCR 7/);
  assert.throws(() => predictBoot({ boot: BOOT, base: undefined, variables: { db: Buffer.alloc(0) } }), /needs a log/);
  const switched = predictBoot({ boot: BOOT, base: undefined, variables: { SecureBoot: Buffer.of(1) } });
  assert.deepEqual(Object.keys(switched.pcrs.sha256 ?? {}), ['9', '12']);
});

test('a variable that is not in its form is refused: a copy out of efivarfs has attributes before it', () => {
  const given = (name: string, data: Uint8Array) => () =>
    predictBoot({ boot: BOOT, base: BASE, variables: { [name]: data } });
  assert.throws(given('SecureBoot', Buffer.from([6, 0, 0, 0, 1])), /SecureBoot is no byte 0 or 1, but 5 bytes/);
  assert.throws(given('db', Buffer.from([7, 0, 0, 0, 1])), /variable db: list, type/);
});

test('Secure Boot is believed of a base log only where it was measured, once', () => {
  const lie = logOf(variable('SecureBoot', Buffer.of(0), Buffer.of(1)), ...OFF.slice(1), ...started, ...stub);
  assert.throws(() => predictBoot({ boot: BOOT, base: lie }), /event 1: does not vouch for variable SecureBoot/);
  const twice = logOf(...OFF, variable('SecureBoot', Buffer.of(1)), ...started, ...stub);
  assert.throws(
    () => predictBoot({ boot: BOOT, base: twice }),
    /event 6: variable SecureBoot is measured a second time/,
  );
});

test('a loader that the base log started from elsewhere, and a base log that contradicts itself, are warned of', () => {
  const elsewhere = logOf(...OFF, imageLoad('\\EFI\\BOOT\\BOOTX64.EFI'), imageLoad('\\vmlinuz'), ...stub);
  assert.deepEqual(predictBoot({ boot: BOOT, base: elsewhere }).warnings, [
    'base log, event 6: started \\EFI\\BOOT\\BOOTX64.EFI, and not esp/EFI/systemd/systemd-bootx64.efi: see that this is what will be started',
  ]);
  const locality = (value: number) => event(0, 3, Buffer.from(`StartupLocality\0${String.fromCharCode(value)}`));
  const doubtful = logOf(locality(3), locality(4), ...OFF, ...started, ...stub);
  assert.match(
    predictBoot({ boot: BOOT, base: doubtful }).warnings.join(),
    /base log: StartupLocality events contradict/,
  );
});

test('what the stub takes from the partition beside the image is refused by its name', () => {
  const uki = file('a.efi', makePe([magic('systemd-stub'), { name: '.linux', content: KERNEL }]));
  const { refusals } = predictBoot({
    boot: { way: 'uki', uki, companions: ['loader/credentials/key.cred'] },
    base: undefined,
  });
  const named = refusals.filter(({ reason }) => reason.startsWith('loader/credentials/key.cred: '));
  assert.deepEqual(
    named.map(({ pcr }) => pcr),
    [9, 12, 13],
  );
});

test('entries are read as systemd-boot reads them, and what it reads in another way is refused by its line', () => {
  const predicted = (text: string) => predictBoot({ boot: entry(text), base: undefined }).pcrs.sha256;
  const plain = predicted('linux /vmlinuz\noptions a b\n');
  assert.deepEqual(predicted('# one\r\n  linux\t/vmlinuz  \r\n\r\noptions a\r\noptions  b\r\n'), plain);
  assert.notDeepEqual(predicted('linux /vmlinuz\ninitrd /initrd\noptions a b\n'), plain);
  const refused: readonly (readonly [text: string, message: RegExp])[] = [
    ['linux /vmlinuz\noptions "a b"\n', /a\.conf, line 2: a value in quotation marks/],
    ['title x\ndevicetree /a.dtb\nlinux /vmlinuz\n', /a\.conf, line 2: 'devicetree' is not followed/],
    ['linux /vmlinuz\nlinux /other\n', /names not one kernel/],
    ['title x\n', /names not one kernel/],
    ['linux /other\n', /\/other is not there/],
    ['linux /vmlinuz\noptions a \u00e4\n', /how this command line is passed on/],
    [`linux /vmlinuz\n#${'x'.repeat(1 << 17)}\n`, /an entry of 131089 bytes/],
  ];
  for (const [text, message] of refused) assert.throws(() => predicted(text), message);
});

test('an entry of very many blanks costs no more than its length', () => {
  const blanks = ' '.repeat(60_000);
  const { pcrs } = predictBoot({ boot: entry(`linux /vmlinuz\noptions a${blanks}b\n`), base: undefined });
  assert.equal(typeof pcrs.sha256?.['12'], 'string');
});

test('an image that is none is refused by its name', () => {
  const loader = { ...LOADER, bytes: Buffer.from('no image') };
  assert.throws(
    () => predictBoot({ boot: { way: 'systemd-boot', loader, loads: { uki: LOADER } }, base: undefined }),
    /systemd-bootx64\.efi: DOS header/,
  );
});

test('a machine owner’s list that is not given must be shown to be empty, each by itself', () => {
  const lists = { allowed: Buffer.from('vendor'), denied: Buffer.from('denied') };
  const shim = file('shim', makePe([]));
  const model = (given: readonly string[]): BootModel => {
    const owner = { mokList: Buffer.from(given.includes('MokList') ? 'mine' : ''), mokListX: Buffer.alloc(0) };
    return {
      ...{ images: [], refusals: [], warnings: [] },
      measurements: mokMeasurements(shim, lists, owner),
      shim: { lists, owner, given },
    };
  };
  const mok = (name: string, content: string) => event(14, 0x0d, Buffer.from(`${name}\0`), Buffer.from(content));
  const none = logOf(mok('MokList', 'vendor'), mok('MokListX', 'denied'));
  const revoked = logOf(mok('MokList', 'vendor'), mok('MokListX', 'denied and more'));
  assert.equal(machineOwner(model([]), none).length, 2);
  assert.equal(machineOwner(model(['MokList']), none).length, 2);
  assert.throws(() => machineOwner(model(['MokList']), revoked), /event 2: MokListX holds more than shim’s own/);
  assert.equal(machineOwner(model(['MokList', 'MokListX']), revoked).length, 2);
});
