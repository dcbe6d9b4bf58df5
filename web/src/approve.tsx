import { useState } from 'preact/hooks';
import { approveFile } from './api.ts';
import { refreshHost } from './live.ts';

/** Allows a file that waits for a person. The verdict follows with the host's next evidence. */
export function Approve({ host, path }: { readonly host: string; readonly path: string }) {
  const [state, setState] = useState<'waits' | 'asked' | 'approved'>('waits');
  const [failure, setFailure] = useState<string>();

  async function approve(): Promise<void> {
    setState('asked');
    setFailure(undefined);
    try {
      await approveFile(host, path);
      setState('approved');
      refreshHost();
    } catch (error) {
      setState('waits');
      setFailure(error instanceof Error ? error.message : String(error));
    }
  }

  return (
    <p class="approve">
      {state === 'approved' ? (
        <span role="status">Approved; it counts from the next evidence on.</span>
      ) : (
        <button type="button" class="plain" disabled={state === 'asked'} onClick={approve}>
          Approve this file as it is
        </button>
      )}
      {failure !== undefined && <span role="alert"> {failure}</span>}
    </p>
  );
}
