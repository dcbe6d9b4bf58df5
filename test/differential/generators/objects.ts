/** Objects, their creation, loading and duplication: Part 3, 12, 13, 24.1 and 28. */
import {
  COMMANDS,
  encode,
  handleType,
  isAsymmetric,
  shareSecret,
  TPM_HT,
  TPM_RH,
  TPM2_ActivateCredential,
  TPM2_ContextLoad,
  TPM2_ContextSave,
  TPM2_Create,
  TPM2_CreateLoaded,
  TPM2_CreatePrimary,
  TPM2_Duplicate,
  TPM2_EvictControl,
  TPM2_Import,
  TPM2_Load,
  TPM2_LoadExternal,
  TPM2_MakeCredential,
  TPM2_ObjectChangeAuth,
  TPM2_ReadPublic,
  TPM2_Rewrap,
  TPM2_Unseal,
  TPM2B_SENSITIVE,
  TPMT_PUBLIC,
  TPMT_TEMPLATE_DERIVED,
} from '../../../src/tpm/index.ts';
import { type Recipe, randomRecipe } from '../policies.ts';
import type { Pair, Which } from '../sides.ts';
import type { Step } from '../step.ts';
import { HASHES, type Template, type TemplateOptions, template } from '../templates.ts';
import type { Child, KnownObject, World } from '../world.ts';
import type { Generator, Generators } from './generator.ts';
import { keyFor } from './keys.ts';
import { fitsModulus, fulfil } from './sessions.ts';
import { flush, withSlot } from './slots.ts';

const NONE = new Uint8Array(0);

const both = <T>(of: (which: Which) => T): Pair<T> => [of(0), of(1)];

const ROLE_COMMANDS = [
  COMMANDS.TPM2_Duplicate.code,
  COMMANDS.TPM2_Duplicate.code,
  COMMANDS.TPM2_Certify.code,
  COMMANDS.TPM2_ActivateCredential.code,
  COMMANDS.TPM2_ObjectChangeAuth.code,
  COMMANDS.TPM2_CertifyX509.code,
] as const;

function authValue({ random }: World): Buffer {
  return random.chance(0.5) ? Buffer.alloc(0) : Buffer.concat([random.bytes(random.int(8)), Buffer.of(1)]);
}

/** About every third object has a policy; some can be had by it alone where the role is ADMIN. */
function newTemplate({ random }: World, options: TemplateOptions = {}): Template & { recipe: Recipe | undefined } {
  const hash = options.nameAlg ?? random.of('sha256', 'sha256', 'sha1', 'sha384');
  const recipe = random.chance(0.35) ? randomRecipe(random, hash, random.chance(0.7) ? ROLE_COMMANDS : []) : undefined;
  const admin = recipe !== undefined && random.chance(0.5) ? { adminWithPolicy: true } : {};
  const movable = recipe !== undefined && random.chance(0.5) ? { fixedTPM: false, fixedParent: false } : {};
  const made = template(random, { ...options, recipe, attributes: { ...admin, ...movable, ...options.attributes } });
  return { ...made, recipe };
}

/** A child that its parent takes: as fixed, and as well protected. */
function childTemplate(world: World, parent: KnownObject, options: TemplateOptions = {}) {
  const above = parent.area[0].objectAttributes;
  const made = newTemplate(world, {
    ...options,
    attributes: above.fixedTPM ? { ...options.attributes } : { fixedTPM: false, ...options.attributes },
  });
  const { area, purpose } = made;
  if (purpose !== 'storage' || !area.objectAttributes.fixedParent || world.random.chance(0.1)) return made;
  return { ...made, area: matchingParent(area, parent.area[0]) };
}

/** Storage keys that stay under their parent protect as it does. */
function matchingParent(area: TPMT_PUBLIC, parent: TPMT_PUBLIC): TPMT_PUBLIC {
  const symmetric =
    parent.type === 'symcipher'
      ? parent.parameters.sym
      : parent.type === 'keyedhash'
        ? undefined
        : parent.parameters.symmetric;
  if (symmetric === undefined || symmetric.algorithm === 'null') return area;
  const { nameAlg } = parent;
  if (area.type === 'symcipher') return { ...area, nameAlg, parameters: { sym: symmetric } };
  if (area.type === 'ecc') return { ...area, nameAlg, parameters: { ...area.parameters, symmetric } };
  return area;
}

