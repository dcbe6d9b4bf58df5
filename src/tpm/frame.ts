/**
 * Commands and responses as bytes (TPM 2.0 Part 1, 18; Part 3, 5): header, handles, authorizations, parameters.
 *
 * In three steps each way, because sessions come between: `commandBody` marshals handles and parameters (a session then
 * encrypts the first parameter in `body.parameters` and computes cpHash over it), `assembleCommand` puts them together.
 * A TPM opens them with `openCommand` and reads on in the order in which it checks: `readCommandHandles`,
 * `authorizationArea` and `readAuthorization`, then, decrypted, `readParameters`. `splitCommand` does all but the last.
 * `marshalCommand`, `unmarshalCommand`, `marshalResponse`, `unmarshalResponse` do it all at once.
 */
import { ByteReader, ByteWriter } from '../bytes/index.ts';
import { TPMA_SESSION } from './attributes.ts';
import { TPM2B_AUTH, TPM2B_NONCE } from './buffers.ts';
import { encode, type Profile, ProfiledReader, reject, type StructCodec, struct, type TypeOf } from './codec.ts';
import type { AnyCommand, Command } from './command.ts';
import { commandByCode } from './command-table.ts';
import { TPM_ST, TPMI_SH_AUTH_SESSION } from './constants.ts';
import { inField, TpmParseError, withRc } from './errors.ts';
import { type ResponseSubject, rcWith, responseError, TPM_RC } from './response-codes.ts';

/** One authorization of a command (Part 2, 10.13.2). */
export const TPMS_AUTH_COMMAND = struct('TPMS_AUTH_COMMAND', {
  sessionHandle: TPMI_SH_AUTH_SESSION,
  nonce: TPM2B_NONCE,
  sessionAttributes: TPMA_SESSION,
  hmac: TPM2B_AUTH,
});
export type TPMS_AUTH_COMMAND = TypeOf<typeof TPMS_AUTH_COMMAND>;

/** One authorization of a response (Part 2, 10.13.3). */
export const TPMS_AUTH_RESPONSE = struct('TPMS_AUTH_RESPONSE', {
  nonce: TPM2B_NONCE,
  sessionAttributes: TPMA_SESSION,
  hmac: TPM2B_AUTH,
});
export type TPMS_AUTH_RESPONSE = TypeOf<typeof TPMS_AUTH_RESPONSE>;

/** Tag, size, code. */
export const HEADER_SIZE = 10;
/** Part 1, 18.3: at most three sessions in one command. */
export const MAX_SESSIONS = 3;

const TAGS: readonly number[] = [TPM_ST.NO_SESSIONS, TPM_ST.SESSIONS];

// --- commands ---------------------------------------------------------------------------------------------------------

export interface CommandBody {
  readonly code: number;
  readonly handles: readonly number[];
  readonly parameters: Uint8Array;
}

/** Handles and parameters of a request, marshalled. @throws {TpmError} `tpm.argument` naming the field that does not fit */
export function commandBody<H extends object, P extends object, RH extends object, RP extends object>(
  command: Command<H, P, RH, RP>,
  request: H & P,
): CommandBody {
  const handles = readHandles(new ByteReader(encode(command.requestHandles, request)));
  return { code: command.code, handles, parameters: encode(command.requestParameters, request) };
}

function readHandles(reader: ByteReader): number[] {
  const handles: number[] = [];
  while (reader.remaining > 0) handles.push(reader.u32be('handle'));
  return handles;
}

/** The whole command; its tag says whether there are authorizations. */
export function assembleCommand(
  body: CommandBody,
  authorizations: readonly TPMS_AUTH_COMMAND[] = [],
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(HEADER_SIZE + body.parameters.length + 128);
  writer.u16be(authorizations.length > 0 ? TPM_ST.SESSIONS : TPM_ST.NO_SESSIONS);
  writer.u32be(0).u32be(body.code);
  for (const handle of body.handles) writer.u32be(handle);
  if (authorizations.length > 0) {
    const sizeAt = writer.length;
    writer.u32be(0);
    for (const authorization of authorizations) TPMS_AUTH_COMMAND.write(writer, authorization);
    writer.patchU32be(sizeAt, writer.length - sizeAt - 4);
  }
  writer.bytes(body.parameters);
  return writer.patchU32be(2, writer.length).finish();
}

export function marshalCommand<H extends object, P extends object, RH extends object, RP extends object>(
  command: Command<H, P, RH, RP>,
  request: H & P,
  authorizations: readonly TPMS_AUTH_COMMAND[] = [],
): Uint8Array<ArrayBuffer> {
  return assembleCommand(commandBody(command, request), authorizations);
}

