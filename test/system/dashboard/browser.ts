/** Debian's Chromium, as the tests of the page start it. */
import { join } from 'node:path';

export const WEB_ROOT = join(import.meta.dirname, '../../../web/dist');

export const BROWSER = {
  executablePath: '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};
