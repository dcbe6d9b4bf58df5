import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../usage-error.ts';
import { planSocket, planState, type SocketArguments } from './socket-options.ts';

const MINIMUM: SocketArguments = { tpm2: true, tpmstate: 'dir=/var/lib/vm', ctrl: 'type=unixio,path=/run/vm.sock' };
const plan = (more: SocketArguments = {}) => planSocket({ ...MINIMUM, ...more });

test('as libvirt starts it: a control channel for its user alone, keys in descriptors, an end with the guest', () => {
  const { state, control, data, needsInit, endsWithData, log, releasesWhenGone, isIncoming } = plan({
    ctrl: 'type=unixio,path=/run/libvirt/qemu/swtpm/1-vm-swtpm.sock,mode=0600',
    tpmstate: 'dir=/var/lib/libvirt/swtpm/0cbbd2d5/tpm2,mode=0600',
    log: 'file=/var/log/swtpm/libvirt/qemu/vm-swtpm.log',
    migration: 'release-lock-outgoing,incoming',
    terminate: true,
  });
  assert.deepEqual(control, { kind: 'unix', path: '/run/libvirt/qemu/swtpm/1-vm-swtpm.sock', mode: 0o600 });
  assert.deepEqual(state, { folder: '/var/lib/libvirt/swtpm/0cbbd2d5/tpm2', mode: 0o600, durable: false });
  assert.deepEqual([data, needsInit, endsWithData], [undefined, true, true]);
  assert.deepEqual([releasesWhenGone, isIncoming], [true, true]);
  assert.deepEqual(log.place, { file: '/var/log/swtpm/libvirt/qemu/vm-swtpm.log' });
});

test('as swtpm_setup starts it: connections that it has already, and a TPM that is started', () => {
  const { control, data, needsInit, startup, endsWithData } = plan({
    ctrl: 'type=unixio,clientfd=9',
    server: 'type=tcp,fd=11',
    flags: 'not-need-init,startup-clear',
  });
  assert.deepEqual(control, { kind: 'connected', fd: 9, isUnix: true });
  assert.deepEqual(data, { kind: 'connected', fd: 11, isUnix: false });
  assert.deepEqual([needsInit, startup, endsWithData], [false, 'clear', true]);
});

test('channels: ports on the loopback address unless told, paths, sockets that are bound already', () => {
  assert.deepEqual(plan({ ctrl: 'type=tcp,port=2322' }).control, { kind: 'tcp', host: '127.0.0.1', port: 2322 });
  assert.deepEqual(plan({ ctrl: 'type=tcp,port=1,bindaddr=fe80::1,ifname=eth0' }).control, {
    kind: 'tcp',
    host: 'fe80::1%eth0',
    port: 1,
  });
  assert.deepEqual(plan({ ctrl: 'type=unixio,fd=5,terminate' }).control, { kind: 'listening', fd: 5, isUnix: true });
  assert.equal(plan({ ctrl: 'type=unixio,fd=5,terminate' }).endsWithControl, true);
  assert.deepEqual(plan({ server: 'port=2321,disconnect' }).data, { kind: 'tcp', host: '127.0.0.1', port: 2321 });
  assert.deepEqual([plan({ port: '2321' }).disconnects, plan({ port: '2321' }).data?.kind], [true, 'tcp']);
  assert.deepEqual(plan({ server: 'type=unixio,path=/run/data,uid=1,gid=2' }).data, {
    kind: 'unix',
    path: '/run/data',
    mode: 0o770,
    uid: 1,
    gid: 2,
  });
  assert.equal(plan({ server: 'type=unixio,fd=7' }).data?.kind, 'listening');
  assert.deepEqual(plan({ fd: '8' }).data, { kind: 'connected', fd: 8, isUnix: false });
});

test('the state is in a folder, which the environment may name as for swtpm', () => {
  assert.equal(planState('backend-uri=dir:///var/lib/vm').folder, '/var/lib/vm');
  process.env.TPM_PATH = '/from/environment';
  try {
    assert.equal(planState(undefined).folder, '/from/environment');
    assert.equal(planState('fsync').durable, true);
  } finally {
    delete process.env.TPM_PATH;
  }
  assert.throws(() => planState(undefined), UsageError);
});

test('what cannot be followed is refused, with the option and what it takes', () => {
  const refused: readonly (readonly [SocketArguments, RegExp])[] = [
    [{ tpm2: false }, /--tpm2 is needed/],
    [{ ctrl: 'path=/run/x' }, /--ctrl: type is unixio or tcp/],
    [{ ctrl: 'type=unixio' }, /--ctrl: a path or a descriptor/],
    [{ ctrl: 'type=tcp' }, /--ctrl: a port or a descriptor/],
    [{ ctrl: 'type=tcp,port=65536' }, /--ctrl: port is a number up to 65535/],
    [{ ctrl: 'type=tcp,port=1x' }, /--ctrl: port is a number/],
    [{ ctrl: 'type=unixio,path=/x,mode=0999' }, /--ctrl: mode is an octal number up to 777/],
    [{ ctrl: 'type=unixio,path=/x,mood=1' }, /--ctrl takes no 'mood'/],
    [{ ctrl: 'type=unixio,path=/x,path=/y' }, /--ctrl has 'path' twice/],
    [{ ctrl: 'type=unixio,path=' }, /--ctrl: path needs a value/],
    [{ tpmstate: 'backend-uri=file:///x' }, /--tpmstate: backend-uri is dir:/],
    [{ tpmstate: 'dir=/x,backup' }, /--tpmstate takes no 'backup'/],
    [{ flags: 'startup-deactivated' }, /--flags takes no 'startup-deactivated'/],
    [{ flags: 'not-need-init=maybe' }, /--flags: not-need-init is true or false/],
    [{ locality: 'all' }, /--locality takes no 'all'/],
    [{ log: 'level=1' }, /--log: a file or a descriptor/],
    [{ pid: 'file=' }, /--pid: file needs a value/],
    [{ seccomp: 'act=kill' }, /--seccomp takes no 'act'/],
  ];
  for (const [args, why] of refused) {
    assert.throws(
      () => plan(args),
      (error: unknown) => error instanceof UsageError && why.test(error.message) && error.exitCode === 2,
      JSON.stringify(args),
    );
  }
  assert.throws(() => planSocket({ tpm2: true, tpmstate: 'dir=/x' }), /--ctrl or --server is needed/);
});
