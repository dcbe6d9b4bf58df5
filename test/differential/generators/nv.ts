/** NV indices: Part 3, 31. */

import { digestInfo } from '../../../src/bytes/index.ts';
import {
  COMMANDS,
  TPM_NT,
  TPM_RH,
  TPM2_NV_Certify,
  TPM2_NV_ChangeAuth,
  TPM2_NV_DefineSpace,
  TPM2_NV_Extend,
  TPM2_NV_GlobalWriteLock,
  TPM2_NV_Increment,
  TPM2_NV_Read,
  TPM2_NV_ReadLock,
  TPM2_NV_ReadPublic,
  TPM2_NV_SetBits,
  TPM2_NV_UndefineSpace,
  TPM2_NV_UndefineSpaceSpecial,
  TPM2_NV_Write,
  TPM2_NV_WriteLock,
  type TPMS_NV_PUBLIC,
} from '../../../src/tpm/index.ts';
import { type Recipe, randomRecipe } from '../policies.ts';
import type { Authorization, Step } from '../step.ts';
import { HASHES } from '../templates.ts';
import type { Entity, KnownIndex, World } from '../world.ts';
import { attester } from './attestation.ts';
import type { Generator, Generators } from './generator.ts';
import { fulfil } from './sessions.ts';

const NONE = new Uint8Array(0);
type Attributes = TPMS_NV_PUBLIC['attributes'];

const { ORDINARY, COUNTER, BITS, EXTEND, PIN_FAIL, PIN_PASS } = TPM_NT;

function setAttributes(known: KnownIndex, changes: Attributes): void {
  const merged = Object.entries({ ...known.area.attributes, ...changes }).filter(([, value]) => value !== false);
  known.area = { ...known.area, attributes: Object.fromEntries(merged) };
}

/** What TPM2_PolicyAuthorizeNV looks for: the policy of a session that has just begun. */
const POLICY = Buffer.concat([Buffer.of(0, 0x0b), Buffer.alloc(32)]);

const typeOf = ({ area }: KnownIndex): number => area.attributes.nt ?? ORDINARY;

function attributesOf({ random }: World, nt: number, isPlatform: boolean, isSpecial: boolean): Attributes {
  const flag = (name: string, probability: number) => (random.chance(probability) ? { [name]: true } : {});
  const isPin = nt === PIN_FAIL || nt === PIN_PASS;
  return {
    ...(nt === ORDINARY ? {} : { nt }),
    ...flag('ownerread', 0.8),
    ...flag('ownerwrite', 0.8),
    ...flag('ppread', 0.3),
    ...flag('ppwrite', 0.3),
    authread: true,
    ...(isPin ? { ownerwrite: true } : { authwrite: true }),
    ...flag('policyread', 0.3),
    ...flag('policywrite', 0.3),
    ...(nt === PIN_FAIL || random.chance(0.7) ? { no_da: true } : {}),
    ...(isPin ? {} : flag('writedefine', 0.1)),
    ...flag('write_stclear', 0.2),
    ...flag('read_stclear', 0.2),
    ...(isPin ? {} : flag('globallock', 0.1)),
    ...flag('orderly', 0.2),
    ...flag('clear_stclear', 0.05),
    ...(nt === ORDINARY ? flag('writeall', 0.1) : {}),
    ...(isPlatform ? { platformcreate: true } : {}),
    ...(isSpecial ? { policydelete: true } : {}),
  };
}

const SPECIAL = [COMMANDS.TPM2_NV_UndefineSpaceSpecial.code] as const;
const CHANGE = [COMMANDS.TPM2_NV_ChangeAuth.code] as const;

