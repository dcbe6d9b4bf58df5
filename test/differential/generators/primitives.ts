/** Cryptography for its own sake: Part 3, 14 to 17. */
import {
  TPM_RH,
  TPM2_EC_Ephemeral,
  TPM2_ECC_Parameters,
  TPM2_ECDH_KeyGen,
  TPM2_ECDH_ZGen,
  TPM2_EncryptDecrypt,
  TPM2_EncryptDecrypt2,
  TPM2_EventSequenceComplete,
  TPM2_GetRandom,
  TPM2_Hash,
  TPM2_HashSequenceStart,
  TPM2_HMAC,
  TPM2_HMAC_Start,
  TPM2_LoadExternal,
  TPM2_RSA_Decrypt,
  TPM2_RSA_Encrypt,
  TPM2_SequenceComplete,
  TPM2_SequenceUpdate,
  TPM2_StirRandom,
  TPM2_ZGen_2Phase,
  type TPMI_ECC_CURVE,
} from '../../../src/tpm/index.ts';
import { CURVES } from '../../../src/vtpm/software/curves.ts';
import { multiply, toBigInt, toBytes } from '../../../src/vtpm/software/ecc.ts';
import type { Pair, Which } from '../sides.ts';
import type { Step } from '../step.ts';
import { HASHES, template } from '../templates.ts';
import type { KnownObject, KnownSequence, World } from '../world.ts';
import type { Generator, Generators } from './generator.ts';
import { keyFor } from './keys.ts';
import { provide } from './objects.ts';
import { fulfil } from './sessions.ts';
import { withSlot } from './slots.ts';

const NONE = new Uint8Array(0);
const both = <T>(of: (which: Which) => T): Pair<T> => [of(0), of(1)];

// --- RSA --------------------------------------------------------------------------------------------------------------

/** A key that is loaded from outside: to make one takes too long. */
const provideRsa: Generator = (world) =>
  withSlot(world, () => {
    const { random } = world;
    const attributes = { restricted: false, fixedTPM: false, fixedParent: false, sensitiveDataOrigin: false };
    const made = template(random, {
      type: 'rsa',
      purpose: random.of('decrypt', 'both'),
      attributes,
      keyBits: random.of(1024, 1024, 2048),
    });
    const { area, sensitive } = keyFor(made.area, NONE, random);
    return world.step(
      TPM2_LoadExternal,
      { inPrivate: sensitive, inPublic: area, hierarchy: TPM_RH.NULL },
      {
        isExact: true,
        learn(responses) {
          world.objects.push({
            ...made,
            handle: responses[0].objectHandle,
            area: [area, area],
            name: both((i) => responses[i].name),
            auth: NONE,
            hierarchy: TPM_RH.NULL,
            parent: undefined,
            hasPrivate: true,
            isExternal: true,
            isSame: true,
            creation: undefined,
          });
        },
      },
    );
  });

function rsaKey(world: World): KnownObject | undefined {
  return world.find(
    ({ area: [area], hasPrivate }) =>
      area.type === 'rsa' && hasPrivate && area.objectAttributes.decrypt === true && !area.objectAttributes.restricted,
  );
}

function padding({ random }: World, { area: [area] }: KnownObject) {
  const isOpen = area.type === 'rsa' && area.parameters.scheme.scheme === 'null';
  if (!isOpen) return { scheme: 'null' } as const;
  return random.of({ scheme: 'null' }, { scheme: 'rsaes' }, { scheme: 'oaep', hashAlg: random.of('sha256', 'sha1') });
}

const rsaEncrypt: Generator = (world) => {
  const key = rsaKey(world);
  if (key === undefined) return provideRsa(world);
  const { random } = world;
  const inScheme = padding(world, key);
  const message = random.bytes(random.int(40));
  const label = random.chance(0.8) ? NONE : Buffer.from(random.chance(0.8) ? 'label\0' : 'label');
  return world.step(
    TPM2_RSA_Encrypt,
    { keyHandle: key.handle, message, inScheme, label },
    {
      learn(responses) {
        const cipherText = both((i) => responses[i].outData);
        world.queue.push(() => {
          if (!world.loaded.includes(key)) return undefined;
          const of = key.isSame && random.chance(0.5) ? ([cipherText[1], cipherText[0]] as const) : cipherText;
          return fulfil(world, key, undefined, (auth) =>
            world.step(TPM2_RSA_Decrypt, (i) => ({ keyHandle: key.handle, cipherText: of[i], inScheme, label }), {
              auth: [auth],
              isExact: true,
            }),
          );
        });
      },
    },
  );
};

