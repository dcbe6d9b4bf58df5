/** The process: runs the command, and ends in one line for people whatever happens. */
import { runProgram } from './program.ts';
import { reportError, reportUnwritable } from './report-error.ts';

/** What a command may take to end in order once nobody reads what it says: a software TPM saves its state, a server stops. */
const ENDING_MS = 5000;

process.stdout.once('error', (error: NodeJS.ErrnoException) => {
  // `assay … | head`: the reader is gone, and nobody is left to tell.
  const code = error.code === 'EPIPE' ? (process.exitCode ?? 0) : reportUnwritable(error);
  process.stdout.on('error', () => undefined);
  process.once('exit', () => {
    process.exitCode = code;
  });
  process.emit('SIGTERM'); // to those who run until they are stopped; nobody else listens
  setTimeout(() => process.exit(code), ENDING_MS).unref();
});
// Where nobody can be told of an error, the exit code still says it.
process.stderr.on('error', () => undefined);

try {
  await runProgram(process.argv.slice(2));
} catch (error) {
  process.exitCode = reportError(error, process.argv.includes('--json'));
}
