/**
 * The machine that runs the test, seen as a Debian system of its own: initramfs images are made in it from Debian's packages
 * and a kernel's modules, and nothing of it is kept. Needs root.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface DebianSystem extends AsyncDisposable {
  /** Where its root is mounted. */
  readonly root: string;
  /** Runs a program in it. @throws with what the program said */
  run(program: string, ...args: readonly string[]): Promise<string>;
}

/** @param kernel path of the image that `tools/debian-kernel FOLDER standard` prints */
export async function debianSystem(kernel: string): Promise<DebianSystem> {
  const folder = await mkdtemp(join(tmpdir(), 'assay-system-'));
  const mounted: string[] = [];
  const mount = async (place: string, ...args: readonly string[]): Promise<void> => {
    await mkdir(place, { recursive: true });
    await run('mount', [...args, place]);
    mounted.unshift(place);
  };
  const [root, changes, version] = [join(folder, 'root'), join(folder, 'changes'), versionOf(kernel)];
  const unmount = async (): Promise<void> => {
    for (const place of mounted) await run('umount', ['-l', place]);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    // In memory: an overlay takes no other overlay for its changes, which a container's own root may be.
    await mount(changes, '-t', 'tmpfs', '-o', 'size=2g', 'changes');
    await mkdir(join(changes, 'upper'));
    await mkdir(join(changes, 'work'));
    const layers = `lowerdir=/,upperdir=${changes}/upper,workdir=${changes}/work`;
    await mount(root, '-t', 'overlay', '-o', layers, 'system');
    await mount(join(root, 'proc'), '-t', 'proc', 'proc');
    await mount(join(root, 'dev'), '--bind', '/dev');
    const modules = join('usr/lib/modules', version);
    await mount(join(root, modules), '--bind', join(dirname(dirname(kernel)), modules));
    await copyFile(join(dirname(kernel), `config-${version}`), join(root, 'boot', `config-${version}`));
  } catch (error) {
    await unmount();
    throw error;
  }
  return {
    root,
    run: async (program, ...args) => {
      const { stdout, stderr } = await run('chroot', [root, program, ...args], { maxBuffer: 1 << 24 });
      return stdout + stderr;
    },
    [Symbol.asyncDispose]: unmount,
  };
}

/** As `uname -r` gives it. */
export const versionOf = (kernel: string): string => kernel.replace(/^.*vmlinuz-/, '');
