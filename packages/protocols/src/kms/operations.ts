/** All operations of AWS KMS by name. */
import { CRYPTO_OPERATIONS } from "./crypto-operations.js"
import { KEY_OPERATIONS } from "./key-operations.js"
import type { KmsOperation, Operations } from "./operation.js"
import { POLICY_OPERATIONS } from "./policy-operations.js"

/** Grants: key policies do the same. The others concern keys of kinds that this store does not have. */
const REFUSED = new Set(
  `CreateGrant ListGrants ListRetirableGrants RetireGrant RevokeGrant ConnectCustomKeyStore CreateCustomKeyStore
  DeleteCustomKeyStore DescribeCustomKeyStores DisconnectCustomKeyStore UpdateCustomKeyStore DeleteImportedKeyMaterial
  GetParametersForImport ImportKeyMaterial DeriveSharedSecret GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext
  GenerateMac VerifyMac GetPublicKey Sign Verify ReplicateKey UpdatePrimaryRegion GetKeyLastUsage`.split(/\s+/),
)

/** Returns all actions of KMS by the names that policies use. */
export const kmsActions = (): readonly string[] => [...Object.keys(BUILT), ...REFUSED].map(name => `kms:${name}`)

const BUILT: Operations = { ...KEY_OPERATIONS, ...POLICY_OPERATIONS, ...CRYPTO_OPERATIONS }

/** "refused": AWS has it; undefined: there is no such operation. */
export function findOperation(name: string): KmsOperation | "refused" | undefined {
  if (REFUSED.has(name)) return "refused"
  return Object.hasOwn(BUILT, name) ? BUILT[name] : undefined
}
