/** The command line of `swtpm socket` (man swtpm), as far as a software TPM in this process can follow it. */
import { resolve } from 'node:path';
import type { Endpoint } from '../../vtpm/index.ts';
import { UsageError } from '../usage-error.ts';
import { CommaOptions } from './comma-options.ts';
import type { KeySource } from './key-option.ts';

/** As commander gives them. */
export interface SocketArguments {
  readonly tpm2?: boolean;
  readonly tpmstate?: string;
  readonly ctrl?: string;
  readonly server?: string;
  readonly port?: string;
  readonly fd?: string;
  readonly terminate?: boolean;
  readonly flags?: string;
  readonly locality?: string;
  readonly key?: KeySource;
  readonly migrationKey?: KeySource;
  readonly migration?: string;
  readonly log?: string;
  readonly pid?: string;
  readonly daemon?: boolean;
  readonly runas?: string;
  readonly seccomp?: string;
  readonly printCapabilities?: boolean;
  readonly printStates?: boolean;
  readonly printInfo?: string;
  readonly json?: boolean;
}

export interface StateFolderPlace {
  readonly folder: string;
  readonly mode: number | undefined;
  readonly durable: boolean;
}

/** A file, or a descriptor that is open already. */
export type FilePlace = { readonly file: string } | { readonly fd: number };

export interface LogPlace {
  /** Undefined: standard error. */
  readonly place: FilePlace | undefined;
  readonly isSilent: boolean;
  readonly level: number;
  readonly prefix: string;
  readonly truncates: boolean;
}

export interface SocketPlan {
  readonly state: StateFolderPlace;
  readonly control: Endpoint | undefined;
  readonly data: Endpoint | undefined;
  readonly disconnects: boolean;
  readonly endsWithData: boolean;
  readonly endsWithControl: boolean;
  readonly rejectsLocality4: boolean;
  readonly needsInit: boolean;
  readonly startup: 'clear' | 'state' | undefined;
  readonly disableAutoShutdown: boolean;
  readonly key: KeySource | undefined;
  readonly migrationKey: KeySource | undefined;
  readonly isIncoming: boolean;
  readonly releasesWhenGone: boolean;
  readonly log: LogPlace;
  readonly pid: FilePlace | undefined;
}

const MAX_PORT = 65_535;
const ADVICE = 'see `assay vtpm socket --help`';

/** @throws {UsageError} for what cannot be followed */
export function planSocket(args: SocketArguments): SocketPlan {
  if (args.tpm2 !== true) throw new UsageError('only a TPM 2.0 is made here: --tpm2 is needed', ADVICE);
  if (args.seccomp !== undefined) new CommaOptions('--seccomp', args.seccomp, ['action']).text('action');
  const control = args.ctrl === undefined ? undefined : planControl(args.ctrl);
  const data = planData(args);
  if (control === undefined && data === undefined) {
    throw new UsageError('a TPM without a channel serves nobody: --ctrl or --server is needed', ADVICE);
  }
  return {
    state: planState(args.tpmstate),
    control: control?.endpoint,
    endsWithControl: control?.terminates ?? false,
    data: data?.endpoint,
    disconnects: data?.disconnects ?? false,
    endsWithData: args.terminate === true || data?.endpoint.kind === 'connected',
    ...planLocality(args.locality),
    ...planFlags(args.flags),
    key: args.key,
    migrationKey: args.migrationKey,
    ...planMigration(args.migration),
    log: planLog(args.log),
    pid: args.pid === undefined ? undefined : filePlace(new CommaOptions('--pid', args.pid, ['file', 'fd'])),
  };
}

/** Also of the environment, as swtpm takes it. */
export function planState(text: string | undefined): StateFolderPlace {
  const known = ['dir', 'backend-uri', 'mode', 'lock', 'fsync'];
  const options = new CommaOptions('--tpmstate', text ?? '', known);
  const uri = options.text('backend-uri');
  if (uri !== undefined && !uri.startsWith('dir://')) {
    options.refuse(`backend-uri is dir://FOLDER: a TPM's state is kept in a folder`);
  }
  const folder = options.text('dir') ?? uri?.slice('dir://'.length) ?? process.env.TPM_PATH;
  if (folder === undefined || folder === '') {
    throw new UsageError('where the state is, or will be, is not said: --tpmstate dir=FOLDER', ADVICE);
  }
  return { folder: resolve(folder), mode: options.number('mode', 0o777, true), durable: options.flag('fsync') };
}

function planControl(text: string): { endpoint: Endpoint; terminates: boolean } {
  const known = ['type', 'path', 'port', 'bindaddr', 'ifname', 'fd', 'clientfd', 'mode', 'uid', 'gid', 'terminate'];
  const options = new CommaOptions('--ctrl', text, known);
  const type = options.oneOf('type', ['unixio', 'tcp']) ?? options.refuse('type is unixio or tcp');
  const client = options.fd('clientfd');
  const terminates = options.flag('terminate');
  if (client !== undefined) return { endpoint: { kind: 'connected', fd: client, isUnix: true }, terminates };
  return { endpoint: planListening(options, type), terminates };
}

