/** `assay guard run`: the guard itself, until it is told to stop. */
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  FAIL_MODES,
  type FailMode,
  type FindingReport,
  GUARD_MODES,
  type GuardedTree,
  type GuardMode,
  GuardService,
  type MeasurementSink,
  type NamedPolicy,
} from '../guard/index.ts';
import { type AppraiseKeyFlags, addKeyOptions, appraiseKeys } from './appraise-keys.ts';
import { parseVersion } from './directory-labels.ts';
import { guardFolder, treeLines } from './guard-control.ts';
import { withGuardList } from './guard-list.ts';
import { BUILT_IN_HELP, policyInForce } from './ima-policy-input.ts';
import { reportError } from './report-error.ts';
import { untilStopped } from './signals.ts';
import { escapeControls, printJson, printLine } from './terminal.ts';
import { collect } from './tree-options.ts';
import { TPM_FORMS } from './with-tpm.ts';

const HELP = `
The guard asks its policy about every execution, and where the policy has rules for FILE_CHECK about every open, on the file
systems that are mounted at and beneath the named mount points, now and later. What it cannot see (mappings, modules,
firmware, kexec, setxattr) it names at the start: no rule for that is enforced. Needs root.

Modes are the kernel's ima_appraise=: off judges no labels, log lets everything pass and tells, fix writes labels that do
not hold, enforce refuses. Begin with log. What is refused is told on standard output and, as the kernel's audit records
have it, in DATA/guard/audit.log, which \`assay ima audit\` explains.

SIGHUP reads policy and keys again, SIGTERM ends the guard. Where no program can be executed any more, a shell's own kill
still works: kill $(</var/lib/assay/guard/guard.pid)

Example:
  assay guard run --policy policy --watch / --mode log
  assay guard run --builtin appraise_tcb --watch /srv --mode enforce --keyring /etc/keys/ima --fail closed`;

export interface GuardRunOptions extends AppraiseKeyFlags {
  readonly policy?: string;
  readonly builtin?: string;
  readonly watch: readonly string[];
  readonly mode: GuardMode;
  readonly fail: FailMode;
  readonly hang: number;
  readonly patience: number;
  readonly template?: string;
  readonly directories?: readonly string[];
  readonly leastVersion?: bigint;
  readonly tpm?: string;
  readonly extend?: boolean;
  readonly data?: string;
  readonly json?: boolean;
}

export function registerGuardRun(guard: Command): void {
  const run = guard
    .command('run')
    .description('Run the guard until it is told to stop')
    .option('--policy <file>', 'IMA policy')
    .option('--builtin <names>', BUILT_IN_HELP)
    .requiredOption(
      '--watch <mount>',
      'mount point, at and beneath which everything is watched; may be repeated',
      collect,
    )
    .addOption(new Option('--mode <mode>', 'what comes of labels that do not hold').choices(GUARD_MODES).default('log'))
    .addOption(
      new Option('--fail <mode>', 'where the guard has ended or hangs: open lets everything pass, closed refuses')
        .choices(FAIL_MODES)
        .default('open'),
    )
    .addOption(secondsOption('--hang <seconds>', 'silence after which the guard counts as hanging', 5))
    .addOption(secondsOption('--patience <seconds>', 'how long a file may give nothing before it is refused', 10))
    .option(
      '--directories <tree>',
      'a labelled tree (assay label --directories): what is appraised in it must be what its directory labels say; may be repeated',
      collect,
    )
    .option('--least-version <n>', 'the version of these trees that you know: an older one is refused', parseVersion)
    .option('--template <name>', "the kernel's ima_template= (left out: ima-ng)")
    .addOption(
      new Option('--tpm <name>', `the TPM that is extended with what is measured: ${TPM_FORMS} (left out: none)`).env(
        'ASSAY_TPM',
      ),
    )
    .option('--extend', 'extend the PCRs of a hardware TPM, for as long as the machine runs')
    .option('--data <folder>', 'the data folder; the guard uses its folder guard')
    .option('--json', 'one JSON object a line: {"guard":…} once it watches, then {"finding":…}');
  addKeyOptions(run).addHelpText('after', HELP).action(runGuard);
}

