/** `assay server link`: a new link into the dashboard of a server that runs on this machine. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { dashboardLinkFrom } from '../server/index.ts';
import { defaultDataFolder } from './data-folder.ts';
import { printJson, printLine } from './terminal.ts';

const HELP = `
The server must run on this machine, as the same user. The link opens the dashboard once, within 10 minutes.

Example:
  assay server link --data /var/lib/assay`;

export function registerLink(server: Command): void {
  server
    .command('link')
    .description('Print a new link that opens the dashboard of the running server')
    .option('--data <folder>', 'the folder that the server was started with')
    .option('--json', 'print {"link"}')
    .addHelpText('after', HELP)
    .action(async ({ data, json }: { readonly data?: string; readonly json?: boolean }) => {
      const link = await dashboardLinkFrom(resolve(data ?? defaultDataFolder()));
      if (json === true) printJson({ link });
      else printLine(link);
    });
}

/** The command for a server with this data folder, as a shell takes it. */
export function linkCommand(dataFolder: string): string {
  if (dataFolder === resolve(defaultDataFolder())) return 'assay server link';
  const isPlain = /^[\w@%+=:,./-]+$/.test(dataFolder);
  return `assay server link --data ${isPlain ? dataFolder : `'${dataFolder.replaceAll("'", "'\\''")}'`}`;
}
