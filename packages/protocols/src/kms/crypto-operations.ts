/**
 * Operations that seal and open: with a key, and bound to an encryption context.
 *
 * Source  "Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateRandom", AWS KMS API Reference.
 */
import { fail } from "@hayloft/base/failures.js"
import type { EncryptionContext, NamedKey } from "@hayloft/access/keys/index.js"
import { KmsRefusal } from "./failures.js"
import { invalidKmsInput } from "./input.js"
import { operation, type KmsCall, type Operations, type KmsResult } from "./operation.js"

const PLAINTEXT_BYTES_MAX = 4096
const CIPHERTEXT_BYTES_MAX = 6144
const DATA_KEY_BYTES_MAX = 1024
const SPECS: ReadonlyMap<string, number> = new Map([
  ["AES_256", 32],
  ["AES_128", 16],
])
const ALGORITHM = "SYMMETRIC_DEFAULT"

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

function begin(call: KmsCall): void {
  call.refuseTokens()
  for (const member of ["EncryptionAlgorithm", "SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm"]) {
    call.input.oneOf(member, [ALGORITHM])
  }
}

async function encrypt(call: KmsCall): Promise<KmsResult> {
  begin(call)
  const context = call.input.context("EncryptionContext")
  const plain = call.input.blob("Plaintext", PLAINTEXT_BYTES_MAX)
  const { arn, record } = await call.key(context)
  call.checkDryRun()
  const ciphertext = await call.services.keys.seal(record, plain, context)
  return { CiphertextBlob: base64(ciphertext), KeyId: arn, EncryptionAlgorithm: ALGORITHM }
}

const DENIED =
  "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."

/** The key that made a ciphertext, if it is the one that the request names, and the caller may do this with it. */
async function sourceKey(
  call: KmsCall,
  ciphertext: Uint8Array,
  context: EncryptionContext,
  member: string,
  action: string,
): Promise<NamedKey> {
  const { keys, policies } = call.services
  const key = await keys.keyOfCiphertext(ciphertext)
  const named = call.input.has(member) ? await call.key(context, member, action) : undefined
  if (named !== undefined && named.arn !== key?.arn) {
    throw new KmsRefusal(
      "IncorrectKeyException",
      "The key ID in the request does not identify a CMK that can perform this operation.",
    )
  }
  if (key === undefined) throw fail("accessDenied", { message: DENIED })
  if (named !== undefined) return key
  const use = { action: `kms:${action}`, encryptionContext: context }
  if (policies.decide(call.caller, key, use).outcome !== "allow") {
    if (key.holder.accountId !== call.holder.accountId) throw fail("accessDenied", { message: DENIED })
    policies.check(call.caller, key, use)
  }
  return key
}

async function decrypt(call: KmsCall): Promise<KmsResult> {
  begin(call)
  const context = call.input.context("EncryptionContext")
  const ciphertext = call.input.blob("CiphertextBlob", CIPHERTEXT_BYTES_MAX)
  const { arn, record } = await sourceKey(call, ciphertext, context, "KeyId", "Decrypt")
  call.checkDryRun()
  const plain = await call.services.keys.open(record, ciphertext, context)
  return { KeyId: arn, Plaintext: base64(plain), EncryptionAlgorithm: ALGORITHM }
}

async function reEncrypt(call: KmsCall): Promise<KmsResult> {
  begin(call)
  const { input, services } = call
  const [before, context] = [input.context("SourceEncryptionContext"), input.context("DestinationEncryptionContext")]
  const ciphertext = input.blob("CiphertextBlob", CIPHERTEXT_BYTES_MAX)
  const source = await sourceKey(call, ciphertext, before, "SourceKeyId", "ReEncryptFrom")
  const target = await call.key(context, "DestinationKeyId", "ReEncryptTo")
  call.checkDryRun()
  const plain = await services.keys.open(source.record, ciphertext, before)
  return {
    CiphertextBlob: base64(await services.keys.seal(target.record, plain, context)),
    SourceKeyId: source.arn,
    KeyId: target.arn,
    SourceEncryptionAlgorithm: ALGORITHM,
    DestinationEncryptionAlgorithm: ALGORITHM,
  }
}

/** The length of the data key that a request wants. */
function lengthOf({ input }: KmsCall): number {
  const spec = input.oneOf("KeySpec", [...SPECS.keys()])
  const bytes = input.whole("NumberOfBytes", { least: 1, most: DATA_KEY_BYTES_MAX })
  if ((spec === undefined) === (bytes === undefined))
    throw invalidKmsInput("Please specify either number of bytes or key spec.")
  return bytes ?? SPECS.get(spec ?? "") ?? 0
}

async function generateDataKey(
  call: KmsCall,
): Promise<{ readonly plain: Uint8Array; readonly result: Record<string, unknown> }> {
  begin(call)
  const { input, services } = call
  const context = input.context("EncryptionContext")
  const length = lengthOf(call)
  const { arn, record } = await call.key(context)
  call.checkDryRun()
  if (length === 32) {
    const { plain, ciphertext } = await services.keys.dataKey(record, context)
    return { plain, result: { CiphertextBlob: base64(ciphertext), KeyId: arn } }
  }
  const plain = services.random.bytes(length)
  return { plain, result: { CiphertextBlob: base64(await services.keys.seal(record, plain, context)), KeyId: arn } }
}

const OF_DATA_KEY = "KeyId EncryptionContext NumberOfBytes KeySpec GrantTokens DryRun"

export const CRYPTO_OPERATIONS: Operations = {
  Encrypt: operation("KeyId Plaintext EncryptionContext GrantTokens EncryptionAlgorithm DryRun", encrypt),
  Decrypt: operation(
    "CiphertextBlob EncryptionContext GrantTokens KeyId EncryptionAlgorithm Recipient DryRun",
    decrypt,
  ),
  ReEncrypt: operation(
    "CiphertextBlob SourceEncryptionContext SourceKeyId DestinationKeyId DestinationEncryptionContext SourceEncryptionAlgorithm DestinationEncryptionAlgorithm GrantTokens DryRun",
    reEncrypt,
  ),
  GenerateDataKey: operation(`${OF_DATA_KEY} Recipient`, async call => {
    const { plain, result } = await generateDataKey(call)
    return { ...result, Plaintext: base64(plain) }
  }),
  GenerateDataKeyWithoutPlaintext: operation(OF_DATA_KEY, async call => (await generateDataKey(call)).result),
  GenerateRandom: operation("NumberOfBytes CustomKeyStoreId Recipient", async call => {
    call.input.oneOf("CustomKeyStoreId", [])
    call.refuseTokens()
    call.checkIdentity()
    const bytes = call.input.whole("NumberOfBytes", { least: 1, most: DATA_KEY_BYTES_MAX })
    if (bytes === undefined) throw invalidKmsInput("NumberOfBytes is required.")
    return { Plaintext: base64(call.services.random.bytes(bytes)) }
  }),
}
