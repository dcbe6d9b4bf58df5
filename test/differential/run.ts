/** Sends the same commands to the software TPM and to swtpm, and tells where they answer differently. */
import { describeResponseCode, TPM_RC } from '../../src/tpm/index.ts';
import { aftermath, COMMAND_NAMES, sentName } from './aftermath.ts';
import { differences } from './comparison.ts';
import { GENERATORS } from './generators/index.ts';
import { start } from './generators/platform.ts';
import { type Mutation, randomMutation } from './mutation.ts';
import { Random } from './random.ts';
import { type Pair, type Side, softwareSide, swtpmSide } from './sides.ts';
import type { Built, Step } from './step.ts';
import { World } from './world.ts';

export interface RunOptions {
  readonly seed: number;
  /** Commands in all. */
  readonly commands: number;
  readonly progress?: (report: Report) => void;
}

export interface Finding {
  readonly name: string;
  readonly ours: number;
  readonly theirs: number;
  readonly sent: Uint8Array;
  readonly isMutated: boolean;
  /** The same bytes went to both: none of them one TPM's own. */
  readonly isSame: boolean;
  /** What else differs, where both succeed. */
  readonly structure: readonly string[];
}

export interface Report {
  readonly seed: number;
  sent: number;
  /** In both. */
  succeeded: number;
  /** Success in one only, or another structure. */
  readonly disagreements: Finding[];
  /** Both refuse, with other codes. */
  readonly otherCodes: Finding[];
  /** What the software TPM answered TPM_RC_FAILURE to. */
  readonly failures: Finding[];
  readonly counts: Map<string, { sent: number; succeeded: number }>;
  slowest: { readonly name: string; readonly ms: number };
}

/** Commands to one pair of TPMs. */
const EPISODE = 300;

/** Of the commands that were asked for, and of those that only prepare them. */
const MUTATED = 0.4;
const MUTATED_PREPARATION = 0.04;

/** Kinds of commands that are drawn, of which the rarest yet is taken. */
const DRAWN = 8;

/** How often a command is tried again whose needs had to be made. */
const ATTEMPTS = 3;

/** The software TPM and swtpm. */
export function runDifferential(options: RunOptions): Promise<Report> {
  return runPair({ ...options, sides: async () => [softwareSide(), await swtpmSide()] });
}

export interface PairOptions extends RunOptions {
  /** A new pair of TPMs, which is closed when it is done with. */
  readonly sides: () => Promise<Pair<Side>>;
}

export async function runPair({ seed, commands, progress, sides }: PairOptions): Promise<Report> {
  const random = new Random(seed);
  const report: Report = {
    seed,
    sent: 0,
    succeeded: 0,
    disagreements: [],
    otherCodes: [],
    failures: [],
    counts: new Map(COMMAND_NAMES.map((name) => [name, { sent: 0, succeeded: 0 }])),
    slowest: { name: '', ms: 0 },
  };
  while (report.sent < commands) {
    await runEpisode(random.fork(), report, await sides(), Math.min(EPISODE, commands - report.sent));
    progress?.(report);
  }
  return report;
}

/** The part of the commands that both did or both refused, and answered alike. */
export function agreement({ sent, disagreements }: Report): number {
  return 1 - disagreements.length / sent;
}

async function runEpisode(random: Random, report: Report, sides: Pair<Side>, length: number): Promise<void> {
  try {
    const episode = new Episode(random, sides, report);
    await episode.run(length);
  } finally {
    await Promise.all(sides.map((side) => side.close()));
  }
}

/** Undefined where a byte that was to change is that byte already in one of the two: only one of them would be damaged. */
function mutatedPair(plain: Pair<Uint8Array>, mutation: Mutation): Pair<Uint8Array> | undefined {
  const [ours, theirs] = [mutation(plain[0]), mutation(plain[1])];
  return Buffer.from(ours).equals(plain[0]) === Buffer.from(theirs).equals(plain[1]) ? [ours, theirs] : undefined;
}

class Episode {
  readonly #random: Random;
  readonly #sides: Pair<Side>;
  readonly #report: Report;
  readonly #world: World;
  #locality = 0;
  #asked = '';

  constructor(random: Random, sides: Pair<Side>, report: Report) {
    this.#random = random;
    this.#sides = sides;
    this.#report = report;
    this.#world = new World(random);
  }

  /** Ends early where the two are not alike any more. */
  async run(length: number): Promise<void> {
    let goesOn = await this.#take(start(this.#world, 'clear'), false);
    for (let i = 1; goesOn && i < length; i++) {
      const { step, isAskedFor } = this.#next();
      goesOn = await this.#take(step, this.#random.chance(isAskedFor ? MUTATED : MUTATED_PREPARATION));
    }
  }

  #next(): { readonly step: Step; readonly isAskedFor: boolean } {
    for (;;) {
      const follower = this.#world.queue.shift();
      const step = follower === undefined ? this.#generate() : follower();
      if (step !== undefined) return { step, isAskedFor: step.command.name === this.#asked };
    }
  }

