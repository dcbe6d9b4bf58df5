/** The TPM as a whole: Part 3, 9, 10, 22, 24 to 26, 29 and 30. */
import { digestInfo } from '../../../src/bytes/index.ts';
import {
  COMMANDS,
  TPM_ALG,
  TPM_PT,
  TPM_RH,
  TPM2_ChangeEPS,
  TPM2_ChangePPS,
  TPM2_Clear,
  TPM2_ClearControl,
  TPM2_ClockRateAdjust,
  TPM2_ClockSet,
  TPM2_DictionaryAttackLockReset,
  TPM2_DictionaryAttackParameters,
  TPM2_GetCapability,
  TPM2_GetTestResult,
  TPM2_HierarchyChangeAuth,
  TPM2_HierarchyControl,
  TPM2_IncrementalSelfTest,
  TPM2_PCR_Allocate,
  TPM2_PCR_Event,
  TPM2_PCR_Extend,
  TPM2_PCR_Read,
  TPM2_PCR_Reset,
  TPM2_PCR_SetAuthPolicy,
  TPM2_PCR_SetAuthValue,
  TPM2_PP_Commands,
  TPM2_ReadClock,
  TPM2_SelfTest,
  TPM2_SetAlgorithmSet,
  TPM2_SetPrimaryPolicy,
  TPM2_Shutdown,
  TPM2_Startup,
  TPM2_TestParms,
} from '../../../src/tpm/index.ts';
import type { Authorization, Step } from '../step.ts';
import { HASHES, template } from '../templates.ts';
import type { World } from '../world.ts';
import type { Generator, Generators } from './generator.ts';

const NONE = new Uint8Array(0);
const { OWNER, ENDORSEMENT, PLATFORM, PLATFORM_NV, LOCKOUT } = TPM_RH;
const ALL_PCRS = Array.from({ length: 24 }, (_, i) => i);

// --- start-up ---------------------------------------------------------------------------------------------------------

/** _TPM_Init and TPM2_Startup, with what is lost. */
export function start(world: World, startupType: 'clear' | 'state', locality = 0): Step {
  world.losePower();
  return world.step(
    TPM2_Startup,
    { startupType },
    {
      isPowered: true,
      locality,
      learn() {
        // Else one of the two has tests left to do that the other has done
        world.queue.unshift(() => world.step(TPM2_SelfTest, { fullTest: true }));
        if (startupType === 'state') return;
        world.hierarchyAuth.delete(PLATFORM);
        world.pcrAuth = NONE;
        for (const known of world.indices)
          known.area = { ...known.area, attributes: withoutLocks(known.area.attributes) };
      },
    },
  );
}

function withoutLocks<T extends object>(attributes: T): T {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => name !== 'readlocked')) as T; // a subset of its own
}

/** Nothing but TPM2_Startup works before it, whatever goes wrong. */
const cycle: Generator = (world) => {
  const { random } = world;
  const shutdownType = random.of('clear', 'state', 'state');
  const startupType = random.chance(0.5) ? shutdownType : 'clear';
  const first = random.chance(0.9) ? world.step(TPM2_Shutdown, { shutdownType }) : undefined;
  const startup = () => start(world, startupType, random.chance(0.05) ? 3 : 0);
  const again = () => {
    if (random.chance(0.3)) return world.step(TPM2_Startup, { startupType: 'clear' });
    return undefined;
  };
  if (first === undefined) {
    world.queue.unshift(again);
    return withFallback(world, startup);
  }
  world.queue.unshift(() => withFallback(world, startup), again);
  return first;
};

/** A Resume that is refused is followed by a start that works. */
function withFallback(world: World, startup: () => Step): Step {
  const made = startup();
  let isStarted = false;
  world.queue.unshift(() =>
    isStarted
      ? undefined
      : world.step(TPM2_Startup, { startupType: 'clear' }, { learn: () => world.hierarchyAuth.delete(PLATFORM) }),
  );
  return {
    ...made,
    learn(responses) {
      isStarted = true;
      made.learn(responses);
    },
  };
}

