/** By what directory labels are judged, of the keys by which files are. */
import { keyringOf } from '../label-judge.ts';
import type { JudgeKeys } from '../task.ts';
import type { AppraiseDirectoriesOptions } from './appraise-directories.ts';
import { DIRECTORY_XATTR } from './label.ts';

/** Empty where labels are only compared: nobody vouches for them. */
export type DirectoryKeys = Pick<AppraiseDirectoriesOptions, 'keyring' | 'evm'>;

/** EVM covers a directory's label where its attribute is among those that it protects. @throws {DigsigError} */
export function directoryKeys({ keys, evmHmacKey, evmKeys, evmXattrs, blacklist }: JudgeKeys): DirectoryKeys {
  const isCovered = evmXattrs?.includes(DIRECTORY_XATTR) === true && (evmHmacKey !== undefined || evmKeys.length > 0);
  return {
    ...(keys.length === 0 ? {} : { keyring: keyringOf(keys, blacklist) }),
    ...(!isCovered
      ? {}
      : {
          evm: {
            extraXattrs: evmXattrs,
            ...(evmHmacKey === undefined ? {} : { hmacKey: evmHmacKey }),
            ...(evmKeys.length === 0 ? {} : { keyring: keyringOf(evmKeys, blacklist) }),
          },
        }),
  };
}
