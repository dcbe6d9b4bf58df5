/** A boot before it happens: the firmware's part from a log of the same machine, the rest from the files that it will load. */
import { AssayError, type DigestAlgorithm, digestInfo, withoutFinalNuls } from '../../bytes/index.ts';
import { EventType, eventTypeName } from '../event-types.ts';
import type { BootEvent, BootLog } from '../log.ts';
import { digestMatchesPayload } from '../payload.ts';
import { isExtended, logBanks, startupLocality } from '../replay.ts';
import type { GrubEntry } from './grub.ts';
import {
  type BankDigests,
  type BootFile,
  extendAll,
  type Measurement,
  measurementDigest,
  notPredictable,
} from './measurement.ts';
import { partitionTableMeasurement } from './partition-table.ts';
import { firmwareAuthorities, sbatDate, shimAuthorities, shimSbatLevel, variableData } from './secure-boot.ts';
import { openUki, phaseMeasurements, sectionMeasurements } from './uki.ts';
import { type BootModel, type BootWay, menuEntries, modelBoot } from './ways.ts';

export interface BootDescription {
  readonly boot: BootWay;
  /** A log of the same machine, booted the same way: the firmware's records are taken from it. */
  readonly base: BootLog | undefined;
  /** Left out: those of the base log, or SHA-256. */
  readonly banks?: readonly DigestAlgorithm[];
  /** As systemd-measure's `--phase`, for PCR 11; left out: before user space. */
  readonly phases?: string;
  /** What replaces variables of the base log, by name (`db`): their data. */
  readonly variables?: Readonly<Record<string, Uint8Array>>;
  /** The beginning of the disk that the firmware starts from, where its partitions are not those of the base log. */
  readonly disk?: BootFile;
}

export interface Prediction {
  /** In the order of extends within each PCR. */
  readonly measurements: readonly Measurement[];
  /** bank → PCR → value in lower-case hex. */
  readonly pcrs: { readonly [bank in DigestAlgorithm]?: Readonly<Record<string, string>> };
  /** PCRs that the boot extends and whose values do not follow, with the reason. */
  readonly refusals: readonly { readonly pcr: number; readonly reason: string }[];
  readonly warnings: readonly string[];
}

/** PCR 10 is the kernel's, 16 and 23 are anybody's, 17–22 those of a launch that no boot log tells. */
const PREDICTED = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15];
const LOADERS = [8, 9, 11, 12, 14];
const EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003;

/**
 * Predicts every PCR whose value follows from what is given, and says of the others why not.
 * @throws {BootError} `boot.not-predictable` where a file cannot be followed at all
 */
export function predictBoot(description: BootDescription): Prediction {
  const { boot, base, phases = '', variables = {} } = description;
  const banks = description.banks ?? (base === undefined ? (['sha256'] as const) : logBanks(base));
  const model = modelBoot(boot, secureBootState(base, variables), phases);
  const wasOn = base !== undefined && isSecureBoot(base, {});
  const isSwitched = base !== undefined && isSecureBoot(base, variables) !== wasOn;
  const then = isSwitched ? modelBoot(boot, wasOn, phases) : model;
  const refusals = [...model.refusals];
  const measurements: Measurement[] = [];
  for (const pcr of PREDICTED) {
    if (refusals.some((refusal) => refusal.pcr === pcr)) continue;
    try {
      const ofPcr = base === undefined ? withoutBase(model, pcr) : withBase(model, then, base, pcr, description);
      measurements.push(...ofPcr);
    } catch (error) {
      if (!(error instanceof AssayError)) throw error;
      refusals.push({ pcr, reason: error.message });
    }
  }
  const pcrs = Object.fromEntries(banks.map((bank) => [bank, values(measurements, bank, base)] as const));
  return { measurements, pcrs, refusals, warnings: model.warnings };
}

function values(
  measurements: readonly Measurement[],
  bank: DigestAlgorithm,
  base: BootLog | undefined,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const pcr of new Set(measurements.map((measurement) => measurement.pcr))) {
    const start = Buffer.alloc(digestInfo(bank).size);
    if (pcr === 0 && base !== undefined) start[start.length - 1] = startupLocality(base);
    const ofPcr = measurements.filter((measurement) => measurement.pcr === pcr);
    found[pcr] = Buffer.from(extendAll(ofPcr, bank, start)).toString('hex');
  }
  return found;
}

