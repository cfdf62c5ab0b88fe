/** Access: identities, keys, sealed secrets, request signatures, access policies. */
export type {
  AccessKey,
  AssumeRequest,
  Account,
  Accounts,
  Identities,
  IdentityRef,
  IssuedSession,
  KeyOwner,
  Keyring,
  KnownKey,
  PolicyUse,
  Sessions,
  UsedPolicy,
  WebIdentity,
} from "./contract.js"
export { openAccessKeySecret, type ResealedKeys } from "./account-service.js"
export { DENIALS_KEPT, Denials, type Denial } from "./denials/denials.js"
export { explainDenial } from "./denials/explain-denial-core.js"
export { randomAccessKeyId, randomSecret } from "./random-ids.js"
export { BUILT_IN_POLICIES } from "./identities/built-in-policies.js"
export { IDENTITY_LIMITS } from "./identities/limits.js"
export { hostAndPath, identityArn, parseIdentityArn, policyArn, providerArn, rootArn } from "./identities/names.js"
export { MasterKeys } from "./master-keys.js"
export { RateLimiter, type RateReport } from "./rates/rate-limiter.js"
export type { RootKey } from "./known-keys.js"
export { ALL_ROWS } from "./record-pages-core.js"
export { AdminTokens, TOKEN_NAME_CHARACTERS_MAX, type ShownAdminToken } from "./admin-tokens.js"
export { AuditLog, type AuditedChange } from "./audit-log.js"
export type { AuditPage } from "./audit-log-core.js"
export { openAccess, openAuditLog, openAdminTokens, type Access } from "./open-access.js"
export * from "./policy/contract.js"
export { denialsOf, parseBucketPolicy } from "./policy/bucket-policy.js"
export { decide, NO_POLICIES, NO_RESOURCE_POLICIES } from "./policy/decide.js"
export { DeniedAccess } from "./policy/denied-access.js"
export { sentenceOfDecision } from "./policy/explain.js"
export { POLICY_LIMITS } from "./policy/limits.js"
export { parseAccessPolicy } from "./policy/parse-access-policy.js"
export { readJsonObject, type JsonObject } from "./policy/read-json.js"
export { isPublic } from "./policy/policy-status.js"
export type { AnonymousPrincipal, KnownPrincipal, Principal } from "./principal.js"
export * from "./acl/acl.js"
export * from "./acl/acl-match.js"
export { deriveKey, MASTER_KEY_BYTES, openSecret, sealSecret } from "./seal.js"
export * from "./sigv4.js"
