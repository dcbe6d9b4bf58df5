/**
 * Tokens: 256 random bits, shown once, stored as their SHA-256. A slow password hash would add nothing: there is
 * nothing to guess.
 */
import { hash, randomBytes } from 'node:crypto';
import type { TokenRole } from '../store/schema.ts';
import type { StoredToken } from '../store/tokens.ts';

export interface TokenOptions {
  readonly role: TokenRole;
  readonly label: string;
  readonly now: number;
  /** Milliseconds that it lives; left out: until it is deleted. */
  readonly lifetimeMs?: number;
  readonly hostId?: string;
  readonly demonstration?: boolean;
}

export interface NewToken {
  /** `assay_<role>_<43 characters of base64url>`; told to its bearer and to nobody else. */
  readonly token: string;
  readonly stored: StoredToken;
}

/** Makes a token and the row that remembers it. */
export function newToken(options: TokenOptions): NewToken {
  const token = `assay_${options.role}_${randomBytes(32).toString('base64url')}`;
  return {
    token,
    stored: {
      hash: tokenHash(token),
      role: options.role,
      host_id: options.hostId ?? null,
      label: options.label,
      demonstration: options.demonstration === true ? 1 : 0,
      created_at: options.now,
      expires_at: options.lifetimeMs === undefined ? null : options.now + options.lifetimeMs,
      used_at: null,
    },
  };
}

export function tokenHash(token: string): string {
  return hash('sha256', token, 'hex');
}
