/** System calls: the only room with a native module. It loads when the first call is made, not before. */
export { type AuditEvent, AuditSocket, decodeAuditMessage } from './audit.ts';
export { type BeneathOptions, closeFile, FileStatus, openBeneath, requireOpenat2, STATE_SIZE } from './beneath.ts';
export { CloseEvents } from './close-events.ts';
export { type FileIdentity, type HashedContent, hashContent, identityKey, identityOf, MAX_HASHED } from './content.ts';
export { askControlSocket, CONTROL_SOCKET, type ControlSocket, openControlSocket } from './control-socket.ts';
export { type EntryType, readDirectory } from './directory.ts';
export { type EcdsaSigner, type EcdsaVerifier, ecdsaSigner, ecdsaVerifier } from './ecdsa.ts';
export { type EcdsaVerifierOfMany, ecdsaVerifierOfMany, type SignedDigest } from './ecdsa-table.ts';
export { SysError, type SysErrorCode } from './error.ts';
export { EVENTS_A_READ, EventBuffer } from './event-buffer.ts';
export { ExecWatch, type FanotifyEvent, parseFanotifyEvents, type Wakeup } from './exec-watch.ts';
export { type FileDigester, fileDigester } from './file-digest.ts';
export { type FileLock, lockFile } from './file-lock.ts';
export { blockDeviceName, type FileSystem, fileSystem } from './file-system.ts';
export { lockFolder } from './folder-lock.ts';
export { pathInRoot } from './in-root.ts';
export { inodeGeneration, type VerityDigest, verityDigest } from './inode.ts';
export { kernelMemoryDevices } from './kernel-memory.ts';
export { addKey, linkKey, readKey, SPECIAL_KEYRINGS, searchKey, updateKey } from './keyring.ts';
export { giveUpLease, holdsReadLease, ignoreLeaseSignal, type LeaseTaken, takeReadLease } from './lease.ts';
export { type StayingPower, stayInMemory } from './memory-lock.ts';
export { canHoldPrograms, type Mount, parseMountInfo } from './mounts.ts';
export { isNativeAvailable } from './native.ts';
export { type ListenAt, PassingServer, PassingSocket } from './passing-socket.ts';
export { PermissionEvents, type PermissionKind } from './permission-events.ts';
export { closePipeEnd, hearPipe, openPipe, tellPipe } from './pipe.ts';
export { openPkcs11Key, type Pkcs11Key, type Pkcs11Options } from './pkcs11.ts';
export { type PollKind, PollSet } from './poll.ts';
export {
  createFile,
  type FileOptions,
  makeFolder,
  type PrivateFolderOptions,
  privateFolder,
  removeLeftovers,
  replaceFile,
} from './private-folder.ts';
export { ProcFile } from './proc-file.ts';
export { forbidDumps } from './process-memory.ts';
export { exchangeNames } from './rename.ts';
export { type RsaRecoverer, type RsaSigner, rsaRecoverer, rsaSigner } from './rsa.ts';
export { removeAbandonedSocket } from './socket-path.ts';
export { nameFile, openUnnamed, syncFileSystem } from './unnamed-file.ts';
export { Waker } from './waker.ts';
export {
  fgetXattr,
  flistXattrs,
  fremoveXattr,
  fsetXattr,
  getXattr,
  listXattrs,
  MAX_XATTR_SIZE,
  removeXattr,
  setXattr,
} from './xattr.ts';
