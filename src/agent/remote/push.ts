/** Attests again and again: one round trip each, because every answer carries the next challenge. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Challenge,
  ChallengeCodec,
  type EvidenceAnswer,
  EvidenceAnswerCodec,
  EvidenceCodec,
} from '../../evidence/index.ts';
import { type Attester, collectEvidence } from '../attest/attester.ts';
import { AgentError } from '../error.ts';
import { RefusedError, type ServerConnection } from './connection.ts';

export interface PushOptions {
  readonly attester: Attester;
  readonly server: ServerConnection;
  /** Bearer token of the enrolment; a secret. */
  readonly token: string;
  /** Milliseconds between attestations when nothing happens; never longer than the server asks for. Left out: that. */
  readonly interval?: number;
  readonly onAnswer?: (answer: EvidenceAnswer) => void;
  /** Called for each failure that the loop goes on after. */
  readonly onTrouble?: (error: unknown) => void;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
/** As many as a verifier waits for a list that lags (verify/verify.ts), and some. */
const FREE_RETRIES = 5;

/** The push loop of one host; guards the challenge in hand. `nudge` attests at once, `stop` ends it. */
export class Pusher {
  readonly #options: PushOptions;
  readonly #abort = new AbortController();
  #challenge: Challenge | undefined;
  /** Milliseconds; Infinity until the server has answered. */
  #interval: number;
  #nudged = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;

  constructor(options: PushOptions, challenge?: Challenge) {
    this.#options = options;
    this.#challenge = challenge;
    this.#interval = options.interval ?? Number.POSITIVE_INFINITY;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Something happened on the host: attest now instead of at the next interval. */
  nudge(): void {
    this.#nudged.resolve();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#nudged.resolve();
    await this.#running;
  }

  /**
   * Attests once.
   * A challenge that the server no longer takes (restarted, expired, answered before a crash) is exchanged for a fresh
   * one; a second refusal is an error.
   */
  async attest(): Promise<EvidenceAnswer> {
    try {
      return await this.#attestWith(this.#challenge ?? (await this.#freshChallenge()));
    } catch (error) {
      if (!(error instanceof RefusedError && isStaleChallenge(error.refusal))) throw error;
      return await this.#attestWith(await this.#freshChallenge());
    }
  }

  async #attestWith(challenge: Challenge): Promise<EvidenceAnswer> {
    const { attester, server, token } = this.#options;
    this.#challenge = undefined;
    const evidence = await collectEvidence(attester, challenge.nonce, challenge);
    const answer = EvidenceAnswerCodec.decode(
      await server.post('/api/agent/evidence', EvidenceCodec.encode(evidence), token),
    );
    this.#challenge = answer.next;
    this.#interval = Math.min(this.#options.interval ?? answer.intervalMs, answer.intervalMs);
    return answer;
  }

  async #freshChallenge(): Promise<Challenge> {
    const { server, token } = this.#options;
    return ChallengeCodec.decode(await server.post('/api/agent/challenge', new Uint8Array(0), token));
  }

  async #run(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    const tries = new RetryCount();
    while (!this.#abort.signal.aborted) {
      this.#nudged = Promise.withResolvers<void>();
      try {
        const answer = await this.attest();
        this.#options.onAnswer?.(answer);
        const idle = tries.count(answer);
        if (!answer.retry) await this.#wait(this.#interval);
        else if (idle > FREE_RETRIES) {
          // A server that asks for the same over and over must not keep a TPM and a processor busy.
          await this.#wait(pause);
          pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
          continue;
        }
        pause = FIRST_PAUSE_MS;
      } catch (error) {
        this.#options.onTrouble?.(error);
        await this.#wait(pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS, Math.max(this.#interval, FIRST_PAUSE_MS));
      }
    }
  }

  async #wait(milliseconds: number): Promise<void> {
    const { signal } = this.#abort;
    const timer = new AbortController();
    const timeout = delay(milliseconds, undefined, { signal: AbortSignal.any([signal, timer.signal]) }).catch(() => {});
    await Promise.race([timeout, this.#nudged.promise]);
    timer.abort();
  }
}

/** Answers in a row that asked for another try, and for no later part of the list than those before. */
export class RetryCount {
  #sent = 0;
  #idle = 0;

  count({ retry, next }: EvidenceAnswer): number {
    const isProgress = next.imaOffset > this.#sent;
    this.#sent = retry ? Math.max(this.#sent, next.imaOffset) : 0;
    this.#idle = retry && !isProgress ? this.#idle + 1 : 0;
    return this.#idle;
  }
}

function isStaleChallenge(code: string): boolean {
  return ['nonce.unknown', 'nonce.expired', 'nonce.replayed', 'challenge.conflict'].includes(code);
}

/**
 * Attests until a verdict is there: where the list was behind the quote, or the server asks for more. An answer that asks
 * for a later part of the list than any before it counts as no try.
 */
export async function attestUntilVerdict(pusher: Pick<Pusher, 'attest'>, tries = 10): Promise<EvidenceAnswer> {
  let sent = 0;
  for (let failed = 0; failed < tries; ) {
    const answer = await pusher.attest();
    if (!answer.retry && answer.verdict !== undefined) return answer;
    if (answer.next.imaOffset > sent) sent = answer.next.imaOffset;
    else failed += 1;
  }
  throw new AgentError('agent.no-verdict', `no verdict after ${tries} attestations`, {
    advice: 'the measurement list never reaches the quoted PCR 10; look at the server’s findings',
  });
}
