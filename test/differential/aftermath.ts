/** What a command has done that was changed on its way: it is known no more, and tidied up. */
import {
  COMMANDS,
  commandByCode,
  handleType,
  splitCommand,
  splitResponse,
  TPM_HT,
  TPM_RH,
  TPM2_HierarchyControl,
  TPM2_NV_ReadPublic,
  TPM2_NV_UndefineSpace,
  TPM2_PCR_SetAuthPolicy,
} from '../../src/tpm/index.ts';
import { start } from './generators/platform.ts';
import { flush } from './generators/slots.ts';
import type { Pair } from './sides.ts';
import type { World } from './world.ts';

const NONE = new Uint8Array(0);
const { PLATFORM, PLATFORM_NV, OWNER, ENDORSEMENT } = TPM_RH;

/** @returns false where nothing is known any more: a new pair of TPMs has to begin */
export function aftermath(world: World, sent: Pair<Uint8Array>, responses: Pair<Uint8Array>): boolean {
  const { command, handles } = splitCommand(sent[0]);
  takeNonces(world, sent, responses);
  const response = Buffer.from(responses[0]);
  if (command.responseHandles.fields.length > 0) {
    const handle = response.readUInt32BE(10);
    world.queue.unshift(() => flush(world, handle));
  }
  for (const handle of handles) {
    if (handleType(handle) === TPM_HT.NV_INDEX) refresh(world, handle);
    else markSession(world, handle);
  }
  return afterCommand(world, command.name, handles, sent[0]);
}

/** Whatever it was told, it is another policy than was meant. */
function markSession(world: World, handle: number): void {
  const known = world.sessions.find((one) => one.handle === handle);
  if (known !== undefined) known.asserted = [...known.asserted, { kind: 'other' }];
}

function refresh(world: World, nvIndex: number): void {
  const known = world.indices.find(({ handle }) => handle === nvIndex);
  if (known === undefined) return;
  world.queue.unshift(() =>
    world.step(
      TPM2_NV_ReadPublic,
      { nvIndex },
      {
        learn(responses) {
          known.area = responses[0].nvPublic;
        },
      },
    ),
  );
}

/** Sessions go on from the nonces that came; those that ended are gone. */
function takeNonces(world: World, sent: Pair<Uint8Array>, responses: Pair<Uint8Array>): void {
  for (const i of [0, 1] as const) {
    const { command, authorizations } = splitCommand(sent[i]);
    const answers = splitResponse(command, responses[i]).authorizations;
    for (const [position, { sessionHandle }] of authorizations.entries()) {
      const known = world.sessions.find(({ handle }) => handle === sessionHandle);
      const answer = answers[position];
      if (known === undefined || answer === undefined) continue;
      known.pair[i].nonceTPM = answer.nonce;
      if (known.type !== 'hmac') known.pair[i].policyAuth = 'none';
      if (known.type !== 'hmac') known.asserted = [];
      if (i === 1 && !answer.sessionAttributes.continueSession) world.forget(sessionHandle);
    }
  }
}

function afterCommand(world: World, name: string, handles: readonly number[], sent: Uint8Array): boolean {
  const [first = 0, second = 0] = handles;
  switch (name) {
    case 'TPM2_HierarchyChangeAuth':
    case 'TPM2_PCR_SetAuthValue':
    case 'TPM2_NV_ChangeAuth':
      return false;
    case 'TPM2_FlushContext':
      world.forget(Buffer.from(sent).readUInt32BE(10));
      return true;
    case 'TPM2_ContextSave':
      if (handleType(first) !== TPM_HT.TRANSIENT) world.forget(first);
      return true;
    case 'TPM2_SequenceComplete':
      world.forget(first);
      return true;
    case 'TPM2_EventSequenceComplete':
    case 'TPM2_NV_UndefineSpace':
      world.forget(second);
      return true;
    case 'TPM2_NV_UndefineSpaceSpecial':
      world.forget(first);
      return true;
    case 'TPM2_EvictControl':
      world.forget(handleType(second) === TPM_HT.PERSISTENT ? second : 0);
      return handleType(second) === TPM_HT.PERSISTENT;
    case 'TPM2_NV_DefineSpace': {
      // Its number is in the first field of the last parameter
      const nvIndex = indexDefinedBy(sent);
      const authHandle = first;
      world.queue.unshift(() =>
        world.step(
          TPM2_NV_UndefineSpace,
          { authHandle, nvIndex },
          { auth: [world.password(world.hierarchy(authHandle))] },
        ),
      );
      return true;
    }
    case 'TPM2_Clear':
      world.clear();
      return true;
    case 'TPM2_ChangePPS':
      world.forgetHierarchy(PLATFORM, true);
      return true;
    case 'TPM2_ChangeEPS':
      world.forgetHierarchy(ENDORSEMENT, true);
      world.hierarchyAuth.delete(ENDORSEMENT);
      return true;
    case 'TPM2_HierarchyControl':
      for (const enable of [OWNER, ENDORSEMENT, PLATFORM_NV]) enableAgain(world, enable);
      return true;
    case 'TPM2_PCR_SetAuthPolicy':
      world.queue.unshift(() => {
        const request = { authHandle: PLATFORM, authPolicy: NONE, hashAlg: 'null', pcrNum: 20 } as const;
        return world.step(TPM2_PCR_SetAuthPolicy, request, { auth: [world.password(world.hierarchy(PLATFORM))] });
      });
      return true;
    case 'TPM2_PCR_Allocate':
      world.queue.unshift(() => start(world, 'clear'));
      return true;
    default:
      return true;
  }
}

/** Those that were off took their objects with them. */
function enableAgain(world: World, enable: number): void {
  world.queue.unshift(() =>
    world.step(
      TPM2_HierarchyControl,
      { authHandle: PLATFORM, enable, state: true },
      {
        auth: [world.password(world.hierarchy(PLATFORM))],
      },
    ),
  );
}

function indexDefinedBy(sent: Uint8Array): number {
  const { parameters } = splitCommand(sent);
  const view = Buffer.from(parameters);
  const authSize = view.readUInt16BE(0);
  return view.readUInt32BE(2 + authSize + 2);
}

/** The command that was really sent; undefined where there is none of this code. */
export function sentName(command: Uint8Array): string {
  const code = command.length < 10 ? 0 : Buffer.from(command).readUInt32BE(6);
  return commandByCode(code)?.name ?? 'none';
}

export const COMMAND_NAMES: readonly string[] = Object.keys(COMMANDS);
