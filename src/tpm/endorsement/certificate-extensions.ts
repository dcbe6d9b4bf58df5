/** Certificate extensions (RFC 5280, 4.2.1), as far as the certificates of TPMs and their makers have them. */
import { hash, type KeyObject } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  Extension,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
} from '@peculiar/asn1-x509';
import { type DistinguishedName, encodeName } from './distinguished-name.ts';

export interface CertificateExtensions {
  /** The issuer's public key, which the certificate is to name. */
  readonly authorityKey?: KeyObject;
  readonly basicConstraints?: { readonly cA: boolean; readonly pathLenConstraint?: number };
  readonly keyUsage?: readonly (keyof typeof KeyUsageFlags)[];
  /** Purposes, as object identifiers. */
  readonly extendedKeyUsage?: readonly string[];
  /** A directoryName, as EK certificates tell the TPM's maker and model (TCG EK Credential Profile, 3.2.9). */
  readonly subjectAltName?: DistinguishedName;
  /** Whether the certificate names its own key. */
  readonly subjectKeyIdentifier?: boolean;
}

/** What of the certificate its extensions depend on. */
export interface CertificateSubject {
  readonly publicKey: KeyObject;
  readonly hasName: boolean;
}

export function encodeExtensions(wanted: CertificateExtensions, subject: CertificateSubject): Extension[] {
  const { authorityKey, basicConstraints, keyUsage, extendedKeyUsage, subjectAltName } = wanted;
  const extensions: Extension[] = [];
  const add = (extnID: string, critical: boolean, value: object): void => {
    extensions.push(new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) }));
  };
  if (authorityKey !== undefined) {
    const keyIdentifier = new KeyIdentifier(keyIdentifierOf(authorityKey));
    add(id_ce_authorityKeyIdentifier, false, new AuthorityKeyIdentifier({ keyIdentifier }));
  }
  if (basicConstraints !== undefined) add(id_ce_basicConstraints, true, new BasicConstraints(basicConstraints));
  if (keyUsage !== undefined) {
    const flags = keyUsage.reduce((all, name) => all | KeyUsageFlags[name], 0);
    add(id_ce_keyUsage, true, new KeyUsage(flags));
  }
  if (extendedKeyUsage !== undefined) add(id_ce_extKeyUsage, false, new ExtendedKeyUsage([...extendedKeyUsage]));
  if (subjectAltName !== undefined) {
    const names = [new GeneralName({ directoryName: encodeName(subjectAltName) })];
    // RFC 5280, 4.2.1.6: critical where the subject has no name elsewhere.
    add(id_ce_subjectAltName, !subject.hasName, new SubjectAlternativeName(names));
  }
  if (wanted.subjectKeyIdentifier === true) {
    add(id_ce_subjectKeyIdentifier, false, new SubjectKeyIdentifier(keyIdentifierOf(subject.publicKey)));
  }
  return extensions;
}

/**
 * SHA-1 of the SubjectPublicKeyInfo: RFC 5280, 4.2.1.2 leaves the method open. It names the key and secures nothing, but
 * it must stay as it is, because CAs that exist have it in their certificates.
 */
function keyIdentifierOf(publicKey: KeyObject): Buffer {
  return hash('sha1', publicKey.export({ type: 'spki', format: 'der' }), 'buffer');
}
