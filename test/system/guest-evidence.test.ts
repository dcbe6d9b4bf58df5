/**
 * A whole machine attests: Assay's agent in a guest under Debian's kernel and OVMF, its vTPM under a CA of the test's own,
 * and the verifier outside. The machine is trusted as it is, and is not once a file or its command line was changed.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { toHex } from '../../src/bytes/index.ts';
import type { EvidenceRequest } from '../../src/evidence/index.ts';
import { type CompiledReference, compileReference, referenceFromList } from '../../src/reference/index.ts';
import {
  decode,
  encode,
  endorsementChains,
  endorsementKeyOf,
  makeCredential,
  objectName,
  parseCertificate,
  parsePemBundle,
  TPMT_PUBLIC,
} from '../../src/tpm/index.ts';
import {
  type AttestationResult,
  checkAkPublic,
  type Enrolment,
  type HostState,
  verify,
} from '../../src/verify/index.ts';
import { attest, attestationFiles, evidenceOf, type GuestChallenge, issuerOf } from '../guest/attestation.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import { keepList } from '../guest/lists.ts';
import { IN, OUT, run, type Step } from '../guest/script.ts';
import { GUEST_PROJECT, nodeTree, program, projectTree } from '../guest/tree.ts';
import { requires, requiresPath } from './requirements.ts';
import { assay } from './up/assay.ts';

const { verifyChain } = await endorsementChains();

const programs = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');

const GREETING = '/usr/bin/greet';
const AS_SHIPPED = 'echo hello';
const scriptText = (body: string): string => `#!/bin/sh\n${body}\n`;
const digestOf = (body: string): string => `sha256:${createHash('sha256').update(scriptText(body)).digest('hex')}`;

const commandLine = ['ima_policy=tcb', 'ima_hash=sha256'];
const greetAndAttest: readonly Step[] = [run(GREETING), ...attest];

/** The command of the README, in the guest. */
const collectByCommand = (nonce: string): Step =>
  run(
    ...['node', `${GUEST_PROJECT}/src/cli/main.ts`, 'evidence', 'collect', '-o', `${OUT}/collected`],
    ...['--ak-public', `${OUT}/ak.pub`, '--pcrs', WHOLE_BOOT.selection.pcrs.join(), '--nonce', nonce, '--data', IN],
  );

const BOOT_PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const WHOLE_BOOT = {
  selection: { bank: 'sha256', pcrs: [...BOOT_PCRS, 10] },
  imaOffset: 0,
  bootLog: 'bytes',
  userspaceLogOffset: 0,
} as const satisfies EvidenceRequest;

const challenge = (request: EvidenceRequest = WHOLE_BOOT): GuestChallenge => ({
  nonce: toHex(randomBytes(32)),
  request,
});