function sensitiveOf({ random }: World, { area }: Template, userAuth: Uint8Array) {
  const wantsData = area.objectAttributes.sensitiveDataOrigin !== true;
  return { userAuth, data: wantsData || random.chance(0.01) ? random.bytes(1 + random.int(40)) : NONE };
}

function creation({ random }: World) {
  const pcrs = random.chance(0.7) ? [] : [random.int(24)];
  return {
    outsideInfo: random.bytes(random.int(10)),
    creationPCR: pcrs.length === 0 && random.chance(0.8) ? [] : [{ hash: random.of(...HASHES), pcrs }],
  };
}

interface NewObject {
  readonly handle: Pair<number>;
  readonly area: Pair<TPMT_PUBLIC>;
  readonly name: Pair<Uint8Array>;
}

type Rest = Omit<KnownObject, 'handle' | 'area' | 'name'>;

function add(world: World, { handle, area, name }: NewObject, rest: Rest): void {
  world.objects.push({ ...rest, handle: handle[0], area, name });
}

const HIERARCHIES = [TPM_RH.OWNER, TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM, TPM_RH.NULL] as const;

const createPrimary: Generator = (world) =>
  withSlot(world, () => {
    const { random } = world;
    const isRsa = random.chance(0.01);
    const made = newTemplate(
      world,
      isRsa
        ? { type: 'rsa' }
        : random.chance(0.5)
          ? { purpose: 'storage', type: random.of('ecc', 'ecc', 'symcipher') }
          : {},
    );
    const userAuth = authValue(world);
    const hierarchy = random.of(...HIERARCHIES);
    const request = { primaryHandle: hierarchy, inPublic: made.area, inSensitive: sensitiveOf(world, made, userAuth) };
    const auth = [world.authorize(world.hierarchy(hierarchy), TPM2_CreatePrimary)];
    return world.step(
      TPM2_CreatePrimary,
      { ...request, ...creation(world) },
      {
        auth,
        learn(responses) {
          const of = {
            handle: both((i) => responses[i].objectHandle),
            area: both((i) => responses[i].outPublic),
            name: both((i) => responses[i].name),
          };
          const ticket = both((i) => ({
            creationHash: responses[i].creationHash,
            ticket: responses[i].creationTicket,
          }));
          add(world, of, { ...object(made, userAuth, hierarchy), creation: ticket });
        },
      },
    );
  });

function object(made: Template & { recipe: Recipe | undefined }, auth: Uint8Array, hierarchy: number): Rest {
  const { purpose, recipe } = made;
  return {
    auth,
    recipe,
    purpose,
    hierarchy,
    parent: undefined,
    hasPrivate: true,
    isExternal: false,
    isSame: false,
    creation: undefined,
  };
}

const create: Generator = (world) => {
  const parent = world.storageParent();
  if (parent === undefined) return createPrimary(world);
  return withSlot(world, () => {
    const made = childTemplate(world, parent, world.random.chance(0.006) ? { type: 'rsa' } : {});
    const userAuth = authValue(world);
    const request = {
      parentHandle: parent.handle,
      inPublic: made.area,
      inSensitive: sensitiveOf(world, made, userAuth),
      ...creation(world),
    };
    return world.step(TPM2_Create, request, {
      auth: [world.authorize(parent, TPM2_Create)],
      learn(responses) {
        const child: Child = {
          ...object(made, userAuth, parent.hierarchy),
          parent,
          area: both((i) => responses[i].outPublic),
          outPrivate: both((i) => responses[i].outPrivate),
          creation: both((i) => ({ creationHash: responses[i].creationHash, ticket: responses[i].creationTicket })),
        };
        world.children = world.remember(world.children, child);
        if (world.random.chance(0.5)) world.queue.push(() => loadChild(world, child));
      },
    });
  });
};

