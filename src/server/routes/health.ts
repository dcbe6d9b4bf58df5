import Type from 'typebox';
import type { ServerContext } from '../context.ts';
import type { App } from '../http/app.ts';

/** Whether the server answers and its store can be read. Says nothing that a stranger may not know. */
export function healthRoutes(app: App, ctx: ServerContext): void {
  const response = { 200: Type.Object({ status: Type.Literal('ok'), now: Type.Integer() }) };
  const schema = { summary: 'Is the server well?', tags: ['service'], response };
  app.get('/health', { config: { access: 'public' }, schema }, async () => {
    await ctx.store.read.selectFrom('migrations').select('number').limit(1).execute();
    return { status: 'ok' as const, now: ctx.now() };
  });
}
