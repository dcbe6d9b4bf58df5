/** As the kernel's `ima_appraise=`: what comes of a label that does not hold. */
export const GUARD_MODES = ['off', 'log', 'fix', 'enforce'] as const;
export type GuardMode = (typeof GUARD_MODES)[number];
