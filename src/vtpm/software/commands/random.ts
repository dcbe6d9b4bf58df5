/** Random numbers: TPM 2.0 Part 3, 16. */
import type { Handlers } from '../handler.ts';

/** The largest digest (Part 3, 16.1): a caller that asks for more gets this many bytes. */
const MAX_DIGEST = 64;

export const random = {
  /** 16.1 */
  TPM2_GetRandom: (machine, { bytesRequested }) => ({
    randomBytes: machine.random(Math.min(bytesRequested, MAX_DIGEST)),
  }),

  /** 16.2: the operating system's generator needs no more entropy, and a caller could only lessen it. */
  TPM2_StirRandom: () => ({}),
} satisfies Handlers;
