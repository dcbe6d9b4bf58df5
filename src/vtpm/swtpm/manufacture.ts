/**
 * Manufactures a vTPM as a TPM maker does: seeds, endorsement keys, their certificates and the platform's, PCR banks
 * (swtpm_setup(8)). Configuration and certificate authority lie in folders that the caller names; swtpm's own would be
 * shared by every vTPM of the machine, below /var/lib.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { privateFolder } from '../../sys/index.ts';
import { VtpmError } from '../error.ts';
import type { StateKey } from '../state-key.ts';
import { missingProgram } from './capabilities.ts';
import { keyText, setupCipher } from './state-key.ts';

const run = promisify(execFile);

/** PCR banks that libtpms has. */
export const SWTPM_BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
export type SwtpmBank = (typeof SWTPM_BANKS)[number];

export interface SwtpmManufacture {
  /** Where the TPM's state will lie; made where it is missing. */
  readonly state: string;
  /** The certificate authority's folder; it makes its keys at its first certificate. */
  readonly authority: string;
  /** SHA-256 alone by default: a bank that nobody extends lets others be faked in it. */
  readonly banks?: readonly SwtpmBank[];
  /** Named in the EK certificates, so that one can tell whose vTPM it is. */
  readonly vmId?: string;
  readonly platform?: { readonly manufacturer: string; readonly version: string; readonly model: string };
  readonly key?: StateKey;
}

export interface ManufacturedSwtpm {
  readonly state: string;
  /** PEM: the root that a verifier configures to accept these vTPMs. */
  readonly rootCertificate: string;
  /** PEM: the intermediate that issued the EK certificates. */
  readonly issuerCertificate: string;
}

const PLATFORM = { manufacturer: 'Assay', version: '1', model: 'vTPM' };
const TIMEOUT_MS = 60_000;

/**
 * @throws {VtpmError} `vtpm.missing-program`; `vtpm.manufacture` where there is a state already (it is never replaced)
 *   or swtpm_setup failed
 */
export async function manufactureSwtpm(options: SwtpmManufacture): Promise<ManufacturedSwtpm> {
  const state = resolve(options.state); // swtpm changes its directory
  const authority = resolve(options.authority);
  await privateFolder(state);
  await privateFolder(authority);
  if (existsSync(join(state, 'tpm2-00.permall'))) {
    throw new VtpmError('vtpm.manufacture', `${state} holds a TPM already`, {
      advice: 'take another folder; a TPM that is manufactured again loses every key',
    });
  }
  const config = await writeConfiguration(authority, options.platform ?? PLATFORM);
  const args = ['--tpm2', '--tpmstate', state, '--config', config, '--pcr-banks', (options.banks ?? ['sha256']).join()];
  args.push('--create-ek-cert', '--create-platform-cert', '--lock-nvram');
  if (options.vmId !== undefined) args.push('--vmid', options.vmId);
  await (options.key === undefined ? setUp(args) : setUpEncrypted(args, options.key, authority));
  return {
    state,
    rootCertificate: join(authority, 'swtpm-localca-rootca-cert.pem'),
    issuerCertificate: join(authority, 'issuercert.pem'),
  };
}

/** The three files of swtpm_setup.conf(5), swtpm-localca.conf(5) and swtpm-localca.options(5). */
async function writeConfiguration(
  authority: string,
  platform: NonNullable<SwtpmManufacture['platform']>,
): Promise<string> {
  if (/[\s"$]/.test(authority)) {
    throw new VtpmError('vtpm.argument', `'${authority}': swtpm's configuration takes no blanks, quotes or $ in paths`);
  }
  const file = (name: string) => join(authority, name);
  const lines = (...text: readonly string[]) => `${text.join('\n')}\n`;
  await writeFile(
    file('localca.conf'),
    lines(
      `statedir = ${authority}`,
      `signingkey = ${file('signkey.pem')}`,
      `issuercert = ${file('issuercert.pem')}`,
      `certserial = ${file('certserial')}`,
    ),
  );
  await writeFile(
    file('localca.options'),
    lines(
      `--platform-manufacturer ${platform.manufacturer}`,
      `--platform-version ${platform.version}`,
      `--platform-model ${platform.model}`,
    ),
  );
  await writeFile(
    file('setup.conf'),
    lines(
      `create_certs_tool = ${pathOf('swtpm_localca')}`,
      `create_certs_tool_config = ${file('localca.conf')}`,
      `create_certs_tool_options = ${file('localca.options')}`,
    ),
  );
  return file('setup.conf');
}

function pathOf(program: 'swtpm_localca'): string {
  const folders = `${process.env.PATH ?? ''}:/usr/bin:/usr/local/bin`.split(delimiter);
  const found = folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
  if (found === undefined) throw missingProgram(program);
  return found;
}

/** swtpm_setup starts swtpm several times, which read a descriptor to its end once: only a file serves them all. */
async function setUpEncrypted(args: readonly string[], key: StateKey, authority: string): Promise<void> {
  const folder = await mkdtemp(join(authority, 'key-')); // mkdtemp makes it for its owner alone
  try {
    const file = join(folder, 'key');
    await writeFile(file, keyText(key), { mode: 0o600 });
    await setUp([...args, '--keyfile', file, '--cipher', setupCipher(key)]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function setUp(args: readonly string[]): Promise<void> {
  try {
    await run('swtpm_setup', args, { timeout: TIMEOUT_MS });
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')
      throw missingProgram('swtpm_setup', cause);
    const complaint = cause instanceof Error && 'stderr' in cause ? lastLine(String(cause.stderr)) : '';
    throw new VtpmError('vtpm.manufacture', `swtpm_setup failed${complaint === '' ? '' : `: ${complaint}`}`, { cause });
  }
}

export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
