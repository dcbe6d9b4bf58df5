/** `assay guard status|reload|stop`: asks the guard that runs here. */
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { guardStatus, reloadGuard, type ServiceStatus, stopGuard } from '../guard/index.ts';
import { defaultDataFolder } from './data-folder.ts';
import { escapeControls, formatTable, printJson, printLine } from './terminal.ts';

interface Options {
  readonly data?: string;
  readonly policy?: string;
  readonly json?: boolean;
}

/** The guard's folder within a data folder. */
export const guardFolder = (data: string | undefined): string => join(resolve(data ?? defaultDataFolder()), 'guard');

export function registerGuardControl(guard: Command): void {
  guard
    .command('status')
    .description('What the guard watches, what it did, and the last denials')
    .option('--data <folder>', 'the data folder that the guard was started with')
    .option('--json', 'print the status as one object')
    .addHelpText('after', '\nExample:\n  assay guard status')
    .action(async ({ data, json }: Options) => showStatus(await guardStatus(guardFolder(data)), json === true));
  guard
    .command('reload')
    .description('Read policy and keys again and put them in force, without a moment without a policy')
    .option('--policy <file>', 'another policy than the guard was started with')
    .option('--data <folder>', 'the data folder that the guard was started with')
    .option('--json', 'print the status as one object')
    .addHelpText('after', RELOAD_HELP)
    .action(async ({ data, json, policy }: Options) => {
      const file = policy === undefined ? undefined : resolve(policy);
      showStatus(await reloadGuard(guardFolder(data), file), json === true);
    });
  guard
    .command('stop')
    .description('End the guard: nothing is watched any more')
    .option('--data <folder>', 'the data folder that the guard was started with')
    .option('--json', 'print {"stopped"}')
    .addHelpText('after', STOP_HELP)
    .action(async ({ data, json }: Options) => {
      await stopGuard(guardFolder(data));
      if (json === true) printJson({ stopped: true });
      else printLine('the guard has stopped watching');
    });
}

/** What the labels of directories vouch for. */
export function treeLines({ trees }: Pick<ServiceStatus, 'trees'>): string[] {
  return trees.flatMap(({ path, version, directories, files, refused, bad }) => {
    const of = version === undefined ? 'its top has no label that holds' : `version ${version}`;
    const lines = [
      `labelled tree ${path}: ${of}, ${directories} directories, ${files} files, ${refused} of them refused`,
    ];
    for (const { path: place, cause, expected, found } of bad) {
      lines.push(`  ${place === '' ? '.' : place}: ${cause}: expected ${expected}, found ${found}`);
    }
    return lines.map((line) => escapeControls(line));
  });
}

const RELOAD_HELP = `
A policy with an error is refused with its line, column and the kernel's rule, and the old one stays.

Example:
  assay guard reload --policy /etc/assay/policy`;

const STOP_HELP = `
Where the guard was killed under --fail closed, this ends the watchdog that refuses in its place.
Where this cannot be executed any more, because the policy refuses it, a shell's own kill does the same:
kill $(</var/lib/assay/guard/guard.pid), and kill $(</var/lib/assay/guard/watchdog.pids) where the guard is gone

Example:
  assay guard stop`;

function showStatus(status: ServiceStatus, asJson: boolean): void {
  if (asJson) {
    printJson(status);
    return;
  }
  const { mode, rules, policy, since, pid, fail, watched, unwatched, notEnforced, denials } = status;
  printLine(`${mode}: ${rules} rules of ${policy}, since ${since} (pid ${pid}); fails ${fail}`);
  for (const { path, type } of watched) printLine(`watches ${escapeControls(path)} (${type})`);
  for (const { path, type, reason } of unwatched)
    printLine(`not watched: ${escapeControls(path)} (${type}): ${reason}`);
  for (const line of treeLines(status)) printLine(line);
  for (const { line, func, reason } of notEnforced) printLine(`not enforced: line ${line}, ${func}: ${reason}`);
  const { local, remote } = status.counts;
  const names = Object.keys(local ?? {}) as (keyof NonNullable<typeof local>)[]; // keys of the counts
  const rows = names.map((name) => [name, String((local?.[name] ?? 0) + (remote?.[name] ?? 0))]);
  printLine(`\n${formatTable(rows)}`);
  if (denials.length === 0) return;
  printLine('\nlast findings:');
  for (const { at, isDenied, access, path, cause, found, comm, pid: who } of denials) {
    const by = comm === undefined ? '' : ` by ${comm} (${who})`;
    const words = `${at}  ${isDenied ? 'refused' : 'would refuse'} to ${access} ${path}${by}: ${cause}`;
    printLine(escapeControls(found === undefined ? words : `${words} (found ${found})`));
  }
}
