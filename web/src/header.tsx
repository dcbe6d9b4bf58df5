import type { HostSummary } from './api.ts';
import { choose, chosen, connection, hosts } from './live.ts';
import { STANDING_WORDS, standingOf } from './verdict-words.ts';
import { visibleText } from './visible.ts';
import { Visible } from './visible.tsx';

export function Header() {
  return (
    <header class="top">
      <p class="wordmark">
        <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
          <path class="wordmark-field" d="M9 1h14l8 8v14l-8 8H9l-8-8V9z" />
          <path class="wordmark-letter" d="m8 24 8-17 8 17M11.5 18h9" />
        </svg>
        Assay
      </p>
      <HostPicker />
      <Link />
    </header>
  );
}

function HostPicker() {
  const all = hosts.value ?? [];
  const current = all.find((one) => one.id === chosen.value);
  if (current === undefined) return <span class="grow" />;
  if (all.length === 1) {
    return (
      <p class="host grow">
        <Visible text={current.name} />
      </p>
    );
  }
  return (
    <label class="host grow">
      <span class="quiet">Host</span>
      <select value={current.id} onChange={(event) => choose(event.currentTarget.value)}>
        {all.map((one) => (
          <option key={one.id} value={one.id}>
            {optionText(one)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Options take no mark-up, so the standing is told in words. */
function optionText(one: HostSummary): string {
  return `${visibleText(one.name)} — ${STANDING_WORDS[standingOf(one)].toLowerCase()}`;
}

const CONNECTION_WORDS = {
  connecting: 'connecting',
  live: 'live',
  lost: 'reconnecting',
  'signed-out': 'signed out',
  failed: 'stopped',
} as const;

function Link() {
  const { state } = connection.value;
  return (
    <p class="link" data-state={state}>
      <span class="dot" aria-hidden="true" />
      {CONNECTION_WORDS[state]}
    </p>
  );
}
