/**
 * swtpm's control channel (man swtpm_ioctls; swtpm's src/swtpm/ctrlchannel.c): a 32-bit number and a body, answered by a
 * 32-bit result and what was asked for. Big-endian throughout.
 *
 * A message is what came together, as swtpm reads it: one that has more than its command takes is refused where that has no
 * body, and half of one when the rest does not come.
 */
import { VtpmError } from '../error.ts';
import type { ConnectionReader, Served } from './connection.ts';
import { BUFFER_SIZES, isSwitched, type ServableTpm, type SwitchedTpm } from './servable-tpm.ts';
import type { Locality } from './swtpm-data.ts';
import {
  BLOB_TYPE,
  CAPABILITY,
  CMD,
  CONFIG_FLAG,
  INIT_FLAG_DELETE_VOLATILE,
  RESULT,
  STATE_FLAG,
  uint32s,
} from './swtpm-protocol.ts';

/** How long the rest of a message may take. */
const MESSAGE_MS = 500;
/** struct ptm_hdata, the largest body. */
const MAX_BODY = 4 + 4096;
const MAX_STATE = 512 * 1024;
const MAX_INFO = 3 * 1024;
const CHUNK = 4096;
/** In place of a number that came in half. */
const HALF = -1;

/** What is around the channel. */
export interface ControlChannel {
  readonly locality: Locality;
  readonly rejectsLocality4?: boolean;
  /** What CMD_GET_INFO tells, as JSON. */
  info?(flags: bigint): string;
  /** Serves commands on the descriptor that came with the message. @returns why not */
  setDataChannel?(): 'missing' | 'taken' | undefined;
  /** CMD_SHUTDOWN was answered. */
  shutDown?(): void;
  /** Why a command failed, which the channel tells as a number only. */
  onFailure?(error: unknown): void;
}

interface Request {
  readonly tpm: ServableTpm;
  readonly channel: ControlChannel;
  readonly body: Buffer;
  /** For bodies that go on. */
  readonly input: ConnectionReader;
}

type Action<R> = (request: R) => Buffer | Promise<Buffer>;

interface CommandBase {
  /** Bytes of the body that must be there. */
  readonly size: number;
  /** More may come behind them, and is ignored; where not said the body is all. */
  readonly isOpen?: boolean;
  /** Only with power, or only without. */
  readonly power?: 'on' | 'off';
  /** PTM_CAP_*. */
  readonly capability: number;
}

type Command = CommandBase &
  (
    | { readonly act: Action<Request> }
    /** Only where the TPM is switched from here. */
    | { readonly actSwitched: Action<Request & { readonly tpm: SwitchedTpm }> }
  );

const result = (code: number): Buffer => uint32s(code);
const SUCCESS = result(RESULT.SUCCESS);

/** Raised where a message is so wrong that the next one cannot be found. */
class LastAnswer extends Error {
  readonly code: number;

  constructor(code: number) {
    super();
    this.code = code;
  }
}

async function done(action: Promise<unknown> | unknown): Promise<Buffer> {
  await action;
  return SUCCESS;
}

const COMMANDS: Readonly<Record<number, Command>> = {
  [CMD.GET_CAPABILITY]: { capability: 0, size: 0, isOpen: true, act: getCapability },
  [CMD.INIT]: { capability: CAPABILITY.INIT, size: 4, act: init },
  [CMD.SHUTDOWN]: { capability: CAPABILITY.SHUTDOWN, size: 0, act: stop },
  [CMD.GET_TPMESTABLISHED]: { capability: CAPABILITY.GET_TPMESTABLISHED, size: 0, power: 'on', act: getEstablished },
  [CMD.SET_LOCALITY]: { capability: CAPABILITY.SET_LOCALITY, size: 1, isOpen: true, act: setLocality },
  [CMD.HASH_START]: { capability: CAPABILITY.HASHING, size: 0, power: 'on', act: ({ tpm }) => done(tpm.hashStart()) },
  [CMD.HASH_DATA]: { capability: CAPABILITY.HASHING, size: 4, isOpen: true, power: 'on', act: hashData },
  [CMD.HASH_END]: { capability: CAPABILITY.HASHING, size: 0, power: 'on', act: ({ tpm }) => done(tpm.hashEnd()) },
  // A command is over before anything else is looked at: there is none to cancel
  [CMD.CANCEL_TPM_CMD]: { capability: CAPABILITY.CANCEL_TPM_CMD, size: 0, power: 'on', act: () => SUCCESS },
  [CMD.STORE_VOLATILE]: {
    capability: CAPABILITY.STORE_VOLATILE,
    size: 0,
    power: 'on',
    actSwitched: ({ tpm }) => done(tpm.storeVolatile()),
  },
  [CMD.RESET_TPMESTABLISHED]: {
    capability: CAPABILITY.RESET_TPMESTABLISHED,
    size: 1,
    isOpen: true,
    power: 'on',
    act: ({ tpm, body }) => result(tpm.resetEstablished(body.readUInt8()) ? RESULT.SUCCESS : RESULT.BAD_LOCALITY),
  },
  [CMD.GET_STATEBLOB]: {
    capability: CAPABILITY.GET_STATEBLOB,
    size: 12,
    isOpen: true,
    power: 'on',
    actSwitched: getStateBlob,
  },
  [CMD.SET_STATEBLOB]: {
    capability: CAPABILITY.SET_STATEBLOB,
    size: 12,
    isOpen: true,
    power: 'off',
    actSwitched: setStateBlob,
  },
  [CMD.STOP]: { capability: CAPABILITY.STOP, size: 0, act: stop },
  [CMD.GET_CONFIG]: { capability: CAPABILITY.GET_CONFIG, size: 0, act: getConfig },
  [CMD.SET_DATAFD]: { capability: CAPABILITY.SET_DATAFD, size: 0, isOpen: true, act: setDataFd },
  [CMD.SET_BUFFERSIZE]: { capability: CAPABILITY.SET_BUFFERSIZE, size: 4, isOpen: true, act: setBufferSize },
  [CMD.GET_INFO]: { capability: CAPABILITY.GET_INFO, size: 16, isOpen: true, act: getInfo },
  [CMD.LOCK_STORAGE]: {
    capability: CAPABILITY.LOCK_STORAGE,
    size: 4,
    isOpen: true,
    actSwitched: ({ tpm, body }) => done(tpm.lockStore(body.readUInt32BE())),
  },
};

