/** Templates of endorsement keys: TCG EK Credential Profile for TPM Family 2.0, version 2.5, annex B. */
import type { TPMT_PUBLIC } from '../structures.ts';

/** PolicyA (B.6.2): TPM2_PolicySecret(TPM_RH_ENDORSEMENT) with SHA-256. */
const POLICY_A_SHA256 = Buffer.from('837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa', 'hex');
/** PolicyB (B.6.3): PolicyA or a policy in the NV index 01c07f02, with SHA-384. */
const POLICY_B_SHA384 = Buffer.from(
  'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
  'hex',
);

const ENDORSEMENT_KEY = {
  fixedTPM: true,
  fixedParent: true,
  sensitiveDataOrigin: true,
  adminWithPolicy: true,
  restricted: true,
  decrypt: true,
} as const;

export type EkProfileName = 'rsa2048' | 'p256' | 'p384';

export interface EkProfile {
  readonly name: EkProfileName;
  /** NV index of the certificate. */
  readonly certificateIndex: number;
  /** Where provisioning tools make the key persistent. */
  readonly persistentHandle: number;
  readonly template: TPMT_PUBLIC;
}

const RSA_2048: TPMT_PUBLIC = {
  type: 'rsa',
  nameAlg: 'sha256',
  objectAttributes: ENDORSEMENT_KEY,
  authPolicy: POLICY_A_SHA256,
  parameters: {
    symmetric: { algorithm: 'aes', keyBits: 128, mode: 'cfb' },
    scheme: { scheme: 'null' },
    keyBits: 2048,
    exponent: 0,
  },
  unique: Buffer.alloc(256),
};

const P256: TPMT_PUBLIC = {
  type: 'ecc',
  nameAlg: 'sha256',
  objectAttributes: ENDORSEMENT_KEY,
  authPolicy: POLICY_A_SHA256,
  parameters: {
    symmetric: { algorithm: 'aes', keyBits: 128, mode: 'cfb' },
    scheme: { scheme: 'null' },
    curveID: 'p256',
    kdf: { scheme: 'null' },
  },
  unique: { x: Buffer.alloc(32), y: Buffer.alloc(32) },
};

const P384: TPMT_PUBLIC = {
  type: 'ecc',
  nameAlg: 'sha384',
  objectAttributes: { ...ENDORSEMENT_KEY, userWithAuth: true },
  authPolicy: POLICY_B_SHA384,
  parameters: {
    symmetric: { algorithm: 'aes', keyBits: 256, mode: 'cfb' },
    scheme: { scheme: 'null' },
    curveID: 'p384',
    kdf: { scheme: 'null' },
  },
  // The high range leaves `unique` empty where the low range fills it with zeros.
  unique: { x: Buffer.alloc(0), y: Buffer.alloc(0) },
};

export const EK_PROFILES: Readonly<Record<EkProfileName, EkProfile>> = {
  rsa2048: { name: 'rsa2048', certificateIndex: 0x01c00002, persistentHandle: 0x81010001, template: RSA_2048 },
  p256: { name: 'p256', certificateIndex: 0x01c0000a, persistentHandle: 0x8101000a, template: P256 },
  p384: { name: 'p384', certificateIndex: 0x01c00016, persistentHandle: 0x81010016, template: P384 },
};

/** The template with the key that a certificate names: what a verifier takes for the EK's public area. */
export function endorsementKeyArea(profile: EkProfile, unique: TPMT_PUBLIC['unique']): TPMT_PUBLIC {
  const { template } = profile;
  if (template.type === 'rsa' && unique instanceof Uint8Array) return { ...template, unique };
  if (template.type === 'ecc' && !(unique instanceof Uint8Array)) return { ...template, unique };
  throw new TypeError(`an ${template.type} template with another kind of key`);
}
