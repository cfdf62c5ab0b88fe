/**
 * AWS signatures, version 4 and, where accepted, version 2: verifying and signing requests, and the signature chain of
 * a chunked body. Pure.
 */
export { EMPTY_SHA256, equalInConstantTime, sha256Hex } from "./signing/canonical.js"
export type { SignableRequest } from "./signing/canonical.js"
export { ChunkSignatures } from "./signing/chunks.js"
export { missingField, readFormSignature, verifyFormSignature } from "./signing/form.js"
export { SigningKey, SigningKeys } from "./signing/keys.js"
export {
  parsePayloadMode,
  STREAMING_SIGNED,
  STREAMING_SIGNED_TRAILER,
  STREAMING_UNSIGNED_TRAILER,
  UNSIGNED_PAYLOAD,
} from "./signing/payload.js"
export type { PayloadMode } from "./signing/payload.js"
export { presign, signRequest } from "./signing/sign.js"
export type { RequestSignature, SigningCredentials } from "./signing/sign.js"
export { carriesSignature, claimedKey, receivedRequest, SignatureVerifier } from "./signing/verify.js"
export type { SignatureForm, SignatureVersion } from "./signing/credentials.js"
export type { Version2Rules } from "./signing/version2.js"
export type { SignatureRules, VerifiedRequest } from "./signing/verify.js"
export type { ReceivedRequest } from "./signing/canonical.js"
