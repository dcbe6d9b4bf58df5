import type { ServerResponse } from 'node:http';

/** Runs `then` when the response is over, however it ends; at once where the client went before its handler ran. */
export function whenClosed(response: ServerResponse, then: () => void): void {
  if (response.closed) then();
  else response.once('close', then);
}
