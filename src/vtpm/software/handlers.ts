/** Every command that this TPM implements, by command code. */
import { COMMANDS } from '../../tpm/index.ts';
import { asymmetric } from './commands/asymmetric.ts';
import { attestation } from './commands/attestation.ts';
import { audit } from './commands/audit.ts';
import { capability } from './commands/capability.ts';
import { clock } from './commands/clock.ts';
import { context } from './commands/context.ts';
import { dictionaryAttack } from './commands/dictionary-attack.ts';
import { duplication } from './commands/duplication.ts';
import { ephemeralKeys } from './commands/ephemeral-keys.ts';
import { hash } from './commands/hash.ts';
import { hierarchy } from './commands/hierarchy.ts';
import { management } from './commands/management.ts';
import { nv } from './commands/nv.ts';
import { object } from './commands/object.ts';
import { pcr } from './commands/pcr.ts';
import { policy } from './commands/policy.ts';
import { policyAuthorization } from './commands/policy-authorization.ts';
import { random } from './commands/random.ts';
import { session } from './commands/session.ts';
import { signature } from './commands/signature.ts';
import { startup } from './commands/startup.ts';
import { symmetric } from './commands/symmetric.ts';
import type { ErasedHandler } from './handler.ts';
import { IMPLEMENTED } from './implemented.ts';

const CHAPTERS = {
  ...startup,
  ...session,
  ...object,
  ...duplication,
  ...asymmetric,
  ...symmetric,
  ...hash,
  ...random,
  ...attestation,
  ...ephemeralKeys,
  ...signature,
  ...audit,
  ...pcr,
  ...policy,
  ...policyAuthorization,
  ...hierarchy,
  ...dictionaryAttack,
  ...management,
  ...context,
  ...clock,
  ...capability,
  ...nv,
};

/**
 * The handler of a code gets what that code's declaration reads, so the request type may be forgotten here: the one
 * place where it is.
 */
export const HANDLERS: ReadonlyMap<number, ErasedHandler> = new Map(
  Object.entries(CHAPTERS).map(([name, handler]): [number, ErasedHandler] => [
    COMMANDS[name as keyof typeof CHAPTERS].code,
    handler as unknown as ErasedHandler,
  ]),
);

for (const code of HANDLERS.keys()) IMPLEMENTED.add(code);
