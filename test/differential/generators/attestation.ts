/** Attestation, signatures and audit: Part 3, 18 to 21. */
import { digestInfo } from '../../../src/bytes/index.ts';
import {
  COMMANDS,
  isAsymmetric,
  TPM_RH,
  TPM2_Certify,
  TPM2_CertifyCreation,
  TPM2_CertifyX509,
  TPM2_Commit,
  TPM2_EC_Ephemeral,
  TPM2_GetCommandAuditDigest,
  TPM2_GetSessionAuditDigest,
  TPM2_GetTestResult,
  TPM2_GetTime,
  TPM2_Quote,
  TPM2_SetCommandCodeAuditStatus,
  TPM2_Sign,
  TPM2_VerifySignature,
  type TPMT_SIG_SCHEME,
} from '../../../src/tpm/index.ts';
import { bitString, element, integer, objectIdentifier, TAG } from '../../../src/vtpm/software/der.ts';
import type { Pair, Which } from '../sides.ts';
import type { Authorization, Step } from '../step.ts';
import { HASHES } from '../templates.ts';
import type { KnownObject, World } from '../world.ts';
import type { Generator, Generators } from './generator.ts';
import { provide } from './objects.ts';
import { fulfil, startSession } from './sessions.ts';
import { flushSession } from './slots.ts';

const NONE = new Uint8Array(0);
const both = <T>(of: (which: Which) => T): Pair<T> => [of(0), of(1)];

/** What signs, and how. */
export interface Attester {
  readonly signHandle: number;
  readonly inScheme: TPMT_SIG_SCHEME;
  readonly auth: Authorization;
}

/** A key that signs; one that knows its scheme, or can be told one. */
function signingKey(world: World, isFitting: (key: KnownObject) => boolean = () => true): KnownObject | undefined {
  return world.find(
    (known) =>
      known.hasPrivate &&
      known.area[0].objectAttributes.sign === true &&
      known.area[0].type !== 'symcipher' &&
      isFitting(known),
  );
}

/** The scheme that a key needs told; undefined for ECDAA, which needs a commitment first. */
function schemeFor({ random }: World, { area: [area] }: KnownObject): TPMT_SIG_SCHEME | undefined {
  if (area.type === 'symcipher') return { scheme: 'null' };
  const own = area.parameters.scheme;
  if (own.scheme === 'ecdaa') return undefined;
  if (own.scheme !== 'null') return { scheme: 'null' };
  const hashAlg = random.of('sha256', 'sha256', ...HASHES);
  if (area.type === 'rsa') return random.of({ scheme: 'rsassa', hashAlg }, { scheme: 'rsapss', hashAlg });
  if (area.type === 'ecc') return random.of({ scheme: 'ecdsa', hashAlg }, { scheme: 'ecschnorr', hashAlg });
  return { scheme: 'hmac', hashAlg };
}

/** Mostly a key, sometimes nobody. */
export function attester(world: World, make: (by: Attester) => Step): Step | undefined {
  const { random } = world;
  if (random.chance(0.15)) {
    return make({ signHandle: TPM_RH.NULL, inScheme: { scheme: 'null' }, auth: () => ({ password: NONE }) });
  }
  const key = signingKey(world);
  if (key === undefined) return provide(world, { type: random.of('ecc', 'ecc', 'keyedhash'), purpose: 'sign' });
  const inScheme = schemeFor(world, key);
  if (inScheme === undefined) return signAnonymously(world, key, make);
  return fulfil(world, key, undefined, (auth) => make({ signHandle: key.handle, inScheme, auth }));
}

/** ECDAA: commits first. */
function signAnonymously(world: World, key: KnownObject, make: (by: Attester) => Step): Step | undefined {
  const [area] = key.area;
  if (area.type !== 'ecc' || area.parameters.scheme.scheme !== 'ecdaa') return undefined;
  const { hashAlg } = area.parameters.scheme;
  return commitWith(world, key, (count) =>
    world.queue.push(() => {
      if (!world.loaded.includes(key)) return undefined;
      return make({ signHandle: key.handle, inScheme: { scheme: 'ecdaa', hashAlg, count }, auth: world.password(key) });
    }),
  );
}

