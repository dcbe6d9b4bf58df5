/** `assay agent run`: the agent of a host whose server is elsewhere. */
import { once } from 'node:events';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import {
  AgentError,
  attestUntilVerdict,
  checkEnrolledKey,
  enrolWhenReachable,
  Pusher,
  readEnrolment,
  ServerConnection,
  startHostAgent,
} from '../agent/index.ts';
import type { ExitCode } from '../bytes/index.ts';
import type { EvidenceAnswer, Verdict } from '../evidence/index.ts';
import { prepareDataFolder } from './data-folder.ts';
import { reportError } from './report-error.ts';
import { untilStopped } from './signals.ts';
import { printJson, printLine } from './terminal.ts';
import { changeTeller } from './up/story.ts';
import { addTpmOptions, type TpmOptions, withTpm } from './with-tpm.ts';

const HELP = `
The first run enrols the host with a one-time token from the server's dashboard; later runs need none.
The token is read from ASSAY_JOIN_TOKEN, never from the command line, where every user of the machine could read it.

Example:
  ASSAY_JOIN_TOKEN=… assay agent run --server https://assay.example:8322 --fingerprint sha256:…`;

interface Options extends TpmOptions {
  readonly server: string;
  readonly fingerprint?: string;
  readonly extend?: boolean;
  readonly interval?: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

const EXIT_CODES: Readonly<Record<Verdict, ExitCode>> = { trusted: 0, warning: 0, untrusted: 1, unknown: 3 };

export function register(program: Command): void {
  const agent = program.command('agent').description('The agent of this host: attests it to a server');
  agent.addHelpText(
    'after',
    '\nExample:\n  assay agent run --server https://assay.example:8322 --fingerprint sha256:…',
  );
  const run = agent
    .command('run')
    .description('Enrol this host if need be, then attest it again and again')
    .requiredOption('--server <url>', 'https://HOST:PORT of the server')
    .option(
      '--fingerprint <hex>',
      "SHA-256 of the server's certificate; left out: the machine's authorities decide",
      parseFingerprint,
    )
    .option('--extend', 'extend PCR 10 of a hardware TPM, where the kernel has no IMA')
    .option('--interval <seconds>', 'attest more often than the server asks')
    .option('--once', 'attest once; the exit code is the verdict')
    .option('--json', 'one JSON object a line for each verdict');
  addTpmOptions(run).addHelpText('after', HELP).action(runAgent);
}

async function runAgent(options: Options): Promise<void> {
  const interval = intervalOf(options);
  const connection = new ServerConnection({
    url: options.server,
    ...(options.fingerprint === undefined ? {} : { fingerprint: options.fingerprint }),
  });
  const folder = join(await prepareDataFolder(options.data), 'agent');
  const kept = await readEnrolment(folder);
  const isEnrolled = kept !== undefined && kept.server === connection.url;
  if (!isEnrolled) joinToken(); // where it is missing, before the TPM is opened
  const stop = new AbortController();
  if (options.once !== true) void untilStopped().then(() => stop.abort());
  const onTrouble = (error: unknown): void => void reportError(error, false);
  await withTpm(options, async ({ tpm, kind }) => {
    let nudge = (): void => {};
    const agent = await startHostAgent({
      tpm,
      tpmKind: kind,
      dataFolder: folder,
      extend: options.extend === true,
      onListed: () => nudge(),
      onFailure: onTrouble,
    });
    try {
      const { identity, measurer, attester } = agent;
      const host = { tpm, tpmKind: kind, identity, measurer, hostName: hostname(), joinToken, folder };
      const waiting = options.once === true ? undefined : { signal: stop.signal, onTrouble };
      if (isEnrolled) checkEnrolledKey(kept, identity, folder);
      const enrolled = isEnrolled
        ? { enrolment: kept, challenge: undefined }
        : await enrolWhenReachable(connection, host, waiting);
      if (enrolled === undefined) return;
      const onAnswer = (answer: EvidenceAnswer): void => show(answer, options);
      const { token } = enrolled.enrolment;
      const push = { attester, server: connection, token, ...interval, onAnswer, onTrouble };
      const pusher = new Pusher(push, enrolled.challenge);
      nudge = () => pusher.nudge();
      await (options.once === true ? attestOnce(pusher, options) : attestUntilStopped(pusher, stop.signal));
    } finally {
      await agent.stop();
      connection.close();
    }
  });
}

async function attestOnce(pusher: Pusher, options: Options): Promise<void> {
  const answer = await attestUntilVerdict(pusher);
  show(answer, options);
  process.exitCode = EXIT_CODES[answer.verdict ?? 'unknown'];
}

async function attestUntilStopped(pusher: Pusher, signal: AbortSignal): Promise<void> {
  pusher.start();
  if (!signal.aborted) await once(signal, 'abort');
  await pusher.stop();
}

/** SHA-256 in hex, as the server prints it (`sha256:…`) or as openssl does (with colons). */
function parseFingerprint(text: string): string {
  const hex = text.replace(/^sha256:/i, '').replaceAll(':', '');
  if (/^[0-9a-fA-F]{64}$/.test(hex)) return hex.toLowerCase();
  throw new InvalidArgumentError('a fingerprint is 64 hex digits, with sha256: before them or not');
}

function intervalOf({ interval }: Options): { readonly interval?: number } {
  if (interval === undefined) return {};
  const seconds = Number(interval);
  if (seconds >= 1) return { interval: seconds * 1000 };
  throw new AgentError('agent.interval', '--interval must be at least one second');
}

function joinToken(): string {
  const token = process.env.ASSAY_JOIN_TOKEN;
  if (token !== undefined && token !== '') return token;
  throw new AgentError('agent.no-join-token', 'this host is not enrolled with that server yet', {
    advice: 'make a one-time token in the server’s dashboard and give it in ASSAY_JOIN_TOKEN',
  });
}

const tell = changeTeller();

function show(answer: EvidenceAnswer, { json }: Options): void {
  if (json === true) {
    const { verdict, measured, findings } = answer;
    if (verdict !== undefined) printJson({ verdict, measured, findings });
    return;
  }
  const line = tell(answer);
  if (line !== undefined) printLine(line);
}
