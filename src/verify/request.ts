/** What to ask a host for next, from what is held of it. */
import { digest, toHex } from '../bytes/index.ts';
import type { EvidenceRequest } from '../evidence/index.ts';
import type { CompiledReference } from '../reference/index.ts';
import type { BootState, Enrolment, HostState, UnprovenReplay } from './types.ts';

/** What a state belongs to: counters and replays say nothing about another key or bank. */
export function bindingOf(enrolment: Pick<Enrolment, 'akPublic' | 'selection' | 'measurer'> | undefined): string {
  if (enrolment === undefined) return 'unbound';
  const { akPublic, selection, measurer } = enrolment;
  const terms = Buffer.from(`${measurer} ${selection.bank}:${selection.pcrs.join(',')}`);
  return toHex(digest('sha256', akPublic, terms));
}

/**
 * The boot that can be taken up where the last quote left it; undefined where everything of this boot must be judged
 * (again): nothing is known, the enrolment is another, or the reference, its deny list or its deadline changed.
 */
export function resumableBoot(
  state: HostState | undefined,
  enrolment: Enrolment | undefined,
  reference: CompiledReference | undefined,
  now: number,
): BootState | undefined {
  const boot = state?.boot;
  if (boot === undefined || state?.binding !== bindingOf(enrolment)) return undefined;
  return isJudgedBy(boot, reference, now) ? boot : undefined;
}

/** The unproven replay whose findings still stand, of whichever boot. */
export function resumableReplay(
  state: HostState | undefined,
  enrolment: Enrolment | undefined,
  reference: CompiledReference | undefined,
  now: number,
): UnprovenReplay | undefined {
  const unproven = state?.unproven;
  if (unproven === undefined || state?.binding !== bindingOf(enrolment)) return undefined;
  return isJudgedBy(unproven, reference, now) ? unproven : undefined;
}

function isJudgedBy(
  judged: Pick<BootState, 'referenceId' | 'referenceExpired'>,
  reference: CompiledReference | undefined,
  now: number,
): boolean {
  return judged.referenceId === reference?.id && judged.referenceExpired === (reference?.hasExpired(now) ?? false);
}

/** The next request: only what is new, what follows the parts that came, or everything of this boot. */
export function requestFor(
  state: HostState | undefined,
  enrolment: Enrolment,
  reference: CompiledReference | undefined,
  now: number,
): EvidenceRequest {
  const unproven = resumableReplay(state, enrolment, reference, now);
  const isFromStart = state?.fromStart === true || unproven?.firstByte === 0;
  const boot = isFromStart ? undefined : resumableBoot(state, enrolment, reference, now);
  return {
    selection: enrolment.selection,
    imaOffset: unproven?.ima.bytes ?? boot?.ima.bytes ?? 0,
    bootLog: boot?.bootLog === undefined ? 'bytes' : 'digest',
    userspaceLogOffset: boot?.userspaceLogOffset ?? 0,
  };
}