function commitWith(world: World, key: KnownObject, then: (count: number) => void): Step {
  const isPlain = world.random.chance(0.6);
  const P1 = (i: Which) => {
    const [area] = [key.area[i]];
    return area.type === 'ecc' && !isPlain ? area.unique : { x: NONE, y: NONE };
  };
  return world.step(TPM2_Commit, (i) => ({ signHandle: key.handle, P1: P1(i), s2: NONE, y2: NONE }), {
    auth: [world.authorize(key, TPM2_Commit)],
    learn: (responses) => then(responses[0].counter),
  });
}

const commit: Generator = (world) => {
  const key = signingKey(world, ({ area: [area] }) => area.type === 'ecc' && area.parameters.scheme.scheme === 'ecdaa');
  if (key === undefined) return provideAnonymous(world);
  return commitWith(world, key, () => undefined);
};

/** Schemes are drawn: some are ECDAA. */
const provideAnonymous: Generator = (world) => provide(world, { type: 'ecc', purpose: 'sign' });

const qualifying = ({ random }: World): Buffer => random.bytes(random.int(16));

const certify: Generator = (world) => {
  const known = world.find(({ hasPrivate }) => hasPrivate);
  if (known === undefined) return provide(world, { purpose: 'sign' });
  return attester(world, ({ signHandle, inScheme, auth }) => {
    const role = roleOf(world, known);
    const request = { objectHandle: known.handle, signHandle, qualifyingData: qualifying(world), inScheme };
    return world.step(TPM2_Certify, request, { auth: [role, auth] });
  });
};

/** ADMIN, which its value is good for unless it says otherwise. */
function roleOf(world: World, known: KnownObject): Authorization {
  const session = known.recipe === undefined ? undefined : world.fulfilled(known);
  return session === undefined
    ? world.authorize(known, { encryptable: { command: false, response: false } })
    : world.byPolicy(known, session);
}

const certifyByPolicy: Generator = (world) => {
  const code = COMMANDS.TPM2_Certify.code;
  const known = world.find(
    ({ recipe, hasPrivate }) =>
      hasPrivate && recipe?.assertions.some((one) => one.kind === 'commandCode' && one.code === code) === true,
  );
  const key = signingKey(world);
  if (known === undefined || key === undefined) return certify(world);
  const inScheme = schemeFor(world, key) ?? ({ scheme: 'null' } as const);
  const request = { objectHandle: known.handle, signHandle: key.handle, qualifyingData: qualifying(world), inScheme };
  return fulfil(world, known, code, (byRole) =>
    world.step(TPM2_Certify, request, { auth: [byRole, world.password(key)] }),
  );
};

const certifyCreation: Generator = (world) => {
  const known = world.find(({ creation }) => creation !== undefined);
  const { creation } = known ?? {};
  if (known === undefined || creation === undefined) return provide(world, { purpose: 'sign' });
  return attester(world, ({ signHandle, inScheme, auth }) =>
    world.step(
      TPM2_CertifyCreation,
      (i) => ({
        signHandle,
        objectHandle: known.handle,
        qualifyingData: NONE,
        creationHash: creation[i].creationHash,
        inScheme,
        creationTicket: creation[i].ticket,
      }),
      { auth: [auth] },
    ),
  );
};

const quote: Generator = (world) =>
  attester(world, ({ signHandle, inScheme, auth }) => {
    const { random } = world;
    const PCRselect = [{ hash: random.of(...HASHES), pcrs: [random.int(8), 8 + random.int(16)] }];
    return world.step(
      TPM2_Quote,
      { signHandle, qualifyingData: qualifying(world), inScheme, PCRselect },
      { auth: [auth] },
    );
  });

const getTime: Generator = (world) =>
  attester(world, ({ signHandle, inScheme, auth }) =>
    world.step(
      TPM2_GetTime,
      { privacyAdminHandle: TPM_RH.ENDORSEMENT, signHandle, qualifyingData: qualifying(world), inScheme },
      { auth: [world.authorize(world.hierarchy(TPM_RH.ENDORSEMENT), TPM2_GetTime), auth] },
    ),
  );

