import type { ComponentChildren } from 'preact';
import type { LinkState } from './chain-links.ts';
import type { ChainLink } from './severity.ts';
import type { Standing } from './verdict-words.ts';

/** Outlines as an assay office punches them, one to each link of the chain. */
const OUTLINES: Readonly<Record<ChainLink, string>> = {
  tpm: 'M22 3h36l19 19v36L58 77H22L3 58V22z',
  firmware: 'M5 5h70v40c0 17-15 27-35 33C20 72 5 62 5 45z',
  kernel: 'M40 3a37 37 0 1 1 0 74 37 37 0 0 1 0-74z',
  files: 'M14 4h52c6 0 10 4 10 10v52c0 6-4 10-10 10H14C8 76 4 72 4 66V14C4 8 8 4 14 4z',
};

const GLYPHS: Readonly<Record<ChainLink, string>> = {
  // a chip with its pins
  tpm: 'M28 28h24v24H28zM34 20v8M40 20v8M46 20v8M34 52v8M40 52v8M46 52v8M20 34h8M20 40h8M20 46h8M52 34h8M52 40h8M52 46h8',
  // switched on
  firmware: 'M40 20v18M30 27a17 17 0 1 0 20 0',
  // a core in its rings
  kernel: 'M40 33a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM40 22a18 18 0 0 1 18 18M40 58a18 18 0 0 1-18-18',
  // a sheet with a turned corner
  files: 'M27 18h17l10 10v34H27zM44 18v10h10M33 38h15M33 45h15M33 52h9',
};

/** The picture of one link; what it says is written beside it. */
export function Mark({ link, state }: { readonly link: ChainLink; readonly state: LinkState }) {
  return (
    <svg class="mark" data-state={state} viewBox="0 0 80 80" width="80" height="80" aria-hidden="true">
      <path class="mark-field" d={OUTLINES[link]} />
      <path class="mark-glyph" d={GLYPHS[link]} />
      {state === 'broken' && <path class="mark-crack" d="M49-2 38 22l9 9-15 19 7 8-10 24" />}
    </svg>
  );
}

const SIGNS: Readonly<Record<Standing, ComponentChildren>> = {
  trusted: <path d="m21 33 8 8 15-17" />,
  warning: <path d="M32 19v16M32 43v1" />,
  untrusted: <path d="m23 23 18 18M41 23 23 41" />,
  unknown: <path d="M25.5 26c0-8 13-8 13 0 0 5-6.5 5-6.5 10M32 43v1" />,
  silent: <path d="M21 32h22" />,
  waiting: <path d="M22 32h.01M32 32h.01M42 32h.01" />,
};

/** The sign beside the verdict's word. */
export function StandingSign({ standing }: { readonly standing: Standing }) {
  return (
    <svg class="sign" viewBox="0 0 64 64" width="64" height="64" aria-hidden="true">
      <path class="sign-field" d="M18 2h28l16 16v28L46 62H18L2 46V18z" />
      <g class="sign-glyph">{SIGNS[standing]}</g>
    </svg>
  );
}
