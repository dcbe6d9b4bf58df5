import { useEffect, useRef, useState } from 'preact/hooks';

/** A line for a shell, with a button that copies it. */
export function CommandLine({ command, label }: { readonly command: string; readonly label: string }) {
  const line = useRef<HTMLElement>(null);
  const [said, setSaid] = useState('');
  useEffect(() => {
    if (said === '') return;
    const timer = setTimeout(() => setSaid(''), 4000);
    return () => clearTimeout(timer);
  }, [said]);

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(command);
      setSaid('Copied');
    } catch {
      // the browser allows it only to pages that it holds for safe: the line is selected instead
      if (line.current !== null) getSelection()?.selectAllChildren(line.current);
      setSaid('Selected: press Ctrl+C');
    }
  }

  return (
    <div class="command">
      <code ref={line}>{command}</code>
      <button type="button" aria-label={`Copy ${label}`} onClick={() => void copy()}>
        {said === '' ? 'Copy' : said}
      </button>
      <span class="unseen" role="status">
        {said}
      </span>
    </div>
  );
}
