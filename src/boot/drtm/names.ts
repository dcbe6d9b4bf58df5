/** What the events of a dynamic launch are, and what its PCRs hold under each map. */

/** What an event must have for its name. */
export interface LaunchEvent {
  /** Position in the log. */
  readonly index: number;
  readonly pcr: number;
  readonly type: number;
  /** Its payload where that is text: Secure Launch and AMD's loader write what they measured. */
  readonly text: string | undefined;
}

/** PCRs that a launch resets to zero and then extends (TCG PC Client Platform TPM Profile, "PCR Attributes"). */
export const isLaunchPcr = (pcr: number): boolean => pcr >= 17 && pcr <= 22;

/** Who launched: Intel TXT (SINIT), AMD SKINIT; `secure-launch` for Linux' own events with no trace of either. */
export type LaunchKind = 'intel-txt' | 'amd-skinit' | 'secure-launch';

/**
 * Intel TXT's two uses of the PCRs: `legacy`; `details-authorities` (tboot's `pcr_map=da`), where PCR 17 holds what was
 * measured and PCR 18 who answers for it, so that a signed update changes PCR 17 alone.
 */
export type TxtPcrMap = 'legacy' | 'details-authorities';

const EVENTS_OF_TXT = { first: 0x401, last: 0x4ff } as const;
const HASH_START = 0x402;
const MLE_HASH = 0x404;
const LCP_DETAILS_HASH = 0x412;
const LCP_AUTHORITIES_HASH = 0x413;
const TBOOT_MEASUREMENT = 0x501;
const SLAUNCH = 0x502;
const SKINIT = 'SKINIT';

/** Intel TXT Software Development Guide, "TPM Event Log", event types; 0x501 is tboot's own (integrity.c). */
const TXT_EVENTS: ReadonlyMap<number, string> = new Map([
  [0x401, 'which PCR map the launch used'],
  [HASH_START, 'SINIT, the module that the processor started'],
  [0x403, 'values of the launch, hashed as one'],
  [MLE_HASH, 'the launched environment (tboot, or a kernel)'],
  [0x40a, 'registration of the BIOS’ module (ACM)'],
  [0x40b, 'state of the processor’s root of trust'],
  [0x40c, 'control field of the launch control policy'],
  [0x40d, 'elements of the launch control policy that were met'],
  [0x40e, 'SMI transfer monitor (STM)'],
  [0x40f, 'capabilities that the launch asked for'],
  [0x410, 'key that signed SINIT'],
  [0x411, 'launch control policy'],
  [LCP_DETAILS_HASH, 'launch control policy, details'],
  [LCP_AUTHORITIES_HASH, 'launch control policy, authorities'],
  [0x414, 'NV indices that the launch relies on'],
  [0x415, 'BIOS as it was at power-on'],
  [0x416, 'key manifest of Boot Guard'],
  [0x417, 'boot policy manifest of Boot Guard'],
  [0x418, 'facts about the key manifest'],
  [0x419, 'facts about the boot policy manifest'],
  [0x41a, 'boot policy of Boot Guard'],
  [0x4fe, 'a random value'],
  [0x4ff, 'a cap: nothing more was to be measured here'],
]);

/** Told in their own words, whatever their payload is. */
const MARKS: ReadonlyMap<number, string> = new Map([
  [0x03, 'a mark around the launch (extends nothing)'],
  [0x503, 'Secure Launch begins to measure (a mark, extends nothing)'],
  [0x504, 'Secure Launch has measured (a mark, extends nothing)'],
]);

/** By whom the launch was made; undefined where no event is one of a launch. */
export function launchKind(events: readonly LaunchEvent[]): LaunchKind | undefined {
  const isTxt = events.some(({ type }) => type >= EVENTS_OF_TXT.first && type <= EVENTS_OF_TXT.last);
  if (isTxt) return 'intel-txt';
  const ofLaunch = events.filter(({ pcr }) => isLaunchPcr(pcr));
  if (ofLaunch.some(({ text }) => text === SKINIT)) return 'amd-skinit';
  return ofLaunch.length === 0 ? undefined : 'secure-launch';
}

/**
 * Which map a TXT launch used, from where its events are: SINIT measures the launched environment into PCR 18 under the
 * legacy map, into 17 as a detail. Undefined where no event tells.
 */
