/**
 * Predictions, references and comparisons against PCRs that TPMs held: boots that guests make first, each kept with its log,
 * PCRs and files. With ASSAY_BOOTS they stay in the folder that it names, and are not made again.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { type BootLog, bootState, compareBoots, parseBootLog } from '../../src/boot/index.ts';
import {
  appendedVariable,
  type BootFile,
  type BootWay,
  type GrubDisk,
  predictBoot,
} from '../../src/boot/predict/index.ts';
import { digest, toHex } from '../../src/bytes/index.ts';
import { BootMerger, judgeComponents, mergeBoots, predictedEvents } from '../../src/reference/index.ts';
import { Attestation } from '../fixtures/attestation.ts';
import { toolDiffers, YAML_VERSIONS } from '../fixtures/eventlog-yaml.ts';
import { Machine } from '../fixtures/machine.ts';
import { LINUX_PARTITION, LINUX_UUID } from '../guest/esp.ts';
import { variablesIn } from '../guest/firmware.ts';
import { ALWAYS_WARNED } from '../guest/foresight.ts';
import { makeKeptBoots, PHASES } from '../guest/kept-boots.ts';
import { kernelCommandLine } from '../guest/qemu.ts';
import { requires, requiresPath } from '../system/requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const images = requires('sfdisk', 'mkfs.vfat', 'mcopy', 'objcopy', 'sbsign', 'sbattach', 'openssl');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');
const loaders = requiresPath('ASSAY_BOOT_LOADERS', 'folder of tools/boot-loaders');
const needsBoots = { skip: machine.skip || images.skip || kernel.skip || loaders.skip };

const judge = requiresPath('ASSAY_JUDGE_KERNEL', 'kernel with every integrity feature');
const needsJudge = { skip: needsBoots.skip || judge.skip };

const KEPT = process.env.ASSAY_BOOTS;
const BOOTS = KEPT ?? mkdtempSync(join(tmpdir(), 'assay-boots-'));
/** Some thirty boots, one after the other. */
const MINUTES = 40;
before(() => (needsBoots.skip === false ? makeKeptBoots(BOOTS) : undefined), { timeout: MINUTES * 60_000 });
after(() => {
  if (KEPT === undefined) rmSync(BOOTS, { recursive: true, force: true });
});
const DEVICE = '(hd0,gpt1)';
const Pcrs = Type.Record(Type.String(), Type.Record(Type.String(), Type.String()));

const place = (boot: string, path: string): string => join(BOOTS, boot, path);
const bytesOf = (boot: string, path: string): Buffer => readFileSync(place(boot, path));
const file = (boot: string, path: string): BootFile => ({ name: path, bytes: bytesOf(boot, path) });
const kind = (boot: string, path: string): ReturnType<typeof statSync> =>
  statSync(place(boot, path), { throwIfNoEntry: false });

function wayOf(boot: string): BootWay {
  const onDisk = (folder: string): Pick<GrubDisk, 'file' | 'isDirectory'> => ({
    file: (path) => (kind(boot, `${folder}${path}`)?.isFile() === true ? file(boot, `${folder}${path}`) : undefined),
    isDirectory: (path) => kind(boot, `${folder}${path}`)?.isDirectory() === true,
  });
  const onEsp = onDisk('esp').file;
  const loader = (): BootFile => file(boot, 'esp/EFI/BOOT/BOOTX64.EFI');
  if (boot.startsWith('direct')) {
    const [kernel, initrd] = [file(boot, 'kernel'), file(boot, 'initrd')];
    return { way: 'qemu-kernel', kernel, initrd, commandLine: bytesOf(boot, 'cmdline').toString(), memoryMiB: 1024 };
  }
  if (boot.includes('grub')) {
    const disks = [
      { device: DEVICE, ...onDisk('esp') },
      { device: LINUX_PARTITION, uuid: LINUX_UUID, ...onDisk('linux') },
    ];
    if (boot === 'grub-without-shim') return { way: 'grub', grub: loader(), disks, bootDevice: DEVICE };
    return {
      way: 'shim-grub',
      shim: loader(),
      grub: file(boot, 'esp/EFI/BOOT/grubx64.efi'),
      disks,
      bootDevice: DEVICE,
      owner: undefined,
    };
  }
  if (boot.endsWith('entry')) {
    const entry = file(boot, 'esp/loader/entries/assay.conf');
    return { way: 'systemd-boot', loader: loader(), loads: { entry, file: onEsp } };
  }
  if (boot === 'uki') return { way: 'uki', uki: loader() };
  return { way: 'systemd-boot', loader: loader(), loads: { uki: file(boot, 'esp/EFI/Linux/assay.efi') } };
}

