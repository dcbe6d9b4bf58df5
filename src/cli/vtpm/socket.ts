/** `assay vtpm socket`: the software TPM of a virtual machine, where QEMU and libvirt would run `swtpm socket`. */
import { execFileSync } from 'node:child_process';
import { ftruncateSync, writeFileSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { commandName, describeResponseCode, marshalCommand, TPM2_Startup } from '../../tpm/index.ts';
import {
  PoweredTpm,
  StateFolder,
  type SwtpmSocket,
  serveSwtpmSocket,
  statesIn,
  tpmInfo,
  VtpmError,
} from '../../vtpm/index.ts';
import { untilStopped } from '../signals.ts';
import { printJson, printLine } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { capabilitiesJson, statesJson } from './capabilities.ts';
import { isDaemonChild, startDaemon, tellServing } from './daemon.ts';
import { KEY_FORMS, keyOption, readStateKey } from './key-option.ts';
import { LEVEL_COMMANDS, openServiceLog, type ServiceLog } from './service-log.ts';
import {
  descriptorsOf,
  type FilePlace,
  planSocket,
  planState,
  type SocketArguments,
  type SocketPlan,
} from './socket-options.ts';

const HELP = `
The options are those of swtpm(8) that QEMU and libvirt use. The state is this program's own and no libtpms state: the
files have swtpm's names, and neither program opens the other's. --locality allow-set-locality and the seccomp option are
taken and change nothing. It demonstrates and does not protect: its keys are in the memory of a process.

Example:
  assay vtpm socket --tpm2 --tpmstate dir=/var/lib/vm/tpm --ctrl type=unixio,path=/run/vm/tpm.sock --terminate
  qemu-system-x86_64 … -chardev socket,id=tpm,path=/run/vm/tpm.sock -tpmdev emulator,id=tpm,chardev=tpm \\
    -device tpm-crb,tpmdev=tpm`;

/** Of swtpm's options, those that cannot be followed here, and what does it instead. */
const REFUSED = {
  chroot: ['-R, --chroot <path>', 'start it in a namespace (systemd: RootDirectory=)'],
  profile: ['--profile <options>', 'the TPM has all that it implements'],
  printProfiles: ['--print-profiles', 'the TPM has all that it implements'],
  pcap: ['--pcap <options>', 'a record of commands would hold secrets; --log level=5 names them'],
} as const;

export function registerSocket(vtpm: Command): void {
  const socket = vtpm
    .command('socket')
    .description('Be the TPM of a virtual machine: what `swtpm socket` is to QEMU and libvirt')
    .option('--tpm2', 'a TPM 2.0, which is the only one')
    .option('--tpmstate <options>', 'dir=FOLDER|backend-uri=dir://FOLDER[,mode=0640][,fsync]: where its state is')
    .option(
      '--ctrl <options>',
      'type=unixio,path=PATH[,mode=0770][,uid=N][,gid=N]|fd=N|clientfd=N[,terminate] or type=tcp,port=N[,bindaddr=A]|fd=N: the control channel',
    )
    .option(
      '--server <options>',
      'type=tcp,port=N[,bindaddr=A]|fd=N[,disconnect] or type=unixio,path=PATH|fd=N[,mode=0770]: a data channel',
    )
    .option('-p, --port <port>', 'the same as --server type=tcp,port=N,disconnect')
    .option('-f, --fd <fd>', 'a connection that is the data channel')
    .option('-t, --terminate', 'end when the data channel is closed')
    .option('--flags <flags>', 'not-need-init, startup-clear, startup-state, startup-none, disable-auto-shutdown')
    .option('--locality <options>', 'reject-locality-4, allow-set-locality')
    .addOption(keyOption('--key', `the state is kept under an AES key: ${KEY_FORMS}`))
    .addOption(keyOption('--migration-key', 'the state travels under an AES key, given as with --key'))
    .option('--migration <options>', 'incoming, release-lock-outgoing: when another host may use the folder')
    .option(
      '--log <options>',
      'file=PATH|fd=N[,level=N][,prefix=TEXT][,truncate]; file=- for none, level 5 names commands',
    )
    .option('--pid <options>', 'file=PATH|fd=N: where the process number is written')
    .option('-d, --daemon', 'go on in the background')
    .option('-r, --runas <user>', 'change to this user first')
    .option('--print-capabilities', 'print what of swtpm it can do, and end')
    .option('--print-states', 'print which states the folder has, and end')
    .option('--print-info <flags>', 'print what the TPM is: 1 specification, 2 attributes, 4 features; and end')
    .option('--json', 'print {"pid","demonstration"} when it serves')
    .addOption(new Option('--seccomp <options>').hideHelp())
    .addHelpText('after', HELP)
    .action(run);
  for (const [form] of Object.values(REFUSED)) socket.addOption(new Option(form).hideHelp());
}

type AllArguments = SocketArguments & { readonly [N in keyof typeof REFUSED]?: unknown };

async function run(args: AllArguments): Promise<void> {
  for (const [name, [form, advice]] of Object.entries(REFUSED)) {
    if (args[name as keyof typeof REFUSED] !== undefined) {
      throw new UsageError(`${form.replace(/^-., | <.*$/g, '')} is not followed here`, advice);
    }
  }
  if (args.printCapabilities === true) printLine(capabilitiesJson());
  else if (args.printStates === true) printLine(statesJson(await statesIn(planState(args.tpmstate).folder)));
  else if (args.printInfo !== undefined) printLine(tpmInfo(infoFlags(args.printInfo)));
  else {
    const plan = planSocket(args);
    if (args.daemon === true && !isDaemonChild()) process.exitCode = await startDaemon(descriptorsOf(plan));
    else await serveAs(args.runas, plan, args.json === true);
  }
}

function infoFlags(text: string): bigint {
  if (/^(?:0x[0-9a-f]+|\d+)$/i.test(text)) return BigInt(text);
  throw new UsageError(`--print-info takes a number, not '${text}'`, 'see `assay vtpm socket --help`');
}

async function serveAs(user: string | undefined, plan: SocketPlan, asJson: boolean): Promise<void> {
  if (user !== undefined) becomeUser(user);
  const log = openServiceLog(plan.log);
  try {
    await serve(plan, log, asJson);
  } catch (error) {
    if (plan.log.place !== undefined) log.failure(error);
    throw error;
  } finally {
    log.close();
  }
}

/** Before any file is opened. */
function becomeUser(user: string): void {
  try {
    const ids = (which: '-g' | '-G'): number[] =>
      execFileSync('id', [which, '--', user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
        .trim()
        .split(' ')
        .map(Number);
    process.setgroups?.(ids('-G'));
    process.setgid?.(ids('-g')[0] ?? -1);
    process.setuid?.(user);
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause && cause.code === 'EPERM' ? 'only root may' : 'no such user';
    throw new UsageError(`--runas ${user}: ${why}`, 'name a user of this machine, as root');
  }
}

async function serve(plan: SocketPlan, log: ServiceLog, asJson: boolean): Promise<void> {
  const key = plan.key && (await readStateKey(plan.key));
  const migrationKey = plan.migrationKey && (await readStateKey(plan.migrationKey));
  const { folder, mode, durable } = plan.state;
  const tpm = new PoweredTpm(await StateFolder.open(folder, { key, mode, durable }), {
    migrationKey,
    disableAutoShutdown: plan.disableAutoShutdown,
    isIncoming: plan.isIncoming,
    releasesWhenGone: plan.releasesWhenGone,
    onFailure: (error) => log.failure(error),
    ...(log.level >= LEVEL_COMMANDS && { onCommand: logCommand(log) }),
  });
  try {
    if (!plan.needsInit) await switchOn(tpm, plan.startup);
    const stopped = untilStopped();
    const socket = await serveSwtpmSocket(tpm, {
      ...plan,
      info: tpmInfo,
      onFailure: (error) => log.failure(error),
    });
    try {
      await whileServing(socket, plan, log, stopped, asJson);
    } finally {
      await socket.close();
    }
  } finally {
    await tpm.close();
  }
}

async function whileServing(
  socket: SwtpmSocket,
  plan: SocketPlan,
  log: ServiceLog,
  stopped: Promise<void>,
  asJson: boolean,
): Promise<void> {
  if (plan.pid !== undefined) writePid(plan.pid);
  try {
    tellServing();
    if (asJson) printJson({ pid: process.pid, demonstration: true });
    const why = await Promise.race([socket.ended, stopped.then(() => 'it was told to')]);
    log.line(`ends: ${why}`);
  } finally {
    if (plan.pid !== undefined && 'file' in plan.pid) await rm(plan.pid.file, { force: true });
  }
}

async function switchOn(tpm: PoweredTpm, startupType: 'clear' | 'state' | undefined): Promise<void> {
  await tpm.init(false);
  if (startupType === undefined) return;
  const response = Buffer.from(await tpm.execute(marshalCommand(TPM2_Startup, { startupType })));
  const rc = response.readUInt32BE(6);
  if (rc === 0) return;
  throw new VtpmError('vtpm.ended', `the TPM refuses to start (${startupType}): ${describeResponseCode(rc)}`);
}

function writePid(place: FilePlace): void {
  if ('file' in place) writeFileSync(place.file, String(process.pid), { mode: 0o644 });
  else {
    ftruncateSync(place.fd);
    writeSync(place.fd, String(process.pid), 0);
  }
}

/** Names only: parameters hold secrets. */
function logCommand(log: ServiceLog) {
  return (code: number, rc: number, locality: number): void =>
    log.line(`${commandName(code)} at locality ${locality}: ${rc === 0 ? 'done' : describeResponseCode(rc)}`);
}