function withoutBase(model: BootModel, pcr: number): Measurement[] {
  if (!LOADERS.includes(pcr)) throw notPredictable('the firmware extends it: needs a log of the same machine');
  if (pcr === 14 && model.shim !== undefined)
    throw notPredictable('MokListTrusted is the machine’s own: needs a log of it');
  return model.measurements.filter((measurement) => measurement.pcr === pcr);
}

/** @param then this boot with Secure Boot as it was in the base log */
function withBase(
  model: BootModel,
  then: BootModel,
  base: BootLog,
  pcr: number,
  description: BootDescription,
): Measurement[] {
  const events = base.events.filter((event) => event.pcr === pcr && isExtended(event));
  const own = model.measurements.filter((measurement) => measurement.pcr === pcr);
  switch (pcr) {
    case 4:
      return images(model, then, events);
    case 5:
      return partitions(events, description.disk);
    case 7:
      return secureBoot(model, base, events, description);
    case 8:
    case 9:
    case 11:
    case 12:
      return loaders(model, own, events, {
        pcr,
        expected: then.measurements.filter((found) => found.pcr === pcr).length,
      });
    case 14:
      return machineOwner(model, own, events);
    case 13:
    case 15:
      return events.map((event) => kept(event, true));
    default:
      return events.map((event) => kept(event, false));
  }
}

/** PCR 5. OVMF measures one table: of the disk from which the first image comes. */
function partitions(events: readonly BootEvent[], disk: BootFile | undefined): Measurement[] {
  const [first, ...others] = events.filter(({ type }) => type === EventType.EV_EFI_GPT_EVENT);
  if (disk !== undefined && (first === undefined || others.length > 0)) {
    const place = others[0] === undefined ? 'the base log' : nameOf(others[0]);
    throw notPredictable(`${place}: has ${first === undefined ? 'no' : 'more than one'} partition table`);
  }
  return events.map((event) =>
    event === first && disk !== undefined
      ? partitionTableMeasurement(disk)
      : kept(event, event.type === EventType.EV_EVENT_TAG),
  );
}

const nameOf = (event: BootEvent): string => `base log, event ${event.index}`;

function kept(event: BootEvent, isUnknown: boolean): Measurement {
  const name = eventTypeName(event.type);
  if (isUnknown) throw notPredictable(`${nameOf(event)}: ${name} is of nothing that was described`);
  const digests: BankDigests = Object.fromEntries(
    event.digests.flatMap(({ algorithm, value }) => (algorithm === undefined ? [] : [[algorithm, value] as const])),
  );
  return { pcr: event.pcr, what: name, source: nameOf(event), over: { digests }, event };
}

/**
 * PCR 4: the base log's images, in its order, are replaced by ours; one that it has twice over is measured twice.
 * @param then what the base log's boot would have loaded of this: with Secure Boot in its other state an image more or less
 */
function images(model: BootModel, then: BootModel, events: readonly BootEvent[]): Measurement[] {
  let next = -1;
  let before: BootEvent | undefined;
  const measurements = events.flatMap((event) => {
    if (event.type !== EV_EFI_BOOT_SERVICES_APPLICATION || isFromFirmware(event)) {
      return kept(event, !OF_BOOT_MANAGER.has(event.type));
    }
    if (before === undefined || !sameDigests(before, event)) next++;
    before = event;
    if (next >= then.images.length) throw notPredictable(`${nameOf(event)}: an image that is not described`);
    const file = model.images[next]?.file;
    return file === undefined ? [] : imageMeasurement(file);
  });
  const missing = then.images[next + 1];
  if (missing !== undefined)
    throw notPredictable(`${missing.file.name}: the base log has no image load for it, so it booted in another way`);
  return [...measurements, ...model.images.slice(next + 1).map(({ file }) => imageMeasurement(file))];
}

const OF_BOOT_MANAGER: ReadonlySet<number> = new Set([
  EventType.EV_SEPARATOR,
  EventType.EV_EFI_ACTION,
  EV_EFI_BOOT_SERVICES_APPLICATION,
]);

const imageMeasurement = (file: BootFile): Measurement => ({
  pcr: 4,
  what: 'boot application',
  source: file.name,
  over: { image: file.bytes },
});

function sameDigests(a: BootEvent, b: BootEvent): boolean {
  const last = (event: BootEvent): Uint8Array => event.digests.at(-1)?.value ?? new Uint8Array();
  return Buffer.from(last(a)).equals(last(b));
}

/** A device path that begins with PIWG firmware volume (UEFI PI 1.8, volume 3): media path, subtype 7, and a file, 6. */
function isFromFirmware({ data }: BootEvent): boolean {
  return data[32] === 0x04 && data[33] === 0x07;
}

