/**
 * Verification of measurement lists against a reference, and a re-attestation with nothing new; each beside a plain
 * baseline: one that parses entry by entry and looks paths up in a map of maps. CPU time, the median of several runs.
 */
import { hash } from 'node:crypto';
import { digest, toHex } from '../src/bytes/index.ts';
import {
  type CompiledReference,
  imaNgData,
  type ReferenceManifest,
  type TaggedDigest,
} from '../src/reference/index.ts';
import { requestFor, verify } from '../src/verify/index.ts';
import { Attestation, referenceOf } from '../test/fixtures/attestation.ts';
import { Machine } from '../test/fixtures/machine.ts';

const PATHS = 100_000;
const ENTRIES = 1_000_000;
const ROUNDS = 2000;
const RUNS = 5;
/** An ima-sig entry of an unsigned file has an empty third field. */
const EMPTY_FIELD = Buffer.alloc(4);

export async function run(): Promise<void> {
  const files = Array.from({ length: PATHS }, (_, i) => ({ path: pathOf(i), digests: [digestOf(i)] }));
  const machine = new Machine();
  const manifest: Partial<ReferenceManifest> = { files, boot: machine.bootReference() };
  const [compiling] = measured(() => referenceOf(manifest));
  report('compile 100k paths', compiling, 'once per reference');

  measure(machine, 'ima-ng', (i) => imaNgData(pathOf(i), digestOf(i)));
  const ng = benchList(machine, manifest, 'ima-ng', 'aim: 1 M/s');
  const allowed = new Map(files.map(({ path, digests }) => [path, new Set<string>(digests)]));
  const [naive, pcr] = measured(() => naively(machine.list, allowed), 3);
  if (pcr !== toHex(machine.pcrs[10] ?? Buffer.alloc(0))) throw new Error('the baseline replays wrongly');
  report('  baseline: map of paths', naive, `${rate(naive)}; ${(naive / ng).toFixed(2)} × as long`);

  const signing = new Machine();
  measure(signing, 'ima-sig', (i) => Buffer.concat([imaNgData(pathOf(i), digestOf(i)), EMPTY_FIELD]));
  benchList(signing, manifest, 'ima-sig', 'aim: 0.9 M/s');
  benchNothingNew(machine, referenceOf(manifest));
  report('  baseline: reference parsed anew', compiling, 'per attestation');
}

/** @returns the median in ms; the first run, with nothing warm and nothing remembered, is told beside it */
function benchList(machine: Machine, manifest: Partial<ReferenceManifest>, template: string, aim: string): number {
  const attestation = new Attestation(machine);
  const { enrolment, now } = attestation;
  const reference = referenceOf({ ...manifest, boot: machine.bootReference() });
  const nonce = attestation.nextNonce();
  const input = { evidence: attestation.ask(nonce), enrolment, reference, state: undefined, nonce, now };
  const [median, result, first] = measured(() => verify(input));
  if (result.verdict !== 'trusted' || result.measured !== ENTRIES + 1)
    throw new Error(JSON.stringify(result.findings[0]));
  report(`verify 1M ${template} entries`, median, `${rate(median)} (first run ${rate(first)}; ${aim})`);
  return median;
}

function benchNothingNew(machine: Machine, reference: CompiledReference): void {
  const attestation = new Attestation(machine);
  attestation.reference = reference;
  const { state } = attestation.attest();
  const rounds = Array.from({ length: ROUNDS }, () => {
    const nonce = attestation.nextNonce();
    const request = requestFor(state, attestation.enrolment, reference, attestation.now);
    return { nonce, evidence: machine.evidence(request, nonce) };
  });
  const again = { enrolment: attestation.enrolment, reference, state, now: attestation.now };
  const [nothingNew] = measured(() => {
    for (const round of rounds)
      if (verify({ ...again, ...round }).verdict !== 'trusted') throw new Error('not trusted');
  });
  report('re-attest, nothing new', nothingNew / ROUNDS, 'aim: 0.25 ms');
}

function pathOf(i: number): string {
  return `/usr/lib/x86_64-linux-gnu/package-${i % 1000}/module-${i}.so`;
}

function digestOf(i: number): TaggedDigest {
  return `sha256:${toHex(digest('sha256', Buffer.from(`content ${i}`)))}`;
}

/** Every file ten times over, in an order that is not the reference's. */
function measure(machine: Machine, template: string, dataOf: (file: number) => Buffer): void {
  const known = Array.from({ length: PATHS }, (_, i) => {
    const data = dataOf((i * 61_803) % PATHS);
    const head = Buffer.alloc(4 + 20 + 4 + template.length + 4);
    head.writeUInt32LE(10, 0);
    head.set(digest('sha1', data), 4);
    head.writeUInt32LE(template.length, 24);
    head.write(template, 28);
    head.writeUInt32LE(data.length, head.length - 4);
    return { entry: Buffer.concat([head, data]), hash: digest('sha256', data) };
  });
  const pcr = Buffer.alloc(64);
  pcr.set(machine.pcrs[10] ?? Buffer.alloc(0));
  const parts = [machine.list];
  for (let n = 0; n < ENTRIES; n++) {
    const file = known[n % PATHS];
    if (file === undefined) continue;
    parts.push(file.entry);
    pcr.set(file.hash, 32);
    pcr.write(hash('sha256', pcr, 'binary'), 0, 'latin1');
  }
  machine.list = Buffer.concat(parts);
  machine.pcrs[10] = pcr.subarray(0, 32);
}

/** What one would write first, with the fastest hash call: fields as strings, two look-ups, three hashes for each entry. */
function naively(list: Buffer, allowed: ReadonlyMap<string, ReadonlySet<string>>): string {
  let pcr: Buffer = Buffer.alloc(32);
  let unknown = 0;
  for (let at = 0; at < list.length; ) {
    const stored = list.toString('hex', at + 4, at + 24);
    const start = at + 28 + list.readUInt32LE(at + 24) + 4;
    const data = list.subarray(start, start + list.readUInt32LE(start - 4));
    if (hash('sha1', data) !== stored) throw new Error('bad template digest');
    pcr = hash('sha256', Buffer.concat([pcr, hash('sha256', data, 'buffer')]), 'buffer');
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

/** CPU milliseconds of `work`. */
function measured<T>(work: () => T, runs = RUNS): [median: number, result: T, first: number] {
  const times: number[] = [];
  const once = () => {
    const start = process.cpuUsage();
    const result = work();
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / 1000);
    return result;
  };
  let result = once();
  while (times.length < runs) result = once();
  const [first = 0] = times;
  return [times.sort((a, b) => a - b)[runs >> 1] ?? 0, result, first];
}

function rate(milliseconds: number): string {
  return `${(ENTRIES / milliseconds / 1000).toFixed(2)} M/s`;
}

function report(what: string, milliseconds: number, note: string): void {
  const time = milliseconds < 10 ? milliseconds.toFixed(3) : milliseconds.toFixed(0);
  process.stdout.write(`${what.padEnd(36)} ${time.padStart(8)} ms CPU   ${note}\n`);
}

if (import.meta.main) await run();
