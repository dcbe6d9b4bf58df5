export { COMMAND_NAMES } from './aftermath.ts';
export { byCause, CAUSES, type Cause } from './causes.ts';
export { agreement, describe, type Finding, type Report, type RunOptions, runDifferential, runPair } from './run.ts';
export { type Pair, type Side, softwareSide, swtpmSide } from './sides.ts';
