/** Sessions and policies: Part 3, 11 and 23. */
import { digest, digestInfo } from '../../../src/bytes/index.ts';
import {
  COMMANDS,
  deriveSessionKey,
  encode,
  handleName,
  int32,
  isAsymmetric,
  type Session,
  shareSecret,
  TPM_RH,
  TPM2_PolicyAuthorize,
  TPM2_PolicyAuthorizeNV,
  TPM2_PolicyAuthValue,
  TPM2_PolicyCommandCode,
  TPM2_PolicyCounterTimer,
  TPM2_PolicyCpHash,
  TPM2_PolicyDuplicationSelect,
  TPM2_PolicyGetDigest,
  TPM2_PolicyLocality,
  TPM2_PolicyNameHash,
  TPM2_PolicyNV,
  TPM2_PolicyNvWritten,
  TPM2_PolicyOR,
  TPM2_PolicyPassword,
  TPM2_PolicyPCR,
  TPM2_PolicyPhysicalPresence,
  TPM2_PolicyRestart,
  TPM2_PolicySecret,
  TPM2_PolicySigned,
  TPM2_PolicyTemplate,
  TPM2_PolicyTicket,
  TPM2_Sign,
  TPM2_StartAuthSession,
  TPM2_VerifySignature,
  TPMA_LOCALITY,
} from '../../../src/tpm/index.ts';
import { type Assertion, POLICY_PCRS, type Recipe } from '../policies.ts';
import type { Pair, Which } from '../sides.ts';
import type { Authorization, Step } from '../step.ts';
import { HASHES, type Hash } from '../templates.ts';
import type { Entity, KnownObject, KnownSession, World } from '../world.ts';
import type { Generator, Generators } from './generator.ts';
import { readable, someIndex } from './nv.ts';
import { provide } from './objects.ts';
import { flushSession } from './slots.ts';

const NONE = new Uint8Array(0);
const both = <T>(of: (which: Which) => T): Pair<T> => [of(0), of(1)];

// --- starting ---------------------------------------------------------------------------------------------------------

interface Start {
  readonly type: KnownSession['type'];
  readonly authHash: Hash;
  readonly isPlain?: boolean;
}

/** Three digests are in an encrypted secret; the smallest modulus has 128 bytes. */
export function fitsModulus(nameAlg: string): boolean {
  return nameAlg === 'sha1' || nameAlg === 'sha256';
}

/** A key that salts can be encrypted to here. */
function saltKey({ loaded, random }: World): KnownObject | undefined {
  const fitting = loaded.filter(({ area: [area], hasPrivate }) => {
    if (!hasPrivate || area.objectAttributes.decrypt !== true || !isAsymmetric(area)) return false;
    const { scheme } = area.parameters.scheme;
    if (area.type === 'rsa') return scheme === 'null' && fitsModulus(area.nameAlg);
    return ['p256', 'p384', 'p521'].includes(area.parameters.curveID);
  });
  return random.pick(fitting);
}

function symmetricOf({ random }: World) {
  return random.of(
    { algorithm: 'null' },
    { algorithm: 'aes', keyBits: 128, mode: 'cfb' },
    { algorithm: 'aes', keyBits: 256, mode: 'cfb' },
    { algorithm: 'xor', hashAlg: 'sha256' },
  );
}

function salted(key: KnownObject | undefined) {
  return both((i) => {
    const area = key?.area[i];
    if (area === undefined || !isAsymmetric(area) || area.nameAlg === 'null') return { seed: NONE, secret: NONE };
    return shareSecret(area, area.nameAlg, 'SECRET');
  });
}

/** As the client's own class has it, but that it was started in another way. */
function session(
  handle: number,
  { type, authHash }: Start,
  symmetric: Session['symmetric'],
  sessionKey: Uint8Array,
  boundTo: Session['boundTo'],
  [nonceCaller, nonceTPM]: readonly [Uint8Array, Uint8Array],
): Session {
  return {
    handle,
    type,
    authHash,
    symmetric,
    sessionKey,
    boundTo,
    nonceTPM,
    nonceCaller,
    attributes: { continueSession: true },
    policyAuth: 'none',
    flush: () => Promise.reject(new Error('flushed by the run')),
  };
}