function secondsOption(flags: string, what: string, seconds: number): Option {
  const parse = (text: string): number => {
    const value = Number(text);
    if (/^\d{1,4}(\.\d)?$/.test(text) && value > 0) return value;
    throw new InvalidArgumentError('a number of seconds');
  };
  return new Option(flags, what).argParser(parse).default(seconds);
}

async function runGuard(options: GuardRunOptions): Promise<void> {
  const folder = guardFolder(options.data);
  const load = (name: string | undefined): NamedPolicy => loadPolicy(options, name);
  await withGuardList(options, folder, async (sink) => {
    const service = await GuardService.start({
      folder,
      load,
      places: options.watch.map((place) => resolve(place)),
      patienceMs: options.patience * 1000,
      watchdog: { fail: options.fail, hangMs: options.hang * 1000 },
      ...(sink === undefined ? {} : { sink: sink satisfies MeasurementSink }),
      onFinding: (finding) => tell(finding, options.json === true),
      onTrouble: (trouble) => process.stderr.write(`assay: ${escapeControls(trouble)}\n`),
    });
    tellStart(service, options);
    const reload = (): void => void service.reload().catch((error: unknown) => void reportError(error, false));
    process.on('SIGHUP', reload);
    const error = await Promise.race([service.ended, untilStopped()]);
    process.off('SIGHUP', reload);
    await service.stop();
    if (error !== undefined) throw error;
  });
  // A thread that waits for a file system which gives nothing would hold up the end of this process for ever.
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), END_MS).unref();
}

/** How long this process may take to end when nothing is watched any more. */
const END_MS = 3000;

/** @param name another file than the options name */
function loadPolicy(options: GuardRunOptions, name: string | undefined): NamedPolicy {
  const file = name ?? options.policy;
  const flags = name === undefined && options.builtin !== undefined ? { builtin: options.builtin } : {};
  const { rules, failSecurely } = policyInForce(file, flags);
  return {
    name: file ?? options.builtin ?? '',
    rules: rules.map(({ placed }) => placed),
    failSecurely,
    mode: options.mode,
    keys: appraiseKeys(options),
    ...(options.template === undefined ? {} : { template: options.template }),
    trees: treesOf(options),
  };
}

function treesOf({ directories = [], leastVersion }: GuardRunOptions): GuardedTree[] {
  const version = leastVersion === undefined ? {} : { leastVersion };
  return directories.map((path) => ({ path: resolve(path), ...version }));
}

function tellStart(service: GuardService, { json, mode }: GuardRunOptions): void {
  const { status } = service;
  if (json === true) {
    printJson({ guard: status });
    return;
  }
  printLine(
    `${mode}: ${status.rules} rules of ${status.policy}, on ${status.watched.map(({ path }) => path).join(', ')}`,
  );
  for (const { path, type, reason } of status.unwatched) printLine(`not watched: ${path} (${type}): ${reason}`);
  for (const line of treeLines(status)) printLine(line);
  for (const { line, func, reason } of status.notEnforced) {
    printLine(`not enforced: line ${line}, ${func}: ${reason}`);
  }
}

/** What may wait for whoever reads standard output, in bytes: the journal may stand still because of what is refused. */
const MAX_UNREAD = 2 ** 20;
let untold = 0;

function tell(finding: FindingReport, asJson: boolean): void {
  if (process.stdout.writableLength > MAX_UNREAD) {
    untold += 1;
    return;
  }
  if (untold > 0) process.stderr.write(`assay: ${untold} findings were not told here, as nobody read them\n`);
  untold = 0;
  show(finding, asJson);
}

function show({ isDenied, access, path, fault, task }: FindingReport, asJson: boolean): void {
  const name = Buffer.from(path).toString();
  const { cause, expected, found } = fault;
  if (asJson) {
    printJson({ finding: { isDenied, access, path: name, cause, expected, found, pid: task?.pid, uid: task?.uid } });
    return;
  }
  const who = task === undefined ? '' : ` by ${Buffer.from(task.comm).toString()} (pid ${task.pid}, uid ${task.uid})`;
  const why =
    expected === undefined && found === undefined ? '' : `: expected ${expected ?? '—'}, found ${found ?? '—'}`;
  printLine(escapeControls(`${isDenied ? 'refused' : 'would refuse'} to ${access} ${name}${who}: ${cause}${why}`));
}
