/** What keys are sealed to, as people type it: predicted boots, a signer's policies, PINs. swtpm decides. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { ASSAY, type KeyCommands, keyCommands } from '../fixtures/key-commands.ts';
import { makePe } from '../fixtures/pe-image.ts';
import { requires } from './requirements.ts';

const SYSTEMD_MEASURE = '/lib/systemd/systemd-measure';
const LINUX = makePe([{ name: '.linux', content: Buffer.from('next') }]);

describe('what a key is sealed to', requires('swtpm', 'tpm2_quote'), () => {
  const payload = randomBytes(64);
  let key: KeyCommands;
  before(async () => {
    key = await keyCommands();
    writeFileSync(key.file('payload'), payload);
    const owner = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(key.file('owner.pem'), owner.publicKey.export({ type: 'spki', format: 'pem' }));
    writeFileSync(key.file('owner.key'), owner.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(key.file('pin'), '1234\n');
    writeFileSync(key.file('wrong'), '4321\n');
    await key.tool('tpm2_dictionarylockout', '-s', '-n', '100', '-t', '100', '-l', '100');
  });
  after(() => key[Symbol.asyncDispose]());

  const create = (name: string, ...args: readonly string[]) =>
    key.ok('create', 'trusted', '--keyhandle', '0x81000001', '--payload-file', 'payload', '-o', name, ...args);
  const extend = (pcr: number, value: Uint8Array) =>
    key.tool('tpm2_pcrextend', `${pcr}:sha256=${Buffer.from(value).toString('hex')}`);
  const opens = async (name: string, ...args: readonly string[]) =>
    assert.deepEqual(await key.ok('unseal', name, ...args), payload);

  test('the boots that `boot predict --json` tells: each of them opens the key, and no other', async () => {
    const stub = { name: '.sdmagic', content: Buffer.from('#### LoaderInfo: systemd-stub 252.39-1 ####\0') };
    writeFileSync(key.file('next.efi'), makePe([stub, { name: '.linux', content: LINUX }]));
    const predicted = await key.tool(ASSAY, 'boot', 'predict', 'uki', '--uki', key.file('next.efi'), '--json');
    writeFileSync(key.file('next.json'), predicted);
    await create('predicted', '--pcrs', 'sha256:11', '--pcr-values', 'next.json');
    const [policy] = JSON.parse(readFileSync(key.file('predicted.policy'), 'utf8')).policies;
    const { variants } = JSON.parse(predicted.toString());
    assert.equal(policy[0].or.length, variants.length);
    await key.no(/PCR 11 \(sha256\) is 0{64}, and the key was sealed to/, 'unseal', 'predicted');
    for (const { digest, what } of variants[0].measurements) {
      assert.match(digest, /^sha256:/, what);
      await extend(11, Buffer.from(digest.slice('sha256:'.length), 'hex'));
    }
    await opens('predicted');
    const { status, stderr } = await key.assay(
      ...['create', 'trusted', '--keyhandle', '0x81000001', '-o', 'more'],
      ...['--pcrs', 'sha256:4,11', '--pcr-values', 'next.json'],
    );
    assert.equal(status, 2);
    assert.match(stderr.toString(), /next\.json: 'next\.efi .*' has no value of PCR 4 in bank sha256/);
  });

  test('what systemd-measure signs is taken', requires('systemd-measure'), async () => {
    writeFileSync(key.file('next.linux'), LINUX);
    const signer = ['--private-key=owner.key', '--public-key=owner.pem', `--tpm2-device=${key.running.name}`];
    const signed = await key.tool(SYSTEMD_MEASURE, 'sign', '--bank=sha256', '--linux=next.linux', ...signer);
    writeFileSync(key.file('systemd.json'), signed);
    await create('systemd', '--authorize', 'owner.pem', '--approve', 'systemd.json');
    await opens('systemd');
    await extend(11, randomBytes(32));
    await key.no(/none of \d+ signed policies approves/, 'unseal', 'systemd');
  });

  test('half a value, or none, is refused: the key would never open', async () => {
    for (const [text, reason] of [
      ['{"sha256":{"16":"00"}}', /its PCR 16 has 1 bytes, and in bank sha256 it has 32/],
      ['{"sha256":{"17":"00"}}', /has no value of PCR 16|its PCR 17 has 1 bytes/],
      ['{"variants":[]}', /predicts no boot/],
      ['{"pcrs":[]}', /no PCR values/],
    ] as const) {
      writeFileSync(key.file('bad.json'), text);
      const { status, stderr } = await key.assay(
        ...['create', 'trusted', '--keyhandle', '0x81000001', '-o', 'bad'],
        ...['--pcrs', 'sha256:16', '--pcr-values', 'bad.json'],
      );
      assert.notEqual(status, 0);
      assert.match(stderr.toString(), reason, text);
    }
  });

  async function signNow(pcrs: string, name: string): Promise<void> {
    const [pcr = ''] = pcrs.split(',');
    const values = JSON.parse((await key.tool(ASSAY, 'tpm', 'pcrs', '--json')).toString()).pcrs.sha256;
    await key.tool(
      'sh',
      '-c',
      'tpm2_startauthsession -S s.ctx && tpm2_policypcr -Q -S s.ctx -l "$1" -L pol',
      'sh',
      `sha256:${pcrs}`,
    );
    await key.tool('tpm2_flushcontext', 's.ctx');
    const pol = readFileSync(key.file('pol'));
    await key.tool('openssl', 'dgst', '-sha256', '-sign', 'owner.key', '-out', 'sig', 'pol');
    assert.match(values[pcr], /^[0-9a-f]{64}$/);
    const entry = {
      pcrs: pcrs.split(',').map(Number),
      pol: pol.toString('hex'),
      sig: readFileSync(key.file('sig')).toString('base64'),
    };
    writeFileSync(key.file(name), JSON.stringify({ sha256: [entry] }));
  }

  test('what the owner of a key signs opens it, given or kept with it; an update locks nobody out', async () => {
    await create('signed', '--authorize', 'owner.pem');
    await key.no(/no signed policy was given/, 'unseal', 'signed');
    await signNow('16', 'first.json');
    await opens('signed', '--signed-policy', 'first.json');
    await key.ok('reseal', 'signed', '--approve', 'first.json');
    await opens('signed');
    await extend(16, randomBytes(32));
    await key.no(/none of 1 signed policies approves the PCRs as they are/, 'unseal', 'signed');
    await signNow('16', 'second.json');
    await key.ok('reseal', 'signed', '--approve', 'second.json');
    await opens('signed');
  });

  test('a stranger’s signature is refused, and one among the owner’s is passed over', async () => {
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(key.file('stranger.pem'), stranger.publicKey.export({ type: 'spki', format: 'pem' }));
    await create('strange', '--authorize', 'stranger.pem');
    await signNow('16', 'mine.json');
    const { status, stderr } = await key.assay('reseal', 'strange', '--approve', 'mine.json');
    assert.equal(status, 1);
    assert.match(stderr.toString(), /mine\.json: it holds no policy that the key’s owner has signed/);
    const { sha256 } = JSON.parse(readFileSync(key.file('mine.json'), 'utf8'));
    const forged = { ...sha256[0], sig: randomBytes(256).toString('base64') };
    writeFileSync(key.file('mixed.json'), JSON.stringify({ sha256: [forged, ...sha256] }));
    await create('mixed', '--authorize', 'owner.pem');
    await opens('mixed', '--signed-policy', 'mixed.json');
  });

  test('a key with several protectors goes on opening by what is signed for its TPM protector', async () => {
    await signNow('16', 'now.json');
    const seal = ['--seal', '--authorize', 'owner.pem', '--recovery'];
    await key.ok('create', 'protected', '--payload-file', 'payload', ...seal, '-o', 'p.key');
    await opens('p.key', '--signed-policy', 'now.json');
    await key.ok('reseal', 'p.key', '--approve', 'now.json');
    await opens('p.key');
    await extend(16, randomBytes(32));
    await key.no(/none of 1 signed policies/, 'unseal', 'p.key');
    await signNow('16', 'later.json');
    await key.ok('reseal', 'p.key', '--approve', 'later.json');
    await opens('p.key');
    await key.ok('reseal', 'p.key', '--pcrs', 'sha256:17');
    await opens('p.key');
    const { status, stderr } = await key.assay('reseal', 'p.key', '--approve', 'later.json');
    assert.equal(status, 2);
    assert.match(stderr.toString(), /is not sealed to what somebody signs/);
  });

  test('a PIN beside PCRs: a wrong one, none and an empty one are told apart, and neither is repeated', async () => {
    await create('pinned', '--pcrs', 'sha256:17', '--pin', 'file:pin');
    await opens('pinned', '--pin', 'file:pin');
    const said = await key.no(/the authorization value or PIN is wrong/, 'unseal', 'pinned', '--pin', 'file:wrong');
    assert.doesNotMatch(said, /4321|1234/);
    // The TPM is not asked, which would count a wrong try each time.
    for (let i = 0; i < 5; i++) await key.no(/an authorization value, and none was given/, 'unseal', 'pinned');
    await opens('pinned', '--pin', 'file:pin');
    writeFileSync(key.file('empty'), '\n');
    for (const args of [
      ['create', 'trusted', '--keyhandle', '0x81000001', '-o', 'unpinned', '--pin', 'file:empty'],
      ['unseal', 'pinned', '--pin', 'file:empty'],
    ]) {
      const { status, stderr } = await key.assay(...args);
      assert.equal(status, 2);
      assert.match(stderr.toString(), /the PIN is empty/);
    }
  });

  test('a PIN goes with the key through each command that opens it', async () => {
    await create('carried', '--pcrs', 'sha256:17', '--pin', 'file:pin');
    await key.ok('export', 'carried', '--form', 'legacy', '--pin', 'file:pin', '-o', 'carried.legacy');
    await opens('carried.legacy', '--keyhandle', '0x81000001', '--pin', 'file:pin');
    const encrypted = ['create', 'encrypted', '--master', 'trusted:m', '--payload-file', 'payload'];
    await key.ok(...encrypted, '--master-file', 'carried', '--pin', 'file:pin', '-o', 'under');
    await opens('under', '--master-file', 'carried', '--pin', 'file:pin');
    await opens('under', '--master-file', 'carried.legacy', '--keyhandle', '0x81000001', '--pin', 'file:pin');
    await key.no(/PIN is wrong/, 'unseal', 'under', '--master-file', 'carried', '--pin', 'file:wrong');
    await key.ok('export', 'carried', '--form', 'pem', '-o', 'carried.pem');
    await opens('carried.pem', '--pin', 'file:pin');
    const digest = createHash('sha256').update(payload).digest('hex');
    assert.match(readFileSync(key.file('carried.pem'), 'latin1'), /^-----BEGIN TSS2 PRIVATE KEY-----\n/);
    assert.doesNotMatch(readFileSync(key.file('carried.policy'), 'latin1'), new RegExp(digest));
  });

  test('after too many wrong PINs the TPM answers none, and it is told as that', async () => {
    await key.tool('tpm2_dictionarylockout', '-s', '-n', '2', '-t', '1000', '-l', '1000');
    await key.tool('tpm2_dictionarylockout', '-c');
    await create('locked', '--pin', 'file:pin');
    await key.no(/PIN is wrong/, 'unseal', 'locked', '--pin', 'file:wrong');
    await key.no(/PIN is wrong/, 'unseal', 'locked', '--pin', 'file:wrong');
    await key.no(/the TPM answers no PIN now: there were too many wrong ones/, 'unseal', 'locked', '--pin', 'file:pin');
    await key.tool('tpm2_dictionarylockout', '-c');
    await opens('locked', '--pin', 'file:pin');
  });
});
