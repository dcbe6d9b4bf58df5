/** A TPM as a caller sees it: typed commands go in, typed responses come out, one in flight at a time. */
import type { Command } from '../command.ts';
import { TPM2_NV_ReadPublic, TPM2_ReadPublic } from '../commands.ts';
import { TpmError } from '../errors.ts';
import { assembleCommand, commandBody, readResponseParameters, splitResponse } from '../frame.ts';
import { handleName, hasPublicArea } from '../names.ts';
import { TPM_RC } from '../response-codes.ts';
import { handleType, TPM_HT } from '../structures.ts';
import type { Transport } from '../transport/index.ts';
import {
  authorize,
  checkEncryptable,
  checkResponse,
  decryptedParameters,
  encryptedParameters,
  type HandleAuthorization,
  type PlannedAuthorization,
  rollNonces,
} from './authorization.ts';
import type { CommandExecutor } from './command-executor.ts';
import type { Session } from './session.ts';

export interface ExecuteOptions<H> {
  /** By handle name; a handle that needs authorization and is not named gets the empty password. */
  readonly auth?: { readonly [K in keyof H]?: HandleAuthorization };
  /** Sessions beside the handles': to encrypt parameters or to audit. */
  readonly also?: readonly Session[];
  /**
   * Names of the handles' entities where the caller knows them. Others are asked of the TPM itself, which tells a
   * stranger between us and the TPM from the right one only in what the caller knew before.
   */
  readonly names?: ReadonlyMap<number, Uint8Array>;
}

/** RSA keys take some hardware minutes. */
const DEFAULT_TIMEOUT_MS = 180_000;
/** Response codes after which the same command may simply be sent again (Part 2, 6.6.3, "warnings"). */
const RETRY_CODES: readonly number[] = [TPM_RC.RETRY, TPM_RC.YIELDED, TPM_RC.TESTING];
const MAX_RETRIES = 8;

export class TpmClient implements CommandExecutor {
  readonly #transport: Transport;
  readonly #timeoutMs: number;
  #last: Promise<unknown> = Promise.resolve();
  #broken: TpmError | undefined;

  constructor(transport: Transport, options: { readonly timeoutMs?: number } = {}) {
    this.#transport = transport;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  get description(): string {
    return this.#transport.description;
  }

  /**
   * Executes one command.
   * @throws {TpmError} `tpm.response` where the TPM says no, `tpm.session` where its answer is not authentic,
   *   `tpm.timeout`, `tpm.transport`; {@link TpmParseError} where its bytes are no response
   */
  async execute<H extends object, P extends object, RH extends object, RP extends object>(
    command: Command<H, P, RH, RP>,
    request: H & P,
    options: ExecuteOptions<H> = {},
  ): Promise<RH & RP> {
    const body = commandBody(command, request);
    const names = usesSession(options) ? await this.#names(body.handles, options.names) : [];
    const plan = planAuthorizations(command, names, options);
    checkEncryptable(plan, command);
    return this.#exclusively(async () => {
      rollNonces(plan);
      const parameters = encryptedParameters(plan, body.parameters);
      const authorizations = authorize(plan, command.code, names, parameters);
      const bytes = await this.#send(assembleCommand({ ...body, parameters }, authorizations));
      const response = splitResponse(command, bytes);
      if (plan.length > 0) checkResponse(plan, command.code, response.parameters, response.authorizations);
      const clear = decryptedParameters(plan, response.parameters);
      return { ...response.handleValues, ...readResponseParameters(command, clear) };
    });
  }

  /** One command as bytes, in turn with the others; for those who hold a command that they did not make. */
  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.#exclusively(() => this.#send(command));
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#transport.close();
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #send(command: Uint8Array): Promise<Uint8Array> {
    for (let attempt = 0; ; attempt++) {
      const response = await this.#withTimeout(command);
      const rc = response.length >= 10 ? Buffer.from(response).readUInt32BE(6) : 0;
      if (!RETRY_CODES.includes(rc) || attempt >= MAX_RETRIES) return response;
      await new Promise((resolve) => setTimeout(resolve, 5 * 2 ** attempt));
    }
  }

  async #withTimeout(command: Uint8Array): Promise<Uint8Array> {
    if (this.#broken !== undefined) throw this.#broken;
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // Its answer may still come and would be taken for the next command's: nothing more goes this way.
        this.#broken = new TpmError('tpm.timeout', `${this.description} did not answer within ${this.#timeoutMs} ms`);
        reject(this.#broken);
      }, this.#timeoutMs);
    });
    try {
      return await Promise.race([this.#transport.execute(command), tooLate]);
    } finally {
      clearTimeout(timer);
    }
  }

  #names(handles: readonly number[], known: ReadonlyMap<number, Uint8Array> | undefined): Promise<Uint8Array[]> {
    return Promise.all(handles.map(async (handle) => known?.get(handle) ?? (await this.nameOf(handle))));
  }

  /** The Name of the entity behind a handle; of objects and NV indices as the TPM itself says it. */
  async nameOf(handle: number): Promise<Uint8Array> {
    if (!hasPublicArea(handle)) return handleName(handle);
    if (handleType(handle) === TPM_HT.NV_INDEX)
      return (await this.execute(TPM2_NV_ReadPublic, { nvIndex: handle })).nvName;
    return (await this.execute(TPM2_ReadPublic, { objectHandle: handle })).name;
  }
}

function usesSession<H extends object>({ auth, also = [] }: ExecuteOptions<H>): boolean {
  const given: readonly (HandleAuthorization | undefined)[] = Object.values({ ...auth });
  return also.length > 0 || given.some((by) => by !== undefined && 'session' in by);
}

/** @param names of the handles' entities, in their order; none where no session needs them */
function planAuthorizations<H extends object>(
  command: Command<H, object, object, object>,
  names: readonly Uint8Array[],
  options: ExecuteOptions<H>,
): PlannedAuthorization[] {
  const given: Readonly<Record<string, HandleAuthorization | undefined>> = { ...options.auth };
  const plan: PlannedAuthorization[] = [];
  for (const [index, { name: handleName, auth }] of command.handles.entries()) {
    if (auth === undefined) continue;
    const by = given[handleName] ?? { password: new Uint8Array(0) };
    const name = names[index];
    plan.push(name === undefined ? { by } : { name, by });
  }
  for (const session of options.also ?? []) plan.push({ by: { session } });
  return plan;
}
