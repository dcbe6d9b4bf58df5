import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digest, digestInfo } from '../../bytes/index.ts';
import { encodeEntry } from '../../ima/index.ts';
import { encode, extendPcr, TPMT_PUBLIC, TpmClient } from '../../tpm/index.ts';
import { verify } from '../../verify/index.ts';
import { EmbeddedTpm, inProcessTransport } from '../../vtpm/index.ts';
import { encodeEntry as encodeOwnEntry } from '../measure/entry.ts';
import { collectEvidence } from './attester.ts';
import { loadIdentity } from './identity.ts';
import type { LogSources } from './log-sources.ts';

const SELECTION = { bank: 'sha256', pcrs: [0, 7, 10] } as const;
const REQUEST = { selection: SELECTION, imaOffset: 0, bootLog: 'bytes', userspaceLogOffset: 0 } as const;
const BANKS = ['sha1', 'sha256', 'sha384'] as const;

/** A kernel that extends PCR 10 before every command that anyone else sends, as one does while programs start. */
async function busyHost(t: TestContext, options: { listed?: boolean; partSize?: number } = {}) {
  const { listed = true, partSize = Number.POSITIVE_INFINITY } = options;
  const folder = mkdtempSync(join(tmpdir(), 'assay-busy-'));
  const embedded = await EmbeddedTpm.open(join(folder, 'tpm'), { durable: false });
  const kernel = new TpmClient(inProcessTransport(embedded, 'kernel'));
  let list = Buffer.alloc(0);
  let isBusy = false;
  const measure = async (violation = false) => {
    const path = Buffer.from(`/usr/bin/${list.length}`);
    const own = encodeOwnEntry({ path, sha256: digest('sha256', path) });
    const entry = violation
      ? encodeEntry({ pcr: 10, template: 'ima-ng', fields: [Buffer.from('sha1:\0'), Buffer.from('/x\0')], violation })
      : own;
    // The kernel lists first and extends then (ima_queue.c:ima_add_template_entry).
    if (listed) list = Buffer.concat([list, entry.bytes]);
    const digests = BANKS.map((hashAlg) => {
      const value = violation ? Buffer.alloc(digestInfo(hashAlg).size, 0xff) : digest(hashAlg, entry.templateData);
      return { hashAlg, digest: value };
    });
    await extendPcr(kernel, 10, digests);
  };
  const tpm = new TpmClient({
    description: 'busy',
    async execute(command) {
      if (isBusy) {
        for (const violation of [false, true, false]) await measure(violation);
      }
      return embedded.execute(command);
    },
    close: () => embedded.close(),
  });
  t.after(async () => {
    await tpm.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const identity = await loadIdentity(tpm, folder);
  const sources: LogSources = {
    measurer: 'kernel',
    whileStill: (work) => work(),
    bootLog: async () => ({ kind: 'absent', reason: 'no firmware' }),
    imaLog: async (offset) => ({ kind: 'part', offset, bytes: list.subarray(offset, offset + partSize) }),
    userspaceLog: async () => ({ kind: 'absent', reason: 'no systemd' }),
    observations: () => [],
  };
  const attester = { tpm, akHandle: identity.ak.handle, sources };
  const enrolment = {
    hostId: 'host',
    akPublic: encode(TPMT_PUBLIC, identity.ak.area),
    selection: SELECTION,
    measurer: 'kernel',
    assurance: 'demonstration',
  } as const;
  return {
    measure,
    async collect() {
      isBusy = true;
      const nonce = randomBytes(32);
      const evidence = await collectEvidence(attester, nonce, REQUEST).finally(() => {
        isBusy = false;
      });
      return verify({ evidence, enrolment, reference: undefined, state: undefined, nonce, now: Date.now() });
    },
  };
}

test('a kernel that measures before every command gets a quote with its values, out of its own list', async (t) => {
  for (const before of [0, 1, 30]) {
    const host = await busyHost(t);
    for (let i = 0; i < before; i++) await host.measure();
    const { verified, findings } = await host.collect();
    assert.deepEqual([verified, findings.filter(({ code }) => /^quote\.|behind/.test(code))], [true, []]);
  }
});

test('a list that comes in parts is followed through them, wherever a part ends', async (t) => {
  for (const partSize of [300, 1000]) {
    const host = await busyHost(t, { partSize });
    for (let i = 0; i < 20; i++) await host.measure();
    // The verifier gets one part and asks for the next: only the quote is looked at here.
    const { findings } = await host.collect();
    assert.deepEqual(
      findings.filter(({ code }) => code.startsWith('quote.')),
      [],
    );
  }
});

test('values that nothing explains are an error that says so, and are not sent', async (t) => {
  const host = await busyHost(t, { listed: false });
  await assert.rejects(host.collect(), { code: 'agent.pcrs-moving', exitCode: 3 });
});
