/** What the installed swtpm can do: its releases differ, and say so themselves (`--print-capabilities`). */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { VtpmError } from '../error.ts';

const run = promisify(execFile);

export interface SwtpmCapabilities {
  readonly version: string;
  readonly features: ReadonlySet<string>;
}

export type SwtpmProgram = 'swtpm' | 'swtpm_setup';

const PACKAGE: Readonly<Record<SwtpmProgram, string>> = { swtpm: 'swtpm', swtpm_setup: 'swtpm-tools' };

/** @throws {VtpmError} `vtpm.missing-program`, with the package to install */
export async function swtpmCapabilities(program: SwtpmProgram): Promise<SwtpmCapabilities> {
  const args = program === 'swtpm' ? ['socket', '--tpm2', '--print-capabilities'] : ['--tpm2', '--print-capabilities'];
  try {
    const { stdout } = await run(program, args, { timeout: 10_000 });
    return readCapabilities(JSON.parse(stdout));
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') throw missingProgram(program, cause);
    throw new VtpmError('vtpm.ended', `${program} does not say what it can do`, { cause });
  }
}

export function missingProgram(program: SwtpmProgram | 'swtpm_localca', cause?: unknown): VtpmError {
  const packageName = program === 'swtpm_localca' ? 'swtpm-tools' : PACKAGE[program];
  const advice = `install the package ${packageName}`;
  return new VtpmError('vtpm.missing-program', `${program} is not installed`, { advice, cause });
}

function readCapabilities(value: unknown): SwtpmCapabilities {
  const features =
    typeof value === 'object' && value !== null && 'features' in value && Array.isArray(value.features)
      ? value.features.filter((feature) => typeof feature === 'string')
      : [];
  const version =
    typeof value === 'object' && value !== null && 'version' in value && typeof value.version === 'string'
      ? value.version
      : 'unknown';
  return { version, features: new Set(features) };
}
