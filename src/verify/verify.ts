/** The verifier, read as a table of contents: quote, clock, firmware log, measurement list, judgement, verdict. */
import { checkBootLog, hasNoBootReference, judgeBootPcrs } from './boot-log.ts';
import { type BootRelation, checkClock } from './clock.ts';
import { FINDINGS, type Severity } from './findings.ts';
import { checkImaList, judgeImaPcr } from './ima-list.ts';
import { deletedFiles, withObservations } from './observation.ts';
import { type QuotedPcrs, verifyQuote } from './quote.ts';
import { bindingOf, resumableBoot, resumableReplay } from './request.ts';
import { finding, standing } from './sentence.ts';
import type {
  AttestationResult,
  BootState,
  Finding,
  HostState,
  UnprovenReplay,
  Verdict,
  VerifyInput,
} from './types.ts';
import { type Continuation, continuation, isOfSameBoot } from './unproven.ts';

/** So many times a list may fall short of its quote: it is read after the quote, but may lag. */
const MAX_BEHIND = 3;

/**
 * Verifies one piece of evidence. Pure: the same input gives the same result; no I/O, no clock.
 *
 * What fails to verify leaves what is held of the boot as it was. What verifies is judged, and findings on this boot's
 * entries stay in the state: evidence with nothing new forgets none.
 */
export function verify(input: VerifyInput): AttestationResult {
  const { findings: quoteFindings, quoted } = verifyQuote(input);
  if (quoted === undefined) return rejected(input, quoteFindings);
  const foreign = foreignMeasurer(input);
  if (foreign !== undefined) return rejected(input, [foreign]);
  const held = input.state?.binding === bindingOf(input.enrolment) ? input.state.boot : undefined;
  const clock = checkClock(held, quoted.attestation, input.now);
  if (clock.failure !== undefined) return rejected(input, [clock.failure]);
  return verifyLogs(input, quoted, clock.relation, clock.warning === undefined ? [] : [clock.warning]);
}

const EVERYTHING = 'everything of this boot must be sent';

function verifyLogs(
  input: VerifyInput,
  quoted: QuotedPcrs,
  relation: BootRelation,
  warnings: readonly Finding[],
): AttestationResult {
  const { evidence, enrolment, reference, state, now } = input;
  const sameBoot = relation === 'same' || relation === 'resumed';
  const known = sameBoot ? resumableBoot(state, enrolment, reference, now) : undefined;
  const bootReference = reference?.manifest.boot;
  const boot = checkBootLog(quoted, evidence.bootLog, known, bootReference, evidence.userspaceLog);
  const { imaLog: log } = evidence;
  const held = resumableReplay(state, enrolment, reference, now);
  const unproven = held !== undefined && isOfSameBoot(held, quoted.attestation) ? held : undefined;
  const ima = checkImaList({ quoted, log, known, unproven, reference, now, replayedBoot: boot.replayed });
  const failures = [...boot.failures, ...(ima.kind === 'failed' ? ima.failures : [])];
  if (failures.length > 0) return withoutUnproven(rejected(input, [...failures, ...warnings]));
  if (ima.kind === 'behind' && !boot.needsBytes) {
    return behind(input, ima.detail, relation, continuation(ima, held, quoted.attestation, reference, now));
  }
  if (boot.needsBytes || ima.kind !== 'covered') return unfinished(input, EVERYTHING, { needsStart: true });
  const next: BootState = {
    resetCount: quoted.attestation.clockInfo.resetCount,
    restartCount: quoted.attestation.clockInfo.restartCount,
    clock: Number(quoted.attestation.clockInfo.clock),
    clockSeenAt: now,
    ...(boot.record === undefined ? {} : { bootLog: boot.record }),
    ima: ima.state,
    userspaceLogOffset: 0,
    findings: { boot: boot.standing, ima: ima.standing },
    ...(reference === undefined ? {} : { referenceId: reference.id }),
    referenceExpired: reference?.hasExpired(now) ?? false,
  };
  return judged(input, quoted, next, warnings);
}

