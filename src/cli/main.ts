/** The command line: `assay <noun> <verb>`. A noun's code is loaded only when it is used. */
import { Command, CommanderError } from 'commander';
import { reportError } from './report-error.ts';
import { VERSION } from './version.ts';

interface Noun {
  readonly summary: string;
  readonly load: () => Promise<{ register(program: Command): void }>;
}

const NOUNS: Readonly<Record<string, Noun>> = {
  up: { summary: 'Attest this machine: server, agent and dashboard in one', load: () => import('./up.ts') },
  boot: { summary: 'Boot logs: what firmware and boot loader measured', load: () => import('./boot.ts') },
  ima: { summary: 'IMA measurement lists: what the kernel measured', load: () => import('./ima.ts') },
  tpm: { summary: 'The TPM: what it is, what its PCRs hold, quotes', load: () => import('./tpm.ts') },
  agent: { summary: 'The agent of this host: attests it to a server', load: () => import('./agent.ts') },
  server: { summary: 'The service: enrols hosts, judges their evidence', load: () => import('./server.ts') },
  evidence: { summary: 'Evidence of this machine, in a file', load: () => import('./evidence.ts') },
  verify: { summary: 'Judge evidence: quote, logs and files against a reference', load: () => import('./verify.ts') },
  vtpm: { summary: 'Virtual TPMs: a software TPM on a socket', load: () => import('./vtpm.ts') },
  reference: { summary: 'Reference manifests: what machines should be', load: () => import('./reference.ts') },
};

const EXIT_CODES = `
Exit codes: 0 yes, trusted, warning or done · 1 no: untrusted, does not verify, differs
            2 bad input or usage            · 3 cannot tell: unknown, silent, unreachable, a missing part
Every command takes --json (stable) and --help (with an example). Colour obeys NO_COLOR.`;

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('assay')
    .description('Integrity for Linux machines: measure, appraise, attest.')
    .version(VERSION)
    .addHelpText('after', EXIT_CODES)
    .exitOverride();
  const asked = args[0] === 'help' ? args[1] : args.find((arg) => !arg.startsWith('-'));
  for (const [name, noun] of Object.entries(NOUNS)) {
    if (name === asked) (await noun.load()).register(program);
    else program.command(name).description(noun.summary);
  }
  await program.parseAsync([...args], { from: 'user' });
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `assay … | head`: the reader is gone, and nobody is left to tell.
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
  throw error;
});

try {
  await main(process.argv.slice(2));
} catch (error) {
  // Commander has already printed its own message or help; code 0 is --help or --version.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else process.exitCode = reportError(error, process.argv.includes('--json'));
}
