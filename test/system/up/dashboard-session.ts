/** A browser's part without a browser: the one-time link for a cookie, the API with it, the live events. */

export class DashboardSession {
  readonly #origin: string;
  readonly #cookie: string;

  private constructor(origin: string, cookie: string) {
    this.#origin = origin;
    this.#cookie = cookie;
  }

  static async open(link: string): Promise<DashboardSession> {
    const response = await fetch(link);
    const [cookie = ''] = response.headers.get('set-cookie')?.split(';') ?? [];
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    return new DashboardSession(new URL(link).origin, cookie);
  }

  /** The API's answer, which the caller says the shape of. @throws where it is no success */
  async get<Body>(path: string): Promise<Body> {
    return await this.#send(path, {});
  }

  async post<Body>(path: string): Promise<Body> {
    return await this.#send(path, { method: 'POST' });
  }

  async #send<Body>(path: string, init: RequestInit): Promise<Body> {
    const headers = { cookie: this.#cookie, origin: this.#origin };
    const response = await fetch(`${this.#origin}/api${path}`, { ...init, headers });
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status}: ${text}`);
    return JSON.parse(text);
  }

  /** Verdicts from now on, as the page is told of them. */
  async verdicts(signal: AbortSignal): Promise<AsyncIterator<VerdictEvent>> {
    const response = await fetch(`${this.#origin}/api/events`, { headers: { cookie: this.#cookie }, signal });
    if (response.body === null) throw new Error('no stream');
    return readVerdicts(response.body);
  }
}

export interface VerdictEvent {
  readonly verdict: string;
}

async function* readVerdicts(body: ReadableStream<Uint8Array>): AsyncGenerator<VerdictEvent, void> {
  let text = '';
  for await (const part of body) {
    text += Buffer.from(part).toString('utf8');
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = /^event: verdict\ndata: (.*)$/m.exec(block)?.[1];
      if (data === undefined) continue;
      const { detail }: { detail: VerdictEvent } = JSON.parse(data);
      yield detail;
    }
  }
}
