/** In which state a boot's log says that the machine was started: only from what digests vouch for. */
import { type DigestAlgorithm, toHex } from '../bytes/index.ts';
import type { ChangeCode } from './compare/changes.ts';
import { componentOf, signatureText } from './compare/component.ts';
import { decodeLog } from './decode/decode-event.ts';
import type { DecodedEvent } from './decode/decoded-event.ts';
import type { BootLog } from './log.ts';
import { isExtended, replayBootLog } from './replay.ts';

/** Something that was started or read: its digest is certain, its name a remark of the log's. */
export interface StartedFile {
  readonly pcr: number;
  /** Lower-case hex in the bank; of a PE file as Authenticode has it. */
  readonly digest: string;
  readonly name: string;
}

export interface BootState {
  readonly bank: DigestAlgorithm;
  /** PCRs whose given value the log replays to, ascending; undefined where no values were given. */
  readonly provenPcrs: readonly number[] | undefined;
  readonly secureBoot: { readonly state: 'on' | 'off' | 'unknown'; readonly why: string };
  /** What PK, KEK, db and dbx hold: certificates by subject, hashes. One that the log does not tell is left out. */
  readonly keys: Readonly<Partial<Record<KeyVariable, readonly string[]>>>;
  /** Certificates by which the firmware, and shim, accepted what was started; in the log's order. */
  readonly authorities: readonly string[];
  /** Drivers and option ROMs, in PCR 2. */
  readonly drivers: readonly StartedFile[];
  /** Boot loaders and other applications but the kernel, in PCR 4. */
  readonly applications: readonly StartedFile[];
  readonly kernel: readonly StartedFile[];
  readonly initrd: readonly StartedFile[];
  /** Command lines that a digest vouches for. */
  readonly commandLine: readonly string[];
  /** Digests of command lines whose words the log does not have. */
  readonly commandLineDigests: readonly StartedFile[];
  readonly debug: { readonly firmwareDebugger: boolean; readonly dmaProtectionDisabled: boolean };
  /** What was not believed, and why. */
  readonly leftOut: readonly LeftOut[];
}

export interface LeftOut {
  /** Of the event; undefined for a whole PCR. */
  readonly index: number | undefined;
  readonly pcr: number;
  readonly reason: string;
}

const KEY_VARIABLES = ['PK', 'KEK', 'db', 'dbx'] as const;
export type KeyVariable = (typeof KEY_VARIABLES)[number];

interface Believed {
  readonly event: DecodedEvent;
  readonly digest: string;
  readonly code: ChangeCode | undefined;
  readonly text: string;
}

/**
 * The rules are go-attestation's (attest/secureboot.go, ParseSecurebootState): nothing counts that its PCR does not prove;
 * each variable of Secure Boot is measured once, before PCR 7's separator, with a digest over it; whatever else stands in
 * PCR 7 makes Secure Boot's state unknown.
 * @param values the bank's PCR values from a quote or a TPM, lower-case hex by index; left out: the log is taken at its word
 * @throws {BootError} `boot.no-such-bank`
 */
export function bootState(log: BootLog, bank: DigestAlgorithm, values?: Readonly<Record<string, string>>): BootState {
  const replayed = replayBootLog(log, [bank])[bank] ?? {};
  const proven = values && new Set(Object.keys(replayed).filter((pcr) => values[pcr] === replayed[pcr]));
  const isProven = (pcr: number): boolean => proven === undefined || proven.has(String(pcr));
  const unproven = Object.keys(replayed).filter((pcr) => !isProven(Number(pcr)));
  const events = decodeLog(log, bank).flatMap((event, i) => {
    const raw = log.events[i];
    const digest = raw?.digests.find(({ algorithm }) => algorithm === bank)?.value;
    if (raw === undefined || digest === undefined || !isExtended(raw) || !isProven(event.pcr)) return [];
    const component = componentOf(event);
    return [{ event, digest: toHex(digest), code: component?.code, text: component?.text ?? event.typeName }];
  });
  const { secureBoot, keys, authorities } = stateOfSecureBoot(events, isProven(7));
  const coded = (code: ChangeCode): Believed[] => events.filter((one) => one.code === code);
  const lines = coded('boot.command-line-changed').filter((one) => !isSectionName(one.event));
  const actions = events.flatMap(({ event: { payload } }) => (payload.kind === 'action' ? [payload.action] : []));
  return {
    bank,
    provenPcrs: proven && [...proven].map(Number).sort((a, b) => a - b),
    secureBoot,
    keys,
    authorities,
    drivers: events.filter(({ event }) => event.pcr === 2 && event.payload.kind === 'image-load').map(startedFile),
    applications: [...coded('boot.application-changed'), ...coded('boot.uki-changed')]
      .filter(({ event }) => event.payload.kind === 'image-load')
      .sort((a, b) => a.event.index - b.event.index)
      .map(startedFile),
    kernel: contents(coded('boot.kernel-changed')),
    initrd: contents(coded('boot.initrd-changed')),
    commandLine: [...new Set(lines.filter(({ event }) => event.vouched === 'digest').map(({ text }) => text))],
    commandLineDigests: lines.filter(({ event }) => event.vouched !== 'digest').map(startedFile),
    debug: {
      firmwareDebugger: actions.includes('debugger'),
      dmaProtectionDisabled: actions.includes('dma-protection-disabled'),
    },
    leftOut: [
      ...unproven.map((pcr) => ({
        index: undefined,
        pcr: Number(pcr),
        reason: values?.[pcr] === undefined ? 'no value of it was given' : 'the log does not replay to its value',
      })),
      ...events.flatMap(({ event: { index, pcr, vouched, typeName } }) =>
        vouched === 'differs' ? [{ index, pcr, reason: `${typeName}: its digest is not over its payload` }] : [],
      ),
    ],
  };
}

