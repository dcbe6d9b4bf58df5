/** A boot against a reference in the words of `boot diff`: which component is none of its variants, and what that means. */
import {
  type BootChange,
  type BootLog,
  bootAuthorities,
  CHANGES,
  type ChangeCode,
  changeOf,
  type DecodedEvent,
  decodeLog,
  logBanks,
  STARTED_CHANGES,
} from '../../boot/index.ts';
import { type DigestAlgorithm, digestInfo, toHex } from '../../bytes/index.ts';
import { type BootComponent, hasComponentsIn } from './components.ts';
import { type BootDifference, judgeComponents } from './judge.ts';

/** As many variants are named; a fleet may have thousands. */
const NAMED_VARIANTS = 5;
const ALL_PCRS: ReadonlySet<number> = new Set(Array.from({ length: 24 }, (_, pcr) => pcr));

/**
 * The strongest bank in which the reference has digests and each event of the log has one; undefined where there is none.
 * In another bank everything would seem to differ.
 */
export function comparableBank(components: readonly BootComponent[], log: BootLog): DigestAlgorithm | undefined {
  const banks = logBanks(log).filter((bank) => hasComponentsIn(components, bank));
  return banks.sort((a, b) => digestInfo(b).size - digestInfo(a).size).at(0);
}

/** The log is taken at its word: there is no quote here that proves some PCRs. */
export function changesFromReference(
  components: readonly BootComponent[],
  log: BootLog,
  bank: DigestAlgorithm,
): BootChange[] {
  const events = decodeLog(log, bank);
  const names = bootAuthorities(log, bank);
  return judgeComponents(components, log, bank, ALL_PCRS).map((difference): BootChange => {
    const index = 'event' in difference ? difference.event : undefined;
    const event = index === undefined ? undefined : events[index];
    const digest = log.events[index ?? -1]?.digests.find(({ algorithm }) => algorithm === bank)?.value;
    const found = event === undefined || digest === undefined ? undefined : changeOf(event, toHex(digest));
    const code = codeOf(difference, found?.code, events);
    const { severity, title, advice } = CHANGES[code];
    const { from, to } = sides(difference, found?.text);
    return {
      code,
      // Nobody has approved it, whatever brought it.
      severity: severity === 'info' ? 'warning' : severity,
      pcrs: [difference.pcr],
      message: `${title}; ${whatOf(difference)}`,
      from,
      to,
      inWhoseName: STARTED_CHANGES.includes(code) ? names : [],
      advice,
    };
  });
}

function whatOf(difference: BootDifference): string {
  const { component } = difference;
  switch (difference.kind) {
    case 'unknown-component':
      return `component '${component}' is not in the reference`;
    case 'missing':
      return `component '${component}' was not measured`;
    case 'unknown-variant':
      return difference.event === undefined
        ? `component '${component}' lacks events that every variant of the reference has`
        : `component '${component}', from event ${difference.event} on, is no variant of the reference`;
    case 'not-together':
      return `component '${component}' is '${difference.variant}', which does not go with '${difference.otherVariant}' of component '${difference.other}'`;
  }
}

function sides(difference: BootDifference, found: string | undefined): Pick<BootChange, 'from' | 'to'> {
  if (difference.kind === 'not-together')
    return { from: named(difference.allowed), to: [`${difference.other}: ${difference.otherVariant}`] };
  const to = found === undefined ? [] : [found];
  return { from: difference.kind === 'unknown-component' ? [] : named(difference.known), to };
}

function named(variants: readonly string[]): string[] {
  const more = variants.length - NAMED_VARIANTS;
  return more > 0 ? [...variants.slice(0, NAMED_VARIANTS), `one of ${more} more`] : [...variants];
}

function codeOf(
  difference: BootDifference,
  ofEvent: ChangeCode | undefined,
  events: readonly DecodedEvent[],
): ChangeCode {
  if (difference.kind === 'not-together') return 'boot.not-together';
  const part = difference.component.replace(/ \(PCR \d+\)$/, '');
  if (part === 'boot actions' && !events.some(isExitOfBootServices)) return 'boot.exit-boot-services-missing';
  return (
    ofEvent ?? PARTS.get(part) ?? (part.startsWith('boot loader') ? 'boot.application-changed' : 'boot.other-changed')
  );
}

const isExitOfBootServices = ({ payload }: DecodedEvent): boolean =>
  payload.kind === 'action' && payload.action === 'exit-boot-services';

/** What it means where a part is missing, or lacks something at its end. */
const PARTS: ReadonlyMap<string, ChangeCode> = new Map([
  ['firmware', 'boot.firmware-changed'],
  ['firmware settings', 'boot.firmware-configuration-changed'],
  ['hand-off tables', 'boot.firmware-configuration-changed'],
  ['host-specific events', 'boot.firmware-configuration-changed'],
  ['option ROMs', 'boot.option-rom-changed'],
  ['option ROM settings', 'boot.option-rom-configuration-changed'],
  ['boot options', 'boot.boot-option-changed'],
  ['boot attempts', 'boot.application-changed'],
  ['firmware applications', 'boot.application-changed'],
  ['partition table', 'boot.partition-table-changed'],
  ['Secure Boot', 'boot.secure-boot-switched'],
  ['Secure Boot keys', 'boot.secure-boot-keys-changed'],
  ['Secure Boot revocations', 'boot.dbx-updated'],
  ['Secure Boot authorities', 'boot.authority-changed'],
  ['shim’s revocations', 'boot.dbx-updated'],
  ['shim’s variables', 'boot.mok-changed'],
  ['boot loader commands', 'boot.grub-commands-changed'],
  ['boot loader files', 'boot.grub-file-changed'],
  ['kernel', 'boot.kernel-changed'],
  ['initrd', 'boot.initrd-changed'],
  ['command line', 'boot.command-line-changed'],
  ['unified kernel image', 'boot.uki-changed'],
]);
