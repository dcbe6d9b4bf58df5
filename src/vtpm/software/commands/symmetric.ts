/** Encryption and decryption by symmetric keys: TPM 2.0 Part 3, 15.2 and 15.3. */
import type { RequestOf, TPM2_EncryptDecrypt } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import type { Machine } from '../machine.ts';
import { refuse } from '../refusal.ts';
import { blockSize, type CipherMode, cipherOf, cryptChained } from '../symmetric.ts';

/** Both commands have the same parameters in another order (Part 4, EncryptDecryptShared). */
type Request = RequestOf<typeof TPM2_EncryptDecrypt>;

const MODES: Readonly<Record<string, CipherMode>> = { ctr: 'ctr', ofb: 'ofb', cbc: 'cbc', cfb: 'cfb', ecb: 'ecb' };

function selectMode(own: string, asked: Request['mode']): CipherMode {
  if (own !== 'null' && MODES[own] === undefined) refuse('MODE', 'keyHandle');
  const isOwn = own === 'null' || asked === 'null' || asked === own;
  return (isOwn ? MODES[own === 'null' ? asked : own] : undefined) ?? refuse('MODE', 'mode');
}

function encryptDecrypt(machine: Machine, { keyHandle, decrypt, mode: asked, ivIn, inData }: Request) {
  const { publicArea, sensitive } = machine.object(keyHandle);
  if (publicArea.type !== 'symcipher' || sensitive === undefined) return refuse('KEY', 'keyHandle');
  const { restricted, decrypt: decrypts, sign } = publicArea.objectAttributes;
  if (restricted || !(decrypt ? decrypts : sign)) refuse('ATTRIBUTES', 'keyHandle');
  const { sym } = publicArea.parameters;
  const mode = selectMode(sym.mode, asked);
  const cipher = cipherOf(sym) ?? refuse('KEY', 'keyHandle');
  const size = blockSize(cipher);
  if (ivIn.length !== (mode === 'ecb' ? 0 : size)) refuse('SIZE', 'ivIn');
  if ((mode === 'cbc' || mode === 'ecb') && inData.length % size !== 0) refuse('SIZE', 'inData');
  return cryptChained(decrypt ? 'decrypt' : 'encrypt', cipher, mode, sensitive.sensitive, ivIn, inData);
}

export const symmetric = {
  /** 15.2 */
  TPM2_EncryptDecrypt: encryptDecrypt,

  /** 15.3 */
  TPM2_EncryptDecrypt2: encryptDecrypt,
} satisfies Handlers;
