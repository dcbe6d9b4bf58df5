/** The tree of commands: `assay <noun> <verb>`. A noun's code is loaded only when it is used. */
import { Command, CommanderError } from 'commander';
import { UsageError } from './usage-error.ts';
import { VERSION } from './version.ts';

interface Noun {
  readonly summary: string;
  readonly load: () => Promise<{ register(program: Command): void }>;
}

const NOUNS: Readonly<Record<string, Noun>> = {
  up: { summary: 'Attest this machine: server, agent and dashboard in one', load: () => import('./up.ts') },
  boot: { summary: 'Boot logs: what firmware and boot loader measured', load: () => import('./boot.ts') },
  ima: {
    summary: 'IMA: what the kernel measured, by which policies, and what it told the audit log',
    load: () => import('./ima.ts'),
  },
  label: { summary: 'Labels of files: what the kernel appraises them by', load: () => import('./label.ts') },
  appraise: { summary: 'Judge labels of files as the kernel would', load: () => import('./appraise.ts') },
  guard: { summary: 'Hold an IMA policy at access time, without kernel IMA', load: () => import('./guard.ts') },
  key: { summary: 'Trusted and encrypted keys', load: () => import('./key.ts') },
  tpm: { summary: 'The TPM: what it is, what its PCRs hold, quotes', load: () => import('./tpm.ts') },
  agent: { summary: 'The agent of this host: attests it to a server', load: () => import('./agent.ts') },
  server: { summary: 'The service: enrols hosts, judges their evidence', load: () => import('./server.ts') },
  evidence: { summary: 'Evidence of this machine, in a file', load: () => import('./evidence.ts') },
  verify: { summary: 'Judge evidence: quote, logs and files against a reference', load: () => import('./verify.ts') },
  vtpm: { summary: 'Virtual TPMs: a software TPM on a socket', load: () => import('./vtpm.ts') },
  reference: { summary: 'Reference manifests: what machines should be', load: () => import('./reference.ts') },
};

export const NOUN_NAMES: readonly string[] = Object.keys(NOUNS);

const HELP = `
Example:
  assay up --once                this machine, attested once
  assay help tpm quote           the same as: assay tpm quote --help

Exit codes: 0 yes, trusted, warning or done · 1 no: untrusted, does not verify, differs
            2 bad input or usage            · 3 cannot tell: unknown, silent, unreachable, a missing part
Every command takes --json (stable) and --help (with an example). Colour obeys NO_COLOR.`;

/**
 * Commander's tree, in which the named nouns have their verbs. It throws instead of ending the process, and leaves the
 * printing of errors to `reportError`, so that all of them have one form.
 */
export async function buildProgram(loaded: readonly string[]): Promise<Command> {
  const program = new Command('assay')
    .description('Integrity for Linux machines: measure, appraise, attest.')
    .version(VERSION)
    .addHelpText('after', HELP)
    .configureOutput({ outputError: () => undefined })
    .enablePositionalOptions()
    .exitOverride();
  for (const [name, noun] of Object.entries(NOUNS)) {
    if (loaded.includes(name)) (await noun.load()).register(program);
    else program.command(name).description(noun.summary);
  }
  return program;
}

/** @throws {UsageError} @throws whatever the command throws */
export async function runProgram(given: readonly string[]): Promise<void> {
  const [first, ...rest] = given;
  const args = first === 'help' ? [...rest, '--help'] : [...given];
  const noun = args.find((arg) => !arg.startsWith('-'));
  const program = await buildProgram(noun === undefined ? [] : [noun]);
  const { command, left } = commandOf(program, args);
  const [unknown] = left.filter((arg) => !arg.startsWith('-'));
  const isGroup = command.commands.length > 0 && command.registeredArguments.length === 0;
  if (isGroup && unknown !== undefined && unknown !== 'help') {
    throw new UsageError(`unknown command '${unknown}'`, helpOf(command));
  }
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return; // --help or --version, which is printed
    throw usageErrorOf(error, command);
  }
}

function commandOf(program: Command, args: readonly string[]): { command: Command; left: readonly string[] } {
  let command = program;
  for (const [index, arg] of args.entries()) {
    const next = command.commands.find((one) => one.name() === arg);
    if (next === undefined) return { command, left: args.slice(index) };
    command = next;
  }
  return { command, left: [] };
}

function helpOf(command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name());
  return `see \`${names.join(' ')} --help\``;
}

function usageErrorOf(error: CommanderError, command: Command): UsageError {
  if (error.code === 'commander.help') return new UsageError('a command is missing', helpOf(command));
  const words = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  return new UsageError(words.replace(/\.$/, ''), helpOf(command));
}