const getSessionAuditDigest: Generator = (world) => {
  const known = world.hmacSession();
  if (known === undefined) return startAudit(world);
  return attester(world, ({ signHandle, inScheme, auth }) =>
    world.step(
      TPM2_GetSessionAuditDigest,
      {
        privacyAdminHandle: TPM_RH.ENDORSEMENT,
        signHandle,
        sessionHandle: known.handle,
        qualifyingData: NONE,
        inScheme,
      },
      { auth: [world.password(world.hierarchy(TPM_RH.ENDORSEMENT)), auth] },
    ),
  );
};

/** A session that has seen a command. */
const startAudit: Generator = (world) => {
  world.queue.push(() => {
    const known = world.hmacSession();
    if (known === undefined) return undefined;
    for (const session of known.pair) session.attributes = { continueSession: true, audit: true };
    return world.step(TPM2_GetTestResult, {}, { also: [known.pair] });
  });
  return world.sessions.length < 3
    ? startSession(world, { type: 'hmac', authHash: 'sha256', isPlain: true })
    : flushSession(world);
};

const getCommandAuditDigest: Generator = (world) =>
  attester(world, ({ signHandle, inScheme, auth }) =>
    world.step(
      TPM2_GetCommandAuditDigest,
      { privacyHandle: TPM_RH.ENDORSEMENT, signHandle, qualifyingData: NONE, inScheme },
      { auth: [world.authorize(world.hierarchy(TPM_RH.ENDORSEMENT), TPM2_GetCommandAuditDigest), auth] },
    ),
  );

const setCommandCodeAuditStatus: Generator = (world) => {
  const { random } = world;
  const auth = random.of(TPM_RH.OWNER, TPM_RH.PLATFORM);
  const codes = Object.values(COMMANDS).map(({ code }) => code);
  const some = (): number[] => Array.from({ length: random.int(3) }, () => random.pick(codes) ?? 0);
  const auditAlg = random.of('null', 'null', 'sha256', 'sha512', 'sha1');
  const isChange = auditAlg !== 'null' && random.chance(0.9);
  const request = { auth, auditAlg, setList: isChange ? [] : some(), clearList: isChange ? [] : some() };
  return world.step(TPM2_SetCommandCodeAuditStatus, request, {
    auth: [world.authorize(world.hierarchy(auth), TPM2_SetCommandCodeAuditStatus)],
  });
};

// --- signatures -------------------------------------------------------------------------------------------------------

const sign: Generator = (world) => {
  const { random } = world;
  const key = signingKey(world);
  if (key === undefined) return provide(world, { type: random.of('ecc', 'keyedhash'), purpose: 'sign' });
  const told = schemeFor(world, key);
  if (told === undefined) {
    return signAnonymously(world, key, ({ signHandle, inScheme, auth }) =>
      signWith(world, key, signHandle, inScheme, auth),
    );
  }
  return fulfil(world, key, undefined, (auth) => signWith(world, key, key.handle, told, auth));
};

function hashOf(inScheme: TPMT_SIG_SCHEME, { area: [area] }: KnownObject): string | undefined {
  if ('hashAlg' in inScheme) return inScheme.hashAlg;
  const scheme = area.type === 'symcipher' ? undefined : area.parameters.scheme;
  return scheme !== undefined && 'hashAlg' in scheme ? scheme.hashAlg : undefined;
}

function signWith(
  world: World,
  key: KnownObject,
  keyHandle: number,
  inScheme: TPMT_SIG_SCHEME,
  auth: Authorization,
): Step {
  const { random } = world;
  const hash = HASHES.find((name) => name === hashOf(inScheme, key)) ?? 'sha256';
  const isRestricted = key.area[0].objectAttributes.restricted === true;
  const hashed = isRestricted ? random.pick(world.hashes) : undefined;
  const digestBytes = hashed?.digest ?? random.bytes(digestInfo(hash).size - (random.chance(0.02) ? 1 : 0));
  const none = { tag: 'hashcheck', hierarchy: TPM_RH.NULL, digest: NONE } as const;
  const request = (i: Which) => ({ keyHandle, digest: digestBytes, inScheme, validation: hashed?.ticket[i] ?? none });
  return world.step(TPM2_Sign, request, {
    auth: [auth],
    learn(responses) {
      const known = { key, digest: digestBytes, signature: both((i) => responses[i].signature) };
      world.signatures = world.remember(world.signatures, known);
      if (random.chance(0.6)) world.queue.push(() => verifySignature(world));
    },
  });
}