function loadChild(world: World, child: Child): Step | undefined {
  const { parent, outPrivate, area } = child;
  // The parent may lie elsewhere by now, or have gone
  const loaded = world.loaded.find(({ name }) => Buffer.from(name[0]).equals(parent.name[0]));
  if (loaded === undefined) return undefined;
  return withSlot(world, () =>
    world.step(TPM2_Load, (i) => ({ parentHandle: loaded.handle, inPrivate: outPrivate[i], inPublic: area[i] }), {
      auth: [world.authorize(loaded, TPM2_Load)],
      learn(responses) {
        const of = { handle: both((i) => responses[i].objectHandle), area, name: both((i) => responses[i].name) };
        add(world, of, { ...child, parent: loaded });
      },
    }),
  );
}

const load: Generator = (world) => {
  const child = world.random.pick(world.children);
  return child === undefined ? create(world) : (loadChild(world, child) ?? create(world));
};

const loadExternal: Generator = (world) =>
  withSlot(world, () => {
    const { random } = world;
    const type = random.of('rsa', 'rsa', 'ecc', 'keyedhash', 'symcipher');
    const hasPrivate = random.chance(0.75);
    const attributes = { restricted: false, fixedTPM: false, fixedParent: false, sensitiveDataOrigin: false };
    const keyBits = random.of(1024, 1024, 1024, 2048);
    const purpose = type === 'rsa' || type === 'ecc' ? random.of('sign', 'decrypt', 'both') : undefined;
    const options = { type, attributes, keyBits, ...(purpose === undefined ? {} : { purpose }) };
    const made = newTemplate(world, options);
    const userAuth = authValue(world);
    const { area, sensitive } = keyFor(made.area, userAuth, random);
    const hierarchy = hasPrivate ? TPM_RH.NULL : random.of(TPM_RH.OWNER, TPM_RH.NULL, TPM_RH.ENDORSEMENT);
    const request = { inPrivate: hasPrivate ? sensitive : undefined, inPublic: area, hierarchy };
    return world.step(TPM2_LoadExternal, request, {
      isExact: true,
      learn(responses) {
        const of = {
          handle: both((i) => responses[i].objectHandle),
          area: both(() => area),
          name: both((i) => responses[i].name),
        };
        add(world, of, { ...object(made, userAuth, hierarchy), hasPrivate, isExternal: true, isSame: true });
      },
    });
  });

const readPublic: Generator = (world) => {
  const known = world.random.pick([...world.loaded, ...world.sequences]);
  if (known === undefined) return createPrimary(world);
  const isExact = 'isSame' in known && known.isSame && known.isExternal;
  return world.step(TPM2_ReadPublic, { objectHandle: known.handle }, { isExact });
};

// --- credentials ------------------------------------------------------------------------------------------------------

const makeCredential: Generator = (world) => {
  const key = world.find(({ purpose, area }) => purpose === 'storage' && isAsymmetric(area[0]));
  const activated = world.find(() => true);
  if (key === undefined || activated === undefined) return createPrimary(world);
  const credential = world.random.bytes(world.random.int(21));
  return world.step(TPM2_MakeCredential, (i) => ({ handle: key.handle, credential, objectName: activated.name[i] }), {
    learn(responses) {
      const known = {
        key,
        activated,
        credentialBlob: both((i) => responses[i].credentialBlob),
        secret: both((i) => responses[i].secret),
      };
      world.credentials = world.remember(world.credentials, known);
      if (world.random.chance(0.7)) world.queue.push(() => activateCredential(world));
    },
  });
};

const activateCredential: Generator = (world) => {
  const { loaded } = world;
  const known = world.credentials.findLast(({ key, activated }) => loaded.includes(key) && loaded.includes(activated));
  if (known === undefined) return makeCredential(world);
  const { key, activated, credentialBlob, secret } = known;
  return fulfil(world, activated, COMMANDS.TPM2_ActivateCredential.code, (byRole) =>
    world.step(
      TPM2_ActivateCredential,
      (i) => ({
        activateHandle: activated.handle,
        keyHandle: key.handle,
        credentialBlob: credentialBlob[i],
        secret: secret[i],
      }),
      { auth: [byRole, world.password(key)], isExact: true },
    ),
  );
};

