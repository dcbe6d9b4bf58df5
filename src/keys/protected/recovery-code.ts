/** Recovery codes: as much as a key, in a form that people can write down and type. */
import { createHash, randomInt } from 'node:crypto';
import { KeyError } from '../error.ts';
import { masterText } from './master-text.ts';

/** Crockford's base 32: without I, L, O and U, which are misread. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const GROUPS = 8;
const GROUP_SIZE = 5;

/** 200 bits, as `XXXXX-XXXXX-…`. A secret. */
export function newRecoveryCode(): string {
  const group = (): string => Array.from({ length: GROUP_SIZE }, () => ALPHABET[randomInt(32)]).join('');
  return Array.from({ length: GROUPS }, group).join('-');
}

/**
 * The master key of a code: SHA-256 of its characters without what stands between. No slow derivation: nobody guesses 200 bits.
 * @throws {KeyError} `key.wrong-secret` for what is no code; the code is not repeated
 */
export function recoveryMaster(code: string): Buffer {
  const characters = code.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  const isCode = characters.length === GROUPS * GROUP_SIZE && [...characters].every((one) => ALPHABET.includes(one));
  if (isCode) return masterText(createHash('sha256').update(characters).digest());
  throw new KeyError('key.wrong-secret', 'this is no recovery code', {
    advice: `it has ${GROUPS} groups of ${GROUP_SIZE} letters and digits`,
  });
}
