/** Two boots of a machine: which component is another one, from what to what, and what to make of it. */
import { type DigestAlgorithm, toHex } from '../../bytes/index.ts';
import { decodeLog } from '../decode/decode-event.ts';
import type { DecodedEvent } from '../decode/decoded-event.ts';
import { compareLaunches, type LaunchChange } from '../drtm/launch.ts';
import { BootError } from '../error.ts';
import type { BootLog } from '../log.ts';
import { isExtended, logBanks, replayBootLog } from '../replay.ts';
import { CHANGES, type ChangeCode, type ChangeSeverity } from './changes.ts';
import { AUTHORITY_KEY, type Component, changeOf, componentOf, FROM_QEMU, signatureText } from './component.ts';

export interface BootChange {
  readonly code: ChangeCode;
  readonly severity: ChangeSeverity;
  /** PCRs that it moves, ascending. */
  readonly pcrs: readonly number[];
  /** One sentence. */
  readonly message: string;
  /** What only the first, and only the second boot has: names with digests, words, certificates. */
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** Whose certificates vouched for what the second boot started, where Secure Boot was on and the log says it. */
  readonly inWhoseName: readonly string[];
  readonly advice: string;
}

interface Measured extends Component {
  readonly pcr: number;
  readonly digest: string;
  readonly event: DecodedEvent;
}

/**
 * Compares by digests, which the PCRs vouch for where the logs replay to them; names and paths are what the logs say.
 * @param bank left out: the strongest that both logs have
 * @throws {BootError} `boot.no-such-bank` where they have none in common
 */
export function compareBoots(before: BootLog, after: BootLog, bank = commonBank(before, after)): BootChange[] {
  const [a, b] = [measuredIn(before, bank), measuredIn(after, bank)];
  const names = whoVouched(b);
  // Grouped once: who wrote the log says how many keys there are.
  const [ofA, ofB] = [a, b].map((all) => Map.groupBy(all, ({ key }) => key));
  const keys = unique([...a, ...b].map(({ key }) => key));
  const byKey = keys.flatMap((key) => compareComponent(key, ofA?.get(key) ?? [], ofB?.get(key) ?? []) ?? []);
  const differing = new Set(byKey.map(({ key }) => key));
  /** Kinds of which something stands in both boots alike. */
  const alike = new Set(a.filter(({ key }) => ofB?.has(key) && !differing.has(key)).map(({ code }) => code));
  const told = [
    ...withoutQemusKernel(byKey).map((part) => measuredByOneAlone(part, alike)),
    ...launchChange(compareLaunches(before, after, bank)),
  ];
  const found = [...told, ...untold(told, before, after, bank)];
  return [...Map.groupBy(found, ({ code }) => code)]
    .map(([code, parts]) => toldAsOne(code, parts, names))
    .sort((x, y) => RANK[x.severity] - RANK[y.severity]);
}

const RANK: Readonly<Record<ChangeSeverity, number>> = { alarm: 0, warning: 1, info: 2 };
const STRENGTH: readonly DigestAlgorithm[] = ['sha512', 'sha384', 'sha256', 'sm3', 'sha1'];

/** A log may list a bank for which its events have no digests: it would hide them. */
function commonBank(a: BootLog, b: BootLog): DigestAlgorithm {
  const found = STRENGTH.find((bank) => hasEveryDigest(a, bank) && hasEveryDigest(b, bank));
  if (found !== undefined) return found;
  throw new BootError(
    'boot.no-such-bank',
    'the two logs have no bank in common in which each event has a digest',
    'compare boots of one machine, or name a bank',
  );
}

const hasEveryDigest = (log: BootLog, bank: DigestAlgorithm): boolean =>
  logBanks(log).includes(bank) &&
  log.events.filter(isExtended).every(({ digests }) => digests.some(({ algorithm }) => algorithm === bank));

function measuredIn(log: BootLog, bank: DigestAlgorithm): Measured[] {
  return decodeLog(log, bank).flatMap((event, i) => {
    const raw = log.events[i];
    const component = componentOf(event);
    const digest = raw?.digests.find(({ algorithm }) => algorithm === bank)?.value;
    if (raw === undefined || digest === undefined || component === undefined || !isExtended(raw)) return [];
    return [{ ...component, pcr: event.pcr, digest: toHex(digest), event }];
  });
}

/** Subjects of the certificates, and hashes, that vouched for what a boot started. */
export function bootAuthorities(log: BootLog, bank: DigestAlgorithm): string[] {
  return whoVouched(measuredIn(log, bank));
}

function whoVouched(measured: readonly Measured[]): string[] {
  return unique(
    measured.filter(({ key, event }) => key === AUTHORITY_KEY && event.vouched === 'digest').map(({ text }) => text),
  );
}

/** What of one component, or of a launch, differs: parts with one code are told as one change. */
interface Part {
  readonly code: ChangeCode;
  readonly key: string;
  readonly severity: ChangeSeverity;
  readonly pcrs: readonly number[];
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** It names what was measured; without it there are digests only. */
  readonly isInWords: boolean;
}

