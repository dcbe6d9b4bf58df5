/** The firmware's log: does it lead to the quoted PCRs, and is what it lists expected? */

import {
  BOOT_PHASES,
  BootError,
  type BootEvent,
  type BootLog,
  digestMatchesPayload,
  eventTypeName,
  isExtended,
  isReachedByPhases,
  logBanks,
  PHASE_PCR,
  parseBootLog,
  parseUserspaceLog,
  payloadText,
  type ReplayedPcrs,
  recordMatchesText,
  replayBootLog,
  type UserspaceRecord,
} from '../boot/index.ts';
import { type DigestAlgorithm, digest, digestInfo, fromHex, ParseError, toHex } from '../bytes/index.ts';
import type { Assurance, BootLogEvidence, GrowingLogEvidence } from '../evidence/index.ts';
import {
  type BootReference,
  componentPcrs,
  excusingQuirk,
  hasComponentsIn,
  type Quirk,
  quirksOf,
} from '../reference/index.ts';
import { judgeBootComponents, quirkFinding } from './boot-components.ts';
import type { QuotedPcrs } from './quote.ts';
import { FindingCollector, finding, NO_FINDINGS } from './sentence.ts';
import type { BootState, Finding, StandingFindings } from './types.ts';

/** Firmware and boot loader own these; from PCR 10 on the kernel and user space extend too. */
const FIRMWARE_PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const;
const NEWLINE = 0x0a;
const PLATFORM_PCRS = FIRMWARE_PCRS.slice(0, 8);

/** TCG PC Client Platform Firmware Profile, "PCR Usage"; GRUB and the kernel for 8 and 9. */
const PCR_MEANINGS: readonly string[] = [
  'firmware code',
  'firmware configuration',
  'option ROMs and drivers',
  'configuration of option ROMs',
  'boot manager and boot loader',
  'partition table and boot configuration',
  'host-specific events',
  'Secure Boot state and keys',
  'boot loader commands and the kernel’s command line',
  'files that the boot loader read, the initrd among them',
];

export interface BootLogCheck {
  /** The log contradicts the quote or cannot be read. */
  readonly failures: readonly Finding[];
  /** The log must be sent whole before anything can be said. */
  readonly needsBytes: boolean;
  readonly record: BootState['bootLog'];
  readonly standing: StandingFindings;
  /** Every bank that the log replays to; only where its bytes came. Only the quoted bank is vouched for. */
  readonly replayed: ReplayedPcrs | undefined;
}

/**
 * @param known this boot's state, where it can be taken up
 * @param reference the boot section to judge a log's events by
 * @param userspaceLog what systemd extended after the firmware
 */
export function checkBootLog(
  quoted: QuotedPcrs,
  log: BootLogEvidence,
  known: BootState | undefined,
  reference: BootReference | undefined,
  userspaceLog: GrowingLogEvidence,
): BootLogCheck {
  if (log.kind === 'bytes') return checkBytes(quoted, log.bytes, reference, userspaceLog);
  const record = known?.bootLog;
  const standing = known?.findings.boot ?? NO_FINDINGS;
  if (log.kind === 'digest') {
    const needsBytes = record === undefined || record.sha256 !== toHex(log.sha256);
    const failures = needsBytes ? [] : mismatches(quoted, record.pcrs);
    return { failures, needsBytes, record, standing, replayed: undefined };
  }
  if (record !== undefined) {
    return { failures: mismatches(quoted, record.pcrs), needsBytes: false, record, standing, replayed: undefined };
  }
  return {
    failures: [],
    needsBytes: false,
    record: undefined,
    standing: withoutLog(log.reason, quoted, reference),
    replayed: undefined,
  };
}

/** What the PCRs themselves say, every time. */
export function judgeBootPcrs(
  quoted: QuotedPcrs,
  reference: BootReference | undefined,
  assurance: Assurance | undefined,
): Finding[] {
  return [...emptyBank(quoted, assurance), ...unexpectedPcrs(quoted, reference)];
}

/** True where the reference says nothing about a boot that is quoted in this bank. */
export function hasNoBootReference(quoted: QuotedPcrs, reference: BootReference | undefined): boolean {
  if (reference === undefined) return true;
  const pcrs = Object.keys(reference.pcrs[quoted.bank] ?? {}).length;
  const hasEvents = reference.events.some((event) => event.digest.startsWith(`${quoted.bank}:`));
  return pcrs === 0 && !hasEvents && !hasComponentsIn(reference.components ?? [], quoted.bank);
}

