/** KMS: the API of AWS KMS over the named keys of the store. */
export { kmsActions } from "./operations.js"
export { createKmsHandler } from "./handler.js"
export { speaksKms } from "./speaks-kms.js"
