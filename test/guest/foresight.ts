/**
 * What is predicted of a boot before the machine is switched on: by the room in every bank, and by the command from the
 * files as they would be mounted. Afterwards it is held against the PCRs that the TPM has.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { predictBoot } from '../../src/boot/index.ts';
import { SWTPM_BANKS } from '../../src/vtpm/index.ts';
import { finished } from '../fixtures/finished.ts';
import { logOf, pcrsOf, touchedPcrs } from './boot-judgement.ts';
import { describedBoot, ENTRY, GRUB, LOADER, UKI } from './described-boot.ts';
import { LINUX_PARTITION, LINUX_UUID } from './esp.ts';
import type { FirmwareVariable } from './firmware.ts';
import type { Boot, Guest, PreparedBoot } from './guest.ts';
import { MEMORY_MEGABYTES } from './qemu.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
/** Said of every kernel that QEMU hands over. */
export const ALWAYS_WARNED = /^PCR 4 is that of QEMU up to 7\.2/;

export interface Foresight {
  /** For `guest.boot`. */
  readonly beforeStart: (prepared: PreparedBoot) => Promise<void>;
  /** PCRs whose prediction the TPM does not have, in any bank: those that something not described has moved. */
  mispredicted(boot: Boot): string[];
}

export interface Changes {
  /** Secure Boot variables that are not those of the log. */
  readonly variables?: Readonly<Record<string, Uint8Array>>;
  /** What the machine's owner has enrolled. */
  readonly mokList?: FirmwareVariable;
}

/** @param earlier whose log the firmware's records are taken from */
export function foresee(guest: Guest, earlier: Boot, { variables = {}, mokList }: Changes = {}): Foresight {
  let predicted: ReturnType<typeof predictBoot>['pcrs'] | undefined;
  return {
    async beforeStart(prepared) {
      const disk = prepared.disk === undefined ? {} : { disk: { name: 'disk', bytes: readFileSync(prepared.disk) } };
      const boot = describedBoot(guest, prepared, mokList);
      const { pcrs, refusals, warnings } = predictBoot({ boot, base: logOf(earlier), variables, ...disk });
      const unexpected = warnings.filter((warning) => !ALWAYS_WARNED.test(warning));
      assert.deepEqual({ refusals, unexpected }, { refusals: [], unexpected: [] });
      predicted = pcrs;
      assert.deepEqual(
        await byCommand(guest, prepared, earlier, { variables, ...(mokList && { mokList }) }),
        pcrs.sha256,
      );
    },
    mispredicted(boot) {
      assert.ok(predicted !== undefined, 'nothing was predicted before the boot');
      const pcrs = predicted;
      const held = pcrsOf(boot);
      return touchedPcrs(boot).filter((pcr) => SWTPM_BANKS.some((bank) => pcrs[bank]?.[pcr] !== held[bank]?.[pcr]));
    },
  };
}

/** `assay boot predict`, over folders as the partitions are mounted. */
async function byCommand(
  guest: Guest,
  prepared: PreparedBoot,
  earlier: Boot,
  { variables = {}, mokList }: Changes,
): Promise<unknown> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-foresight-'));
  const place = (name: string): string => join(folder, name);
  const file = (name: string, bytes: Uint8Array): string => {
    writeFileSync(place(name), bytes);
    return place(name);
  };
  try {
    mount(prepared, place('esp'), place('linux'));
    const given = [
      ...['--base', file('base.log', earlier.file('boot')), '--json'],
      ...(prepared.disk === undefined ? [] : ['--gpt', prepared.disk]),
      ...Object.entries(variables).flatMap(([name, data]) => ['--variable', `${name}=${file(`${name}.esl`, data)}`]),
      ...(mokList === undefined ? [] : ['--mok-list', file('mok', mokList.data)]),
    ];
    const way = wayOf(guest, prepared, place('esp'), place('linux'));
    const { status, stdout, stderr } = await finished(process.execPath, [MAIN, 'boot', 'predict', ...way, ...given]);
    assert.equal(status, 0, stderr.toString());
    return JSON.parse(stdout.toString()).variants[0].pcrs.sha256;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function mount({ esp }: PreparedBoot, first: string, linux: string): void {
  for (const folder of [first, linux]) mkdirSync(folder);
  for (const [path, file] of Object.entries(esp)) {
    const place = path.startsWith(LINUX_PARTITION)
      ? join(linux, path.slice(LINUX_PARTITION.length))
      : join(first, path);
    mkdirSync(dirname(place), { recursive: true });
    cpSync(file, place);
  }
}

function wayOf(guest: Guest, { esp, payload, words }: PreparedBoot, first: string, linux: string): string[] {
  const onDisk = ['--esp', first];
  if (esp[LOADER] === undefined) {
    const files = ['--kernel', payload.kernel, '--initrd', payload.initramfs, '--memory', `${MEMORY_MEGABYTES}`];
    return ['qemu-kernel', ...files, '--cmdline', guest.loadOptions(words)];
  }
  if (esp[GRUB] !== undefined) return ['shim-grub', ...onDisk, '--disk', `${LINUX_PARTITION},${LINUX_UUID}=${linux}`];
  if (esp[UKI] !== undefined) return ['systemd-boot', ...onDisk, '--entry', UKI];
  if (esp[ENTRY] !== undefined) return ['systemd-boot', ...onDisk, '--entry', ENTRY];
  return ['uki', '--uki', join(first, LOADER)];
}
