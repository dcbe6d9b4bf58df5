import { host } from './live.ts';
import { ASSURANCE_WORDS } from './verdict-words.ts';

/** Said on every screen, above everything else, and not to be closed. */
export function Demonstrating() {
  if (host.value?.assurance !== 'demonstration') return null;
  return (
    <div class="demonstrating" role="note">
      <p>
        <strong>{ASSURANCE_WORDS.demonstration.short}.</strong> {ASSURANCE_WORDS.demonstration.long}
      </p>
    </div>
  );
}