const startup: Generator = (world) =>
  world.random.chance(0.2)
    ? cycle(world)
    : world.step(TPM2_Startup, { startupType: world.random.of('clear', 'state') });

const shutdown: Generator = (world) =>
  world.random.chance(0.1)
    ? cycle(world)
    : world.step(TPM2_Shutdown, { shutdownType: world.random.of('clear', 'state') });

const algorithms = Object.values(TPM_ALG);

const incrementalSelfTest: Generator = (world) => {
  const { random } = world;
  const known = [TPM_ALG.sha256, TPM_ALG.aes, TPM_ALG.rsa, TPM_ALG.ecc, TPM_ALG.hmac];
  const toTest = Array.from(
    { length: random.int(4) },
    () => (random.chance(0.95) ? random.pick(known) : random.pick(algorithms)) ?? 0,
  );
  return world.step(TPM2_IncrementalSelfTest, { toTest });
};

// --- PCRs -------------------------------------------------------------------------------------------------------------

const pcrHandle = ({ random }: World): number => random.of(TPM_RH.NULL, 0, 7, 10, 16, 16, 17, 20, 21, 22, 23, 23);

/** PCRs 20 to 22 have a value, and may have a policy that nobody fulfils. */
function pcrAuth(world: World, handle: number): Authorization {
  const value = handle >= 20 && handle <= 22 ? world.pcrAuth : NONE;
  const password = world.random.chance(0.02) ? Buffer.from('wrong') : value;
  return () => ({ password });
}

function locality({ random }: World): number {
  return random.chance(0.7) ? 0 : random.int(5);
}

const extend: Generator = (world) => {
  const { random } = world;
  const handle = pcrHandle(world);
  const digests = Array.from({ length: random.int(4) }, () => {
    const hashAlg = random.of(...HASHES);
    return { hashAlg, digest: random.bytes(digestInfo(hashAlg).size) };
  });
  return world.step(
    TPM2_PCR_Extend,
    { pcrHandle: handle, digests },
    { auth: [pcrAuth(world, handle)], locality: locality(world) },
  );
};

const event: Generator = (world) => {
  const handle = pcrHandle(world);
  const eventData = world.random.bytes(world.random.int(50));
  return world.step(
    TPM2_PCR_Event,
    { pcrHandle: handle, eventData },
    { auth: [pcrAuth(world, handle)], locality: locality(world), isExact: true },
  );
};

const read: Generator = (world) => {
  const { random } = world;
  const pcrSelectionIn = Array.from({ length: 1 + random.int(3) }, () => ({
    hash: random.of(...HASHES),
    pcrs: ALL_PCRS.filter(() => random.chance(0.2)),
  }));
  return world.step(TPM2_PCR_Read, { pcrSelectionIn }, { isExact: true });
};

const reset: Generator = (world) => {
  const handle = world.random.of(0, 16, 16, 16, 23, 23, 20, 21, 17);
  return world.step(
    TPM2_PCR_Reset,
    { pcrHandle: handle },
    { auth: [pcrAuth(world, handle)], locality: locality(world) },
  );
};

const platform = (world: World, command: Parameters<World['authorize']>[1]): Authorization =>
  world.authorize(world.hierarchy(PLATFORM), command);

/** Takes effect with the next start, which follows at once. */
const allocate: Generator = (world) => {
  const { random } = world;
  const pcrAllocation = random.chance(0.4)
    ? [{ hash: random.of('sha1', 'sha384', 'sha512'), pcrs: random.chance(0.5) ? [] : ALL_PCRS }]
    : HASHES.map((hash) => ({ hash, pcrs: hash === 'sha256' || random.chance(0.7) ? ALL_PCRS : [] }));
  return world.step(
    TPM2_PCR_Allocate,
    { authHandle: PLATFORM, pcrAllocation },
    {
      auth: [platform(world, TPM2_PCR_Allocate)],
      isExact: true,
      learn() {
        if (random.chance(0.3)) world.queue.unshift(() => world.step(TPM2_Shutdown, { shutdownType: 'state' }));
        world.queue.push(() => withFallback(world, () => start(world, 'clear')));
      },
    },
  );
};

