export type { HandleAuthorization } from './authorization.ts';
export * from './client.ts';
export * from './session.ts';