describe('a guest that attests', { skip: programs.skip || kernel.skip, timeout: 600_000 }, () => {
  let guest: Guest;
  let first: Boot;
  let enrolment: Enrolment;
  let reference: CompiledReference;
  let state: HostState | undefined;
  const firstChallenge = challenge();

  before(async () => {
    const tree = { ...nodeTree(), ...projectTree(), [GREETING]: program(AS_SHIPPED) };
    guest = await makeGuest({ kernel: 'debian', tree, banks: ['sha256', 'sha384'], diskMegabytes: 400 });
    const files = attestationFiles({ evidence: firstChallenge });
    const script = [...greetAndAttest, collectByCommand(firstChallenge.nonce), keepList('list')];
    first = await guest.boot({ commandLine, script, files });
    const { selection } = WHOLE_BOOT;
    enrolment = { hostId: 'guest', akPublic: first.file('ak'), selection, measurer: 'kernel', assurance: 'swtpm' };
    reference = compileReference(manifestOf(first));
  });
  after(() => guest?.[Symbol.asyncDispose]());

  const judge = (boot: Boot, name: string, { nonce }: GuestChallenge, against = reference): AttestationResult =>
    verify({
      evidence: evidenceOf(boot, name),
      enrolment,
      reference: against,
      state,
      nonce: Buffer.from(nonce, 'hex'),
      now: Date.now(),
    });

  const codesOf = ({ findings }: AttestationResult): string[] => findings.map(({ code }) => code);

  test("its EK certificate leads to the vTPM's CA and its AK is fit to attest", () => {
    const certificate = parseCertificate(first.file('ek-0.der'));
    const roots = parsePemBundle(readFileSync(guest.caRoot, 'utf8'));
    const intermediates = parsePemBundle(issuerOf(guest.caRoot));
    assert.equal(verifyChain({ certificate, intermediates, roots, now: Date.now() }).length, 3);
    assert.deepEqual(encode(TPMT_PUBLIC, endorsementKeyOf(certificate).area), new Uint8Array(first.file('ek')));
    assert.deepEqual(checkAkPublic(first.file('ak')), []);
  });

  test('its evidence verifies, and it is trusted by a reference that has its boot and files', () => {
    const result = judge(first, 'evidence', firstChallenge);
    assert.deepEqual(result.findings, []);
    assert.deepEqual([result.verdict, result.verified, result.assurance], ['trusted', true, 'swtpm']);
    assert.ok(result.measured > 100, `${result.measured} entries`);
    state = result.state;
  });

  test('a reference without its boot or made only from itself is worth a warning', () => {
    const { boot, ...withoutBoot } = manifestOf(first);
    assert.ok(boot);
    const result = judge(first, 'evidence', firstChallenge, compileReference({ ...withoutBoot, self: true }));
    assert.equal(result.verdict, 'warning');
    assert.deepEqual(codesOf(result).sort(), ['boot.no-reference', 'reference.self']);
  });

  test('after a file was changed it is untrusted, and the file is named; the new boot is noticed; the AK is in its TPM', async () => {
    const tampered = 'echo tampered';
    await guest.replaceFile(GREETING, scriptText(tampered));
    const continued = challenge({ ...WHOLE_BOOT, bootLog: 'digest', imaOffset: first.file('list').length });
    const whole = challenge();
    const secret = randomBytes(32);
    const ek = endorsementKeyOf(parseCertificate(first.file('ek-0.der'))).area;
    const credential = makeCredential(ek, objectName(decode(TPMT_PUBLIC, enrolment.akPublic)), secret);
    const files = attestationFiles({ continued, whole }, first, credential);
    const second = await guest.boot({ commandLine, script: greetAndAttest, files });
    assert.match(second.console, /tampered/);
    assert.deepEqual(second.file('credential'), secret);

    const asked = judge(second, 'continued', continued);
    assert.deepEqual([asked.verdict, codesOf(asked)], [undefined, ['evidence.more-needed']]);
    const result = judge(second, 'whole', whole);
    assert.deepEqual([result.verdict, result.verified], ['untrusted', true]);
    const [changed, ...others] = result.findings;
    assert.deepEqual(others, []);
    assert.deepEqual([changed?.code, changed?.subject], ['file.changed', GREETING]);
    assert.deepEqual([changed?.expected, changed?.found], [digestOf(AS_SHIPPED), digestOf(tampered)]);
    state = result.state;
  });

  test('with another kernel command line PCR 9 is named; the commands of the README say the same', async () => {
    await guest.replaceFile(GREETING, scriptText(AS_SHIPPED));
    const { nonce } = challenge();
    const script = [run(GREETING), collectByCommand(nonce)];
    const third = await guest.boot({ commandLine: [...commandLine, 'lockdown=none'], script });
    assert.deepEqual(await verifyByCommand(first, firstChallenge.nonce), {
      status: 0,
      verdict: 'warning',
      found: ['ima.user-space measurer'],
    });
    const vouched = await verifyByCommand(first, firstChallenge.nonce, '--measurer', 'kernel');
    assert.deepEqual(vouched, { status: 0, verdict: 'trusted', found: [] });
    assert.deepEqual(await verifyByCommand(third, nonce), {
      status: 1,
      verdict: 'untrusted',
      found: ['boot.pcr-unexpected PCR 9', 'ima.user-space measurer'],
    });
    assert.deepEqual(await verifyByComponents(first, firstChallenge.nonce), {
      status: 0,
      verdict: 'trusted',
      named: [],
    });
    assert.deepEqual(await verifyByComponents(third, nonce), {
      status: 1,
      verdict: 'untrusted',
      named: ["boot.component-changed Component 'command line (PCR 9)'"],
    });
    const foreign = await verifyByCommand(first, nonce);
    assert.deepEqual([foreign.status, foreign.found], [1, ['quote.nonce quote', 'quote.nonce evidence']]);
  });

  /** `assay verify` over what `collectByCommand` left. */
  async function verifyByCommand(boot: Boot, nonce: string, ...options: readonly string[]) {
    const folder = mkdtempSync(join(tmpdir(), 'assay-guest-evidence-'));
    try {
      const place = (name: string): string => join(folder, name);
      for (const name of ['collected', 'ak.pub']) writeFileSync(place(name), boot.file(name));
      writeFileSync(place('reference.json'), JSON.stringify(reference.manifest));
      const files = ['--ak', place('ak.pub'), '--reference', place('reference.json')];
      const args = ['verify', place('collected'), ...files, '--nonce', nonce, '--json', ...options];
      const { status, stdout } = await assay(args);
      const { verdict, findings }: Pick<AttestationResult, 'verdict' | 'findings'> = JSON.parse(stdout);
      return { status, verdict, found: findings.map(({ code, subject }) => `${code} ${subject}`) };
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** As above, with the boot section that `assay boot reference` makes of the first boot's log. */
  async function verifyByComponents(boot: Boot, nonce: string) {
    const folder = mkdtempSync(join(tmpdir(), 'assay-guest-components-'));
    try {
      const place = (name: string): string => join(folder, name);
      const { bootLog } = evidenceOf(first, 'evidence');
      assert.equal(bootLog.kind, 'bytes');
      writeFileSync(place('log'), bootLog.kind === 'bytes' ? bootLog.bytes : '');
      writeFileSync(place('files.json'), JSON.stringify(reference.manifest));
      const made = [
        'boot',
        'reference',
        place('log'),
        '--manifest',
        place('files.json'),
        '-o',
        place('reference.json'),
      ];
      assert.equal((await assay(made)).status, 0);
      for (const name of ['collected', 'ak.pub']) writeFileSync(place(name), boot.file(name));
      const files = ['--ak', place('ak.pub'), '--reference', place('reference.json'), '--measurer', 'kernel'];
      const { status, stdout } = await assay(['verify', place('collected'), ...files, '--nonce', nonce, '--json']);
      const { verdict, findings }: Pick<AttestationResult, 'verdict' | 'findings'> = JSON.parse(stdout);
      return { status, verdict, named: findings.map(({ code, message }) => `${code} ${message.split(',')[0]}`) };
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** What an image's builder makes of a boot that he watched. */
  function manifestOf(boot: Boot) {
    const { manifest } = referenceFromList(boot.file('list'), { name: 'guest', created: '2026-01-01T00:00:00Z' });
    const { quote } = evidenceOf(boot, 'evidence');
    const pcrs = BOOT_PCRS.map((pcr) => [pcr, [toHex(quote.pcrs.sha256?.[pcr] ?? new Uint8Array())]] as const);
    return { ...manifest, self: false, boot: { pcrs: { sha256: Object.fromEntries(pcrs) }, events: [] } };
  }
});