const unseal: Generator = (world) => {
  const sealed = world.find(({ purpose, hasPrivate }) => purpose === 'seal' && hasPrivate);
  if (sealed === undefined) return sealSomething(world);
  return fulfil(world, sealed, undefined, (by) =>
    world.step(TPM2_Unseal, { itemHandle: sealed.handle }, { auth: [by], isExact: true }),
  );
};

const sealSomething: Generator = (world) =>
  withSlot(world, () => {
    const made = newTemplate(world, { type: 'keyedhash', purpose: 'seal' });
    return primaryOf(world, made);
  });

function primaryOf(world: World, made: Template & { recipe: Recipe | undefined }): Step {
  const hierarchy = world.random.of(...HIERARCHIES);
  const userAuth = authValue(world);
  const request = { primaryHandle: hierarchy, inPublic: made.area, inSensitive: sensitiveOf(world, made, userAuth) };
  return world.step(
    TPM2_CreatePrimary,
    { ...request, ...creation(world) },
    {
      auth: [world.password(world.hierarchy(hierarchy))],
      learn(responses) {
        const of = {
          handle: both((i) => responses[i].objectHandle),
          area: both((i) => responses[i].outPublic),
          name: both((i) => responses[i].name),
        };
        add(world, of, object(made, userAuth, hierarchy));
      },
    },
  );
}

/** An object of a kind that some other generator needs, as a primary one. */
export function provide(world: World, options: TemplateOptions): Step | undefined {
  return withSlot(world, () => primaryOf(world, newTemplate(world, options)));
}

const objectChangeAuth: Generator = (world) => {
  const known = world.find(
    ({ parent, hasPrivate }) => parent !== undefined && hasPrivate && world.loaded.includes(parent),
  );
  const { parent } = known ?? {};
  if (known === undefined || parent === undefined) return load(world);
  const newAuth = authValue(world);
  return fulfil(world, known, COMMANDS.TPM2_ObjectChangeAuth.code, (byRole) =>
    world.step(
      TPM2_ObjectChangeAuth,
      { objectHandle: known.handle, parentHandle: parent.handle, newAuth },
      {
        auth: [byRole],
        learn(responses) {
          const { handle: _, name: __, ...rest } = known;
          const child = { ...rest, parent, auth: newAuth, outPrivate: both((i) => responses[i].outPrivate) };
          world.children = world.remember(world.children, child);
        },
      },
    ),
  );
};

// --- TPM2_CreateLoaded ------------------------------------------------------------------------------------------------

const createLoaded: Generator = (world) =>
  withSlot(world, () => {
    const { random } = world;
    const parent = random.chance(0.5)
      ? world.find(
          ({ purpose, hasPrivate, isExternal }) =>
            (purpose === 'storage' || purpose === 'derive') && hasPrivate && !isExternal,
        )
      : undefined;
    if (parent?.purpose === 'derive') return createDerived(world, parent);
    const made = parent === undefined ? newTemplate(world) : childTemplate(world, parent);
    const hierarchy = parent?.hierarchy ?? random.of(...HIERARCHIES);
    const userAuth = authValue(world);
    const request = {
      parentHandle: parent?.handle ?? hierarchy,
      inSensitive: sensitiveOf(world, made, userAuth),
      inPublic: encode(TPMT_PUBLIC, made.area),
    };
    return world.step(TPM2_CreateLoaded, request, {
      auth: [world.authorize(parent ?? world.hierarchy(hierarchy), TPM2_CreateLoaded)],
      learn(responses) {
        const of = {
          handle: both((i) => responses[i].objectHandle),
          area: both((i) => responses[i].outPublic),
          name: both((i) => responses[i].name),
        };
        const rest = { ...object(made, userAuth, hierarchy), parent };
        add(world, of, rest);
        if (parent === undefined) return;
        const child = { ...rest, parent, area: of.area, outPrivate: both((i) => responses[i].outPrivate) };
        world.children = world.remember(world.children, child);
      },
    });
  });