/** boot ← an earlier boot of the machine, whose log is the base. */
const PAIRS = [
  ['direct-debian-kernel', 'direct-debian'],
  ['direct-debian-initrd', 'direct-debian'],
  ['direct-debian-cmdline', 'direct-debian'],
  ['shim-grub-second-boot', 'shim-grub-first-boot'],
  ['shim-grub-initrd', 'shim-grub-first-boot'],
  ['shim-grub-cmdline', 'shim-grub-first-boot'],
  ['debian-grub-entry', 'debian-grub'],
  ['debian-grub-custom', 'debian-grub'],
  ['debian-grub-snakeoil-newer-shim', 'debian-grub-snakeoil'],
  ['systemd-boot-uki-kernel', 'systemd-boot-uki'],
  ['systemd-boot-uki-initrd', 'systemd-boot-uki'],
  ['systemd-boot-uki-cmdline', 'systemd-boot-uki'],
  ['snakeoil-systemd-boot-uki', 'snakeoil-systemd-boot-uki'],
  ['snakeoil-systemd-boot-entry', 'snakeoil-systemd-boot-entry'],
] as const;

for (const [boot, base] of PAIRS) {
  test(`${boot}: what the log of ${base} and the files predict is what the TPM held`, needsBoots, () => {
    const { pcrs, refusals, warnings } = predictBoot({
      boot: wayOf(boot),
      base: parseBootLog(bytesOf(base, 'boot.log')),
    });
    const held = Value.Parse(Pcrs, JSON.parse(bytesOf(boot, 'pcrs.json').toString()));
    const unexpected = warnings.filter((warning) => !ALWAYS_WARNED.test(warning));
    assert.deepEqual({ refusals, unexpected }, { refusals: [], unexpected: [] });
    assert.ok(Object.keys(pcrs.sha256 ?? {}).length >= 9);
    for (const [bank, values] of Object.entries(pcrs)) {
      for (const [pcr, value] of Object.entries(values)) assert.equal(value, held[bank]?.[pcr], `${bank} PCR ${pcr}`);
    }
  });
}

test('keys enrolled and Secure Boot on: predicted from the log before, the TPM held it', needsBoots, () => {
  const boot = 'snakeoil-systemd-boot-uki';
  const flash = variablesIn(bytesOf(boot, 'VARS-before.fd'));
  const of = (name: string): Buffer =>
    flash.find((found) => found.name === name && found.isThere)?.data ?? Buffer.alloc(0);
  const variables = { SecureBoot: Buffer.of(1), PK: of('PK'), KEK: of('KEK'), db: of('db'), dbx: of('dbx') };
  const base = parseBootLog(bytesOf('systemd-boot-uki', 'boot.log'));
  const { pcrs, refusals } = predictBoot({ boot: wayOf(boot), base, variables });
  const held = Value.Parse(Pcrs, JSON.parse(bytesOf(boot, 'pcrs.json').toString()));
  assert.deepEqual(refusals, []);
  for (const pcr of ['4', '7', '9', '11', '12']) assert.equal(pcrs.sha256?.[pcr], held.sha256?.[pcr], `PCR ${pcr}`);
  const off = predictBoot({ boot: wayOf(boot), base, variables: { SecureBoot: Buffer.of(1) } });
  assert.match(off.refusals.find(({ pcr }) => pcr === 7)?.reason ?? '', /PK, KEK, db will be others too/);
});

test(
  'an update of dbx that is appended through efivarfs: predicted from the log before, named, and the TPM held it',
  needsJudge,
  () => {
    const [boot, before] = ['snakeoil-dbx-updated', 'snakeoil-dbx'];
    const base = parseBootLog(bytesOf(before, 'boot.log'));
    const update = bytesOf(before, 'dbx.esl');
    const variables = { dbx: appendedVariable(base, 'dbx', update) };
    const { pcrs, refusals, warnings } = predictBoot({ boot: wayOf(boot), base, variables });
    assert.deepEqual({ refusals, warnings }, { refusals: [], warnings: [] });
    const held = Value.Parse(Pcrs, JSON.parse(bytesOf(boot, 'pcrs.json').toString()));
    for (const [pcr, value] of Object.entries(pcrs.sha256 ?? {})) assert.equal(value, held.sha256?.[pcr], `PCR ${pcr}`);
    const [change, ...others] = compareBoots(base, parseBootLog(bytesOf(boot, 'boot.log')));
    assert.deepEqual(others, []);
    assert.deepEqual([change?.code, change?.severity, change?.pcrs], ['boot.dbx-updated', 'info', [7]]);
    assert.deepEqual(change?.to, ['01'.repeat(32), '02'.repeat(32)]);
  },
);