function emptyBank({ bank, pcrs }: QuotedPcrs, assurance: Assurance | undefined): Finding[] {
  const values = PLATFORM_PCRS.flatMap((pcr) => pcrs.get(pcr) ?? []);
  if (values.length === 0 || values.some((value) => value.some((byte) => byte !== 0))) return [];
  const subject = 'PCR 0–7';
  if (assurance === 'demonstration') {
    return [finding('boot.nothing-measured', subject, 'No firmware measures into this software TPM')];
  }
  // Where nobody has said what kind of TPM this is, it may be a software TPM, which no firmware uses.
  const code = assurance === undefined ? 'boot.bank-unused' : 'boot.bank-empty';
  return [finding(code, subject, `PCR 0–7 of the ${bank} bank are all zero: the firmware does not use it`)];
}

function unexpectedPcrs({ bank, pcrs }: QuotedPcrs, reference: BootReference | undefined): Finding[] {
  return Object.entries(reference?.pcrs[bank] ?? {}).flatMap(([name, allowed]) => {
    const pcr = Number(name);
    const value = pcrs.get(pcr);
    const subject = `PCR ${pcr}`;
    if (value === undefined)
      return [finding('boot.pcr-not-quoted', subject, `PCR ${pcr} has a reference and is not quoted`)];
    const found = toHex(value);
    if (allowed.includes(found)) return [];
    const meaning = PCR_MEANINGS[pcr];
    const what = `PCR ${pcr}${meaning === undefined ? '' : ` (${meaning})`} has a value that the reference does not allow`;
    return [finding('boot.pcr-unexpected', subject, what, { expected: allowed.join(' or '), found })];
  });
}

function checkBytes(
  quoted: QuotedPcrs,
  bytes: Uint8Array,
  reference: BootReference | undefined,
  userspaceLog: GrowingLogEvidence,
): BootLogCheck {
  const failed = (failure: Finding): BootLogCheck => ({
    failures: [failure],
    needsBytes: false,
    record: undefined,
    standing: NO_FINDINGS,
    replayed: undefined,
  });
  let log: BootLog;
  try {
    log = parseBootLog(bytes);
  } catch (error) {
    if (!(error instanceof ParseError) && !(error instanceof BootError)) throw error;
    return failed(finding('boot.log-malformed', 'firmware log', `The firmware log cannot be read: ${error.message}`));
  }
  if (!logBanks(log).includes(quoted.bank)) {
    const what = `The firmware log has digests for ${logBanks(log).join(', ')} and none for ${quoted.bank}`;
    return failed(finding('boot.bank-missing', 'firmware log', what));
  }
  const replayed = replayBootLog(log);
  const pcrs = replayed[quoted.bank] ?? {};
  return {
    failures: mismatches(quoted, pcrs),
    needsBytes: false,
    record: { sha256: toHex(digest('sha256', bytes)), pcrs },
    standing: judgeEvents(log, quoted, pcrs, reference, userspaceLog),
    replayed,
  };
}

/** PCR 0–9 must be what the log replays to; one that the log does not name must be untouched. */
function mismatches({ bank, pcrs }: QuotedPcrs, replayed: Readonly<Record<string, string>>): Finding[] {
  const untouched = '00'.repeat(digestInfo(bank).size);
  return FIRMWARE_PCRS.flatMap((pcr) => {
    const value = pcrs.get(pcr);
    const expected = replayed[pcr] ?? untouched;
    if (value === undefined || toHex(value) === expected) return [];
    const what = `The firmware log does not lead to the quoted PCR ${pcr} (${PCR_MEANINGS[pcr]})`;
    return [finding('boot.log-mismatch', `PCR ${pcr}`, what, { expected: toHex(value), found: expected })];
  });
}

/** Which PCRs the quote shows to hold exactly the log's events, but for boot phases: a log says nothing of another. */
function provenPcrs({ bank, pcrs }: QuotedPcrs, replayed: Readonly<Record<string, string>>): ReadonlySet<number> {
  const untouched = '00'.repeat(digestInfo(bank).size);
  const isProven = (pcr: number, value: Uint8Array): boolean => {
    const start = replayed[pcr] ?? untouched;
    return toHex(value) === start || (pcr === PHASE_PCR && isReachedByPhases(bank, start, value));
  };
  return new Set([...pcrs].flatMap(([pcr, value]) => (isProven(pcr, value) ? [pcr] : [])));
}

