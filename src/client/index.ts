/** Client: calls to any S3 server and to the admin API of a store. */
export { AdminClient, type AdminAccess } from "./admin-client.js"
export { parseRuntimeFile, RUNTIME_FILE_NAME, type RuntimeFile, type StoreCredentials } from "./credentials.js"
export { BrokenAnswer, RemoteFailure, Unreachable } from "./remote.js"
export { DELETE_KEYS_MAX, S3Client, type ListedKey, type ObjectHead } from "./s3-client.js"
export { serverCopy } from "./server-copy.js"
export type { S3Access } from "./signed-call.js"
export type { Trust } from "./trust.js"
export { upload } from "./upload.js"
