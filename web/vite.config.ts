import { defineConfig } from 'vite';

/** Nothing inline and nothing from elsewhere: the server sends a Content-Security-Policy of `'self'` alone. */
export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
  },
});