/** The same parent in both TPMs derives the same key. */
function createDerived(world: World, parent: KnownObject): Step {
  const { random } = world;
  const { fixedTPM } = parent.area[0].objectAttributes;
  const attributes = { sensitiveDataOrigin: false, fixedParent: true, fixedTPM: fixedTPM === true };
  const made = newTemplate(world, { type: random.of('ecc', 'keyedhash', 'symcipher'), attributes });
  const derive = { label: random.bytes(random.int(9)), context: random.bytes(random.int(9)) };
  const { area } = made;
  const inPublic = encode(TPMT_TEMPLATE_DERIVED, templateOf(area, derive));
  const userAuth = authValue(world);
  return world.step(
    TPM2_CreateLoaded,
    { parentHandle: parent.handle, inSensitive: { userAuth, data: NONE }, inPublic },
    {
      auth: [world.authorize(parent, TPM2_CreateLoaded)],
      isExact: parent.isSame,
      learn(responses) {
        const of = {
          handle: both((i) => responses[i].objectHandle),
          area: both((i) => responses[i].outPublic),
          name: both((i) => responses[i].name),
        };
        add(world, of, { ...object(made, userAuth, parent.hierarchy), parent, isSame: parent.isSame });
      },
    },
  );
}

function templateOf(area: TPMT_PUBLIC, unique: { label: Uint8Array; context: Uint8Array }) {
  const { nameAlg } = area;
  if (nameAlg === 'null') throw new TypeError('a template has a name algorithm');
  switch (area.type) {
    case 'rsa':
      return { ...area, nameAlg, unique };
    case 'ecc':
      return { ...area, nameAlg, unique };
    case 'keyedhash':
      return { ...area, nameAlg, unique };
    case 'symcipher':
      return { ...area, nameAlg, unique };
  }
}

// --- duplication ------------------------------------------------------------------------------------------------------

const INNER = { algorithm: 'aes', keyBits: 128, mode: 'cfb' } as const;
const NO_INNER = { algorithm: 'null' } as const;

const duplicate: Generator = (world) => {
  const { random } = world;
  const code = COMMANDS.TPM2_Duplicate.code;
  const known = world.find(
    ({ recipe, hasPrivate, area }) =>
      hasPrivate &&
      !area[0].objectAttributes.fixedParent &&
      recipe?.assertions.some((one) => one.kind === 'commandCode' && one.code === code) === true,
  );
  if (known === undefined) return movable(world);
  const newParent = random.chance(0.6)
    ? world.find(({ purpose, area }) => purpose === 'storage' && isAsymmetric(area[0]))
    : undefined;
  const hasInner = random.chance(0.4);
  const ownKey = hasInner && random.chance(0.5) ? random.bytes(16) : NONE;
  const newParentHandle = newParent?.handle ?? TPM_RH.NULL;
  const request = {
    objectHandle: known.handle,
    newParentHandle,
    encryptionKeyIn: ownKey,
    symmetricAlg: hasInner ? INNER : NO_INNER,
  };
  return fulfil(world, known, code, (byRole) =>
    world.step(TPM2_Duplicate, request, {
      auth: [byRole],
      learn(responses) {
        const of = both((i) => ({
          key: hasInner ? (ownKey.length > 0 ? ownKey : responses[i].encryptionKeyOut) : NONE,
          duplicate: responses[i].duplicate,
          outSymSeed: responses[i].outSymSeed,
        }));
        if (newParent === undefined) world.queue.push(() => rewrapFrom(world, known, of));
        else world.queue.push(() => importTo(world, newParent, known, of, hasInner));
      },
    }),
  );
};

/** Something that may be duplicated. */
const movable: Generator = (world) =>
  withSlot(world, () => {
    const { random } = world;
    const hash = random.of('sha256', 'sha1');
    const recipe = randomRecipe(random, hash, [COMMANDS.TPM2_Duplicate.code]);
    const attributes = { fixedTPM: false, fixedParent: false };
    return primaryOf(world, { ...template(random, { recipe, attributes }), recipe });
  });

interface Duplicated {
  readonly key: Uint8Array;
  readonly duplicate: Uint8Array;
  readonly outSymSeed: Uint8Array;
}

