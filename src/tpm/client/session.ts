/** Sessions as the caller holds them (TPM 2.0 Part 1, 19). */
import { randomBytes } from 'node:crypto';
import { digestInfo } from '../../bytes/index.ts';
import { TPM2_FlushContext, TPM2_StartAuthSession } from '../commands.ts';
import { TpmError } from '../errors.ts';
import { isAsymmetric, shareSecret } from '../secret-sharing.ts';
import { deriveSessionKey } from '../session-crypto.ts';
import { TPM_RH, type TPMA_SESSION, type TPMI_ALG_HASH, type TPMT_PUBLIC, type TPMT_SYM_DEF } from '../structures.ts';
import type { CommandExecutor } from './command-executor.ts';

export interface SessionOptions {
  readonly type: 'hmac' | 'policy' | 'trial';
  readonly authHash?: TPMI_ALG_HASH;
  /** For parameter encryption; null by default. */
  readonly symmetric?: TPMT_SYM_DEF;
  /** A decryption key of the TPM under which the salt travels. Its public area must be trusted: it is what keeps others out. */
  readonly salt?: { readonly handle: number; readonly area: TPMT_PUBLIC };
  readonly bind?: { readonly handle: number; readonly auth: Uint8Array };
}

export const AES_128_CFB: TPMT_SYM_DEF = { algorithm: 'aes', keyBits: 128, mode: 'cfb' };
const NO_SYMMETRIC: TPMT_SYM_DEF = { algorithm: 'null' };

/** What a session is bound to: another object that comes to lie at the same handle is not it. */
export interface BoundEntity {
  readonly name: Uint8Array;
  readonly auth: Uint8Array;
}

/** One session; guards its nonces, which roll with every command. Not for two commands at once. */
export class Session {
  readonly handle: number;
  readonly type: SessionOptions['type'];
  readonly authHash: TPMI_ALG_HASH;
  readonly symmetric: TPMT_SYM_DEF;
  readonly sessionKey: Uint8Array;
  readonly boundTo: BoundEntity | undefined;
  nonceTPM: Uint8Array;
  nonceCaller: Uint8Array;
  /** What its next command carries; `continueSession` keeps it alive. */
  attributes: TPMA_SESSION = { continueSession: true };
  /** What a policy asked for: the entity's authorization value in the HMAC, or in the clear. */
  policyAuth: 'none' | 'value' | 'password' = 'none';

  private constructor(
    handle: number,
    options: SessionOptions,
    boundTo: BoundEntity | undefined,
    sessionKey: Uint8Array,
    nonces: [Uint8Array, Uint8Array],
  ) {
    this.handle = handle;
    this.type = options.type;
    this.authHash = options.authHash ?? 'sha256';
    this.symmetric = options.symmetric ?? NO_SYMMETRIC;
    this.boundTo = boundTo;
    this.sessionKey = sessionKey;
    [this.nonceCaller, this.nonceTPM] = nonces;
  }

  /** TPM2_StartAuthSession (Part 3, 11.1). */
  static async start(tpm: CommandExecutor, options: SessionOptions): Promise<Session> {
    const authHash = options.authHash ?? 'sha256';
    const nonceCaller = randomBytes(digestInfo(authHash).size);
    const salt = makeSalt(options.salt);
    const { bind } = options;
    const boundTo = bind === undefined ? undefined : { name: await tpm.nameOf(bind.handle), auth: bind.auth };
    const { sessionHandle, nonceTPM } = await tpm.execute(TPM2_StartAuthSession, {
      tpmKey: options.salt?.handle ?? TPM_RH.NULL,
      bind: bind?.handle ?? TPM_RH.NULL,
      nonceCaller,
      encryptedSalt: salt.secret,
      sessionType: options.type,
      symmetric: options.symmetric ?? NO_SYMMETRIC,
      authHash,
    });
    const isKeyed = options.salt !== undefined || bind !== undefined;
    const bindAuth = bind?.auth ?? new Uint8Array(0);
    const key = isKeyed ? deriveSessionKey(authHash, bindAuth, salt.seed, nonceTPM, nonceCaller) : new Uint8Array(0);
    return new Session(sessionHandle, options, boundTo, key, [nonceCaller, nonceTPM]);
  }

  /** A policy session that another program started, without salt and binding, and satisfied. */
  static ofPolicyHandle(handle: number, authHash: TPMI_ALG_HASH): Session {
    const empty = new Uint8Array(0);
    return new Session(handle, { type: 'policy', authHash }, undefined, empty, [empty, empty]);
  }

  async flush(tpm: CommandExecutor): Promise<void> {
    await tpm.execute(TPM2_FlushContext, { flushHandle: this.handle });
  }
}

function makeSalt(salt: SessionOptions['salt']): { seed: Uint8Array; secret: Uint8Array } {
  if (salt === undefined) return { seed: new Uint8Array(0), secret: new Uint8Array(0) };
  const { area } = salt;
  if (!isAsymmetric(area) || area.nameAlg === 'null') {
    throw new TpmError('tpm.argument', 'a session is salted with an RSA or ECC decryption key');
  }
  return shareSecret(area, area.nameAlg, 'SECRET');
}
