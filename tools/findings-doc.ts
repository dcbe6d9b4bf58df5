/** Writes docs/FINDINGS.md from the tables of findings and refusals: `node tools/findings-doc.ts > docs/FINDINGS.md`. */
import { REFUSALS } from '../src/evidence/index.ts';
import { FINDINGS } from '../src/verify/findings.ts';

const LINKS = { tpm: 'TPM', firmware: 'Firmware', kernel: 'Kernel', files: 'Files' } as const;

function findings(): string {
  return Object.entries(LINKS)
    .map(([link, title]) => {
      const rows = Object.entries(FINDINGS)
        .filter(([, kind]) => kind.link === link)
        .map(([code, { severity, title, meaning, advice }]) => section(code, severity, title, meaning, advice));
      return `## ${title}\n\n${rows.join('\n')}`;
    })
    .join('\n');
}

function section(code: string, effect: string, title: string, meaning: string, advice: string): string {
  return `### \`${code}\` (${effect})\n\n${title}. ${meaning}\n\n**What to do:** ${advice}\n`;
}

/** The whole page. */
export function findingsPage(): string {
  const refusals = Object.entries(REFUSALS).map(([code, { status, title, meaning, advice }]) =>
    section(code, `HTTP ${status}`, title, meaning, advice),
  );
  return `# Findings and refusals

Made from \`src/verify/findings.ts\` and \`src/evidence/refusals.ts\` by \`node tools/findings-doc.ts > docs/FINDINGS.md\`.

A finding belongs to a link of the chain of trust (TPM → firmware → kernel → files) and does something to the verdict:
\`untrusted\` beats \`unknown\`, which beats \`warning\`; \`info\` leaves it alone. Codes are stable.

${findings()}
## Refusals

What is refused before there is evidence to judge. Nothing of it is kept.

${refusals.join('\n')}`;
}

if (import.meta.main) process.stdout.write(findingsPage());