test('keys taken away and Secure Boot off: predicted from the log before, the TPM held it', needsBoots, () => {
  const boot = 'systemd-boot-uki';
  const none = Buffer.alloc(0);
  const base = parseBootLog(bytesOf('snakeoil-systemd-boot-uki', 'boot.log'));
  const variables = { SecureBoot: Buffer.of(0), PK: none, KEK: none, db: none, dbx: none };
  const { pcrs, refusals } = predictBoot({ boot: wayOf(boot), base, variables });
  const held = Value.Parse(Pcrs, JSON.parse(bytesOf(boot, 'pcrs.json').toString()));
  assert.deepEqual(refusals, []);
  for (const pcr of ['4', '7', '9', '11', '12']) assert.equal(pcrs.sha256?.[pcr], held.sha256?.[pcr], `PCR ${pcr}`);
});

test('GRUB without shim leaves no log, and its PCRs 8 and 9 are predicted all the same', needsBoots, () => {
  const boot = 'grub-without-shim';
  const { pcrs } = predictBoot({ boot: wayOf(boot), base: undefined });
  const held = Value.Parse(Pcrs, JSON.parse(bytesOf(boot, 'pcrs.json').toString()));
  assert.deepEqual(pcrs.sha256, { 8: held.sha256?.['8'], 9: held.sha256?.['9'] });
});

test('a shim boot whose owner has keys is not predicted without them', needsBoots, () => {
  const base = parseBootLog(bytesOf('shim-grub-mok', 'boot.log'));
  const { refusals, pcrs } = predictBoot({ boot: wayOf('shim-grub-first-boot'), base });
  assert.deepEqual(
    refusals.map(({ pcr }) => pcr),
    [7, 14],
  );
  assert.equal(pcrs.sha256?.['14'], undefined);
});

test('GRUB’s partitions under other names than in the base log are warned of', needsBoots, () => {
  const boot = wayOf('shim-grub-second-boot');
  assert.ok(boot.way === 'shim-grub');
  const device = '(hd1,gpt1)';
  const disks = boot.disks.map((disk) => (disk.device === DEVICE ? { ...disk, device } : disk));
  const base = parseBootLog(bytesOf('shim-grub-first-boot', 'boot.log'));
  const { warnings } = predictBoot({ boot: { ...boot, disks, bootDevice: device }, base });
  assert.match(warnings.join(), /GRUB would use partition hd1,gpt1, and in the base log it used hd0,gpt1/);
});

test('another way to boot than the base log’s is refused, naming its record', needsBoots, () => {
  const base = parseBootLog(bytesOf('systemd-boot-uki', 'boot.log'));
  const { refusals } = predictBoot({ boot: wayOf('uki'), base });
  assert.match(
    refusals.find(({ pcr }) => pcr === 4)?.reason ?? '',
    /base log, event \d+: an image that is not described/,
  );
});

test('every kept log is printed as tpm2_eventlog prints it', needsBoots, (t) => {
  const boots = readdirSync(BOOTS).filter((boot) => kind(boot, 'boot.log')?.isFile() === true);
  assert.ok(boots.length > 0);
  const { skip } = requires('tpm2_eventlog');
  if (skip !== false) return t.skip(skip);
  for (const boot of boots) {
    for (const version of YAML_VERSIONS) assert.deepEqual(toolDiffers(bytesOf(boot, 'boot.log'), version), [], boot);
  }
});

const logOf = (boot: string): BootLog => parseBootLog(bytesOf(boot, 'boot.log'));
const ALL = new Set(Array.from({ length: 24 }, (_, pcr) => pcr));

/** What differs from a reference made of the approved boots, in each bank alike. */
function differences(approved: readonly string[], judged: string): string[] {
  const components = mergeBoots(approved.map(logOf));
  const [found = [], ...others] = (['sha1', 'sha256', 'sha384', 'sha512'] as const).map((bank) =>
    judgeComponents(components, logOf(judged), bank, ALL).map(({ kind, component }) => `${kind} ${component}`),
  );
  for (const other of others) assert.deepEqual(other, found);
  return found;
}