export interface SplitCommand extends CommandBody {
  readonly command: AnyCommand;
  /** The handles by name, each within its type. */
  readonly handleValues: object;
  readonly authorizations: readonly TPMS_AUTH_COMMAND[];
  /** Offset of the parameters in the command, for errors. */
  readonly parametersAt: number;
}

/**
 * Takes a command apart as a TPM must, up to the parameters, which stay bytes (they may be encrypted).
 * @throws {TpmParseError} whose `rc` is the response code to answer, with its handle or session number
 */
export function splitCommand(bytes: Uint8Array): SplitCommand {
  try {
    return readCommand(new ByteReader(bytes));
  } catch (error) {
    throw inFrame(error, 'command');
  }
}

/** Names the frame in an error of its own; an error within a structure names its command already. */
function inFrame(error: unknown, frame: string): unknown {
  return error instanceof TpmParseError && error.path.length > 0 ? error : inField(error, frame);
}

function readCommand(reader: ByteReader): SplitCommand {
  const opened = readOpening(reader);
  const { command } = opened;
  const { handleValues, handles } = readCommandHandles(opened);
  const authorizations = opened.hasAuthorizations ? readAuthorizations(authorizationArea(reader)) : [];
  const parametersAt = reader.offset;
  const parameters = new Uint8Array(reader.rest());
  return { command, code: command.code, handleValues, handles, authorizations, parameters, parametersAt };
}

/** A command of which the header has been read. */
export interface OpenedCommand {
  readonly command: AnyCommand;
  /** What the tag says. */
  readonly hasAuthorizations: boolean;
  /** At the handles. */
  readonly reader: ByteReader;
}

/**
 * Reads tag, size and code, and leaves the rest to be read as the TPM of `profile` does.
 * @throws {TpmParseError} with the response code to answer
 */
export function openCommand(bytes: Uint8Array, profile: Profile): OpenedCommand {
  try {
    return readOpening(new ProfiledReader(bytes, profile));
  } catch (error) {
    throw inFrame(error, 'command');
  }
}

function readOpening(reader: ByteReader): OpenedCommand {
  const { tag, code } = readCommandHeader(reader);
  const command = commandByCode(code);
  if (command === undefined) {
    return reject(reader, 'parse.unknown-value', `0x${code.toString(16)} is no command`, TPM_RC.COMMAND_CODE, 6);
  }
  return { command, hasAuthorizations: tag === TPM_ST.SESSIONS, reader };
}

/** The handles, by name and in order. @throws {TpmParseError} whose `rc` has the handle's number */
export function readCommandHandles({ command, reader }: OpenedCommand): {
  readonly handleValues: object;
  readonly handles: readonly number[];
} {
  const handleValues = readNumbered(reader, command.requestHandles, 'handle');
  return { handleValues, handles: readHandles(new ByteReader(encode(command.requestHandles, handleValues))) };
}

function readCommandHeader(reader: ByteReader): { tag: number; code: number } {
  const length = reader.remaining;
  if (length < HEADER_SIZE) {
    reject(reader, 'parse.truncated', `${length} bytes are no command`, TPM_RC.COMMAND_SIZE);
  }
  const tag = reader.u16be('tag');
  if (!TAGS.includes(tag)) reject(reader, 'parse.unknown-value', `tag 0x${tag.toString(16)}`, TPM_RC.BAD_TAG, 0);
  const size = reader.u32be('commandSize');
  if (size !== length) {
    reject(reader, 'parse.invalid', `commandSize ${size}, ${length} bytes came`, TPM_RC.COMMAND_SIZE, 2);
  }
  return { tag, code: reader.u32be('commandCode') };
}

/** The authorizations of a command whose handles have been read. @throws {TpmParseError} TPM_RC_SIZE */
export function authorizationArea(reader: ByteReader): ByteReader {
  const start = reader.offset;
  const size = reader.u32be('authorizationSize');
  // The smallest authorization: a handle, two empty buffers and the attributes
  if (size < 9 || size > reader.remaining) {
    reject(reader, 'parse.invalid', `authorizationSize ${size}`, TPM_RC.SIZE, start); // libtpms: not AUTHSIZE
  }
  return reader.section(size, 'authorizations');
}

function readAuthorizations(area: ByteReader): TPMS_AUTH_COMMAND[] {
  const authorizations: TPMS_AUTH_COMMAND[] = [];
  while (area.remaining > 0) authorizations.push(readAuthorization(area, authorizations.length + 1));
  return authorizations;
}

