/** Times for people: how long ago, and exactly when. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `just now`, `12 s ago`, `3 min ago`, `5 h ago`, `2 days ago`. A time to come (clocks differ) is `just now`. */
export function ago(then: number, now: number): string {
  const passed = now - then;
  if (passed < 2 * SECOND) return 'just now';
  return `${span(passed)} ago`;
}

/** A length of time in its largest unit: `12 s`, `3 min`, `5 h`, `2 days`. */
export function span(milliseconds: number): string {
  if (milliseconds < MINUTE) return `${Math.max(0, Math.floor(milliseconds / SECOND))} s`;
  if (milliseconds < HOUR) return `${Math.floor(milliseconds / MINUTE)} min`;
  if (milliseconds < DAY) return `${Math.floor(milliseconds / HOUR)} h`;
  const days = Math.floor(milliseconds / DAY);
  return days === 1 ? '1 day' : `${days} days`;
}

/** `2026-11-23 19:42:03 UTC`: the same for whoever reads it aloud to a colleague elsewhere. */
export function exactly(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
