/** What `assay up` tells a person in the terminal. */
import { readFileSync } from 'node:fs';
import type { Assurance, EvidenceAnswer, Verdict } from '../../evidence/index.ts';
import type { FindingView } from '../../server/index.ts';
import { linkCommand } from '../server-link.ts';
import { escapeControls, styled } from '../terminal.ts';
import type { Up } from './bring-up.ts';

const COLOUR = { trusted: 'green', warning: 'yellow', untrusted: 'red', unknown: 'magenta' } as const satisfies Record<
  Verdict,
  string
>;

const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  trusted: 'this machine is what its reference says',
  warning: 'nothing is wrong that was looked at; read on for what was not',
  untrusted: 'this machine is not what its reference says',
  unknown: 'nothing says what this machine should be',
};

const ASSURANCE_WORDS: Readonly<Record<Assurance, string>> = {
  hardware: 'a hardware TPM that a configured root vouches for',
  swtpm: 'an swtpm whose CA was configured: as good as the host that runs it',
  demonstration: 'this demonstrates and does not protect: no configured root vouches for this TPM',
};

/** Findings of one kind that are shown one by one; the rest is counted. */
const SHOWN_OF_A_KIND = 4;
const MARK: Readonly<Record<string, string>> = { untrusted: '✗', unknown: '?', warning: '!', info: '·' };

export function attestationLines({ host, tpm, tpmKind, limits }: Up): string[] {
  const verdict = host.verdict ?? 'unknown';
  return [
    '',
    `${styled(['bold', COLOUR[verdict]], verdict.toUpperCase())}  ${VERDICT_WORDS[verdict]}`,
    `assurance: ${host.assurance} — ${ASSURANCE_WORDS[host.assurance]}`,
    '',
    `host      ${escapeControls(host.name)}`,
    `TPM       ${escapeControls(tpm)}`,
    `measured  ${host.measured} ${host.measured === 1 ? 'entry' : 'entries'}, by ${host.measurer === 'kernel' ? 'the kernel' : 'the agent in user space'}`,
    ...limits.map((reason) => `          ${escapeControls(reason)}`),
    '',
    ...findingLines(standingFindings({ host, tpmKind })),
  ];
}

/** This host's findings in the words that fit this machine. */
export function standingFindings({ host, tpmKind }: Pick<Up, 'host' | 'tpmKind'>): FindingView[] {
  return host.standing.map((found) => ({ ...found, message: messageOf(found, tpmKind) }));
}

/** The finding's own words, or better ones where this program knows more of this machine than the verifier does. */
function messageOf({ code, subject, message }: FindingView, tpmKind: Up['tpmKind']): string {
  if (code === 'boot.no-log' && tpmKind === 'software') {
    return 'This demonstration has no firmware log: no firmware measures into a software TPM.';
  }
  if (code === 'file.unpackaged' && subject === process.execPath) {
    return `${subject} is the Node that Assay itself runs in; it came with Assay and with no package, so it waits for approval.`;
  }
  if (code === 'file.unpackaged' && ownMappings().includes(` ${subject}\n`)) {
    return `${subject} is loaded by Assay itself and belongs to no package, so it waits for approval.`;
  }
  return message;
}

/** proc(5): each line ends with the path of the file that is mapped. */
const ownMappings = (): string => readFileSync('/proc/self/maps', 'latin1');

/** Grouped by kind: a kind's advice is said once, and a kind with many findings is counted. */
function findingLines(findings: readonly FindingView[]): string[] {
  const kinds = Map.groupBy(findings, ({ code }) => code);
  return [...kinds.values()].flatMap((ofKind) => {
    const lines = ofKind.slice(0, SHOWN_OF_A_KIND).map(({ severity, code, message }) => {
      const mark = MARK[severity] ?? ' ';
      return `${mark} ${styled('dim', code)}  ${escapeControls(message)}`;
    });
    const more = ofKind.length - SHOWN_OF_A_KIND;
    return more > 0 ? [...lines, `  … and ${more} more like this`] : lines;
  });
}

export function welcomeLines({ dashboard, url, host, dataFolder }: Up): string[] {
  const open = dashboard ?? `${url} (the dashboard is not built: npm run build:web)`;
  const waits = host.standing.some(({ code }) => code === 'file.unpackaged');
  const approve = 'approve   a file that waits: its button among the findings on the dashboard';
  return [
    '',
    `dashboard ${styled('underline', open)}`,
    '          (this link opens it once, within 10 minutes; Ctrl-C ends)',
    `          a new link: ${escapeControls(linkCommand(dataFolder))}`,
    ...(waits ? [approve] : []),
    '',
  ];
}

/**
 * Tells an answer in one line, where its verdict or the worst finding is another than in the answer before: what is
 * measured grows all the time, and is no news.
 */
export function changeTeller(): (answer: EvidenceAnswer) => string | undefined {
  let told = '';
  return ({ verdict, findings, measured }) => {
    if (verdict === undefined) return undefined;
    const [worst] = findings;
    const why = worst === undefined || verdict === 'trusted' ? '' : `  ${escapeControls(worst.message)}`;
    const news = `${verdict}${why}`;
    if (news === told) return undefined;
    told = news;
    return `${new Date().toISOString().slice(11, 19)}  ${styled(COLOUR[verdict], verdict)}  ${measured} measured${why}`;
  };
}