/** Bodies that go on beyond what is read at once. */
const STREAMS: readonly number[] = [CMD.HASH_DATA, CMD.SET_STATEBLOB];

export async function serveSwtpmControl({ input, send, tpm }: Served, channel: ControlChannel): Promise<void> {
  for (;;) {
    const number = await readNumber(input);
    const head = await input.readWithin(COMMANDS[number]?.size ?? 0, MESSAGE_MS);
    const rest = STREAMS.includes(number) ? 0 : MAX_BODY - head.length;
    const body = Buffer.concat([head, await input.readSome(rest)]);
    const answer = await answerTo(number, { tpm, channel, body, input });
    if (answer instanceof LastAnswer) return send(result(answer.code));
    await send(answer);
    if (number === CMD.SHUTDOWN && answer.equals(SUCCESS)) channel.shutDown?.();
  }
}

/** @returns a number that no command has, where it does not come whole */
async function readNumber(input: ConnectionReader): Promise<number> {
  const first = await input.read(1);
  const word = Buffer.concat([first, await input.readWithin(3, MESSAGE_MS)]);
  return word.length === 4 ? word.readUInt32BE() : HALF;
}

/** What cannot be done is answered by a number; the peer's going ends the connection. */
async function answerTo(number: number, request: Request): Promise<Buffer | LastAnswer> {
  const command = COMMANDS[number];
  if (command === undefined) return result(number === HALF ? RESULT.BAD_PARAMETER : RESULT.BAD_ORDINAL);
  const { tpm, channel, body } = request;
  const switched = isSwitched(tpm) ? tpm : undefined;
  const isRunning = switched?.isRunning ?? true;
  if (command.power !== undefined && isRunning !== (command.power === 'on')) return result(RESULT.BAD_ORDINAL);
  if (body.length < command.size) return result(RESULT.BAD_PARAMETER);
  if (body.length > command.size && command.isOpen !== true) return result(RESULT.BAD_PARAMETER);
  try {
    if ('act' in command) return await command.act(request);
    return switched === undefined
      ? result(RESULT.BAD_ORDINAL)
      : await command.actSwitched({ ...request, tpm: switched });
  } catch (error) {
    if (error instanceof LastAnswer) return error;
    if (!(error instanceof VtpmError)) throw error;
    channel.onFailure?.(error);
    return result(resultOf(number, error));
  }
}

function resultOf(number: number, { code }: VtpmError): number {
  if (number === CMD.INIT && code.startsWith('vtpm.state-') && code !== 'vtpm.state-in-use') return RESULT.FAILURE;
  return code === 'vtpm.state-key' ? RESULT.KEY_NOT_FOUND : RESULT.FAIL;
}

function getCapability({ tpm, channel }: Request): Buffer {
  const offered = Object.entries(COMMANDS).filter(([number, command]) => {
    if (Number(number) === CMD.SET_DATAFD) return channel.setDataChannel !== undefined;
    if (Number(number) === CMD.GET_INFO) return channel.info !== undefined;
    return 'act' in command || isSwitched(tpm);
  });
  const flags = offered.reduce((sum, [, { capability }]) => sum | capability, CAPABILITY.SEND_COMMAND_HEADER);
  return uint32s(RESULT.SUCCESS, flags);
}

function init({ tpm, body }: Request): Promise<Buffer> {
  const deletesVolatile = (body.readUInt32BE() & INIT_FLAG_DELETE_VOLATILE) !== 0;
  return done(isSwitched(tpm) ? tpm.init(deletesVolatile) : tpm.powerOn());
}

