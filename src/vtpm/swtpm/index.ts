/** swtpm, manufactured and run with a configuration and a certificate authority of our own. */
export * from './capabilities.ts';
export * from './manufacture.ts';
export * from './supervisor.ts';
