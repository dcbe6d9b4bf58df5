/** How a command is declared (TPM 2.0 Part 3 writes each as two tables) and what is inferred from it. */
import { type Codec, type Fields, type StructCodec, type StructOf, struct } from './codec.ts';

/** The role of a handle that needs authorization (Part 1, 19.2): USER by default, ADMIN or DUP. */
export type AuthRole = 'user' | 'admin' | 'dup';

/** `auth` is present where Part 3 marks the handle with `@`. */
export interface HandleDeclaration {
  readonly type: Codec<number>;
  readonly auth?: AuthRole;
}
type Handles = Readonly<Record<string, HandleDeclaration>>;
type HandlesOf<H extends Handles> = { readonly [K in keyof H]: number };

/** Part 3's `{NV}`, `{E}` and `{F}` beside a commandCode (its section 4): see {@link TPMA_CC}. */
export type CommandMark = 'nv' | 'extensive' | 'flushed';

interface Declaration<H extends Handles, P extends Fields, RH extends Fields, RP extends Fields> {
  readonly name: string;
  /** TPM_CC. */
  readonly code: number;
  /** Section of Part 3, revision 1.59. */
  readonly part3: string;
  readonly marks?: readonly CommandMark[];
  /** False where the table has TPM_ST_NO_SESSIONS for its only tag. */
  readonly sessions?: false;
  readonly handles?: H;
  readonly parameters?: P;
  readonly response?: { readonly handles?: RH; readonly parameters?: RP };
}

export interface Command<H extends object, P extends object, RH extends object, RP extends object> {
  readonly name: string;
  readonly code: number;
  readonly part3: string;
  readonly marks: readonly CommandMark[];
  readonly allowsSessions: boolean;
  readonly handles: readonly (HandleDeclaration & { readonly name: string })[];
  readonly requestHandles: StructCodec<H>;
  readonly requestParameters: StructCodec<P>;
  readonly responseHandles: StructCodec<RH>;
  readonly responseParameters: StructCodec<RP>;
  /** Whether the first parameter is a TPM2B, which a session can encrypt (Part 1, 21.2). */
  readonly encryptable: { readonly command: boolean; readonly response: boolean };
}

export type AnyCommand = Command<object, object, object, object>;
/** Handles and parameters of the command in one object. */
export type RequestOf<C> = C extends Command<infer H, infer P, infer _RH, infer _RP> ? H & P : never;
/** Handle and parameters of the response in one object. */
export type ResponseOf<C> = C extends Command<infer _H, infer _P, infer RH, infer RP> ? RH & RP : never;

const startsWithTpm2b = ({ fields: [first] }: StructCodec<unknown>): boolean => first?.[1].isTpm2b === true;

export function command<
  const H extends Handles = Record<never, never>,
  const P extends Fields = Record<never, never>,
  const RH extends Fields = Record<never, never>,
  const RP extends Fields = Record<never, never>,
>(declaration: Declaration<H, P, RH, RP>): Command<HandlesOf<H>, StructOf<P>, StructOf<RH>, StructOf<RP>> {
  const { name, code, part3, marks = [], sessions = true, response } = declaration;
  const handles = Object.entries<HandleDeclaration>(declaration.handles ?? {});
  const handleTypes = Object.fromEntries(handles.map(([key, { type }]) => [key, type]));
  const requestParameters = fieldsOf(name, declaration.parameters);
  const responseParameters = fieldsOf(name, response?.parameters);
  return {
    name,
    code,
    part3,
    marks,
    allowsSessions: sessions,
    handles: handles.map(([key, handle]) => ({ name: key, ...handle })),
    requestHandles: struct(name, handleTypes) as unknown as StructCodec<HandlesOf<H>>, // one entry for each key of H
    requestParameters,
    responseHandles: fieldsOf(name, response?.handles),
    responseParameters,
    encryptable: { command: startsWithTpm2b(requestParameters), response: startsWithTpm2b(responseParameters) },
  };
}

function fieldsOf<F extends Fields>(name: string, fields: F | undefined): StructCodec<StructOf<F>> {
  return struct(name, fields ?? ({} as F)); // F is Record<never, never> where the declaration leaves it out
}

/** A command as the specification's tables show it: one line a handle or parameter. */
export function describeCommand(command: AnyCommand): string {
  const line = ([name, codec]: readonly [string, Codec<unknown>], mark = ' ') => `  ${mark}${codec.name} ${name}`;
  return [
    `${command.name} (0x${command.code.toString(16)}), Part 3 section ${command.part3}`,
    ...command.handles.map(({ name, type, auth }) => {
      const role = auth === undefined ? '' : ` (Auth Role: ${auth.toUpperCase()})`;
      return line([name, type], auth === undefined ? ' ' : '@') + role;
    }),
    ...command.requestParameters.fields.map((field) => line(field)),
    ' response',
    ...command.responseHandles.fields.map((field) => line(field)),
    ...command.responseParameters.fields.map((field) => line(field)),
  ].join('\n');
}
