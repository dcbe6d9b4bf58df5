/** Who asks, and what they may do. */

import { ServerError } from '../error.ts';
import type { Db } from '../store/store.ts';
import { findToken, type StoredToken } from '../store/tokens.ts';
import { tokenHash } from './token.ts';

/** People and programs, each role may do what the one before it may. */
export type PersonRole = 'viewer' | 'operator' | 'admin';

export type Identity =
  | { readonly kind: 'person'; readonly role: PersonRole; readonly token: string }
  /** An enrolled host's agent; it speaks for that host alone. */
  | { readonly kind: 'agent'; readonly hostId: string; readonly token: string }
  /** A machine that may enrol, once. */
  | { readonly kind: 'join'; readonly demonstration: boolean; readonly label: string; readonly token: string };

/** What a route asks of its caller; `public` asks nothing. */
export type Access = 'public' | PersonRole | 'agent' | 'join';

const RANK: Readonly<Record<PersonRole, number>> = { viewer: 0, operator: 1, admin: 2 };

export function mayAccess(identity: Identity, access: Access): boolean {
  if (access === 'public') return true;
  if (access === 'agent' || access === 'join') return identity.kind === access;
  return identity.kind === 'person' && RANK[identity.role] >= RANK[access];
}

export type Credential =
  /** From `Authorization: Bearer`. */
  | { readonly from: 'bearer'; readonly token: string }
  /** From the dashboard's cookie, which only the loopback listener reads. */
  | { readonly from: 'cookie'; readonly token: string };

/**
 * Whose credential it is.
 * @throws {ServerError} `token.invalid` for an unknown or expired one, `token.used` for a one-time token's second use
 */
export async function identify(db: Db, credential: Credential, now: number): Promise<Identity> {
  const hash = tokenHash(credential.token);
  const stored = await findToken(db, hash);
  if (stored === undefined || (stored.expires_at !== null && stored.expires_at <= now)) {
    throw new ServerError('token.invalid', 'the token is not known or has expired', {
      advice:
        credential.from === 'cookie'
          ? 'open the dashboard by a new link (`assay server link` prints one)'
          : 'ask for a new token',
    });
  }
  if (stored.used_at !== null) throw new ServerError('token.used', 'the token was for one use and has been used');
  const identity = identityOf(stored, credential.from);
  if (identity === undefined) throw new ServerError('token.invalid', 'this kind of token cannot be used here');
  return identity;
}

/** A session is no bearer token and a bearer token is no session: each is good for the way that it was given out for. */
function identityOf(stored: StoredToken, from: Credential['from']): Identity | undefined {
  const token = stored.hash;
  if (from === 'cookie') return stored.role === 'session' ? { kind: 'person', role: 'admin', token } : undefined;
  switch (stored.role) {
    case 'viewer':
    case 'operator':
    case 'admin':
      return { kind: 'person', role: stored.role, token };
    case 'agent':
      return stored.host_id === null ? undefined : { kind: 'agent', hostId: stored.host_id, token };
    case 'join':
      return { kind: 'join', demonstration: stored.demonstration === 1, label: stored.label, token };
    case 'dashboard':
    case 'session':
      return undefined;
  }
}