function stop({ tpm }: Request): Promise<Buffer> {
  return done(isSwitched(tpm) ? tpm.stop() : undefined);
}

function getEstablished({ tpm }: Request): Buffer {
  return Buffer.concat([SUCCESS, Buffer.of(tpm.isEstablished ? 1 : 0, 0, 0, 0)]);
}

/** tpm2-tss sends the locality alone, QEMU the whole union of ptm_loc. */
function setLocality({ channel, body }: Request): Buffer {
  const locality = body.readUInt8();
  if (locality > 4 || (locality === 4 && channel.rejectsLocality4 === true)) return result(RESULT.BAD_LOCALITY);
  channel.locality.current = locality;
  return SUCCESS;
}

/** Any size, as in swtpm: nothing of it is kept. */
async function hashData({ tpm, body, input }: Request): Promise<Buffer> {
  const size = body.readUInt32BE();
  const first = await input.readSome(CHUNK);
  if (first.length > size) return result(RESULT.BAD_PARAMETER);
  await tpm.hashData(first);
  for (let left = size - first.length; left > 0; ) {
    const chunk = await input.read(Math.min(left, CHUNK));
    await tpm.hashData(chunk);
    left -= chunk.length;
  }
  return SUCCESS;
}

async function getStateBlob({ tpm, body }: Request & { readonly tpm: SwitchedTpm }): Promise<Buffer> {
  const [flags, type, offset] = [body.readUInt32BE(0), body.readUInt32BE(4), body.readUInt32BE(8)];
  const part = partOf(type);
  if (part === undefined) {
    // A TPM 2.0 keeps what TPM2_Shutdown(STATE) saves in its permanent state
    const isSaveState = type === BLOB_TYPE.SAVESTATE;
    if (isSaveState) await tpm.handedOver();
    return uint32s(isSaveState ? RESULT.RETRY : RESULT.FAIL, 0, 0, 0);
  }
  const { blob, isEncrypted } = await tpm.getState(part, (flags & STATE_FLAG.DECRYPTED) !== 0);
  const asked = blob.subarray(offset);
  const head = uint32s(RESULT.SUCCESS, isEncrypted ? STATE_FLAG.ENCRYPTED : 0, asked.length, asked.length);
  return Buffer.concat([head, asked]);
}

function partOf(type: number): 'permanent' | 'volatile' | undefined {
  if (type === BLOB_TYPE.PERMANENT) return 'permanent';
  return type === BLOB_TYPE.VOLATILE ? 'volatile' : undefined;
}

async function setStateBlob({ tpm, body, input }: Request & { readonly tpm: SwitchedTpm }): Promise<Buffer> {
  const [type, size] = [body.readUInt32BE(4), body.readUInt32BE(8)];
  if (size > MAX_STATE) throw new LastAnswer(RESULT.FAIL);
  const blob = await input.read(size);
  const part = partOf(type);
  if (part !== undefined) return done(tpm.setState(part, blob));
  if (type !== BLOB_TYPE.SAVESTATE) return result(RESULT.BAD_PARAMETER);
  return size === 0 ? SUCCESS : result(RESULT.BAD_TYPE);
}

function getConfig({ tpm }: Request): Buffer {
  const file = isSwitched(tpm) && tpm.hasStateKey ? CONFIG_FLAG.FILE_KEY : 0;
  const migration = isSwitched(tpm) && tpm.hasMigrationKey ? CONFIG_FLAG.MIGRATION_KEY : 0;
  return uint32s(RESULT.SUCCESS, file | migration);
}

function setDataFd({ channel }: Request): Buffer {
  const refused = channel.setDataChannel === undefined ? 'missing' : channel.setDataChannel();
  if (refused === undefined) return SUCCESS;
  return result(refused === 'taken' ? RESULT.IO_ERROR : RESULT.BAD_PARAMETER);
}

function setBufferSize({ tpm, body }: Request): Buffer {
  const wanted = body.readUInt32BE();
  if (!isSwitched(tpm)) return uint32s(RESULT.SUCCESS, BUFFER_SIZES.max, BUFFER_SIZES.min, BUFFER_SIZES.max);
  if (wanted > 0 && tpm.isRunning) return result(RESULT.BAD_ORDINAL);
  const size = wanted === 0 ? tpm.bufferSize : tpm.setBufferSize(wanted);
  return uint32s(RESULT.SUCCESS, size, BUFFER_SIZES.min, BUFFER_SIZES.max);
}

/** struct ptm_getinfo: flags (8), offset (4); the text ends with a NUL. */
function getInfo({ channel, body }: Request): Buffer {
  const text = channel.info?.(body.readBigUInt64BE());
  if (text === undefined) return result(RESULT.BAD_ORDINAL);
  const bytes = Buffer.from(`${text}\0`);
  const offset = body.readUInt32BE(8);
  if (offset >= bytes.length - 1) return result(RESULT.BAD_PARAMETER);
  const part = bytes.subarray(offset, offset + MAX_INFO);
  return Buffer.concat([uint32s(RESULT.SUCCESS, bytes.length, part.length), part]);
}
