/** `assay reference`: what machines should be. */
import type { Command } from 'commander';
import { compileReference, MAX_MANIFEST_BYTES, parseManifest, referenceFromList } from '../reference/index.ts';
import { inFile } from './in-file.ts';
import { readInput } from './read-input.ts';
import { escapeControls, formatTable, printJson, printLine } from './terminal.ts';
import { writeOutput } from './write-output.ts';

const MAX_LIST_BYTES = 1024 * 1024 * 1024;

export function register(program: Command): void {
  const reference = program.command('reference').description('Reference manifests: what machines should be');
  reference.addHelpText('after', '\nExample:\n  assay reference check web-servers.json');
  reference
    .command('check')
    .description('Check a manifest: whether it can be read, what it holds, its identity')
    .argument('<manifest>', 'reference manifest in JSON')
    .option('--json', 'print {"id","name","self","components","files","approved","pending","deny"}')
    .addHelpText('after', '\nExample:\n  assay reference check web-servers.json')
    .action(check);
  reference
    .command('from-list')
    .description('Make a manifest from a measurement list: everything in it is approved as it is')
    .argument('<list>', 'binary IMA measurement list')
    .requiredOption('-o, --output <file>', 'write the manifest here; - is standard output')
    .option('--name <name>', 'name of the manifest', 'from a measurement list')
    .option('--json', 'print {"files","skipped"}')
    .addHelpText(
      'after',
      '\nExample:\n  assay reference from-list /sys/kernel/security/ima/binary_runtime_measurements -o reference.json',
    )
    .action(fromList);
}

/** Reads and compiles a manifest that a command names. */
export function readReference(path: string): ReturnType<typeof compileReference> {
  return inFile(path, () => compileReference(parseManifest(readInput(path, MAX_MANIFEST_BYTES).toString('utf8'))));
}

function check(path: string, options: { json?: boolean }): void {
  const compiled = readReference(path);
  const { name, self, boot, files, pending, deny } = compiled.manifest;
  const summary = {
    id: compiled.id,
    name,
    self,
    components: boot?.components?.length ?? 0,
    files: files.length,
    approved: compiled.approved.size,
    pending: pending.length,
    deny: deny.length,
  };
  if (options.json === true) printJson(summary);
  else printLine(formatTable(Object.entries(summary).map(([key, value]) => [key, escapeControls(String(value))])));
}

function fromList(path: string, options: { output: string; name: string; json?: boolean }): void {
  const list = readInput(path, MAX_LIST_BYTES);
  const about = { name: options.name, created: new Date().toISOString() };
  const { manifest, skipped } = inFile(path, () => referenceFromList(list, about));
  const text = `${JSON.stringify(manifest, undefined, 1)}\n`;
  if (options.output === '-') {
    process.stdout.write(text);
    return;
  }
  writeOutput(options.output, text);
  if (options.json === true) printJson({ files: manifest.files.length, skipped });
  else printLine(`approved ${manifest.files.length}; entries left out because they name no file: ${skipped}`);
}
