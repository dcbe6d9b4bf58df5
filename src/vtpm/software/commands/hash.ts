/** Hashes and HMACs of one buffer: TPM 2.0 Part 3, 15. */
import { createHmac } from 'node:crypto';
import { digest, digestInfo } from '../../../bytes/index.ts';
import { TPM_GENERATED, TPM_RH } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { isImplementedHash } from '../limits.ts';
import { refuse } from '../refusal.ts';
import { hashTicket } from '../tickets.ts';

/** Data that could pass for an attestation of this TPM gets no ticket (15.4.1). */
function looksGenerated(data: Uint8Array): boolean {
  return data.length >= 4 && Buffer.from(data).readUInt32BE() === TPM_GENERATED;
}

export const hash = {
  /** 15.4 */
  TPM2_Hash(machine, { data, hashAlg, hierarchy }) {
    if (!isImplementedHash(hashAlg)) return refuse('HASH', 'hashAlg');
    const outHash = digest(hashAlg, data);
    const vouching = looksGenerated(data) ? TPM_RH.NULL : hierarchy;
    return { outHash, validation: hashTicket(machine, vouching, hashAlg, outHash) };
  },

  /** 15.5 */
  TPM2_HMAC(machine, { handle, buffer, hashAlg }) {
    const { publicArea, sensitive } = machine.object(handle);
    if (publicArea.type !== 'keyedhash' || sensitive?.sensitiveType !== 'keyedhash') return refuse('TYPE', 'handle');
    if (publicArea.objectAttributes.restricted) refuse('ATTRIBUTES', 'handle');
    if (!publicArea.objectAttributes.sign) refuse('KEY', 'handle');
    const { scheme } = publicArea.parameters;
    const own = scheme.scheme === 'hmac' ? scheme.hashAlg : undefined;
    const algorithm = own ?? (hashAlg === 'null' ? refuse('VALUE', 'hashAlg') : hashAlg);
    if (own !== undefined && hashAlg !== 'null' && hashAlg !== own) refuse('VALUE', 'hashAlg');
    if (!isImplementedHash(algorithm)) return refuse('HASH', 'hashAlg');
    const { opensslName } = digestInfo(algorithm);
    return { outHMAC: createHmac(opensslName, sensitive.sensitive).update(buffer).digest() };
  },
} satisfies Handlers;
