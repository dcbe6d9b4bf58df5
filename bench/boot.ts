/** An event log of 120 events to PCRs, in process, beside tpm2_eventlog as a process; a fleet's boots compared with a reference. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeLog, parseBootLog, replayBootLog } from '../src/boot/index.ts';
import { ByteWriter, digest } from '../src/bytes/index.ts';
import { judgeComponents, mergeBoots } from '../src/reference/index.ts';
import { agileLog, specIdPayload } from '../test/fixtures/boot-logs.ts';

const EVENTS = 120;
const ROUNDS = 2000;
const PEER_ROUNDS = 20;
const BOOTS = 10_000;

const BANKS = [
  [0x0004, 'sha1', 20],
  [0x000b, 'sha256', 32],
  [0x000c, 'sha384', 48],
  [0x000d, 'sha512', 64],
] as const;

/** Every bank of a TPM, and the payloads of a real boot: variables, a dbx of 370 hashes, boot options, images, GRUB's text. */
function makeLog(): Buffer {
  const event = (pcr: number, type: number, data: Buffer) => ({
    pcr,
    type,
    digests: BANKS.map(([tpmAlg, bank]) => [tpmAlg, digest(bank, data)] as const),
    data,
  });
  const kinds = [
    () => event(0, 0x80000008, Buffer.alloc(16, 1)),
    () => event(7, 0x80000001, variable('SecureBoot', Buffer.of(1))),
    () => event(1, 0x80000002, variable('Boot0001', LOAD_OPTION)),
    () =>
      event(4, 0x80000003, Buffer.concat([Buffer.alloc(24), Buffer.from([PATH.length, 0, 0, 0, 0, 0, 0, 0]), PATH])),
    () => event(8, 0x0d, Buffer.from('grub_cmd: linux /vmlinuz root=/dev/sda1 ro quiet\0')),
    () => event(9, 0x0d, Buffer.from('(hd0,gpt2)/boot/vmlinuz\0')),
    () => event(5, 0x80000007, Buffer.from('Exit Boot Services Invocation')),
    () => event(3, 0x04, Buffer.alloc(4)),
  ];
  const events = Array.from({ length: EVENTS - 2 }, (_, i) => kinds[i % kinds.length]).flatMap(
    (make) => make?.() ?? [],
  );
  const dbx = event(7, 0x80000001, variable('dbx', hashes(370)));
  return agileLog(specIdPayload(BANKS.map(([tpmAlg, , size]) => [tpmAlg, size])), [dbx, ...events]);
}

/** PciRoot(0x0)/Pci(0x1F,0x2). */
const PATH = Buffer.from('02010c00d041030a0000000001010600021f7fff0400', 'hex');
const LOAD_OPTION = Buffer.concat([Buffer.from('010000001600', 'hex'), Buffer.from('Debian\0', 'utf16le'), PATH]);

const GLOBAL_VARIABLE = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex');
const IMAGE_SECURITY_DATABASE = Buffer.from('cbb219d73a3d9645a3bcdad00e67656f', 'hex');

function variable(name: string, data: Buffer): Buffer {
  const vendor = name === 'dbx' ? IMAGE_SECURITY_DATABASE : GLOBAL_VARIABLE;
  const writer = new ByteWriter().bytes(vendor).u64le(BigInt(name.length)).u64le(BigInt(data.length));
  return Buffer.from(writer.bytes(Buffer.from(name, 'utf16le')).bytes(data).finish());
}

function hashes(count: number): Buffer {
  const type = Buffer.from('2616c4c14c509240aca941f936934328', 'hex');
  const writer = new ByteWriter()
    .bytes(type)
    .u32le(28 + count * 48)
    .u32le(0)
    .u32le(48);
  for (let i = 0; i < count; i++) writer.bytes(Buffer.alloc(48, i));
  return Buffer.from(writer.finish());
}

function medianMs(rounds: number, work: () => void): number {
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  }).sort((a, b) => a - b);
  return times[rounds >> 1] ?? 0;
}

export async function run(): Promise<void> {
  const log = makeLog();
  const cold = medianMs(1, () => replayBootLog(parseBootLog(log)));
  const warm = medianMs(ROUNDS, () => replayBootLog(parseBootLog(log)));
  const ours = `${warm.toFixed(3)} ms in process (first time ${cold.toFixed(2)} ms; aim 1 ms)`;
  console.log(`boot log of ${EVENTS} events to PCRs, four banks: ${ours}; baseline: ${peer(log)}`);
  const decoded = medianMs(ROUNDS, () => {
    const read = parseBootLog(log);
    decodeLog(read);
    replayBootLog(read);
  });
  console.log(`the same, decoded too: ${decoded.toFixed(3)} ms (aim 1 ms)`);
  const published = publishedLog();
  if (published !== undefined) {
    const both = medianMs(ROUNDS, () => {
      const read = parseBootLog(published);
      decodeLog(read);
      replayBootLog(read);
    });
    console.log(
      `a real boot's log of 112 events in three banks, with its certificates: ${both.toFixed(3)} ms (aim 1 ms)`,
    );
    const seconds = (fleetMs(published) / 1000).toFixed(2);
    console.log(`${BOOTS} logs of a real boot read and compared with a reference: ${seconds} s (aim 10 s)`);
  }
  console.log(
    `${BOOTS} such logs read and compared with a reference: ${(fleetMs(log) / 1000).toFixed(2)} s (aim 10 s)`,
  );
}

/** A cloud machine's, shim and GRUB, 112 events: keys with certificates, boot options, commands. */
function publishedLog(): Buffer | undefined {
  const corpus = process.env.ASSAY_CORPUS;
  return corpus === undefined ? undefined : readFileSync(join(corpus, 'event-logs/event-gce-ubuntu-2104-log.bin'));
}

function fleetMs(log: Buffer): number {
  const reference = mergeBoots([parseBootLog(log)]);
  const proven = new Set(reference.map(({ pcr }) => pcr));
  const start = performance.now();
  for (let boot = 0; boot < BOOTS; boot++) {
    const differences = judgeComponents(reference, parseBootLog(log), 'sha256', proven);
    if (differences.length > 0) throw new Error('the boot that the reference was made from differs from it');
  }
  return performance.now() - start;
}

function peer(log: Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'assay-bench-boot-'));
  try {
    const path = join(folder, 'log');
    writeFileSync(path, log);
    const probe = spawnSync('tpm2_eventlog', [path]);
    if (probe.status !== 0) return 'tpm2_eventlog is not installed (Debian package tpm2-tools)';
    return `tpm2_eventlog ${medianMs(PEER_ROUNDS, () => spawnSync('tpm2_eventlog', [path])).toFixed(1)} ms a process`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) await run();
