/** The vTPM of a guest: manufactured once, started for each boot, ended with it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { manufactureSoftware, manufactureSwtpm, Swtpm, type SwtpmBank } from '../../src/vtpm/index.ts';
import { start } from './process.ts';

export interface RunningVtpm {
  stop(): Promise<void>;
}

export type StartVtpm = () => Promise<RunningVtpm>;

interface Vtpm {
  manufacture(options: {
    readonly state: string;
    readonly authority: string;
    readonly banks: readonly SwtpmBank[];
  }): Promise<{ readonly state: string; readonly rootCertificate: string }>;
  /** @param control path of the socket that QEMU connects to */
  start(state: string, control: string): Promise<RunningVtpm>;
}

const ASSAY = join(import.meta.dirname, '../../bin/assay');

/** `assay vtpm socket` in a process of its own, as somebody starts it for QEMU. */
export async function startSoftware(
  state: string,
  control: string,
  options: readonly string[] = ['--terminate'],
): Promise<RunningVtpm & { readonly child: ChildProcess }> {
  const place = ['--tpm2', '--tpmstate', `dir=${state}`, '--ctrl', `type=unixio,path=${control},mode=0600`];
  const child = start(ASSAY, ['vtpm', 'socket', ...place, ...options], 'ignore');
  let complaint = '';
  child.stderr?.on('data', (data: Buffer) => (complaint += data.toString()));
  while (!existsSync(control)) {
    if (child.exitCode !== null) throw new Error(`assay vtpm socket ended: ${complaint}`);
    await sleep(10);
  }
  return {
    child,
    /** In order, as a supervisor ends it. */
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}

export const VTPMS = {
  swtpm: {
    manufacture: manufactureSwtpm,
    start: (state, control) => Swtpm.start({ state, control, endsWithClient: true, endsWithParent: true }),
  },
  software: { manufacture: manufactureSoftware, start: startSoftware },
} as const satisfies Record<string, Vtpm>;

export type VtpmMaker = keyof typeof VTPMS;