/**
 * By PCR, the records of systemd's log that lead from the firmware log's value to the quoted one; records beyond it were
 * written after the quote. The quote vouches for the sequence, not for where the firmware's events end: a host could pass
 * an event of the firmware off as a record, so each record is judged like an event.
 */
function laterRecords(
  { bank, pcrs }: QuotedPcrs,
  replayed: Readonly<Record<string, string>>,
  log: GrowingLogEvidence,
): ReadonlyMap<number, readonly UserspaceRecord[]> {
  const found = new Map<number, UserspaceRecord[]>();
  if (log.kind === 'absent' || log.offset !== 0) return found;
  const running = new Map<number, { value: string; readonly records: UserspaceRecord[] }>();
  for (const record of recordsOf(log.bytes)) {
    const quotedValue = pcrs.get(record.pcr);
    if (quotedValue === undefined || found.has(record.pcr)) continue;
    const before = running.get(record.pcr) ?? {
      value: replayed[record.pcr] ?? '00'.repeat(digestInfo(bank).size),
      records: [],
    };
    running.set(record.pcr, before);
    if (before.value === toHex(quotedValue)) continue; // the firmware log alone leads there
    before.value = toHex(digest(bank, fromHex(before.value, 'PCR'), digestIn(record, bank)));
    before.records.push(record);
    if (before.value === toHex(quotedValue)) found.set(record.pcr, before.records);
  }
  return found;
}

/** Up to the last whole line; none where it is no log of systemd's: it then explains nothing. */
function recordsOf(bytes: Uint8Array): readonly UserspaceRecord[] {
  try {
    return parseUserspaceLog(bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1));
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return [];
  }
}

/** Nothing where the record has none: the PCR then cannot be explained. */
function digestIn(record: UserspaceRecord, bank: DigestAlgorithm): Uint8Array {
  return record.digests.find(({ algorithm }) => algorithm === bank)?.value ?? new Uint8Array(0);
}

function isPhase(record: UserspaceRecord, bank: DigestAlgorithm): boolean {
  const { pcr, text } = record;
  return pcr === PHASE_PCR && text !== undefined && BOOT_PHASES.has(text) && recordMatchesText(record, bank);
}

/** The PCRs whose events the reference names, one by one or in components. */
function judgedByEvents(reference: BootReference | undefined): ReadonlySet<number> {
  const ofEvents = (reference?.events ?? []).map(({ pcr }) => pcr);
  return new Set([...ofEvents, ...componentPcrs(reference?.components ?? [])]);
}

/** @param why what keeps the log's events of a quoted PCR from being proven */
function unproven(pcrs: Iterable<number>, quoted: QuotedPcrs, why: string): Finding[] {
  return [...pcrs].map((pcr) =>
    quoted.pcrs.has(pcr)
      ? finding('boot.event-unproven', `PCR ${pcr}`, `The reference names events of PCR ${pcr}, and ${why}`)
      : finding('boot.pcr-not-quoted', `PCR ${pcr}`, `The reference names events of PCR ${pcr}, which is not quoted`),
  );
}

function withoutLog(reason: string, quoted: QuotedPcrs, reference: BootReference | undefined): StandingFindings {
  const collector = new FindingCollector();
  collector.add(finding('boot.no-log', 'firmware log', `There is no firmware log: ${reason}`));
  const named = judgedByEvents(reference);
  const extended = [...named].filter((pcr) => quoted.pcrs.get(pcr)?.some((byte) => byte !== 0) ?? true);
  for (const found of unproven(extended, quoted, 'it was extended without a log that says with what')) {
    collector.add(found);
  }
  for (const event of reference?.events ?? []) {
    if (!event.required) continue;
    const what = `Required event '${event.description}' of PCR ${event.pcr} cannot be shown without a log`;
    collector.add(finding('boot.event-missing', `PCR ${event.pcr}`, what, { expected: event.digest }));
  }
  return collector.finish();
}

/**
 * Judges the events of the PCRs that the log explains. From PCR 8 on the kernel and user space extend too, mostly
 * without this log: there an event could stand that was never measured.
 */