  /** Of some kinds the one that was had least. */
  #generate(): Step | undefined {
    const names = Object.keys(GENERATORS);
    const drawn = Array.from({ length: DRAWN }, () => this.#random.pick(names) ?? 'TPM2_ReadClock');
    const count = (name: string): number => this.#report.counts.get(name)?.sent ?? 0;
    const [name] = drawn.sort((a, b) => count(a) - count(b));
    this.#asked = name ?? '';
    return this.#attempt(this.#asked, ATTEMPTS);
  }

  /** What it needs may have to be made first: then it comes again. */
  #attempt(name: string, left: number): Step | undefined {
    const generators: Readonly<Record<string, ((world: World) => Step | undefined) | undefined>> = GENERATORS;
    const made = generators[name]?.(this.#world);
    const isOther = made !== undefined && made.command.name !== name;
    if (isOther && left > 0) this.#world.queue.push(() => this.#attempt(name, left - 1));
    return made;
  }

  async #take(step: Step, isMutable: boolean): Promise<boolean> {
    await this.#prepare(step);
    const built: Pair<Built> = [step.build(0), step.build(1)];
    const plain: Pair<Uint8Array> = [built[0].bytes, built[1].bytes];
    const canMutate = isMutable && !step.isPowered && plain[0].length === plain[1].length;
    const mutated = canMutate ? mutatedPair(plain, randomMutation(this.#random)) : undefined;
    const isMutated = mutated !== undefined;
    const sent = mutated ?? plain;
    const isSame = Buffer.from(sent[0]).equals(sent[1]);
    const began = performance.now();
    const ours = await this.#sides[0].execute(sent[0]);
    const ms = performance.now() - began;
    const theirs = await this.#sides[1].execute(sent[1]);
    const name = sentName(sent[0]);
    if (ms > this.#report.slowest.ms) this.#report.slowest = { name, ms };
    const finding = { name, ours: rcOf(ours), theirs: rcOf(theirs), sent: sent[0], isMutated, isSame, structure: [] };
    return this.#judge(step, built, sent, [ours, theirs], finding);
  }

  async #prepare({ isPowered, locality }: Step): Promise<void> {
    if (isPowered) await Promise.all(this.#sides.map((side) => side.powerOn()));
    if (locality === this.#locality) return;
    await Promise.all(this.#sides.map((side) => side.setLocality(locality)));
    this.#locality = locality;
  }

  #judge(
    step: Step,
    built: Pair<Built>,
    sent: Pair<Uint8Array>,
    responses: Pair<Uint8Array>,
    finding: Finding,
  ): boolean {
    const { name, ours, theirs, isMutated } = finding;
    const report = this.#report;
    report.sent++;
    const count = report.counts.get(name);
    if (count !== undefined) count.sent++;
    if (ours === TPM_RC.FAILURE) report.failures.push(finding);
    if ((ours === 0) !== (theirs === 0)) {
      report.disagreements.push(finding);
      return false;
    }
    if (ours !== 0) {
      if (ours !== theirs) report.otherCodes.push(finding);
      else if (ours === TPM_RC.RETRY && !isMutated) this.#world.queue.unshift(() => step);
      return true;
    }
    report.succeeded++;
    if (count !== undefined) count.succeeded++;
    if (isMutated) return aftermath(this.#world, sent, responses);
    return this.#learn(step, built, responses, finding);
  }

  #learn(step: Step, built: Pair<Built>, responses: Pair<Uint8Array>, finding: Finding): boolean {
    const [ours, theirs] = [readOf(built[0], responses[0]), readOf(built[1], responses[1])];
    if (ours instanceof Error || theirs instanceof Error) {
      const structure = [
        `${String(ours instanceof Error ? ours.message : 'read')} | ${String(theirs instanceof Error ? theirs.message : 'read')}`,
      ];
      const isBoth = ours instanceof Error && theirs instanceof Error;
      if (!isBoth) this.#report.disagreements.push({ ...finding, structure });
      return isBoth;
    }
    const structure = differences(ours, theirs, step);
    if (structure.length > 0) this.#report.disagreements.push({ ...finding, structure });
    this.#endSessions(step);
    step.learn([ours, theirs]);
    return true;
  }

  /** A policy begins anew after it has authorized; what shall not continue is gone. */
  #endSessions({ sessions }: Step): void {
    for (const [session] of sessions) {
      const known = this.#world.sessions.find(({ handle }) => handle === session.handle);
      if (known === undefined) continue;
      if (!session.attributes.continueSession) this.#world.forget(session.handle);
      if (known.type === 'hmac') continue;
      known.asserted = [];
      for (const each of known.pair) each.policyAuth = 'none';
    }
  }
}

function readOf(built: Built, response: Uint8Array): object {
  try {
    return built.read(response);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function rcOf(response: Uint8Array): number {
  return Buffer.from(response).readUInt32BE(6);
}

export function describe({ name, ours, theirs, sent, isMutated, structure }: Finding): string {
  const codes = `${describeResponseCode(ours)} | ${describeResponseCode(theirs)}`;
  const hex = Buffer.from(sent).toString('hex');
  return `${isMutated ? '~' : ' '}${name}: ${structure.length > 0 ? structure.join('; ') : codes}\n    ${hex.slice(0, 600)}`;
}
