/** `assay ima policy`: IMA's policies, checked, explained, put into one form, and made. */
import { realpathSync, statSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { encodePath } from '../ima/index.ts';
import {
  formatPolicy,
  type GenerateOptions,
  generatePolicy,
  kernelName,
  lintPolicy,
  MAX_POLICY_SIZE,
  POLICY_AIMS,
  type PolicyAim,
  PolicyError,
  type PolicyFault,
  type PolicyFinding,
  readPolicy,
} from '../ima/policy/index.ts';
import { replaceFile } from '../sys/index.ts';
import { registerExplain } from './ima-policy-explain.ts';
import { BUILT_IN_HELP, KERNEL_HELP, kernelOf, type PolicyFlags, policyText } from './ima-policy-input.ts';
import { inFile } from './in-file.ts';
import { readInput } from './read-input.ts';
import { escapeControls, printJson, printLine } from './terminal.ts';
import { UsageError } from './usage-error.ts';

export function registerPolicy(ima: Command): void {
  const policy = ima.command('policy').description('IMA policies: what is measured, appraised, audited and hashed');
  policy.addHelpText('after', '\nExample:\n  assay ima policy check /etc/ima/ima-policy --kernel 6.12');
  policy
    .command('check')
    .description(
      'Would the kernel take this policy? Each fault with its place and the kernel’s rule; and what is odd about it',
    )
    .argument('[file]', 'policy; - is standard input')
    .option('--builtin <names>', BUILT_IN_HELP)
    .option('--kernel <version>', KERNEL_HELP)
    .option('--strict', 'exit 1 for a warning, too')
    .option('--json', 'print {"ok","kernel","rules","faults","findings"}')
    .addHelpText('after', CHECK_HELP)
    .action(check);
  registerExplain(policy);
  policy
    .command('format')
    .description('Put a policy into one form: comments stay, each rule in the order of its documentation')
    .argument('<file>', 'policy; - is standard input')
    .option('--kernel <version>', KERNEL_HELP)
    .option('--check', 'print nothing, exit 1 where it is in another form')
    .option('--write', 'write it back')
    .option('--json', 'print {"formatted","changed"}')
    .addHelpText('after', '\nExample:\n  assay ima policy format /etc/ima/ima-policy --write')
    .action(format);
  policy
    .command('generate')
    .description('Make a policy for a common aim; its comments say what it leaves out, and what it needs')
    .argument('<aim>', POLICY_AIMS.join(', '))
    .option('--signed', 'labels have to be signatures, not hashes')
    .option('--fsuuid <uuid>', 'immutable-image: UUID of the image’s file system')
    .option('--dm-verity', 'immutable-image: dm-verity vouches for the image, whose files need no labels then')
    .addOption(new Option('--container-pcr <pcr>', 'container-host: PCR of what runs in containers').argParser(Number))
    .option('--json', 'print {"aim","does","text","leavesOut","needs"}')
    .addHelpText('after', GENERATE_HELP)
    .action(generate);
}

const CHECK_HELP = `
Exit codes: 0 the kernel takes it · 1 it refuses it (as a whole, for one fault) · 2 the file cannot be read

Examples:
  assay ima policy check /etc/ima/ima-policy --kernel 6.12
  assay ima policy check --builtin tcb`;

const GENERATE_HELP = `
Examples:
  assay ima policy generate root-executables --signed > ima-policy
  assay ima policy generate immutable-image --dm-verity --fsuuid "$(findmnt -no UUID /)"`;

interface CheckOptions extends PolicyFlags {
  readonly strict?: boolean;
  readonly json?: boolean;
}

function check(file: string | undefined, options: CheckOptions): void {
  const kernel = kernelOf(options);
  const { name, text } = policyText(file, options);
  const findings = text.faults.length === 0 ? lintPolicy(text, kernel) : [];
  const warnings = findings.filter(({ severity }) => severity === 'warning').length;
  const ok = text.faults.length === 0;
  if (!ok || (options.strict === true && warnings > 0)) process.exitCode = 1;
  const rules = text.lines.filter(({ kind }) => kind === 'rule').length;
  if (options.json === true) {
    printJson({ ok, kernel: kernelName(kernel), rules, faults: text.faults, findings });
    return;
  }
  for (const fault of text.faults) printLine(faultLine(name, fault));
  for (const finding of findings) printLine(findingLine(name, finding));
  const noted = findings.length - warnings;
  const count = `${rules} rules, ${text.faults.length} faults, ${warnings} warnings, ${noted} notes`;
  const verdict = ok ? 'takes it' : 'refuses it, as a whole';
  printLine(`${escapeControls(name)}: ${count}; kernel ${kernelName(kernel)} ${verdict}`);
}

function faultLine(name: string, { line, column, message, kernel, advice, code }: PolicyFault): string {
  const doing = advice === undefined ? '' : `; ${advice}`;
  return escapeControls(`${name}:${line}:${column}: ${message}${doing} [${code}, ${kernel}]`);
}

function findingLine(name: string, finding: PolicyFinding): string {
  const { line, through, column, severity, message, advice, code } = finding;
  const more = through === line ? '' : ` (and so to line ${through})`;
  return escapeControls(`${name}:${line}:${column}: ${severity}: ${message}${more}; ${advice} [${code}]`);
}

const SEE = 'see `assay ima policy format --help`';

interface FormatOptions {
  readonly kernel?: string;
  readonly check?: boolean;
  readonly write?: boolean;
  readonly json?: boolean;
}

async function format(file: string, options: FormatOptions): Promise<void> {
  if (options.write === true && file === '-') throw new UsageError('standard input cannot be written back', SEE);
  if (options.write === true && options.check === true) {
    throw new UsageError('--check and --write exclude each other', SEE);
  }
  const bytes = readInput(file, MAX_POLICY_SIZE);
  const { lines, faults } = inFile(file, () => readPolicy(bytes, { kernel: kernelOf(options) }));
  const [first, ...others] = faults;
  if (first !== undefined) inFile(file, () => fail([first, ...others]));
  const formatted = encodePath(formatPolicy(lines));
  const changed = !formatted.equals(bytes);
  if (options.check === true && changed) process.exitCode = 1;
  if (options.write === true && changed) {
    const path = realpathSync(file);
    await replaceFile(path, formatted, { mode: statSync(path).mode & 0o7777 });
  }
  if (options.json === true) printJson({ formatted: formatted.toString(), changed });
  else if (options.check !== true && options.write !== true) process.stdout.write(formatted);
}

function fail(faults: readonly [PolicyFault, ...PolicyFault[]]): never {
  throw PolicyError.of(faults);
}

interface GenerateCommandOptions extends GenerateOptions {
  readonly json?: boolean;
}

function generate(aim: string, { json, ...options }: GenerateCommandOptions): void {
  const known = POLICY_AIMS.find((one): one is PolicyAim => one === aim);
  if (known === undefined) throw new UsageError(`there is no aim '${aim}'`, `it is one of ${POLICY_AIMS.join(', ')}`);
  const policy = generatePolicy(known, options);
  if (json === true) printJson(policy);
  else process.stdout.write(policy.text);
}