export function startSession(world: World, start: Start): Step {
  const { random } = world;
  const { type, authHash, isPlain = false } = start;
  const key = !isPlain && random.chance(0.3) ? saltKey(world) : undefined;
  const bind: Entity | undefined =
    !isPlain && random.chance(0.3)
      ? random.pick([...world.loaded.filter(({ hasPrivate }) => hasPrivate), world.hierarchy(TPM_RH.OWNER)])
      : undefined;
  const symmetric = isPlain ? ({ algorithm: 'null' } as const) : symmetricOf(world);
  const salt = salted(key);
  const nonceCaller = random.bytes(random.of(16, digestInfo(authHash).size));
  const request = (i: Which) => ({
    tpmKey: key?.handle ?? TPM_RH.NULL,
    bind: bind?.handle ?? TPM_RH.NULL,
    nonceCaller,
    encryptedSalt: salt[i].secret,
    sessionType: type,
    symmetric,
    authHash,
  });
  return world.step(TPM2_StartAuthSession, request, {
    learn(responses) {
      const handle = responses[0].sessionHandle;
      const isKeyed = key !== undefined || bind !== undefined;
      const pair = both((i) => {
        const { nonceTPM } = responses[i];
        const bindAuth = bind?.auth ?? NONE;
        const sessionKey = isKeyed ? deriveSessionKey(authHash, bindAuth, salt[i].seed, nonceTPM, nonceCaller) : NONE;
        const boundTo = bind === undefined ? undefined : { name: world.nameOf(i, bind.handle), auth: bind.auth };
        return session(handle, start, symmetric, sessionKey, type === 'hmac' ? boundTo : undefined, [
          nonceCaller,
          nonceTPM,
        ]);
      });
      world.sessions.push({ handle, pair, type, asserted: [] });
    },
  });
}

/** Room for one more, or the attempt without it. */
function withSession(world: World, make: () => Step): Step {
  return world.sessions.length < 3 || world.random.chance(0.05) ? make() : flushSession(world);
}

const startAuthSession: Generator = (world) =>
  withSession(world, () => {
    const { random } = world;
    return startSession(world, {
      type: random.of('hmac', 'hmac', 'policy', 'trial'),
      authHash: random.of('sha256', ...HASHES),
    });
  });

// --- fulfilling -------------------------------------------------------------------------------------------------------

/** The session that is told what the recipe holds, step by step. */
function assertTo(world: World, known: KnownSession, assertion: Assertion): Step | undefined {
  const policySession = known.handle;
  const learn = () => {
    known.asserted = [...known.asserted, assertion];
  };
  switch (assertion.kind) {
    case 'authValue':
      return world.step(
        TPM2_PolicyAuthValue,
        { policySession },
        {
          learn() {
            learn();
            for (const each of known.pair) each.policyAuth = 'value';
          },
        },
      );
    case 'password':
      return world.step(
        TPM2_PolicyPassword,
        { policySession },
        {
          learn() {
            learn();
            for (const each of known.pair) each.policyAuth = 'password';
          },
        },
      );
    case 'commandCode':
      return world.step(TPM2_PolicyCommandCode, { policySession, code: assertion.code }, { learn });
    case 'pcr':
      return world.step(TPM2_PolicyPCR, { policySession, pcrDigest: NONE, pcrs: POLICY_PCRS }, { learn });
    case 'secret': {
      const request = {
        authHandle: assertion.hierarchy,
        policySession,
        nonceTPM: NONE,
        cpHashA: NONE,
        policyRef: NONE,
        expiration: 0,
      };
      return world.step(TPM2_PolicySecret, request, {
        auth: [world.password(world.hierarchy(assertion.hierarchy))],
        learn,
      });
    }
    case 'locality':
      return world.step(
        TPM2_PolicyLocality,
        { policySession, locality: TPMA_LOCALITY.fromNumber(assertion.locality) },
        { learn },
      );
    case 'nvWritten':
      return world.step(TPM2_PolicyNvWritten, { policySession, writtenSet: assertion.written }, { learn });
    case 'or':
      return world.step(TPM2_PolicyOR, { policySession, pHashList: assertion.branches }, { learn });
    case 'other':
      return undefined;
  }
}

