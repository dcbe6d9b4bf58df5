/** `assay key evm-setup` and `key boot-files`: from nothing to EVM with a key that only this machine has. */
import { randomBytes } from 'node:crypto';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { bootFiles, encodeProtectedKey, KeyError, type ProtectedKey } from '../../keys/index.ts';
import { makeFolder, pathInRoot, privateFolder, replaceFile } from '../../sys/index.ts';
import { escapeControls, printJson, printLine } from '../terminal.ts';
import { addTpmOptions } from '../with-tpm.ts';
import { type EvmState, switchOn } from './evm-switch.ts';
import { recoveryLines } from './protector.ts';
import { addProtectorOptions, newProtectors, type ProtectorFlags } from './protector-options.ts';
import { refuseExisting, renewBootFolder, writeNewFile } from './write-key.ts';

const HELP = `
Makes a key of 64 random bytes and its protectors, keeps it in /etc/assay/evm.key, loads it into the kernel as evm-key
and switches EVM on; installs the hooks that do the same at each boot, for initramfs-tools and dracut where they are.
The machine then starts only where a protector opens the key: give it a recovery code. Where the running kernel does not
switch EVM on, the files are made nevertheless, and the exit code is 3.

After an update of what is measured: assay key reseal /etc/assay/evm.key --pcrs … --pcr-values next.json --now

Example:
  assay key evm-setup --seal --pcrs sha256:0,4,7,9 --recovery
  assay key evm-setup --password prompt --recovery          without a TPM`;

/** What the kernel's EVM takes at most is 128 bytes (evm_crypto.c: MAX_KEY_SIZE). */
const EVM_KEY_SIZE = 64;
const HOOKS = join(import.meta.dirname, '../../../initramfs');

/** Where each hook goes, and the folder whose being there says that its program is. */
const INSTALLED: readonly { readonly from: string; readonly to: string; readonly where: string }[] = [
  { from: 'initramfs-tools/hook', to: 'etc/initramfs-tools/hooks/assay', where: 'etc/initramfs-tools' },
  {
    from: 'initramfs-tools/script',
    to: 'etc/initramfs-tools/scripts/local-bottom/assay',
    where: 'etc/initramfs-tools',
  },
  { from: 'dracut/module-setup.sh', to: 'usr/lib/dracut/modules.d/97assay/module-setup.sh', where: 'usr/lib/dracut' },
  { from: 'dracut/open.sh', to: 'usr/lib/dracut/modules.d/97assay/open.sh', where: 'usr/lib/dracut' },
];

interface Flags extends ProtectorFlags {
  readonly root: string;
  readonly load: boolean;
}

export function registerEvmSetup(key: Command): void {
  const setup = key
    .command('evm-setup')
    .description('Make the EVM key of this machine, load it, switch EVM on, and have that done at each boot')
    .option('--root <folder>', 'the root of the system to set up; its links lead nowhere else', '/')
    .option('--no-load', 'only make the files: do not touch the running kernel')
    .option(
      '--json',
      'print {"key","protectors","hooks","evm","recoveryCode"}; where the kernel refuses also "reason"',
    );
  addProtectorOptions(addTpmOptions(setup)).addHelpText('after', HELP).action(runSetup);
  key
    .command('boot-files')
    .description('Write what an initramfs needs to open a protected key, into a folder beside it')
    .argument('<file>', 'the key, NAME.key; the folder is NAME')
    .option('--json', 'print {"folder"}')
    .addHelpText('after', '\nExample:\n  assay key boot-files /etc/assay/evm.key')
    .action(async (path: string, { json }: { readonly json?: boolean }) => {
      const folder = await renewBootFolder(path);
      if (json === true) printJson({ folder });
      else printLine(`${escapeControls(folder)}: what an initramfs needs to open the key`);
    });
}

/** @throws {KeyError} `key.option`: a system that is not there is a name that was typed wrongly */
function systemRoot(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return realpathSync(path);
  throw new KeyError('key.option', `${path} is no folder, and so no root of a system`, {
    advice: 'name the folder where the root of the system is mounted',
  });
}

async function runSetup(flags: Flags): Promise<void> {
  const root = systemRoot(flags.root);
  const path = placeIn(root, 'etc/assay/evm.key');
  const hooks = placeHooks(root);
  refuseExisting(path);
  await makeSystemFolder(dirname(dirname(path)));
  await privateFolder(dirname(path), { tighten: false });
  const payload = randomBytes(EVM_KEY_SIZE);
  const { protectors, code } = await newProtectors(payload, flags);
  const key: ProtectedKey = { size: payload.length, protectors };
  bootFiles(key); // Refuses what no initramfs opens while nothing is written yet.
  // Before the key, whose recovery code would be lost if they failed; without it they do nothing.
  for (const hook of hooks) await install(hook);
  await writeNewFile(path, encodeProtectedKey(key));
  await renewBootFolder(path);
  // Told at the end: the files are made, and their recovery code is shown this once, whatever the kernel says.
  const { state, refusal } = flags.load ? switchOn(payload) : { state: 'not-loaded' as const };
  if (flags.json === true) {
    const ids = protectors.map(({ id }) => id);
    const why = refusal === undefined ? {} : { reason: refusal.message };
    const recovery = code === undefined ? {} : { recoveryCode: code };
    printJson({ key: path, protectors: ids, hooks: hooks.map(({ to }) => to), evm: state, ...why, ...recovery });
    if (refusal !== undefined) process.exitCode = refusal.exitCode;
    return;
  }
  printLine(`${escapeControls(path)}: the EVM key, protected by ${protectors.map(({ id }) => id).join(', ')}`);
  for (const { to } of hooks) printLine(`${escapeControls(to)}: opens it at each boot`);
  printLine(STATE_WORDS[state]);
  if (hooks.length > 0) printLine('Now make the image anew: update-initramfs -u, or dracut --force');
  for (const line of recoveryLines(code)) printLine(line);
  if (refusal !== undefined) throw refusal;
}

interface Placed {
  readonly from: string;
  readonly to: string;
}

/** What is to be installed, and where: links in another root lead where they will when it is the root. */
function placeHooks(root: string): Placed[] {
  const wanted = INSTALLED.filter(({ where }) => existsSync(pathInRoot(root, where)));
  if (wanted.length === 0) return [];
  const opener = { from: 'open-evm-key', to: 'usr/lib/assay/open-evm-key' };
  return [opener, ...wanted].map(({ from, to }) => ({ from: join(HOOKS, from), to: placeIn(root, to) }));
}

/** Of a file that is replaced by name: what is there already may be a link itself. */
const placeIn = (root: string, path: string): string => join(pathInRoot(root, dirname(path)), basename(path));

async function install({ from, to }: Placed): Promise<void> {
  await makeSystemFolder(dirname(to));
  await replaceFile(to, await readFile(from), { mode: 0o755 });
}

/** Folders of the system's, which everybody may read. */
async function makeSystemFolder(folder: string): Promise<void> {
  if (existsSync(folder)) return;
  await makeSystemFolder(dirname(folder));
  await makeFolder(folder);
  await chmod(folder, 0o755);
}

const STATE_WORDS: Readonly<Record<EvmState | 'not-loaded', string>> = {
  on: 'EVM is on: from now on the kernel protects security attributes with this key',
  'no-evm': 'The running kernel has no EVM, and goes on without it',
  refused: 'The running kernel goes on without it',
  'not-loaded': 'Nothing was loaded into the running kernel',
};
