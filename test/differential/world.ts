/** What is known to be in both TPMs: made by the commands that succeeded in both. */
import { digestInfo } from '../../src/bytes/index.ts';
import {
  type Command,
  type HandleAuthorization,
  handleName,
  handleType,
  nvName,
  type Session,
  TPM_HT,
  TPM_RH,
  type TPMA_SESSION,
  type TPMS_CONTEXT,
  type TPMS_NV_PUBLIC,
  type TPMT_PUBLIC,
  type TPMT_SIGNATURE,
  type TPMT_TK_AUTH,
  type TPMT_TK_CREATION,
  type TPMT_TK_HASHCHECK,
  type TPMT_TK_VERIFIED,
} from '../../src/tpm/index.ts';
import type { Assertion, Recipe } from './policies.ts';
import type { Random } from './random.ts';
import type { Pair, Which } from './sides.ts';
import { type Authorization, type Step, type StepOptions, step } from './step.ts';
import type { Purpose } from './templates.ts';

const NONE = new Uint8Array(0);

/** Something that an authorization value belongs to. */
export interface Entity {
  readonly handle: number;
  readonly auth: Uint8Array;
  readonly recipe?: Recipe | undefined;
}

export interface KnownObject extends Entity {
  readonly area: Pair<TPMT_PUBLIC>;
  readonly name: Pair<Uint8Array>;
  readonly purpose: Purpose;
  readonly hierarchy: number;
  readonly parent: KnownObject | undefined;
  readonly hasPrivate: boolean;
  readonly isExternal: boolean;
  /** Both TPMs have the same key. */
  readonly isSame: boolean;
  readonly creation: Pair<{ readonly creationHash: Uint8Array; readonly ticket: TPMT_TK_CREATION }> | undefined;
}

/** A child outside, under a parent that may have gone. */
export interface Child extends Omit<KnownObject, 'handle' | 'name'> {
  readonly parent: KnownObject;
  readonly outPrivate: Pair<Uint8Array>;
}

export interface KnownSequence extends Entity {
  readonly kind: 'hash' | 'hmac' | 'event';
}

export interface KnownIndex extends Entity {
  area: TPMS_NV_PUBLIC;
}

export interface KnownSession {
  readonly handle: number;
  readonly pair: Pair<Session>;
  readonly type: 'hmac' | 'policy' | 'trial';
  /** What its policy consists of so far. */
  asserted: readonly Assertion[];
}

export interface SavedContext {
  readonly context: Pair<TPMS_CONTEXT>;
  readonly of: KnownObject | KnownSequence | KnownSession;
}

export interface KnownTicket<T> {
  readonly ticket: Pair<T>;
  readonly digest: Uint8Array;
}

export interface KnownSignature {
  readonly key: KnownObject;
  readonly digest: Uint8Array;
  readonly signature: Pair<TPMT_SIGNATURE>;
}

export interface KnownCredential {
  readonly key: KnownObject;
  readonly activated: KnownObject;
  readonly credentialBlob: Pair<Uint8Array>;
  readonly secret: Pair<Uint8Array>;
}

export interface KnownAuthTicket {
  readonly ticket: Pair<TPMT_TK_AUTH>;
  readonly timeout: Pair<Uint8Array>;
  readonly authName: Pair<Uint8Array>;
  readonly policyRef: Uint8Array;
}

export interface KnownVerification {
  readonly ticket: Pair<TPMT_TK_VERIFIED>;
  readonly keyName: Pair<Uint8Array>;
  readonly approvedPolicy: Uint8Array;
}

/** Something to be done before anything else. */
export type Follower = () => Step | undefined;

/** How many of each kind of thing that is outside are remembered. */
const MEMORY = 12;

