/**
 * A running guest moves to another machine and back, and its TPM with it: QEMU takes the states out of one software TPM and
 * puts them into another. The guest goes on extending a PCR all the while, keeps a policy session open, and has NV memory.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Command,
  marshalCommand,
  TPM_RH,
  TPM2_NV_DefineSpace,
  TPM2_NV_Read,
  TPM2_NV_Write,
  TPM2_PCR_Extend,
  TPM2_PCR_Read,
  TPM2_PolicyGetDigest,
  TPM2_PolicyPCR,
  TPM2_ReadClock,
  TPM2_StartAuthSession,
  type TPMS_AUTH_COMMAND,
  unmarshalResponse,
} from '../../src/tpm/index.ts';
import { makeInitramfs } from '../guest/disk.ts';
import { FIRMWARE, FIRMWARE_VARIABLES } from '../guest/firmware.ts';
import { start, stop } from '../guest/process.ts';
import { accelerators, kernelCommandLine } from '../guest/qemu.ts';
import { Qmp } from '../guest/qmp.ts';
import { startSoftware } from '../guest/vtpm.ts';
import { requires, requiresPath } from './requirements.ts';

const programs = requires('qemu-system-x86_64', 'cpio', 'busybox');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');

const NONE = new Uint8Array(0);
const PASSWORD: TPMS_AUTH_COMMAND = {
  sessionHandle: TPM_RH.PW,
  nonce: NONE,
  sessionAttributes: { continueSession: true },
  hmac: NONE,
};
const NV_INDEX = 0x0180_0001;
const SESSION = 0x0300_0000;
const CONTENT = Buffer.from('of the guest');
const DIGEST = Buffer.alloc(32, 7);
const PCR = 23;
const selected = (pcr: number) => [{ hash: 'sha256', pcrs: [pcr] }] as const;

/** A command as the guest's shell writes it to /dev/tpm0. */
function bytes<H extends object, P extends object, RH extends object, RP extends object>(
  command: Command<H, P, RH, RP>,
  request: H & P,
): string {
  const passwords = command.handles.filter(({ auth }) => auth !== undefined).map(() => PASSWORD);
  const hex = Buffer.from(marshalCommand(command, request, passwords)).toString('hex');
  return hex.replace(/../g, '\\x$&');
}

const publicInfo = {
  nvIndex: NV_INDEX,
  nameAlg: 'sha256',
  attributes: { authread: true, authwrite: true, no_da: true },
  authPolicy: NONE,
  dataSize: CONTENT.length,
} as const;

const SETUP = {
  define: bytes(TPM2_NV_DefineSpace, { authHandle: TPM_RH.OWNER, auth: NONE, publicInfo }),
  write: bytes(TPM2_NV_Write, { authHandle: NV_INDEX, nvIndex: NV_INDEX, data: CONTENT, offset: 0 }),
  session: bytes(TPM2_StartAuthSession, {
    tpmKey: TPM_RH.NULL,
    bind: TPM_RH.NULL,
    nonceCaller: Buffer.alloc(16, 1),
    encryptedSalt: NONE,
    sessionType: 'policy',
    symmetric: { algorithm: 'null' },
    authHash: 'sha256',
  }),
  policy: bytes(TPM2_PolicyPCR, { policySession: SESSION, pcrDigest: NONE, pcrs: selected(0) }),
};
const REPORT = {
  pcr: bytes(TPM2_PCR_Read, { pcrSelectionIn: selected(PCR) }),
  boot: bytes(TPM2_PCR_Read, { pcrSelectionIn: selected(0) }),
  digest: bytes(TPM2_PolicyGetDigest, { policySession: SESSION }),
  nv: bytes(TPM2_NV_Read, { authHandle: NV_INDEX, nvIndex: NV_INDEX, size: CONTENT.length, offset: 0 }),
  clock: bytes(TPM2_ReadClock, {}),
};
const EXTEND = bytes(TPM2_PCR_Extend, { pcrHandle: PCR, digests: [{ hashAlg: 'sha256', digest: DIGEST }] });

