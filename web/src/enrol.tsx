import { useState } from 'preact/hooks';
import { type JoinLine, makeJoinLine } from './api.ts';
import { CommandLine } from './copy.tsx';
import { now } from './live.ts';
import { exactly, span } from './time.ts';

/** One line that enrols another machine. The token in it is good once, so it is made when it is asked for. */
export function Enrol() {
  const [line, setLine] = useState<JoinLine>();
  const [failure, setFailure] = useState<string>();
  const expired = line !== undefined && line.expiresAt <= now.value;

  async function make(): Promise<void> {
    try {
      setLine(await makeJoinLine());
      setFailure(undefined);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  }

  return (
    <section aria-labelledby="enrol-title">
      <h2 id="enrol-title">Enrol another machine</h2>
      <p class="lead">One line, run there as root. Its token works once and is shown only here.</p>
      {line !== undefined && !expired && (
        <>
          <CommandLine command={line.command} label="the line that enrols a machine" />
          <p class="quiet">
            Good for {span(line.expiresAt - now.value)} more, until {exactly(line.expiresAt)}.
          </p>
        </>
      )}
      {expired && <p class="quiet">The line has expired.</p>}
      {failure !== undefined && (
        <p class="failure" role="alert">
          No line could be made: {failure}.
        </p>
      )}
      <button type="button" class="make" onClick={() => void make()}>
        {line === undefined ? 'Make the line' : 'Make another'}
      </button>
    </section>
  );
}
