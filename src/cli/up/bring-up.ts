/** Everything that `assay up` starts, in the order in which one thing needs the other. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import {
  attestUntilVerdict,
  checkEnrolledKey,
  enrol,
  type HostAgent,
  Pusher,
  readEnrolment,
  ServerConnection,
  startHostAgent,
} from '../../agent/index.ts';
import type { Challenge, EvidenceAnswer, TpmKind } from '../../evidence/index.ts';
import { type AttestedHost, type EkRoot, type RunningServer, startServer } from '../../server/index.ts';
import type { TpmAddress } from '../../tpm/index.ts';
import { type OpenedTpm, openTpm } from '../../vtpm/index.ts';
import { JUDGEMENT } from '../judgement.ts';
import { ReferenceKeeper } from './reference-keeper.ts';
import { tryIt } from './try-it.ts';

export interface UpOptions {
  readonly dataFolder: string;
  readonly port: number;
  readonly tpm: TpmAddress;
  /** Allows to extend PCR 10 of a hardware TPM. */
  readonly extend: boolean;
  /** Who vouches for the TPM; nobody: what follows is a demonstration. */
  readonly ekRoots: readonly EkRoot[];
  readonly webRoot: string | undefined;
  /** One attestation and no more: nothing is prepared that only a person at the dashboard uses. */
  readonly once: boolean;
  readonly onStep: (step: string) => void;
  readonly onAnswer: (answer: EvidenceAnswer) => void;
  readonly onTrouble: (error: unknown) => void;
}

export interface Up {
  readonly host: AttestedHost;
  readonly tpmKind: TpmKind;
  readonly tpm: string;
  readonly limits: readonly string[];
  readonly dashboard: string | undefined;
  readonly url: string;
  readonly dataFolder: string;
  stop(): Promise<void>;
}

/** A demonstration looks again soon: a person watches. What happens on the host is sent at once anyway. */
const INTERVAL_MS = 5000;
/** The reference that this machine's dpkg gives it. */
const SELF_REFERENCE = 'this-machine';

export async function bringUp(options: UpOptions): Promise<Up> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    return await bringUpAll(options, stops, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function bringUpAll(options: UpOptions, stops: (() => Promise<void>)[], stop: () => Promise<void>): Promise<Up> {
  const { dataFolder, onStep } = options;
  onStep('opening the TPM');
  const opened = await openTpm(options.tpm);
  stops.push(() => opened.tpm.close());

  let pusher: Pusher | undefined;
  let keeper: ReferenceKeeper | undefined;
  const nudge = (): void => pusher?.nudge();
  const trialFolder = join(dataFolder, 'try-it');
  let ownId: string | undefined;
  const trial = tryIt({
    folder: trialFolder,
    keeper: () => present(keeper),
    onRun: nudge,
    hostId: () => ownId,
  });

  onStep('starting the server');
  const server = await startServer({
    dataFolder,
    listeners: [
      { kind: 'dashboard', address: '127.0.0.1', port: options.port },
      { kind: 'tls', address: '127.0.0.1', port: 0 },
    ],
    judgement: JUDGEMENT,
    ekRoots: options.ekRoots,
    settings: { intervalMs: INTERVAL_MS, defaultReference: SELF_REFERENCE },
    ...(options.webRoot === undefined ? {} : { webRoot: options.webRoot }),
    ...(options.once ? {} : { demonstration: trial }),
    log: pino({ level: process.env.ASSAY_LOG ?? 'warn' }, pino.destination(2)),
  });
  stops.push(() => server.stop());
  const self = new ReferenceKeeper(server, SELF_REFERENCE, (path) => path.startsWith(`${trialFolder}/`));
  keeper = self;

  onStep('measuring what runs');
  const agent = await startHostAgent({
    tpm: opened.tpm,
    tpmKind: opened.kind,
    dataFolder: join(dataFolder, 'agent'),
    extend: options.extend,
    md5: true,
    onListed: (files) => {
      self.note(files);
      nudge();
    },
    onFailure: options.onTrouble,
  });
  stops.push(() => agent.stop());

  onStep(`asking dpkg about ${agent.initial.length} programs and libraries`);
  await self.settle();

  onStep('enrolling this machine');
  const url = server.urls[1] ?? '';
  const connection = new ServerConnection({ url, fingerprint: server.fingerprint });
  stops.push(async () => connection.close());
  const { hostId, token, challenge } = await enrolled(options, opened, agent, connection, server);
  ownId = hostId;

  onStep('attesting');
  const attester = { ...agent.attester, sources: settlingSources(agent, self) };
  const { onAnswer, onTrouble } = options;
  pusher = new Pusher({ attester, server: connection, token, onAnswer, onTrouble }, challenge);
  const running = pusher;
  stops.push(() => running.stop());
  if (!options.once && agent.initial.length > 0) await trial.prepare();
  await attestUntilVerdict(running);
  if (!options.once) running.start();
  return {
    host: present(await server.host(hostId)),
    tpmKind: opened.kind,
    tpm: opened.tpm.description,
    get limits() {
      return agent.limits;
    },
    dashboard: options.webRoot === undefined ? undefined : await server.dashboardLink(),
    url: server.urls[0] ?? '',
    dataFolder,
    stop,
  };
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('used before it was made');
  return value;
}

/** The list goes out only when the reference has been told of every file in it. */
function settlingSources(agent: HostAgent, keeper: ReferenceKeeper): HostAgent['attester']['sources'] {
  const { sources } = agent.attester;
  return {
    ...sources,
    async imaLog(offset) {
      const list = await sources.imaLog(offset);
      await keeper.settle();
      return list;
    },
  };
}

interface Enrolled {
  readonly hostId: string;
  readonly token: string;
  readonly challenge?: Challenge;
}

/** The kept enrolment where the server still knows it, else a new one with a token of this machine's own. */
async function enrolled(
  options: UpOptions,
  opened: OpenedTpm,
  agent: HostAgent,
  connection: ServerConnection,
  server: RunningServer,
): Promise<Enrolled> {
  const folder = join(options.dataFolder, 'agent');
  const kept = await readEnrolment(folder);
  if (kept !== undefined && (await server.host(kept.hostId)) !== undefined) {
    checkEnrolledKey(kept, agent.identity, folder);
    return kept;
  }
  const { enrolment, challenge } = await enrol(connection, {
    tpm: opened.tpm,
    tpmKind: opened.kind,
    identity: agent.identity,
    measurer: agent.measurer,
    hostName: hostname(),
    joinToken: () => server.joinToken({ label: 'this machine', demonstration: isDemonstration(options) }),
    folder,
  });
  return { ...enrolment, challenge };
}

/** Without roots that the operator configured, nothing vouches for any TPM: what follows only demonstrates. */
const isDemonstration = ({ ekRoots }: UpOptions): boolean => ekRoots.length === 0;
