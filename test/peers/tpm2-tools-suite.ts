/**
 * tpm2-tools' own integration scripts (test/integration/tests of the tag that the installed tools have), one at a time,
 * each on a TPM of its own. The suite's helpers.sh starts neither simulator nor resource manager when TPM2_SIM and
 * TPM2_ABRMD are empty, and takes its TPM from TPM2TOOLS_TEST_TCTI.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  describeResponseCode,
  openTransport,
  TPM_HT,
  TPM_RH,
  TPM2_GetCapability,
  TPM2_NV_UndefineSpace,
  TpmClient,
  type Transport,
} from '../../src/tpm/index.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { ASSAY, Spawned } from '../system/up/assay.ts';
import { type Arrived, startResourceManager } from './resource-manager.ts';

export type Make = 'assay' | 'swtpm';

export type Verdict =
  | 'passed'
  /** By the suite itself (automake's exit code 77). */
  | 'skipped'
  | 'failed'
  | 'timed out'
  /** It succeeded, and after start_up (startup, clear) no command came: it says nothing of a TPM. */
  | 'no TPM reached';

export interface ScriptRun {
  readonly verdict: Verdict;
  /** Commands that arrived at the TPM. */
  readonly commands: number;
  readonly seconds: number;
  /** For a failure: what the script said last, and the last command that the TPM refused. */
  readonly reason: string;
}

const SKIPPED = 77;
const TIME_OUT_MS = 60_000;
/** What is said last of much: a script's output is for people. */
const MAX_OUTPUT = 64 * 1024;
const MAX_REASON = 400;

interface FreshTpm extends AsyncDisposable {
  readonly transport: Transport;
}

/** One script takes the only NV index that there is for its own; the swtpm beside has no certificates either. */
async function removeCertificates(transport: Transport): Promise<void> {
  const client = new TpmClient(transport);
  const { capabilityData } = await client.execute(TPM2_GetCapability, {
    capability: 'handles',
    property: TPM_HT.NV_INDEX << 24,
    propertyCount: 254,
  });
  if (capabilityData.capability !== 'handles') throw new TypeError(capabilityData.capability);
  for (const nvIndex of capabilityData.data) {
    await client.execute(TPM2_NV_UndefineSpace, { authHandle: TPM_RH.PLATFORM, nvIndex });
  }
}

/** `assay vtpm serve` of a state that is not there yet. It is started already, as swtpm is: helpers.sh takes both. */
async function freshAssay(folder: string): Promise<FreshTpm> {
  const path = join(folder, 'tpm');
  const served = new Spawned([ASSAY, 'vtpm', 'serve', '--state', join(folder, 'state'), '--unix', path, '--json']);
  await served.says(/"address"/);
  const transport = await openTransport({ kind: 'swtpm', address: { path } });
  await removeCertificates(transport);
  return {
    transport,
    async [Symbol.asyncDispose]() {
      await transport.close();
      await served.kill('SIGTERM');
    },
  };
}

async function freshSwtpm(): Promise<FreshTpm> {
  const running = await runSwtpm();
  const transport = await running.transport();
  return {
    transport,
    async [Symbol.asyncDispose]() {
      await transport.close();
      await running[Symbol.asyncDispose]();
    },
  };
}

function environment(suite: string, folder: string, tcti: string): NodeJS.ProcessEnv {
  const integration = join(suite, 'test/integration');
  return {
    PATH: `${integration}:${process.env.PATH ?? ''}`,
    HOME: folder,
    TMPDIR: folder,
    LC_ALL: 'C.UTF-8',
    PYTHON: 'python3',
    srcdir: suite,
    abs_srcdir: suite,
    abs_builddir: suite,
    TPM2_TOOLS_TEST_FIXTURES: join(integration, 'fixtures'),
    TPM2_SIM: '',
    TPM2_ABRMD: '',
    TPM2TOOLS_TEST_TCTI: tcti,
    TPM2TOOLS_TEST_PERSISTENT: 'true',
    // Nothing leaves this machine: a script that asks a certificate service skips itself
    http_proxy: 'http://127.0.0.1:9',
    https_proxy: 'http://127.0.0.1:9',
  };
}

interface Ended {
  readonly code: number | null;
  readonly isTimedOut: boolean;
  readonly output: string;
}

/** The script and all that it started end with it, or with its time. */
async function runBash(script: string, cwd: string, env: NodeJS.ProcessEnv): Promise<Ended> {
  const child = spawn('bash', [script], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let isTimedOut = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-MAX_OUTPUT);
    });
  }
  const endGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // The group is empty: nothing was left
    }
  };
  const timer = setTimeout(() => {
    isTimedOut = true;
    endGroup();
  }, TIME_OUT_MS);
  const [code]: unknown[] = await once(child, 'exit');
  clearTimeout(timer);
  endGroup();
  return { code: typeof code === 'number' ? code : null, isTimedOut, output };
}

function verdictOf({ code, isTimedOut }: Ended, arrived: readonly Arrived[]): Verdict {
  if (isTimedOut) return 'timed out';
  if (code === SKIPPED) return 'skipped';
  if (code !== 0) return 'failed';
  const startUp = arrived.findIndex(({ command }) => command === 'TPM2_Clear');
  return startUp >= 0 && startUp + 1 < arrived.length ? 'passed' : 'no TPM reached';
}

function reasonOf({ output }: Ended, arrived: readonly Arrived[]): string {
  const said = output.split('\n').filter((line) => / on line \d+ failed|ERROR|skip/i.test(line));
  const refused = arrived.findLast(({ rc }) => rc !== 0);
  const last = refused === undefined ? [] : [`last refusal: ${refused.command} ${describeResponseCode(refused.rc)}`];
  return [...said.slice(-3), ...last].join(' | ').slice(0, MAX_REASON);
}

/** @param suite the folder that holds test/integration */
export async function runScript(suite: string, name: string, make: Make): Promise<ScriptRun> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-peers-'));
  try {
    await using tpm = make === 'assay' ? await freshAssay(folder) : await freshSwtpm();
    await using front = await startResourceManager(tpm.transport, join(folder, 'front'));
    const started = performance.now();
    const script = join(suite, 'test/integration/tests', name);
    const ended = await runBash(script, folder, environment(suite, folder, front.tcti));
    const verdict = verdictOf(ended, front.arrived);
    return {
      verdict,
      commands: front.arrived.length,
      seconds: (performance.now() - started) / 1000,
      reason: verdict === 'passed' ? '' : reasonOf(ended, front.arrived),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
