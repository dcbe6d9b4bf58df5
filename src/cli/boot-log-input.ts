/** The firmware's event log that a `boot` command reads: a file, or this machine's. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { whyNoBootLog } from '../agent/index.ts';
import {
  BootError,
  type BootLog,
  type BootLogs,
  bootLogsFromCel,
  bootWarnings,
  celForm,
  isCcelTable,
  isCcLog,
  looksLikeTxtContainer,
  looksLikeTxtStat,
  parseBootLog,
  parseCel,
  parseTxtContainer,
  parseTxtStat,
  parseUserspaceLog,
} from '../boot/index.ts';
import { ParseError } from '../bytes/index.ts';
import { inFile } from './in-file.ts';
import { readInput } from './read-input.ts';
import { escapeControls } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** Where Linux shows it (drivers/char/tpm/eventlog/common.c). */
export const MACHINE_BOOT_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements';

/** The log of a guest under confidential computing, where Linux shows its firmware's (drivers/acpi/sysfs.c). */
export const MACHINE_CC_LOG = '/sys/firmware/acpi/tables/data/CCEL';

/** What systemd measured behind the firmware (systemd: src/shared/tpm2-util.c, tpm2_userspace_log). */
export const MACHINE_USERSPACE_LOG = '/run/log/systemd/tpm2-measure.log';

/** Firmware's logs have some hundred KiB; a bound, so that a wrong path does not fill the memory. */
const MAX_LOG_SIZE = 16 * 1024 * 1024;

/** A log's bytes, and the name that errors call it by. */
export interface BootLogFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/**
 * For the ACPI table CCEL, the log that it stands for is read: Linux shows that in `data/CCEL` beside the table.
 * @param path a file, `-` for standard input; left out: this machine's log, its TPM's before that of its registers
 * @param bound for those who read other logs as well
 * @throws {BootError} `boot.no-log` where this machine shows none
 */
export function readBootLogFile(path: string | undefined, bound = MAX_LOG_SIZE): BootLogFile {
  const name = path ?? [MACHINE_BOOT_LOG, MACHINE_CC_LOG].find((log) => existsSync(log));
  if (name === undefined) {
    throw new BootError(
      'boot.no-log',
      `this machine shows no firmware log: ${whyNoBootLog()}`,
      'name a file with one that was read elsewhere',
    );
  }
  const bytes = readInput(name, bound);
  if (isCcelTable(bytes)) return readCcelLog(name);
  if (path === undefined && bytes.length === 0) {
    throw new BootError(
      'boot.no-log',
      `this machine shows an empty firmware log: ${name}`,
      'look for a firmware update',
    );
  }
  if (bytes.length > bound) throw new ParseError('parse.too-large', name, bound, `more than ${bound} bytes`);
  return { name, bytes };
}

function readCcelLog(table: string): BootLogFile {
  const beside = join(dirname(table), 'data', 'CCEL');
  if (table !== '-' && existsSync(beside)) return readBootLogFile(beside);
  throw new BootError(
    'boot.not-a-log',
    `${table}: this is the ACPI table that says where the log is, not the log`,
    `give ${MACHINE_CC_LOG}`,
  );
}

/** A TCG event log, bare or in Intel TXT's container, or the output of `txt-stat`. */
export function bootLogOf(bytes: Buffer): BootLog {
  if (looksLikeTxtContainer(bytes)) return parseTxtContainer(bytes);
  return looksLikeTxtStat(bytes) ? parseTxtStat(bytes.toString('utf8')) : parseBootLog(bytes);
}

/** What {@link readBootLogFile} reads: a log as {@link bootLogOf} takes it, or a canonical one (CEL), systemd's among them. */
export function readBootLogs(path: string | undefined): BootLogs {
  const { name, bytes } = readBootLogFile(path);
  const logs = inFile(name, () => bootLogsOf(bytes));
  return path === undefined ? { ...logs, userspace: machineUserspaceLog() } : logs;
}

function bootLogsOf(bytes: Buffer): BootLogs {
  const form = celForm(bytes);
  return form === undefined ? { firmware: bootLogOf(bytes), userspace: [] } : bootLogsFromCel(parseCel(bytes, form));
}

/** systemd may be writing its last line. */
function machineUserspaceLog(): BootLogs['userspace'] {
  if (!existsSync(MACHINE_USERSPACE_LOG)) return [];
  const bytes = readInput(MACHINE_USERSPACE_LOG, MAX_LOG_SIZE);
  const whole = bytes.subarray(0, bytes.lastIndexOf('\n') + 1);
  return inFile(MACHINE_USERSPACE_LOG, () => parseUserspaceLog(whole));
}

/** For commands that are about what the firmware measured. @throws {BootError} `boot.not-a-log` for systemd's records alone */
export function readBootLog(path: string | undefined): BootLog {
  return firmwareLog(readBootLogs(path), path);
}

/** @throws {BootError} `boot.not-a-log` where only systemd's records are there */
export function firmwareLog({ firmware }: BootLogs, path: string | undefined): BootLog {
  if (firmware !== undefined) return firmware;
  throw new BootError('boot.not-a-log', `${path}: it has what systemd measured, and nothing of the firmware's`);
}

/** For commands that know PCRs alone. @throws {UsageError} for a log whose indices are registers */
export function readPcrLog(path: string | undefined): BootLog {
  const log = readBootLog(path);
  refuseRegisters(log, path);
  return log;
}

/** @throws {UsageError} for a log of confidential computing */
export function refuseRegisters(log: BootLog, path: string | undefined): void {
  if (!isCcLog(log)) return;
  throw new UsageError(
    `${path ?? MACHINE_CC_LOG} is of confidential computing: its indices are no PCRs`,
    'give the log of a TPM; boot show and boot replay take this one',
  );
}

/** What makes the values of a log doubtful, on standard error. */
export function warnOf(logs: BootLogs): void {
  for (const warning of bootWarnings(logs)) process.stderr.write(`warning: ${escapeControls(warning)}\n`);
}
