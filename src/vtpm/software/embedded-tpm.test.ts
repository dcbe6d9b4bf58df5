import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  endorsementChains,
  endorsementKeyOf,
  extendPcr,
  parseCertificate,
  readEndorsementCertificates,
  readPcrs,
  TPM2_ReadClock,
  TpmClient,
} from '../../tpm/index.ts';
import { VtpmError } from '../error.ts';
import { authorityFolderOf, certificateAuthority, EmbeddedTpm, inProcessTransport } from './index.ts';
import { sealState } from './state-blob.ts';
import { decodeState, encodeState } from './state-file.ts';

const { verifyChain } = await endorsementChains();

const folder = mkdtempSync(join(tmpdir(), 'assay-embedded-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'tpm');
const clientOf = (tpm: EmbeddedTpm) => new TpmClient(inProcessTransport(tpm, 'a test'));

test('its endorsement certificates come from its own CA, which says what it is', async () => {
  const tpm = await EmbeddedTpm.open(file);
  const certificates = await readEndorsementCertificates(clientOf(tpm));
  const { certificate: root } = await certificateAuthority(authorityFolderOf(file));
  assert.match(root.subject, /not a hardware TPM/);
  assert.equal(certificates.length, 2);
  for (const { certificate } of certificates) {
    const parsed = certificate instanceof Uint8Array ? parseCertificate(certificate) : certificate;
    verifyChain({ certificate: parsed, intermediates: [], roots: [root], now: Date.now() });
    endorsementKeyOf(parsed);
  }
  await tpm.close();
});

test('PCRs stay while the machine is on, though nobody closed the TPM; its next boot is a TPM Reset', async () => {
  const tpm = await EmbeddedTpm.open(file);
  await extendPcr(clientOf(tpm), 10, [{ hashAlg: 'sha256', digest: Buffer.alloc(32, 3) }]);
  const [pcr10] = await readPcrs(clientOf(tpm), 'sha256', [10]);
  const resets = async (opened: EmbeddedTpm) =>
    (await clientOf(opened).execute(TPM2_ReadClock, {})).currentTime.clockInfo.resetCount;
  const before = await resets(tpm);
  rmSync(`${file}.lock`); // as the lock of a killed process would be taken

  const again = await EmbeddedTpm.open(file);
  assert.deepEqual((await readPcrs(clientOf(again), 'sha256', [10]))[0], pcr10);
  assert.equal(await resets(again), before);
  await again.close();

  const stored = decodeState(readFileSync(file), file);
  writeFileSync(file, encodeState({ ...stored, bootId: '0'.repeat(32) }));
  const rebooted = await EmbeddedTpm.open(file);
  assert.notDeepEqual((await readPcrs(clientOf(rebooted), 'sha256', [10]))[0], pcr10);
  assert.equal(await resets(rebooted), before + 1);
  await rebooted.close();
});

test('a state file that is not what was written is refused by name, and so is one of another format', () => {
  const whole = readFileSync(file);
  const changed = Buffer.from(whole);
  changed[100] = (changed[100] ?? 0) ^ 0x10;
  for (const bytes of [changed, sealState('permanent', 'rest', whole, undefined)]) {
    assert.throws(
      () => decodeState(bytes, file),
      (error: unknown) =>
        error instanceof VtpmError && error.code === 'vtpm.state-damaged' && error.message.includes(file),
    );
  }
});

test('under a key the file shows nothing, and opens with that key alone', async () => {
  const path = join(folder, 'encrypted');
  const key = Buffer.alloc(32, 7);
  const tpm = await EmbeddedTpm.open(path, { key });
  await extendPcr(clientOf(tpm), 10, [{ hashAlg: 'sha256', digest: Buffer.alloc(32, 3) }]);
  const [pcr10] = await readPcrs(clientOf(tpm), 'sha256', [10]);
  await tpm.close();
  assert.equal(readFileSync(path).includes(Buffer.from(pcr10?.value ?? [])), false);
  for (const other of [undefined, Buffer.alloc(32, 8), Buffer.alloc(16, 7)]) {
    await assert.rejects(
      EmbeddedTpm.open(path, other === undefined ? {} : { key: other }),
      (error: unknown) => error instanceof VtpmError && error.exitCode === 2 && error.message.includes(path),
    );
  }
  const again = await EmbeddedTpm.open(path, { key });
  assert.deepEqual((await readPcrs(clientOf(again), 'sha256', [10]))[0], pcr10);
  await again.close();
});

const folderOf = (name: string, mode: number): string => {
  const path = join(folder, name);
  mkdirSync(path);
  chmodSync(path, mode); // mkdir's own mode is cut by the umask
  return path;
};
const modeOf = (path: string): number => statSync(path).mode & 0o777;

test('a folder to which others may write is refused, and nothing is put there', async () => {
  for (const mode of [0o777, 0o1777, 0o770]) {
    const shared = folderOf(`shared-${mode}`, mode);
    await assert.rejects(
      EmbeddedTpm.open(join(shared, 'tpm')),
      (error: unknown) =>
        error instanceof VtpmError &&
        error.code === 'vtpm.state-io' &&
        error.message.includes(shared) &&
        error.advice !== undefined,
    );
    assert.deepEqual(readdirSync(shared), []);
  }
});

test('a folder that others may read stays so; what is put there is for this user alone', async () => {
  const home = folderOf('home', 0o755);
  const tpm = await EmbeddedTpm.open(join(home, 'tpm'), { durable: false });
  await tpm.close();
  assert.equal(modeOf(home), 0o755);
  assert.equal(modeOf(join(home, 'tpm')), 0o600);
  assert.equal(modeOf(authorityFolderOf(join(home, 'tpm'))), 0o700);
  assert.deepEqual(readdirSync(home).sort(), ['software-tpm-ca', 'tpm']);
});

test('a change that cannot be kept is not answered, and the error names the file', async () => {
  const gone = folderOf('gone', 0o700);
  const tpm = await EmbeddedTpm.open(join(gone, 'tpm'));
  rmSync(gone, { recursive: true });
  await assert.rejects(
    extendPcr(clientOf(tpm), 10, [{ hashAlg: 'sha256', digest: Buffer.alloc(32, 3) }]),
    (error: unknown) =>
      error instanceof VtpmError && error.code === 'vtpm.state-io' && error.message.includes(join(gone, 'tpm')),
  );
});

test('a second process may not use the same file', async () => {
  const tpm = await EmbeddedTpm.open(file);
  await assert.rejects(
    EmbeddedTpm.open(file),
    (error: unknown) =>
      error instanceof VtpmError && error.code === 'vtpm.state-in-use' && error.message.includes(String(process.pid)),
  );
  await tpm.close();
});

test('what a killed process left beside the state is removed when the next one opens it', async () => {
  const path = join(folder, 'swept');
  await (await EmbeddedTpm.open(path)).close();
  const others = [`${path}.0123456789abcdef.new`, `${path}.mine.new`, `${path}x.0123456789abcdef.new`];
  for (const other of others) writeFileSync(other, 'left');
  await (await EmbeddedTpm.open(path)).close();
  assert.deepEqual(
    others.map((other) => existsSync(other)),
    [false, true, true],
  );
});
