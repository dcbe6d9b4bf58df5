/**
 * Verification of a measurement list against a reference, and a re-attestation with nothing new; each beside a plain
 * baseline: one that parses entry by entry and looks paths up in a map of maps.
 */
import { createHash } from 'node:crypto';
import { digest, toHex } from '../src/bytes/index.ts';
import { imaNgData, type ReferenceManifest, type TaggedDigest } from '../src/reference/index.ts';
import { requestFor, verify } from '../src/verify/index.ts';
import { Attestation, referenceOf } from '../test/fixtures/attestation.ts';
import { Machine } from '../test/fixtures/machine.ts';

const PATHS = 100_000;
const ENTRIES = 1_000_000;
const ROUNDS = 2000;

export async function run(): Promise<void> {
  const files = Array.from({ length: PATHS }, (_, i) => ({ path: pathOf(i), digests: [digestOf(i)] }));
  const machine = new Machine();
  machine.list = Buffer.concat([machine.list, ...entries(machine)]);
  const manifest: Partial<ReferenceManifest> = { files, boot: machine.bootReference() };
  const [compiling, reference] = timed(() => referenceOf(manifest));
  report('compile 100k paths', compiling, 'once per reference');

  const attestation = new Attestation(machine);
  attestation.reference = reference;
  const nonce = attestation.nextNonce();
  const evidence = attestation.ask(nonce);
  const input = {
    evidence,
    enrolment: attestation.enrolment,
    reference,
    state: undefined,
    nonce,
    now: attestation.now,
  };
  const [whole, result] = timed(() => verify(input));
  if (result.verdict !== 'trusted' || result.measured !== ENTRIES + 1)
    throw new Error(JSON.stringify(result.findings[0]));
  report('verify 1M ima-ng entries', whole, rate(ENTRIES, whole));
  const [naive, pcr] = timed(() =>
    naively(machine.list, new Map(files.map(({ path, digests }) => [path, new Set(digests)]))),
  );
  if (pcr !== toHex(machine.pcrs[10] ?? Buffer.alloc(0))) throw new Error('the baseline replays wrongly');
  report('  baseline: map of paths', naive, `${rate(ENTRIES, naive)}; ${(naive / whole).toFixed(2)} × as long`);

  attestation.state = result.state;
  const rounds = Array.from({ length: ROUNDS }, () => {
    const fresh = attestation.nextNonce();
    const request = requestFor(attestation.state, attestation.enrolment, reference, attestation.now);
    return { nonce: fresh, evidence: machine.evidence(request, fresh) };
  });
  const again = { ...input, state: result.state };
  for (const round of rounds.slice(0, 200)) verify({ ...again, ...round });
  const [nothingNew] = timed(() => {
    for (const round of rounds)
      if (verify({ ...again, ...round }).verdict !== 'trusted') throw new Error('not trusted');
  });
  report('re-attest, nothing new', nothingNew / ROUNDS, 'aim: 0.25 ms');
  const [reparsing] = timed(() => referenceOf(JSON.parse(JSON.stringify(manifest))));
  report('  baseline: reference parsed anew', reparsing, 'per attestation');
}

function pathOf(i: number): string {
  return `/usr/lib/x86_64-linux-gnu/package-${i % 1000}/module-${i}.so`;
}

function digestOf(i: number): TaggedDigest {
  return `sha256:${toHex(digest('sha256', Buffer.from(`content ${i}`)))}`;
}

function entries(machine: Machine): Buffer[] {
  const head = Buffer.alloc(4 + 20 + 4 + 6 + 4);
  head.writeUInt32LE(10, 0);
  head.writeUInt32LE(6, 24);
  head.write('ima-ng', 28);
  return Array.from({ length: ENTRIES }, (_, n) => {
    const data = imaNgData(pathOf(n % PATHS), digestOf(n % PATHS));
    machine.extend(10, digest('sha256', data));
    const entry = Buffer.concat([head, data]);
    entry.set(digest('sha1', data), 4);
    entry.writeUInt32LE(data.length, head.length - 4);
    return entry;
  });
}

/** What one would write first: fields as strings, two look-ups, two hashes and an extend for each entry. */
function naively(list: Buffer, allowed: ReadonlyMap<string, ReadonlySet<string>>): string {
  let pcr: Buffer = Buffer.alloc(32);
  let unknown = 0;
  for (let at = 0; at < list.length; ) {
    const stored = list.subarray(at + 4, at + 24);
    const start = at + 28 + list.readUInt32LE(at + 24) + 4;
    const data = list.subarray(start, start + list.readUInt32LE(start - 4));
    if (!createHash('sha1').update(data).digest().equals(stored)) throw new Error('bad template digest');
    pcr = createHash('sha256').update(pcr).update(createHash('sha256').update(data).digest()).digest();
    const digestEnd = 4 + data.readUInt32LE(0);
    const nul = data.indexOf(0, 4);
    const tagged = `${data.toString('latin1', 4, nul)}${data.toString('hex', nul + 1, digestEnd)}`;
    const path = data.toString('utf8', digestEnd + 4, data.length - 1);
    if (allowed.get(path)?.has(tagged) !== true) unknown += 1;
    at = start + data.length;
  }
  if (unknown !== 1) throw new Error(`${unknown} unknown entries, where boot_aggregate alone was meant`);
  return toHex(pcr);
}

function timed<T>(work: () => T): [milliseconds: number, result: T] {
  const start = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(start);
  return [(user + system) / 1000, result];
}

function rate(count: number, milliseconds: number): string {
  return `${(count / milliseconds / 1000).toFixed(2)} M/s`;
}

function report(what: string, milliseconds: number, note: string): void {
  const time = milliseconds < 10 ? milliseconds.toFixed(3) : milliseconds.toFixed(0);
  process.stdout.write(`${what.padEnd(36)} ${time.padStart(8)} ms CPU   ${note}\n`);
}

if (import.meta.main) await run();
