/** A command's detailed actions: typed by its declaration, so that an action never touches bytes. */
import type { COMMANDS, CommandName, RequestOf, ResponseOf } from '../../tpm/index.ts';
import type { Machine } from './machine.ts';

/** What an action may know beside its request. */
export interface Invocation {
  readonly locality: number;
}

export type Handler<N extends CommandName> = (
  machine: Machine,
  request: RequestOf<(typeof COMMANDS)[N]>,
  invocation: Invocation,
) => ResponseOf<(typeof COMMANDS)[N]>;

/** A handler whose types were checked where it was declared. */
export type ErasedHandler = (machine: Machine, request: object, invocation: Invocation) => object;

/** The actions of a chapter of Part 3, by command. Each refuses with {@link Refusal} and nothing else. */
export type Handlers = { readonly [N in CommandName]?: Handler<N> };
