/** Signing and signature verification: TPM 2.0 Part 3, 20. */
import { digestInfo } from '../../../bytes/index.ts';
import { TPM_RH } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';
import { refuse } from '../refusal.ts';
import { isSigningKey, selectScheme, signDigest } from '../sign.ts';
import { checkSignature } from '../signature-check.ts';
import { hashTicket, isSameTicket, verifiedTicket } from '../tickets.ts';

export const signature = {
  /** 20.1 */
  TPM2_VerifySignature(machine, { keyHandle, digest, signature: asked }) {
    const key = machine.object(keyHandle);
    if (!key.publicArea.objectAttributes.sign) refuse('ATTRIBUTES', 'keyHandle');
    checkSignature(key, digest, asked, 'signature');
    // What has no Name is nobody's
    const hierarchy = key.publicArea.nameAlg === 'null' ? TPM_RH.NULL : key.hierarchy;
    return { validation: verifiedTicket(machine, hierarchy, digest, key.name) };
  },

  /** 20.2: a restricted key signs only what the TPM itself has hashed and found not to start with TPM_GENERATED. */
  TPM2_Sign(machine, { keyHandle, digest, inScheme, validation }) {
    const key = machine.object(keyHandle);
    if (!isSigningKey(key)) refuse('KEY', 'keyHandle');
    const { restricted, x509sign } = key.publicArea.objectAttributes;
    if (x509sign) refuse('ATTRIBUTES', 'keyHandle');
    const scheme = selectScheme(key, inScheme, 'inScheme');
    if (restricted || validation.digest.length > 0) {
      const expected = hashTicket(machine, validation.hierarchy, scheme.hashAlg, digest);
      if (!isSameTicket(expected, validation)) refuse('TICKET', 'validation');
    } else if (digest.length !== digestInfo(scheme.hashAlg).size) refuse('SIZE', 'digest');
    return { signature: signDigest(machine, key, scheme, digest) };
  },
} satisfies Handlers;