/** @param number counted from 1 @throws {TpmParseError} whose `rc` has the session's number */
export function readAuthorization(area: ByteReader, number: number): TPMS_AUTH_COMMAND {
  if (number > MAX_SESSIONS) {
    const rc = rcWith(TPM_RC.SIZE, { kind: 'session', number });
    reject(area, 'parse.too-large', `more than ${MAX_SESSIONS} sessions`, rc);
  }
  try {
    return TPMS_AUTH_COMMAND.read(area);
  } catch (error) {
    throw numbered(inField(error, `session ${number}`), { kind: 'session', number });
  }
}

/** Reads all of `parameters`. @throws {TpmParseError} whose `rc` has the parameter's number; TPM_RC_SIZE for bytes left over */
export function readParameters<P extends object>(
  command: { readonly requestParameters: StructCodec<P>; readonly name: string },
  parameters: Uint8Array,
  parametersAt = 0,
  profile?: Profile,
): P {
  const reader =
    profile === undefined
      ? new ByteReader(parameters, parametersAt)
      : new ProfiledReader(parameters, profile, parametersAt);
  const values = readNumbered(reader, command.requestParameters, 'parameter');
  if (reader.remaining > 0) {
    throw new TpmParseError(
      'parse.trailing',
      [command.name],
      reader.offset,
      `${reader.remaining} bytes left over`,
      TPM_RC.SIZE,
    );
  }
  return values;
}

function readNumbered<T>(reader: ByteReader, codec: StructCodec<T>, kind: 'handle' | 'parameter'): T {
  try {
    return codec.read(reader);
  } catch (error) {
    const field = error instanceof TpmParseError ? error.path[0] : undefined;
    const number = codec.fields.findIndex(([name]) => name === field) + 1;
    throw inField(numbered(error, { kind, number }), codec.name);
  }
}

function numbered(error: unknown, subject: ResponseSubject): unknown {
  return error instanceof TpmParseError ? withRc(error, rcWith(error.rc, subject)) : error;
}

export interface UnmarshalledCommand {
  readonly command: AnyCommand;
  /** Handles and parameters by name; `unmarshalRequest` types it. */
  readonly request: object;
  readonly handles: readonly number[];
  readonly authorizations: readonly TPMS_AUTH_COMMAND[];
}

/** A whole command whose parameters are not encrypted. @throws {TpmParseError} with the response code to answer */
export function unmarshalCommand(bytes: Uint8Array): UnmarshalledCommand {
  const { command, handleValues, handles, authorizations, parameters, parametersAt } = splitCommand(bytes);
  const request = { ...handleValues, ...readParameters(command, parameters, parametersAt) };
  return { command, request, handles, authorizations };
}

/** As {@link unmarshalCommand} for a command that is known, with its request typed. */
export function unmarshalRequest<H extends object, P extends object, RH extends object, RP extends object>(
  command: Command<H, P, RH, RP>,
  split: CommandBody,
): H & P {
  const area = new ByteWriter();
  for (const handle of split.handles) area.u32be(handle);
  const handles = readNumbered(new ByteReader(area.finish()), command.requestHandles, 'handle');
  return { ...handles, ...readParameters(command, split.parameters) };
}

// --- responses --------------------------------------------------------------------------------------------------------

export interface ResponseBody {
  readonly handles: readonly number[];
  readonly parameters: Uint8Array;
}

export function responseBody<H extends object, P extends object, RH extends object, RP extends object>(
  command: Command<H, P, RH, RP>,
  response: RH & RP,
): ResponseBody {
  const handles = readHandles(new ByteReader(encode(command.responseHandles, response)));
  return { handles, parameters: encode(command.responseParameters, response) };
}

/** A successful response; with authorizations it carries a parameterSize (Part 1, 18.5). */
export function assembleResponse(
  body: ResponseBody,
  authorizations: readonly TPMS_AUTH_RESPONSE[] = [],
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(HEADER_SIZE + body.parameters.length + 128);
  writer.u16be(authorizations.length > 0 ? TPM_ST.SESSIONS : TPM_ST.NO_SESSIONS);
  writer.u32be(0).u32be(TPM_RC.SUCCESS);
  for (const handle of body.handles) writer.u32be(handle);
  if (authorizations.length > 0) writer.u32be(body.parameters.length);
  writer.bytes(body.parameters);
  for (const authorization of authorizations) TPMS_AUTH_RESPONSE.write(writer, authorization);
  return writer.patchU32be(2, writer.length).finish();
}

