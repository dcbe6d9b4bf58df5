/** PCR values as a guest's kernel shows them in sysfs: another way to the TPM than the one that is being tested. */

import type { SwtpmBank } from '../../src/vtpm/index.ts';
import type { Step } from './script.ts';
import { OUT } from './script.ts';

/** Brings every PCR of the banks out as file `name`: a line `bank index value` each. Runs nothing but busybox, so it measures nothing new. */
export function keepPcrs(name: string, banks: readonly SwtpmBank[]): Step {
  return {
    shell: `for bank in ${banks.join(' ')}; do
  for pcr in $(seq 0 23); do read -r value </sys/class/tpm/tpm0/pcr-$bank/$pcr; echo $bank $pcr $value; done
done >'${OUT}/${name}'`,
  };
}

/** bank → PCR → lower-case hex. */
export type KeptPcrs = Readonly<Record<string, Readonly<Record<string, string>>>>;

export function parsePcrs(text: string): KeptPcrs {
  const banks: Record<string, Record<string, string>> = {};
  for (const line of text.trim().split('\n')) {
    const [bank = '', pcr = '', value = ''] = line.split(' ');
    const values = banks[bank] ?? {};
    values[pcr] = value.toLowerCase();
    banks[bank] = values;
  }
  return banks;
}
