import { fileURLToPath } from 'node:url';

/** The built dashboard: from src/cli in a checkout and from dist/cli in the package, two floors up. */
export const WEB_ROOT = fileURLToPath(new URL('../../web/dist', import.meta.url));
