/** Reference values from Debian's package database: what runs here, checked against its packages' checksums. */
export { DpkgDatabase, type PackagedFile } from './database.ts';
export { type HostFile, type HostReferenceOptions, type Judged, judgeHostFiles, referenceFromHost } from './host.ts';
