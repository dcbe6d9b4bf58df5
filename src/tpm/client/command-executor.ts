/** What sessions need of a client, which itself needs sessions: to start and to end. */
import type { Command } from '../command.ts';

export interface CommandExecutor {
  /** Executes one command; a handle that needs authorization gets the empty password. */
  execute<H extends object, P extends object, RH extends object, RP extends object>(
    command: Command<H, P, RH, RP>,
    request: H & P,
  ): Promise<RH & RP>;
  /** The Name of the entity behind a handle. */
  nameOf(handle: number): Promise<Uint8Array>;
}
