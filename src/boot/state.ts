/** In which state a boot's log says that the machine was started: only from what digests vouch for. */
import { type DigestAlgorithm, toHex } from '../bytes/index.ts';
import { provenPcrs } from './boot-logs.ts';
import type { ChangeCode } from './compare/changes.ts';
import { componentOf } from './compare/component.ts';
import { decodeLog } from './decode/decode-event.ts';
import type { DecodedEvent } from './decode/decoded-event.ts';
import type { BootLog } from './log.ts';
import { isExtended, replayBootLog } from './replay.ts';
import { type SecureBootState, secureBootState, unknownSecureBoot } from './secure-boot-state.ts';
import type { UserspaceRecord } from './userspace-log.ts';

/** Something that was started or read: its digest is certain, its name a remark of the log's. */
export interface StartedFile {
  readonly pcr: number;
  /** Lower-case hex in the bank; of a PE file as Authenticode has it. */
  readonly digest: string;
  readonly name: string;
}

export interface BootState extends SecureBootState {
  readonly bank: DigestAlgorithm;
  /** PCRs whose given value the log replays to, ascending; undefined where no values were given. */
  readonly provenPcrs: readonly number[] | undefined;
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

interface Believed {
  readonly event: DecodedEvent;
  readonly digest: string;
  readonly code: ChangeCode | undefined;
  readonly text: string;
}

/**
 * Nothing counts that its PCR does not prove; of Secure Boot, `secure-boot-state.ts` has the rules.
 * @param values the bank's PCR values from a quote or a TPM, lower-case hex by index; left out: the log is taken at its word
 * @param userspace what systemd measured behind the log: values that its records lead to prove the log's part
 * @throws {BootError} `boot.no-such-bank`
 */
export function bootState(
  log: BootLog,
  bank: DigestAlgorithm,
  values?: Readonly<Record<string, string>>,
  userspace: readonly UserspaceRecord[] = [],
): BootState {
  const replayed = replayBootLog(log, [bank])[bank] ?? {};
  const proven = values && provenPcrs({ firmware: log, userspace }, bank, values);
  const isProven = (pcr: number): boolean => proven === undefined || proven.has(pcr);
  const unproven = Object.keys(replayed).filter((pcr) => !isProven(Number(pcr)));
  const events = decodeLog(log, bank).flatMap((event, i) => {
    const raw = log.events[i];
    const digest = raw?.digests.find(({ algorithm }) => algorithm === bank)?.value;
    if (raw === undefined || digest === undefined || !isExtended(raw) || !isProven(event.pcr)) return [];
    const component = componentOf(event);
    return [{ event, digest: toHex(digest), code: component?.code, text: component?.text ?? event.typeName }];
  });
  const ofSecureBoot = isProven(7)
    ? secureBootState(events.flatMap(({ event }) => (event.pcr === 7 ? [event] : [])))
    : unknownSecureBoot('the log does not prove PCR 7');
  const coded = (code: ChangeCode): Believed[] => events.filter((one) => one.code === code);
  const lines = coded('boot.command-line-changed').filter((one) => !isSectionName(one.event));
  const actions = events.flatMap(({ event: { payload } }) => (payload.kind === 'action' ? [payload.action] : []));
  return {
    bank,
    provenPcrs: proven && [...proven].sort((a, b) => a - b),
    ...ofSecureBoot,
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
      ...untold(replayed, proven, values).map((pcr) => ({
        index: undefined,
        pcr,
        reason: 'it was extended, and the log says nothing of it',
      })),
      ...events.flatMap(({ event: { index, pcr, vouched, typeName } }) =>
        vouched === 'differs' ? [{ index, pcr, reason: `${typeName}: its digest is not over its payload` }] : [],
      ),
    ],
  };
}

/** A boot's: PCR 10 is IMA's, 16 and 23 are anybody's, 17–22 those of a launch, of which another log tells. */
const OF_BOOT = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15];
const UNTOUCHED = /^(?:0*|f*)$/;

/** A log that leaves out every event of a PCR must not look like a boot without them. */
function untold(
  replayed: Readonly<Record<string, string>>,
  proven: ReadonlySet<number> | undefined,
  values: Readonly<Record<string, string>> = {},
): number[] {
  const isTold = (pcr: number): boolean => replayed[pcr] !== undefined || proven?.has(pcr) === true;
  return OF_BOOT.filter((pcr) => !isTold(pcr) && !UNTOUCHED.test(values[pcr] ?? ''));
}

const startedFile = ({ event, digest, text }: Believed): StartedFile => ({ pcr: event.pcr, digest, name: text });

/** The stub measures a section's name, and then its content. */
const isSectionName = ({ payload, vouched }: DecodedEvent): boolean =>
  payload.kind === 'ipl' && payload.role === 'stub-section' && vouched === 'digest';

const contents = (all: readonly Believed[]): StartedFile[] =>
  all.filter(({ event }) => !isSectionName(event)).map(startedFile);
