/** The API's description, OpenAPI 3.1, made from the routes' schemas. */
import swagger from '@fastify/swagger';
import type { App } from './app.ts';

/** To be called before the routes are added. */
export async function describeApi(app: App): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Assay',
        version: '1',
        description: 'Registrar and verifier: hosts, verdicts, references. Agents exchange CBOR, everyone else JSON.',
      },
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer' },
          dashboard: { type: 'apiKey', in: 'cookie', name: 'assay-<port>' },
        },
      },
      security: [{ token: [] }, { dashboard: [] }],
    },
  });
  app.get('/api/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}
