/** The chain of trust of one host, link by link, from what its last verdict found. */
import { type ChainLink, FINDINGS, type Finding, type HostState, type Severity } from '../verify/index.ts';

export interface LinkSummary {
  readonly link: ChainLink;
  /** `absent`: this machine has nothing here. */
  readonly state: 'good' | 'info' | 'warning' | 'unknown' | 'untrusted' | 'absent';
  readonly findings: number;
  readonly says: string;
}

const LINKS: readonly ChainLink[] = ['tpm', 'firmware', 'kernel', 'files'];
const RANK: Readonly<Record<Severity, number>> = { untrusted: 3, unknown: 2, warning: 1, info: 0 };

/** @param measurer who writes the list: without the kernel's IMA there is no kernel link */
export function chainOfTrust(
  findings: readonly Finding[],
  state: HostState | undefined,
  measurer: string,
): readonly LinkSummary[] {
  return LINKS.map((link) => linkSummary(link, findings, state, measurer));
}

function linkSummary(
  link: ChainLink,
  findings: readonly Finding[],
  state: HostState | undefined,
  measurer: string,
): LinkSummary {
  const own = findings.filter((finding) => FINDINGS[finding.code].link === link);
  const [worst] = own.toSorted((a, b) => RANK[FINDINGS[b.code].severity] - RANK[FINDINGS[a.code].severity]);
  const missing = missingOf(link, state, measurer);
  const severity = worst === undefined ? undefined : FINDINGS[worst.code].severity;
  if (missing !== undefined && severity !== 'untrusted')
    return { link, state: 'absent', findings: own.length, says: missing };
  if (worst === undefined) return { link, state: 'good', findings: 0, says: GOOD[link] };
  return { link, state: severity ?? 'info', findings: own.length, says: worst.message };
}

const GOOD: Readonly<Record<ChainLink, string>> = {
  tpm: 'The TPM signed this state with the enrolled key, for our nonce.',
  firmware: 'The firmware’s log explains the PCRs that the TPM signed.',
  kernel: 'The kernel’s measurement list explains PCR 10.',
  files: 'Every measured file is one that the reference knows.',
};

function missingOf(link: ChainLink, state: HostState | undefined, measurer: string): string | undefined {
  if (state?.boot === undefined) return link === 'tpm' ? undefined : 'Nothing of this boot has been verified yet.';
  if (link === 'firmware' && state.boot.bootLog === undefined) {
    return 'This machine shows no firmware log; a machine with UEFI and a TPM fills this link.';
  }
  if (link === 'kernel' && measurer === 'user-space') {
    return 'The kernel does not measure here; a kernel with IMA (ima_policy=tcb) fills this link.';
  }
  return undefined;
}