const startedFile = ({ event, digest, text }: Believed): StartedFile => ({ pcr: event.pcr, digest, name: text });

/** The stub measures a section's name, and then its content. */
const isSectionName = ({ payload, vouched }: DecodedEvent): boolean =>
  payload.kind === 'ipl' && payload.role === 'stub-section' && vouched === 'digest';

const contents = (all: readonly Believed[]): StartedFile[] =>
  all.filter(({ event }) => !isSectionName(event)).map(startedFile);

type SecureBootPart = Pick<BootState, 'secureBoot' | 'keys' | 'authorities'>;

function stateOfSecureBoot(events: readonly Believed[], isProven: boolean): SecureBootPart {
  const unknown = (why: string): SecureBootPart => ({
    secureBoot: { state: 'unknown', why },
    keys: {},
    authorities: [],
  });
  if (!isProven) return unknown('the log does not prove PCR 7');
  const measured = events.map(({ event }) => event).filter(({ pcr }) => pcr === 7);
  if (measured.length === 0) return unknown('nothing was measured into PCR 7');
  const separators = measured.filter(({ payload }) => payload.kind === 'separator');
  const [separator] = separators;
  if (separator === undefined || separators.length > 1) return unknown(`PCR 7 has ${separators.length} separators`);
  const stranger = measured.map((event) => whyStrange(event, separator)).find((why) => why !== undefined);
  if (stranger !== undefined) return unknown(stranger);
  const variables = new Map<string, DecodedEvent>();
  for (const event of measured) {
    if (event.payload.kind !== 'variable' || event.typeName !== CONFIGURATION) continue;
    if (variables.has(event.payload.name)) return unknown(`${event.payload.name} was measured twice`);
    variables.set(event.payload.name, event);
  }
  const missing = ['SecureBoot', ...KEY_VARIABLES].find((name) => !variables.has(name));
  if (missing !== undefined) return unknown(`${missing} was not measured`);
  return {
    secureBoot: onOrOff(variables.get('SecureBoot')),
    keys: Object.fromEntries(KEY_VARIABLES.map((name) => [name, held(variables.get(name))])),
    authorities: [...new Set(measured.flatMap(authority))],
  };
}

const CONFIGURATION = 'EV_EFI_VARIABLE_DRIVER_CONFIG';
const AUTHORITY = 'EV_EFI_VARIABLE_AUTHORITY';
/** What shim adds to PCR 7 for itself (shim, mok.c and sbat.c): a variable's data, under a name that nothing vouches for. */
const SHIMS = /^(?:MokList\w*|MokSBState|SbatLevel|Shim)$/;

function whyStrange({ index, typeName, vouched, payload }: DecodedEvent, separator: DecodedEvent): string | undefined {
  const where = `event ${index} of PCR 7`;
  if (payload.kind === 'separator') return vouched === 'digest' ? undefined : `${where}: a separator that is none`;
  if (payload.kind === 'action')
    return vouched === 'digest' ? undefined : `${where}: its text is not what was measured`;
  if (payload.kind !== 'variable') return `${where}: ${typeName} does not belong there`;
  if (vouched !== 'digest' && !(typeName === AUTHORITY && SHIMS.test(payload.name))) {
    return `${where}: its digest is not over ${payload.name}`;
  }
  if (typeName === CONFIGURATION && index > separator.index) return `${where}: ${payload.name} after the separator`;
  return typeName === CONFIGURATION || typeName === AUTHORITY
    ? undefined
    : `${where}: ${typeName} does not belong there`;
}

function onOrOff(event: DecodedEvent | undefined): BootState['secureBoot'] {
  const value = event?.payload.kind === 'variable' ? event.payload.value : undefined;
  if (event === undefined || value?.kind !== 'boolean')
    return { state: 'unknown', why: 'SecureBoot is no byte 0 or 1' };
  const why = `event ${event.index} of PCR 7 measured SecureBoot=${value.value ? 1 : 0}`;
  return { state: value.value ? 'on' : 'off', why };
}

function held(event: DecodedEvent | undefined): string[] {
  const value = event?.payload.kind === 'variable' ? event.payload.value : undefined;
  if (value?.kind !== 'signature-lists') return [];
  return value.lists.flatMap(({ signatures }) => signatures.map(signatureText));
}

function authority({ payload }: DecodedEvent): string[] {
  return payload.kind === 'variable' && payload.value?.kind === 'authority'
    ? [signatureText(payload.value.signature)]
    : [];
}