function planData({ server, port, fd }: SocketArguments): { endpoint: Endpoint; disconnects: boolean } | undefined {
  if (fd !== undefined) {
    const number = new CommaOptions('--fd', `fd=${fd}`, ['fd']).fd('fd') ?? -1;
    return { endpoint: { kind: 'connected', fd: number, isUnix: false }, disconnects: false };
  }
  const text = port === undefined ? server : `type=tcp,disconnect,port=${port}`;
  if (text === undefined) return undefined;
  const known = ['type', 'path', 'port', 'bindaddr', 'ifname', 'fd', 'disconnect', 'mode', 'uid', 'gid'];
  const options = new CommaOptions(port === undefined ? '--server' : '--port', text, known);
  const type = options.oneOf('type', ['unixio', 'tcp']) ?? 'tcp';
  const disconnects = options.flag('disconnect');
  const given = options.fd('fd');
  // As in swtpm: of this type it is the connection itself
  if (type === 'tcp' && given !== undefined) {
    return { endpoint: { kind: 'connected', fd: given, isUnix: false }, disconnects };
  }
  return { endpoint: planListening(options, type), disconnects };
}

function planListening(options: CommaOptions, type: 'unixio' | 'tcp'): Endpoint {
  const fd = options.fd('fd');
  if (fd !== undefined) return { kind: 'listening', fd, isUnix: type === 'unixio' };
  return type === 'unixio' ? planPath(options) : planPort(options);
}

function planPath(options: CommaOptions): Endpoint {
  const path = options.text('path') ?? options.refuse('a path or a descriptor is needed');
  const [uid, gid] = [options.number('uid', 0xffff_fffe), options.number('gid', 0xffff_fffe)];
  return {
    kind: 'unix',
    path: resolve(path),
    mode: options.number('mode', 0o777, true) ?? 0o770, // swtpm's
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  };
}

function planPort(options: CommaOptions): Endpoint {
  const port = options.number('port', MAX_PORT) ?? options.refuse('a port or a descriptor is needed');
  const address = options.text('bindaddr') ?? '127.0.0.1';
  const name = options.text('ifname');
  return { kind: 'tcp', port, host: name !== undefined && isLinkLocal(address) ? `${address}%${name}` : address };
}

/** fe80::/10: only such an address is one of an interface's. */
const isLinkLocal = (address: string): boolean => /^fe[89ab][0-9a-f]:/i.test(address);

function planLocality(text = ''): Pick<SocketPlan, 'rejectsLocality4'> {
  const options = new CommaOptions('--locality', text, ['reject-locality-4', 'allow-set-locality']);
  options.flag('allow-set-locality'); // a command of the kernel's vTPM proxy, which is not here
  return { rejectsLocality4: options.flag('reject-locality-4') };
}

function planFlags(text = ''): Pick<SocketPlan, 'needsInit' | 'startup' | 'disableAutoShutdown'> {
  const known = ['not-need-init', 'startup-none', 'startup-clear', 'startup-state', 'disable-auto-shutdown'];
  const options = new CommaOptions('--flags', text, known);
  const startup = options.flag('startup-clear') ? 'clear' : options.flag('startup-state') ? 'state' : undefined;
  options.flag('startup-none');
  return {
    needsInit: !options.flag('not-need-init') && startup === undefined,
    startup,
    disableAutoShutdown: options.flag('disable-auto-shutdown'),
  };
}

function planMigration(text = ''): Pick<SocketPlan, 'isIncoming' | 'releasesWhenGone'> {
  const options = new CommaOptions('--migration', text, ['incoming', 'release-lock-outgoing']);
  return { isIncoming: options.flag('incoming'), releasesWhenGone: options.flag('release-lock-outgoing') };
}

function planLog(text: string | undefined): LogPlace {
  if (text === undefined) return { place: undefined, isSilent: false, level: 1, prefix: '', truncates: false };
  const options = new CommaOptions('--log', text, ['file', 'fd', 'level', 'prefix', 'truncate']);
  const isSilent = options.text('file') === '-';
  return {
    place: isSilent ? undefined : filePlace(options),
    isSilent,
    level: options.number('level', 1000) ?? 1,
    prefix: options.text('prefix') ?? '',
    truncates: options.flag('truncate'),
  };
}

function filePlace(options: CommaOptions): FilePlace {
  const file = options.text('file');
  if (file !== undefined) return { file: resolve(file) };
  return { fd: options.fd('fd') ?? options.refuse('a file or a descriptor is needed') };
}

/** Descriptors that the plan names: who starts another process for it hands them on. */
export function descriptorsOf(plan: SocketPlan): readonly number[] {
  const endpoints = [plan.control, plan.data].flatMap((one) => (one !== undefined && 'fd' in one ? [one.fd] : []));
  const places = [plan.key?.from, plan.migrationKey?.from, plan.log.place, plan.pid];
  return [...endpoints, ...places.flatMap((one) => (one !== undefined && 'fd' in one ? [one.fd] : []))];
}
