import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EvidenceAnswer } from '../../evidence/index.ts';
import { AgentError } from '../error.ts';
import { attestUntilVerdict, RetryCount } from './push.ts';

/** Answers without a verdict that ask for the list from these offsets on, and then one with. */
function scripted(offsets: readonly number[]) {
  const answerAt = (index: number): EvidenceAnswer => ({
    verdict: index < offsets.length ? undefined : 'trusted',
    findings: [],
    measured: 0,
    next: {
      nonce: new Uint8Array(32),
      selection: { bank: 'sha256', pcrs: [10] },
      imaOffset: offsets[index] ?? 0,
      bootLog: 'bytes',
      userspaceLogOffset: 0,
      issuedAt: 0,
      expiresAt: 1,
    },
    retry: index < offsets.length,
    intervalMs: 1000,
  });
  let asked = 0;
  return { attest: async () => answerAt(asked++), asked: () => asked };
}

test('a list of many parts is sent to its end', async () => {
  const server = scripted(Array.from({ length: 40 }, (_, part) => (part + 1) * 1000));
  assert.equal((await attestUntilVerdict(server)).verdict, 'trusted');
  assert.equal(server.asked(), 41);
});

test('a server that asks for the same over and over is given up', async () => {
  const server = scripted(new Array(40).fill(0));
  await assert.rejects(attestUntilVerdict(server), (error: unknown) => {
    return error instanceof AgentError && error.code === 'agent.no-verdict';
  });
  assert.equal(server.asked(), 10);
});

test('tries for the same part of the list are counted, until one asks for a later part or has a verdict', async () => {
  const { attest } = scripted([1000, 1000, 1000, 2000, 2000]);
  const tries = new RetryCount();
  const counted: number[] = [];
  for (let i = 0; i < 6; i++) counted.push(tries.count(await attest()));
  assert.deepEqual(counted, [0, 1, 2, 0, 1, 0]);
});
