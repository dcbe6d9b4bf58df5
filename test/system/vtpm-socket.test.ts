/** `assay vtpm socket` where swtpm's own tools expect `swtpm socket`. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
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
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  endorsementKeyOf,
  openTransport,
  parseCertificate,
  readEndorsementCertificates,
  TpmClient,
} from '../../src/tpm/index.ts';
import { requires } from './requirements.ts';
import { assay, Spawned } from './up/assay.ts';

const run = promisify(execFile);
const SWTPM = join(import.meta.dirname, '../../bin/assay-swtpm');
const root = mkdtempSync(join(tmpdir(), 'assay-vtpm-socket-'));
after(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;

interface Served {
  readonly folder: string;
  readonly control: string;
  readonly data: string;
  readonly process: Spawned;
  ioctl(...args: readonly string[]): Promise<string>;
}

async function serve(
  use: (served: Served) => Promise<void>,
  options: readonly string[] = [],
  folder = join(root, `${folders++}`),
): Promise<void> {
  const [control, data] = [`${folder}.ctrl`, `${folder}.data`];
  const channels = ['--ctrl', `type=unixio,path=${control}`, '--server', `type=unixio,path=${data}`];
  const process = new Spawned([
    SWTPM,
    'socket',
    '--tpm2',
    '--tpmstate',
    `dir=${folder}`,
    ...channels,
    '--json',
    ...options,
  ]);
  try {
    await process.says(/"pid"/);
    const ioctl = async (...args: readonly string[]) =>
      (await run('swtpm_ioctl', ['--unix', control, ...args])).stdout.trim();
    await use({ folder, control, data, process, ioctl });
  } finally {
    await process.kill('SIGTERM');
  }
}

const NEEDED = requires('swtpm_ioctl');

test(
  'after a kill it starts again where it was: socket, lock and process file of the dead are taken over',
  NEEDED,
  async () => {
    const folder = join(root, 'killed');
    const pid = `${folder}.pid`;
    const options = ['--pid', `file=${pid}`];
    await serve(
      async ({ ioctl, process, control }) => {
        await ioctl('-i');
        await process.kill('SIGKILL');
        assert.deepEqual([existsSync(control), existsSync(pid)], [true, true]);
        assert.ok(existsSync(join(folder, 'tpm2-00.permall.lock')));
      },
      options,
      folder,
    );
    await serve(
      async ({ ioctl, process }) => {
        await ioctl('-i');
        assert.equal(readFileSync(pid, 'latin1'), String(process.child.pid));
      },
      options,
      folder,
    );
  },
);

const isRoot = process.getuid?.() === 0;

test('as another user it opens everything as that user', { skip: isRoot ? NEEDED.skip : 'needs root' }, async () => {
  const folder = join(root, 'other');
  chmodSync(root, 0o755);
  await run('install', ['-d', '-o', 'nobody', '-m', '0700', folder]);
  const log = join(folder, 'log');
  const control = join(folder, 'ctrl');
  const place = ['--tpmstate', `dir=${folder}`, '--ctrl', `type=unixio,path=${control}`, '--log', `file=${log}`];
  const started = new Spawned([SWTPM, 'socket', '--tpm2', '--runas', 'nobody', ...place, '--json']);
  await started.says(/"pid"/);
  await run('swtpm_ioctl', ['--unix', control, '-i']);
  for (const file of [log, control, join(folder, 'tpm2-00.permall')]) {
    assert.equal(statSync(file).uid, statSync(folder).uid, file);
  }
  await started.kill('SIGTERM');
  const unknown = await assay(['vtpm', 'socket', '--tpm2', '--runas', 'no-such-user', ...place]);
  assert.deepEqual([unknown.status, /--runas no-such-user: no such user/.test(unknown.stderr)], [2, true]);
});

test('swtpm_ioctl takes a TPM through its life: power, a launch, states out and in, the end', NEEDED, async () => {
  await serve(async ({ folder, ioctl, process, control, data }) => {
    assert.equal(await ioctl('-c'), 'ptm capability is 0x1ffff');
    await assert.rejects(ioctl('-e'), /0xa/);
    await ioctl('-i');
    assert.equal(await ioctl('-e'), 'tpmEstablished is 0');
    await ioctl('-h', '1234');
    assert.equal(await ioctl('-e'), 'tpmEstablished is 1');
    assert.equal(await ioctl('-g'), 'ptm configuration flags: 0x0');
    assert.match(await ioctl('--info', '7'), /^\{"TPMSpecification":\{"family":"2\.0",.*"manufacturer":"id:41535359"/);
    const [permanent, volatile] = [join(root, 'permanent'), join(root, 'volatile')];
    await ioctl('--save', 'permanent', permanent);
    await ioctl('--save', 'volatile', volatile);
    await ioctl('--stop');
    await ioctl('--load', 'permanent', permanent);
    await ioctl('--load', 'volatile', volatile);
    await ioctl('-i');
    assert.equal(await ioctl('-e'), 'tpmEstablished is 1');
    await ioctl('-v');
    assert.ok(existsSync(join(folder, 'tpm2-00.volatilestate')));
    await ioctl('-s');
    assert.equal((await process.ended).status, 0);
    assert.deepEqual([existsSync(control), existsSync(data)], [false, false]);
    assert.deepEqual(readdirSync(folder).sort(), ['tpm2-00.permall', 'tpm2-00.volatilestate']);
  });
});

test('the process number is in the file while it serves; SIGTERM ends it in order; the log says what failed', async () => {
  const folder = join(root, 'ordered');
  const [pid, log] = [`${folder}.pid`, `${folder}.log`];
  const options = ['--pid', `file=${pid}`, '--log', `file=${log},prefix=vm1: ,level=5`, '--flags', 'startup-clear'];
  await serve(
    async ({ process }) => {
      assert.equal(readFileSync(pid, 'latin1'), String(process.child.pid));
      const { status, stderr } = await process.kill('SIGTERM');
      assert.deepEqual([status, stderr], [0, '']);
      assert.equal(existsSync(pid), false);
      assert.equal(readFileSync(log, 'utf8'), 'vm1: TPM2_Startup at locality 0: done\nvm1: ends: it was told to\n');
    },
    options,
    folder,
  );
  assert.equal(statSync(log).mode & 0o777, 0o600);
  writeFileSync(join(folder, 'tpm2-00.permall'), Buffer.alloc(500, 1));
  const again = await assay([
    'vtpm',
    'socket',
    '--tpm2',
    '--tpmstate',
    `dir=${folder}`,
    '--ctrl',
    `type=unixio,path=${folder}.c`,
    ...options,
  ]);
  assert.equal(again.status, 2);
  assert.match(again.stderr, /^assay: .*ordered\/tpm2-00\.permall: it is no state of a software TPM; [^\n]+\n$/);
  assert.match(readFileSync(log, 'utf8'), /\nvm1: .*tpm2-00\.permall: it is no state/);
});

test('in the background it serves when the command ends, and a failure is that command’s', async () => {
  const folder = join(root, 'daemon');
  const [pid, control] = [`${folder}.pid`, `${folder}.ctrl`];
  const options = ['vtpm', 'socket', '--tpm2', '--tpmstate', `dir=${folder}`, '--pid', `file=${pid}`, '--daemon'];
  const started = await assay([...options, '--ctrl', `type=unixio,path=${control}`]);
  assert.deepEqual([started.status, started.stderr], [0, '']);
  const number = Number(readFileSync(pid, 'latin1'));
  const failed = await assay([...options, '--flags', 'not-need-init', '--ctrl', `type=unixio,path=${control}`]);
  assert.equal(failed.status, 2);
  assert.match(failed.stderr, /another process serves there/);
  process.kill(number, 'SIGTERM');
  for (let i = 0; i < 200 && existsSync(pid); i++) await sleep(25);
  assert.deepEqual([existsSync(pid), existsSync(control)], [false, false]);
});

test(
  'keys come from files and passphrases, are removed where asked, and keep the state from who has another',
  NEEDED,
  async () => {
    const folder = join(root, 'keyed');
    const [key, passphrase] = [`${folder}.key`, `${folder}.pass`];
    writeFileSync(key, `${'0123456789abcdef'.repeat(4)}\n`);
    writeFileSync(passphrase, 'spoken words');
    const options = ['--key', `file=${key},mode=aes-256-cbc,remove`, '--migration-key', `pwdfile=${passphrase}`];
    await serve(
      async ({ ioctl }) => {
        assert.equal(existsSync(key), false);
        assert.equal(await ioctl('-g'), 'ptm configuration flags: 0x3');
        await ioctl('-i');
        assert.equal(readFileSync(join(folder, 'tpm2-00.permall'))[12], 32);
      },
      options,
      folder,
    );
    await serve(async ({ ioctl }) => await assert.rejects(ioctl('-i'), /PTM_INIT: 0x101/), [], folder);
    await serve(
      async ({ ioctl }) => await assert.rejects(ioctl('-i'), /PTM_INIT: 0x101/),
      ['--key', `pwdfile=${passphrase}`],
      folder,
    );
  },
);

test(
  'swtpm_setup makes endorsement keys and certificates in it, which are read back',
  requires('swtpm_setup'),
  async () => {
    const [folder, authority] = [join(root, 'made'), join(root, 'made-ca')];
    await run('mkdir', [folder, authority]);
    const place = (name: string): string => join(authority, name);
    const conf = ['statedir = .', 'signingkey = signkey.pem', 'issuercert = issuercert.pem', 'certserial = certserial'];
    writeFileSync(place('localca.conf'), `${conf.map((line) => line.replace('= ', `= ${authority}/`)).join('\n')}\n`);
    writeFileSync(place('options'), '--platform-manufacturer Assay\n--platform-version 1\n--platform-model vTPM\n');
    const { stdout: tool } = await run('sh', ['-c', 'command -v swtpm_localca']);
    const settings = { tool: tool.trim(), tool_config: place('localca.conf'), tool_options: place('options') };
    const lines = Object.entries(settings).map(([name, value]) => `create_certs_${name} = ${value}\n`);
    writeFileSync(place('setup.conf'), lines.join(''));
    await run('swtpm_setup', [
      ...['--tpm2', '--tpmstate', folder, '--tpm', `${SWTPM} socket`, '--config', place('setup.conf')],
      ...['--create-ek-cert', '--create-platform-cert', '--pcr-banks', 'sha256', '--lock-nvram'],
    ]);
    await serve(
      async ({ data }) => {
        const client = new TpmClient(await openTransport({ kind: 'swtpm', address: { path: data } }));
        const certificates = await readEndorsementCertificates(client);
        assert.equal(certificates.length, 2);
        for (const { certificate } of certificates) {
          endorsementKeyOf(certificate instanceof Uint8Array ? parseCertificate(certificate) : certificate);
        }
        await client.close();
      },
      ['--flags', 'startup-clear'],
      folder,
    );
  },
);

test('capabilities and states are told in swtpm’s words; what is not followed is refused', async () => {
  const { stdout } = await run(SWTPM, ['socket', '--tpm2', '--print-capabilities']);
  const { type, features } = JSON.parse(stdout);
  assert.equal(type, 'swtpm');
  for (const feature of ['tpm-2.0', 'cmdarg-pwd-fd', 'cmdarg-migration', 'nvram-backend-dir'])
    assert.ok(features.includes(feature));
  const states = await run(SWTPM, ['socket', '--tpm2', '--print-states', '--tpmstate', `dir=${join(root, 'none')}`]);
  assert.equal(states.stdout, '{ "type": "swtpm", "states": [] }\n');
  for (const option of [['--chroot', '/'], ['--pcap', 'file=/tmp/x'], ['--profile', 'name=x'], ['--print-profiles']]) {
    const { status, stderr } = await assay(['vtpm', 'socket', '--tpm2', ...option]);
    assert.equal(status, 2);
    assert.match(stderr, new RegExp(`^assay: ${option[0]} is not followed here; `));
  }
});
