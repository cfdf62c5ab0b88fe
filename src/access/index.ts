/** Access: identities, keys, sealed secrets, request signatures. */
export type { AccessKey, Account, Accounts } from "./contract.js"
export { AccountService, drawAccessKeyId, drawSecret, openAccessKeySecret, type RootKey } from "./account-service.js"
export { MASTER_KEY_BYTES, openSecret, sealSecret } from "./seal.js"
export * from "./sigv4.js"
