/** A certificate authority for tests: issues EK certificates as a TPM's maker would. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  bitString,
  der,
  explicit,
  integer,
  objectIdentifier,
  sequence,
  set,
  time,
  utf8String,
} from '../../src/server/der.ts';

export interface TestAuthority {
  readonly name: string;
  /** X.509, DER: the root. */
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;
}

const DAY = 86_400_000;
const ECDSA_WITH_SHA256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
const BASIC_CONSTRAINTS = objectIdentifier('2.5.29.19');
const TRUE = der(0x01, Buffer.from([0xff]));
const CA = sequence(BASIC_CONSTRAINTS, TRUE, der(0x04, sequence(TRUE)));
const NOT_CA = sequence(BASIC_CONSTRAINTS, TRUE, der(0x04, sequence()));

export function testAuthority(name: string): TestAuthority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const dates = { from: Date.now() - 365 * DAY, until: Date.now() + 365 * DAY };
  return { name, privateKey, certificate: issue(name, name, publicKey, privateKey, dates, CA) };
}

/** An EK's certificate, DER. */
export function certify(authority: TestAuthority, key: KeyObject, dates: { from: number; until: number }): Buffer {
  return issue(authority.name, 'EK', key, authority.privateKey, dates, NOT_CA);
}

function issue(
  issuer: string,
  subject: string,
  key: KeyObject,
  signer: KeyObject,
  { from, until }: { from: number; until: number },
  constraints: Buffer,
): Buffer {
  const named = (name: string): Buffer => sequence(set(sequence(objectIdentifier('2.5.4.3'), utf8String(name))));
  const tbs = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(randomBytes(16)),
    ECDSA_WITH_SHA256,
    named(issuer),
    sequence(time(new Date(from)), time(new Date(until))),
    named(subject),
    key.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(constraints)),
  );
  return sequence(tbs, ECDSA_WITH_SHA256, bitString(sign('sha256', tbs, signer)));
}