/** @param nt any where it is left out */
export function define(world: World, asked?: number): Step {
  const { random } = world;
  const nt = asked ?? random.of(ORDINARY, ORDINARY, ORDINARY, COUNTER, BITS, EXTEND, PIN_FAIL, PIN_PASS);
  const isPlatform = random.chance(0.4);
  const isSpecial = isPlatform && random.chance(0.4);
  const hash = random.of('sha256', ...HASHES);
  const recipe: Recipe | undefined = isSpecial
    ? randomRecipe(random, hash, SPECIAL)
    : random.chance(0.5)
      ? randomRecipe(random, hash, random.chance(0.8) ? CHANGE : [])
      : undefined;
  const attributes = attributesOf(world, nt, isPlatform, isSpecial);
  const size =
    nt === EXTEND ? digestInfo(hash).size : nt === ORDINARY ? random.of(8, POLICY.length, random.int(64)) : 8;
  const handle = 0x01000000 + (isPlatform ? 0x400000 : 0) + random.int(12);
  const publicInfo: TPMS_NV_PUBLIC = {
    nvIndex: handle,
    nameAlg: hash,
    attributes,
    authPolicy: recipe?.digest ?? NONE,
    dataSize: random.chance(0.02) ? random.int(3000) : size,
  };
  const authHandle = isPlatform ? TPM_RH.PLATFORM : TPM_RH.OWNER;
  const auth = random.chance(0.5) ? NONE : Buffer.concat([random.bytes(3), Buffer.of(7)]);
  return world.step(
    TPM2_NV_DefineSpace,
    { authHandle, auth, publicInfo },
    {
      auth: [world.authorize(world.hierarchy(authHandle), TPM2_NV_DefineSpace)],
      learn: () => world.indices.push({ handle, auth, recipe, area: publicInfo }),
    },
  );
}

/** An index, of a type if one is asked for, or what defines one. */
function indexOf(world: World, test: (known: KnownIndex) => boolean = () => true): KnownIndex | undefined {
  return world.random.pick(world.indices.filter(test));
}

export const someIndex: Generator = (world) => (world.indices.length < 8 ? define(world) : undefine(world));

/** Who may read it, by the index's own attributes. */
function reader(world: World, known: KnownIndex): Entity {
  const { ownerread, ppread } = known.area.attributes;
  const others = [
    ...(ownerread ? [world.hierarchy(TPM_RH.OWNER)] : []),
    ...(ppread ? [world.hierarchy(TPM_RH.PLATFORM)] : []),
  ];
  return world.random.pick([known, known, ...others]) ?? known;
}

function writer(world: World, known: KnownIndex): Entity {
  const { ownerwrite, ppwrite, authwrite } = known.area.attributes;
  const others = [
    ...(ownerwrite ? [world.hierarchy(TPM_RH.OWNER)] : []),
    ...(ppwrite ? [world.hierarchy(TPM_RH.PLATFORM)] : []),
    ...(authwrite ? [known, known] : []),
  ];
  return world.random.pick(others) ?? known;
}

/** One that holds something, and who may read it. */
export function readable(world: World): { readonly known: KnownIndex; readonly by: Entity } | undefined {
  const known = indexOf(world, ({ area }) => area.attributes.written === true) ?? indexOf(world);
  return known === undefined ? undefined : { known, by: reader(world, known) };
}

/** By its own value or policy, or by a hierarchy's value. */
function withAuth(world: World, by: Entity, make: (authorization: Authorization) => Step): Step | undefined {
  return fulfil(world, by, undefined, make);
}

/** Any change but to attributes and value. */
function writing(
  nt: readonly number[],
  make: (world: World, known: KnownIndex, authHandle: number, by: Authorization) => Step,
): Generator {
  return (world) => {
    const known = indexOf(world, (index) => nt.includes(typeOf(index)) || world.random.chance(0.02));
    if (known === undefined) return world.indices.length < 10 ? define(world, world.random.pick(nt)) : undefine(world);
    const by = writer(world, known);
    return withAuth(world, by, (authorization) => make(world, known, by.handle, authorization));
  };
}

const written = (known: KnownIndex) => () => setAttributes(known, { written: true });