const setAuthPolicy: Generator = (world) => {
  const { random } = world;
  const hashAlg = random.of('null', 'null', 'sha256', 'sha1');
  const authPolicy = hashAlg === 'null' ? NONE : random.bytes(digestInfo(hashAlg).size);
  return world.step(
    TPM2_PCR_SetAuthPolicy,
    { authHandle: PLATFORM, authPolicy, hashAlg, pcrNum: random.of(20, 21, 22, 22, 5) },
    {
      auth: [platform(world, TPM2_PCR_SetAuthPolicy)],
      learn() {
        // Then nobody may extend them: take it away again
        if (hashAlg === 'null') return;
        world.queue.push(() =>
          world.step(
            TPM2_PCR_SetAuthPolicy,
            { authHandle: PLATFORM, authPolicy: NONE, hashAlg: 'null', pcrNum: 20 },
            { auth: [world.password(world.hierarchy(PLATFORM))] },
          ),
        );
      },
    },
  );
};

const setAuthValue: Generator = (world) => {
  const { random } = world;
  const handle = random.of(20, 21, 22, 3);
  const auth = random.chance(0.5) ? NONE : Buffer.concat([random.bytes(3), Buffer.of(4)]);
  return world.step(
    TPM2_PCR_SetAuthValue,
    { pcrHandle: handle, auth },
    {
      auth: [pcrAuth(world, handle)],
      learn() {
        world.pcrAuth = auth;
      },
    },
  );
};

// --- hierarchies ------------------------------------------------------------------------------------------------------

const control: Generator = (world) => {
  const { random } = world;
  const enable = random.of(OWNER, ENDORSEMENT, PLATFORM_NV, PLATFORM_NV);
  const authHandle = random.chance(0.9) ? PLATFORM : random.of(OWNER, ENDORSEMENT);
  const state = random.chance(0.5);
  return world.step(
    TPM2_HierarchyControl,
    { authHandle, enable, state },
    {
      auth: [world.password(world.hierarchy(authHandle))],
      learn() {
        if (state) return;
        if (enable !== PLATFORM_NV) world.forgetHierarchy(enable, false);
        // Else most of what follows would only be refused
        world.queue.push(() =>
          world.step(
            TPM2_HierarchyControl,
            { authHandle: PLATFORM, enable, state: true },
            { auth: [world.password(world.hierarchy(PLATFORM))] },
          ),
        );
      },
    },
  );
};

const setPrimaryPolicy: Generator = (world) => {
  const { random } = world;
  const authHandle = random.of(OWNER, ENDORSEMENT, PLATFORM, LOCKOUT);
  const hashAlg = random.of('null', ...HASHES);
  const size = hashAlg === 'null' ? 0 : digestInfo(hashAlg).size;
  const authPolicy = random.bytes(Math.max(0, size - (random.chance(0.05) ? 1 : 0)));
  return world.step(
    TPM2_SetPrimaryPolicy,
    { authHandle, authPolicy, hashAlg },
    {
      auth: [world.authorize(world.hierarchy(authHandle), TPM2_SetPrimaryPolicy)],
    },
  );
};

const changePps: Generator = (world) =>
  world.step(
    TPM2_ChangePPS,
    { authHandle: PLATFORM },
    {
      auth: [platform(world, TPM2_ChangePPS)],
      learn: () => world.forgetHierarchy(PLATFORM, true),
    },
  );

const changeEps: Generator = (world) =>
  world.step(
    TPM2_ChangeEPS,
    { authHandle: PLATFORM },
    {
      auth: [platform(world, TPM2_ChangeEPS)],
      learn() {
        world.forgetHierarchy(ENDORSEMENT, true);
        world.hierarchyAuth.delete(ENDORSEMENT);
      },
    },
  );

