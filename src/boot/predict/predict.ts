/** A boot before it happens: the firmware's part from a log of the same machine, the rest from the files that it will load. */
import { AssayError, type DigestAlgorithm, digestInfo } from '../../bytes/index.ts';
import { decodeLog } from '../decode/decode-event.ts';
import { EventType } from '../event-types.ts';
import type { BootEvent, BootLog } from '../log.ts';
import { payloadText } from '../payload.ts';
import { isExtended, logBanks, startupLocality } from '../replay.ts';
import { replayWarnings } from '../replay-warnings.ts';
import { lostSignatures } from './appended-variable.ts';
import { kept, measuredVariable, nameOf } from './base-log.ts';
import type { GrubEntry } from './grub.ts';
import { type BootFile, extendAll, type Measurement, notPredictable } from './measurement.ts';
import { naming } from './named-image.ts';
import { partitionTableMeasurement } from './partition-table.ts';
import {
  checkVariables,
  isSecureBoot,
  machineOwner,
  type NewVariables,
  secureBoot,
  secureBootState,
} from './secure-boot-pcrs.ts';
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
  readonly variables?: NewVariables;
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
  checkVariables(base, variables);
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
      // Not spread: a base log may have more events than a call has arguments.
      for (const measurement of ofPcr) measurements.push(measurement);
    } catch (error) {
      if (!(error instanceof AssayError)) throw error;
      refusals.push({ pcr, reason: error.message });
    }
  }
  const pcrs = Object.fromEntries(banks.map((bank) => [bank, values(measurements, bank, base)] as const));
  return { measurements, pcrs, refusals, warnings: [...model.warnings, ...doubtsOf(model, base, variables)] };
}

/** What does not keep the values from being told, and may make them others. */
function doubtsOf(model: BootModel, base: BootLog | undefined, variables: NewVariables): string[] {
  if (base === undefined) return [];
  const ofBase = replayWarnings(base).map((warning) => `base log: ${warning}`);
  return [
    ...ofBase,
    ...loadersElsewhere(model, base),
    ...partitionsElsewhere(model, base),
    ...lostRevocations(base, variables),
  ];
}

/** An update of dbx is appended: one that was taken for the whole loses what there is. */
function lostRevocations(base: BootLog, { dbx }: NewVariables): string[] {
  if (dbx === undefined) return [];
  const lost = naming({ name: 'dbx' }, () => lostSignatures(measuredVariable(base, 'dbx') ?? dbx, dbx));
  return lost === 0
    ? []
    : [
        `${lost} of the signatures that are revoked now would no longer be: write dbx+=FILE for an update that is appended`,
      ];
}

const PARTITION = /\((hd\d+,(?:gpt|msdos)\d+)\)/g;

/** GRUB's names of partitions are given by people; the base log shows those that it used. */
function partitionsElsewhere({ measurements }: BootModel, base: BootLog): string[] {
  const named = (texts: readonly string[]): Set<string> =>
    new Set(texts.flatMap((text) => [...text.matchAll(PARTITION)].flatMap(([, partition]) => partition ?? [])));
  const isOfGrub = (pcr: number): boolean => pcr === 8 || pcr === 9;
  const ours = named(measurements.filter(({ pcr }) => isOfGrub(pcr)).map(({ what }) => what));
  const theirs = named(base.events.filter(({ pcr }) => isOfGrub(pcr)).map((event) => payloadText(event) ?? ''));
  const other = theirs.size === 0 ? undefined : [...ours].find((partition) => !theirs.has(partition));
  return other === undefined
    ? []
    : [
        `GRUB would use partition ${other}, and in the base log it used ${[...theirs].join(', ')}: see --device and --disk`,
      ];
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
      return secureBoot(model, base, description.variables ?? {});
    case 8:
    case 9:
    case 11:
    case 12:
      return loaders(model, own, events, {
        pcr,
        expected: then.measurements.filter((found) => found.pcr === pcr).length,
      });
    case 14:
      return machineOwner(model, base);
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

/** A loader that the base log's boot started from elsewhere is perhaps not the one that the next boot will start. */
function loadersElsewhere(model: BootModel, base: BootLog): string[] {
  const started = decodeLog(base).filter(
    ({ pcr, type }, i) =>
      pcr === 4 && type === EV_EFI_BOOT_SERVICES_APPLICATION && !isFromFirmware(base.events[i] ?? NO_EVENT),
  );
  return model.images.flatMap(({ file, isNamedByPath }, i) => {
    const event = started[i];
    const path = event?.payload.kind === 'image-load' ? event.payload.devicePath.file : undefined;
    if (isNamedByPath !== true || event === undefined || path === undefined || isAt(file.name, path)) return [];
    return [
      `base log, event ${event.index}: started ${path}, and not ${file.name}: see that this is what will be started`,
    ];
  });
}

const NO_EVENT = { data: new Uint8Array() };

/** FAT takes letters of either case. */
function isAt(name: string, path: string): boolean {
  const plain = (text: string): string => text.replaceAll('\\', '/').replaceAll(/\/+/g, '/').toLowerCase();
  return `/${plain(name)}`.endsWith(`/${plain(path).replace(/^\//, '')}`);
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
function isFromFirmware({ data }: Pick<BootEvent, 'data'>): boolean {
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

/** Every entry that GRUB's menus will have, each a boot that predictBoot's `entry` describes. */
export function predictEntries(
  boot: Extract<BootWay, { readonly way: 'grub' | 'shim-grub' }>,
  base: BootLog | undefined,
  variables: NewVariables = {},
): GrubEntry[] {
  return menuEntries(boot, secureBootState(base, variables));
}

/** PCR 11 of a unified kernel image alone, as systemd-measure calculates it: nothing of the machine is needed. */
export function predictUki(uki: BootFile, banks: readonly DigestAlgorithm[], phases = ''): Prediction {
  const measurements = [...sectionMeasurements(openUki(uki)), ...phaseMeasurements(phases)];
  const pcrs = Object.fromEntries(banks.map((bank) => [bank, values(measurements, bank, undefined)] as const));
  return { measurements, pcrs, refusals: [], warnings: [] };
}
