/** How a command's actions say no: a response code and the field that it is about. */
import { type AnyCommand, inField, type ResponseCodeName, rcWith, TPM_RC, TpmParseError } from '../../tpm/index.ts';

/** Raised within the engine only; `execute` answers with its response code. */
export class Refusal extends Error {
  readonly rc: number;
  /** A handle or parameter of the command, by its declared name. */
  readonly field: string | undefined;

  constructor(rc: number, field?: string) {
    super(`TPM_RC 0x${rc.toString(16)}`);
    this.rc = rc;
    this.field = field;
  }
}

/** Ends the command. @param field the handle or parameter at fault: its number goes into a format-one code */
export function refuse(name: ResponseCodeName, field?: string): never {
  throw new Refusal(TPM_RC[name], field);
}

/** Runs an action whose refusals are about `field` where they name none. */
export function about<T>(field: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof Refusal && error.field === undefined ? new Refusal(error.rc, field) : error;
  }
}

/** Runs an action of whose refusals the caller shall learn no more than this. */
export function refusedAs<T>(name: ResponseCodeName, field: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof Refusal ? new Refusal(TPM_RC[name], field) : error;
  }
}

/** A structure inside a buffer is refused as the parameter that holds it would be. */
export function unmarshal<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const placed = inField(error, field);
    throw placed instanceof TpmParseError ? new Refusal(placed.rc, field) : error;
  }
}

/** The response code with the number of the handle or parameter that `field` names (Part 1, 39.4). */
export function numberedRc(command: AnyCommand, { rc, field }: Refusal): number {
  if (field === undefined) return rc;
  const handle = command.handles.findIndex(({ name }) => name === field);
  if (handle >= 0) return rcWith(rc, { kind: 'handle', number: handle + 1 });
  const parameter = command.requestParameters.fields.findIndex(([name]) => name === field);
  return parameter >= 0 ? rcWith(rc, { kind: 'parameter', number: parameter + 1 }) : rc;
}