function judged(
  input: VerifyInput,
  quoted: QuotedPcrs,
  boot: BootState,
  warnings: readonly Finding[],
): AttestationResult {
  const { evidence, enrolment, reference } = input;
  const bootReference = reference?.manifest.boot;
  const onBoot = judgeBootPcrs(quoted, bootReference, enrolment?.assurance);
  const findings = withObservations(
    bySeverity([
      ...ceilings(input, quoted),
      ...warnings,
      ...onBoot,
      ...judgeImaPcr(quoted, boot.ima.entries),
      ...standing(boot.findings.boot),
      ...standing(boot.findings.ima),
      ...deletedFiles(evidence.observations, reference),
    ]),
    evidence.observations,
  );
  return {
    // Whatever the quote covers, nobody knows whose it is.
    verdict: enrolment === undefined ? 'unknown' : verdictOf(findings),
    verified: true,
    assurance: enrolment?.assurance,
    findings,
    state: { version: 1, binding: bindingOf(enrolment), boot, behind: 0, fromStart: false },
    measured: boot.ima.entries,
  };
}

const MEASURER_NOT_SAID =
  'Nobody vouches for who wrote the measurement list, so it counts as measured in user space; where you know that the ' +
  'kernel measures, say --measurer kernel or give the enrolment record';

/** What keeps a verdict from being better, whatever was measured. */
function ceilings({ enrolment, evidence, reference, now }: VerifyInput, quoted: QuotedPcrs): Finding[] {
  const found: Finding[] = [];
  if (enrolment === undefined) {
    found.push(finding('ak.unbound', 'attestation key', 'Nothing says which TPM signed this quote'));
  }
  if (enrolment?.assurance === 'demonstration') {
    found.push(finding('tpm.demonstration', 'TPM', 'The TPM is a software TPM on the machine itself'));
  }
  if ((enrolment?.measurer ?? evidence.measurer) === 'user-space') {
    found.push(finding('ima.user-space', 'measurer', 'The agent measures in user space, because the kernel does not'));
  } else if (enrolment !== undefined && enrolment.measurer === undefined) {
    found.push(finding('ima.user-space', 'measurer', MEASURER_NOT_SAID));
  }
  if (reference === undefined) {
    found.push(finding('reference.none', 'reference', 'No reference says what this machine should be'));
    return found;
  }
  const { name } = reference.manifest;
  if (reference.hasExpired(now)) {
    found.push(finding('reference.expired', 'reference', `The deadline of reference '${name}' has passed`));
  }
  if (reference.manifest.self) {
    found.push(finding('reference.self', 'reference', `Reference '${name}' was made from the host that it judges`));
  }
  if (hasNoBootReference(quoted, reference.manifest.boot)) {
    const what = `Reference '${name}' says nothing about the boot in the ${quoted.bank} bank`;
    found.push(finding('boot.no-reference', 'reference', what));
  }
  return found;
}

function foreignMeasurer({ enrolment, evidence }: VerifyInput): Finding | undefined {
  if (enrolment?.measurer === undefined || evidence.measurer === enrolment.measurer) return undefined;
  const what = `The host enrolled with measurement by ${enrolment.measurer} and sends that of ${evidence.measurer}`;
  return finding('evidence.measurer', 'measurer', what, { expected: enrolment.measurer, found: evidence.measurer });
}

/** Evidence that does not verify: untrusted, and what was held of the host stays. */
function rejected(input: VerifyInput, failures: readonly Finding[]): AttestationResult {
  const findings = bySeverity([...failures, ...unboundOnly(input)]);
  return {
    verdict: verdictOf(findings),
    verified: false,
    assurance: input.enrolment?.assurance,
    findings,
    state: input.state,
    measured: input.state?.boot?.ima.entries ?? 0,
  };
}

function unboundOnly({ enrolment }: VerifyInput): Finding[] {
  return enrolment === undefined
    ? [finding('ak.unbound', 'attestation key', 'Nothing says which TPM signed this quote')]
    : [];
}

