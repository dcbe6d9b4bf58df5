/** The chain of trust of one host: what each link rests on, and what it would take where this machine has nothing. */
import type { Finding, HostDetail } from './api.ts';
import { LINKS, worstOf } from './finding-groups.ts';
import type { ChainLink, Severity } from './severity.ts';

/**
 * `held`: as expected; `doubt`: it holds, with findings; `broken`; `unknown`: cannot be told; `absent`: this machine has
 * nothing there.
 */
export type LinkState = 'held' | 'doubt' | 'broken' | 'unknown' | 'absent';

export interface LinkView {
  readonly link: ChainLink;
  readonly name: string;
  readonly state: LinkState;
  /** A sentence. */
  readonly says: string;
  /** The worst finding, where it breaks the link. */
  readonly cause?: Finding;
  /** What would fill it, where it is absent. */
  readonly fill?: string;
}

export const LINK_NAMES: Readonly<Record<ChainLink, string>> = {
  tpm: 'TPM',
  firmware: 'Firmware',
  kernel: 'Kernel',
  files: 'Files',
};

/** The four links in order; one that stands on a broken one cannot hold. */
export function chainOf(host: HostDetail): readonly LinkView[] {
  const views: LinkView[] = [];
  for (const link of LINKS) {
    const view = viewOf(link, host);
    const broken = views.find((before) => before.state === 'broken');
    views.push(broken === undefined ? view : standingOn(view, broken));
  }
  return views;
}

function standingOn(view: LinkView, broken: LinkView): LinkView {
  if (view.state !== 'held' && view.state !== 'doubt') return view;
  return { ...view, state: 'unknown', says: `Cannot be told: it stands on the ${broken.name} link, which is broken.` };
}

function viewOf(link: ChainLink, host: HostDetail): LinkView {
  const cause = worstOf(host.findings, link);
  const worst = cause?.severity;
  const named = { link, name: LINK_NAMES[link] };
  if (cause?.severity === 'untrusted') return { ...named, state: 'broken', says: BROKEN[link], cause };
  const missing = absence(link, host);
  if (missing !== undefined) return { ...named, state: 'absent', ...missing };
  if (host.verdict === undefined) return { ...named, state: 'unknown', says: 'No evidence has been judged yet.' };
  return { ...named, state: stateOf(worst), says: HELD[link](host) };
}

function stateOf(worst: Severity | undefined): LinkState {
  if (worst === 'unknown') return 'unknown';
  return worst === 'warning' ? 'doubt' : 'held';
}

const BROKEN: Readonly<Record<ChainLink, string>> = {
  tpm: 'What the TPM signed does not verify, so nothing that it says counts.',
  firmware: 'This machine did not boot as expected.',
  kernel: 'The kernel’s list does not agree with the TPM.',
  files: 'Something ran that is not what it should be.',
};

const HELD: Readonly<Record<ChainLink, (host: HostDetail) => string>> = {
  tpm: (host) =>
    host.assurance === 'hardware'
      ? 'A TPM chip signed this, with a key whose maker’s certificate leads to a configured root.'
      : 'swtpm signed this: as good as the host that runs it.',
  firmware: () => 'The firmware measured the boot into PCR 0–7, and its log replays to them.',
  kernel: () => 'The kernel measures files before they run; its list replays to PCR 10.',
  files: (host) => `${count(host.measured)} measured since this boot, each judged.`,
};

function count(files: number): string {
  return files === 1 ? '1 file' : `${files.toLocaleString('en')} files`;
}

type Absence = Pick<LinkView, 'says'> & { readonly fill: string };

function absence(link: ChainLink, host: HostDetail): Absence | undefined {
  if (link === 'tpm' && host.assurance === 'demonstration') {
    return {
      says: 'No TPM here. A program stands in for it: its quotes are real, its keys are in a file.',
      fill: 'a TPM 2.0, switched on in the firmware set-up (Intel PTT, AMD fTPM) or given to the VM (swtpm)',
    };
  }
  if (link === 'firmware') return firmwareAbsence(host);
  if (link === 'kernel' && host.measurer === 'user-space') {
    return {
      says: 'This kernel measures nothing. The agent does it from user space, later and less completely.',
      fill: 'a kernel with CONFIG_IMA, booted with ima_policy=tcb',
    };
  }
  if (link === 'files' && host.verdict !== undefined && host.measured === 0) {
    return { says: 'No file has been measured since this boot.', fill: 'an IMA policy that measures what runs' };
  }
  return undefined;
}

function firmwareAbsence(host: HostDetail): Absence | undefined {
  const fill = 'a boot through UEFI firmware that knows the TPM';
  const firmware = host.pcrs.filter((pcr) => pcr.index <= 7);
  if (firmware.length > 0 && firmware.every((pcr) => isEmpty(pcr.value))) {
    return { says: 'PCR 0–7 are empty: no firmware measured itself into this TPM.', fill };
  }
  const hasNoLog = host.chain.some((summary) => summary.link === 'firmware' && summary.state === 'absent');
  if (!hasNoLog || host.verdict === undefined) return undefined;
  if (host.assurance === 'demonstration') {
    return { says: 'The stand-in starts long after the firmware, so no firmware measured itself into it.', fill };
  }
  return {
    says: 'PCR 0–7 are filled, and there is no firmware log that says with what.',
    fill: 'the kernel’s copy of that log, where the agent can read it (securityfs, as root)',
  };
}

/** Nothing was ever extended into it: zeros from reset, or ones where only a dynamic launch may (PCR 17–22). */
export function isEmpty(value: string): boolean {
  return /^(?:0+|f+)$/i.test(value);
}