const rsaDecrypt: Generator = (world) => {
  const key = rsaKey(world);
  if (key === undefined || world.random.chance(0.6)) return rsaEncrypt(world);
  const [area] = key.area;
  const size = area.type === 'rsa' ? area.unique.length : 0;
  // A number below the modulus, without padding
  const cipherText = Buffer.concat([Buffer.alloc(1), world.random.bytes(size - 1)]);
  const inScheme = { scheme: 'null' } as const;
  return fulfil(world, key, undefined, (auth) =>
    world.step(
      TPM2_RSA_Decrypt,
      { keyHandle: key.handle, cipherText, inScheme, label: NONE },
      { auth: [auth], isExact: key.isSame },
    ),
  );
};

// --- ECC --------------------------------------------------------------------------------------------------------------

function randomPoint({ random }: World, curve: TPMI_ECC_CURVE) {
  const { n, size } = CURVES[curve];
  const d = toBytes((toBigInt(random.bytes(size)) % (n - 1n)) + 1n, size);
  return multiply(curve, d) ?? { x: NONE, y: NONE };
}

function eccDecryptKey(world: World): KnownObject | undefined {
  return world.find(
    ({ area: [area], hasPrivate }) =>
      area.type === 'ecc' && hasPrivate && area.objectAttributes.decrypt === true && !area.objectAttributes.restricted,
  );
}

const curveOf = ({ area: [area] }: KnownObject): TPMI_ECC_CURVE =>
  area.type === 'ecc' ? area.parameters.curveID : 'p256';

const ecdhKeyGen: Generator = (world) => {
  const key = world.find(({ area }) => area[0].type === 'ecc');
  if (key === undefined) return provide(world, { type: 'ecc' });
  return world.step(TPM2_ECDH_KeyGen, { keyHandle: key.handle });
};

const ecdhZGen: Generator = (world) => {
  const key = eccDecryptKey(world);
  if (key === undefined) return provide(world, { type: 'ecc', purpose: world.random.of('decrypt', 'both') });
  const inPoint = randomPoint(world, world.random.chance(0.97) ? curveOf(key) : 'p256');
  return fulfil(world, key, undefined, (auth) =>
    world.step(TPM2_ECDH_ZGen, { keyHandle: key.handle, inPoint }, { auth: [auth], isExact: key.isSame }),
  );
};

/** Without ECMQV: libtpms 0.9 leaves the order out of it. */
const zGen2Phase: Generator = (world) => {
  const key = eccDecryptKey(world);
  if (key === undefined) return provide(world, { type: 'ecc', purpose: world.random.of('decrypt', 'both') });
  const curve = curveOf(key);
  const counter = world.commits.pop();
  if (counter === undefined) return ephemeralFor(world, curve);
  // On larger curves libtpms 0.9 stops with a failure
  const inScheme = CURVES[curve].keySize <= 256 ? world.random.of('ecdh', 'ecdh', 'sm2') : 'ecdh';
  const [inQsB, inQeB] = [randomPoint(world, curve), randomPoint(world, curve)];
  return fulfil(world, key, undefined, (auth) =>
    world.step(TPM2_ZGen_2Phase, { keyA: key.handle, inQsB, inQeB, inScheme, counter }, { auth: [auth] }),
  );
};

function ephemeralFor(world: World, curveID: TPMI_ECC_CURVE): Step {
  return world.step(
    TPM2_EC_Ephemeral,
    { curveID },
    {
      learn(responses) {
        world.commits.push(responses[0].counter);
        world.queue.push(() => zGen2Phase(world));
      },
    },
  );
}

const eccParameters: Generator = (world) => {
  const curveID = world.random.of('p192', 'p224', 'p256', 'p384', 'p521', 'bn_p256', 'bn_p638', 'sm2_p256');
  return world.step(TPM2_ECC_Parameters, { curveID }, { isExact: true });
};

// --- symmetric --------------------------------------------------------------------------------------------------------