function importTo(
  world: World,
  parent: KnownObject,
  known: KnownObject,
  of: Pair<Duplicated>,
  hasInner: boolean,
): Step | undefined {
  if (!world.loaded.includes(parent) || !parent.hasPrivate) return undefined;
  return world.step(
    TPM2_Import,
    (i) => ({
      parentHandle: parent.handle,
      encryptionKey: of[i].key,
      objectPublic: known.area[i],
      duplicate: of[i].duplicate,
      inSymSeed: of[i].outSymSeed,
      symmetricAlg: hasInner ? INNER : NO_INNER,
    }),
    {
      auth: [world.authorize(parent, TPM2_Import)],
      learn(responses) {
        const { handle: _, name: __, ...rest } = known;
        const child = {
          ...rest,
          parent,
          hierarchy: parent.hierarchy,
          outPrivate: both((i) => responses[i].outPrivate),
        };
        world.children = world.remember(world.children, child);
      },
    },
  );
}

/** From no parent, to one that the next command could import it under. */
function rewrapFrom(world: World, known: KnownObject, of: Pair<Duplicated>): Step | undefined {
  const newParent = world.find(({ purpose, area }) => purpose === 'storage' && isAsymmetric(area[0]));
  if (newParent === undefined) return undefined;
  const { handle } = newParent;
  return world.step(
    TPM2_Rewrap,
    (i) => ({
      oldParent: TPM_RH.NULL,
      newParent: handle,
      inDuplicate: of[i].duplicate,
      name: known.name[i],
      inSymSeed: NONE,
    }),
    {
      learn(responses) {
        const rewrapped = both((i) => ({
          ...of[i],
          duplicate: responses[i].outDuplicate,
          outSymSeed: responses[i].outSymSeed,
        }));
        world.queue.push(() => rewrapOn(world, newParent, known, rewrapped));
      },
    },
  );
}

/** From the one parent to another, or back to none. */
function rewrapOn(world: World, oldParent: KnownObject, known: KnownObject, of: Pair<Duplicated>): Step | undefined {
  if (!world.loaded.includes(oldParent) || !oldParent.hasPrivate) return undefined;
  const newParent = world.find(({ purpose, area }) => purpose === 'storage' && isAsymmetric(area[0]));
  return world.step(
    TPM2_Rewrap,
    (i) => ({
      oldParent: oldParent.handle,
      newParent: newParent?.handle ?? TPM_RH.NULL,
      inDuplicate: of[i].duplicate,
      name: known.name[i],
      inSymSeed: of[i].outSymSeed,
    }),
    { auth: [world.authorize(oldParent, TPM2_Rewrap)] },
  );
}

const rewrap: Generator = (world) => {
  const key = world.find(
    ({ purpose, area, hasPrivate }) => purpose === 'storage' && isAsymmetric(area[0]) && hasPrivate,
  );
  if (key === undefined) return provide(world, { type: 'ecc', purpose: 'storage' });
  const { random } = world;
  // What is inside is no business of this command
  const known = { area: key.area, name: key.name };
  const inside = random.bytes(20 + random.int(60));
  const of = both(() => ({ key: NONE, duplicate: inside, outSymSeed: NONE }));
  return rewrapFrom(world, { ...key, ...known }, of);
};

const importKey: Generator = (world) => {
  const { random } = world;
  const parent = world.storageParent();
  if (parent === undefined) return provide(world, { type: random.of('ecc', 'symcipher'), purpose: 'storage' });
  const type = random.of('rsa', 'ecc', 'keyedhash', 'symcipher');
  const attributes = { fixedTPM: false, fixedParent: false, sensitiveDataOrigin: random.chance(0.5) };
  const made = newTemplate(world, { type, attributes, keyBits: random.of(1024, 1024, 2048) });
  const userAuth = authValue(world);
  const { area, sensitive } = keyFor(made.area, userAuth, random);
  const plain = encode(TPM2B_SENSITIVE, sensitive);
  const isShared = isAsymmetric(parent.area[0]) && random.chance(0.02);
  const request = (i: Which) => ({
    parentHandle: parent.handle,
    encryptionKey: NONE,
    objectPublic: area,
    duplicate: plain,
    inSymSeed: isShared ? seedFor(parent.area[i]) : NONE,
    symmetricAlg: NO_INNER,
  });
  return world.step(TPM2_Import, request, {
    auth: [world.authorize(parent, TPM2_Import)],
    learn(responses) {
      const child: Child = {
        ...object(made, userAuth, parent.hierarchy),
        parent,
        isSame: true,
        area: both(() => area),
        outPrivate: both((i) => responses[i].outPrivate),
      };
      world.children = world.remember(world.children, child);
      if (random.chance(0.8)) world.queue.push(() => loadChild(world, child));
    },
  });
};

