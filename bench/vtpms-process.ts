/** A thousand software TPMs in this process, for `bench/vtpms.ts`: prints its figures as JSON. Needs --expose-gc. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { marshalCommand, TPM2_Startup, TpmClient } from '../src/tpm/index.ts';
import { certificateAuthority, endorse, inProcessTransport, SoftwareTpm } from '../src/vtpm/index.ts';
import { type Enrolled, enrol, quoteOf } from './vtpms-work.ts';

/** Bytes: what is alive, and what this process has to itself, V8's empty young generation (up to 134 MB) included. */
function memory(): { readonly live: number; readonly process: number } {
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  const [, pss = '0'] = /^Pss:\s+(\d+) kB/m.exec(readFileSync('/proc/self/smaps_rollup', 'latin1')) ?? [];
  return { live: heapUsed + external, process: Number(pss) * 1024 };
}

const [count = 0, rounds = 0] = process.argv.slice(2).map(Number);
const authority = mkdtempSync(join(tmpdir(), 'assay-bench-vtpms-'));
try {
  const ca = await certificateAuthority(authority);
  /** With a P-256 EK and its certificate; an RSA key would take most of the time to find. */
  const made = async (): Promise<SoftwareTpm> => {
    const tpm = SoftwareTpm.manufacture();
    tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
    await endorse(tpm, ca, ['p256']);
    return tpm;
  };
  await made(); // what is loaded once is not counted
  const before = memory();
  const clients: TpmClient[] = [];
  for (let i = 0; i < count; i++) {
    clients.push(new TpmClient(inProcessTransport(await made(), `TPM ${i}`)));
  }
  const after = memory();
  const idle = (after.process - before.process) / count;
  const live = (after.live - before.live) / count;

  const began = performance.now();
  const enrolled: Enrolled[] = [];
  for (const client of clients) enrolled.push(await enrol(client));
  const enrolments = (count / (performance.now() - began)) * 1000;
  const busy = (memory().process - before.process) / count;

  const start = performance.now();
  for (let round = 0; round < rounds; round++) for (const one of enrolled) await quoteOf(one);
  const quotes = ((count * rounds) / (performance.now() - start)) * 1000;
  process.stdout.write(JSON.stringify({ idle, live, busy, enrolments, quotes }));
} finally {
  rmSync(authority, { recursive: true, force: true });
}
