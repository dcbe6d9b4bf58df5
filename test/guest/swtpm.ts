/**
 * A vTPM for a guest: manufactured by swtpm_setup under a certificate authority of its own, served by `swtpm socket` as
 * QEMU wants it. Everything lies in the test's folder; swtpm's own configuration would write under /var/lib.
 */
import { type ChildProcess, execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { start, stop } from './process.ts';

const run = promisify(execFile);

/** PCR banks that libtpms has; OVMF and IMA extend each one that is active. */
export const ALL_BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
export type SwtpmBank = (typeof ALL_BANKS)[number];

/** The certificate authority's folder beside the state, and what swtpm_localca names its root there. */
export const CA_ROOT = 'swtpm-localca-rootca-cert.pem';

/**
 * Manufactures a TPM in `folder`: EK and platform certificates, the given banks active.
 * @returns the state folder (absolute: swtpm changes its directory) and the root certificate's path
 */
export async function manufactureTpm(
  folder: string,
  banks: readonly SwtpmBank[],
): Promise<{ state: string; caRoot: string }> {
  const state = join(folder, 'tpm-state');
  const authority = join(folder, 'tpm-ca');
  await mkdir(state, { recursive: true });
  await mkdir(authority, { recursive: true });
  const config = join(authority, 'setup.conf');
  const authorityConfig = join(authority, 'localca.conf');
  const authorityOptions = join(authority, 'localca.options');
  await writeFile(
    authorityConfig,
    `statedir = ${authority}\nsigningkey = ${authority}/signkey.pem\nissuercert = ${authority}/issuercert.pem\n` +
      `certserial = ${authority}/certserial\n`,
  );
  await writeFile(
    authorityOptions,
    '--platform-manufacturer Assay\n--platform-version 1\n--platform-model test-guest\n',
  );
  await writeFile(
    config,
    `create_certs_tool = ${await pathOf('swtpm_localca')}\ncreate_certs_tool_config = ${authorityConfig}\n` +
      `create_certs_tool_options = ${authorityOptions}\n`,
  );
  const manufacture = ['--tpm2', '--tpmstate', state, '--config', config, '--pcr-banks', banks.join(',')];
  await run('swtpm_setup', [...manufacture, '--create-ek-cert', '--create-platform-cert'], { timeout: 30_000 });
  return { state, caRoot: join(authority, CA_ROOT) };
}

async function pathOf(program: string): Promise<string> {
  const { stdout } = await run('sh', ['-c', `command -v ${program}`]);
  return stdout.trim();
}

/**
 * Serves a manufactured state on a Unix socket, and ends by itself when QEMU lets go of it. Without `startup-clear`: in a
 * machine it is the firmware that starts the TPM, and PCR 0 would otherwise lack the H-CRTM that comes before Startup.
 */
export async function serveTpm(state: string, socket: string): Promise<ChildProcess> {
  await rm(socket, { force: true });
  const args = ['socket', '--tpm2', '--tpmstate', `dir=${state}`, '--ctrl', `type=unixio,path=${socket}`];
  const child = start('swtpm', [...args, '--terminate'], 'ignore');
  let complaint = '';
  child.stderr?.on('data', (data: Buffer) => {
    complaint += data.toString();
  });
  const deadline = Date.now() + 10_000;
  while (!existsSync(socket)) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop(child);
      throw new Error(`swtpm did not open ${socket}: ${complaint.trim()}`);
    }
    await sleep(5);
  }
  return child;
}
