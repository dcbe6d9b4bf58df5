/**
 * Firmware whose logs are known to break the rules, by name. A quirk applies only where what the PCRs vouch for says that it
 * is this firmware, and where it changes something the verdict says that it was used.
 */
import {
  type BootEvent,
  type BootLog,
  digestMatchesPayload,
  EventType,
  isExtended,
  payloadText,
} from '../../boot/index.ts';
import { type DigestAlgorithm, toHex } from '../../bytes/index.ts';

export interface Quirk {
  readonly name: string;
  /** Raised where identity or effect change. */
  readonly version: number;
  /** For people: the machine or firmware, and what its log does. */
  readonly firmware: string;
  readonly fault: string;
  /** Where this is known from. */
  readonly source: string;
  readonly identity: FirmwareIdentity;
  readonly effect: QuirkEffect;
}

/** What PCR 0 says of the firmware. */
export type FirmwareIdentity =
  /** The whole S_CRTM version, its digest being over it. */
  | { readonly kind: 'version'; readonly pattern: RegExp }
  /** The digest that PCR 0 was extended with as version, where it is over something else than what the log shows. */
  | { readonly kind: 'version-digest'; readonly bank: DigestAlgorithm; readonly value: string };

export type QuirkEffect =
  /** Boot options stand in this PCR and not in PCR 1: they are judged there as they would be in PCR 1. */
  | { readonly kind: 'boot-options-in'; readonly pcr: number }
  /** Events of this type show a payload that their digest is not over: no sign of a changed log. */
  | { readonly kind: 'payload-not-measured'; readonly pcr: number; readonly type: number };

export const QUIRKS: readonly Quirk[] = [
  {
    name: 'thinkpad-boot-options-pcr5',
    version: 1,
    firmware: 'Lenovo ThinkPad X1 Carbon 6 and T480 (N23ET…, N24ET…)',
    fault: 'boot options are measured into PCR 5 and not into PCR 1',
    source:
      'ima-evm-utils, tests/sample-binary_bios_measurements-pcrs-8-9 (N24ET56W); ' +
      'https://github.com/fwupd/fwupd/issues/1886 and 2133 (N23ET73P)',
    identity: { kind: 'version', pattern: /^N2[34]ET\d\d[WP]\s*$/ },
    effect: { kind: 'boot-options-in', pcr: 5 },
  },
  {
    name: 'dell-xr4520c-crtm-version',
    version: 1,
    firmware: 'Dell PowerEdge XR4520c, firmware 1.17.3',
    fault: 'the digest of EV_S_CRTM_VERSION is not over the version that the log shows',
    source: 'https://github.com/tpm2-software/tpm2-tools/issues/3457',
    identity: {
      kind: 'version-digest',
      bank: 'sha256',
      value: '76d538bb3a43ef27b2e9ccca3b0bad02b9ee15ffbf0dadbdfa823dbf43d83a1f',
    },
    effect: { kind: 'payload-not-measured', pcr: 0, type: EventType.EV_S_CRTM_VERSION },
  },
];

/** Where firmware that follows the profile has its boot options. */
const OPTION_PCR = 1;
const BOOT_OPTIONS: ReadonlySet<number> = new Set([EventType.EV_EFI_VARIABLE_BOOT, EventType.EV_EFI_VARIABLE_BOOT2]);

/**
 * The quirks that apply to a log and change something in it.
 * @param proven PCRs that the log leads to: without PCR 0 nobody vouches for the firmware's name
 * @param table the quirks that are known
 */
export function quirksOf(
  log: BootLog,
  bank: DigestAlgorithm,
  proven: ReadonlySet<number>,
  table: readonly Quirk[] = QUIRKS,
): readonly Quirk[] {
  if (!proven.has(0)) return [];
  const versions = log.events.filter((event) => event.pcr === 0 && event.type === EventType.EV_S_CRTM_VERSION);
  return table.filter(
    ({ identity, effect }) =>
      versions.some((event) => isFirmware(identity, event, bank)) &&
      log.events.some((event) => proven.has(event.pcr) && isChanged(effect, event, bank)),
  );
}

function isFirmware(identity: FirmwareIdentity, event: BootEvent, bank: DigestAlgorithm): boolean {
  if (identity.kind === 'version') {
    const text = digestMatchesPayload(event, bank) === 'matches' ? payloadText(event) : undefined;
    return text !== undefined && identity.pattern.test(text);
  }
  if (identity.bank !== bank) return false;
  return event.digests.some(({ algorithm, value }) => algorithm === bank && toHex(value) === identity.value);
}

function isChanged(effect: QuirkEffect, event: BootEvent, bank: DigestAlgorithm): boolean {
  if (event.pcr !== effect.pcr || !isExtended(event)) return false;
  if (effect.kind === 'boot-options-in') return BOOT_OPTIONS.has(event.type);
  return event.type === effect.type && digestMatchesPayload(event, bank) === 'differs';
}

/** The PCRs in which boot options are judged one by one, by meaning. */
export function optionPcrs(quirks: readonly Quirk[]): ReadonlySet<number> {
  return new Set([
    OPTION_PCR,
    ...quirks.flatMap(({ effect }) => (effect.kind === 'boot-options-in' ? [effect.pcr] : [])),
  ]);
}

/** The quirk by which an event's payload says nothing and means nothing bad. */
export function excusingQuirk(quirks: readonly Quirk[], { pcr, type }: BootEvent): Quirk | undefined {
  return quirks.find(
    ({ effect }) => effect.kind === 'payload-not-measured' && effect.pcr === pcr && effect.type === type,
  );
}
