/** The agent of one host: measures where the kernel does not, holds the host's keys, and attests. */
import { join } from 'node:path';
import type { Measurer, TpmKind } from '../evidence/index.ts';
import { privateFolder } from '../sys/index.ts';
import type { TpmClient } from '../tpm/index.ts';
import type { Attester } from './attest/attester.ts';
import { type HostIdentity, loadIdentity } from './attest/identity.ts';
import { kernelSources, type LogSources, userSpaceSources } from './attest/log-sources.ts';
import { tpmExtender } from './attest/tpm-extender.ts';
import { HostMeasurer, type HostMeasurerOptions } from './measure/host-measurer.ts';
import { MeasurementLog } from './measure/measurement-log.ts';
import type { MeasuredFile } from './measure/measurer.ts';
import { kernelHasIma } from './sources.ts';

export interface HostAgentOptions extends Pick<HostMeasurerOptions, 'onListed' | 'onFailure' | 'md5'> {
  readonly tpm: TpmClient;
  readonly tpmKind: TpmKind;
  /** Keys, the enrolment and the agent's own list. */
  readonly dataFolder: string;
  /** Lets the agent extend PCR 10 of a hardware TPM, for as long as the machine runs. */
  readonly extend?: boolean;
}

/** A host that can attest. */
export interface HostAgent {
  readonly attester: Attester;
  readonly identity: HostIdentity;
  readonly measurer: Measurer;
  /** What was in use when the agent began, where it measures itself. */
  readonly initial: readonly MeasuredFile[];
  /** Why executions are seen less well than they could be, as of now; empty where the kernel measures. */
  readonly limits: readonly string[];
  stop(): Promise<void>;
}

/**
 * @throws {SysError} `sys.folder-not-private`: others may write to the data folder, or own it
 * @throws {AgentError} `agent.list-contradicts-pcr`, `agent.measurer-failed`
 */
export async function startHostAgent(options: HostAgentOptions): Promise<HostAgent> {
  const { tpm, tpmKind, dataFolder } = options;
  await privateFolder(dataFolder); // before anything in it is believed, or put there
  await using started = new AsyncDisposableStack(); // where a later part fails, the earlier ones end
  const identity = await loadIdentity(tpm, dataFolder);
  started.defer(() => identity.ek.release());
  started.defer(() => identity.ak.release());
  const measuring = await startMeasuring(options, identity.folder, started);
  const sources: LogSources = usesKernelList(tpmKind) ? kernelSources(tpmKind) : userSpaceSources(tpmKind, measuring);
  const running = started.move();
  return {
    attester: { tpm, akHandle: identity.ak.handle, sources },
    identity,
    measurer: sources.measurer,
    initial: measuring?.initial ?? [],
    get limits() {
      return measuring?.host.state.reasons ?? [];
    },
    stop: () => running.disposeAsync(),
  };
}

/** The kernel extends the machine's own TPM: its list explains no other TPM's PCR 10. */
function usesKernelList(tpmKind: TpmKind): boolean {
  return tpmKind === 'device' && kernelHasIma();
}

async function startMeasuring(options: HostAgentOptions, folder: string, started: AsyncDisposableStack) {
  const { tpm, tpmKind, dataFolder: _, extend, ...measurerOptions } = options;
  if (usesKernelList(tpmKind) || (tpmKind === 'device' && extend !== true)) return undefined;
  const extender = tpmExtender(tpm, tpmKind);
  const log = await MeasurementLog.open(join(folder, 'ima'), extender, { extend: extend === true });
  started.defer(() => log.close());
  const host = new HostMeasurer({ ...measurerOptions, log });
  started.defer(() => host.stop());
  const { fresh } = await host.ready;
  return { log, host, initial: fresh };
}
