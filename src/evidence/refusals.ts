/**
 * Every reason for which an enrolment, a challenge or a message is refused before there is anything to judge: the one
 * table from which the server's answers and docs/FINDINGS.md are made. Pure data. Findings on evidence that was looked
 * at are `verify/findings.ts`.
 */

export interface RefusalKind {
  /** HTTP status of the answer. */
  readonly status: 400 | 401 | 403 | 404 | 408 | 409 | 410 | 413 | 422 | 429;
  readonly title: string;
  readonly meaning: string;
  /** What a person does about it. */
  readonly advice: string;
}

export const REFUSALS = {
  'evidence.malformed': {
    status: 400,
    title: 'The message cannot be read',
    meaning: 'It is not the CBOR that this version exchanges: truncated, of another shape, or with bytes left over.',
    advice: 'Look at the named place; bring agent and server to the same version.',
  },
  'evidence.too-large': {
    status: 413,
    title: 'The message is too large',
    meaning: 'A field, a count or the whole message is above its bound; nothing of it was looked at.',
    advice: 'Look at the named field; a host that sends this is misconfigured or hostile.',
  },
  'nonce.unknown': {
    status: 409,
    title: 'This nonce was never given out',
    meaning: 'The evidence answers a challenge that this server did not make, or that it has forgotten long ago.',
    advice: 'Ask for a fresh challenge; if it happens again, look who answers in this host’s name.',
  },
  'nonce.expired': {
    status: 410,
    title: 'The challenge has expired',
    meaning: 'The evidence came later than its challenge allows, so it says nothing about now.',
    advice: 'Ask for a fresh challenge; if it happens often, look at the host’s clock and network.',
  },
  'nonce.replayed': {
    status: 409,
    title: 'This challenge was answered before',
    meaning: 'A nonce is used once; the same evidence, or another for the same nonce, came again.',
    advice: 'Ask for a fresh challenge; if the host did not send twice, somebody replays its evidence.',
  },
  'nonce.foreign': {
    status: 403,
    title: 'This challenge was given to another host',
    meaning: 'A nonce is bound to the host and the attestation key that it was given to.',
    advice: 'Look which host holds the other’s evidence: one of them relays it.',
  },
  'challenge.conflict': {
    status: 409,
    title: 'Another attestation of this host was faster',
    meaning: 'The host’s state changed between reading and storing it; nothing of this attestation was kept.',
    advice: 'Ask for a fresh challenge; let one agent run on each host.',
  },
  'token.missing': {
    status: 401,
    title: 'No token was given',
    meaning: 'The request has no bearer token.',
    advice: 'Send the token in the Authorization header.',
  },
  'token.invalid': {
    status: 401,
    title: 'The token is not valid',
    meaning: 'The token is unknown, withdrawn or expired.',
    advice: 'Ask the server’s keeper for a new token.',
  },
  'token.forbidden': {
    status: 403,
    title: 'The token does not allow this',
    meaning: 'The token’s role may not do what was asked, or the token belongs to another host.',
    advice: 'Use a token with the role that the command needs.',
  },
  'host.unknown': {
    status: 404,
    title: 'No such host',
    meaning: 'No host with this identity is enrolled.',
    advice: 'Enrol the host, or look for its name in the list of hosts.',
  },
  'enrol.unknown': {
    status: 404,
    title: 'No such enrolment',
    meaning: 'The enrolment was never begun, is completed, or has expired.',
    advice: 'Begin the enrolment again.',
  },
  'enrol.activation-failed': {
    status: 403,
    title: 'The credential did not come back',
    meaning: 'What the host sent is not the secret that only the TPM with this EK and this AK could open.',
    advice: 'Begin the enrolment again; if it fails again, EK and AK are not in one TPM.',
  },
  'enrol.identity-changed': {
    status: 409,
    title: 'This host is enrolled with another identity',
    meaning: 'The EK or the AK differs from the enrolled one; an identity never changes silently.',
    advice: 'If the board or TPM was exchanged, remove the host and enrol it anew.',
  },
  'enrol.downgrade': {
    status: 409,
    title: 'The host would fall to a weaker kind of TPM or measurer',
    meaning:
      'A host that enrolled with a hardware TPM or kernel measurement never enrols again with a software TPM or user-space measurement.',
    advice: 'Find out why the host does not use its TPM any more; only an administrator can remove the enrolment.',
  },
  'enrol.demonstration-refused': {
    status: 403,
    title: 'Demonstration is not allowed here',
    meaning: 'A software TPM protects nothing; it enrols only where the operator chose demonstration, on loopback.',
    advice: 'Use the machine’s TPM, or choose demonstration for this host on purpose.',
  },
  'enrol.bank-weak': {
    status: 422,
    title: 'The PCR bank is too weak',
    meaning: 'SHA-1 alone is never trusted; the host must quote a bank of SHA-256 or stronger.',
    advice: 'Allocate the SHA-256 bank in the firmware set-up or with TPM2_PCR_Allocate, and enrol again.',
  },
  'ek.certificate-missing': {
    status: 422,
    title: 'There is no EK certificate',
    meaning: 'Without the maker’s certificate nothing says that the EK lives in a TPM.',
    advice: 'Read the certificate from the TPM’s NV or fetch it from the maker.',
  },
  'ek.certificate-malformed': {
    status: 422,
    title: 'The EK certificate cannot be read',
    meaning: 'It is no X.509 certificate, or holds no key that an EK can have.',
    advice: 'Look at the named byte; some makers’ certificates need their corrected edition.',
  },
  'ek.certificate-expired': {
    status: 403,
    title: 'A certificate of the EK’s chain is not valid now',
    meaning: 'It has expired or is not valid yet by the server’s clock.',
    advice: 'Check the server’s clock; otherwise get the maker’s current certificate.',
  },
  'ek.untrusted-root': {
    status: 403,
    title: 'The EK certificate leads to no configured root',
    meaning: 'The chain ends at a certificate that the operator did not configure, or does not hold together.',
    advice: 'Configure the maker’s root if you trust it; otherwise this is not a TPM that you know.',
  },
  'ek.software': {
    status: 403,
    title: 'The EK belongs to a software TPM',
    meaning: 'A software TPM enrols only where the operator configured its root or chose demonstration for that host.',
    advice: 'Configure the local CA’s root on purpose, or use the hardware TPM.',
  },
  'ek.key-mismatch': {
    status: 422,
    title: 'The EK is not the one in its certificate',
    meaning: 'The public key that the host sent differs from the certificate’s.',
    advice: 'Create the EK from the template that belongs to this certificate.',
  },
  'ek.template-unknown': {
    status: 422,
    title: 'The EK has an unknown template',
    meaning: 'Its attributes or policy are not those of the TCG EK Credential Profile.',
    advice: 'Create the EK from one of the profile’s templates.',
  },
  'ak.malformed': {
    status: 422,
    title: 'The AK’s public area cannot be read',
    meaning: 'It is not a well-formed TPMT_PUBLIC of a key that can sign.',
    advice: 'Look at the named byte; send the key’s TPMT_PUBLIC as the TPM gives it.',
  },
  'ak.unrestricted': {
    status: 422,
    title: 'The AK is not restricted',
    meaning: 'An unrestricted key signs anything, also a quote that no TPM made.',
    advice: 'Create the AK with the restricted attribute.',
  },
  'ak.not-signing': {
    status: 422,
    title: 'The AK cannot sign',
    meaning: 'Its sign attribute is not set.',
    advice: 'Create the AK as a signing key.',
  },
  'ak.decrypts': {
    status: 422,
    title: 'The AK can decrypt too',
    meaning: 'A key with both attributes is no attestation key.',
    advice: 'Create the AK without the decrypt attribute.',
  },
  'ak.not-fixed-tpm': {
    status: 422,
    title: 'The AK may leave its TPM',
    meaning: 'fixedTPM is not set: the key can be duplicated, and then anybody can sign with it.',
    advice: 'Create the AK with fixedTPM.',
  },
  'ak.not-fixed-parent': {
    status: 422,
    title: 'The AK may move to another parent',
    meaning: 'fixedParent is not set.',
    advice: 'Create the AK with fixedParent.',
  },
  'ak.foreign-origin': {
    status: 422,
    title: 'The AK was not made by the TPM',
    meaning: 'sensitiveDataOrigin is not set: whoever made the key may still have it.',
    advice: 'Let the TPM make the AK.',
  },
  'ak.weak': {
    status: 422,
    title: 'The AK’s algorithm is too weak',
    meaning: 'It signs with SHA-1, with an RSA key below 2048 bits, or with a curve below P-256.',
    advice: 'Create the AK with SHA-256 or stronger and at least RSA 2048 or P-256.',
  },
  'request.too-slow': {
    status: 408,
    title: 'The message came too slowly',
    meaning:
      'Less than 80 KiB of it came in 5 s, and it was not at its end; it was cut, so that it does not hold memory.',
    advice: 'Look at the network between host and server; the agent sends again by itself.',
  },
  'rate.limited': {
    status: 429,
    title: 'Too many requests',
    meaning: 'This address or host asks more often than it may, or sends more.',
    advice: 'Wait as long as Retry-After says.',
  },
} as const satisfies Record<string, RefusalKind>;

export type RefusalCode = keyof typeof REFUSALS;

/** One refusal as it is told to a person: the sentence names what was wrong in this very message. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
}

/** True where `code` is in the table. */
export function isRefusalCode(code: string): code is RefusalCode {
  return Object.hasOwn(REFUSALS, code);
}
