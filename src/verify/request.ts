/** What to ask a host for next, from what is held of it. */
import { digest, toHex } from '../bytes/index.ts';
import type { EvidenceRequest } from '../evidence/index.ts';
import type { CompiledReference } from '../reference/index.ts';
import type { BootState, Enrolment, HostState } from './types.ts';

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
  if (boot.referenceId !== reference?.id) return undefined;
  return boot.referenceExpired === (reference?.hasExpired(now) ?? false) ? boot : undefined;
}

/** The next request: only what is new, or everything of this boot. */
export function requestFor(
  state: HostState | undefined,
  enrolment: Enrolment,
  reference: CompiledReference | undefined,
  now: number,
): EvidenceRequest {
  const boot = state?.fromStart === true ? undefined : resumableBoot(state, enrolment, reference, now);
  return {
    selection: enrolment.selection,
    imaOffset: boot?.ima.bytes ?? 0,
    bootLog: boot?.bootLog === undefined ? 'bytes' : 'digest',
    userspaceLogOffset: boot?.userspaceLogOffset ?? 0,
  };
}
