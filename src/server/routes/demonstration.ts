/** "Try it": a copied program is changed and run, so that a person sees the verdict turn; and undone. */
import Type from 'typebox';
import type { App } from '../http/app.ts';

export interface DemonstrationState {
  readonly available: boolean;
  readonly state: 'clean' | 'tampered';
  /** The program that is changed: a copy, never the system's own. */
  readonly program: string;
  /** Id of the host that it runs on. */
  readonly host?: string;
}

/** What `up` hands in; the server only passes the wish on. */
export interface Demonstration {
  state(): DemonstrationState;
  tamper(): Promise<void>;
  undo(): Promise<void>;
}

const StateBody = Type.Object({
  available: Type.Boolean(),
  state: Type.Union([Type.Literal('clean'), Type.Literal('tampered')]),
  program: Type.String(),
  host: Type.Optional(Type.String({ description: 'Id of the host that it runs on' })),
});

export function demonstrationRoutes(app: App, demonstration: Demonstration): void {
  const schema = (summary: string) => ({ summary, tags: ['demonstration'], response: { 200: StateBody } });

  app.get('/demonstration', { config: { access: 'viewer' }, schema: schema('What can be tried here') }, async () =>
    demonstration.state(),
  );

  app.post(
    '/demonstration/tamper',
    { config: { access: 'admin' }, schema: schema('Change the copied program and run it') },
    async () => {
      await demonstration.tamper();
      return demonstration.state();
    },
  );

  app.post('/demonstration/undo', { config: { access: 'admin' }, schema: schema('Undo the change') }, async () => {
    await demonstration.undo();
    return demonstration.state();
  });
}