const verifySignature: Generator = (world) => {
  const known = world.signatures.findLast(({ key }) => world.loaded.includes(key));
  if (known === undefined) return sign(world);
  const { key, signature } = known;
  const [ours, theirs] = signature;
  if (ours.sigAlg === 'null' || theirs.sigAlg === 'null') return undefined;
  const { random } = world;
  // With the same key, one TPM's signature is good for the other
  const isCrossed = key.isSame && random.chance(0.5);
  const signatures = isCrossed ? ([theirs, ours] as const) : ([ours, theirs] as const);
  const digestBytes = random.chance(0.9) ? known.digest : random.bytes(known.digest.length);
  return world.step(TPM2_VerifySignature, (i) => ({
    keyHandle: key.handle,
    digest: digestBytes,
    signature: signatures[i],
  }));
};

const ecEphemeral: Generator = (world) => {
  const curveID = world.random.of('p256', 'p256', 'p384', 'p521', 'bn_p256', 'sm2_p256');
  return world.step(
    TPM2_EC_Ephemeral,
    { curveID },
    {
      learn(responses) {
        world.commits = [...world.commits.slice(-20), responses[0].counter];
      },
    },
  );
};

// --- certificates -----------------------------------------------------------------------------------------------------

const sequence = (...parts: readonly Uint8Array[]): Buffer => element(TAG.sequence, ...parts);

/** Key usage, of which a part is more than the key can do. */
function partialCertificate({ random }: World, isSigning: boolean): Buffer {
  const usage = random.chance(0.85) ? (isSigning ? 0x80 : 0x20) : random.int(256);
  const keyUsage = sequence(objectIdentifier('2.5.29.15'), element(TAG.octetString, bitString(Buffer.of(usage))));
  const others = random.chance(0.3)
    ? [sequence(objectIdentifier('2.5.29.14'), element(TAG.octetString, random.bytes(4)))]
    : [];
  const extensions = element(TAG.explicit + 3, sequence(...others, keyUsage));
  const name = sequence(element(0x31, sequence(objectIdentifier('2.5.4.3'), element(0x0c, Buffer.from('name')))));
  const validity = sequence(element(0x17, Buffer.from('250101000000Z')), element(0x17, Buffer.from('350101000000Z')));
  const algorithm = random.chance(0.3) ? [sequence(objectIdentifier('1.2.840.10045.4.3.2'))] : [];
  const wrong = random.chance(0.05) ? [integer(Buffer.of(1))] : [];
  return sequence(...algorithm, name, validity, name, ...wrong, extensions);
}

const certifyX509: Generator = (world) => {
  const { random } = world;
  const known = world.find(
    ({ hasPrivate, area: [area], recipe }) => hasPrivate && isAsymmetric(area) && recipe === undefined,
  );
  const key = signingKey(world, ({ area: [area], recipe }) => isAsymmetric(area) && recipe === undefined);
  if (known === undefined || key === undefined) return provide(world, { type: 'ecc', purpose: 'sign' });
  const inScheme = schemeFor(world, key) ?? ({ scheme: 'null' } as const);
  const request = {
    objectHandle: known.handle,
    signHandle: key.handle,
    reserved: random.chance(0.02) ? random.bytes(1) : NONE,
    inScheme,
    partialCertificate: partialCertificate(world, known.area[0].objectAttributes.sign === true),
  };
  return world.step(TPM2_CertifyX509, request, {
    auth: [world.authorize(known, TPM2_CertifyX509), world.password(key)],
  });
};

export const attestation: Generators = {
  TPM2_Certify: (world) => (world.random.chance(0.5) ? certify(world) : certifyByPolicy(world)),
  TPM2_CertifyCreation: certifyCreation,
  TPM2_Quote: quote,
  TPM2_GetTime: getTime,
  TPM2_GetSessionAuditDigest: getSessionAuditDigest,
  TPM2_GetCommandAuditDigest: getCommandAuditDigest,
  TPM2_SetCommandCodeAuditStatus: setCommandCodeAuditStatus,
  TPM2_CertifyX509: certifyX509,
  TPM2_Sign: sign,
  TPM2_VerifySignature: verifySignature,
  TPM2_Commit: commit,
  TPM2_EC_Ephemeral: ecEphemeral,
};
