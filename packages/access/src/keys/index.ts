/** Keys: how the bytes of objects get their keys, how records are bound to them, and named keys. */
export type { KeyMaterials, KeyWithMaterials } from "./built-in.js"
export { checkEpochs } from "./check-epochs.js"
export { keyIdText } from "./ciphertext.js"
export { nextRotationMs } from "./change-key-core.js"
export { extentKeyOf } from "./derive.js"
export { contextOfPairs, textOfContext, type EncryptionContext } from "./encryption-context.js"
export { ExternalKeys } from "./external-keys.js"
export { aliasArnOf, aliasFault } from "./key-names.js"
export {
  defaultPolicy,
  KeyPolicies,
  parseKeyPolicy,
  type KeyCaller,
  type KeyHolder,
  type NamedKey,
} from "./key-policies.js"
export { KeyService } from "./key-service.js"
export type { NamedAlias } from "./kms-queries-core.js"
export { NAMED_KEY_LIMITS } from "./limits.js"
export { openObjectKeys, type OpenedObjectKeys } from "./open-object-keys.js"
export { resealSecrets, secretsUnder, type StoredSecret } from "./reseal-core.js"
export type { KeyServiceReport } from "./service-calls.js"
export { NamedS3Keys, type S3Keys } from "./s3-keys.js"
export { KeyAdmin, type NamedKeys } from "./key-admin.js"
export { KeyTroubles } from "./key-troubles.js"
export { KeyUpkeep } from "./key-upkeep.js"
