import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import { Session, TPM2_ContextLoad, TPM2_ContextSave, TpmClient } from '../../tpm/index.ts';
import { executeCommand } from './engine.ts';
import { CONTEXT_GAP } from './limits.ts';
import { type Machine, openMachine } from './machine.ts';
import { FIRST_CONTEXT_ID, nextContextId } from './saved-sessions.ts';

/** With its memory at hand: to count there would take as many commands. */
function machineAtHand(): { machine: Machine; client: TpmClient } {
  const machine = openMachine(startedTpm().tpm.save(), undefined, () => assert.fail('it has memory'), {});
  const execute = async (command: Uint8Array) => executeCommand(machine, command, 0);
  return { machine, client: new TpmClient({ description: 'a test', execute, close: async () => undefined }) };
}

const start = (client: TpmClient): Promise<Session> => Session.start(client, { type: 'hmac' });
const save = (client: TpmClient, { handle }: Session) => client.execute(TPM2_ContextSave, { saveHandle: handle });

test('only the newest context of a session loads, and once', async () => {
  const { client } = startedTpm();
  const session = await start(client);
  const first = await save(client, session);
  await assert.rejects(save(client, session), isRefusal('REFERENCE_H0'), 'it is outside');
  assert.equal((await client.execute(TPM2_ContextLoad, first)).loadedHandle, session.handle);
  await assert.rejects(client.execute(TPM2_ContextLoad, first), isRefusal('HANDLE'));
  const second = await save(client, session);
  await assert.rejects(client.execute(TPM2_ContextLoad, first), isRefusal('HANDLE'));
  await client.execute(TPM2_ContextLoad, second);
});

test('a session that has been outside for 65,536 contexts has to come back before another is saved', async () => {
  const { machine, client } = machineAtHand();
  const [oldest, other] = [await start(client), await start(client)];
  const saved = await save(client, oldest);
  machine.volatile.sessionContextId = saved.context.sequence + BigInt(CONTEXT_GAP);
  const later = await save(client, other);
  await client.execute(TPM2_ContextLoad, later);
  await assert.rejects(save(client, other), isRefusal('CONTEXT_GAP'));

  // Two places are left, of which the last is kept for it
  await start(client);
  await assert.rejects(start(client), isRefusal('CONTEXT_GAP'));
  await client.execute(TPM2_ContextLoad, saved);
  await save(client, other);
});

test('the numbers of contexts leave out what looks like a place in memory, each time around', () => {
  assert.equal(nextContextId(0x1_0003n), 0x1_0004n);
  assert.equal(nextContextId(0x1_ffffn), 0x2_0000n + FIRST_CONTEXT_ID);
});
