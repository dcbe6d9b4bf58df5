/** {@link EnrolmentTpm} by the `tpm` room: what is checked of an EK and an AK before a credential is made. */
import { hash, type X509Certificate } from 'node:crypto';
import { bytesEqual } from '../bytes/index.ts';
import {
  type CertifiedEndorsementKey,
  decode,
  encode,
  endorsementChains,
  endorsementKeyOf,
  makeCredential,
  objectName,
  parseCertificate,
  publicKeyOf,
  TPMT_PUBLIC,
  TpmError,
} from '../tpm/index.ts';
import { checkAkPublic } from '../verify/index.ts';
import type { CheckedAk, CheckedEk, EkRoot, EnrolmentTpm } from './enrolment-tpm.ts';
import { ServerError, type ServerErrorCode } from './error.ts';

/** The checks against these roots. @throws {TpmError} where a root is no certificate */
export async function enrolmentWithTpm(roots: readonly EkRoot[]): Promise<EnrolmentTpm> {
  const chains = await endorsementChains();
  const parsed = roots.map(({ certificate, assurance }) => ({ certificate: parseCertificate(certificate), assurance }));
  return {
    checkEk: (certificates, ekPublic, now) => checkEk(chains, parsed, certificates, ekPublic, now),
    checkAk,
    makeCredential: (ekPublic, akName, secret) => makeCredential(decode(TPMT_PUBLIC, ekPublic), akName, secret),
  };
}

interface ParsedRoot {
  readonly certificate: X509Certificate;
  readonly assurance: EkRoot['assurance'];
}

type Chains = Awaited<ReturnType<typeof endorsementChains>>;

function checkEk(
  chains: Chains,
  roots: readonly ParsedRoot[],
  certificates: readonly Uint8Array[],
  ekPublic: Uint8Array,
  now: number,
): CheckedEk {
  const [certificate, ...intermediates] = certificates.map((der) =>
    orRefuse('ek.certificate-malformed', () => parseCertificate(der)),
  );
  if (certificate === undefined) throw new ServerError('ek.certificate-missing', 'the host sent no EK certificate');
  orRefuse('ek.certificate-malformed', () => chains.checkEndorsementCertificate(certificate));
  const ek = orRefuse('ek.certificate-malformed', () => endorsementKeyOf(certificate));
  const publicArea = encode(TPMT_PUBLIC, ek.area);
  refuseOtherKey(ek, publicArea, ekPublic);
  const spki = ek.key.export({ type: 'spki', format: 'der' });
  return {
    id: hash('sha256', spki, 'hex'),
    certificate: certificate.raw,
    publicArea,
    assurance: rootOf(chains, roots, certificate, intermediates, now)?.assurance,
  };
}

/** The configured root that the chain leads to. @throws {ServerError} `ek.certificate-expired` where only dates stand against it */
function rootOf(
  chains: Chains,
  roots: readonly ParsedRoot[],
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
  now: number,
): ParsedRoot | undefined {
  const found = roots.find((root) => leadsTo(chains, root, certificate, intermediates, now) === undefined);
  if (found !== undefined) return found;
  const issued = Date.parse(certificate.validFrom);
  for (const root of roots) {
    if (leadsTo(chains, root, certificate, intermediates, issued) !== undefined) continue;
    const why = leadsTo(chains, root, certificate, intermediates, now)?.message ?? 'a certificate is not valid now';
    throw new ServerError('ek.certificate-expired', why);
  }
  return undefined;
}

/** Undefined where the chain holds, else what stands against it. */
function leadsTo(
  { verifyChain }: Chains,
  { certificate: root }: ParsedRoot,
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
  now: number,
): TpmError | undefined {
  try {
    verifyChain({ certificate, intermediates, roots: [root], now });
    return undefined;
  } catch (error) {
    if (error instanceof TpmError) return error;
    throw error;
  }
}

/** The certificate's key with the profile's template is what counts; what the host sent must be the same. */
function refuseOtherKey(ek: CertifiedEndorsementKey, expected: Uint8Array, sent: Uint8Array): void {
  if (bytesEqual(expected, sent)) return;
  const area = orRefuse('ek.template-unknown', () => decode(TPMT_PUBLIC, sent));
  const key = orRefuse('ek.key-mismatch', () => publicKeyOf(area));
  if (!key.equals(ek.key))
    throw new ServerError('ek.key-mismatch', 'the EK that the host sent is not the one in its certificate');
  throw new ServerError('ek.template-unknown', `the EK does not have the template of the ${ek.profile.name} profile`);
}

function checkAk(akPublic: Uint8Array): CheckedAk {
  const [refusal] = checkAkPublic(akPublic);
  if (refusal !== undefined) throw new ServerError(refusal.code, refusal.message);
  const area = decode(TPMT_PUBLIC, akPublic);
  orRefuse('ak.malformed', () => publicKeyOf(area)); // the point is on its curve
  return { name: objectName(area) };
}

/** Runs a check of the `tpm` room and turns its error into the refusal that it stands for. */
function orRefuse<T>(code: ServerErrorCode, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (cause instanceof TpmError || (cause instanceof Error && 'offset' in cause)) {
      throw new ServerError(code, cause.message, { cause });
    }
    throw cause;
  }
}
