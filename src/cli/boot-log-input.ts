/** The firmware's event log that a `boot` command reads: a file, or this machine's. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  BootError,
  type BootLog,
  isCcelTable,
  looksLikeTxtContainer,
  looksLikeTxtStat,
  parseBootLog,
  parseTxtContainer,
  parseTxtStat,
} from '../boot/index.ts';
import { ParseError } from '../bytes/index.ts';
import { inFile } from './in-file.ts';
import { readInput } from './read-input.ts';

/** Where Linux shows it (drivers/char/tpm/eventlog/common.c). */
export const MACHINE_BOOT_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements';

/** The log of a guest under confidential computing, where Linux shows its firmware's (drivers/acpi/sysfs.c). */
export const MACHINE_CC_LOG = '/sys/firmware/acpi/tables/data/CCEL';

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
  if (name === undefined) throw noLog();
  const bytes = readInput(name, bound);
  if (isCcelTable(bytes)) return readCcelLog(name);
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

/** What {@link readBootLogFile} reads, parsed by {@link bootLogOf}. */
export function readBootLog(path: string | undefined): BootLog {
  const { name, bytes } = readBootLogFile(path);
  return inFile(name, () => bootLogOf(bytes));
}

/** The likely reason, from the nearest cause to the farthest. */
function noLog(): BootError {
  const [reason, advice] = whyNoLog();
  return new BootError('boot.no-log', `this machine shows no firmware log: ${reason}`, advice);
}

function whyNoLog(): readonly [reason: string, advice: string] {
  if (isEmptyFolder('/sys/kernel/security')) {
    return [
      'securityfs is not mounted, or this is a container',
      'mount -t securityfs securityfs /sys/kernel/security, or read the log on the host',
    ];
  }
  if (!existsSync('/sys/class/tpm/tpm0')) {
    return ['it has no TPM, or no driver for it is loaded', 'switch the TPM on in the firmware’s settings'];
  }
  if (!existsSync('/sys/firmware/efi') && !existsSync('/sys/firmware/acpi/tables/TPM2')) {
    return ['its firmware hands no log over (no UEFI, no ACPI table TPM2)', 'boot through UEFI'];
  }
  return [
    'the firmware or boot loader hands none over, or may not be read',
    'run as root; without UEFI’s log table the kernel has none to show',
  ];
}

function isEmptyFolder(path: string): boolean {
  try {
    return readdirSync(path).length === 0;
  } catch {
    return true;
  }
}