const write = writing([ORDINARY, ORDINARY, PIN_PASS, PIN_FAIL], (world, known, authHandle, by) => {
  const { random } = world;
  const { dataSize } = known.area;
  const isPin = typeOf(known) === PIN_FAIL || typeOf(known) === PIN_PASS;
  const isWhole = isPin || random.chance(0.7);
  const offset = isWhole ? 0 : random.int(dataSize + 1);
  const size = isWhole ? dataSize : random.int(dataSize - offset + (random.chance(0.05) ? 2 : 1));
  const pin = Buffer.of(0, 0, 0, random.int(3), 0, 0, 0, 3 + random.int(20));
  const isPolicy = size === POLICY.length && random.chance(0.6);
  const data = isPin ? pin : isPolicy ? POLICY : random.bytes(Math.min(size, 1024));
  return world.step(
    TPM2_NV_Write,
    { authHandle, nvIndex: known.handle, data, offset },
    { auth: [by], learn: written(known) },
  );
});

const increment = writing([COUNTER], (world, known, authHandle, by) =>
  world.step(TPM2_NV_Increment, { authHandle, nvIndex: known.handle }, { auth: [by], learn: written(known) }),
);

const extend = writing([EXTEND], (world, known, authHandle, by) => {
  const data = world.random.bytes(world.random.int(40));
  return world.step(TPM2_NV_Extend, { authHandle, nvIndex: known.handle, data }, { auth: [by], learn: written(known) });
});

const setBits = writing([BITS], (world, known, authHandle, by) => {
  const bits = world.random.bytes(8).readBigUInt64BE();
  return world.step(
    TPM2_NV_SetBits,
    { authHandle, nvIndex: known.handle, bits },
    { auth: [by], learn: written(known) },
  );
});

const writeLock: Generator = (world) => {
  const known = indexOf(world, ({ area }) => area.attributes.write_stclear === true) ?? indexOf(world);
  if (known === undefined) return define(world);
  const by = writer(world, known);
  return withAuth(world, by, (authorization) =>
    world.step(
      TPM2_NV_WriteLock,
      { authHandle: by.handle, nvIndex: known.handle },
      {
        auth: [authorization],
        learn: () => setAttributes(known, { writelocked: true }),
      },
    ),
  );
};

const readLock: Generator = (world) => {
  const known = indexOf(world, ({ area }) => area.attributes.read_stclear === true) ?? indexOf(world);
  if (known === undefined) return define(world);
  const by = reader(world, known);
  return withAuth(world, by, (authorization) =>
    world.step(
      TPM2_NV_ReadLock,
      { authHandle: by.handle, nvIndex: known.handle },
      {
        auth: [authorization],
        learn: () => setAttributes(known, { readlocked: true }),
      },
    ),
  );
};

const read: Generator = (world) => {
  const found = readable(world);
  if (found === undefined) return define(world);
  const { known, by } = found;
  const { random } = world;
  const { dataSize } = known.area;
  const offset = random.chance(0.6) ? 0 : random.int(dataSize + 1);
  const size = Math.min(1024, dataSize - offset) + (random.chance(0.03) ? 1 : 0);
  return withAuth(world, by, (authorization) =>
    world.step(
      TPM2_NV_Read,
      { authHandle: by.handle, nvIndex: known.handle, size, offset },
      { auth: [authorization], isExact: true },
    ),
  );
};

const readPublic: Generator = (world) => {
  const known = indexOf(world);
  const nvIndex = known?.handle ?? 0x01000000 + world.random.int(12);
  return world.step(
    TPM2_NV_ReadPublic,
    { nvIndex },
    {
      isExact: true,
      learn(responses) {
        if (known !== undefined) known.area = responses[0].nvPublic;
      },
    },
  );
};

const undefine: Generator = (world) => {
  const known = indexOf(world, ({ area }) => area.attributes.policydelete !== true);
  if (known === undefined) return define(world);
  const isPlatform = known.area.attributes.platformcreate === true;
  const authHandle = isPlatform ? TPM_RH.PLATFORM : TPM_RH.OWNER;
  return world.step(
    TPM2_NV_UndefineSpace,
    { authHandle, nvIndex: known.handle },
    {
      auth: [world.authorize(world.hierarchy(authHandle), TPM2_NV_UndefineSpace)],
      learn: () => world.forget(known.handle),
    },
  );
};

