/**
 * The dashboard's listener speaks plain HTTP on loopback and knows its user by a cookie, so any page in that user's
 * browser could try to use it. Two checks stop them: the Host must be ours (DNS rebinding gives a foreign name that
 * resolves to 127.0.0.1), and the Origin, where the browser names one, must be ours (a foreign page's requests name theirs).
 */
import { ServerError } from '../error.ts';

export interface LoopbackRequest {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** `Sec-Fetch-Site`, which browsers set and pages cannot. */
  readonly fetchSite: string | undefined;
  /** The caller is known by cookie alone. */
  readonly byCookie: boolean;
}

const NAMES = ['127.0.0.1', 'localhost', '[::1]'];
const READING = new Set(['GET', 'HEAD']);

/** @throws {ServerError} `request.host` or `request.origin` */
export function guardLoopback(request: LoopbackRequest, port: number): void {
  const hosts = NAMES.map((name) => `${name}:${port}`);
  if (port === 80) hosts.push(...NAMES);
  if (request.host === undefined || !hosts.includes(request.host.toLowerCase())) {
    throw new ServerError('request.host', 'the Host header does not name this machine', {
      advice: `open http://127.0.0.1:${port}`,
    });
  }
  const ours = hosts.map((host) => `http://${host}`);
  if (request.origin !== undefined && !ours.includes(request.origin.toLowerCase())) {
    throw new ServerError('request.origin', 'the request comes from another site');
  }
  if (!request.byCookie) return;
  if (request.fetchSite === 'cross-site' || request.fetchSite === 'same-site') {
    throw new ServerError('request.origin', 'the request comes from another site');
  }
  // Browsers name the origin of everything that changes something; without it we cannot know where it comes from.
  if (!READING.has(request.method) && request.origin === undefined) {
    throw new ServerError('request.origin', 'a request that changes something must name its Origin');
  }
}
