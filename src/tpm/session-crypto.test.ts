/**
 * Known answers: HMACs and encrypted parameters that tpm2-tss and libtpms computed, both of which know nothing of us.
 * Nothing here is taken from the client's own sessions, only the pure functions that both ends of one compute.
 */
import assert from 'node:assert/strict';
import { createECDH } from 'node:crypto';
import { test } from 'node:test';
import {
  EXCHANGES,
  type Exchange,
  NAMES,
  RANDOM,
  RSA_SALT,
  SALT_KEY,
  SEALED_PRIVATE,
} from '../../test/fixtures/recorded-sessions.ts';
import { fromHex, toHex } from '../bytes/index.ts';
import { decode } from './codec.ts';
import { TPM2_StartAuthSession } from './commands.ts';
import { KDFe } from './crypto/kdf.ts';
import { TpmError } from './errors.ts';
import { type SplitCommand, splitCommand, splitResponse, unmarshalRequest, unmarshalResponse } from './frame.ts';
import { cpHash, handleName, rpHash } from './names.ts';
import { cryptParameter, deriveSessionKey, sessionHmac, trimAuth, withFirstBuffer } from './session-crypto.ts';
import { TPM_RH, type TPMI_ALG_HASH, TPMS_ECC_POINT, type TPMT_SYM_DEF } from './structures.ts';

const NONE = new Uint8Array(0);
const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');
const OWNER = toHex(handleName(TPM_RH.OWNER));
const SEALED = text('sealed secret');

/** One end's view of a session: what both know, and the TPM's last nonce. */
interface Known {
  readonly authHash: TPMI_ALG_HASH;
  readonly symmetric: TPMT_SYM_DEF;
  readonly key: Uint8Array;
  nonceTPM: Uint8Array;
}

interface Secrets {
  /** From encryptedSalt; undefined where the session is not salted. */
  readonly salt?: (encrypted: Uint8Array) => Uint8Array;
  readonly bindAuth?: Uint8Array;
}

function start({ command, response }: Exchange, { salt, bindAuth }: Secrets): Known {
  const asked = unmarshalRequest(TPM2_StartAuthSession, splitCommand(fromHex(command)));
  const { nonceTPM } = unmarshalResponse(TPM2_StartAuthSession, fromHex(response)).response;
  const { authHash, symmetric, nonceCaller, encryptedSalt } = asked;
  const isKeyed = salt !== undefined || bindAuth !== undefined;
  const seed = salt?.(encryptedSalt) ?? NONE;
  const key = isKeyed ? deriveSessionKey(authHash, bindAuth ?? NONE, seed, nonceTPM, nonceCaller) : NONE;
  return { authHash, symmetric, key, nonceTPM };
}

/** Part 1, C.6.1: ECDH with the sender's ephemeral point, then KDFe. */
function saltByP256(encrypted: Uint8Array): Uint8Array {
  const ephemeral = decode(TPMS_ECC_POINT, encrypted);
  const own = createECDH('prime256v1');
  own.setPrivateKey(fromHex(SALT_KEY.scalar));
  const z = own.computeSecret(Buffer.concat([Buffer.of(4), ephemeral.x, ephemeral.y]));
  return KDFe('sha256', z, 'SECRET', ephemeral.x, fromHex(SALT_KEY.x), 256);
}

const saltByRsa = (): Uint8Array => fromHex(RSA_SALT);

/** A session in a command, with the authorization value of the entity that it authorizes. */
interface Use {
  readonly session: Known;
  readonly auth?: Uint8Array;
  /** Where the command changes the value. */
  readonly authAfter?: Uint8Array;
  /** It is bound to the entity: the value is in its key already and not again in the HMAC's. */
  readonly isBound?: boolean;
}

interface Clear {
  readonly request: Uint8Array;
  readonly response: Uint8Array;
}

/** Checks every HMAC of a recorded exchange. @returns the parameters in the clear */
function check({ command, response }: Exchange, names: readonly string[], uses: readonly Use[]): Clear {
  const sent = splitCommand(fromHex(command));
  const answered = splitResponse(sent.command, fromHex(response));
  assert.equal(sent.authorizations.length, uses.length);
  const request = checkCommand(sent, names, uses);

  let clear = answered.parameters;
  for (const [index, { session, auth = NONE, authAfter = auth, isBound = false }] of uses.entries()) {
    const [own, its] = [sent.authorizations[index], answered.authorizations[index]];
    assert.ok(own && its);
    const { authHash } = session;
    const nonces = { nonceNewer: its.nonce, nonceOlder: own.nonce };
    const pHash = rpHash(authHash, 0, sent.code, answered.parameters);
    const key = Buffer.concat([session.key, isBound ? NONE : authAfter]);
    const hmac = sessionHmac({ authHash, key, pHash, ...nonces, attributes: its.sessionAttributes });
    assert.equal(toHex(hmac), toHex(its.hmac), `${sent.command.name}: the TPM's HMAC`);
    session.nonceTPM = its.nonce;
    if (its.sessionAttributes.encrypt === true) {
      const cipher = { ...session, sessionValue: Buffer.concat([session.key, authAfter]), ...nonces };
      clear = withFirstBuffer(answered.parameters, (content) => cryptParameter('decrypt', cipher, content));
    }
  }
  return { request, response: clear };
}

