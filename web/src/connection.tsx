import { connection, now, retry } from './live.ts';
import { span } from './time.ts';

/** What stands between the page and its server; nothing while it is live. */
export function ConnectionNotice() {
  const { value } = connection;
  switch (value.state) {
    case 'live':
    case 'connecting':
      return null;
    case 'lost':
      return <Lost retryAt={value.retryAt} />;
    case 'signed-out':
      return (
        <div class="notice" role="alert">
          <p>
            <strong>This session is over.</strong> Open the dashboard by a new link: <code>assay up</code> prints one.
          </p>
        </div>
      );
    case 'failed':
      return (
        <div class="notice" role="alert">
          <p>
            <strong>Page and server do not understand each other</strong> ({value.reason}). Reload the page; it may be
            older than the server.
          </p>
        </div>
      );
  }
}

function Lost({ retryAt }: { readonly retryAt: number }) {
  const left = Math.max(0, retryAt - now.value);
  return (
    <div class="notice">
      <p role="status">
        <strong>The server does not answer.</strong> What you see is what was known last.
      </p>
      <p>
        {left < 1000 ? 'Trying again …' : `Next attempt in ${span(left)}.`}{' '}
        <button type="button" onClick={retry}>
          Try now
        </button>
      </p>
    </div>
  );
}
