/** A Debian system on a mounted image, in which programs run as on a machine of its own. */
import { execFile } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Sees the tree as its root, with /proc and the usual devices; the mounts end with the program. */
const ENTER = [
  'set -e',
  'cd "$1"',
  'mount -t proc proc proc',
  'mount --rbind /dev dev',
  'mount -t tmpfs tmp tmp',
  'shift',
  'exec chroot . "$@"',
].join('\n');

const ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C',
  DEBIAN_FRONTEND: 'noninteractive',
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => /^https?_proxy$/i.test(name))),
};

/** @param base what `tools/debian-base` made */
export async function unpackDebian(base: string, root: string): Promise<void> {
  await run('tar', ['-C', root, '--xattrs', '--xattrs-include=security.capability', '-xf', base]);
  for (const name of ['resolv.conf', 'hosts']) copyFileSync(join('/etc', name), join(root, 'etc', name));
  // As under a kernel's `appraise_tcb`: what another user downloads has no label when it becomes root's.
  writeFileSync(join(root, 'etc/apt/apt.conf.d/90sandbox'), 'APT::Sandbox::User "root";\n');
  // No service is started in it.
  writeFileSync(join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
}

/** Runs a script of the shell in the tree. @returns what it said @throws with that where it failed */
export async function inTree(root: string, script: string): Promise<string> {
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', ENTER, 'sh', root, 'sh', '-euc', script];
  try {
    const { stdout, stderr } = await run('unshare', args, { env: ENV, maxBuffer: 1 << 26 });
    return stdout + stderr;
  } catch (error) {
    if (!(error instanceof Error && 'stdout' in error && 'stderr' in error)) throw error;
    throw new Error(`${script.slice(0, 200)}\n${`${error.stdout}${error.stderr}`.slice(-3000)}`);
  }
}