const lines = (commands: Readonly<Record<string, string>>): string =>
  Object.entries(commands)
    .map(([name, command]) => `tpm ${name} '${command}'`)
    .join('\n');

/** Extends until a line is typed, then tells what the TPM holds; three times. */
const INIT = `#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /dev
$b mount -t devtmpfs dev /dev
exec 3<>/dev/tpm0
tpm() { $b printf "$2" >&3; echo "@$1 $($b dd bs=4096 count=1 <&3 2>/dev/null | $b hexdump -ve '1/1 "%02x"')@"; }
${lines(SETUP)}
n=0
for report in 0 1 2; do
  echo "@waiting $report@"
  while ! read -r -t 1 line; do tpm extend '${EXTEND}'; n=$((n+1)); done
  echo "@count $n@"
${lines(REPORT)}
  echo "@reported $report@"
done
$b poweroff -f
`;

interface Machine {
  readonly incoming: string;
  readonly qmp: Qmp;
  said(): string;
  says(what: string): Promise<void>;
  type(line: string): void;
  end(): Promise<void>;
}

describe('a guest that moves while it runs', { skip: programs.skip || kernel.skip, timeout: 600_000 }, () => {
  let folder = '';
  const machines: Machine[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'assay-migration-'));
    await makeInitramfs(join(folder, 'initramfs'), INIT);
    writeFileSync(join(folder, 'passphrase'), 'spoken words');
  });
  after(async () => {
    for (const machine of machines) await machine.end();
    await rm(folder, { recursive: true, force: true });
  });

  /** QEMU with a vTPM of its own. @param options of the vTPM */
  async function startMachine(isIncoming: boolean, options: readonly string[]): Promise<Machine> {
    const place = (name: string): string => join(folder, `${machines.length}-${name}`);
    const [incoming, monitor, control, variables] = ['incoming', 'qmp', 'tpm', 'variables'].map(place) as [
      string,
      string,
      string,
      string,
    ];
    copyFileSync(FIRMWARE_VARIABLES.none, variables);
    const tpm = await startSoftware(place('state'), control, options);
    const [accelerator = 'tcg'] = accelerators().slice(-1);
    const child = start(
      'qemu-system-x86_64',
      [
        ...['-accel', accelerator, '-cpu', 'max', '-machine', 'q35', '-m', '512', '-nodefaults', '-display', 'none'],
        ...['-no-reboot', '-serial', 'stdio', '-qmp', `unix:${monitor},server=on,wait=off`],
        ...['-drive', `if=pflash,format=raw,readonly=on,file=${FIRMWARE}`],
        ...['-drive', `if=pflash,format=raw,file=${variables}`],
        ...['-kernel', process.env.ASSAY_GUEST_KERNEL ?? '', '-initrd', join(folder, 'initramfs')],
        ...['-append', kernelCommandLine(['quiet'])],
        ...['-chardev', `socket,id=tpm,path=${control}`],
        ...['-tpmdev', 'emulator,id=vtpm,chardev=tpm', '-device', 'tpm-crb,tpmdev=vtpm'],
        ...(isIncoming ? ['-incoming', `unix:${incoming}`] : []),
      ],
      'pipe',
      'pipe',
    );
    let output = '';
    let complaints = '';
    child.stdout?.on('data', (data: Buffer) => (output += data.toString('latin1')));
    child.stderr?.on('data', (data: Buffer) => (complaints += data.toString()));
    const machine: Machine = {
      incoming,
      qmp: await Qmp.connect(monitor),
      said: () => output,
      async says(what) {
        for (let waited = 0; !output.includes(what); waited++) {
          const isOver = child.exitCode !== null || waited > 6000;
          if (isOver) throw new Error(`no '${what}'; it said ${output.slice(-2000)}; QEMU: ${complaints}`);
          await sleep(25);
        }
      },
      type: (line) => child.stdin?.write(`${line}\r`),
      async end() {
        machine.qmp.close();
        await stop(child);
        await tpm.stop();
      },
    };
    machines.push(machine);
    return machine;
  }

  async function move(from: Machine, to: Machine): Promise<void> {
    await from.qmp.ask('migrate', { uri: `unix:${to.incoming}` });
    for (;;) {
      const { status, ...rest } = (await from.qmp.ask('query-migrate')) as { status: string };
      if (status === 'completed') return;
      assert.ok(status !== 'failed' && status !== 'cancelled', JSON.stringify(rest));
      await sleep(50);
    }
  }

  interface Told {
    readonly count: number;
    readonly pcr: string;
    readonly boot: string;
    readonly digest: string;
    readonly nv: string;
    readonly resets: readonly [number, number];
    readonly clock: bigint;
  }

  /** What the guest told of its TPM, over all machines that it was on. */
  function told(report: number): Told {
    const all = machines.map((machine) => machine.said()).join('');
    const end = all.indexOf(`@reported ${report}@`);
    assert.ok(end > 0);
    const last = (name: string): string =>
      [...all.slice(0, end).matchAll(new RegExp(`@${name} ([0-9a-f]+)@`, 'g'))].at(-1)?.[1] ?? '';
    const read = <H extends object, P extends object, RH extends object, RP extends object>(
      command: Command<H, P, RH, RP>,
      name: string,
    ): RH & RP => unmarshalResponse(command, Buffer.from(last(name), 'hex')).response;
    const hex = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString('hex');
    const { clockInfo } = read(TPM2_ReadClock, 'clock').currentTime;
    return {
      count: Number(last('count')),
      pcr: hex(read(TPM2_PCR_Read, 'pcr').pcrValues[0]),
      boot: hex(read(TPM2_PCR_Read, 'boot').pcrValues[0]),
      digest: hex(read(TPM2_PolicyGetDigest, 'digest').policyDigest),
      nv: Buffer.from(read(TPM2_NV_Read, 'nv').data).toString(),
      resets: [clockInfo.resetCount, clockInfo.restartCount],
      clock: clockInfo.clock,
    };
  }

  function extended(count: number): string {
    let value: Uint8Array = Buffer.alloc(32);
    for (let i = 0; i < count; i++) value = createHash('sha256').update(value).update(DIGEST).digest();
    return Buffer.from(value).toString('hex');
  }

  test('PCRs, NV memory, sessions and clock are as they were, there and back; no extend is lost or made twice', async () => {
    const keys = ['--terminate', '--migration-key', `pwdfile=${join(folder, 'passphrase')},mode=aes-256-cbc`];
    const first = await startMachine(false, keys);
    await first.says('@waiting 0@');
    first.type('');
    await first.says('@reported 0@');
    await first.says('@waiting 1@');

    const second = await startMachine(true, keys);
    await move(first, second);
    await first.qmp.ask('quit').catch(() => undefined);
    await second.says('@extend');
    second.type('');
    await second.says('@reported 1@');
    await second.says('@waiting 2@');

    const third = await startMachine(true, keys);
    await move(second, third);
    await third.says('@extend');
    third.type('');
    await third.says('@reported 2@');

    const [before, there, back] = [told(0), told(1), told(2)];
    assert.ok(before.count < there.count && there.count < back.count, `${before.count} ${there.count} ${back.count}`);
    for (const { count, pcr, boot, digest, nv, resets } of [before, there, back]) {
      assert.equal(pcr, extended(count));
      assert.equal(nv, CONTENT.toString());
      assert.deepEqual([boot, digest, resets], [before.boot, before.digest, before.resets]);
    }
    assert.notEqual(before.digest, '00'.repeat(32));
    assert.ok(before.clock < there.clock && there.clock < back.clock);
  });
});