/** Puts in front of what else is to be done: a session for the recipe, and then what it is for. */
function prepare(world: World, recipe: Recipe, then: (known: KnownSession) => Step | undefined): Step | undefined {
  let known: KnownSession | undefined;
  const steps = [
    () => {
      const before = world.sessions.length;
      world.queue.unshift(() => {
        known = world.sessions.length > before ? world.sessions.at(-1) : undefined;
        return undefined;
      });
      return startSession(world, { type: 'policy', authHash: recipe.hash, isPlain: world.random.chance(0.6) });
    },
    ...recipe.assertions.map(
      (assertion) => () => (known === undefined ? undefined : assertTo(world, known, assertion)),
    ),
    () => (known === undefined ? undefined : then(known)),
  ];
  world.queue.unshift(...steps);
  return world.sessions.length < 3 ? world.queue.shift()?.() : flushSession(world);
}

/**
 * The command with an authorization of the entity: by a policy session where it has a policy that fits, which is made
 * first if need be.
 *
 * @param code where the role asks for a policy about the command
 */
export function fulfil(
  world: World,
  entity: Entity,
  code: number | undefined,
  make: (by: Authorization) => Step,
): Step | undefined {
  const { recipe } = entity;
  const command = recipe?.assertions.find((assertion) => assertion.kind === 'commandCode')?.code;
  const fits = recipe !== undefined && (command === undefined || command === code);
  const byPolicy = fits && (command !== undefined || world.random.chance(0.4));
  if (!byPolicy) return make(world.authorize(entity, { encryptable: { command: false, response: false } }));
  const known = world.fulfilled(entity);
  if (known !== undefined) return make(world.byPolicy(entity, known));
  return prepare(world, recipe, (prepared) => make(world.byPolicy(entity, prepared)));
}

// --- policy commands by themselves ------------------------------------------------------------------------------------

/** A session that takes policy commands, mostly one that has just begun: what it is told, it keeps. */
function onPolicy(world: World, make: (known: KnownSession) => Step | undefined): Step | undefined {
  const { random } = world;
  const known = random.pick(world.sessions.filter(({ type }) => type !== 'hmac'));
  if (known === undefined) {
    return withSession(world, () =>
      startSession(world, { type: random.of('policy', 'trial'), authHash: random.of('sha256', 'sha1'), isPlain: true }),
    );
  }
  const { asserted } = known;
  // Contradictions are told soon enough
  if (asserted.length > 1 && random.chance(0.4)) return restart(world, known);
  return make(known);
}

/** What a session was told besides what recipes hold. */
function marked(known: KnownSession): () => void {
  return () => {
    known.asserted = [...known.asserted, { kind: 'other' }];
  };
}

function restart(world: World, known: KnownSession): Step {
  return world.step(
    TPM2_PolicyRestart,
    { sessionHandle: known.handle },
    {
      learn() {
        known.asserted = [];
        for (const each of known.pair) each.policyAuth = 'none';
      },
    },
  );
}

const asserting =
  (make: (world: World, known: KnownSession) => Step | undefined): Generator =>
  (world) =>
    onPolicy(world, (known) => make(world, known));

const sizeOf = ({ pair: [{ authHash }] }: KnownSession): number => digestInfo(authHash).size;