/** What was unproven may itself be the reason. */
function withoutUnproven(result: AttestationResult): AttestationResult {
  if (result.state?.unproven === undefined) return result;
  const { unproven: _, ...state } = result.state;
  return { ...result, state };
}

function behind(
  input: VerifyInput,
  detail: string,
  relation: BootRelation,
  { unproven, isProgress }: Continuation,
): AttestationResult {
  // A TPM that was restarted without a reset may have cleared its PCRs: then the whole list is needed.
  if (relation === 'resumed' && unproven?.firstByte !== 0) return unfinished(input, detail, { needsStart: true });
  if (isProgress && unproven !== undefined && input.lastAttempt !== true) return inParts(input, unproven);
  return unfinished(input, detail, { needsStart: false, unproven });
}

/** A part of a list that goes on: nothing is judged before the quote is reached, and nothing counts as behind. */
function inParts(input: VerifyInput, unproven: UnprovenReplay): AttestationResult {
  const { entries, bytes } = unproven.ima;
  const megabytes = (bytes / 1e6).toFixed(1);
  const what = `The list comes in parts: ${entries} entries (${megabytes} MB) so far, which no quote has proven yet`;
  return {
    verdict: undefined,
    verified: false,
    assurance: input.enrolment?.assurance,
    findings: [finding('evidence.more-needed', 'measurement list', what), ...unboundOnly(input)],
    state: {
      version: 1,
      binding: bindingOf(input.enrolment),
      ...(keptBoot(input) ?? {}),
      unproven,
      behind: input.state?.behind ?? 0,
      fromStart: false,
    },
    measured: input.state?.boot?.ima.entries ?? 0,
  };
}

interface Unfinished {
  readonly needsStart: boolean;
  readonly unproven?: UnprovenReplay | undefined;
}

/** Nothing contradicts, and it is not enough yet: ask again, a bounded number of times. */
function unfinished(input: VerifyInput, detail: string, { needsStart, unproven }: Unfinished): AttestationResult {
  const behind = (input.state?.behind ?? 0) + 1;
  // A second time, what is held may itself be the reason (a kexec, a list begun anew).
  const fromStart = needsStart || behind >= 2;
  const isLast = behind >= MAX_BEHIND || input.lastAttempt === true;
  const state: HostState = {
    version: 1,
    binding: bindingOf(input.enrolment),
    ...(keptBoot(input) ?? {}),
    ...(fromStart || unproven === undefined ? {} : { unproven }),
    behind: Math.min(behind, MAX_BEHIND),
    fromStart,
  };
  const code = isLast || !needsStart ? 'ima.list-behind-quote' : 'evidence.more-needed';
  const what = isLast ? `${capitalised(detail)}, and no better list came` : capitalised(detail);
  const findings = [finding(code, 'measurement list', what), ...unboundOnly(input)];
  return {
    verdict: isLast ? verdictOf(findings) : undefined,
    verified: false,
    assurance: input.enrolment?.assurance,
    findings,
    state,
    measured: input.state?.boot?.ima.entries ?? 0,
  };
}

function keptBoot({ state, enrolment }: VerifyInput): Pick<HostState, 'boot'> | undefined {
  return state?.boot === undefined || state.binding !== bindingOf(enrolment) ? undefined : { boot: state.boot };
}

/** Worst first; within one severity as they were found. */
const ORDER: readonly Severity[] = ['untrusted', 'unknown', 'warning', 'info'];

function bySeverity(findings: readonly Finding[]): Finding[] {
  return ORDER.flatMap((severity) => findings.filter(({ code }) => FINDINGS[code].severity === severity));
}

function verdictOf(findings: readonly Finding[]): Verdict {
  const worst = ORDER.find((severity) => findings.some(({ code }) => FINDINGS[code].severity === severity));
  return worst === undefined || worst === 'info' ? 'trusted' : worst;
}

function capitalised(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
