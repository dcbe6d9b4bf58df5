/** Tells hosts that went silent. Silence is no verdict: the last one stands beside it. */
import type { ServerContext } from './context.ts';
import { insertEvent } from './store/events.ts';
import { markSilent, overdueHosts } from './store/hosts.ts';

/** Marks every host that has missed its intervals, and says so to subscribers. Gives how many. */
export async function sweepSilent(ctx: ServerContext): Promise<number> {
  const now = ctx.now();
  const { missedIntervals } = ctx.settings;
  const overdue = await overdueHosts(ctx.store.read, now, missedIntervals);
  if (overdue.length === 0) return 0;
  const marked = await ctx.store.write(async (trx) => {
    let count = 0;
    for (const { id, name } of overdue) {
      if (!(await markSilent(trx, id, now, missedIntervals))) continue;
      await insertEvent(trx, { at: now, kind: 'silent', hostId: id, data: JSON.stringify({ name }) });
      count += 1;
    }
    return count;
  });
  if (marked > 0) ctx.live.notify();
  return marked;
}
