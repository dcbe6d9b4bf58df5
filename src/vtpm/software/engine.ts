/** From command bytes to response bytes: the general actions of Part 3, 5 (Part 4, ExecCommand.c). */
import {
  type AnyCommand,
  assembleResponse,
  errorResponse,
  readParameters,
  responseBody,
  type SplitCommand,
  splitCommand,
  TPM_RC,
  TpmParseError,
} from '../../tpm/index.ts';
import { answerSessions, authorize, type CommandContext } from './authorization.ts';
import { checkLoaded, entity } from './entities.ts';
import { HANDLERS } from './handlers.ts';
import { MAX_COMMAND_SIZE } from './limits.ts';
import type { Machine } from './machine.ts';
import { numberedRc, Refusal } from './refusal.ts';

/** Total: any bytes give a response. */
export function executeCommand(machine: Machine, bytes: Uint8Array, locality: number): Uint8Array<ArrayBuffer> {
  if (bytes.length > MAX_COMMAND_SIZE) return errorResponse(TPM_RC.COMMAND_SIZE);
  try {
    const split = splitCommand(bytes);
    return executeSplit(machine, split, locality);
  } catch (error) {
    return errorResponse(rcOf(error));
  }
}

function rcOf(error: unknown): number {
  if (error instanceof TpmParseError || error instanceof Refusal) return error.rc;
  // A defect of ours: the specification's answer for what it did not foresee (Part 3, 5.1), with the machine unhurt
  return TPM_RC.FAILURE;
}

function executeSplit(machine: Machine, split: SplitCommand, locality: number): Uint8Array<ArrayBuffer> {
  const { command, handles } = split;
  const handler = HANDLERS.get(command.code);
  if (handler === undefined) throw new Refusal(TPM_RC.COMMAND_CODE);
  if (machine.volatile.isStarted === (command.name === 'TPM2_Startup')) throw new Refusal(TPM_RC.INITIALIZE);
  for (const [position, handle] of handles.entries()) checkLoaded(machine, handle, position);
  const names = handles.map((handle) => entity(machine, handle).name);
  const context: CommandContext = { command, handles, names, parameters: split.parameters, locality };
  const { uses, parameters } = authorize(machine, split, context);
  const request = { ...split.handleValues, ...readParameters(command, parameters) };
  const response = act(machine, command, () => handler(machine, request, { locality }));
  const body = responseBody(command, response);
  if (uses.length === 0) return assembleResponse(body);
  const answered = answerSessions(machine, uses, context, body.parameters);
  return assembleResponse({ handles: body.handles, parameters: answered.parameters }, answered.authorizations);
}

/** Runs the action; gives its refusal the number of the field that it names. */
function act(machine: Machine, command: AnyCommand, action: () => object): object {
  try {
    const response = action();
    if (command.name !== 'TPM2_Shutdown' && machine.permanent.orderly !== 'none') {
      machine.permanent.orderly = 'none'; // Part 3, 9.4: any later command makes the shutdown disorderly
      machine.changed();
    }
    return response;
  } catch (error) {
    throw error instanceof Refusal ? new Refusal(numberedRc(command, error)) : error;
  }
}
