/** Writes docs/BOOT-CHANGES.md from the table of changes: `node tools/boot-changes-doc.ts > docs/BOOT-CHANGES.md`. */
import { CHANGES } from '../src/boot/index.ts';

/** The whole page. */
export function bootChangesPage(): string {
  const sections = Object.entries(CHANGES).map(
    ([code, { severity, title, advice }]) => `## \`${code}\` (${severity})\n\n${title}.\n\n**What to do:** ${advice}\n`,
  );
  return `# What \`assay boot diff\` names

Made from \`src/boot/compare/changes.ts\` by \`node tools/boot-changes-doc.ts > docs/BOOT-CHANGES.md\`.

\`info\` is what updates bring; a \`warning\` somebody should have meant; an \`alarm\` is about what protects the boot. Codes
are stable.

${sections.join('\n')}`;
}

if (import.meta.main) process.stdout.write(bootChangesPage());
