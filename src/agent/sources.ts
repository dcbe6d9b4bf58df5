/** Where the kernel and systemd keep their logs on this host, and why one is not there. Reading only; nothing is judged. */
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { release } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { BootLogEvidence, GrowingLogEvidence } from '../evidence/index.ts';
import { AgentError, errnoOf } from './error.ts';

/** Paths below a file tree, `/` but in tests. */
const SECURITYFS = 'sys/kernel/security';
const IMA_LIST = `${SECURITYFS}/ima/binary_runtime_measurements`;
const BOOT_LOG = `${SECURITYFS}/tpm0/binary_bios_measurements`;
const USERSPACE_LOG = 'run/log/systemd/tpm2-measure.log';

/** Where firmware has a place to leave its log: UEFI's configuration table, or an ACPI table. */
const HAND_OVER = ['sys/firmware/efi', 'sys/firmware/acpi/tables/TPM2'];

/** Firmware reserves far less (64 KiB is usual); bounds what a broken one makes us hold. */
const MAX_BOOT_LOG = 16 * 1024 * 1024;

/**
 * A growing log is sent in parts of at most this size; the next attestation asks from there on. The server takes 64 MiB
 * of evidence in one body: beside the part there has to be room for the quote and the other logs.
 */
export const MAX_PART = 48 * 1024 * 1024;

const CHUNK = 64 * 1024;

/** True where the kernel keeps a measurement list of its own: PCR 10 is then the kernel's, and the agent does not measure. */
export function kernelHasIma(root = '/'): boolean {
  return existsSync(join(root, IMA_LIST));
}

/**
 * The firmware's event log.
 * @throws {AgentError} `agent.log-unreadable`
 */
export function readBootLog(root = '/'): BootLogEvidence {
  const path = join(root, BOOT_LOG);
  const bytes = readFrom(path, 0, MAX_BOOT_LOG);
  if (bytes === undefined) return { kind: 'absent', reason: whyNoBootLog(root) };
  if (bytes.length === MAX_BOOT_LOG) throw unreadable(path, `it is longer than ${MAX_BOOT_LOG} bytes`);
  if (bytes.length === 0) return { kind: 'absent', reason: 'the firmware handed over an empty log' };
  return { kind: 'bytes', bytes };
}

/** The kernel's IMA list from a byte offset on. Read it after the quote: it then reaches at least what the quote covers. */
export function readImaList(offset: number, root = '/'): GrowingLogEvidence {
  return readGrowing(join(root, IMA_LIST), offset, () => whyNoIma(root));
}

/** systemd's log of what it measured (pcrextend, pcrphase), one JSON text a record. */
export function readUserspaceLog(offset: number, root = '/'): GrowingLogEvidence {
  return readGrowing(join(root, USERSPACE_LOG), offset, () => 'systemd measured nothing into the TPM in this boot');
}

/**
 * A part of a log that only grows.
 * @param end read no further than this byte, where part of a record may follow
 * @param whyAbsent the likely reason where the file is not there
 */
export function readGrowing(
  path: string,
  offset: number,
  whyAbsent: () => string,
  end = Number.POSITIVE_INFINITY,
): GrowingLogEvidence {
  const bytes = readFrom(path, offset, Math.max(0, Math.min(MAX_PART, end - offset)));
  return bytes === undefined ? { kind: 'absent', reason: whyAbsent() } : { kind: 'part', offset, bytes };
}

/** @returns undefined where there is no such file. Files of securityfs have no size: read to their end. */
function readFrom(path: string, offset: number, limit: number): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw unreadable(path, errnoOf(error) === 'EACCES' ? 'only root may read it' : String(error), error);
  }
  try {
    return readToEnd(fd, offset, limit);
  } catch (error) {
    throw unreadable(path, String(error), error);
  } finally {
    closeSync(fd);
  }
}

function readToEnd(fd: number, offset: number, limit: number): Uint8Array {
  const chunks: Buffer[] = [];
  let total = 0;
  while (total < limit) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK, limit - total));
    const length = readSync(fd, chunk, 0, chunk.length, offset + total);
    if (length === 0) break;
    chunks.push(chunk.subarray(0, length));
    total += length;
  }
  return Buffer.concat(chunks, total);
}

function unreadable(path: string, why: string, cause?: unknown): AgentError {
  const isRefused = errnoOf(cause) === 'EACCES' || errnoOf(cause) === 'EPERM';
  const advice = isRefused ? { advice: 'run the agent as root' } : {};
  return new AgentError('agent.log-unreadable', `${path} cannot be read: ${why}`, { ...advice, cause });
}

/** The most lasting reason first: what mounting would not mend. */
function whyNoIma(root: string): string {
  if (isBuiltIn('CONFIG_IMA', root) === false) return 'this kernel is built without IMA (CONFIG_IMA)';
  return whyNoSecurityfs(root) ?? 'this kernel has no IMA, or IMA is off';
}

/** The likely reason for which the kernel shows no firmware log, the most lasting first. */
export function whyNoBootLog(root = '/'): string {
  if (isBuiltIn('CONFIG_TCG_TPM', root) === false) return 'this kernel is built without TPM support (CONFIG_TCG_TPM)';
  if (!existsSync(join(root, 'sys/class/tpm/tpm0'))) return 'the kernel has found no TPM in this machine';
  const whyNot = whyNoSecurityfs(root);
  if (whyNot !== undefined) return whyNot;
  if (existsSync(join(root, dirname(BOOT_LOG)))) return 'only root may read it';
  if (!HAND_OVER.some((path) => existsSync(join(root, path))))
    return 'the firmware hands none over (no UEFI, no ACPI table TPM2)';
  return 'the boot loader did not hand the firmware log on to the kernel (GRUB without shim leaves it out)';
}

function whyNoSecurityfs(root: string): string | undefined {
  const mounts = readText(join(root, 'proc/self/mountinfo'))?.split('\n') ?? [];
  if (mounts.some((line) => line.includes(' /sys/kernel/security ') && line.includes(' - securityfs ')))
    return undefined;
  return isBuiltIn('CONFIG_SECURITYFS', root) === false
    ? 'this kernel is built without securityfs (CONFIG_SECURITYFS)'
    : 'securityfs is not mounted: mount -t securityfs securityfs /sys/kernel/security';
}

/** Undefined where the kernel's configuration is not to be had. A module counts as built in. */
function isBuiltIn(option: string, root: string): boolean | undefined {
  const config = readKernelConfig(root);
  return config === undefined ? undefined : config.includes(`\n${option}=`);
}

function readKernelConfig(root: string): string | undefined {
  try {
    return gunzipSync(readFileSync(join(root, 'proc/config.gz')), { maxOutputLength: 4 * 1024 * 1024 }).toString(
      'latin1',
    );
  } catch {
    return readText(join(root, 'boot', `config-${release()}`)); // where CONFIG_IKCONFIG_PROC is off, as in Debian
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
