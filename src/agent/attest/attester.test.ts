import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digest } from '../../bytes/index.ts';
import { encode, TPMT_PUBLIC, TpmClient } from '../../tpm/index.ts';
import { verify } from '../../verify/index.ts';
import { EmbeddedTpm, inProcessTransport } from '../../vtpm/index.ts';
import { MeasurementLog } from '../measure/measurement-log.ts';
import { collectEvidence } from './attester.ts';
import { loadIdentity } from './identity.ts';
import { userSpaceSources } from './log-sources.ts';
import { tpmExtender } from './tpm-extender.ts';

const SELECTION = { bank: 'sha256', pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] } as const;
const REQUEST = { selection: SELECTION, imaOffset: 0, bootLog: 'bytes', userspaceLogOffset: 0 } as const;

test('a quote that is made while many files are being listed verifies, with the list', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-attester-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const embedded = await EmbeddedTpm.open(join(folder, 'tpm'), { durable: false });
  const tpm = new TpmClient(inProcessTransport(embedded, 'test', () => embedded.close()));
  const identity = await loadIdentity(tpm, folder);
  let extending = Promise.withResolvers<void>();
  const extender = tpmExtender(tpm, 'software');
  const log = await MeasurementLog.open(join(folder, 'ima'), {
    ...extender,
    async extend(pcr, digests) {
      await extender.extend(pcr, digests);
      extending.resolve();
    },
  });
  const sources = userSpaceSources('software', { log, host: { observations: [] } });
  const attester = { tpm, akHandle: identity.ak.handle, sources };
  const enrolment = {
    hostId: 'host',
    akPublic: encode(TPMT_PUBLIC, identity.ak.area),
    selection: SELECTION,
    measurer: 'user-space',
    assurance: 'demonstration',
  } as const;
  for (const count of [3, 40, 40]) {
    const files = Array.from({ length: count }, () => `/usr/lib/${randomBytes(8).toString('hex')}`);
    extending = Promise.withResolvers();
    const listed = log.add(
      files.map((name) => ({ path: Buffer.from(name), sha256: digest('sha256', Buffer.from(name)) })),
    );
    await extending.promise;
    const nonce = randomBytes(32);
    const evidence = await collectEvidence(attester, nonce, REQUEST);
    const result = verify({ evidence, enrolment, reference: undefined, state: undefined, nonce, now: Date.now() });
    assert.deepEqual(
      [result.verified, result.findings.filter(({ code }) => /^(quote|ima)\.(?!user-space)/.test(code))],
      [true, []],
    );
    await listed;
  }
  await log.close();
  await tpm.close();
});