function compareComponent(key: string, a: readonly Measured[], b: readonly Measured[]): Part | undefined {
  const [gone, came] = [without(a, b), without(b, a)];
  const isAlike = gone.length === 0 && came.length === 0;
  if (isAlike && a.every(({ digest }, at) => b[at]?.digest === digest)) return undefined;
  const moved = isAlike ? b : [...gone, ...came];
  const [first] = moved;
  if (first === undefined) return undefined;
  const pcrs = moved.map(({ pcr }) => pcr);
  if (first.code !== 'boot.boot-order-changed' && hasSameDigests(a, b)) {
    const [from, to] = [a, b].map((all) => all.map(shown));
    const code = 'boot.measured-again';
    return { code, key, severity: CHANGES[code].severity, pcrs, from: from ?? [], to: to ?? [], isInWords: true };
  }
  return { code: first.code, key, severity: severityOf(first.code, gone, came), pcrs, ...described(gone, came) };
}

function hasSameDigests(a: readonly Measured[], b: readonly Measured[]): boolean {
  const digests = (all: readonly Measured[]): string[] => all.map(({ digest }) => digest);
  const { from, to } = between(digests(a), digests(b));
  return from.length === 0 && to.length === 0;
}

/** QEMU writes the initrd's size into the kernel that it hands over (hw/i386/x86.c, x86_load_linux). */
function withoutQemusKernel(parts: readonly Part[]): Part[] {
  const isOtherInitrd = parts.some(({ code }) => code === 'boot.initrd-changed');
  return parts.map((part) =>
    isOtherInitrd && part.key === FROM_QEMU ? { ...part, code: 'boot.handed-kernel-changed' } : part,
  );
}

/** Firmware, loader and stub measure one kernel; under Secure Boot not each of them does. */
function measuredByOneAlone(part: Part, alike: ReadonlySet<ChangeCode>): Part {
  const isOneSided = part.from.length === 0 || part.to.length === 0;
  if (!isOneSided || !alike.has(part.code) || !MEASURED_TWICE.includes(part.code)) return part;
  return { ...part, code: 'boot.measured-again', severity: CHANGES['boot.measured-again'].severity };
}

const MEASURED_TWICE: readonly ChangeCode[] = [
  'boot.kernel-changed',
  'boot.initrd-changed',
  'boot.command-line-changed',
];

/** Separators, the locality that the TPM was started from, an order among components: no PCR differs in silence. */
function untold(told: readonly Part[], before: BootLog, after: BootLog, bank: DigestAlgorithm): Part[] {
  const [a, b] = [before, after].map((log) => replayBootLog(log, [bank])[bank] ?? {});
  const all = unique([...Object.keys(a ?? {}), ...Object.keys(b ?? {})]);
  const pcrs = all.filter((pcr) => a?.[pcr] !== b?.[pcr]).map(Number);
  const left = pcrs.filter((pcr) => told.every((part) => !part.pcrs.includes(pcr)));
  if (left.length === 0) return [];
  const code = 'boot.other-changed';
  const values = (of: Readonly<Record<string, string>> | undefined): string[] =>
    left.flatMap((pcr) => (of?.[pcr] === undefined ? [] : [`PCR ${pcr} ${of[pcr].slice(0, 16)}…`]));
  return [
    {
      code,
      key: 'PCRs',
      severity: CHANGES[code].severity,
      pcrs: left,
      from: values(a),
      to: values(b),
      isInWords: true,
    },
  ];
}

function launchChange(changes: readonly LaunchChange[]): Part[] {
  if (changes.length === 0) return [];
  const side = (of: 'from' | 'to') =>
    changes.flatMap((change) => {
      const digest = change[of];
      return digest === undefined ? [] : [`${change.component} (${digest.slice(0, 16)}…)`];
    });
  const code = 'boot.launch-changed';
  const pcrs = changes.map(({ pcr }) => pcr);
  return [
    {
      code,
      key: 'launch',
      severity: CHANGES[code].severity,
      pcrs,
      from: side('from'),
      to: side('to'),
      isInWords: true,
    },
  ];
}

/** Changes that a certificate vouched for. */
export const STARTED_CHANGES: readonly ChangeCode[] = [
  'boot.application-changed',
  'boot.kernel-changed',
  'boot.uki-changed',
  'boot.authority-changed',
];

/** What of the one has no equal in the other, each as often as it stands there. */
function without(of: readonly Measured[], other: readonly Measured[]): Measured[] {
  const left = new Map<string, number>();
  for (const { digest } of other) left.set(digest, (left.get(digest) ?? 0) + 1);
  return of.filter(({ digest }) => {
    const count = left.get(digest) ?? 0;
    if (count > 0) left.set(digest, count - 1);
    return count === 0;
  });
}

