/** From command bytes to response bytes: the general actions of Part 3, 5 (Part 4, ExecCommand.c). */
import {
  type AnyCommand,
  assembleResponse,
  authorizationArea,
  errorResponse,
  inField,
  type OpenedCommand,
  openCommand,
  readCommandHandles,
  readParameters,
  responseBody,
  TPM_RC,
  TpmParseError,
} from '../../tpm/index.ts';
import { requireNoAuthorization, useSessions } from './command-sessions.ts';
import { selfHeal } from './dictionary-attack.ts';
import { entity, loadEntities } from './entities.ts';
import { HANDLERS } from './handlers.ts';
import { MAX_COMMAND_SIZE } from './limits.ts';
import type { Machine } from './machine.ts';
import { decryptFirst } from './parameter-encryption.ts';
import { PROFILE } from './profile.ts';
import { numberedRc, Refusal, refuse } from './refusal.ts';
import { answerSessions } from './response-sessions.ts';
import type { CommandContext, Use } from './session-use.ts';

/** Total: any bytes give a response. */
export function executeCommand(machine: Machine, bytes: Uint8Array, locality: number): Uint8Array<ArrayBuffer> {
  if (bytes.length > MAX_COMMAND_SIZE) return errorResponse(TPM_RC.COMMAND_SIZE);
  machine.tick();
  if (machine.volatile.isStarted) selfHeal(machine);
  try {
    return execute(machine, openCommand(bytes, PROFILE), locality);
  } catch (error) {
    return errorResponse(rcOf(error));
  } finally {
    machine.evicted.clear();
  }
}

function rcOf(error: unknown): number {
  const placed = inField(error, 'command');
  if (placed instanceof TpmParseError || placed instanceof Refusal) return placed.rc;
  // A defect of ours: the specification's answer for what it did not foresee (Part 3, 5.1), with the machine unhurt
  return TPM_RC.FAILURE;
}

function execute(machine: Machine, opened: OpenedCommand, locality: number): Uint8Array<ArrayBuffer> {
  const { command, reader } = opened;
  const handler = HANDLERS.get(command.code) ?? refuse('COMMAND_CODE');
  if (machine.volatile.isStarted === (command.name === 'TPM2_Startup')) refuse('INITIALIZE');
  const { handleValues, handles } = readCommandHandles(opened);
  loadEntities(machine, command, handles);
  const names = handles.map((handle) => entity(machine, handle).name);
  const area = opened.hasAuthorizations ? authorizationArea(reader) : undefined;
  const context: CommandContext = { command, handles, names, parameters: reader.rest(), locality };
  const uses = area === undefined ? [] : useSessions(machine, area, context);
  if (area === undefined) requireNoAuthorization(command);
  const parameters = decryptFirst(machine, uses, context.parameters);
  const request = { ...handleValues, ...readParameters(command, parameters, 0, PROFILE) };
  return answer(
    machine,
    uses,
    context,
    act(command, () => handler(machine, request, { locality })),
  );
}

function answer(
  machine: Machine,
  uses: readonly Use[],
  context: CommandContext,
  response: object,
): Uint8Array<ArrayBuffer> {
  const { handles, parameters: plain } = responseBody(context.command, response);
  const { parameters, authorizations } = answerSessions(machine, uses, context, plain);
  return assembleResponse({ handles, parameters }, authorizations);
}

/** Runs the action; gives its refusal the number of the field that it names. */
function act(command: AnyCommand, action: () => object): object {
  try {
    return action();
  } catch (error) {
    throw error instanceof Refusal ? new Refusal(numberedRc(command, error)) : error;
  }
}
