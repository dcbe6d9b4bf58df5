/** The verdict and its assurance in words. */
import type { Assurance, HostDetail, HostSummary } from './api.ts';
import { bySeverity, type Severity } from './severity.ts';
import { visibleText } from './visible.ts';

/** How the page looks: the verdict, or what stands in its way. */
export type Standing = 'trusted' | 'warning' | 'untrusted' | 'unknown' | 'silent' | 'waiting';

export function standingOf(host: HostSummary): Standing {
  if (!host.live) return 'silent';
  return host.verdict ?? 'waiting';
}

export const STANDING_WORDS: Readonly<Record<Standing, string>> = {
  trusted: 'Trusted',
  warning: 'Warning',
  untrusted: 'Not trusted',
  unknown: 'Unknown',
  silent: 'Silent',
  waiting: 'Waiting for evidence',
};

export interface AssuranceWords {
  readonly short: string;
  readonly long: string;
}

export const ASSURANCE_WORDS: Readonly<Record<Assurance, AssuranceWords>> = {
  hardware: { short: 'Hardware TPM', long: 'A TPM chip vouches for this, by its maker’s certificate.' },
  swtpm: { short: 'swtpm', long: 'A virtual TPM vouches for this; it is as trustworthy as the host that runs it.' },
  demonstration: {
    short: 'Demonstration',
    long: 'This demonstrates attestation and does not protect: the TPM is a program, and who rules the machine rules it too.',
  },
};

/** One or two sentences under the verdict. */
export function summaryOf(host: HostDetail): string {
  switch (standingOf(host)) {
    case 'silent':
      return `Nothing comes from this host any more. That says nothing about its integrity: look at its network and its agent.${lastVerdict(host)}`;
    case 'waiting':
      return 'The host is enrolled; its first evidence has not been judged yet.';
    case 'trusted':
      return 'Everything that the TPM vouches for is what it should be.';
    case 'unknown':
      return worstMessage(host, 'unknown') ?? 'There is nothing to judge this host by yet.';
    case 'untrusted':
      return worstMessage(host, 'untrusted') ?? 'Something is not what it should be.';
    case 'warning':
      return warnings(host);
  }
}

function lastVerdict(host: HostDetail): string {
  return host.verdict === undefined ? '' : ` Its last verdict was “${STANDING_WORDS[host.verdict].toLowerCase()}”.`;
}

function warnings(host: HostDetail): string {
  const several = host.findings.filter((finding) => finding.severity === 'warning').length;
  return several === 1
    ? 'Nothing that ran is known to be bad; one warning says what to look at or what this cannot tell.'
    : `Nothing that ran is known to be bad; ${several} warnings say what to look at and what this cannot tell.`;
}

function worstMessage(host: HostDetail, severity: Severity): string | undefined {
  const worst = host.findings.toSorted((a, b) => bySeverity(a.severity, b.severity))[0];
  return worst?.severity === severity ? worst.message : undefined;
}

/** What a screen reader is told when it changes. */
export function announcement(host: HostDetail): string {
  return visibleText(`${host.name}: ${STANDING_WORDS[standingOf(host)]}. ${summaryOf(host)}`);
}
