import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { isRefusal, NO_FACTS, NONE, signingKey, startedTpm } from '../../../test/fixtures/started-tpm.ts';
import {
  TPM_RH,
  TPM2_Commit,
  TPM2_CreatePrimary,
  TPM2_Sign,
  type TPMS_ECC_POINT,
  type TPMT_PUBLIC,
  type TpmClient,
} from '../../tpm/index.ts';
import { CURVES } from './curves.ts';
import { isOnCurve, mod, sumOfProducts, toBigInt, toBytes } from './ecc.ts';
import { SPLIT_MAX } from './limits.ts';

const NO_POINT: TPMS_ECC_POINT = { x: NONE, y: NONE };
const NO_TICKET = { tag: 'hashcheck', hierarchy: TPM_RH.NULL, digest: NONE } as const;
const MESSAGE = createHash('sha256').update('a message').digest();
const { p, n, a, b, size } = CURVES.p256;

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const state = createHash('sha256');
  for (const part of parts) state.update(part);
  return state.digest();
};

async function ecdaaKey(client: TpmClient): Promise<{ handle: number; Q: TPMS_ECC_POINT }> {
  const template = signingKey();
  if (template.type !== 'ecc') return assert.fail('an ECC key');
  const scheme = { scheme: 'ecdaa', hashAlg: 'sha256', count: 0 } as const;
  const inPublic: TPMT_PUBLIC = { ...template, parameters: { ...template.parameters, scheme } };
  const request = { primaryHandle: TPM_RH.OWNER, inPublic, ...NO_FACTS };
  const { objectHandle, outPublic } = await client.execute(TPM2_CreatePrimary, request);
  return outPublic.type === 'ecc' ? { handle: objectHandle, Q: outPublic.unique } : assert.fail('an ECC key');
}

async function sign(client: TpmClient, keyHandle: number, count: number) {
  const inScheme = { scheme: 'ecdaa', hashAlg: 'sha256', count } as const;
  const { signature } = await client.execute(TPM2_Sign, {
    keyHandle,
    digest: MESSAGE,
    inScheme,
    validation: NO_TICKET,
  });
  return signature.sigAlg === 'ecdaa' ? signature : assert.fail(signature.sigAlg);
}

/** T = H(nonce ‖ digest) mod n (Part 1, C.4.2). */
const challenge = (nonce: Uint8Array): bigint => toBigInt(sha256(nonce, MESSAGE)) % n;

function power(base: bigint, exponent: bigint): bigint {
  let [result, square] = [1n, mod(base, p)];
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % p;
    square = (square * square) % p;
  }
  return result;
}

/** A point whose x is the hash of something: p = 3 (mod 4), so that a square's root is its power by (p + 1) / 4. */
function hashedPoint(): { s2: Uint8Array; point: TPMS_ECC_POINT } {
  for (let i = 0; ; i++) {
    const s2 = Buffer.from(`a base point ${i}`);
    const x = toBigInt(sha256(s2)) % p;
    const y = power((x * x + a) * x + b, (p + 1n) / 4n);
    const point = { x: toBytes(x, size), y: toBytes(y, size) };
    if (isOnCurve('p256', point)) return { s2, point };
  }
}

test('a commitment is signed for: s·G = E + T·Q, and the same about a point that was hashed to', async () => {
  const { client } = startedTpm();
  const { handle: signHandle, Q } = await ecdaaKey(client);
  const { s2, point } = hashedPoint();
  const P1 = sumOfProducts('p256', { scalar: 1n }) ?? assert.fail();
  const { K, L, E, counter } = await client.execute(TPM2_Commit, { signHandle, P1, s2, y2: point.y });
  const { signatureR, signatureS } = await sign(client, signHandle, counter);
  const [T, s] = [challenge(signatureR), toBigInt(signatureS)];
  assert.deepEqual(
    sumOfProducts('p256', { scalar: s }),
    sumOfProducts('p256', { scalar: 1n, point: E }, { scalar: T, point: Q }),
  );
  assert.deepEqual(
    sumOfProducts('p256', { scalar: s, point }),
    sumOfProducts('p256', { scalar: 1n, point: L }, { scalar: T, point: K }),
  );
});

test('a commitment serves once, for its key, and only the last 128 are open', async () => {
  const { client } = startedTpm();
  const { handle: signHandle } = await ecdaaKey(client);
  const commit = async () =>
    (await client.execute(TPM2_Commit, { signHandle, P1: NO_POINT, s2: NONE, y2: NONE })).counter;
  const first = await commit();
  await sign(client, signHandle, first);
  await assert.rejects(sign(client, signHandle, first), isRefusal('VALUE'));
  const second = await commit();
  assert.equal(second, first + 1);
  await assert.rejects(sign(client, signHandle, second + 1), isRefusal('VALUE'), 'nobody committed to it');
  for (let i = 0; i < SPLIT_MAX; i++) await commit();
  await assert.rejects(sign(client, signHandle, second), isRefusal('VALUE'));
  await sign(client, signHandle, second + SPLIT_MAX);
});

test('half a point, a point beside the curve, and a key that signs otherwise are refused', async () => {
  const { client } = startedTpm();
  const { handle: signHandle } = await ecdaaKey(client);
  const { s2, point } = hashedPoint();
  const commit = (change: object) =>
    client.execute(TPM2_Commit, { signHandle, P1: NO_POINT, s2, y2: point.y, ...change });
  await assert.rejects(commit({ y2: NONE }), isRefusal('SIZE'));
  await assert.rejects(commit({ y2: point.x }), isRefusal('ECC_POINT'));
  await assert.rejects(commit({ P1: { x: point.x, y: point.x } }), isRefusal('ECC_POINT'));
  const other = await client.execute(TPM2_CreatePrimary, {
    primaryHandle: TPM_RH.OWNER,
    inPublic: signingKey(),
    ...NO_FACTS,
  });
  await assert.rejects(commit({ signHandle: other.objectHandle }), isRefusal('SCHEME'));
});
