/** Where the guard's measurements go: a list of the kernel's form, and the PCRs of a TPM where one is named. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeTemplateEntry, MeasurementLog, type PcrExtender, tpmExtender } from '../agent/index.ts';
import { digest } from '../bytes/index.ts';
import type { MeasurementSink } from '../guard/index.ts';
import { withTpm } from './with-tpm.ts';

interface ListOptions {
  readonly tpm?: string;
  readonly extend?: boolean;
  readonly data?: string;
  readonly json?: boolean;
}

/** Opens list and TPM for as long as `use` takes. @param folder the guard's */
export async function withGuardList(
  options: ListOptions,
  folder: string,
  use: (sink: MeasurementSink) => Promise<void>,
): Promise<void> {
  const place = join(folder, 'ima');
  const withLog = async (extender: PcrExtender): Promise<void> => {
    const log = await MeasurementLog.open(place, extender, { extend: options.extend === true });
    try {
      await use({ add: (measurements) => log.addEntries(measurements.map(encodeTemplateEntry)) });
    } finally {
      await log.close();
    }
  };
  if (options.tpm === undefined) await withLog(noTpm());
  else await withTpm(options, ({ tpm, kind }) => withLog(tpmExtender(tpm, kind)));
}

/** PCRs that nobody keeps: the list then stands for itself, one for each boot of the machine. */
function noTpm(): PcrExtender {
  const values = new Map<number, Buffer>();
  const boot = digest('sha256', readFileSync('/proc/sys/kernel/random/boot_id')).readUInt32LE(0);
  const kept = (pcr: number): Buffer => values.get(pcr) ?? Buffer.alloc(32);
  return {
    kind: 'software',
    boot: async () => ({ resetCount: boot, restartCount: 0 }),
    read: async (pcrs) => ({ sha256: Object.fromEntries(pcrs.map((pcr) => [pcr, kept(pcr)])) }),
    extend: async (pcr, { sha256 = new Uint8Array() }) => {
      values.set(pcr, digest('sha256', kept(pcr), sha256));
    },
  };
}
