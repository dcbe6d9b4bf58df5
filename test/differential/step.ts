/** One command to both TPMs: what differs from one to the other is told by which of the two it goes to. */
import {
  authorize,
  checkResponse,
  decryptedParameters,
  encryptedParameters,
  type HandleAuthorization,
  type PlannedAuthorization,
  rollNonces,
} from '../../src/tpm/client/authorization.ts';
import type { Session } from '../../src/tpm/client/index.ts';
import {
  type AnyCommand,
  assembleCommand,
  type Command,
  commandBody,
  readResponseParameters,
  splitResponse,
} from '../../src/tpm/index.ts';
import type { Pair, Which } from './sides.ts';

export type Authorization = (which: Which) => HandleAuthorization;

/** Beside what a command asks for. */
export interface StepOptions<R> {
  /** Of the handles that need it, in their order; what is left out gets the empty password. */
  readonly auth?: readonly Authorization[];
  /** Sessions that encrypt or audit. */
  readonly also?: readonly Pair<Session>[];
  readonly locality?: number;
  /** Power goes and comes before the command. */
  readonly isPowered?: boolean;
  /** Both responses shall be the same to the last bit. */
  readonly isExact?: boolean;
  /** Takes in what both TPMs answered. */
  readonly learn?: (responses: Pair<R>) => void;
}

/** A command that is ready for one TPM. */
export interface Built {
  readonly bytes: Uint8Array;
  /** Undefined where the response is not authentic or no response. */
  readonly read: (response: Uint8Array) => object;
}

export interface Step {
  readonly command: AnyCommand;
  readonly locality: number;
  readonly isPowered: boolean;
  readonly isExact: boolean;
  readonly sessions: readonly Pair<Session>[];
  readonly build: (which: Which) => Built;
  readonly learn: (responses: Pair<object>) => void;
}

/** Names of the entities behind handles. */
export type NameOf = (which: Which, handle: number) => Uint8Array;

const NONE = new Uint8Array(0);

function handlesOf(command: AnyCommand, handles: readonly number[], which: Which, nameOf: NameOf): Uint8Array[] {
  return command.handles.map((_, i) => nameOf(which, handles[i] ?? 0));
}

export function step<H extends object, P extends object, RH extends object, RP extends object>(
  nameOf: NameOf,
  command: Command<H, P, RH, RP>,
  request: (which: Which) => H & P,
  options: StepOptions<RH & RP> = {},
): Step {
  const { auth = [], also = [], locality = 0, isPowered = false, isExact = false, learn } = options;
  return {
    command,
    locality,
    isPowered,
    isExact,
    sessions: [...sessionsOf(auth), ...also],
    build(which) {
      const body = commandBody(command, request(which));
      const names = handlesOf(command, body.handles, which, nameOf);
      const plan = planOf(command, names, auth, also, which);
      rollNonces(plan);
      const parameters = encryptedParameters(plan, body.parameters);
      const authorizations = authorize(plan, command.code, names, parameters);
      return {
        bytes: assembleCommand({ ...body, parameters }, authorizations),
        read(bytes) {
          const response = splitResponse(command, bytes);
          if (plan.length > 0) checkResponse(plan, command.code, response.parameters, response.authorizations);
          const clear = decryptedParameters(plan, response.parameters);
          return { ...response.handleValues, ...readResponseParameters(command, clear) };
        },
      };
    },
    learn: (responses) => learn?.(responses as unknown as Pair<RH & RP>), // `read` of this very command made them
  };
}

function sessionsOf(auth: readonly Authorization[]): Pair<Session>[] {
  return auth.flatMap((by) => {
    const [ours, theirs] = [by(0), by(1)];
    return 'session' in ours && 'session' in theirs ? [[ours.session, theirs.session] as const] : [];
  });
}

function planOf(
  command: AnyCommand,
  names: readonly Uint8Array[],
  auth: readonly Authorization[],
  also: readonly Pair<Session>[],
  which: Which,
): PlannedAuthorization[] {
  let next = 0;
  const plan = command.handles.flatMap(({ auth: role }, i): PlannedAuthorization[] => {
    if (role === undefined) return [];
    return [{ name: names[i] ?? NONE, by: auth[next++]?.(which) ?? { password: NONE } }];
  });
  return [...plan, ...also.map((pair): PlannedAuthorization => ({ by: { session: pair[which] } }))];
}
