/**
 * A software TPM in a folder, for `vtpm-kill.test.ts`, which kills this process: each line that comes in does the next step,
 * and what was answered is told.
 */
import { createInterface } from 'node:readline';
import { extendPcr, TPM_RH, TPM2_NV_DefineSpace, TPM2_NV_Write, TPM2_Startup, TpmClient } from '../../src/tpm/index.ts';
import { inProcessTransport, PoweredTpm, StateFolder } from '../../src/vtpm/index.ts';

export const NV_INDEX = 0x0180_0001;
const NONE = new Uint8Array(0);

const [folder = ''] = process.argv.slice(2);
const tpm = new PoweredTpm(await StateFolder.open(folder, { durable: true, key: Buffer.alloc(32, 1) }));
const client = new TpmClient(inProcessTransport(tpm, folder));

const write = (text: string): Promise<unknown> =>
  client.execute(TPM2_NV_Write, { authHandle: NV_INDEX, nvIndex: NV_INDEX, data: Buffer.from(text), offset: 0 });

/** What each does to the folder. */
const STEPS = [
  async () => write('old'),
  async () => write('new'),
  async () => tpm.storeVolatile(),
  async () => extendPcr(client, 10, [{ hashAlg: 'sha256', digest: Buffer.alloc(32, 1) }]),
] as const;

await tpm.init(true);
await client.execute(TPM2_Startup, { startupType: 'clear' });
await client.execute(TPM2_NV_DefineSpace, {
  authHandle: TPM_RH.OWNER,
  auth: NONE,
  publicInfo: {
    nvIndex: NV_INDEX,
    nameAlg: 'sha256',
    attributes: { authread: true, authwrite: true, no_da: true },
    authPolicy: NONE,
    dataSize: 3,
  },
});
await STEPS[0]();
process.stdout.write('step 0 is done\n');
for await (const _ of createInterface({ input: process.stdin })) {
  for (const [number, step] of STEPS.entries()) {
    if (number === 0) continue;
    await step();
    process.stdout.write(`step ${number} is done\n`);
  }
  process.stdout.write('all is done\n');
}
