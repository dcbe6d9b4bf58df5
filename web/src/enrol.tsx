import { useState } from 'preact/hooks';
import { type JoinLine, makeJoinLine } from './api.ts';
import { CommandLine } from './copy.tsx';
import { host, now } from './live.ts';
import { exactly, span } from './time.ts';

/** One line that enrols another machine. The token in it is good once, so it is made when it is asked for. */
export function Enrol() {
  const [line, setLine] = useState<JoinLine>();
  const [demonstrates, setDemonstrates] = useState(host.value?.assurance === 'demonstration');
  const [failure, setFailure] = useState<string>();
  const expired = line !== undefined && line.expiresAt <= now.value;

  async function make(): Promise<void> {
    try {
      setLine(await makeJoinLine(demonstrates));
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
            {isLoopback(line.command) && 'This server listens on this machine alone, so the line works only here. '}
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
      <label class="choice">
        <input
          type="checkbox"
          checked={demonstrates}
          onChange={(event) => setDemonstrates(event.currentTarget.checked)}
        />
        <span>It may come with a software TPM: a demonstration, from this machine only</span>
      </label>
      <button type="button" class="make" onClick={() => void make()}>
        {line === undefined ? 'Make the line' : 'Make another'}
      </button>
    </section>
  );
}

function isLoopback(command: string): boolean {
  return /\/\/(?:127\.|localhost\b|\[::1\])/.test(command);
}
