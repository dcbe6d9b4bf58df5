/** Policies that are known step by step, so that a session can be made to fulfil them (Part 1, 19.7). */
import { digest, digestInfo } from '../../src/bytes/index.ts';
import {
  COMMANDS,
  type CommandName,
  encode,
  handleName,
  TPM_RH,
  TPMA_LOCALITY,
  TPMI_YES_NO,
  TPML_PCR_SELECTION,
  uint8,
} from '../../src/tpm/index.ts';
import type { Random } from './random.ts';
import type { Hash } from './templates.ts';

export type Assertion =
  | { readonly kind: 'authValue' }
  | { readonly kind: 'password' }
  | { readonly kind: 'commandCode'; readonly code: number }
  | { readonly kind: 'pcr' }
  | { readonly kind: 'secret'; readonly hierarchy: number }
  | { readonly kind: 'locality'; readonly locality: number }
  | { readonly kind: 'nvWritten'; readonly written: boolean }
  | { readonly kind: 'or'; readonly branches: readonly Uint8Array[] }
  /** Whatever else a session was told. */
  | { readonly kind: 'other' };

export interface Recipe {
  readonly hash: Hash;
  readonly assertions: readonly Assertion[];
  readonly digest: Uint8Array;
}

const code = (name: CommandName): Uint8Array => handleName(COMMANDS[name].code);

/** Of PCR 18 in the bank of SHA-256, which is all ones until a dynamic launch. */
export const POLICY_PCRS = [{ hash: 'sha256', pcrs: [18] }] as const;

function extended(hash: Hash, old: Uint8Array, assertion: Assertion): Uint8Array {
  switch (assertion.kind) {
    case 'authValue':
    case 'password':
      return digest(hash, old, code('TPM2_PolicyAuthValue'));
    case 'commandCode':
      return digest(hash, old, code('TPM2_PolicyCommandCode'), handleName(assertion.code));
    case 'pcr': {
      const pcrDigest = digest(hash, new Uint8Array(32).fill(0xff));
      return digest(hash, old, code('TPM2_PolicyPCR'), encode(TPML_PCR_SELECTION, POLICY_PCRS), pcrDigest);
    }
    case 'secret':
      return digest(hash, digest(hash, old, code('TPM2_PolicySecret'), handleName(assertion.hierarchy)));
    case 'locality':
      return digest(hash, old, code('TPM2_PolicyLocality'), encode(uint8, assertion.locality));
    case 'nvWritten':
      return digest(hash, old, code('TPM2_PolicyNvWritten'), encode(TPMI_YES_NO, assertion.written));
    case 'or':
      return digest(hash, new Uint8Array(digestInfo(hash).size), code('TPM2_PolicyOR'), ...assertion.branches);
    case 'other':
      return old;
  }
}

export function recipe(hash: Hash, ...assertions: readonly Assertion[]): Recipe {
  let policyDigest: Uint8Array = new Uint8Array(digestInfo(hash).size);
  for (const assertion of assertions) policyDigest = extended(hash, policyDigest, assertion);
  return { hash, assertions, digest: policyDigest };
}

/** The same, or one of two that another one stands beside. */
function alternative(made: Recipe, random: Random): Recipe {
  const other = random.bytes(made.digest.length);
  const branches = random.chance(0.5) ? [made.digest, other] : [other, made.digest];
  return recipe(made.hash, ...made.assertions, { kind: 'or', branches });
}

/** Any policy that can be fulfilled at locality 0; for the commands of `codes` where the role asks for one. */
export function randomRecipe(random: Random, hash: Hash, codes: readonly number[] = []): Recipe {
  const chosen = random.pick(codes);
  const ofCommand: Assertion[] = chosen === undefined ? [] : [{ kind: 'commandCode', code: chosen }];
  const other = random.pick<Assertion>([
    { kind: 'authValue' },
    { kind: 'password' },
    { kind: 'pcr' },
    { kind: 'secret', hierarchy: random.of(TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM) },
    { kind: 'locality', locality: TPMA_LOCALITY.toNumber({ zero: true, three: true }) },
  ]);
  const both = other === undefined || (ofCommand.length > 0 && random.chance(0.6)) ? ofCommand : [...ofCommand, other];
  const made = recipe(hash, ...both);
  return random.chance(0.2) ? alternative(made, random) : made;
}