const clear: Generator = (world) => {
  const authHandle = world.random.of(PLATFORM, PLATFORM, LOCKOUT);
  return world.step(
    TPM2_Clear,
    { authHandle },
    {
      auth: [world.password(world.hierarchy(authHandle))],
      learn: () => world.clear(),
    },
  );
};

const clearControl: Generator = (world) => {
  const { random } = world;
  const auth = random.of(PLATFORM, PLATFORM, LOCKOUT);
  const disable = random.chance(0.5);
  return world.step(
    TPM2_ClearControl,
    { auth, disable },
    {
      auth: [world.authorize(world.hierarchy(auth), TPM2_ClearControl)],
      learn() {
        if (!disable || random.chance(0.2)) return;
        world.queue.push(() =>
          world.step(
            TPM2_ClearControl,
            { auth: PLATFORM, disable: false },
            { auth: [world.password(world.hierarchy(PLATFORM))] },
          ),
        );
      },
    },
  );
};

const changeAuth: Generator = (world) => {
  const { random } = world;
  const authHandle = random.of(OWNER, OWNER, ENDORSEMENT, PLATFORM, LOCKOUT);
  const newAuth = random.chance(0.5) ? NONE : Buffer.concat([random.bytes(random.of(3, 31, 63)), Buffer.of(3)]);
  const session = random.chance(0.4) ? world.hmacSession() : undefined;
  if (session !== undefined) world.dress(session, TPM2_HierarchyChangeAuth.encryptable);
  const { auth } = world.hierarchy(authHandle);
  const by: Authorization =
    session === undefined
      ? () => ({ password: auth })
      : (which) => ({ session: session.pair[which], authValue: auth, authValueAfter: newAuth });
  return world.step(
    TPM2_HierarchyChangeAuth,
    { authHandle, newAuth },
    {
      auth: [by],
      learn: () => world.hierarchyAuth.set(authHandle, newAuth),
    },
  );
};

// --- dictionary attack, management, clock -----------------------------------------------------------------------------

const lockReset: Generator = (world) =>
  world.step(
    TPM2_DictionaryAttackLockReset,
    { lockHandle: LOCKOUT },
    {
      auth: [world.password(world.hierarchy(LOCKOUT))],
    },
  );

const parameters: Generator = (world) => {
  const { random } = world;
  const request = {
    lockHandle: LOCKOUT,
    newMaxTries: random.of(5, 10, 32, 3),
    // Long enough that nothing is forgotten while the run lasts
    newRecoveryTime: random.of(10_000, 7_200_000, 0),
    lockoutRecovery: random.of(10_000, 86_400_000, 0),
  };
  return world.step(TPM2_DictionaryAttackParameters, request, { auth: [world.password(world.hierarchy(LOCKOUT))] });
};

const codes = Object.values(COMMANDS).map(({ code }) => code);

/** Without physical presence it is refused: the code is all there is to see. */
const ppCommands: Generator = (world) => {
  const { random } = world;
  const some = (): number[] => Array.from({ length: random.int(3) }, () => random.pick(codes) ?? 0);
  return world.step(
    TPM2_PP_Commands,
    { auth: PLATFORM, setList: some(), clearList: some() },
    { auth: [platform(world, TPM2_PP_Commands)] },
  );
};

const algorithmSet: Generator = (world) =>
  world.step(
    TPM2_SetAlgorithmSet,
    { authHandle: PLATFORM, algorithmSet: world.random.int(4) },
    { auth: [platform(world, TPM2_SetAlgorithmSet)] },
  );

const clockSet: Generator = (world) => {
  const { random } = world;
  const auth = random.of(OWNER, PLATFORM);
  // Far ahead of what passes meanwhile, or behind, or beyond all
  const newTime = random.chance(0.05)
    ? 0xffff_0000_0000_0001n
    : random.chance(0.1)
      ? 0n
      : BigInt(1_000_000_000 + random.int(1_000_000)) + world.clock++ * 10_000_000_000n;
  return world.step(
    TPM2_ClockSet,
    { auth, newTime },
    { auth: [world.authorize(world.hierarchy(auth), TPM2_ClockSet)] },
  );
};

