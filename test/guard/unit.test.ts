/**
 * The guard as a service of a Debian machine: systemd starts it over `/` before everything else, reloads it, starts it again
 * when it was killed and its watchdog refuses everything, and leaves it out where the kernel's command line says so.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { labelTree } from '../../src/appraise/index.ts';
import { IMA_XATTR } from '../../src/ima/index.ts';
import { removeXattr } from '../../src/sys/index.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import { RC, shell } from '../guest/script.ts';
import { layOut, projectTree, type Tree } from '../guest/tree.ts';
import { requires, requiresMounts, requiresPath } from '../system/requirements.ts';
import { inTree, unpackDebian } from './debian-tree.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const base = requiresPath('ASSAY_DEBIAN_BASE', 'archive of tools/debian-base');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');
const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const skip = base.skip || kernel.skip || machine.skip || requiresMounts().skip;

/** systemd has mounted what RC mounts. */
const DEEDS = RC.split('\n')
  .filter((line) => !line.startsWith('mount '))
  .join('\n')
  .replace('poweroff -f', 'systemctl --force --force poweroff');

const DEEDS_UNIT = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /etc/deeds
StandardOutput=journal+console
[Install]
WantedBy=graphical.target
`;

/** As installed: what the package holds, under the Node of the machine. */
function installed(dist: string): Tree {
  const packages = Object.entries(projectTree()).filter(([path]) => /\/(node_modules\/|package\.json)/.test(path));
  return {
    ...Object.fromEntries(packages),
    '/opt/assay/bin/assay': { copy: join(PROJECT, 'bin/assay') },
    '/opt/assay/dist': { copy: dist },
    '/usr/bin/node': { copy: process.execPath },
    '/usr/bin/assay': { link: '/opt/assay/bin/assay' },
    '/etc/systemd/system/assay-guard.service': { copy: join(PROJECT, 'systemd/assay-guard.service') },
    '/etc/systemd/system/deeds.service': { text: DEEDS_UNIT },
    '/etc/deeds': { text: DEEDS },
    // The initramfs starts it as the first process.
    '/etc/rc': { text: 'exec /lib/systemd/systemd\n' },
    '/etc/assay/guard.env': { text: `ASSAY_GUARD=--policy /etc/assay/policy --watch / --mode enforce --fail closed\n` },
    '/var/log/journal': { folder: true },
  };
}

async function install(root: string): Promise<void> {
  for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true });
  await unpackDebian(process.env.ASSAY_DEBIAN_BASE ?? '', root);
  await inTree(root, 'apt-get update -q; apt-get install -y -q --no-install-recommends systemd-sysv');
  const dist = join(root, 'opt/dist');
  execFileSync(join(PROJECT, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', dist], {
    cwd: PROJECT,
  });
  layOut(installed(dist), root);
  rmSync(dist, { recursive: true });
  await inTree(
    root,
    'systemctl enable assay-guard deeds; systemctl set-default graphical; systemd-tmpfiles --create --prefix /var/log/journal',
  );
  const [, journal] = /^systemd-journal:x:(\d+):/m.exec(readFileSync(join(root, 'etc/group'), 'latin1')) ?? [];
  const policy = [
    'dont_appraise fsmagic=0x1021994',
    'appraise func=BPRM_CHECK',
    `appraise func=FILE_CHECK fgroup=${journal}`,
  ];
  writeFileSync(join(root, 'etc/assay/policy'), policy.map((line) => `${line}\n`).join(''));
  copyFileSync(join(root, 'bin/true'), join(root, 'opt/bad'));
  appendFileSync(join(root, 'opt/bad'), 'changed');
  const { problems } = await labelTree(root, { jobs: 2 });
  assert.equal(problems, 0);
  removeXattr(join(root, 'opt/bad'), IMA_XATTR);
}

/** Runs programs of the shell alone while nothing may be executed. */
const AGAIN = `systemctl show -p MainPID --value assay-guard >/run/before
read old </run/before
kill -KILL $old
tries=0
while read new </var/lib/assay/guard/guard.pid && [ "$new" = "$old" ] && [ $tries -lt 20000000 ]; do tries=$((tries+1)); done
until systemctl is-active assay-guard; do :; done
`;

const OUT = '/run/exchange/out';

describe('the unit on a Debian machine', { skip, timeout: 1_800_000 }, () => {
  let guest: Guest;
  before(async () => {
    guest = await makeGuest({ kernel: 'debian', tree: {}, banks: ['sha256'], diskMegabytes: 2500 });
    await guest.onDisk(install);
  });
  after(() => guest?.[Symbol.asyncDispose]());

  const boot = (lines: string, ...words: string[]): Promise<Boot> =>
    guest.boot({ commandLine: ['rw', 'systemd.show_status=true', ...words], script: [shell(lines)], seconds: 900 });

  test('it is started, reloaded, started again when it was killed, and stopped', async () => {
    const { file, seconds, accelerator } = await boot(`cd ${OUT}
systemctl is-active assay-guard >active
assay guard status --json >status
/opt/bad 2>bad.err; echo $? >bad
systemctl reload assay-guard; sleep 5
${AGAIN}
systemctl show -p NRestarts --value assay-guard >restarts
/opt/bad 2>/dev/null; echo $? >bad-again
/bin/true; echo $? >good-again
assay guard status >status-again
systemctl stop assay-guard
/opt/bad; echo $? >bad-after`);
    const said = (name: string): string => file(name).toString().trim();
    assert.equal(said('active'), 'active');
    const status = JSON.parse(said('status'));
    assert.deepEqual([status.mode, status.fail, status.unwatched], ['enforce', 'closed', []]);
    assert.ok(status.watched.some(({ path }: { path: string }) => path === '/'));
    assert.equal(said('bad'), '126');
    assert.match(said('bad.err'), /Operation not permitted/);
    assert.equal(said('restarts'), '1');
    assert.deepEqual([said('bad-again'), said('good-again'), said('bad-after')], ['126', '0', '0']);
    process.stdout.write(`# ${seconds.toFixed(0)} s under ${accelerator}\n`);
  });

  test('it is left out where the command line says so', async () => {
    const { file } = await boot(
      `systemctl is-active assay-guard >${OUT}/active || true; /opt/bad; echo $? >${OUT}/bad`,
      'assay.guard=off',
    );
    assert.deepEqual([file('active').toString().trim(), file('bad').toString().trim()], ['inactive', '0']);
  });
});