function checkCommand(sent: SplitCommand, names: readonly string[], uses: readonly Use[]): Uint8Array {
  let clear = sent.parameters;
  for (const [index, { session, auth = NONE, isBound = false }] of uses.entries()) {
    const own = sent.authorizations[index];
    assert.ok(own);
    const { authHash } = session;
    const nonces = { nonceNewer: own.nonce, nonceOlder: session.nonceTPM };
    const others = index === 0 ? uses.slice(1).map((other) => other.session.nonceTPM) : [];
    const pHash = cpHash(
      authHash,
      sent.code,
      names.map((name) => fromHex(name)),
      sent.parameters,
    );
    const key = Buffer.concat([session.key, isBound ? NONE : auth]);
    const attributes = own.sessionAttributes;
    const hmac = sessionHmac({ authHash, key, pHash, ...nonces, otherNonces: others, attributes });
    assert.equal(toHex(hmac), toHex(own.hmac), `${sent.command.name}: the caller's HMAC`);
    if (attributes.decrypt === true) {
      const cipher = { ...session, sessionValue: Buffer.concat([session.key, auth]), ...nonces };
      clear = withFirstBuffer(sent.parameters, (content) => cryptParameter('decrypt', cipher, content));
      const again = withFirstBuffer(clear, (content) => cryptParameter('encrypt', cipher, content));
      assert.deepEqual(again, sent.parameters);
    }
  }
  return clear;
}

/** The content of the TPM2B that parameters begin with. */
function firstBuffer(parameters: Uint8Array): Uint8Array {
  const size = Buffer.from(parameters).readUInt16BE(0);
  return parameters.subarray(2, 2 + size);
}

test('a session salted under a P-256 key and bound to the parent: both directions encrypted, its entity and another', () => {
  const auth = text('parent-auth');
  const session = start(EXCHANGES.startSaltedAndBound, { salt: saltByP256, bindAuth: auth });
  const created = check(EXCHANGES.create, [NAMES.parent], [{ session, auth, isBound: true }]);
  const sensitive = Buffer.from(firstBuffer(created.request)).toString('latin1');
  assert.equal(sensitive, '\0\x0bobject-auth\0\x0dsealed secret');
  assert.equal(toHex(firstBuffer(created.response)), SEALED_PRIVATE);
  const unsealed = check(EXCHANGES.unseal, [NAMES.sealed], [{ session, auth: text('object-auth') }]);
  assert.deepEqual(Buffer.from(firstBuffer(unsealed.response)), SEALED);
});

test('a session with SHA-384 salted under an RSA key, over an NV index whose Name its first write changes', () => {
  const session = start(EXCHANGES.startSaltedByRsa, { salt: saltByRsa });
  const auth = text('index-auth');
  const defined = check(EXCHANGES.define, [OWNER], [{ session }]);
  assert.deepEqual(Buffer.from(firstBuffer(defined.request)), auth);
  const { unwrittenIndex, writtenIndex } = NAMES;
  const written = check(EXCHANGES.write, [unwrittenIndex, unwrittenIndex], [{ session, auth }]);
  assert.deepEqual(Buffer.from(firstBuffer(written.request)), text('sixteen bytes ..'));
  const read = check(EXCHANGES.read, [writtenIndex, writtenIndex], [{ session, auth }]);
  assert.deepEqual(Buffer.from(firstBuffer(read.response)), text('sixteen bytes ..'));
});

test('a plain session authorizes beside a bound one that encrypts, whose nonce is in its HMAC, and changes a value', () => {
  const session = start(EXCHANGES.startPlain, {});
  const encrypting = start(EXCHANGES.startBound, { bindAuth: text('parent-auth') });
  const uses = [{ session, auth: text('index-auth') }, { session: encrypting }];
  const read = check(EXCHANGES.readWithTwoSessions, [NAMES.writtenIndex, NAMES.writtenIndex], uses);
  assert.deepEqual(Buffer.from(firstBuffer(read.response)), text('sixteen bytes ..'));

  // The value that the command sets is in the response's HMAC already
  const changed = check(EXCHANGES.changeOwnerAuth, [OWNER], [{ session, authAfter: text('owner-auth') }]);
  assert.deepEqual(Buffer.from(firstBuffer(changed.request)), text('owner-auth'));
});

test('a policy session with TPM2_PolicyAuthValue takes the value into HMAC and encryption', () => {
  const session = start(EXCHANGES.startPolicy, { salt: saltByP256 });
  const uses = [{ session, auth: text('policy-auth') }];
  const unsealed = check(EXCHANGES.unsealByPolicy, [NAMES.sealedByPolicy], uses);
  assert.deepEqual(Buffer.from(firstBuffer(unsealed.response)), SEALED);
});

test('a session that authorizes nothing encrypts with its key alone', () => {
  const session = start(EXCHANGES.startForRandom, { salt: saltByP256 });
  const { response } = check(EXCHANGES.random, [], [{ session }]);
  assert.equal(toHex(firstBuffer(response)), RANDOM);
});

test('authorization values lose trailing zeros and no others', () => {
  for (const [given, taken] of [
    ['00ab00cd0000', '00ab00cd'],
    ['0000', ''],
    ['', ''],
    ['0001', '0001'],
  ] as const) {
    assert.equal(toHex(trimAuth(fromHex(given))), taken);
  }
});

test('a first parameter that says more than is there is refused', () => {
  for (const hex of ['', '00', '0001', '0005aabbccdd']) {
    assert.throws(
      () => withFirstBuffer(fromHex(hex), (content) => content),
      (error) => error instanceof TpmError && error.code === 'tpm.malformed',
      hex,
    );
  }
});
