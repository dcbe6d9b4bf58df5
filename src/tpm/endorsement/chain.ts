/**
 * The chain of an endorsement key certificate to roots that an operator configured (TCG EK Credential Profile, 3; RFC
 * 5280, 6). Loaded only where a chain is checked, see {@link endorsementChains}: the ASN.1 schemas load slowly.
 */
import type { X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  BasicConstraints,
  Certificate,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  KeyUsage,
  KeyUsageFlags,
} from '@peculiar/asn1-x509';
import { TpmError } from '../errors.ts';

/** Chains longer than this do not occur; the bound keeps a hostile set of intermediates cheap. */
const MAX_CHAIN = 6;

/** tcg-kp-EKCertificate: what tells an EK's certificate from any other that the same maker issued. */
const EK_CERTIFICATE = '2.23.133.8.1';

export interface ChainCheck {
  readonly certificate: X509Certificate;
  /** Certificates that the attester or the operator gave; none is trusted for being there. */
  readonly intermediates: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * The chain from `certificate` to one of `roots`, root last.
 *
 * The certificate must be an EK's, see {@link checkEndorsementCertificate}. A root is trusted because it is configured,
 * whatever its dates say. What lies between must be in its dates; who issues must be a CA whose key usage and path length
 * allow that.
 * @throws {TpmError} `tpm.untrusted` that says which link is missing or wrong
 */
export function verifyChain({ certificate, intermediates, roots, now }: ChainCheck): readonly X509Certificate[] {
  const chain = [certificate];
  checkEndorsementCertificate(certificate);
  checkDates(certificate, now);
  for (let last = certificate; ; ) {
    const root = roots.find((candidate) => isIssuedBy(last, candidate));
    if (root !== undefined) {
      checkMayIssue(root, chain);
      return [...chain, root];
    }
    const issuer = intermediates.find((candidate) => !chain.includes(candidate) && isIssuedBy(last, candidate));
    if (issuer === undefined || chain.length >= MAX_CHAIN) throw noRoot(last);
    checkDates(issuer, now);
    checkMayIssue(issuer, chain);
    chain.push(issuer);
    last = issuer;
  }
}

function noRoot(last: X509Certificate): TpmError {
  const issuer = oneLine(last.issuer);
  return new TpmError('tpm.untrusted', `no configured root vouches for '${issuer}', which issued the certificate`, {
    advice: 'add the TPM maker’s root certificate to the server’s roots, if you trust it',
  });
}

const oneLine = (name: string): string => name.replaceAll('\n', ', ');

/** `checkIssued` also refuses an issuer whose key usage does not hold keyCertSign (X509_check_issued). */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function checkDates(certificate: X509Certificate, now: number): void {
  const { subject, validFrom, validTo } = certificate;
  if (now >= Date.parse(validFrom) && now <= Date.parse(validTo)) return;
  throw new TpmError(
    'tpm.untrusted',
    `the certificate of '${oneLine(subject)}' is valid from ${validFrom} to ${validTo}`,
  );
}

/**
 * Refuses what is no EK certificate, though the same roots may vouch for it: a CA, a platform's or an AK's certificate,
 * a TLS server's. Makers differ in what an
 * elliptic key's usage says, so keyEncipherment counts beside keyAgreement.
 * @throws {TpmError} `tpm.untrusted`, `tpm.malformed`
 */
export function checkEndorsementCertificate(certificate: X509Certificate): void {
  const { subject, publicKey, keyUsage: purposes } = certificate;
  const refuse = (why: string) => new TpmError('tpm.untrusted', `the certificate of '${oneLine(subject)}' ${why}`);
  if (certificate.ca) throw refuse('is a CA’s, not an endorsement key’s');
  // What node calls keyUsage are the extended key usages.
  if (!(purposes ?? []).includes(EK_CERTIFICATE)) {
    throw refuse(`is not an endorsement key’s: its extended key usage does not hold ${EK_CERTIFICATE}`);
  }
  const { usage } = issuingExtensions(certificate);
  const allowed =
    publicKey.asymmetricKeyType === 'rsa'
      ? KeyUsageFlags.keyEncipherment
      : KeyUsageFlags.keyAgreement | KeyUsageFlags.keyEncipherment;
  if (usage !== undefined && (usage & allowed) === 0)
    throw refuse('does not let its key be used as an endorsement key');
}

/** @param below what `issuer` would stand above: the EK certificate first */
function checkMayIssue(issuer: X509Certificate, below: readonly X509Certificate[]): void {
  const { pathLength } = issuingExtensions(issuer);
  const name = oneLine(issuer.subject);
  // RFC 5280, 4.2.1.9: neither the last certificate nor self-issued ones count.
  const between = below.slice(1).filter(({ subject, issuer: by }) => subject !== by).length;
  if (pathLength !== undefined && between > pathLength) {
    throw new TpmError('tpm.untrusted', `'${name}' allows ${pathLength} CAs below it, and there are ${between}`);
  }
}

interface IssuingExtensions {
  /** {@link KeyUsageFlags}. */
  readonly usage: number | undefined;
  readonly pathLength: number | undefined;
}

function issuingExtensions({ raw, subject }: X509Certificate): IssuingExtensions {
  try {
    const extensions = AsnConvert.parse(raw, Certificate).tbsCertificate.extensions ?? [];
    const extensionValue = (id: string) => extensions.find(({ extnID }) => extnID === id)?.extnValue;
    const usage = extensionValue(id_ce_keyUsage);
    const constraints = extensionValue(id_ce_basicConstraints);
    return {
      usage: usage && AsnConvert.parse(usage, KeyUsage).toNumber(),
      pathLength: constraints && AsnConvert.parse(constraints, BasicConstraints).pathLenConstraint,
    };
  } catch (cause) {
    throw new TpmError('tpm.malformed', `the extensions of '${oneLine(subject)}' cannot be read`, { cause });
  }
}
