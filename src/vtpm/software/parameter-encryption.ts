/** The first parameter of a command or response, encrypted by a session (Part 1, 21; Part 4, CryptUtil.c). */
import { cryptParameter, KDFa } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';
import { authValueNow, refuseSession, type Use } from './session-use.ts';
import type { Session } from './state.ts';
import { blockSize, cipherOf, cryptCfb } from './symmetric.ts';

type Direction = 'encrypt' | 'decrypt';

/** Size and content of a TPM2B that begins the parameters. */
function firstBuffer(parameters: Uint8Array): { size: number; content: Uint8Array } {
  const size = parameters.length < 2 ? 0 : Buffer.from(parameters.subarray(0, 2)).readUInt16BE();
  return { size, content: parameters.subarray(2, 2 + size) };
}

function withContent(parameters: Uint8Array, content: Uint8Array): Uint8Array {
  const out = Uint8Array.from(parameters);
  out.set(content, 2);
  return out;
}

/** @param nonces newer and older */
function crypt(
  direction: Direction,
  machine: Machine,
  { session, subject }: Use & { session: Session },
  [nonceNewer, nonceOlder]: readonly [Uint8Array, Uint8Array],
  content: Uint8Array,
): Uint8Array {
  const { authHash, symmetric, sessionKey } = session;
  const sessionValue = Buffer.concat([sessionKey, authValueNow(machine, subject)]);
  const cipher = cipherOf(symmetric);
  if (cipher === undefined || cipher.algorithm === 'aes') {
    return cryptParameter(direction, { authHash, symmetric, sessionValue, nonceNewer, nonceOlder }, content);
  }
  const [keySize, ivSize] = [cipher.keyBits / 8, blockSize(cipher)];
  const derived = KDFa(authHash, sessionValue, 'CFB', nonceNewer, nonceOlder, (keySize + ivSize) * 8);
  return cryptCfb(direction, cipher, derived.subarray(0, keySize), content, derived.subarray(keySize));
}

const hasSession = (use: Use | undefined): use is Use & { session: Session } => use?.session !== undefined;

/** @throws {Refusal} `SIZE` of the session where there is no buffer of that size */
export function decryptFirst(machine: Machine, uses: readonly Use[], parameters: Uint8Array): Uint8Array {
  const use = uses.find(({ area }) => area.sessionAttributes.decrypt);
  if (!hasSession(use)) return parameters;
  const { size, content } = firstBuffer(parameters);
  if (size > parameters.length || parameters.length < 2) refuseSession('SIZE', use.position);
  return withContent(parameters, crypt('decrypt', machine, use, [use.area.nonce, use.session.nonceTPM], content));
}

export function encryptFirst(machine: Machine, uses: readonly Use[], parameters: Uint8Array): Uint8Array {
  const use = uses.find(({ area }) => area.sessionAttributes.encrypt);
  if (!hasSession(use)) return parameters;
  const { content } = firstBuffer(parameters);
  return withContent(parameters, crypt('encrypt', machine, use, [use.session.nonceTPM, use.area.nonce], content));
}
