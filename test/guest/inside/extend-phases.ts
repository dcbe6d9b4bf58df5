/**
 * Runs in the guest: measures boot phases as systemd-pcrphase does (systemd 252: src/boot/pcrphase.c), and after each keeps
 * every PCR as file `pcrs-after-PHASE`, a line `bank index value` each.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digest, toHex } from '../../../src/bytes/index.ts';
import { activeBanks, extendPcr, openDevice, readPcrs, TpmClient } from '../../../src/tpm/index.ts';

const PHASE_PCR = 11;
const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
const [, , folder = '', ...phases] = process.argv;

const tpm = new TpmClient(await openDevice('/dev/tpmrm0'));
const active = await activeBanks(tpm);
const banks = BANKS.filter((bank) => active.some(({ hash }) => hash === bank));
for (const phase of phases) {
  const measured = banks.map((bank) => ({ hashAlg: bank, digest: digest(bank, Buffer.from(phase)) }));
  await extendPcr(tpm, PHASE_PCR, measured);
  const lines: string[] = [];
  for (const { hash, pcrs } of active)
    for (const { index, value } of await readPcrs(tpm, hash, pcrs)) lines.push(`${hash} ${index} ${toHex(value)}`);
  writeFileSync(join(folder, `pcrs-after-${phase}`), `${lines.join('\n')}\n`);
}
await tpm.close();