const undefineSpecial: Generator = (world) => {
  const known = indexOf(world, ({ area }) => area.attributes.policydelete === true);
  if (known === undefined) return define(world, ORDINARY);
  const platform = world.hierarchy(TPM_RH.PLATFORM);
  return fulfil(world, known, COMMANDS.TPM2_NV_UndefineSpaceSpecial.code, (byRole) =>
    world.step(
      TPM2_NV_UndefineSpaceSpecial,
      { nvIndex: known.handle, platform: platform.handle },
      {
        // The session's entity has gone when the response is made: its value is empty then
        auth: [afterRemoval(byRole), world.password(platform)],
        learn: () => world.forget(known.handle),
      },
    ),
  );
};

function afterRemoval(by: Authorization): Authorization {
  return (which) => {
    const chosen = by(which);
    return 'session' in chosen ? { ...chosen, authValueAfter: NONE } : chosen;
  };
}

const changeAuth: Generator = (world) => {
  const code = COMMANDS.TPM2_NV_ChangeAuth.code;
  const known = indexOf(
    world,
    ({ recipe }) => recipe?.assertions.some((one) => one.kind === 'commandCode' && one.code === code) === true,
  );
  if (known === undefined) return world.indices.length < 10 ? define(world) : undefine(world);
  const newAuth = Buffer.concat([world.random.bytes(4), Buffer.of(9)]);
  return fulfil(world, known, code, (byRole) =>
    world.step(
      TPM2_NV_ChangeAuth,
      { nvIndex: known.handle, newAuth },
      {
        auth: [
          (which) => {
            const chosen = byRole(which);
            return 'session' in chosen ? { ...chosen, authValueAfter: newAuth } : chosen;
          },
        ],
        learn() {
          world.indices = world.indices.map((one) => (one === known ? { ...known, auth: newAuth } : one));
        },
      },
    ),
  );
};

const certify: Generator = (world) => {
  const found = readable(world);
  if (found === undefined) return define(world);
  const { known, by } = found;
  const { random } = world;
  const { dataSize } = known.area;
  const isDigest = random.chance(0.4);
  const offset = isDigest ? 0 : random.int(dataSize + 1);
  const size = isDigest ? 0 : Math.min(dataSize - offset, 1024);
  return attester(world, ({ signHandle, inScheme, auth }) =>
    world.step(
      TPM2_NV_Certify,
      {
        signHandle,
        authHandle: by.handle,
        nvIndex: known.handle,
        qualifyingData: random.bytes(random.int(10)),
        inScheme,
        size,
        offset,
      },
      { auth: [auth, world.authorize(by, TPM2_NV_Certify)] },
    ),
  );
};

const globalWriteLock: Generator = (world) => {
  const authHandle = world.random.of(TPM_RH.OWNER, TPM_RH.PLATFORM);
  return world.step(
    TPM2_NV_GlobalWriteLock,
    { authHandle },
    {
      auth: [world.authorize(world.hierarchy(authHandle), TPM2_NV_GlobalWriteLock)],
      learn() {
        for (const known of world.indices)
          if (known.area.attributes.globallock) setAttributes(known, { writelocked: true });
      },
    },
  );
};

export const nv: Generators = {
  TPM2_NV_DefineSpace: (world) => (world.indices.length < 10 ? define(world) : undefine(world)),
  TPM2_NV_UndefineSpace: undefine,
  TPM2_NV_UndefineSpaceSpecial: undefineSpecial,
  TPM2_NV_ReadPublic: readPublic,
  TPM2_NV_Write: write,
  TPM2_NV_Increment: increment,
  TPM2_NV_Extend: extend,
  TPM2_NV_SetBits: setBits,
  TPM2_NV_WriteLock: writeLock,
  TPM2_NV_GlobalWriteLock: globalWriteLock,
  TPM2_NV_Read: read,
  TPM2_NV_ReadLock: readLock,
  TPM2_NV_ChangeAuth: changeAuth,
  TPM2_NV_Certify: certify,
};
