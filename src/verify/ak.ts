/** Whether a key may be an attestation key: asked once, at enrolment. */
import type { Refusal, RefusalCode } from '../evidence/index.ts';
import { decode, TPMT_PUBLIC, TpmError, TpmParseError } from '../tpm/index.ts';

const MIN_RSA_BITS = 2048;
const CURVES: ReadonlySet<string> = new Set(['p256', 'p384', 'p521']);
const WEAK_HASHES: ReadonlySet<string> = new Set(['sha1', 'null']);

/**
 * Everything that is wrong with an AK's public area; empty where it is fit. The attributes make the TPM sign only what
 * it made itself (restricted), with a key that never leaves it (TPM 2.0 Part 1, 23.3.1; TCG EK Credential Profile).
 * @param akPublic TPMT_PUBLIC, marshalled
 */
export function checkAkPublic(akPublic: Uint8Array): Refusal[] {
  let area: TPMT_PUBLIC;
  try {
    area = decode(TPMT_PUBLIC, akPublic);
  } catch (error) {
    if (!(error instanceof TpmError) && !(error instanceof TpmParseError)) throw error;
    return [{ code: 'ak.malformed', message: `The attestation key cannot be read: ${error.message}` }];
  }
  if (area.type !== 'rsa' && area.type !== 'ecc') {
    return [{ code: 'ak.malformed', message: `The attestation key is a ${area.type} object, not an RSA or ECC key.` }];
  }
  const { restricted, sign, decrypt, fixedTPM, fixedParent, sensitiveDataOrigin } = area.objectAttributes;
  const rules: readonly (readonly [fails: boolean, code: RefusalCode, message: string])[] = [
    [restricted !== true, 'ak.unrestricted', 'The attestation key is not restricted: it would sign a forged quote.'],
    [sign !== true, 'ak.not-signing', 'The attestation key may not sign.'],
    [decrypt === true, 'ak.decrypts', 'The attestation key may decrypt as well.'],
    [fixedTPM !== true, 'ak.not-fixed-tpm', 'The attestation key may be duplicated to another TPM.'],
    [fixedParent !== true, 'ak.not-fixed-parent', 'The attestation key may be moved under another parent.'],
    [sensitiveDataOrigin !== true, 'ak.foreign-origin', 'The attestation key was not made by the TPM.'],
    ...weakness(area).map((detail) => [true, 'ak.weak', `The attestation key ${detail}.`] as const),
  ];
  return rules.filter(([fails]) => fails).map(([, code, message]) => ({ code, message }));
}

function weakness(area: Extract<TPMT_PUBLIC, { type: 'rsa' | 'ecc' }>): string[] {
  const found: string[] = [];
  if (area.type === 'rsa' && area.parameters.keyBits < MIN_RSA_BITS) {
    found.push(`is RSA of ${area.parameters.keyBits} bits, at least ${MIN_RSA_BITS} are needed`);
  }
  if (area.type === 'ecc' && !CURVES.has(area.parameters.curveID)) {
    found.push(`is on curve ${area.parameters.curveID}; P-256, P-384 or P-521 is needed`);
  }
  const { scheme } = area.parameters;
  if ('hashAlg' in scheme && WEAK_HASHES.has(String(scheme.hashAlg))) found.push('signs with SHA-1');
  if (WEAK_HASHES.has(area.nameAlg)) found.push(`has the name algorithm ${area.nameAlg}`);
  return found;
}
