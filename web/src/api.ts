/** What the dashboard asks the server, and the shapes of its answers. The session's cookie goes along by itself. */

import { fields, flag, list, number, oneOf, optional, type Shape, text } from './check.ts';
import type { ChainLink, Severity } from './severity.ts';

export type Verdict = 'trusted' | 'warning' | 'untrusted' | 'unknown';
export type Assurance = 'hardware' | 'swtpm' | 'demonstration';
export type Measurer = 'kernel' | 'user-space';

/** Times are milliseconds since the epoch, by the server's clock. */
export interface HostSummary {
  readonly id: string;
  readonly name: string;
  /** Absent until the first evidence was judged. */
  readonly verdict?: Verdict | undefined;
  /** When the challenge was made that the verdict's evidence answers. */
  readonly asOf?: number | undefined;
  readonly assurance: Assurance;
  readonly measurer: Measurer;
  /** False: `silent`, nothing comes from it; that says nothing about its integrity. */
  readonly live: boolean;
  readonly lastSeenAt?: number | undefined;
  readonly measured: number;
}

export interface Finding {
  readonly code: string;
  readonly severity: Severity;
  readonly link: ChainLink;
  readonly title: string;
  readonly advice: string;
  /** Raw, as the host gave it. */
  readonly subject: string;
  readonly message: string;
  readonly position?: { readonly log: string; readonly index: number; readonly pcr: number } | undefined;
  readonly expected?: string | undefined;
  readonly found?: string | undefined;
}

export interface Pcr {
  readonly index: number;
  /** What it holds. */
  readonly meaning: string;
  /** Hex. */
  readonly value: string;
}

/** The server's word on one link of the chain of trust. */
export interface LinkSummary {
  readonly link: string;
  /** `absent`: this machine has nothing there. */
  readonly state: string;
}

export interface HostDetail extends HostSummary {
  readonly chain: readonly LinkSummary[];
  readonly findings: readonly Finding[];
  readonly bank: string;
  readonly pcrs: readonly Pcr[];
}

export interface Measurement {
  /** Its place in the list, from 0. */
  readonly index: number;
  readonly pcr: number;
  readonly digest: string;
  /** Raw, as the host gave it. */
  readonly path: string;
  /** Codes of the findings on this entry. */
  readonly findings: readonly string[];
}

export interface MeasurementPage {
  readonly total: number;
  readonly items: readonly Measurement[];
}

export interface EvidenceFile {
  readonly name: string;
  readonly description: string;
  /** Base64. */
  readonly content: string;
}

/** One quote as files that belong together. */
export interface EvidenceFiles {
  readonly receivedAt: number;
  readonly files: readonly EvidenceFile[];
  /** The line that checks the quote with tpm2-tools, for a shell in the folder with the files. */
  readonly command: string;
}

export interface JoinLine {
  readonly command: string;
  readonly expiresAt: number;
}

export interface Demonstration {
  readonly available: boolean;
  readonly state: 'clean' | 'tampered';
  readonly program: string;
  /** Id of the host that it runs on; absent: whichever is shown. */
  readonly host?: string | undefined;
}

const verdict = oneOf('trusted', 'warning', 'untrusted', 'unknown');

const summaryShapes = {
  id: text,
  name: text,
  verdict: optional(verdict),
  asOf: optional(number),
  assurance: oneOf('hardware', 'swtpm', 'demonstration'),
  measurer: oneOf('kernel', 'user-space'),
  live: flag,
  lastSeenAt: optional(number),
  measured: number,
};
const hostSummary = fields<HostSummary>(summaryShapes);

const finding = fields<Finding>({
  code: text,
  severity: oneOf('info', 'warning', 'unknown', 'untrusted'),
  link: oneOf('tpm', 'firmware', 'kernel', 'files'),
  title: text,
  advice: text,
  subject: text,
  message: text,
  position: optional(fields({ log: text, index: number, pcr: number })),
  expected: optional(text),
  found: optional(text),
});

const hostDetail = fields<HostDetail>({
  ...summaryShapes,
  chain: list(fields<LinkSummary>({ link: text, state: text })),
  findings: list(finding),
  bank: text,
  pcrs: list(fields<Pcr>({ index: number, meaning: text, value: text })),
});

const measurementPage = fields<MeasurementPage>({
  total: number,
  items: list(fields<Measurement>({ index: number, pcr: number, digest: text, path: text, findings: list(text) })),
});

const evidenceFiles = fields<EvidenceFiles>({
  receivedAt: number,
  files: list(fields<EvidenceFile>({ name: text, description: text, content: text })),
  command: text,
});

const joinLine = fields<JoinLine>({ command: text, expiresAt: number });

const demonstration = fields<Demonstration>({
  available: flag,
  state: oneOf('clean', 'tampered'),
  program: text,
  host: optional(text),
});

/** The server answered, and the answer is no. */
export class RefusedError extends Error {
  override name = 'RefusedError';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...init });
  if (response.ok) return response;
  throw new RefusedError(response.status, await reason(response));
}

const refusal = fields<{ readonly message: string }>({ message: text });

async function reason(response: Response): Promise<string> {
  try {
    return refusal(await response.json(), 'error').message;
  } catch {
    return `the server answered ${response.status}`;
  }
}

async function get<T>(path: string, shape: Shape<T>): Promise<T> {
  return shape(await (await ask(path)).json(), path);
}

const hostPath = (id: string): string => `/api/hosts/${encodeURIComponent(id)}`;

const hostList = fields<{ readonly hosts: readonly HostSummary[] }>({ hosts: list(hostSummary) });

export async function getHosts(): Promise<readonly HostSummary[]> {
  return (await get('/api/hosts', hostList)).hosts;
}

export function getHost(id: string): Promise<HostDetail> {
  return get(hostPath(id), hostDetail);
}

export interface MeasurementQuery {
  readonly search: string;
  readonly page: number;
  readonly pageSize: number;
}

export function getMeasurements(id: string, query: MeasurementQuery): Promise<MeasurementPage> {
  const parameters = new URLSearchParams({
    search: query.search,
    order: 'newest',
    offset: String(query.page * query.pageSize),
    limit: String(query.pageSize),
  });
  return get(`${hostPath(id)}/measurements?${parameters}`, measurementPage);
}

export function getEvidence(id: string): Promise<EvidenceFiles> {
  return get(`${hostPath(id)}/evidence`, evidenceFiles);
}

/** The latest evidence as one archive. */
export function evidenceArchive(id: string): string {
  return `${hostPath(id)}/evidence/evidence.tar`;
}

/** Allows a waiting file with the content that it was measured with; it counts from the host's next evidence on. */
export async function approveFile(id: string, path: string): Promise<void> {
  await ask(`${hostPath(id)}/reference`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ approve: [path] }),
  });
}

/** @param demonstration lets a machine without a TPM that the operator trusts enrol, from this machine only */
export async function makeJoinLine(demonstration: boolean): Promise<JoinLine> {
  const response = await ask('/api/tokens/join', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ demonstration }),
  });
  return joinLine(await response.json(), '/api/tokens/join');
}

/** Undefined where this server has nothing to try. */
export async function getDemonstration(): Promise<Demonstration | undefined> {
  try {
    const found = await get('/api/demonstration', demonstration);
    return found.available ? found : undefined;
  } catch (error) {
    if (error instanceof RefusedError && error.status !== 401) return undefined;
    throw error;
  }
}

export async function demonstrate(step: 'tamper' | 'undo'): Promise<void> {
  await ask(`/api/demonstration/${step}`, { method: 'POST' });
}