const clockRateAdjust: Generator = (world) => {
  const { random } = world;
  const auth = random.of(OWNER, PLATFORM);
  const rateAdjust = random.of(
    'coarse_slower',
    'medium_slower',
    'fine_slower',
    'none',
    'fine_faster',
    'medium_faster',
    'coarse_faster',
  );
  return world.step(
    TPM2_ClockRateAdjust,
    { auth, rateAdjust },
    { auth: [world.authorize(world.hierarchy(auth), TPM2_ClockRateAdjust)] },
  );
};

// --- capabilities -----------------------------------------------------------------------------------------------------

const capability: Generator = (world) => {
  const { random } = world;
  const propertyCount = random.of(1, 3, 10, 127, 254, 0);
  const [name, property] = random.of(
    ['algs', random.int(80)],
    [
      'handles',
      random.of(
        0,
        0x01000000,
        0x01000004,
        0x02000000,
        0x03000000,
        0x40000000,
        0x4000000a,
        0x80000000,
        0x80000001,
        0x81000000,
        0x81800000,
        0x90000000,
      ),
    ],
    ['commands', random.of(0, 0x11f, 0x150, 0x197, 0x198, 0x20000000)],
    ['pp_commands', random.of(0, 0x12d, 0x12e)],
    ['audit_commands', random.of(0, 0x140, 0x150)],
    ['pcrs', random.of(0, 0, 0, 1)],
    ['tpm_properties', random.of(0, 0x100 + random.int(64), TPM_PT.PERMANENT, 0x200 + random.int(32), 0x300)],
    ['tpm_properties', 0x200 + random.int(32)],
    ['pcr_properties', random.int(24)],
    ['ecc_curves', random.of(0, 1, 3, 5, 16, 32, 33)],
    ['auth_policies', random.of(0x40000000, 0x4000000a, 0x4000000c, 0)],
    ['act', random.of(0x40000110, 0x4000011f, 0x40000120, 0)],
  );
  return world.step(TPM2_GetCapability, { capability: name, property, propertyCount });
};

const testParms: Generator = (world) => {
  const { random } = world;
  const { area } = template(random, {
    type: random.of('rsa', 'ecc', 'keyedhash', 'symcipher'),
    keyBits: random.of(1024, 2048, 3072, 4096, 512),
  });
  return world.step(TPM2_TestParms, { parameters: area });
};

export const platformGenerators: Generators = {
  TPM2_Startup: startup,
  TPM2_Shutdown: shutdown,
  TPM2_SelfTest: (world) => world.step(TPM2_SelfTest, { fullTest: world.random.chance(0.02) }),
  TPM2_IncrementalSelfTest: incrementalSelfTest,
  TPM2_GetTestResult: (world) => world.step(TPM2_GetTestResult, {}),
  TPM2_PCR_Extend: extend,
  TPM2_PCR_Event: event,
  TPM2_PCR_Read: read,
  TPM2_PCR_Reset: reset,
  TPM2_PCR_Allocate: allocate,
  TPM2_PCR_SetAuthPolicy: setAuthPolicy,
  TPM2_PCR_SetAuthValue: setAuthValue,
  TPM2_HierarchyControl: control,
  TPM2_SetPrimaryPolicy: setPrimaryPolicy,
  TPM2_ChangePPS: changePps,
  TPM2_ChangeEPS: changeEps,
  TPM2_Clear: clear,
  TPM2_ClearControl: clearControl,
  TPM2_HierarchyChangeAuth: changeAuth,
  TPM2_DictionaryAttackLockReset: lockReset,
  TPM2_DictionaryAttackParameters: parameters,
  TPM2_PP_Commands: ppCommands,
  TPM2_SetAlgorithmSet: algorithmSet,
  TPM2_ReadClock: (world) => world.step(TPM2_ReadClock, {}),
  TPM2_ClockSet: clockSet,
  TPM2_ClockRateAdjust: clockRateAdjust,
  TPM2_GetCapability: capability,
  TPM2_TestParms: testParms,
};
