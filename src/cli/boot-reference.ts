/** `assay boot reference`: the boot section of a reference manifest, from boots that are approved. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import {
  type BootComponent,
  BootMerger,
  type BootReference,
  imageNames,
  MAX_MANIFEST_BYTES,
  parseManifest,
  type Quirk,
} from '../reference/index.ts';
import { MACHINE_BOOT_LOG, readPcrLog } from './boot-log-input.ts';
import { inFile } from './in-file.ts';
import { parsePcrs } from './parse-pcrs.ts';
import { readInput } from './read-input.ts';
import { escapeControls, formatTable, printJson, printLine, terminalJson } from './terminal.ts';
import { UsageError } from './usage-error.ts';
import { writeOutput } from './write-output.ts';

interface Options {
  readonly output: string;
  readonly manifest?: string;
  readonly image?: readonly string[];
  readonly pcrs?: number[];
  readonly leaveOut?: readonly LeftOut[];
  readonly json?: boolean;
}

interface LeftOut {
  readonly component: string;
  readonly why: string;
}

const HELP = `
Every boot that is given is approved as it is. A log may be - for standard input; left out, it is
${MACHINE_BOOT_LOG}.
Files that are named with --image (shim, GRUB, systemd-boot, kernels, unified kernel images) name the variants that have
their digest by version and signer.

A PCR that a component names is judged as a whole. With --pcrs leave out those that the running system extends further
without a log; systemd's boot phases in PCR 11 need none. SMBIOS tables may change with each boot, and no digest is over
what the log shows of them: leave 'hand-off tables (PCR 1)' out where they do.

Examples:
  assay boot reference -o boot.json
  assay boot reference logs/*.log --image /boot/vmlinuz-* --manifest web-servers.json -o web-servers.json
  assay boot reference new.log --leave-out 'hand-off tables (PCR 1)=power-on reason in SMBIOS' -o boot.json`;

const collect = <T>(value: T, before: readonly T[] = []): T[] => [...before, value];

export function registerReference(boot: Command): void {
  boot
    .command('reference')
    .description('Make the boot section of a reference from event logs: components with their variants')
    .argument('[logs...]', 'event logs of boots that are approved')
    .option('-o, --output <file>', 'write the section here; - is standard output', '-')
    .option(
      '--manifest <file>',
      'write this reference manifest, its boot section replaced, in place of the section alone',
    )
    .option('--image <file...>', 'PE images that name their variants; logs stand before')
    .option('--pcrs <list>', 'only these PCRs', parsePcrs)
    .option(
      '--leave-out <component=why>',
      'judge nothing of this component, for this reason; can be given again',
      (text, before?: LeftOut[]) => collect(parseLeftOut(text), before),
    )
    .option('--json', 'print {"boots","components":[{"name","pcr","variants"}],"quirks"} beside the file')
    .addHelpText('after', HELP)
    .action((paths: string[], options: Options) => reference(paths, options));
}

function parseLeftOut(text: string): LeftOut {
  const [, component, why] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (component === undefined || why === undefined) throw new InvalidArgumentError('Write COMPONENT=WHY.');
  return { component, why };
}

function reference(paths: readonly string[], options: Options): void {
  if (options.json === true && options.output === '-') {
    throw new UsageError('--json is told beside a file', 'name one with -o; the section itself is JSON already');
  }
  const images = (options.image ?? []).map((path) => inFile(path, () => imageNames([imageFile(path)])));
  const merger = new BootMerger(new Map(images.flatMap((names) => [...names])));
  // One log after another: a fleet's need not fit in memory.
  for (const path of paths.length === 0 ? [undefined] : paths) {
    const log = readPcrLog(path);
    if (path === undefined) merger.addLog(log);
    else inFile(path, () => merger.addLog(log));
  }
  const pcrs = options.pcrs === undefined ? undefined : new Set(options.pcrs);
  const leftOut = options.leaveOut ?? [];
  const components = merger.finish(pcrs, new Map(leftOut.map(({ component, why }) => [component, why])));
  mustBeThere(leftOut, components);
  const text = `${terminalJson(sectionOrManifest({ pcrs: {}, events: [], components }, options.manifest), 1)}\n`;
  if (options.output === '-') {
    process.stdout.write(text);
    return;
  }
  writeOutput(options.output, text);
  if (options.json === true) printJson(summary(merger, components));
  else printSummary(merger, components);
}

const imageFile = (path: string): { name: string; bytes: Buffer } => ({ name: path, bytes: readFileSync(path) });

function mustBeThere(leftOut: readonly LeftOut[], components: readonly BootComponent[]): void {
  const unknown = leftOut.find(({ component }) => components.every(({ name }) => name !== component));
  if (unknown === undefined) return;
  const names = components.map(({ name }) => name).join(', ');
  throw new UsageError(`--leave-out '${unknown.component}' names no component of these boots`, `they are ${names}`);
}

function sectionOrManifest(boot: BootReference, manifest: string | undefined): unknown {
  if (manifest === undefined) return boot;
  const text = readInput(manifest, MAX_MANIFEST_BYTES).toString('utf8');
  return { ...inFile(manifest, () => parseManifest(text)), boot };
}

function summary({ boots, quirks }: BootMerger, components: readonly BootComponent[]): unknown {
  return {
    boots,
    components: components.map(({ name, pcr, variants }) => ({ name, pcr, variants: variants.map((one) => one.name) })),
    quirks: quirks.map(({ name, version, source }) => ({ name, version, source })),
  };
}

const NAMED_VARIANTS = 3;

function printSummary({ boots, quirks }: BootMerger, components: readonly BootComponent[]): void {
  printLine(`${boots} ${boots === 1 ? 'boot' : 'boots'}, ${components.length} components`);
  printLine(
    formatTable(components.map(({ name, variants }) => [escapeControls(name), escapeControls(told(variants))])),
  );
  for (const quirk of quirks) printLine(quirkLine(quirk));
}

function told(variants: BootComponent['variants']): string {
  if (variants.length === 0) return 'not judged';
  const names = variants.slice(0, NAMED_VARIANTS).map(({ name }) => name);
  const more = variants.length - names.length;
  return more > 0 ? `${names.join(' | ')} | ${more} more` : names.join(' | ');
}

function quirkLine({ name, version, firmware, fault, source }: Quirk): string {
  return `quirk ${name}, version ${version}: ${firmware}: ${fault} (${source})`;
}
