/** In which state a boot's log says that the machine was started: only from what digests vouch for. */
import { type DigestAlgorithm, digest, toHex } from '../bytes/index.ts';
import { provenPcrs } from './boot-logs.ts';
import { decodeLog } from './decode/decode-event.ts';
import type { DecodedEvent } from './decode/decoded-event.ts';
import type { BootLog } from './log.ts';
import { isExtended, replayBootLog } from './replay.ts';
import { type SecureBootState, secureBootState, unknownSecureBoot } from './secure-boot-state.ts';
import { type ExtendedEvent, extendedEvent, type ToldContents, toldContents } from './told-contents.ts';
import type { UserspaceRecord } from './userspace-log.ts';

export interface BootState extends SecureBootState, Omit<ToldContents, 'unexplained'> {
  readonly bank: DigestAlgorithm;
  /** PCRs whose given value the log replays to, ascending; undefined where no values were given. */
  readonly provenPcrs: readonly number[] | undefined;
  readonly debug: {
    readonly firmwareDebugger: boolean;
    readonly dmaProtectionDisabled: boolean;
    /** `mokutil --disable-validation`: what shim started it did not verify, whatever Secure Boot says. */
    readonly shimValidationDisabled: boolean;
  };
  /** What was not believed, and why. */
  readonly leftOut: readonly LeftOut[];
}

export interface LeftOut {
  readonly code: LeftOutCode;
  /** Of the event; undefined for a whole PCR. */
  readonly index: number | undefined;
  readonly pcr: number;
  readonly reason: string;
}

export type LeftOutCode =
  /** No value of this PCR was given. */
  | 'not-given'
  /** The given value is another one than the log's. */
  | 'contradicted'
  /** The given value was extended, and the log says nothing of it. */
  | 'untold'
  /** The type says that the digest is over the payload, and it is not. */
  | 'differs'
  /** Something was measured where loaders, kernels and command lines are, and type and words do not account for it. */
  | 'unexplained';

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
  const events = decodeLog(log, bank).flatMap((event, i) => {
    const raw = log.events[i];
    if (raw === undefined || !isExtended(raw) || !isProven(event.pcr)) return [];
    return extendedEvent(event, raw, bank) ?? [];
  });
  const ofPcr7 = events.flatMap(({ event }) => (event.pcr === 7 ? [event] : []));
  const { unexplained, ...told } = toldContents(events);
  const actions = events.flatMap(({ event: { payload } }) => (payload.kind === 'action' ? [payload.action] : []));
  return {
    bank,
    provenPcrs: proven && [...proven].sort((a, b) => a - b),
    ...(isProven(7) ? secureBootState(ofPcr7) : unknownSecureBoot('the log does not prove PCR 7')),
    ...told,
    debug: {
      firmwareDebugger: actions.includes('debugger'),
      dmaProtectionDisabled: actions.includes('dma-protection-disabled'),
      shimValidationDisabled: events.some((one) => disablesValidation(one, bank)),
    },
    leftOut: [
      ...Object.keys(replayed).flatMap((pcr) => (isProven(Number(pcr)) ? [] : [unproven(Number(pcr), values)])),
      ...untold(replayed, proven, values),
      ...doubtful(events, new Set(unexplained)),
    ],
  };
}

function unproven(pcr: number, values: Readonly<Record<string, string>> = {}): LeftOut {
  return values[pcr] === undefined
    ? { code: 'not-given', index: undefined, pcr, reason: 'no value of it was given' }
    : { code: 'contradicted', index: undefined, pcr, reason: 'the log does not replay to its value' };
}

function doubtful(events: readonly ExtendedEvent[], unexplained: ReadonlySet<DecodedEvent>): LeftOut[] {
  return events.flatMap((one): LeftOut[] => {
    const { index, pcr, vouched, typeName } = one.event;
    if (unexplained.has(one.event)) {
      const reason = `${typeName}: something was measured (${one.digest}), and the log does not say what`;
      return [{ code: 'unexplained', index, pcr, reason }];
    }
    if (vouched !== 'differs') return [];
    return [{ code: 'differs', index, pcr, reason: `${typeName}: its digest is not over its payload` }];
  });
}

/** shim (mok.c): MokSBState, one byte, into PCR 7 as the variable, into PCR 14 as its data under its name. */
function disablesValidation({ event, digest: measured }: ExtendedEvent, bank: DigestAlgorithm): boolean {
  const { pcr, payload, vouched } = event;
  if (payload.kind === 'variable' && payload.name === SHIM_STATE)
    return vouched !== 'digest' || payload.value?.kind !== 'boolean' || payload.value.value;
  if (pcr !== 14 || payload.kind !== 'ipl' || payload.text !== SHIM_STATE) return false;
  return measured !== toHex(digest(bank, Buffer.of(0)));
}

const SHIM_STATE = 'MokSBState';

/** A boot's: PCR 10 is IMA's, 16 and 23 are anybody's, 17–22 those of a launch, of which another log tells. */
const OF_BOOT = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15];
const UNTOUCHED = /^(?:0*|f*)$/;

/** A log that leaves out every event of a PCR must not look like a boot without them. */
function untold(
  replayed: Readonly<Record<string, string>>,
  proven: ReadonlySet<number> | undefined,
  values: Readonly<Record<string, string>> = {},
): LeftOut[] {
  const isTold = (pcr: number): boolean => replayed[pcr] !== undefined || proven?.has(pcr) === true;
  return OF_BOOT.filter((pcr) => !isTold(pcr) && !UNTOUCHED.test(values[pcr] ?? '')).map((pcr) => ({
    code: 'untold',
    index: undefined,
    pcr,
    reason: 'it was extended, and the log says nothing of it',
  }));
}
