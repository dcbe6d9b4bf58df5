/** Attestation: TPM 2.0 Part 3, 18. */
import { digest, digestInfo } from '../../../bytes/index.ts';
import { attest, firmwareVersion, isAnonymous, signer } from '../attestation.ts';
import { auditedCommandsDigest } from '../audit.ts';
import { timeInfo } from '../clock.ts';
import { element, header, integer, TAG } from '../der.ts';
import type { Handlers } from '../handler.ts';
import { pcrDigestOf } from '../pcr-digest.ts';
import { refuse } from '../refusal.ts';
import { signDigest } from '../sign.ts';
import type { LoadedObject } from '../state.ts';
import { creationTicket, isSameTicket } from '../tickets.ts';
import { checkExtensions, readPartialCertificate, signatureAlgorithm, subjectPublicKeyInfo } from '../x509.ts';

const NONE = new Uint8Array(0);

/** X.509's version 3. */
const VERSION = element(TAG.explicit, integer(Uint8Array.of(2)));
/** Bytes of a serial number at most (RFC 5280, 4.1.2.2). */
const MAX_SERIAL = 20;

function modulusSize({ publicArea }: LoadedObject): number {
  return publicArea.type === 'rsa' ? publicArea.unique.length : 0;
}

export const attestation = {
  /** 18.2 */
  TPM2_Certify(machine, { objectHandle, signHandle, qualifyingData, inScheme }) {
    const by = signer(machine, signHandle, inScheme);
    const { name, qualifiedName } = machine.object(objectHandle);
    const attestedName = { name, qualifiedName: isAnonymous(by) ? NONE : qualifiedName };
    const { attested, signature } = attest(machine, by, qualifyingData, { type: 'certify', attested: attestedName });
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

  /** 18.5 */
  TPM2_GetSessionAuditDigest(machine, { signHandle, sessionHandle, qualifyingData, inScheme }) {
    const session = machine.session(sessionHandle);
    const by = signer(machine, signHandle, inScheme);
    if (!session.isAudit) refuse('TYPE', 'sessionHandle');
    const exclusiveSession = machine.volatile.exclusiveSession === sessionHandle;
    const body = { type: 'session_audit', attested: { exclusiveSession, sessionDigest: session.auditDigest } } as const;
    const { attested, signature } = attest(machine, by, qualifyingData, body);
    return { auditInfo: attested, signature };
  },

  /** 18.6: a digest that was signed is done with. */
  TPM2_GetCommandAuditDigest(machine, { signHandle, qualifyingData, inScheme }) {
    const by = signer(machine, signHandle, inScheme);
    const { permanent, volatile } = machine;
    const info = {
      auditCounter: permanent.auditCounter,
      digestAlg: permanent.auditAlg,
      auditDigest: volatile.commandAuditDigest,
      commandDigest: auditedCommandsDigest(machine),
    };
    const { attested, signature } = attest(machine, by, qualifyingData, { type: 'command_audit', attested: info });
    if (by.key !== undefined) volatile.commandAuditDigest = NONE;
    return { auditInfo: attested, signature };
  },

  /** 18.7 */
  TPM2_GetTime(machine, { signHandle, qualifyingData, inScheme }) {
    const by = signer(machine, signHandle, inScheme);
    const body = { type: 'time', attested: { time: timeInfo(machine), firmwareVersion: firmwareVersion() } } as const;
    const { attested, signature } = attest(machine, by, qualifyingData, body);
    return { timeInfo: attested, signature };
  },

  /** 18.8: the caller gives what it knows of a certificate, the TPM adds the key and what it vouches for. */
  TPM2_CertifyX509(machine, { objectHandle, signHandle, reserved, inScheme, partialCertificate }) {
    if (reserved.length !== 0) refuse('SIZE', 'reserved');
    const { key, scheme } = signer(machine, signHandle, inScheme);
    if (key === undefined || scheme === undefined) return refuse('KEY', 'signHandle');
    const { publicArea, name } = machine.object(objectHandle);
    const publicKey = subjectPublicKeyInfo(publicArea) ?? refuse('ASYMMETRIC', 'objectHandle');
    const partial = readPartialCertificate(partialCertificate);
    const { issuer, validity, subject, extensions } = partial;
    const added = partial.signature === undefined;
    const algorithm =
      partial.signature ??
      signatureAlgorithm(key.publicArea.type, scheme, modulusSize(key)) ??
      refuse('SCHEME', 'signHandle');
    checkExtensions(publicArea, extensions);
    const { nameAlg } = key.publicArea;
    if (nameAlg === 'null') return refuse('HASH', 'signHandle');
    const signedParts = [algorithm, issuer, validity, subject, publicKey, extensions.whole];
    const serialSize = Math.min(digestInfo(nameAlg).size, MAX_SERIAL);
    const serial = integer(digest(nameAlg, ...signedParts, key.name, name).subarray(0, serialSize));
    const body = [VERSION, serial, ...signedParts];
    const begin = header(
      TAG.sequence,
      body.reduce((sum, part) => sum + part.length, 0),
    );
    const tbsDigest = digest(scheme.hashAlg, begin, ...body);
    const own = [VERSION, serial, ...(added ? [algorithm] : []), publicKey];
    return {
      addedToCertificate: element(TAG.sequence, ...own),
      tbsDigest,
      signature: signDigest(machine, key, scheme, tbsDigest),
    };
  },
} satisfies Handlers;
