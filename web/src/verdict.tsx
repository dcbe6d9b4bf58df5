import { useEffect } from 'preact/hooks';
import type { HostDetail } from './api.ts';
import { now } from './live.ts';
import { StandingSign } from './marks.tsx';
import { ago, exactly } from './time.ts';
import { ASSURANCE_WORDS, announcement, STANDING_WORDS, standingOf, summaryOf } from './verdict-words.ts';
import { visibleText } from './visible.ts';
import { Visible } from './visible.tsx';

export function Verdict({ host }: { readonly host: HostDetail }) {
  const standing = standingOf(host);
  const assurance = ASSURANCE_WORDS[host.assurance];
  const title = `${STANDING_WORDS[standing]} · ${visibleText(host.name)} · Assay`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <section class="verdict" id="verdict" tabIndex={-1} data-standing={standing} aria-labelledby="verdict-word">
      <p class="unseen" role="status" aria-live="polite">
        {announcement(host)}
      </p>
      <StandingSign standing={standing} />
      <div class="verdict-text">
        <h1 id="verdict-word">{STANDING_WORDS[standing]}</h1>
        <p class="verdict-summary">
          <Visible text={summaryOf(host)} />
        </p>
      </div>
      <dl class="verdict-facts">
        <div>
          <dt>Assurance</dt>
          <dd title={assurance.long}>{assurance.short}</dd>
        </div>
        <div>
          <dt>As of</dt>
          <dd>
            <When time={host.asOf} />
          </dd>
        </div>
        {standing === 'silent' && (
          <div>
            <dt>Last seen</dt>
            <dd>
              <When time={host.lastSeenAt} />
            </dd>
          </div>
        )}
        <div>
          <dt>Files measured</dt>
          <dd>{host.measured.toLocaleString('en')}</dd>
        </div>
      </dl>
    </section>
  );
}

function When({ time }: { readonly time: number | undefined }) {
  if (time === undefined) return <>never</>;
  return (
    <time dateTime={new Date(time).toISOString()}>
      {ago(time, now.value)} <span class="quiet exact">{exactly(time)}</span>
    </time>
  );
}
