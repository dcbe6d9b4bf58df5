import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { demonstrate, type HostDetail } from './api.ts';
import { chainOf } from './chain-links.ts';
import { demonstration, readDemonstration, refreshHost } from './live.ts';
import { Path } from './visible.tsx';

/** When the last change was asked for, and how long the page took to show it. */
const askedAt = signal<number | undefined>(undefined);
const tookMs = signal<number | undefined>(undefined);
const busy = signal(false);
const failure = signal<string | undefined>(undefined);

async function step(name: 'tamper' | 'undo'): Promise<void> {
  busy.value = true;
  failure.value = undefined;
  tookMs.value = undefined;
  askedAt.value = name === 'tamper' ? performance.now() : undefined;
  try {
    await demonstrate(name);
    await readDemonstration();
    refreshHost();
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error);
    askedAt.value = undefined;
  }
  busy.value = false;
}

/** Changes a copied program and runs it, so that a person sees the chain break; and puts it right again. */
export function Trial({ host }: { readonly host: HostDetail }) {
  const files = chainOf(host).find((view) => view.link === 'files');
  useEffect(() => {
    if (files?.state !== 'broken' || askedAt.value === undefined) return;
    tookMs.value = Math.round(performance.now() - askedAt.value);
    askedAt.value = undefined;
  }, [files?.state]);

  const { value } = demonstration;
  if (value === undefined || !host.live || (value.host ?? host.id) !== host.id) return null;
  const tampered = value.state === 'tampered';
  return (
    <div class="trial" data-state={value.state}>
      <div>
        <h3>{tampered ? 'A program has been changed' : 'Try it'}</h3>
        <p>
          {tampered ? 'The copy ' : 'Changes a copy of a program, '}
          <Path path={value.program} />
          {tampered
            ? ' is not what was approved; it ran, so it was measured.'
            : ', and runs it. Nothing else is touched.'}
        </p>
        <p class="trial-note" role="status">
          {failure.value ?? (tookMs.value !== undefined && `The link turned red ${tookMs.value} ms after the click.`)}
        </p>
      </div>
      <button
        type="button"
        class="strong"
        disabled={busy.value}
        onClick={() => void step(tampered ? 'undo' : 'tamper')}
      >
        {tampered ? 'Undo' : 'Change it and run it'}
      </button>
    </div>
  );
}
