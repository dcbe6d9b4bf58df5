/** Attestation: TPM 2.0 Part 3, 18. */
import { attest, firmwareVersion, signer } from '../attestation.ts';
import type { Handlers } from '../handler.ts';
import { pcrDigestOf } from '../pcr-digest.ts';
import { refuse } from '../refusal.ts';
import { creationTicket, isSameTicket } from '../tickets.ts';
import { timeInfo } from './clock.ts';

export const attestation = {
  /** 18.2 */
  TPM2_Certify(machine, { objectHandle, signHandle, qualifyingData, inScheme }) {
    const by = signer(machine, signHandle, inScheme);
    const { name, qualifiedName } = machine.object(objectHandle);
    const { attested, signature } = attest(machine, by, qualifyingData, {
      type: 'certify',
      attested: { name, qualifiedName },
    });
    return { certifyInfo: attested, signature };
  },

  /** 18.3 */
  TPM2_CertifyCreation(
    machine,
    { signHandle, objectHandle, qualifyingData, creationHash, inScheme, creationTicket: ticket },
  ) {
    const by = signer(machine, signHandle, inScheme);
    const { name } = machine.object(objectHandle);
    const expected = creationTicket(machine, ticket.hierarchy, name, creationHash);
    if (!isSameTicket(expected, ticket)) refuse('TICKET', 'creationTicket');
    const body = { type: 'creation', attested: { objectName: name, creationHash } } as const;
    const { attested, signature } = attest(machine, by, qualifyingData, body);
    return { certifyInfo: attested, signature };
  },

  /** 18.4: the PCR digest is in the signing scheme's hash. */
  TPM2_Quote(machine, { signHandle, qualifyingData, inScheme, PCRselect }) {
    const by = signer(machine, signHandle, inScheme);
    // Without a key there is no hash to take: the reference code answers so, too
    if (by.scheme === undefined) return refuse('SCHEME', 'inScheme');
    const { selection, pcrDigest } = pcrDigestOf(machine, by.scheme.hashAlg, PCRselect);
    const body = { type: 'quote', attested: { pcrSelect: selection, pcrDigest } } as const;
    const { attested, signature } = attest(machine, by, qualifyingData, body);
    return { quoted: attested, signature };
  },

  /** 18.7 */
  TPM2_GetTime(machine, { signHandle, qualifyingData, inScheme }) {
    const by = signer(machine, signHandle, inScheme);
    const body = { type: 'time', attested: { time: timeInfo(machine), firmwareVersion: firmwareVersion() } } as const;
    const { attested, signature } = attest(machine, by, qualifyingData, body);
    return { timeInfo: attested, signature };
  },
} satisfies Handlers;
