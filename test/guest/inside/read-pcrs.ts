/** Runs in the guest: reads every PCR of the TPM's active banks through /dev/tpmrm0, a line `bank index value` each. */
import { toHex } from '../../../src/bytes/index.ts';
import { activeBanks, openDevice, readPcrs, TpmClient } from '../../../src/tpm/index.ts';

const tpm = new TpmClient(await openDevice('/dev/tpmrm0'));
for (const { hash, pcrs } of await activeBanks(tpm)) {
  for (const { index, value } of await readPcrs(tpm, hash, pcrs)) console.log(`${hash} ${index} ${toHex(value)}`);
}
await tpm.close();