export function txtPcrMap(events: readonly LaunchEvent[]): TxtPcrMap | undefined {
  const environment = events.find(({ type }) => type === MLE_HASH);
  if (environment?.pcr === 18) return 'legacy';
  if (environment?.pcr === 17) return 'details-authorities';
  const isSplit = events.some(({ type }) => type === LCP_DETAILS_HASH || type === LCP_AUTHORITIES_HASH);
  return isSplit ? 'details-authorities' : undefined;
}

/** tboot's README, "PCR Usage"; Linux Secure Launch: PCR 17 code, PCR 18 data and configuration. */
const PCR_USE: Readonly<Record<TxtPcrMap | 'secure-launch', readonly [pcr: number, use: string][]>> = {
  legacy: [
    [17, 'SINIT, BIOS module, STM, launch control policy, tboot’s policy'],
    [18, 'the launched environment (tboot), then the first module (kernel or Xen)'],
    [19, 'the other modules'],
    [22, 'what a policy takes from the TPM’s NV memory'],
  ],
  'details-authorities': [
    [17, 'details: SINIT, the launched environment, policies, every module'],
    [18, 'authorities: keys and policies that answer for them; a signed update leaves it as it is'],
    [22, 'what a policy takes from the TPM’s NV memory'],
  ],
  'secure-launch': [
    [17, 'code: the launched kernel and its initrd'],
    [18, 'data: boot parameters, command line, memory map'],
  ],
};

/** What a kernel that TXT launched measures after SINIT, into the PCRs of its map. */
const ADDED_BY_LINUX: Readonly<Record<number, string>> = {
  17: '; then by Linux, the initrd',
  18: '; then by Linux, boot parameters, command line and memory map',
};

/** What each PCR that these events measured into holds, as `PCR 17: …`. */
export function launchPcrUses(events: readonly LaunchEvent[]): string[] {
  const kind = launchKind(events);
  const map = kind === 'intel-txt' ? txtPcrMap(events) : 'secure-launch';
  if (kind === undefined || map === undefined) return [];
  const isAddedTo = (pcr: number): boolean =>
    kind === 'intel-txt' && events.some((event) => event.pcr === pcr && event.type === SLAUNCH);
  return PCR_USE[map].flatMap(([pcr, use]) => {
    if (!events.some((event) => event.pcr === pcr)) return [];
    return [`PCR ${pcr}: ${use}${isAddedTo(pcr) ? (ADDED_BY_LINUX[pcr] ?? '') : ''}`];
  });
}

/**
 * Names what each event of a launch measured, by its index: its text where it has one, else its type; what tboot measured
 * says neither, and is named by its place in the order of tboot's default policy. All of it remarks: no PCR vouches for
 * more than the digests.
 */
export function nameLaunchEvents(events: readonly LaunchEvent[]): ReadonlyMap<number, string> {
  const map = txtPcrMap(events) ?? 'legacy';
  const ofTboot = new Map<number, number>();
  const names = new Map<number, string>();
  for (const { index, pcr, type, text } of events) {
    const name = TXT_EVENTS.get(type);
    const mark = MARKS.get(type);
    if (mark !== undefined) names.set(index, mark);
    else if (type === TBOOT_MEASUREMENT) {
      const nth = ofTboot.get(pcr) ?? 0;
      ofTboot.set(pcr, nth + 1);
      names.set(index, tbootName(map, pcr, nth));
    } else if (type === SLAUNCH && text === SKINIT) names.set(index, 'the secure loader that SKINIT started');
    else if (text !== undefined) names.set(index, text);
    else if (name !== undefined) names.set(index, name);
  }
  return names;
}

/** @param nth of tboot's measurements into this PCR */
function tbootName(map: TxtPcrMap, pcr: number, nth: number): string {
  if (nth === 0 && (pcr === 17 || (map === 'details-authorities' && pcr === 18))) return 'tboot’s launch policy';
  if (map === 'legacy') {
    if (pcr === 18 && nth === 0) return 'first module (kernel or Xen)';
    if (pcr === 19) return `module ${nth + 2}`;
  } else if (pcr === 17) return nth === 1 ? 'first module (kernel or Xen)' : `module ${nth}`;
  return pcr === 22 ? 'from the TPM’s NV memory' : `measured by tboot (${nth + 1})`;
}
