/** The supervisor of swtpm: manufactured with our own authority, run, watched, stopped. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  activeBanks,
  EK_PROFILES,
  endorsementChains,
  loadEndorsementKey,
  parsePemBundle,
  readEndorsementCertificates,
  readNvIndex,
  TPM_RH,
  TPM2_EvictControl,
  TPM2_GetRandom,
  type TpmClient,
} from '../../src/tpm/index.ts';
import {
  type ManufacturedSwtpm,
  manufactureSwtpm,
  openTpm,
  Swtpm,
  type SwtpmExit,
  swtpmCapabilities,
  VtpmError,
} from '../../src/vtpm/index.ts';
import { requires } from './requirements.ts';

const { verifyChain } = await endorsementChains();

const needed = requires('swtpm', 'swtpm_setup');
let folder = '';
let made: ManufacturedSwtpm;
const at = (name: string): string => join(folder, name);

if (needed.skip === false) {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'assay-swtpm-'));
    made = await manufactureSwtpm({
      state: at('state'),
      authority: at('ca'),
      banks: ['sha256', 'sha384'],
      vmId: 'vm-7',
    });
  });
  after(() => rm(folder, { recursive: true }));
}

const open = async (swtpm: Swtpm): Promise<TpmClient> => (await openTpm(swtpm.address)).tpm;
const isCode = (code: string) => (error: unknown) => error instanceof VtpmError && error.code === code;

test('what is installed says what it can do', needed, async () => {
  assert.ok((await swtpmCapabilities('swtpm')).features.has('tpm-2.0'));
  assert.match((await swtpmCapabilities('swtpm_setup')).version, /^\d+\.\d+/);
});

test('a manufactured TPM has its banks, and certificates that chain to our own root', needed, async () => {
  await using swtpm = await Swtpm.start({ state: made.state, control: at('a.ctrl'), data: { path: at('a') } });
  const tpm = await open(swtpm);
  const banks = await activeBanks(tpm);
  assert.deepEqual(
    banks.map(({ hash }) => hash),
    ['sha256', 'sha384'],
  );
  const certificates = await readEndorsementCertificates(tpm);
  assert.deepEqual(
    certificates.map(({ profile }) => profile.name),
    ['rsa2048', 'p384'],
  );
  const roots = parsePemBundle(readFileSync(made.rootCertificate, 'utf8'));
  const intermediates = parsePemBundle(readFileSync(made.issuerCertificate, 'utf8'));
  for (const { certificate } of certificates) {
    assert.match(certificate.subject, /vm-7/);
    assert.equal(verifyChain({ certificate, intermediates, roots, now: Date.now() }).length, 3);
  }
  assert.ok(await readNvIndex(tpm, 0x01c08000), 'the platform certificate');
  await tpm.close();
});

test('a key that is no EK is not taken for one, wherever it lies', needed, async () => {
  await using swtpm = await Swtpm.start({ state: made.state, control: at('p.ctrl'), data: { path: at('p') } });
  const tpm = await open(swtpm);
  const persistent = await loadEndorsementKey(tpm, EK_PROFILES.p384);
  assert.equal(persistent.handle, EK_PROFILES.p384.persistentHandle);
  const { handle: objectHandle } = await loadEndorsementKey(tpm, EK_PROFILES.p256);
  const persistentHandle = EK_PROFILES.rsa2048.persistentHandle + 0x100;
  await tpm.execute(TPM2_EvictControl, { auth: TPM_RH.OWNER, objectHandle, persistentHandle });
  const lying = { ...EK_PROFILES.p384, persistentHandle };
  const found = await loadEndorsementKey(tpm, lying);
  assert.notEqual(found.handle, persistentHandle);
  assert.deepEqual(found.name, persistent.name);
  await tpm.close();
});

test('a state that is there is never manufactured again', needed, () =>
  assert.rejects(manufactureSwtpm({ state: at('state'), authority: at('ca') }), isCode('vtpm.manufacture')),
);

test('it is reached over TCP too, and after it was stopped and started', needed, async () => {
  const port = 20_000 + (process.pid % 20_000);
  for (let run = 0; run < 2; run++) {
    await using swtpm = await Swtpm.start({ state: made.state, control: at('t.ctrl'), data: { port } });
    const tpm = await open(swtpm);
    assert.equal((await tpm.execute(TPM2_GetRandom, { bytesRequested: 8 })).randomBytes.length, 8);
    await tpm.close();
  }
});

test('an encrypted state opens with its key only, and the key is in no file', needed, async () => {
  const key = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex');
  const { state } = await manufactureSwtpm({ state: at('sealed'), authority: at('ca'), key });
  const start = (given: { key?: Uint8Array }) =>
    Swtpm.start({ state, control: at('k.ctrl'), data: { path: at('k') }, ...given });
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(at(name)).isFile(),
  );
  assert.ok(names.length > 5);
  for (const name of names) {
    const content = readFileSync(at(name));
    assert.ok(!content.includes(key) && !content.includes(key.toString('hex')), name);
  }
  await using swtpm = await start({ key });
  const tpm = await open(swtpm);
  assert.equal((await tpm.execute(TPM2_GetRandom, { bytesRequested: 8 })).randomBytes.length, 8);
  await tpm.close();
  await swtpm.stop();
  await assert.rejects(start({}), isCode('vtpm.ended'));
  await assert.rejects(start({ key: Buffer.alloc(32) }), isCode('vtpm.ended'));
  await assert.rejects(start({ key: Buffer.alloc(5) }), isCode('vtpm.argument'));
});

test('its end is told with its cause, and it comes again as often as was allowed', needed, async () => {
  const exits: SwtpmExit[] = [];
  const options = { state: made.state, control: at('r.ctrl'), data: { path: at('r') }, restarts: 1 };
  await using swtpm = await Swtpm.start(options, (exit) => exits.push(exit));
  const first = swtpm.pid ?? 0;
  process.kill(first, 'SIGKILL');
  await until(() => exits.length === 1 && swtpm.pid !== undefined && existsSync(at('r')));
  assert.equal(exits[0]?.signal, 'SIGKILL');
  assert.equal(exits[0]?.expected, false);
  assert.notEqual(swtpm.pid, first);
  await until(async () => {
    try {
      await (await open(swtpm)).close();
      return true;
    } catch {
      return false;
    }
  });
  await swtpm.stop();
  assert.deepEqual(
    exits.map(({ expected }) => expected),
    [false, true],
  );
  assert.equal(swtpm.pid, undefined);
});

test('a state that another swtpm runs, or that is none, is refused in words', needed, async () => {
  await using _swtpm = await Swtpm.start({ state: made.state, control: at('one.ctrl'), data: { path: at('one') } });
  await assert.rejects(
    Swtpm.start({ state: made.state, control: at('two.ctrl'), data: { path: at('two') } }),
    isCode('vtpm.ended'),
  );
  await assert.rejects(Swtpm.start({ state: made.state, control: at('x'.repeat(120)) }), isCode('vtpm.argument'));
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.fail('it did not come about in 5 s');
}
