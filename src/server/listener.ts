/** The two ways in. */
import { isIP } from 'node:net';

export type Listener =
  /** People on this machine: plain HTTP on loopback, known by a cookie; serves the dashboard. */
  | { readonly kind: 'dashboard'; readonly address: '127.0.0.1' | '::1'; readonly port: number }
  /** Agents, and people and programs from elsewhere: TLS, known by bearer tokens. */
  | { readonly kind: 'tls'; readonly address: string; readonly port: number };

/** True for an address that only this machine can reach. A name is not one: it may resolve to anything. */
export function isLoopback(address: string): boolean {
  if (isIP(address) === 4) return address.startsWith('127.');
  return address === '::1';
}
