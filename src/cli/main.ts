/** The process: runs the command, and ends in one line for people whatever happens. */
import { runProgram } from './program.ts';
import { reportError, reportUnwritable } from './report-error.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `assay … | head`: the reader is gone, and nobody is left to tell.
  process.exit(error.code === 'EPIPE' ? (process.exitCode ?? 0) : reportUnwritable(error));
});
// Where nobody can be told of an error, the exit code still says it.
process.stderr.on('error', () => undefined);

try {
  await runProgram(process.argv.slice(2));
} catch (error) {
  process.exitCode = reportError(error, process.argv.includes('--json'));
}
