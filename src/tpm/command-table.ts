/** The commands by name and by code. */
import type { AnyCommand } from './command.ts';
import * as commands from './commands.ts';

/** `COMMANDS.TPM2_Quote`; its keys type a software TPM's table of handlers. */
export const COMMANDS = commands;
export type CommandName = keyof typeof COMMANDS;

const BY_CODE: ReadonlyMap<number, AnyCommand> = new Map(
  Object.values<AnyCommand>(COMMANDS).map((command) => [command.code, command]),
);

export function commandByCode(code: number): AnyCommand | undefined {
  return BY_CODE.get(code);
}

/** `TPM2_Quote` for 0x158; the number for a command that the table does not have. */
export function commandName(code: number): string {
  return BY_CODE.get(code)?.name ?? `TPM_CC 0x${code.toString(16)}`;
}