function cipherRequest(world: World) {
  const { random } = world;
  const key = world.find(
    ({ area: [area], hasPrivate }) =>
      area.type === 'symcipher' &&
      hasPrivate &&
      !area.objectAttributes.restricted &&
      area.parameters.sym.mode !== 'cmac',
  );
  const [area] = key?.area ?? [];
  if (key === undefined || area?.type !== 'symcipher') return undefined;
  const { sym } = area.parameters;
  const mode = sym.mode === 'null' ? random.of('cfb', 'ctr', 'ofb', 'cbc', 'ecb') : ('null' as const);
  const used = sym.mode === 'null' ? mode : sym.mode;
  const block = sym.algorithm === 'tdes' ? 8 : 16;
  const isWhole = used === 'cbc' || used === 'ecb';
  const inData = random.bytes(isWhole ? block * random.int(4) : random.int(60));
  const request = {
    keyHandle: key.handle,
    decrypt: area.objectAttributes.sign !== true || (area.objectAttributes.decrypt === true && random.chance(0.5)),
    mode,
    ivIn: used === 'ecb' ? NONE : random.bytes(block - (random.chance(0.02) ? 1 : 0)),
    inData,
  };
  return { key, request };
}

const provideCipher: Generator = (world) =>
  provide(world, { type: 'symcipher', purpose: world.random.of('both', 'both', 'decrypt') });

const encryptDecrypt: Generator = (world) => {
  const made = cipherRequest(world);
  if (made === undefined) return provideCipher(world);
  const { key, request } = made;
  return fulfil(world, key, undefined, (auth) =>
    world.step(TPM2_EncryptDecrypt, request, { auth: [auth], isExact: key.isSame }),
  );
};

const encryptDecrypt2: Generator = (world) => {
  const made = cipherRequest(world);
  if (made === undefined) return provideCipher(world);
  const { key, request } = made;
  return fulfil(world, key, undefined, (auth) =>
    world.step(TPM2_EncryptDecrypt2, request, { auth: [auth], isExact: key.isSame }),
  );
};

// --- hashes -----------------------------------------------------------------------------------------------------------

const HIERARCHIES = [TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM, TPM_RH.NULL] as const;

const hash: Generator = (world) => {
  const { random } = world;
  const data = random.chance(0.05)
    ? Buffer.concat([Buffer.from('ff544347', 'hex'), random.bytes(3)])
    : random.bytes(random.int(100));
  const request = { data, hashAlg: random.of(...HASHES), hierarchy: random.of(...HIERARCHIES) };
  return world.step(TPM2_Hash, request, {
    learn(responses) {
      const ticket = both((i) => responses[i].validation);
      if (ticket[0].digest.length > 0)
        world.hashes = world.remember(world.hashes, { ticket, digest: responses[0].outHash });
    },
  });
};

function macKey(world: World): KnownObject | undefined {
  return world.find(({ area: [area], hasPrivate }) => {
    if (!hasPrivate || area.objectAttributes.restricted || !area.objectAttributes.sign) return false;
    return (
      area.type === 'keyedhash' ||
      (area.type === 'symcipher' && (area.parameters.sym.mode === 'cmac' || area.parameters.sym.mode === 'null'))
    );
  });
}

const provideMac: Generator = (world) =>
  provide(world, {
    type: world.random.of('keyedhash', 'symcipher'),
    purpose: 'sign',
    attributes: { restricted: false },
  });

const macScheme = ({ random }: World, { area: [area] }: KnownObject) =>
  area.type === 'symcipher' ? random.of('cmac', 'null') : random.of('null', 'null', 'null', 'sha256');

const hmac: Generator = (world) => {
  const key = macKey(world);
  if (key === undefined) return provideMac(world);
  const request = {
    handle: key.handle,
    buffer: world.random.bytes(world.random.int(90)),
    hashAlg: macScheme(world, key),
  };
  return fulfil(world, key, undefined, (auth) => world.step(TPM2_HMAC, request, { auth: [auth], isExact: key.isSame }));
};

const authOf = ({ random }: World): Buffer =>
  random.chance(0.6) ? Buffer.alloc(0) : Buffer.concat([random.bytes(3), Buffer.of(5)]);