export function marshalResponse<H extends object, P extends object, RH extends object, RP extends object>(
  command: Command<H, P, RH, RP>,
  response: RH & RP,
  authorizations: readonly TPMS_AUTH_RESPONSE[] = [],
): Uint8Array<ArrayBuffer> {
  return assembleResponse(responseBody(command, response), authorizations);
}

/** The ten bytes that say no. TPM_RC_BAD_TAG goes out under TPM 1.2's tag (Part 3, 5.2). */
export function errorResponse(rc: number): Uint8Array<ArrayBuffer> {
  const tag = rc === TPM_RC.BAD_TAG ? TPM_ST.RSP_COMMAND : TPM_ST.NO_SESSIONS;
  return new ByteWriter(HEADER_SIZE).u16be(tag).u32be(HEADER_SIZE).u32be(rc).finish();
}

export interface SplitResponse<RH> extends ResponseBody {
  readonly handleValues: RH;
  readonly authorizations: readonly TPMS_AUTH_RESPONSE[];
}

/**
 * Takes a response apart up to the parameters, which stay bytes: sessions check the HMAC over them, then decrypt.
 * @throws {TpmError} `tpm.response` where the TPM answered with an error
 * @throws {TpmParseError} for bytes that are no response to this command
 */
export function splitResponse<H extends object, P extends object, RH extends object, RP extends object>(
  command: Command<H, P, RH, RP>,
  bytes: Uint8Array,
): SplitResponse<RH> {
  try {
    return readResponse(command, new ByteReader(bytes));
  } catch (error) {
    throw inField(error, `${command.name} response`);
  }
}

function readResponse<H extends object, P extends object, RH extends object, RP extends object>(
  command: Command<H, P, RH, RP>,
  reader: ByteReader,
): SplitResponse<RH> {
  const tag = readResponseHeader(command.name, reader);
  const handleValues = command.responseHandles.read(reader);
  const handles = readHandles(new ByteReader(encode(command.responseHandles, handleValues)));
  if (tag === TPM_ST.NO_SESSIONS) {
    return { handles, handleValues, parameters: new Uint8Array(reader.rest()), authorizations: [] };
  }
  const size = reader.u32be('parameterSize');
  const parameters = new Uint8Array(reader.bytes(size, 'parameters'));
  const authorizations: TPMS_AUTH_RESPONSE[] = [];
  while (reader.remaining > 0) {
    if (authorizations.length === MAX_SESSIONS) {
      reject(reader, 'parse.too-large', `more than ${MAX_SESSIONS} sessions`, TPM_RC.SIZE);
    }
    authorizations.push(TPMS_AUTH_RESPONSE.read(reader));
  }
  return { handles, handleValues, parameters, authorizations };
}

function readResponseHeader(name: string, reader: ByteReader): number {
  const length = reader.remaining;
  const tag = reader.u16be('tag');
  const size = reader.u32be('responseSize');
  const rc = reader.u32be('responseCode');
  if (size !== length) {
    reject(reader, 'parse.invalid', `responseSize ${size}, ${length} bytes came`, TPM_RC.SIZE, 2);
  }
  if (rc !== TPM_RC.SUCCESS) throw responseError(name, rc);
  if (!TAGS.includes(tag)) reject(reader, 'parse.unknown-value', `tag 0x${tag.toString(16)}`, TPM_RC.TAG, 0);
  return tag;
}

/** @throws {TpmParseError} where the parameters are not this command's, bytes left over included */
export function readResponseParameters<RP extends object>(
  command: { readonly responseParameters: StructCodec<RP>; readonly name: string },
  parameters: Uint8Array,
): RP {
  const reader = new ByteReader(parameters);
  try {
    const values = command.responseParameters.read(reader);
    if (reader.remaining > 0) reject(reader, 'parse.trailing', `${reader.remaining} bytes left over`, TPM_RC.SIZE);
    return values;
  } catch (error) {
    throw inField(error, `${command.name} response`);
  }
}

/** A whole response whose parameters are not encrypted. Errors: see {@link splitResponse}. */
export function unmarshalResponse<H extends object, P extends object, RH extends object, RP extends object>(
  command: Command<H, P, RH, RP>,
  bytes: Uint8Array,
): { readonly response: RH & RP; readonly authorizations: readonly TPMS_AUTH_RESPONSE[] } {
  const { handleValues, parameters, authorizations } = splitResponse(command, bytes);
  return { response: { ...handleValues, ...readResponseParameters(command, parameters) }, authorizations };
}
