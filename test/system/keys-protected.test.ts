/** `assay key` as people use it: protectors on a real removable device (a loop mount), a SoftHSM token, swtpm. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digest } from '../../src/bytes/index.ts';
import { type Finished, finished } from '../fixtures/finished.ts';
import { ASSAY, type KeyCommands, keyCommands } from '../fixtures/key-commands.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { requires, requiresMounts } from './requirements.ts';

const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so'];

describe('assay key', requires('swtpm', 'tpm2_quote'), () => {
  const payload = randomBytes(64);
  let key: KeyCommands;
  const file = (name: string): string => key.file(name);
  const assay = (...args: string[]): Promise<Finished> => key.assay(...args);
  const ok = (...args: string[]): Promise<Buffer> => key.ok(...args);
  const tool = (program: string, ...args: string[]): Promise<Buffer> => key.tool(program, ...args);

  before(async () => {
    key = await keyCommands();
    writeFileSync(file('payload'), payload);
    writeFileSync(file('password'), 'open sesame\n');
    writeFileSync(file('wrong'), 'open barley\n');
    const owner = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(file('owner.pem'), owner.publicKey.export({ type: 'spki', format: 'pem' }));
  });
  after(() => key[Symbol.asyncDispose]());

  /** Without the secret in what it says. */
  async function no(reason: RegExp, ...args: string[]): Promise<void> {
    assert.doesNotMatch(await key.no(reason, ...args), /sesame|barley/);
  }

  async function protectors(name: string): Promise<readonly { readonly id: string; readonly kind: string }[]> {
    return JSON.parse((await ok('protector', 'list', name, '--json')).toString()).protectors;
  }
  async function idOf(name: string, kind: string): Promise<string> {
    return (await protectors(name)).find((one) => one.kind === kind)?.id ?? '';
  }

  test('a trusted key is the hex text of keyctl pipe, opens while its PCR stands, and is sealed anew before it moves', async () => {
    await ok(
      'create',
      'trusted',
      '--keyhandle',
      '81000001',
      '--payload-file',
      'payload',
      '--pcrs',
      'sha256:16',
      '-o',
      'kmk',
    );
    assert.match(readFileSync(file('kmk'), 'latin1'), /^[0-9a-f]+$/);
    assert.equal(statSync(file('kmk')).mode & 0o777, 0o600);
    assert.deepEqual(await ok('unseal', 'kmk'), payload);
    const next = '11'.repeat(32);
    const current = JSON.parse((await tool(ASSAY, 'tpm', 'pcrs', '--json')).toString());
    const extended = digest('sha256', Buffer.from(`${current.pcrs.sha256[16]}${next}`, 'hex')).toString('hex');
    writeFileSync(file('next.json'), JSON.stringify({ sha256: { 16: extended } }));
    await ok('reseal', 'kmk', '--pcrs', 'sha256:16', '--pcr-values', 'next.json', '--now');
    assert.deepEqual(await ok('unseal', 'kmk'), payload);
    await tool('tpm2_pcrextend', `16:sha256=${next}`);
    assert.deepEqual(await ok('unseal', 'kmk'), payload);
    await tool('tpm2_pcrextend', `16:sha256=${next}`);
    await no(/PCR 16 \(sha256\) is [0-9a-f]{64}, and the key was sealed to/, 'unseal', 'kmk');
  });

  test('a key is never written over another one, and no secret is taken from the command line', async () => {
    await ok('create', 'trusted', '--keyhandle', '81000001', '-o', 'first');
    const again = await assay('create', 'trusted', '--keyhandle', '81000001', '-o', 'first');
    assert.match(again.stderr.toString(), /is there already, and is not replaced/);
    const inline = await assay('create', 'trusted', '--keyhandle', '81000001', '-o', 'second', 'blobauth=sesame');
    assert.equal(inline.status, 2);
    assert.doesNotMatch(inline.stderr.toString(), /sesame/);
    assert.equal(existsSync(file('second')), false);
  });

  test('an encrypted key opens under its master key, which the TPM unseals', async () => {
    await ok('create', 'trusted', '--keyhandle', '81000001', '-o', 'master');
    const key = ['--master', 'trusted:kmk', '--master-file', 'master', '--payload-file', 'payload', '-o', 'encrypted'];
    await ok('create', 'encrypted', ...key);
    assert.match(readFileSync(file('encrypted'), 'latin1'), /^default trusted:kmk 64 [0-9a-f]+$/);
    assert.deepEqual(await ok('unseal', 'encrypted', '--master-file', 'master'), payload);
    await no(/does not verify under its master key/, 'unseal', 'encrypted', '--master-file', 'payload');
  });

  test('a key goes from the kernel’s form into the older one and back, and stays what it is', async () => {
    const seal = ['--pcrs', 'sha256:17', '--payload-file', 'payload', '--keyhandle', '0x81000001'];
    await ok('create', 'trusted', ...seal, '-o', 'newer.blob', 'migratable=1');
    const [there, policy] = [
      ['--keyhandle', '0x81000001'],
      ['--policy', 'newer.blob.policy'],
    ];
    await ok('export', 'newer.blob', '--form', 'legacy', '-o', 'older.blob');
    assert.deepEqual(await ok('unseal', 'older.blob', ...there, ...policy), payload);
    await ok('export', 'older.blob', ...there, ...policy, '-o', 'again.blob');
    assert.deepEqual(await ok('unseal', 'again.blob', ...policy), payload);
    const shown = JSON.parse((await ok('show', 'again.blob', '--json')).toString());
    assert.deepEqual([shown.form, shown.migratable, shown.keyhandle], ['asn1', true, '0x81000001']);
    await ok('create', 'trusted', ...seal, '--form', 'legacy', '-o', 'born.blob');
    assert.equal(JSON.parse((await ok('show', 'born.blob', '--json')).toString()).form, 'legacy');
    assert.deepEqual(await ok('unseal', 'born.blob', ...there), payload);
    await ok('create', 'trusted', '--bytes', '128', '--keyhandle', '0x81000001', '-o', 'large.blob');
    const { status, stderr } = await assay('export', 'large.blob', '--form', 'legacy');
    assert.equal(status, 2, stderr.toString());
    assert.match(stderr.toString(), /in the older form has 32 to 127 bytes, and not 128/);
  });

  test('an encrypted key is encrypted under another master key, and opens under the old one no more', async () => {
    writeFileSync(file('one'), randomBytes(32));
    writeFileSync(file('two'), randomBytes(32));
    const create = ['create', 'encrypted', '--master', 'user:one', '--master-file', 'one'];
    await ok(...create, '--payload-file', 'payload', '-o', 'moved.key');
    await no(/does not verify under its master key/, 'load', 'moved.key', '--master-file', 'two');
    const to = ['--to-master', 'user:two', '--to-master-file', 'two'];
    await no(/does not verify/, 'reseal', 'moved.key', '--master-file', 'two', ...to);
    await ok('reseal', 'moved.key', '--master-file', 'one', ...to);
    assert.match(readFileSync(file('moved.key'), 'latin1'), /^default user:two 64 /);
    assert.deepEqual(await ok('unseal', 'moved.key', '--master-file', 'two'), payload);
    await no(/does not verify/, 'unseal', 'moved.key', '--master-file', 'one');
  });

  test('the kernel’s options are its own: others are refused before it is asked', async () => {
    await ok('create', 'trusted', '--keyhandle', '0x81000001', '-o', 'options.blob');
    const load = (...words: string[]) => assay('kernel-load', 'options.blob', '--name', 'assay-test', ...words);
    assert.match((await load('pcrs=1')).stderr.toString(), /'pcrs' is no option of trusted keys/);
    assert.match((await load('blobauth=secret')).stderr.toString(), /blobauth is not given on the command line/);
  });

  test('a TPM that nobody has provisioned gets its storage root key, and one that has one keeps it', async () => {
    await using fresh = await runSwtpm();
    function setUp(root: string): Promise<Finished> {
      mkdirSync(file(root));
      return finished(ASSAY, ['key', 'evm-setup', '--root', file(root), '--no-load', '--seal', '--pcrs', 'sha256:7'], {
        env: { ...key.environment, ASSAY_TPM: fresh.name },
      });
    }
    const first = await setUp('fresh');
    assert.equal(first.status, 0, first.stderr.toString());
    assert.match(first.stderr.toString(), /made the storage root key 0x81000001, which this TPM lacked/);
    const again = await setUp('fresh-again');
    assert.deepEqual([again.status, again.stderr.toString()], [0, '']);
    const opened = await finished(ASSAY, ['key', 'load', file('fresh/etc/assay/evm.key')], {
      env: { ...key.environment, ASSAY_TPM: fresh.name },
    });
    assert.equal(opened.status, 0, opened.stderr.toString());
  });

  test('into the kernel as EVM wants it, under a master key that is forgotten', requires('keyctl'), async () => {
    await ok('create', 'protected', '--payload-file', 'payload', '--password', 'file:password', '-o', 'k.key');
    const load = `${ASSAY} key kernel-load k.key --as encrypted --name 0-evm --keyring @s --password file:password`;
    const script = `${load} && keyctl show @s && ! keyctl pipe %encrypted:0-evm`;
    const shown = (await tool('keyctl', 'session', '-', 'sh', '-c', script)).toString();
    assert.match(shown, /encrypted: 0-evm/);
    assert.doesNotMatch(shown, /assay-forgotten/);
  });

  test('password, recovery code and TPM open one key; what is wrong does not', async () => {
    const making = [
      'create',
      'protected',
      '--payload-file',
      'payload',
      '--password',
      'file:password',
      '--recovery',
      '-o',
      'p',
      '--json',
    ];
    const made = JSON.parse((await ok(...making)).toString());
    writeFileSync(file('code'), made.recoveryCode);
    assert.deepEqual(await ok('unseal', 'p', '--password', 'file:password'), payload);
    assert.deepEqual(await ok('recover', 'p', '--code', 'file:code'), payload);
    await no(/the password is wrong/, 'unseal', 'p', '--password', 'file:wrong');
    await no(/this is no recovery code/, 'recover', 'p', '--code', 'file:wrong');
    await ok('protector', 'add', 'p', '--seal', '--pcrs', 'sha256:17', '--open-password', 'file:password');
    assert.deepEqual(await ok('unseal', 'p'), payload);
    await ok('protector', 'remove', 'p', await idOf('p', 'password'));
    const { status, stdout } = await assay('unseal', 'p', '--password', 'file:password');
    assert.deepEqual([status, stdout.length], [3, 0]);
    assert.deepEqual(await ok('unseal', 'p'), payload);
  });

  test('what no initramfs opens is refused before a key is written', async () => {
    mkdirSync(file('no-boot'));
    const { status, stderr } = await assay(
      'evm-setup',
      '--root',
      file('no-boot'),
      '--no-load',
      '--seal',
      '--authorize',
      'owner.pem',
    );
    assert.equal(status, 2);
    assert.match(stderr.toString(), /a policy that an initramfs does not satisfy/);
    assert.ok(!existsSync(join(file('no-boot'), 'etc/assay/evm.key')));
  });

  test('a kernel that shall unseal a key satisfies no policy: said before anything is made', async () => {
    mkdirSync(file('by-kernel'));
    const of = (...more: string[]) => ['evm-setup', '--root', file('by-kernel'), '--no-load', ...more];
    for (const policy of [
      ['--pcrs', 'sha256:7'],
      ['--pin', 'file:password'],
      ['--authorize', 'password'],
    ]) {
      const { status, stderr } = await assay(...of('--seal', '--kernel-unseals', ...policy));
      assert.equal(status, 2);
      assert.match(
        stderr.toString(),
        /--kernel-unseals excludes --pcrs, --pin and --authorize; the kernel satisfies no policy/,
      );
    }
    const { status, stderr } = await assay(...of('--kernel-unseals', '--recovery'));
    assert.equal(status, 2, stderr.toString());
    assert.match(stderr.toString(), /about --seal, which is missing/);
    assert.ok(!existsSync(join(file('by-kernel'), 'etc/assay/evm.key')));
  });

  test('a protected key opens where there is no TPM', async () => {
    await ok('create', 'protected', '--payload-file', 'payload', '--seal', '--password', 'file:password', '-o', 'both');
    const { ASSAY_TPM: _, ...without } = key.environment;
    const opened = await finished(ASSAY, ['key', 'unseal', 'both', '--password', 'file:password'], {
      cwd: key.folder,
      env: without,
    });
    assert.deepEqual(opened.stdout, payload, opened.stderr.toString());
  });

  test(
    'a removable device opens the key, mounted or only plugged in, and no more when it is gone',
    requiresMounts(),
    async (t) => {
      writeFileSync(file('stick.img'), '');
      truncateSync(file('stick.img'), 8 << 20);
      await tool('mkfs.ext4', '-q', '-F', file('stick.img'));
      mkdirSync(file('stick'));
      let device = (await tool('losetup', '-f', '--show', file('stick.img'))).toString().trim();
      t.after(() => finished('losetup', ['-d', device]));
      await tool('mount', device, file('stick'));
      try {
        await ok('create', 'protected', '--payload-file', 'payload', '--usb', 'stick/assay.key', '-o', 'u');
        assert.deepEqual(await ok('unseal', 'u'), payload);
      } finally {
        await tool('umount', file('stick'));
      }
      assert.deepEqual(await ok('unseal', 'u'), payload);
      await tool('losetup', '-d', device);
      const gone = await assay('unseal', 'u');
      assert.deepEqual([gone.status, gone.stdout.length], [3, 0]);
      assert.match(
        gone.stderr.toString(),
        /nothing that opens the key was given or found|the device [0-9a-f-]+ cannot be mounted/,
      );
      device = (await tool('losetup', '-f', '--show', file('stick.img'))).toString().trim();
      assert.deepEqual(await ok('unseal', 'u'), payload);
      // A stick that somebody made, with the same UUID.
      for (const [instead, reason] of [
        ['ln -s /dev/zero', /cannot be read, or is a link/],
        ['mkfifo', /is no file/],
        ['head -c 70000 /dev/urandom >', /has more than 65536 bytes/],
        ['head -c 64 /dev/urandom >', /the key file on the removable device is wrong/],
      ] as const) {
        const change = `mount ${device} stick && cd stick && rm assay.key && ${instead} assay.key && cd .. && umount stick`;
        await tool('sh', '-c', change);
        const { status, stdout, stderr } = await assay('unseal', 'u');
        assert.notEqual(status, 0);
        assert.equal(stdout.length, 0);
        assert.match(stderr.toString(), reason);
      }
    },
  );

  async function makeToken(): Promise<void> {
    const [pin, bits] = ['24681357', 'rsa_keygen_bits:2048'];
    await tool('softhsm2-util', '--init-token', '--free', '--label', 'assay', '--pin', pin, '--so-pin', '0000');
    await tool('openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', bits, '-out', 'token.key');
    const named = ['--token', 'assay', '--label', 'k', '--id', '10', '--pin', pin];
    await tool('softhsm2-util', '--import', 'token.key', ...named);
  }

  test('an RSA key in a token opens the key with its PIN', requires('softhsm2-util', 'openssl'), async () => {
    mkdirSync(file('tokens'));
    writeFileSync(file('softhsm2.conf'), `directories.tokendir = ${file('tokens')}\nlog.level = ERROR\n`);
    key.environment.SOFTHSM2_CONF = file('softhsm2.conf');
    writeFileSync(file('pin'), '24681357\n');
    await makeToken();
    const module = MODULES.find((path) => existsSync(path)) ?? 'libsofthsm2.so';
    const uri = `pkcs11:token=assay;object=k?module-path=${module}`;
    const make = (...args: string[]) => ['create', 'protected', '--payload-file', 'payload', '-o', 't', ...args];
    const exposed = await assay(...make('--token', `${uri}&pin-value=24681357`));
    assert.equal(exposed.status, 2);
    assert.match(exposed.stderr.toString(), /stands on the command line/);
    await ok(...make('--token', `${uri}&pin-source=${file('pin')}`));
    assert.doesNotMatch(readFileSync(file('t'), 'latin1'), /24681357|pin-source/);
    assert.deepEqual(await ok('unseal', 't', '--token-pin', 'file:pin'), payload);
    writeFileSync(file('wrong-pin'), '00000000\n');
    await no(/the token's PIN is wrong: .*CKR_PIN_INCORRECT/, 'unseal', 't', '--token-pin', 'file:wrong-pin');
    // Another token of that name, with another key of that name.
    const [before = assert.fail()] = readdirSync(file('tokens'));
    renameSync(file(`tokens/${before}`), file('first-token'));
    const gone = await assay('unseal', 't', '--token-pin', 'file:pin');
    assert.deepEqual([gone.status, gone.stdout.length], [3, 0]);
    assert.match(gone.stderr.toString(), /the token's key cannot be used: .*no token fits the URI/);
    await makeToken();
    await no(
      /it is another key, or the file was changed|the token’s key is wrong/,
      'unseal',
      't',
      '--token-pin',
      'file:pin',
    );
  });
});