function described(
  gone: readonly Measured[],
  came: readonly Measured[],
): { from: readonly string[]; to: readonly string[]; isInWords: boolean } {
  const [a, b] = [signaturesOf(gone), signaturesOf(came)];
  if (a !== undefined && b !== undefined) return { ...between(a, b), isInWords: true };
  const [lineBefore, lineAfter] = [lineOf(gone), lineOf(came)];
  if (lineBefore !== undefined && lineAfter !== undefined) {
    return { ...between(wordsOf(lineBefore), wordsOf(lineAfter)), isInWords: true };
  }
  const isInWords = [...gone, ...came].some(({ event }) => event.vouched === 'digest');
  return { from: gone.map(shown), to: came.map(shown), isInWords };
}

function between(a: readonly string[], b: readonly string[]): { from: string[]; to: string[] } {
  const without = (all: readonly string[], other: readonly string[]): string[] => {
    const known = new Set(other);
    return unique(all).filter((one) => !known.has(one));
  };
  return { from: without(a, b), to: without(b, a) };
}

const wordsOf = (line: string): string[] => line.split(/\s+/).filter((word) => word !== '');

/** What lists of keys and hashes hold; undefined where something else is among them, or a digest that is not over it. */
function signaturesOf(measured: readonly Measured[]): string[] | undefined {
  const found: string[] = [];
  for (const { event } of measured) {
    const { payload, vouched } = event;
    if (payload.kind !== 'variable' || vouched !== 'digest') return undefined;
    if (payload.value?.kind === 'signature-lists') {
      for (const { signatures } of payload.value.lists) for (const one of signatures) found.push(signatureText(one));
    } else if (payload.data.length > 0) return undefined;
  }
  return found;
}

/** systemd-boot and its stub each measure the line: the one that all of them have. */
function lineOf(measured: readonly Measured[]): string | undefined {
  const isLine = ({ code, event }: Measured) => code === 'boot.command-line-changed' && event.vouched === 'digest';
  const [line, another] = new Set(measured.map(({ text }) => text));
  return measured.every(isLine) && another === undefined ? line : undefined;
}

const shown = ({ digest, event }: Measured): string => changeOf(event, digest).text;

/** Revocations that went are another thing than ones that came; a debugger that went is none. */
function severityOf(code: ChangeCode, gone: readonly Measured[], came: readonly Measured[]): ChangeSeverity {
  if (code === 'boot.dbx-updated') return hasOnlyGrown(gone, came) ? 'info' : 'alarm';
  if (code === 'boot.debugger' && came.length === 0) return 'info';
  if (code === 'boot.exit-boot-services-missing' && gone.length === 0) return 'info';
  return CHANGES[code].severity;
}

/** Nothing that was revoked is no longer, as far as what was measured shows it. */
function hasOnlyGrown(gone: readonly Measured[], came: readonly Measured[]): boolean {
  const [before, after] = [signaturesOf(gone), signaturesOf(came)];
  if (before !== undefined && after !== undefined) return between(before, after).from.length === 0;
  const [older, newer] = [sbatDate(gone), sbatDate(came)];
  return newer !== undefined && (gone.length === 0 || (older !== undefined && older <= newer));
}

function sbatDate([first, another]: readonly Measured[]): string | undefined {
  if (first === undefined || another !== undefined || first.event.vouched !== 'digest') return undefined;
  const { payload } = first.event;
  return payload.kind === 'variable' && payload.value?.kind === 'sbat-level' ? payload.value.date : undefined;
}

const MAX_TOLD = 4;

function messageOf(title: string, from: readonly string[], to: readonly string[]): string {
  const parts = [
    ...(from.length === 0 ? [] : [`gone: ${some(from)}`]),
    ...(to.length === 0 ? [] : [`new: ${some(to)}`]),
  ];
  return parts.length === 0 ? title : `${title}; ${parts.join('; ')}`;
}

function some(all: readonly string[]): string {
  const more = all.length - MAX_TOLD;
  return more > 0 ? `${all.slice(0, MAX_TOLD).join(', ')} and ${more} more` : all.join(', ');
}

/** A new kernel is in PCR 4 and 9, or in 4 and 11: one change. Words, where a part has them, say what mere digests repeat. */
function toldAsOne(code: ChangeCode, parts: readonly Part[], names: readonly string[]): BootChange {
  const telling = parts.some(({ isInWords }) => isInWords) ? parts.filter(({ isInWords }) => isInWords) : parts;
  const [from, to] = [unique(telling.flatMap((one) => one.from)), unique(telling.flatMap((one) => one.to))];
  return {
    code,
    severity: parts.map(({ severity }) => severity).reduce((worst, one) => (RANK[one] < RANK[worst] ? one : worst)),
    pcrs: unique(parts.flatMap((one) => one.pcrs)).sort((x, y) => x - y),
    message: messageOf(CHANGES[code].title, from, to),
    from,
    to,
    inWhoseName: STARTED_CHANGES.includes(code) ? names : [],
    advice: CHANGES[code].advice,
  };
}

const unique = <T>(all: readonly T[]): T[] => [...new Set(all)];