/** A seed that is right, of something that was never wrapped by it. */
function seedFor(area: TPMT_PUBLIC): Uint8Array {
  const { nameAlg } = area;
  if (!isAsymmetric(area) || nameAlg === 'null') return NONE;
  const canShare =
    area.type === 'rsa' ? fitsModulus(nameAlg) : ['p256', 'p384', 'p521'].includes(area.parameters.curveID);
  return canShare ? shareSecret(area, nameAlg, 'DUPLICATE').secret : NONE;
}

// --- contexts ---------------------------------------------------------------------------------------------------------

const contextSave: Generator = (world) => {
  const of = world.random.pick([...world.objects, ...world.sequences, ...world.sessions]);
  if (of === undefined) return createPrimary(world);
  return world.step(
    TPM2_ContextSave,
    { saveHandle: of.handle },
    {
      learn(responses) {
        const saved = { context: both((i) => responses[i].context), of };
        world.contexts = world.remember(world.contexts, saved);
        if ('pair' in of) world.forget(of.handle);
        if (world.random.chance(0.5)) world.queue.push(() => loadContext(world, saved));
      },
    },
  );
};

function loadContext(world: World, { context, of }: World['contexts'][number]): Step {
  return world.step(TPM2_ContextLoad, (i) => ({ context: context[i] }), {
    learn(responses) {
      const handle = responses[0].loadedHandle;
      if ('pair' in of) world.sessions.push(of);
      else if ('kind' in of) world.sequences.push({ ...of, handle });
      else world.objects.push({ ...of, handle });
    },
  });
}

const contextLoad: Generator = (world) => {
  const saved = world.random.pick(world.contexts);
  if (saved === undefined) return contextSave(world);
  return 'pair' in saved.of ? loadContext(world, saved) : withSlot(world, () => loadContext(world, saved));
};

const flushContext: Generator = (world) => {
  const known = world.random.pick([...world.objects, ...world.sequences, ...world.sessions]);
  return known === undefined ? createPrimary(world) : flush(world, known.handle);
};

const evictControl: Generator = (world) => {
  const { random } = world;
  const known = random.chance(0.5)
    ? random.pick(world.persistents)
    : random.pick(world.objects.filter(({ isExternal, hierarchy }) => !isExternal && hierarchy !== TPM_RH.NULL));
  if (known === undefined) return createPrimary(world);
  const isPersistent = handleType(known.handle) === TPM_HT.PERSISTENT;
  const isPlatform = known.hierarchy === TPM_RH.PLATFORM;
  const auth = isPlatform === random.chance(0.97) ? TPM_RH.PLATFORM : TPM_RH.OWNER;
  const persistentHandle = isPersistent
    ? known.handle
    : (auth === TPM_RH.PLATFORM ? 0x81800000 : 0x81000000) + random.int(4);
  return world.step(
    TPM2_EvictControl,
    { auth, objectHandle: known.handle, persistentHandle },
    {
      auth: [world.authorize(world.hierarchy(auth), TPM2_EvictControl)],
      learn() {
        if (isPersistent) world.forget(known.handle);
        else world.persistents.push({ ...known, handle: persistentHandle });
      },
    },
  );
};

export const objects: Generators = {
  TPM2_CreatePrimary: createPrimary,
  TPM2_Create: create,
  TPM2_Load: load,
  TPM2_LoadExternal: loadExternal,
  TPM2_ReadPublic: readPublic,
  TPM2_MakeCredential: makeCredential,
  TPM2_ActivateCredential: activateCredential,
  TPM2_Unseal: unseal,
  TPM2_ObjectChangeAuth: objectChangeAuth,
  TPM2_CreateLoaded: createLoaded,
  TPM2_Duplicate: duplicate,
  TPM2_Rewrap: rewrap,
  TPM2_Import: importKey,
  TPM2_ContextSave: contextSave,
  TPM2_ContextLoad: contextLoad,
  TPM2_FlushContext: flushContext,
  TPM2_EvictControl: evictControl,
};