/** @param expected records that the base log's boot has of this */
function loaders(
  model: BootModel,
  own: readonly Measurement[],
  events: readonly BootEvent[],
  { pcr, expected }: { readonly pcr: number; readonly expected: number },
): Measurement[] {
  const foreign = events.find(({ type }) => type !== EventType.EV_IPL && type !== EventType.EV_EVENT_TAG);
  if (foreign !== undefined) kept(foreign, true);
  const grows = model.shim !== undefined || pcr === 11;
  if (grows ? events.length > 0 !== expected > 0 : events.length !== expected) {
    const { index } = events[expected] ?? events.at(-1) ?? { index: undefined };
    const place = index === undefined ? 'the base log' : `base log, event ${index}`;
    throw notPredictable(`${place}: PCR ${pcr} has ${events.length} records there, the files give ${expected}`);
  }
  return [...own];
}

function machineOwner(model: BootModel, own: readonly Measurement[], events: readonly BootEvent[]): Measurement[] {
  if (model.shim === undefined) return events.map((event) => kept(event, true));
  const [list, listX, ...others] = events;
  if (list === undefined || listX === undefined)
    throw notPredictable('the base log has no machine owner lists: it booted without this shim');
  if (!model.shim.isOwnerGiven) assumeNoOwnerKeys(own, [list, listX]);
  const names = others.map((event) => withoutFinalNuls(Buffer.from(event.data).toString('latin1')));
  const unknown = others[names.findIndex((name) => name !== 'MokListTrusted')];
  if (unknown !== undefined) kept(unknown, true);
  return [...own, ...others.map((event) => kept(event, false))];
}

/** Without the lists, the base log has to show that they are empty. */
function assumeNoOwnerKeys(own: readonly Measurement[], events: readonly BootEvent[]): void {
  for (const [i, event] of events.entries()) {
    const { algorithm, value } = event.digests.find((digest) => digest.algorithm !== undefined) ?? {};
    const ours = own[i];
    if (ours === undefined || algorithm === undefined || value === undefined) continue;
    if (Buffer.from(measurementDigest(ours, algorithm)).equals(value)) continue;
    throw notPredictable(
      `${nameOf(event)}: ${ours.what} holds more than shim’s own, or that of another shim`,
      'give the machine owner lists',
    );
  }
}

function variableEvent(
  log: BootLog | undefined,
  name: string,
): { readonly event: BootEvent; readonly data: Uint8Array } | undefined {
  for (const event of log?.events ?? []) {
    if (event.type !== EventType.EV_EFI_VARIABLE_DRIVER_CONFIG || event.data.length < 32) continue;
    const length = Buffer.from(event.data).readUInt32LE(16);
    const found = Buffer.from(event.data.subarray(32, 32 + length * 2)).toString('utf16le');
    if (found === name) return { event, data: event.data.subarray(32 + length * 2) };
  }
  return undefined;
}

/** Undefined where neither a log nor the variable is given. */
function secureBootState(
  base: BootLog | undefined,
  variables: Readonly<Record<string, Uint8Array>>,
): boolean | undefined {
  const data = variables.SecureBoot ?? variableEvent(base, 'SecureBoot')?.data;
  return base === undefined && data === undefined ? undefined : data?.[0] === 1;
}

const isSecureBoot = (base: BootLog, variables: Readonly<Record<string, Uint8Array>>): boolean =>
  secureBootState(base, variables) === true;

/** Every entry that GRUB's menus will have, each a boot that predictBoot's `entry` describes. */
export function predictEntries(
  boot: Extract<BootWay, { readonly way: 'grub' | 'shim-grub' }>,
  base: BootLog | undefined,
  variables: Readonly<Record<string, Uint8Array>> = {},
): GrubEntry[] {
  return menuEntries(boot, secureBootState(base, variables));
}