const policySigned: Generator = (world) => {
  const key = world.find(({ purpose, area: [area], hasPrivate, recipe }) => {
    if (!hasPrivate || area.objectAttributes.restricted === true || recipe !== undefined) return false;
    if (purpose !== 'sign' || area.type === 'symcipher' || area.objectAttributes.userWithAuth !== true) return false;
    return area.parameters.scheme.scheme !== 'null' && area.parameters.scheme.scheme !== 'ecdaa';
  });
  if (key === undefined)
    return provide(world, {
      type: world.random.of('ecc', 'keyedhash'),
      purpose: 'sign',
      attributes: { restricted: false },
    });
  return onPolicy(world, (known) => {
    const { scheme } = key.area[0].type === 'symcipher' ? { scheme: undefined } : key.area[0].parameters;
    if (scheme === undefined || !('hashAlg' in scheme)) return undefined;
    const { hashAlg } = scheme;
    const { random } = world;
    const policyRef = random.bytes(random.int(6));
    const expiration = random.of(0, 0, -3600, 3600);
    const usesNonce = random.chance(0.5);
    const nonces = both((i) => (usesNonce ? known.pair[i].nonceTPM : NONE));
    const aHash = both((i) => digest(hashAlg, nonces[i], encode(int32, expiration), policyRef));
    const sign = (i: Which) => ({
      keyHandle: key.handle,
      digest: aHash[i],
      inScheme: { scheme: 'null' } as const,
      validation: { tag: 'hashcheck', hierarchy: TPM_RH.NULL, digest: NONE } as const,
    });
    return world.step(TPM2_Sign, sign, {
      auth: [world.password(key)],
      learn(responses) {
        const signature = both((i) => responses[i].signature);
        world.queue.push(() => {
          const [ours, theirs] = signature;
          if (ours.sigAlg === 'null' || theirs.sigAlg === 'null' || !world.loaded.includes(key)) return undefined;
          const signatures = [ours, theirs] as const;
          const request = (i: Which) => ({
            authObject: key.handle,
            policySession: known.handle,
            nonceTPM: nonces[i],
            cpHashA: NONE,
            policyRef,
            expiration,
            auth: signatures[i],
          });
          return world.step(TPM2_PolicySigned, request, {
            learn(answers) {
              marked(known)();
              if (answers[0].policyTicket.digest.length === 0) return;
              const ticket = both((i) => answers[i].policyTicket);
              const timeout = both((i) => answers[i].timeout);
              const authName = both((i) => key.name[i]);
              world.authTickets = world.remember(world.authTickets, { ticket, timeout, authName, policyRef });
            },
          });
        });
      },
    });
  });
};

const policySecret = asserting((world, known) => {
  const { random } = world;
  const policyRef = random.bytes(random.int(5));
  const expiration = random.of(0, 0, -3600, -3600, 100);
  const hierarchy = random.of(TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM, TPM_RH.LOCKOUT);
  const object = random.chance(0.3)
    ? world.find(({ hasPrivate, area }) => hasPrivate && area[0].objectAttributes.userWithAuth === true)
    : undefined;
  const entity: Entity = object ?? world.hierarchy(hierarchy);
  const usesNonce = random.chance(0.4);
  const request = (i: Which) => ({
    authHandle: entity.handle,
    policySession: known.handle,
    nonceTPM: usesNonce ? known.pair[i].nonceTPM : NONE,
    cpHashA: NONE,
    policyRef,
    expiration,
  });
  return world.step(TPM2_PolicySecret, request, {
    auth: [world.authorize(entity, TPM2_PolicySecret)],
    learn(responses) {
      marked(known)();
      if (responses[0].policyTicket.digest.length === 0) return;
      const ticket = both((i) => responses[i].policyTicket);
      const timeout = both((i) => responses[i].timeout);
      const authName = both((i) => world.nameOf(i, entity.handle));
      world.authTickets = world.remember(world.authTickets, { ticket, timeout, authName, policyRef });
      if (random.chance(0.5)) world.queue.push(() => policyTicket(world));
    },
  });
});

const policyTicket = asserting((world, known) => {
  const granted = world.random.pick(world.authTickets);
  if (granted === undefined || known.type === 'trial') return policySecret(world);
  const { ticket, timeout, authName, policyRef } = granted;
  const request = (i: Which) => ({
    policySession: known.handle,
    timeout: timeout[i],
    cpHashA: NONE,
    policyRef,
    authName: authName[i],
    ticket: ticket[i],
  });
  return world.step(TPM2_PolicyTicket, request, { learn: marked(known) });
});

const policyAuthorize: Generator = (world) => {
  const known = world.random.pick(world.verifications);
  if (known === undefined || world.random.chance(0.3)) return approve(world);
  return onPolicy(world, (session) =>
    world.step(
      TPM2_PolicyAuthorize,
      (i) => ({
        policySession: session.handle,
        approvedPolicy: known.approvedPolicy,
        policyRef: NONE,
        keySign: known.keyName[i],
        checkTicket: known.ticket[i],
      }),
      { learn: marked(session) },
    ),
  );
};

