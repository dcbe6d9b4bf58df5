/** `assay up`: this machine attested, from its TPM to sentences that a person can read. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ExitCode } from '../bytes/index.ts';
import type { Verdict } from '../evidence/index.ts';
import type { EkRoot } from '../server/index.ts';
import { chooseTpm } from '../vtpm/index.ts';
import { defaultDataFolder, prepareDataFolder, softwareTpmFile } from './data-folder.ts';
import { readEkRoots } from './ek-roots.ts';
import { reportError } from './report-error.ts';
import { inUse, noteRunning } from './running.ts';
import { untilStopped } from './signals.ts';
import { Progress, printJson, printLine } from './terminal.ts';
import { bringUp, type Up } from './up/bring-up.ts';
import { attestationLines, changeTeller, standingFindings, welcomeLines } from './up/story.ts';
import { WEB_ROOT } from './web-root.ts';
import { TPM_FORMS } from './with-tpm.ts';

const HELP = `
Starts the server, the agent and the dashboard on this machine, enrols it and attests it.
Without a TPM it makes a software one: everything works as with a real one, and protects nothing.

Example:
  assay up                       live, with the dashboard on http://127.0.0.1:8321
  assay up --once --json         attest once; the exit code is the verdict`;

const EXIT_CODES: Readonly<Record<Verdict, ExitCode>> = { trusted: 0, warning: 0, untrusted: 1, unknown: 3 };
const DEFAULT_PORT = 8321;

interface Options {
  readonly data?: string;
  readonly port: number;
  readonly once?: boolean;
  readonly json?: boolean;
  readonly tpm?: string;
  readonly extend?: boolean;
  readonly ekRoot?: readonly string[];
  readonly swtpmRoot?: readonly string[];
}

export function register(program: Command): void {
  const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];
  program
    .command('up')
    .description('Attest this machine: server, agent and dashboard in one')
    .option('--data <dir>', `where everything is kept (default: ${defaultDataFolder()})`)
    .option('--port <n>', 'port of the dashboard on 127.0.0.1; 0 takes any', parsePort, DEFAULT_PORT)
    .option('--once', 'attest once, say the verdict, end with its exit code')
    .addOption(new Option('--tpm <name>', `the TPM to use: ${TPM_FORMS}`).env('ASSAY_TPM'))
    .option('--extend', 'let the agent extend PCR 10 of a hardware TPM, where the kernel has no IMA')
    .option('--ek-root <pem>', 'roots of TPM makers that you trust (may be repeated)', collect)
    .option('--swtpm-root <pem>', 'roots of swtpm CAs that you trust (may be repeated)', collect)
    .option(
      '--json',
      'print {"host","verdict","assurance","findings","measured","tpm",…}; live: a line for each change',
    )
    .addHelpText('after', HELP)
    .action(run);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError('a port is a number from 0 to 65535');
  return port;
}

async function run(options: Options): Promise<void> {
  const progress = new Progress();
  let isLive = false;
  const tell = changeTeller();
  const tpm = chooseTpm(options.tpm, softwareTpmFile(resolve(options.data ?? defaultDataFolder())));
  const ekRoots = await rootsOf(options);
  const dataFolder = await prepareDataFolder(options.data);
  const up = await bringUp({
    dataFolder,
    port: options.once === true ? 0 : options.port,
    tpm,
    extend: options.extend === true,
    ekRoots,
    webRoot: options.once !== true && existsSync(WEB_ROOT) ? WEB_ROOT : undefined,
    once: options.once === true,
    onStep: (step) => progress.step(`${step} …`),
    onAnswer(answer) {
      const line = tell(answer);
      if (!isLive || line === undefined) return;
      if (options.json === true)
        printJson({ verdict: answer.verdict, measured: answer.measured, findings: answer.findings });
      else printLine(line);
    },
    onTrouble(error) {
      progress.done();
      reportError(error, false);
    },
  }).catch((error: unknown) => {
    progress.done();
    throw inUse(dataFolder, error);
  });
  progress.done();
  const forget = await noteRunning(dataFolder, 'assay up', up.url);
  // Before anything is shown: whoever sees it may stop us at once.
  const stopped = options.once === true ? Promise.resolve() : untilStopped();
  try {
    show(up, options);
    process.exitCode = EXIT_CODES[up.host.verdict ?? 'unknown'];
    isLive = true;
    await stopped;
  } finally {
    await forget();
    await up.stop();
  }
}

async function rootsOf({ ekRoot = [], swtpmRoot = [] }: Options): Promise<EkRoot[]> {
  return [...(await readEkRoots(ekRoot, 'hardware')), ...(await readEkRoots(swtpmRoot, 'swtpm'))];
}

function show(up: Up, options: Options): void {
  if (options.json === true) {
    const { host, tpmKind, tpm, limits, dashboard } = up;
    const findings = standingFindings(up).map(({ code, subject, message, severity, link }) => ({
      code,
      subject,
      message,
      severity,
      link,
    }));
    printJson({
      host: host.name,
      verdict: host.verdict ?? 'unknown',
      assurance: host.assurance,
      findings,
      measured: host.measured,
      tpm: tpmKind,
      id: host.id,
      measurer: host.measurer,
      asOf: host.asOf,
      tpmDescription: tpm,
      limits,
      ...(dashboard === undefined ? {} : { dashboard }),
    });
    return;
  }
  for (const line of attestationLines(up)) printLine(line);
  if (options.once !== true) for (const line of welcomeLines(up)) printLine(line);
}
