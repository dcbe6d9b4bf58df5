/** Where Assay keeps what it must remember when no folder is named. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** ASSAY_DATA; else /var/lib/assay for root, and for others the XDG base directory specification's place. */
export function defaultDataFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.ASSAY_DATA) return env.ASSAY_DATA;
  if (process.getuid?.() === 0) return '/var/lib/assay';
  return join(env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'assay');
}

/** The software TPM's state within a data folder. */
export function softwareTpmFile(dataFolder: string): string {
  return join(dataFolder, 'software-tpm');
}