/** approved boots, a boot, and what it is called that differs. */
const JUDGED = [
  [['shim-grub-first-boot'], 'shim-grub-second-boot', []],
  [
    ['shim-grub-first-boot', 'shim-grub-second-boot'],
    'shim-grub-initrd',
    ['unknown-variant boot loader files (PCR 9)'],
  ],
  [
    ['shim-grub-first-boot', 'shim-grub-second-boot'],
    'shim-grub-cmdline',
    [
      'unknown-variant boot loader commands (PCR 8)',
      'unknown-variant boot loader files (PCR 9)',
      'unknown-variant command line (PCR 8)',
    ],
  ],
  [['direct-debian'], 'direct-debian-kernel', ['unknown-variant kernel (PCR 4)']],
  [['direct-debian'], 'direct-debian-cmdline', ['unknown-variant command line (PCR 9)']],
  [['systemd-boot-uki-again'], 'systemd-boot-uki-second-boot', []],
] as const;

for (const [approved, judged, expected] of JUDGED) {
  test(
    `${judged}, judged by ${approved.join(' and ')}: ${expected.join(', ') || 'nothing differs'}`,
    needsBoots,
    () => {
      assert.deepEqual(differences(approved, judged).sort(), [...expected].sort());
      for (const boot of approved) assert.deepEqual(differences([...approved, judged], boot), []);
      assert.deepEqual(differences([...approved, judged], judged), []);
    },
  );
}

test('a kernel’s update goes with its own initrd only', needsBoots, () => {
  const components = mergeBoots(['direct-debian', 'direct-debian-kernel', 'direct-debian-initrd'].map(logOf));
  for (const boot of ['direct-debian', 'direct-debian-kernel', 'direct-debian-initrd']) {
    assert.deepEqual(judgeComponents(components, logOf(boot), 'sha256', ALL), []);
  }
  const [initrd] = logOf('direct-debian-initrd')
    .events.filter(({ pcr }) => pcr === 9)
    .slice(-1);
  const swapped = logOf('direct-debian-kernel');
  const events = swapped.events.map((event) => {
    const isInitrd = event.pcr === 9 && event === swapped.events.findLast(({ pcr }) => pcr === 9);
    return isInitrd && initrd !== undefined ? { ...event, digests: initrd.digests } : event;
  });
  const found = judgeComponents(components, { ...swapped, events }, 'sha256', ALL);
  assert.deepEqual(
    found.map(({ kind, component }) => [kind, component]),
    [['not-together', 'kernel (PCR 4)']],
  );
});

for (const [boot, base] of PAIRS) {
  test(`${boot}: the reference that is predicted from files explains the log`, needsBoots, () => {
    const log = logOf(base);
    const prediction = predictBoot({ boot: wayOf(boot), base: log });
    const merger = new BootMerger();
    merger.addEvents(predictedEvents(prediction, ['sha256'], log), log);
    const components = merger.finish(new Set(prediction.measurements.map(({ pcr }) => pcr)));
    assert.deepEqual(judgeComponents(components, logOf(boot), 'sha256', ALL), []);
  });
}

/** What the verifier says of a kept boot's log and PCRs, by the components of approved boots. */
function attested(approved: readonly string[], judged: string, pcrsFile = 'pcrs.json'): string[] {
  const selected = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
  const held = Value.Parse(Pcrs, JSON.parse(bytesOf(judged, pcrsFile).toString())).sha256 ?? {};
  const machine = new Machine();
  machine.pcrs = Array.from({ length: 24 }, (_, pcr) => Buffer.from(pcr === 10 ? '' : (held[pcr] ?? ''), 'hex'));
  // The list is the test's own: what the guest measured was not kept.
  machine.pcrs[10] = Buffer.alloc(32);
  machine.list = Buffer.alloc(0);
  machine.measured = [];
  machine.measureEntry('boot_aggregate', `sha256:${toHex(digest('sha256', ...machine.pcrs.slice(0, 10)))}`);
  machine.bootLog = bytesOf(judged, 'boot.log');
  const boot = { pcrs: {}, events: [], components: mergeBoots(approved.map(logOf)) };
  const attestation = new Attestation(machine, { boot }, { selection: { bank: 'sha256', pcrs: selected } });
  const nonce = attestation.nextNonce();
  const { verdict, findings } = attestation.verify(
    attestation.ask(nonce, { quote: machine.quote(nonce, { selected }) }),
    nonce,
  );
  return [verdict ?? 'none', ...findings.map(({ code, message }) => `${code} ${message.split('. ')[0]}`)];
}

test(
  'the verifier trusts a second boot by the first one’s components, and names what changed in another',
  needsBoots,
  () => {
    assert.deepEqual(attested(['shim-grub-first-boot'], 'shim-grub-second-boot'), ['trusted']);
    assert.deepEqual(attested(['direct-debian'], 'direct-debian-kernel'), [
      'untrusted',
      "boot.component-changed Component 'kernel (PCR 4)', from event 10 on (EV_EFI_BOOT_SERVICES_APPLICATION), is no variant of the reference",
    ]);
    const [verdict, ...changes] = attested(['shim-grub-first-boot'], 'shim-grub-mok');
    assert.equal(verdict, 'untrusted');
    assert.ok(changes.some((change) => change.includes("'shim’s variables (PCR 14)'")));
  },
);