/** A signature over the policy that a fresh session has, by a key that both TPMs know alike. */
function approve(world: World): Step | undefined {
  const key = world.find(({ purpose, area: [area], hasPrivate, recipe, hierarchy }) => {
    if (!hasPrivate || purpose !== 'sign' || area.objectAttributes.restricted || recipe !== undefined) return false;
    return (
      area.type === 'ecc' &&
      area.parameters.scheme.scheme === 'ecdsa' &&
      hierarchy !== TPM_RH.NULL &&
      area.objectAttributes.userWithAuth === true
    );
  });
  const area = key?.area[0];
  if (
    key === undefined ||
    area?.type !== 'ecc' ||
    area.parameters.scheme.scheme !== 'ecdsa' ||
    area.nameAlg === 'null'
  ) {
    return provide(world, { type: 'ecc', purpose: 'sign', attributes: { restricted: false } });
  }
  const { nameAlg } = area;
  const { hashAlg } = area.parameters.scheme;
  const approvedPolicy = new Uint8Array(32);
  const aHash = digest(nameAlg, approvedPolicy);
  if (aHash.length !== digestInfo(hashAlg).size) return provide(world, { type: 'ecc', purpose: 'sign' });
  const request = {
    keyHandle: key.handle,
    digest: aHash,
    inScheme: { scheme: 'null' } as const,
    validation: { tag: 'hashcheck', hierarchy: TPM_RH.NULL, digest: NONE } as const,
  };
  return world.step(TPM2_Sign, request, {
    auth: [world.password(key)],
    learn(responses) {
      const [ours, theirs] = both((i) => responses[i].signature);
      world.queue.push(() => {
        if (ours.sigAlg === 'null' || theirs.sigAlg === 'null' || !world.loaded.includes(key)) return undefined;
        const signatures = [ours, theirs] as const;
        return world.step(
          TPM2_VerifySignature,
          (i) => ({ keyHandle: key.handle, digest: aHash, signature: signatures[i] }),
          {
            learn(answers) {
              const ticket = both((i) => answers[i].validation);
              world.verifications = world.remember(world.verifications, { ticket, keyName: key.name, approvedPolicy });
            },
          },
        );
      });
    },
  });
}

const OPERATIONS = [
  'eq',
  'neq',
  'unsigned_gt',
  'unsigned_lt',
  'unsigned_ge',
  'unsigned_le',
  'signed_gt',
  'signed_lt',
  'signed_ge',
  'signed_le',
  'bitset',
  'bitclear',
] as const;

const policyNv = asserting((world, known) => {
  const index = readable(world);
  if (index === undefined) return someIndex(world);
  const { random } = world;
  // libtpms looks at the first byte of nothing, too
  const size = 1 + random.int(4);
  const operandB = random.chance(0.5) ? random.bytes(size) : Buffer.alloc(size);
  const request = {
    authHandle: index.by.handle,
    nvIndex: index.known.handle,
    policySession: known.handle,
    operandB,
    offset: random.int(5),
    operation: random.of(...OPERATIONS),
  };
  return world.step(TPM2_PolicyNV, request, { auth: [world.authorize(index.by, TPM2_PolicyNV)], learn: marked(known) });
});

const policyAuthorizeNv = asserting((world, known) => {
  const index = readable(world);
  if (index === undefined) return someIndex(world);
  const request = { authHandle: index.by.handle, nvIndex: index.known.handle, policySession: known.handle };
  return world.step(TPM2_PolicyAuthorizeNV, request, {
    auth: [world.authorize(index.by, TPM2_PolicyAuthorizeNV)],
    learn: marked(known),
  });
});

const someCode = ({ random }: World): number => random.pick(Object.values(COMMANDS))?.code ?? 0;

