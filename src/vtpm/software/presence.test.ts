/** Commands that need somebody at the machine (Part 1, 19.3.6; Part 3, 26.2). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import {
  COMMANDS,
  marshalCommand,
  TPM_RH,
  TPM2_Clear,
  TPM2_GetCapability,
  TPM2_PP_Commands,
  TPM2_Startup,
  type TpmClient,
} from '../../tpm/index.ts';

const CLEAR = COMMANDS.TPM2_Clear.code;
const ITSELF = COMMANDS.TPM2_PP_Commands.code;

async function listed(client: TpmClient): Promise<readonly number[]> {
  const request = { capability: 'pp_commands', property: 0, propertyCount: 254 } as const;
  const { capabilityData } = await client.execute(TPM2_GetCapability, request);
  return capabilityData.capability === 'pp_commands' ? capabilityData.data : assert.fail(capabilityData.capability);
}

const set = (client: TpmClient, setList: readonly number[], clearList: readonly number[] = []) =>
  client.execute(TPM2_PP_Commands, { auth: TPM_RH.PLATFORM, setList, clearList });
const clear = (client: TpmClient, authHandle: number) => client.execute(TPM2_Clear, { authHandle });

test('the list itself is changed by who is there, and never without itself in it', async () => {
  const { tpm, client } = startedTpm();
  await assert.rejects(set(client, [CLEAR]), isRefusal('PP'));
  tpm.isPhysicallyPresent = true;
  await set(client, [CLEAR, COMMANDS.TPM2_GetRandom.code, 0xffff], [ITSELF]);
  assert.deepEqual(await listed(client), [CLEAR, ITSELF]);
});

test('a command on the list needs presence where the platform authorizes it, until it is taken off, over resets too', async () => {
  const { tpm, client } = startedTpm();
  tpm.isPhysicallyPresent = true;
  await set(client, [CLEAR]);
  tpm.isPhysicallyPresent = false;
  tpm.powerOn();
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  await assert.rejects(clear(client, TPM_RH.PLATFORM), isRefusal('PP'));
  await clear(client, TPM_RH.LOCKOUT);
  tpm.isPhysicallyPresent = true;
  await clear(client, TPM_RH.PLATFORM);
  await set(client, [], [CLEAR]);
  tpm.isPhysicallyPresent = false;
  await clear(client, TPM_RH.PLATFORM);
});
