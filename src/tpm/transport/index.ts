export * from './address.ts';
export * from './device.ts';
export * from './mssim.ts';
export type { SocketAddress } from './stream.ts';
export * from './swtpm.ts';
export * from './transport.ts';
