/** `assay key evm-setup` and `key boot-files`: from nothing to EVM with a key that only this machine has. */
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { chmod, copyFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { bootFiles, encodeProtectedKey, KeyError, type ProtectedKey } from '../../keys/index.ts';
import { makeFolder, privateFolder, SPECIAL_KEYRINGS } from '../../sys/index.ts';
import { escapeControls, printJson, printLine } from '../terminal.ts';
import { addTpmOptions } from '../with-tpm.ts';
import { addAsEncrypted, searchUserKeys } from './kernel-keyring.ts';
import { addProtectorOptions, newProtectors, type ProtectorFlags } from './protector-options.ts';
import { refuseExisting, renewBootFolder, writeNewFile } from './write-key.ts';

const HELP = `
Makes a key of 64 random bytes and its protectors, keeps it in /etc/assay/evm.key, loads it into the kernel as evm-key
and switches EVM on; installs the hooks that do the same at each boot, for initramfs-tools and dracut where they are.
The machine then starts only where a protector opens the key: give it a recovery code.

After an update of what is measured: assay key reseal /etc/assay/evm.key --pcrs … --pcr-values next.json --now

Example:
  assay key evm-setup --seal --pcrs sha256:0,4,7,9 --recovery
  assay key evm-setup --password prompt --recovery          without a TPM`;

/** KEY of the kernel's EVM (evm_crypto.c: EVMKEY), and what it holds: at most MAX_KEY_SIZE, 128. */
const EVM_KEY_NAME = 'evm-key';
const EVM_KEY_SIZE = 64;
const EVM_SWITCH = '/sys/kernel/security/evm';
/** EVM_INIT_HMAC (Documentation/ABI/testing/evm). */
const EVM_INIT_HMAC = '1';
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
    .option('--root <folder>', 'the root of the system to set up', '/')
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

async function runSetup(flags: Flags): Promise<void> {
  const path = join(resolve(flags.root), 'etc/assay/evm.key');
  refuseExisting(path);
  await privateFolder(dirname(path), { tighten: false });
  const payload = randomBytes(EVM_KEY_SIZE);
  const { protectors, code } = await newProtectors(payload, flags);
  const key: ProtectedKey = { size: payload.length, protectors };
  bootFiles(key); // Refuses what no initramfs opens while nothing is written yet.
  await writeNewFile(path, encodeProtectedKey(key));
  await renewBootFolder(path);
  const hooks = await installHooks(resolve(flags.root));
  // Told at the end: the files are made, and their recovery code is shown this once, whatever the kernel says.
  const { state, refusal } = flags.load ? switchOn(payload) : { state: 'not-loaded' as const };
  if (flags.json === true) {
    const ids = protectors.map(({ id }) => id);
    const why = refusal === undefined ? {} : { reason: refusal.message };
    const recovery = code === undefined ? {} : { recoveryCode: code };
    printJson({ key: path, protectors: ids, hooks, evm: state, ...why, ...recovery });
    if (refusal !== undefined) process.exitCode = refusal.exitCode;
    return;
  }
  printLine(`${escapeControls(path)}: the EVM key, protected by ${protectors.map(({ id }) => id).join(', ')}`);
  for (const hook of hooks) printLine(`${escapeControls(hook)}: opens it at each boot`);
  printLine(STATE_WORDS[state]);
  if (hooks.length > 0) printLine('Now make the image anew: update-initramfs -u, or dracut --force');
  if (code !== undefined)
    printLine(`recovery code: ${code}\nWrite it down and keep it elsewhere: it is shown this once, and opens the key.`);
  if (refusal !== undefined) throw refusal;
}

async function installHooks(root: string): Promise<string[]> {
  const wanted = INSTALLED.filter(({ where }) => existsSync(join(root, where)));
  if (wanted.length === 0) return [];
  const opener = { from: 'open-evm-key', to: 'usr/lib/assay/open-evm-key' };
  const installed: string[] = [];
  for (const { from, to } of [opener, ...wanted]) {
    const target = join(root, to);
    await mkdirParents(target);
    await copyFile(join(HOOKS, from), target);
    await chmod(target, 0o755);
    installed.push(target);
  }
  return installed;
}

/** Folders of the system's, which everybody may read. */
async function mkdirParents(target: string): Promise<void> {
  const folder = dirname(target);
  if (existsSync(folder)) return;
  await mkdirParents(folder);
  await makeFolder(folder);
  await chmod(folder, 0o755);
}

type EvmState = 'on' | 'no-evm' | 'not-loaded' | 'refused';

const STATE_WORDS: Readonly<Record<EvmState, string>> = {
  on: 'EVM is on: from now on the kernel protects security attributes with this key',
  'no-evm': 'This kernel has no EVM: boot one with CONFIG_EVM, and the hooks switch it on',
  refused: 'The running kernel goes on without it',
  'not-loaded': 'Nothing was loaded into the running kernel',
};

/** The key goes into the kernel under a master key that is forgotten at once. */
function switchOn(payload: Buffer): { readonly state: EvmState; readonly refusal?: KeyError } {
  if (!existsSync(EVM_SWITCH)) return { state: 'no-evm' };
  try {
    searchUserKeys();
    addAsEncrypted(EVM_KEY_NAME, payload, SPECIAL_KEYRINGS.get('@u') ?? 0);
    writeFileSync(EVM_SWITCH, EVM_INIT_HMAC);
    return { state: 'on' };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const refusal = new KeyError('key.keyring', `EVM is not switched on: ${why}`, {
      advice: 'EVM takes one key a boot, and root alone may load it; the files are made, and a boot loads them',
      cause,
    });
    return { state: 'refused', refusal };
  }
}
