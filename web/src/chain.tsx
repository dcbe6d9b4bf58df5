import type { HostDetail } from './api.ts';
import { chainOf, type LinkState, type LinkView } from './chain-links.ts';
import { goTo } from './go-to.ts';
import { Mark } from './marks.tsx';
import { Trial } from './trial.tsx';
import { Path } from './visible.tsx';

const STATE_WORDS: Readonly<Record<LinkState, string>> = {
  held: 'holds',
  doubt: 'holds, with warnings',
  broken: 'broken',
  unknown: 'cannot be told',
  absent: 'not on this machine',
};

export function Chain({ host }: { readonly host: HostDetail }) {
  const links = chainOf(host);
  return (
    <section class="chain" data-past={!host.live} aria-labelledby="chain-title">
      <h2 id="chain-title">Chain of trust</h2>
      <p class="lead">
        {host.live
          ? 'Each link measures the next before it hands over; the TPM keeps the sums and signs them.'
          : 'As it was when this host was heard last.'}
      </p>
      <ol class="links">
        {links.map((view) => (
          <Link key={view.link} view={view} />
        ))}
      </ol>
      <Trial host={host} />
    </section>
  );
}

function Link({ view }: { readonly view: LinkView }) {
  const hasFindings = view.state === 'doubt' || view.state === 'broken';
  return (
    <li class="chain-link" data-link={view.link} data-state={view.state}>
      <div class="mark-row">
        <Mark link={view.link} state={view.state} />
      </div>
      <h3>
        {view.name} <span class="state-word">{STATE_WORDS[view.state]}</span>
      </h3>
      <p>{view.says}</p>
      {view.cause !== undefined && (
        <p class="cause">
          <strong>{view.cause.title}:</strong> <Path path={view.cause.subject} />
        </p>
      )}
      {view.fill !== undefined && (
        <p class="fill">
          <span>What would fill it:</span> {view.fill}.
        </p>
      )}
      {hasFindings && (
        <p>
          <a href={`#findings-${view.link}`} onClick={goTo(`findings-${view.link}`)}>
            See why
          </a>
        </p>
      )}
    </li>
  );
}