function secureBoot(
  model: BootModel,
  base: BootLog,
  events: readonly BootEvent[],
  description: BootDescription,
): Measurement[] {
  const { variables = {} } = description;
  const isOn = isSecureBoot(base, variables);
  const wasOn = isSecureBoot(base, {});
  if (isOn !== wasOn) assumeSwitch(model, variables);
  const authorityAt = events.findIndex(({ type }) => type === EventType.EV_EFI_VARIABLE_AUTHORITY);
  const firmware = (authorityAt < 0 ? events : events.slice(0, authorityAt)).map((event) => replaced(event, variables));
  const authorities = authorityAt < 0 ? [] : events.slice(authorityAt);
  const foreign = authorities.find(({ type }) => type !== EventType.EV_EFI_VARIABLE_AUTHORITY);
  if (foreign !== undefined) kept(foreign, true);
  const level = authorities
    .filter(({ data }) => authorityName(data) === 'SbatLevel')
    .map((event) => sbatLevel(event, model, base));
  if (!isOn && wasOn) return firmware;
  if (!isOn) {
    const other = authorities.find(({ data }) => authorityName(data) !== 'SbatLevel');
    if (other !== undefined) kept(other, true);
    return [...firmware, ...level];
  }
  if (model.shim !== undefined && !model.shim.isOwnerGiven) {
    const own = model.measurements.filter(({ pcr }) => pcr === 14);
    assumeNoOwnerKeys(own, base.events.filter(({ pcr }) => pcr === 14).slice(0, own.length));
  }
  const db = variables.db ?? vouchedDb(base);
  const by = (who: 'firmware' | 'shim'): BootModel['images'][number]['file'][] =>
    model.images.filter((image) => image.by === who).map(({ file }) => file);
  const ofShim = model.shim === undefined ? [] : shimAuthorities(by('shim'), db, model.shim.lists, model.shim.owner);
  return [...firmware, ...firmwareAuthorities(by('firmware'), db), ...level, ...ofShim];
}

const KEYS = ['SecureBoot', 'PK', 'KEK', 'db'];

/** What else changes with Secure Boot has to be known; shim measures SbatLevel then, which no file has. */
function assumeSwitch(model: BootModel, variables: Readonly<Record<string, Uint8Array>>): void {
  if (model.shim !== undefined)
    throw notPredictable('Secure Boot is to be switched: shim needs a log of a boot with it as it will be');
  const missing = KEYS.filter((name) => variables[name] === undefined);
  if (missing.length > 0)
    throw notPredictable(`Secure Boot is to be switched: ${missing.join(', ')} will be others too`, 'give their data');
}

function authorityName(data: Uint8Array): string {
  if (data.length < 32) return '';
  const length = Math.min(Buffer.from(data).readUInt32LE(16), 64);
  return Buffer.from(data.subarray(32, 32 + length * 2)).toString('utf16le');
}

/** A newer shim raises the level: what it then writes is measured. */
function sbatLevel(event: BootEvent, { shim, images: [first] }: BootModel, base: BootLog): Measurement {
  const ours = shim === undefined || first === undefined ? undefined : shimSbatLevel(first.file);
  if (ours === undefined) return kept(event, false);
  const [bank] = logBanks(base);
  const name = 'SbatLevel';
  const date = sbatDate(event.data.subarray(32 + name.length * 2));
  if (date === undefined || bank === undefined || digestMatchesPayload(event, bank) !== 'matches')
    throw notPredictable(`${nameOf(event)}: does not vouch for a level of SBAT that is understood`);
  if ((sbatDate(ours) ?? '') <= date) return kept(event, false);
  const bytes = variableData(event.data.subarray(0, 16), name, ours);
  return { pcr: event.pcr, what: `authority ${name}`, source: first?.file.name ?? '', over: { bytes } };
}

function vouchedDb(base: BootLog): Uint8Array {
  const db = variableEvent(base, 'db');
  const [bank] = logBanks(base);
  if (db === undefined || bank === undefined || digestMatchesPayload(db.event, bank) !== 'matches') {
    throw notPredictable('the base log does not vouch for the variable db', 'give its data');
  }
  return db.data;
}

function replaced(event: BootEvent, variables: Readonly<Record<string, Uint8Array>>): Measurement {
  const name = event.type === EventType.EV_EFI_VARIABLE_DRIVER_CONFIG ? authorityName(event.data) : '';
  const data = variables[name];
  if (data === undefined) return kept(event, false);
  const head = Buffer.from(event.data.subarray(0, 32 + name.length * 2));
  head.writeBigUInt64LE(BigInt(data.length), 24);
  return {
    pcr: event.pcr,
    what: `variable ${name}`,
    source: 'given variable',
    over: { bytes: Buffer.concat([head, data]) },
  };
}

/** PCR 11 of a unified kernel image alone, as systemd-measure calculates it: nothing of the machine is needed. */
export function predictUki(uki: BootFile, banks: readonly DigestAlgorithm[], phases = ''): Prediction {
  const measurements = [...sectionMeasurements(openUki(uki)), ...phaseMeasurements(phases)];
  const pcrs = Object.fromEntries(banks.map((bank) => [bank, values(measurements, bank, undefined)] as const));
  return { measurements, pcrs, refusals: [], warnings: [] };
}
