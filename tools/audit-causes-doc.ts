/** Writes docs/IMA-AUDIT.md from the table of causes: `node tools/audit-causes-doc.ts > docs/IMA-AUDIT.md`. */
import { AUDIT_CAUSES, type AuditCause } from '../src/ima/index.ts';

/** Operations that have the same causes stand together. */
function groups(): Map<Readonly<Record<string, AuditCause>>, string[]> {
  const found = new Map<Readonly<Record<string, AuditCause>>, string[]>();
  for (const [op, causes] of Object.entries(AUDIT_CAUSES)) found.set(causes, [...(found.get(causes) ?? []), op]);
  return found;
}

function section(ops: readonly string[], causes: Readonly<Record<string, AuditCause>>): string {
  const title = ops.map((op) => `\`${op}\``).join(', ');
  const rows = Object.entries(causes).map(([cause, { weight, weightIfDone, meaning, repair }]) => {
    const otherwise = weightIfDone === undefined ? '' : `, ${weightIfDone} with \`res=1\``;
    return `### \`${cause}\` (${weight}${otherwise})\n\n${meaning}.\n\n**What to do:** ${repair}\n`;
  });
  return `## ${title}\n\n${rows.join('\n')}`;
}

/** The whole page. */
export function auditCausesPage(): string {
  const sections = Array.from(groups(), ([causes, ops]) => section(ops, causes));
  return `# What \`assay ima audit\` explains

Made from \`src/ima/audit/causes.ts\` by \`node tools/audit-causes-doc.ts > docs/IMA-AUDIT.md\`.

Records 1800 to 1804 of the kernel's audit log name an operation (\`op=\`) and its cause (\`cause=\`). A \`failure\` is an access
that appraisal does not allow (refused under \`ima_appraise=enforce\`, let through under \`log\` and \`fix\`), a change that was
refused, or a measurement that is missing. A \`doubt\`: the measurement list no longer tells what was used. Whether \`res=\` says
1 is another question: it does so for every violation.

| type | name | what it is about |
|---|---|---|
| 1800 | \`INTEGRITY_DATA\` | content of a file: \`appraise_data\`, \`collect_data\`, \`set_data\`, \`mmap_file\` |
| 1801 | \`INTEGRITY_METADATA\` | EVM refuses a change: \`appraise_metadata\`, \`update_metadata\` |
| 1802 | \`INTEGRITY_STATUS\` | the policy as a whole: \`policy_update\`, \`update_policy\` |
| 1803 | \`INTEGRITY_HASH\` | reserved; no kernel up to 6.12 writes it |
| 1804 | \`INTEGRITY_PCR\` | the measurement list and its PCR |
| 1805 | \`INTEGRITY_RULE\` | a file that a rule \`audit\` recorded, with its digest |
| 1806 | \`INTEGRITY_EVM_XATTR\` | an attribute that EVM protects from now on; here \`res=0\` is the success |
| 1807 | \`INTEGRITY_POLICY_RULE\` | a rule that was read or refused, as far as the kernel read it |

${sections.join('\n')}`;
}

if (import.meta.main) process.stdout.write(auditCausesPage());