const hmacStart: Generator = (world) => {
  const key = macKey(world);
  if (key === undefined) return provideMac(world);
  const auth = authOf(world);
  return withSlot(world, () =>
    fulfil(world, key, undefined, (by) =>
      world.step(
        TPM2_HMAC_Start,
        { handle: key.handle, auth, hashAlg: macScheme(world, key) },
        {
          auth: [by],
          learn: (responses) => world.sequences.push({ handle: responses[0].sequenceHandle, kind: 'hmac', auth }),
        },
      ),
    ),
  );
};

const hashSequenceStart: Generator = (world) =>
  withSlot(world, () => {
    const { random } = world;
    const auth = authOf(world);
    const hashAlg = random.of('null', ...HASHES);
    return world.step(
      TPM2_HashSequenceStart,
      { auth, hashAlg },
      {
        learn(responses) {
          world.sequences.push({
            handle: responses[0].sequenceHandle,
            kind: hashAlg === 'null' ? 'event' : 'hash',
            auth,
          });
        },
      },
    );
  });

function sequenceOf(world: World, test: (known: KnownSequence) => boolean): KnownSequence | undefined {
  return world.random.pick(world.sequences.filter((known) => test(known) || world.random.chance(0.03)));
}

const sequenceUpdate: Generator = (world) => {
  const known = sequenceOf(world, () => true);
  if (known === undefined) return hashSequenceStart(world);
  const buffer = world.random.bytes(world.random.int(150));
  return world.step(
    TPM2_SequenceUpdate,
    { sequenceHandle: known.handle, buffer },
    { auth: [world.authorize(known, TPM2_SequenceUpdate)] },
  );
};

const sequenceComplete: Generator = (world) => {
  const known = sequenceOf(world, ({ kind }) => kind !== 'event');
  if (known === undefined) return hashSequenceStart(world);
  const { random } = world;
  const request = {
    sequenceHandle: known.handle,
    buffer: random.bytes(random.int(30)),
    hierarchy: random.of(...HIERARCHIES),
  };
  return world.step(TPM2_SequenceComplete, request, {
    auth: [world.authorize(known, { encryptable: { command: true, response: true } })],
    learn(responses) {
      world.forget(known.handle);
      const ticket = both((i) => responses[i].validation);
      if (ticket[0].digest.length > 0)
        world.hashes = world.remember(world.hashes, { ticket, digest: responses[0].result });
    },
  });
};

const eventSequenceComplete: Generator = (world) => {
  const known = sequenceOf(world, ({ kind }) => kind === 'event');
  if (known === undefined) {
    return withSlot(world, () => {
      const auth = authOf(world);
      return world.step(
        TPM2_HashSequenceStart,
        { auth, hashAlg: 'null' },
        {
          learn: (responses) => world.sequences.push({ handle: responses[0].sequenceHandle, kind: 'event', auth }),
        },
      );
    });
  }
  const { random } = world;
  const pcrHandle = random.of(TPM_RH.NULL, 0, 5, 16, 23, 18);
  return world.step(
    TPM2_EventSequenceComplete,
    { pcrHandle, sequenceHandle: known.handle, buffer: random.bytes(random.int(30)) },
    {
      auth: [() => ({ password: NONE }), world.password(known)],
      isExact: true,
      learn: () => world.forget(known.handle),
    },
  );
};

export const primitives: Generators = {
  TPM2_RSA_Encrypt: rsaEncrypt,
  TPM2_RSA_Decrypt: rsaDecrypt,
  TPM2_ECDH_KeyGen: ecdhKeyGen,
  TPM2_ECDH_ZGen: ecdhZGen,
  TPM2_ECC_Parameters: eccParameters,
  TPM2_ZGen_2Phase: zGen2Phase,
  TPM2_EncryptDecrypt: encryptDecrypt,
  TPM2_EncryptDecrypt2: encryptDecrypt2,
  TPM2_Hash: hash,
  TPM2_HMAC: hmac,
  TPM2_GetRandom: (world) => world.step(TPM2_GetRandom, { bytesRequested: world.random.int(100) }),
  TPM2_StirRandom: (world) => world.step(TPM2_StirRandom, { inData: world.random.bytes(world.random.int(128)) }),
  TPM2_HMAC_Start: hmacStart,
  TPM2_HashSequenceStart: hashSequenceStart,
  TPM2_SequenceUpdate: sequenceUpdate,
  TPM2_SequenceComplete: sequenceComplete,
  TPM2_EventSequenceComplete: eventSequenceComplete,
};