export class World {
  readonly random: Random;
  readonly hierarchyAuth = new Map<number, Uint8Array>();
  pcrAuth: Uint8Array = NONE;
  objects: KnownObject[] = [];
  sequences: KnownSequence[] = [];
  persistents: KnownObject[] = [];
  indices: KnownIndex[] = [];
  sessions: KnownSession[] = [];
  children: Child[] = [];
  contexts: SavedContext[] = [];
  hashes: KnownTicket<TPMT_TK_HASHCHECK>[] = [];
  signatures: KnownSignature[] = [];
  credentials: KnownCredential[] = [];
  authTickets: KnownAuthTicket[] = [];
  verifications: KnownVerification[] = [];
  commits: number[] = [];
  /** How often the clock was set: each time further on. */
  clock = 0n;
  readonly queue: Follower[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  // --- making steps ---------------------------------------------------------------------------------------------------

  readonly nameOf = (which: Which, handle: number): Uint8Array => {
    const object = [...this.objects, ...this.persistents].find((known) => known.handle === handle);
    if (object !== undefined) return object.name[which];
    if (this.sequences.some((known) => known.handle === handle)) return NONE;
    const index = this.indices.find((known) => known.handle === handle);
    return index === undefined ? handleName(handle) : nvName(index.area);
  };

  step<H extends object, P extends object, RH extends object, RP extends object>(
    command: Command<H, P, RH, RP>,
    request: (H & P) | ((which: Which) => H & P),
    options: StepOptions<RH & RP> = {},
  ): Step {
    const of = typeof request === 'function' ? request : () => request;
    return step(this.nameOf, command, of, options);
  }

  remember<T>(list: readonly T[], thing: T): T[] {
    return [...list.slice(-(MEMORY - 1)), thing];
  }

  // --- authorizing ----------------------------------------------------------------------------------------------------

  hierarchy(handle: number): Entity {
    return { handle, auth: this.hierarchyAuth.get(handle) ?? NONE };
  }

  password({ auth }: { readonly auth: Uint8Array }): Authorization {
    return () => ({ password: auth });
  }

  /** As its value is: mostly in the clear or by a session, seldom wrong. */
  authorize(
    entity: Entity,
    { encryptable }: Pick<Command<object, object, object, object>, 'encryptable'>,
  ): Authorization {
    if (this.random.chance(0.015)) return () => ({ password: Buffer.from('wrong') });
    const session = this.random.chance(0.3) ? this.hmacSession() : undefined;
    if (session === undefined) return this.password(entity);
    this.dress(session, encryptable);
    return (which) => ({ session: session.pair[which], authValue: entity.auth });
  }

  /** Attributes for the next command. */
  dress({ pair }: KnownSession, encryptable: { readonly command: boolean; readonly response: boolean }): void {
    const { symmetric } = pair[0];
    const mayEncrypt = symmetric.algorithm !== 'null';
    const { random } = this;
    const attributes: TPMA_SESSION = {
      ...(random.chance(0.97) ? { continueSession: true } : {}),
      ...(mayEncrypt && encryptable.command && random.chance(0.5) ? { decrypt: true } : {}),
      ...(mayEncrypt && encryptable.response && random.chance(0.5) ? { encrypt: true } : {}),
      ...(pair[0].type === 'hmac' && random.chance(0.15) ? { audit: true } : {}),
    };
    for (const session of pair) session.attributes = attributes;
  }

  hmacSession(): KnownSession | undefined {
    return this.random.pick(this.sessions.filter(({ type }) => type === 'hmac'));
  }

  /** A policy session that fulfils what the entity asks for. */
  fulfilled({ recipe }: Entity): KnownSession | undefined {
    if (recipe === undefined) return undefined;
    return this.sessions.find(
      ({ type, pair, asserted }) =>
        type === 'policy' && pair[0].authHash === recipe.hash && isDeepEqual(asserted, recipe.assertions),
    );
  }

  byPolicy(entity: Entity, session: KnownSession): Authorization {
    for (const each of session.pair) each.attributes = { continueSession: true };
    return (which): HandleAuthorization => ({ session: session.pair[which], authValue: entity.auth });
  }

  // --- finding --------------------------------------------------------------------------------------------------------

  /** Transient objects, and persistent ones. */
  get loaded(): readonly KnownObject[] {
    return [...this.objects, ...this.persistents];
  }

  find(test: (object: KnownObject) => boolean): KnownObject | undefined {
    return this.random.pick(this.loaded.filter(test));
  }

  storageParent(): KnownObject | undefined {
    return this.find(({ purpose, hasPrivate, isExternal }) => purpose === 'storage' && hasPrivate && !isExternal);
  }

  get freeSlots(): number {
    return 3 - this.objects.length - this.sequences.length;
  }

  // --- forgetting -----------------------------------------------------------------------------------------------------

  forget(handle: number): void {
    switch (handleType(handle)) {
      case TPM_HT.TRANSIENT:
        this.objects = this.objects.filter((known) => known.handle !== handle);
        this.sequences = this.sequences.filter((known) => known.handle !== handle);
        break;
      case TPM_HT.PERSISTENT:
        this.persistents = this.persistents.filter((known) => known.handle !== handle);
        break;
      case TPM_HT.NV_INDEX:
        this.indices = this.indices.filter((known) => known.handle !== handle);
        break;
      default:
        this.sessions = this.sessions.filter((known) => known.handle !== handle);
    }
  }

  /** Its seed or its being enabled has gone. */
  forgetHierarchy(hierarchy: number, alsoPersistent: boolean): void {
    this.objects = this.objects.filter((known) => known.hierarchy !== hierarchy);
    if (alsoPersistent) this.persistents = this.persistents.filter((known) => known.hierarchy !== hierarchy);
  }

  /** _TPM_Init. */
  losePower(): void {
    this.objects = [];
    this.sequences = [];
    this.sessions = [];
    this.queue.length = 0;
  }

  clear(): void {
    for (const hierarchy of [TPM_RH.OWNER, TPM_RH.ENDORSEMENT]) this.forgetHierarchy(hierarchy, true);
    this.indices = this.indices.filter(({ area }) => area.attributes.platformcreate === true);
    for (const hierarchy of [TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.LOCKOUT]) this.hierarchyAuth.delete(hierarchy);
    this.pcrAuth = NONE;
  }
}

export function isDeepEqual(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.from(a).equals(b);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b);
  const [left, right] = [Object.entries(a), Object.entries(b)];
  const others = new Map(right);
  return left.length === right.length && left.every(([key, value]) => isDeepEqual(value, others.get(key)));
}

export function digestSizeOf({ nameAlg }: TPMT_PUBLIC): number {
  return nameAlg === 'null' ? 0 : digestInfo(nameAlg).size;
}