test('phases that systemd 252 extends without a log leave a unified kernel image trusted', needsBoots, () => {
  const boot = 'systemd-boot-uki-phases';
  for (const phase of PHASES) {
    assert.deepEqual(attested([boot], boot, `pcrs-after-${phase}.json`), ['trusted'], phase);
  }
});

test(
  'without a file, boot replay and boot state tell the running machine’s boot, and its PCRs prove it',
  needsBoots,
  () => {
    const boot = 'systemd-boot-uki-phases';
    const told = (name: string) => JSON.parse(bytesOf(boot, `machine-${name}.log`).toString());
    const held = Value.Parse(Pcrs, JSON.parse(bytesOf(boot, 'pcrs.json').toString()));
    for (const [pcr, value] of Object.entries(told('replay').pcrs.sha256)) assert.equal(value, held.sha256?.[pcr]);
    const { provenPcrs, leftOut, secureBoot, commandLine } = told('state');
    assert.deepEqual(provenPcrs, [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12]);
    assert.deepEqual([leftOut, secureBoot.state], [[], 'off']);
    assert.equal(commandLine.length, 1);
  },
);

const kept = (boot: string): BootLog => parseBootLog(bytesOf(boot, 'boot.log'));
const CHANGED: readonly (readonly [before: string, after: string, codes: readonly string[]])[] = [
  ['direct-debian', 'direct-debian-kernel', ['kernel']],
  ['direct-debian', 'direct-debian-initrd', ['handed-kernel', 'initrd']],
  ['direct-debian', 'direct-debian-cmdline', ['command-line']],
  ['shim-grub-second-boot', 'shim-grub-initrd', ['initrd']],
  ['shim-grub-second-boot', 'shim-grub-cmdline', ['command-line', 'grub-commands', 'grub-file']],
  ['shim-grub-second-boot', 'shim-grub-mok', ['authority', 'kernel', 'mok']],
  ['systemd-boot-uki-again', 'systemd-boot-uki-second-boot', []],
  ['systemd-boot-uki-again', 'systemd-boot-uki-kernel', ['kernel', 'uki']],
  ['systemd-boot-uki-again', 'systemd-boot-uki-initrd', ['initrd', 'uki']],
  ['systemd-boot-uki-again', 'systemd-boot-uki-cmdline', ['command-line', 'uki']],
  ['systemd-boot-uki-again', 'systemd-boot-uki-network', ['boot-option', 'boot-order', 'option-rom']],
];
for (const [before, after, codes] of CHANGED) {
  test(`boot diff ${before} ${after}: ${codes.join(', ') || 'nothing'}`, needsBoots, () => {
    const named = compareBoots(kept(before), kept(after)).map(({ code }) => code);
    assert.deepEqual(named.sort(), codes.map((code) => `boot.${code}-changed`).sort());
  });
}

test('another set of Secure Boot keys is an alarm, with the certificate’s name', needsBoots, () => {
  const [alarm, keys] = compareBoots(kept('systemd-boot-uki'), kept('snakeoil-systemd-boot-uki'));
  assert.deepEqual([alarm?.code, alarm?.from, alarm?.to], ['boot.secure-boot-switched', ['off'], ['on']]);
  assert.equal(keys?.code, 'boot.secure-boot-keys-changed');
  assert.match(keys?.to.join() ?? '', /O=SnakeOil/);
});

test('the state of a boot, proven by the PCRs that its TPM held', needsBoots, () => {
  const held = Value.Parse(Pcrs, JSON.parse(bytesOf('shim-grub-mok', 'pcrs.json').toString()));
  const state = bootState(kept('shim-grub-mok'), 'sha256', held.sha256);
  assert.equal(state.secureBoot.state, 'on');
  assert.deepEqual(state.leftOut, []);
  assert.deepEqual(state.authorities.slice(1), ['CN=Debian Secure Boot CA', 'CN=machine-owner']);
  assert.deepEqual(state.commandLine, [`/vmlinuz ${kernelCommandLine(['quiet'])}`]);
  assert.deepEqual(
    state.applications.map(({ name }) => name),
    ['\\EFI\\BOOT\\BOOTX64.EFI', '\\EFI\\BOOT\\grubx64.efi'],
  );
});