function judgeEvents(
  log: BootLog,
  quoted: QuotedPcrs,
  replayed: Readonly<Record<string, string>>,
  reference: BootReference | undefined,
  userspaceLog: GrowingLogEvidence,
): StandingFindings {
  const { bank } = quoted;
  const later = laterRecords(quoted, replayed, userspaceLog);
  const proven = new Set([...provenPcrs(quoted, replayed), ...later.keys()]);
  const collector = new FindingCollector();
  const expected = reference?.events ?? [];
  const judgedPcrs = new Set(expected.map(({ pcr }) => pcr));
  const seen = new Set<string>();
  const quirks = quirksOf(log, bank, proven);
  const used = new Set<Quirk>(quirks.filter(({ effect }) => effect.kind !== 'payload-not-measured'));
  for (const event of log.events) {
    if (!isExtended(event) || !proven.has(event.pcr)) continue;
    const value = event.digests.find(({ algorithm }) => algorithm === bank)?.value;
    if (value === undefined) continue;
    const position = { log: 'boot', index: event.index, pcr: event.pcr } as const;
    const excuse = excusingQuirk(quirks, event);
    if (digestMatchesPayload(event, bank) === 'differs') {
      if (excuse !== undefined) used.add(excuse);
      const what = `Event ${event.index} of PCR ${event.pcr} (${eventTypeName(event.type)}) shows a payload that was not measured`;
      if (excuse === undefined) collector.add(finding('boot.payload-mismatch', `PCR ${event.pcr}`, what, { position }));
    }
    const tagged = `${bank}:${toHex(value)}`;
    seen.add(`${event.pcr} ${tagged}`);
    if (!judgedPcrs.has(event.pcr)) continue;
    if (expected.some(({ pcr, digest: known }) => pcr === event.pcr && known === tagged)) continue;
    const what = `Event ${event.index} of PCR ${event.pcr}, ${describe(event, bank)}, is not in the reference`;
    collector.add(finding('boot.event-unexpected', `PCR ${event.pcr}`, what, { position, found: tagged }));
  }
  for (const quirk of used) collector.add(quirkFinding(quirk));
  const components = reference?.components ?? [];
  for (const found of judgeBootComponents(components, log, bank, proven)) collector.add(found);
  const namedPcrs = judgedByEvents(reference);
  for (const record of [...later.values()].flat()) {
    const tagged = `${bank}:${toHex(digestIn(record, bank))}`;
    seen.add(`${record.pcr} ${tagged}`);
    if (!namedPcrs.has(record.pcr) || isPhase(record, bank)) continue;
    if (expected.some(({ pcr, digest: known }) => pcr === record.pcr && known === tagged)) continue;
    const what = `Record ${record.index} of systemd’s log, extended into PCR ${record.pcr}, is neither a boot phase nor in the reference`;
    const position = { log: 'userspace', index: record.index, pcr: record.pcr } as const;
    collector.add(finding('boot.event-unexpected', `PCR ${record.pcr}`, what, { position, found: tagged }));
  }
  const others = [...namedPcrs].filter((pcr) => !proven.has(pcr));
  const why =
    userspaceLog.kind === 'absent'
      ? `it was extended by more or other events than the firmware log has, and there is no log of systemd’s: ${userspaceLog.reason}`
      : 'it was extended by more or other events than the firmware log and systemd’s have';
  for (const found of unproven(others, quoted, why)) {
    collector.add(found);
  }
  for (const event of expected) {
    if (quoted.pcrs.has(event.pcr) && !proven.has(event.pcr)) continue;
    if (!event.required || seen.has(`${event.pcr} ${event.digest}`)) continue;
    const what = `Required event '${event.description}' of PCR ${event.pcr} is not in the firmware log`;
    collector.add(finding('boot.event-missing', `PCR ${event.pcr}`, what, { expected: event.digest }));
  }
  return collector.finish();
}

/** The payload is quoted only where the digest vouches for it. */
function describe(event: BootEvent, bank: DigestAlgorithm): string {
  const type = eventTypeName(event.type);
  const text = digestMatchesPayload(event, bank) === 'matches' ? payloadText(event) : undefined;
  return text === undefined ? type : `${type} '${text.slice(0, 200)}'`;
}
