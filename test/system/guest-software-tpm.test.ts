/**
 * A whole machine whose TPM is ours: QEMU passes its data channel, OVMF starts it and measures into it, Debian's kernel and
 * Assay's agent use it. The measured boot replays to its PCRs, and it attests; what survives power is in the TPM's folder.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadIdentity } from '../../src/agent/index.ts';
import { parseBootLog, replayBootLog } from '../../src/boot/index.ts';
import { toHex } from '../../src/bytes/index.ts';
import type { EvidenceRequest } from '../../src/evidence/index.ts';
import {
  activateCredential,
  decode,
  encode,
  endorsementChains,
  endorsementKeyOf,
  makeCredential,
  objectName,
  parseCertificate,
  parsePemBundle,
  TPM2_Startup,
  TPMT_PUBLIC,
  TpmClient,
} from '../../src/tpm/index.ts';
import { checkAkPublic, verify } from '../../src/verify/index.ts';
import { inProcessTransport, PoweredTpm, StateFolder } from '../../src/vtpm/index.ts';
import { attest, attestationFiles, evidenceOf, type GuestChallenge } from '../guest/attestation.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import { keepBootLog } from '../guest/lists.ts';
import { keepPcrs, parsePcrs } from '../guest/pcrs.ts';
import { nodeTree, projectTree } from '../guest/tree.ts';
import { requires, requiresPath } from './requirements.ts';

const { verifyChain } = await endorsementChains();
const programs = requires('qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');

const BANKS = ['sha256', 'sha384'] as const;
const REQUEST = {
  selection: { bank: 'sha256', pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] },
  imaOffset: 0,
  bootLog: 'bytes',
  userspaceLogOffset: 0,
} as const satisfies EvidenceRequest;

const challenge = (): GuestChallenge => ({ nonce: toHex(randomBytes(32)), request: REQUEST });

describe('a guest with the software TPM', { skip: programs.skip || kernel.skip, timeout: 600_000 }, () => {
  let guest: Guest;
  let first: Boot;
  const asked = challenge();
  const commandLine = ['ima_policy=tcb', 'ima_hash=sha256'];
  const script = [...attest, keepBootLog('log'), keepPcrs('pcrs', BANKS)];

  before(async () => {
    guest = await makeGuest({
      kernel: 'debian',
      tree: { ...nodeTree(), ...projectTree() },
      banks: BANKS,
      diskMegabytes: 400,
      tpm: 'software',
    });
    first = await guest.boot({ commandLine, script, files: attestationFiles({ evidence: asked }) });
  });
  after(() => guest?.[Symbol.asyncDispose]());

  const verified = (boot: Boot, name: string, { nonce }: GuestChallenge) =>
    verify({
      evidence: evidenceOf(boot, name),
      enrolment: {
        hostId: 'guest',
        akPublic: first.file('ak'),
        selection: REQUEST.selection,
        measurer: 'kernel',
        assurance: 'demonstration',
      },
      reference: undefined,
      state: undefined,
      nonce: Buffer.from(nonce, 'hex'),
      now: Date.now(),
    });

  test('its measured boot replays to its PCRs, in every bank', () => {
    const replayed = replayBootLog(parseBootLog(first.file('log')));
    const pcrs = parsePcrs(first.file('pcrs').toString());
    for (const bank of BANKS) {
      for (const pcr of [0, 1, 2, 3, 4, 5, 6, 7, 9]) {
        assert.ok(replayed[bank]?.[pcr] !== undefined, `${bank} PCR ${pcr} is in the log`);
        assert.equal(pcrs[bank]?.[pcr], replayed[bank]?.[pcr], `${bank} PCR ${pcr}`);
      }
      assert.equal(pcrs[bank]?.[17], 'ff'.repeat(bank === 'sha256' ? 32 : 48));
    }
  });

  test('it attests: a CA that says demonstration certified its EK, its AK is fit, its evidence verifies', () => {
    const certificate = parseCertificate(first.file('ek-0.der'));
    const roots = parsePemBundle(readFileSync(guest.caRoot, 'utf8'));
    assert.match(roots[0]?.subject ?? '', /demonstration CA - not a hardware TPM/);
    verifyChain({ certificate, intermediates: [], roots, now: Date.now() });
    assert.deepEqual(encode(TPMT_PUBLIC, endorsementKeyOf(certificate).area), new Uint8Array(first.file('ek')));
    assert.deepEqual(checkAkPublic(first.file('ak')), []);
    const result = verified(first, 'evidence', asked);
    assert.deepEqual([result.verified, result.assurance], [true, 'demonstration']);
    assert.ok(result.measured > 100, `${result.measured} entries`);
  });

  test('what survives power is in its folder: the next start counts, and the AK opens a credential made for it', async () => {
    const tpm = new PoweredTpm(await StateFolder.open(guest.tpmState));
    await tpm.init(false);
    const client = new TpmClient(inProcessTransport(tpm, 'the guest’s TPM'));
    await client.execute(TPM2_Startup, { startupType: 'clear' });
    const secret = randomBytes(32);
    const endorsement = endorsementKeyOf(parseCertificate(first.file('ek-0.der'))).area;
    const credential = makeCredential(endorsement, objectName(decode(TPMT_PUBLIC, first.file('ak'))), secret);
    const data = mkdtempSync(join(tmpdir(), 'assay-guest-ak-'));
    try {
      const { folder } = await loadIdentity(client, data); // which the TPM names
      for (const name of ['ak.public', 'ak.private']) writeFileSync(join(folder, name), first.file(name));
      const { ek, ak } = await loadIdentity(client, data);
      assert.deepEqual(Buffer.from(await activateCredential(client, ek, ak, credential)), secret);
    } finally {
      await tpm.close();
      rmSync(data, { recursive: true });
    }
  });
});
