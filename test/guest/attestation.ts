/** A guest attests through files: challenges go in with a boot, evidence comes out of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../../src/bytes/index.ts';
import { type Evidence, EvidenceCodec, type EvidenceRequest } from '../../src/evidence/index.ts';
import type { Credential } from '../../src/tpm/index.ts';
import type { Boot } from './guest.ts';
import { IN, keep, OUT, run, type Step } from './script.ts';
import { GUEST_PROJECT } from './tree.ts';

/** What `inside/attest.ts` answers. */
export interface GuestChallenge {
  /** Hex. */
  readonly nonce: string;
  readonly request: EvidenceRequest;
}

/** {@link Credential} in hex. */
export interface GuestCredential {
  readonly credentialBlob: string;
  readonly secret: string;
}

/** The wrapped AK, as the agent's data folder has it: nobody but the guest's TPM can use it. */
const KEPT = ['ak.public', 'ak.private'] as const;

/** Answers the challenges of `attestationFiles` and brings the AK out. */
export const attest: readonly Step[] = [
  run('node', `${GUEST_PROJECT}/test/guest/inside/attest.ts`, IN, OUT),
  ...KEPT.map((name) => keep(`${IN}/${name}`, name)),
];

/** What a boot that attests is handed. @param earlier the boot whose AK it uses again */
export function attestationFiles(
  challenges: Readonly<Record<string, GuestChallenge>>,
  earlier?: Boot,
  credential?: Credential,
): Record<string, string | Uint8Array> {
  const kept = earlier === undefined ? [] : KEPT.map((name) => [name, earlier.file(name)] as const);
  return {
    ...Object.fromEntries(kept),
    ...(credential === undefined ? {} : { 'credential.json': JSON.stringify(hexed(credential)) }),
    'challenges.json': JSON.stringify(challenges),
  };
}

const hexed = ({ credentialBlob, secret }: Credential): GuestCredential => ({
  credentialBlob: toHex(credentialBlob),
  secret: toHex(secret),
});

export const evidenceOf = (boot: Boot, challenge: string): Evidence => EvidenceCodec.decode(boot.file(challenge));

/** The certificate authority's PEM files beside its root. */
export const issuerOf = (caRoot: string): string => readFileSync(join(caRoot, '../issuercert.pem'), 'utf8');
