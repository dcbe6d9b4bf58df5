/** `assay server run`: registrar and verifier for a fleet. */
import { existsSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import pino from 'pino';
import { type EkRoot, joinCommand, type Listener, startServer } from '../server/index.ts';
import { prepareDataFolder } from './data-folder.ts';
import { readEkRoots } from './ek-roots.ts';
import { JUDGEMENT } from './judgement.ts';
import { readReference } from './reference.ts';
import { inUse, noteRunning } from './running.ts';
import { linkCommand, registerLink } from './server-link.ts';
import { untilStopped } from './signals.ts';
import { escapeControls, printJson, printLine } from './terminal.ts';
import { WEB_ROOT } from './web-root.ts';

const HELP = `
Agents and people from elsewhere come in over TLS, with a certificate that the server makes and agents pin.
The dashboard listens on 127.0.0.1 only. Hosts enrol whose EK certificate leads to one of the given roots.

Example:
  assay server run --listen 0.0.0.0:8322 --ek-root tpm-makers.pem --reference reference.json`;

interface Options {
  readonly data?: string;
  readonly port: number;
  readonly listen: { readonly address: string; readonly port: number };
  readonly ekRoot?: readonly string[];
  readonly swtpmRoot?: readonly string[];
  readonly reference?: string;
  readonly interval: number;
  readonly demonstration?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];
  const server = program
    .command('server')
    .description('The service: enrols hosts, judges their evidence, keeps the verdicts')
    .addHelpText('after', '\nExample:\n  assay server run --listen 0.0.0.0:8322 --ek-root tpm-makers.pem');
  registerLink(server);
  server
    .command('run')
    .description('Run the service until it is told to stop')
    .option('--data <folder>', 'where the store and the certificate lie')
    .option('--port <n>', 'port of the dashboard on 127.0.0.1; 0 takes any', parsePort, 8321)
    .addOption(
      new Option('--listen <address:port>', 'where agents come in, over TLS')
        .argParser(parseListen)
        .default({ address: '127.0.0.1', port: 8322 }, '127.0.0.1:8322'),
    )
    .option('--ek-root <pem>', 'roots of TPM makers that you trust (may be repeated)', collect)
    .option('--swtpm-root <pem>', 'roots of swtpm CAs that you trust (may be repeated)', collect)
    .option('--reference <file>', 'the reference manifest that newly enrolled hosts are judged by')
    .option('--interval <seconds>', 'how often hosts attest', parseInterval, 60)
    .option('--demonstration', 'print a join token that enrols a TPM which no root vouches for, from this machine only')
    .option('--json', 'print {"dashboard","agents","fingerprint","joinToken"} once it listens')
    .addHelpText('after', HELP)
    .action(run);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError('a port is a number from 0 to 65535');
  return port;
}

function parseListen(text: string): Options['listen'] {
  const match = /^\[?([0-9a-fA-F.:]+?)\]?:(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port > 65535)
    throw new InvalidArgumentError('write ADDRESS:PORT, such as 0.0.0.0:8322');
  return { address: match[1], port };
}

/** Seconds; agents take up to a week. */
function parseInterval(text: string): number {
  const seconds = Number(text);
  if (/^\d{1,6}$/.test(text) && seconds >= 1 && seconds <= 604_800) return seconds;
  throw new InvalidArgumentError('an interval is a whole number of seconds from 1 to 604800');
}

const DEFAULT_REFERENCE = 'default';

async function run(options: Options): Promise<void> {
  const reference = options.reference === undefined ? undefined : readReference(options.reference).manifest;
  const ekRoots = await rootsOf(options);
  const dataFolder = await prepareDataFolder(options.data);
  const listeners: Listener[] = [
    { kind: 'dashboard', address: '127.0.0.1', port: options.port },
    { kind: 'tls', ...options.listen },
  ];
  const server = await startServer({
    dataFolder,
    listeners,
    judgement: JUDGEMENT,
    ekRoots,
    settings: { intervalMs: options.interval * 1000, defaultReference: DEFAULT_REFERENCE },
    ...(existsSync(WEB_ROOT) ? { webRoot: WEB_ROOT } : {}),
    log: pino({ level: process.env.ASSAY_LOG ?? 'info' }, pino.destination(2)),
  }).catch((error: unknown) => {
    throw inUse(dataFolder, error);
  });
  const forget = await noteRunning(dataFolder, 'assay server run', server.urls[0] ?? '');
  try {
    if (reference !== undefined) await server.putReference(DEFAULT_REFERENCE, reference);
    const label = 'given out at the start';
    const joinToken = await server.joinToken({ label, demonstration: options.demonstration === true });
    const [, agents = ''] = server.urls;
    const dashboard = await server.dashboardLink();
    if (options.json === true) printJson({ dashboard, agents, fingerprint: server.fingerprint, joinToken });
    else {
      printLine(`dashboard  ${dashboard ?? 'not built'}`);
      printLine(`  this link opens it once, within 10 minutes; a new one: ${escapeControls(linkCommand(dataFolder))}`);
      printLine('enrol a machine, once, within the hour:');
      printLine(`  ${joinCommand({ url: agents, fingerprint: server.fingerprint, token: joinToken })}`);
    }
    await untilStopped();
  } finally {
    await forget();
    await server.stop();
  }
}

async function rootsOf({ ekRoot = [], swtpmRoot = [] }: Options): Promise<EkRoot[]> {
  return [...(await readEkRoots(ekRoot, 'hardware')), ...(await readEkRoots(swtpmRoot, 'swtpm'))];
}