export const sessions: Generators = {
  TPM2_StartAuthSession: startAuthSession,
  TPM2_PolicyRestart: asserting(restart),
  TPM2_PolicySigned: policySigned,
  TPM2_PolicySecret: policySecret,
  TPM2_PolicyTicket: policyTicket,
  TPM2_PolicyOR: asserting((world, known) => {
    const { random } = world;
    // A trial session believes everything
    const pHashList = Array.from({ length: random.of(2, 2, 3, 8) }, () => random.bytes(sizeOf(known)));
    if (known.asserted.length === 0) pHashList[0] = Buffer.alloc(sizeOf(known));
    return world.step(TPM2_PolicyOR, { policySession: known.handle, pHashList }, { learn: marked(known) });
  }),
  TPM2_PolicyPCR: asserting((world, known) => {
    const { random } = world;
    const pcrs = [{ hash: random.of(...HASHES), pcrs: [random.int(24)] }];
    const pcrDigest = random.chance(0.9) ? NONE : random.bytes(sizeOf(known));
    return world.step(TPM2_PolicyPCR, { policySession: known.handle, pcrDigest, pcrs }, { learn: marked(known) });
  }),
  TPM2_PolicyLocality: asserting((world, known) => {
    const locality = TPMA_LOCALITY.fromNumber(world.random.of(1, 3, 9, 0x1f, 0x25, 0));
    return world.step(TPM2_PolicyLocality, { policySession: known.handle, locality }, { learn: marked(known) });
  }),
  TPM2_PolicyNV: policyNv,
  TPM2_PolicyCounterTimer: asserting((world, known) => {
    const { random } = world;
    // Counters are alike, the time is not
    const [offset, operandB] = random.of(
      [16, Buffer.alloc(4)],
      [20, Buffer.alloc(4)],
      [16, Buffer.of(0, 0, 0, 1)],
      [26, Buffer.alloc(1)],
      [20, Buffer.alloc(6)],
    );
    const request = { policySession: known.handle, operandB, offset, operation: random.of(...OPERATIONS) };
    return world.step(TPM2_PolicyCounterTimer, request, { learn: marked(known) });
  }),
  TPM2_PolicyCommandCode: asserting((world, known) =>
    world.step(
      TPM2_PolicyCommandCode,
      { policySession: known.handle, code: someCode(world) },
      { learn: marked(known) },
    ),
  ),
  TPM2_PolicyPhysicalPresence: asserting((world, known) =>
    world.step(TPM2_PolicyPhysicalPresence, { policySession: known.handle }, { learn: marked(known) }),
  ),
  TPM2_PolicyCpHash: asserting((world, known) => {
    const cpHashA = world.random.bytes(sizeOf(known) - world.random.of(0, 0, 0, 1));
    return world.step(TPM2_PolicyCpHash, { policySession: known.handle, cpHashA }, { learn: marked(known) });
  }),
  TPM2_PolicyNameHash: asserting((world, known) => {
    const nameHash = world.random.bytes(sizeOf(known));
    return world.step(TPM2_PolicyNameHash, { policySession: known.handle, nameHash }, { learn: marked(known) });
  }),
  TPM2_PolicyDuplicationSelect: asserting((world, known) => {
    const { random } = world;
    const name = (): Uint8Array => Buffer.concat([handleName(0x000b0000).subarray(0, 2), random.bytes(32)]);
    const request = {
      policySession: known.handle,
      objectName: name(),
      newParentName: name(),
      includeObject: random.chance(0.5),
    };
    return world.step(TPM2_PolicyDuplicationSelect, request, { learn: marked(known) });
  }),
  TPM2_PolicyAuthorize: policyAuthorize,
  TPM2_PolicyAuthValue: asserting((world, known) => assertTo(world, known, { kind: 'authValue' })),
  TPM2_PolicyPassword: asserting((world, known) => assertTo(world, known, { kind: 'password' })),
  TPM2_PolicyGetDigest: asserting((world, known) => world.step(TPM2_PolicyGetDigest, { policySession: known.handle })),
  TPM2_PolicyNvWritten: asserting((world, known) =>
    assertTo(world, known, { kind: 'nvWritten', written: world.random.chance(0.5) }),
  ),
  TPM2_PolicyTemplate: asserting((world, known) => {
    const templateHash = world.random.bytes(sizeOf(known));
    return world.step(TPM2_PolicyTemplate, { policySession: known.handle, templateHash }, { learn: marked(known) });
  }),
  TPM2_PolicyAuthorizeNV: policyAuthorizeNv,
};
