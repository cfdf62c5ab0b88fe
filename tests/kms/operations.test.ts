/**
 * Every operation of KMS: its result, its errors, and what it refuses.
 *
 * Source  AWS KMS API Reference, the page of each action.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseKmsKeyId } from "@hayloft/base/ids.js"
import { B64, KmsApiWorld, type Members } from "./api-world.js"

const UNKNOWN = "00000000-0000-4000-8000-000000000000"
const DAY_S = 86_400
/** The start time of the rows in memory. */
const START_S = 1_700_000_000

test("a new key is described, listed, and found by its id, ARN and aliases", async () => {
  const world = await KmsApiWorld.open()
  const id = await world.key({ Description: "photos", Tags: [{ TagKey: "team", TagValue: "web" }] })
  const about = await world.metadata(id)
  const account = String(about["AWSAccountId"])
  const arn = `arn:aws:kms:us-east-1:${account}:key/${id}`
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.match(account, /^\d{12}$/)
  const { CreationDate, ...rest } = about
  assert.ok(Math.abs(Number(CreationDate) - START_S) < 60)
  assert.deepEqual(rest, {
    AWSAccountId: account,
    KeyId: id,
    Arn: arn,
    Enabled: true,
    Description: "photos",
    KeyState: "Enabled",
    KeyUsage: "ENCRYPT_DECRYPT",
    Origin: "AWS_KMS",
    KeyManager: "CUSTOMER",
    MultiRegion: false,
    CustomerMasterKeySpec: "SYMMETRIC_DEFAULT",
    KeySpec: "SYMMETRIC_DEFAULT",
    EncryptionAlgorithms: ["SYMMETRIC_DEFAULT"],
  })
  await world.kms("CreateAlias", { AliasName: "alias/photos", TargetKeyId: id })
  for (const name of [arn, "alias/photos", `arn:aws:kms:us-east-1:${account}:alias/photos`]) {
    assert.equal((await world.metadata(name))["KeyId"], id, name)
  }
  assert.deepEqual(await world.kms("ListKeys"), { Keys: [{ KeyId: id, KeyArn: arn }], Truncated: false })
  await world.kms("UpdateKeyDescription", { KeyId: id, Description: "cats" })
  assert.equal((await world.metadata(id))["Description"], "cats")
})

test("unknown keys are not found, whatever they are called by", async () => {
  const world = await KmsApiWorld.open()
  const account = String((await world.metadata(await world.key()))["AWSAccountId"])
  const names = [
    UNKNOWN,
    "alias/none",
    "x",
    `arn:aws:kms:us-east-1:${account}:key/${UNKNOWN}`,
    `arn:aws:kms:us-east-1:999999999999:key/${UNKNOWN}`,
    `arn:aws:kms:eu-west-1:${account}:alias/none`,
  ]
  for (const KeyId of names) await world.refused("NotFoundException", "DescribeKey", { KeyId })
  await world.refused("ValidationException", "DescribeKey", {})
})

test("lists continue where a page ended", async () => {
  const world = await KmsApiWorld.open()
  const ids = [await world.key(), await world.key(), await world.key()].sort()
  const first = await world.kms("ListKeys", { Limit: 2 })
  assert.equal(first["Truncated"], true)
  const rest = await world.kms("ListKeys", { Limit: 2, Marker: first["NextMarker"] })
  const listed = [first, rest].flatMap(({ Keys }) => (Keys as Members[]).map(({ KeyId }) => KeyId))
  assert.deepEqual([listed, rest["Truncated"]], [ids, false])
  for (const Limit of [0, 1001]) await world.refused("ValidationException", "ListKeys", { Limit })
  await world.refused("SerializationException", "ListKeys", { Limit: 1.5 })
  await world.refused("ValidationException", "ListKeys", { Marker: "*" })
})

test("a message opens with its context only, and names its key", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  const EncryptionContext = { purpose: "test", é: "ü" }
  const sealed = await world.kms("Encrypt", { KeyId, Plaintext: B64("attack at dawn"), EncryptionContext })
  const { CiphertextBlob } = sealed
  const opened = await world.kms("Decrypt", { CiphertextBlob, EncryptionContext: { é: "ü", purpose: "test" } })
  assert.equal(opened["Plaintext"], B64("attack at dawn"))
  assert.equal(opened["KeyId"], sealed["KeyId"])
  for (const wrong of [{}, { purpose: "Test", é: "ü" }, { purpose: "test" }]) {
    await world.refused("InvalidCiphertextException", "Decrypt", { CiphertextBlob, EncryptionContext: wrong })
  }
  const other = await world.key()
  await world.refused("IncorrectKeyException", "Decrypt", { CiphertextBlob, EncryptionContext, KeyId: other })
  await world.refused("InvalidCiphertextException", "Decrypt", { CiphertextBlob: B64("junk") })
  await world.refused("SerializationException", "Decrypt", { CiphertextBlob: "é" })
  await world.refused("ValidationException", "Encrypt", { KeyId, Plaintext: B64("x".repeat(4097)) })
  await world.kms("Encrypt", { KeyId, Plaintext: B64("x".repeat(4096)) })
})

test("data keys have the length that was asked for, and their ciphertexts open", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  for (const [members, bytes] of [
    [{ KeySpec: "AES_256" }, 32],
    [{ KeySpec: "AES_128" }, 16],
    [{ NumberOfBytes: 64 }, 64],
  ] as const) {
    const made = await world.kms("GenerateDataKey", { KeyId, ...members, EncryptionContext: { a: "b" } })
    assert.equal(Buffer.from(String(made["Plaintext"]), "base64").length, bytes)
    const opened = await world.kms("Decrypt", {
      CiphertextBlob: made["CiphertextBlob"],
      EncryptionContext: { a: "b" },
    })
    assert.equal(opened["Plaintext"], made["Plaintext"])
  }
  const hidden = await world.kms("GenerateDataKeyWithoutPlaintext", { KeyId, KeySpec: "AES_256" })
  assert.deepEqual(Object.keys(hidden).sort(), ["CiphertextBlob", "KeyId"])
  const random = await world.kms("GenerateRandom", { NumberOfBytes: 7 })
  assert.equal(Buffer.from(String(random["Plaintext"]), "base64").length, 7)
  for (const members of [{}, { KeySpec: "AES_256", NumberOfBytes: 5 }, { NumberOfBytes: 1025 }]) {
    await world.refused("ValidationException", "GenerateDataKey", { KeyId, ...members })
  }
})

test("re-encryption moves a message to another key and context", async () => {
  const world = await KmsApiWorld.open()
  const [from, to] = [await world.key(), await world.key()]
  const { CiphertextBlob } = await world.kms("Encrypt", {
    KeyId: from,
    Plaintext: B64("x"),
    EncryptionContext: { a: "1" },
  })
  const moved = await world.kms("ReEncrypt", {
    CiphertextBlob,
    SourceEncryptionContext: { a: "1" },
    DestinationKeyId: to,
    DestinationEncryptionContext: { b: "2" },
  })
  assert.deepEqual([String(moved["SourceKeyId"]).endsWith(from), String(moved["KeyId"]).endsWith(to)], [true, true])
  const opened = await world.kms("Decrypt", {
    CiphertextBlob: moved["CiphertextBlob"],
    KeyId: to,
    EncryptionContext: { b: "2" },
  })
  assert.equal(opened["Plaintext"], B64("x"))
})

test("a disabled key does nothing until it is enabled", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  const { CiphertextBlob } = await world.kms("Encrypt", { KeyId, Plaintext: B64("x") })
  await world.kms("DisableKey", { KeyId })
  assert.equal((await world.metadata(KeyId))["KeyState"], "Disabled")
  await world.refused("DisabledException", "Decrypt", { CiphertextBlob })
  await world.refused("DisabledException", "Encrypt", { KeyId, Plaintext: B64("x") })
  await world.refused("DisabledException", "GenerateDataKey", { KeyId, KeySpec: "AES_256" })
  await world.refused("DisabledException", "RotateKeyOnDemand", { KeyId })
  await world.kms("EnableKey", { KeyId })
  assert.equal((await world.kms("Decrypt", { CiphertextBlob }))["Plaintext"], B64("x"))
})

test("a key that is pending deletion can only be described, and kept", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  const { CiphertextBlob } = await world.kms("Encrypt", { KeyId, Plaintext: B64("x") })
  for (const PendingWindowInDays of [6, 31]) {
    await world.refused("ValidationException", "ScheduleKeyDeletion", { KeyId, PendingWindowInDays })
  }
  const scheduled = await world.kms("ScheduleKeyDeletion", { KeyId, PendingWindowInDays: 7 })
  assert.deepEqual([scheduled["KeyState"], scheduled["PendingWindowInDays"]], ["PendingDeletion", 7])
  assert.ok(Math.abs(Number(scheduled["DeletionDate"]) - (START_S + 7 * DAY_S)) < 60)
  assert.equal((await world.metadata(KeyId))["KeyState"], "PendingDeletion")
  const refusedOperations: readonly (readonly [string, Members])[] = [
    ["Encrypt", { KeyId, Plaintext: B64("x") }],
    ["Decrypt", { CiphertextBlob }],
    ["EnableKey", { KeyId }],
    ["DisableKey", { KeyId }],
    ["ScheduleKeyDeletion", { KeyId }],
    ["RotateKeyOnDemand", { KeyId }],
    ["CreateAlias", { AliasName: "alias/late", TargetKeyId: KeyId }],
  ]
  for (const [operation, members] of refusedOperations) {
    await world.refused("KMSInvalidStateException", operation, members)
  }
  await world.kms("CancelKeyDeletion", { KeyId })
  assert.equal((await world.metadata(KeyId))["KeyState"], "Disabled", "it is not enabled by that")
  await world.refused("KMSInvalidStateException", "CancelKeyDeletion", { KeyId })
})

test("after a rotation old messages open, and new ones have a new material", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  const before = await world.kms("Encrypt", { KeyId, Plaintext: B64("old") })
  await world.kms("RotateKeyOnDemand", { KeyId })
  const later = await world.kms("Encrypt", { KeyId, Plaintext: B64("new") })
  const versionOf = ({ CiphertextBlob }: Members): number =>
    Buffer.from(String(CiphertextBlob), "base64").readUInt32BE(17)
  assert.deepEqual([versionOf(before), versionOf(later)], [1, 2])
  assert.equal((await world.kms("Decrypt", { CiphertextBlob: before["CiphertextBlob"] }))["Plaintext"], B64("old"))
  const { Rotations } = await world.kms("ListKeyRotations", { KeyId })
  assert.deepEqual(
    (Rotations as Members[]).map(({ RotationType }) => RotationType),
    ["ON_DEMAND"],
  )
  for (let n = 2; n <= 25; n += 1) await world.kms("RotateKeyOnDemand", { KeyId })
  await world.refused("LimitExceededException", "RotateKeyOnDemand", { KeyId })
})

test("a rotation that is refused makes no material", async () => {
  const world = await KmsApiWorld.open()
  const [disabled, pending, other] = [await world.key(), await world.key(), await world.key()]
  await world.kms("DisableKey", { KeyId: disabled })
  await world.kms("ScheduleKeyDeletion", { KeyId: pending })
  await world.refused("DisabledException", "RotateKeyOnDemand", { KeyId: disabled })
  await world.refused("KMSInvalidStateException", "RotateKeyOnDemand", { KeyId: pending })
  const { record } = must(await world.keys.byId(other), "the key exists")
  const external = { ...record, external: { kind: "vault", name: "photos" } } as const
  await assert.rejects(world.keys.rotate(external, true), error => isFailure(error, "notImplemented"))
  for (const id of [disabled, pending, other]) {
    assert.throws(
      () => world.materials.get(parseKmsKeyId(id), 2),
      error => isFailure(error, "keysUnavailable"),
    )
  }
})

test("automatic rotation is turned on, shown and turned off", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  assert.equal((await world.kms("GetKeyRotationStatus", { KeyId }))["KeyRotationEnabled"], false)
  await world.kms("EnableKeyRotation", { KeyId })
  const status = await world.kms("GetKeyRotationStatus", { KeyId })
  assert.deepEqual([status["KeyRotationEnabled"], status["RotationPeriodInDays"]], [true, 365])
  assert.ok(Math.abs(Number(status["NextRotationDate"]) - (START_S + 365 * DAY_S)) < 60)
  await world.kms("EnableKeyRotation", { KeyId, RotationPeriodInDays: 90 })
  assert.equal((await world.kms("GetKeyRotationStatus", { KeyId }))["RotationPeriodInDays"], 90)
  for (const RotationPeriodInDays of [89, 2561]) {
    await world.refused("ValidationException", "EnableKeyRotation", { KeyId, RotationPeriodInDays })
  }
  await world.kms("DisableKeyRotation", { KeyId })
  assert.equal((await world.kms("GetKeyRotationStatus", { KeyId }))["KeyRotationEnabled"], false)
})

test("aliases are unique in an account, and can be moved and deleted", async () => {
  const world = await KmsApiWorld.open()
  const [first, second] = [await world.key(), await world.key()]
  await world.kms("CreateAlias", { AliasName: "alias/a", TargetKeyId: first })
  await world.refused("AlreadyExistsException", "CreateAlias", { AliasName: "alias/a", TargetKeyId: second })
  await world.kms("UpdateAlias", { AliasName: "alias/a", TargetKeyId: second })
  assert.equal((await world.metadata("alias/a"))["KeyId"], second)
  const { Aliases } = await world.kms("ListAliases", { KeyId: second })
  assert.deepEqual(
    (Aliases as Members[]).map(({ AliasName, TargetKeyId }) => [AliasName, TargetKeyId]),
    [["alias/a", second]],
  )
  assert.deepEqual((await world.kms("ListAliases", { KeyId: first }))["Aliases"], [])
  await world.refused("NotFoundException", "UpdateAlias", { AliasName: "alias/b", TargetKeyId: first })
  await world.refused("NotFoundException", "DeleteAlias", { AliasName: "alias/b" })
  for (const AliasName of ["a", "alias/", "alias/a b"]) {
    await world.refused("InvalidAliasNameException", "CreateAlias", { AliasName, TargetKeyId: first })
  }
  await world.refused("NotAuthorizedException", "CreateAlias", { AliasName: "alias/aws/s3", TargetKeyId: first })
  await world.kms("DeleteAlias", { AliasName: "alias/a" })
  await world.refused("NotFoundException", "DescribeKey", { KeyId: "alias/a" })
})

test("an alias moves only for a caller who may do so with the key that it points to now, too", async () => {
  const world = await KmsApiWorld.open()
  const [held, own] = [await world.key(), await world.key()]
  await world.kms("CreateAlias", { AliasName: "alias/shared", TargetKeyId: held })
  const account = String((await world.metadata(held))["AWSAccountId"])
  const resources = [`arn:aws:kms:us-east-1:${account}:alias/shared`, `arn:aws:kms:us-east-1:${account}:key/${own}`]
  const allow = (Resource: readonly string[]) =>
    JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "kms:UpdateAlias", Resource }] })
  const move = { AliasName: "alias/shared", TargetKeyId: own }
  const ann = await world.iam.user("ann", allow(resources))
  const { text } = await world.refused("AccessDeniedException", "UpdateAlias", move, ann)
  assert.ok(text.includes(`kms:UpdateAlias on resource: arn:aws:kms:us-east-1:${account}:key/${held}`), text)
  assert.equal((await world.metadata("alias/shared"))["KeyId"], held)
  const bob = await world.iam.user("bob", allow([...resources, `arn:aws:kms:us-east-1:${account}:key/${held}`]))
  await world.kms("UpdateAlias", move, bob)
  assert.equal((await world.metadata("alias/shared"))["KeyId"], own)
})

test("tags are added, replaced, listed and removed", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key({ Tags: [{ TagKey: "b", TagValue: "1" }] })
  await world.kms("TagResource", {
    KeyId,
    Tags: [
      { TagKey: "a", TagValue: "" },
      { TagKey: "b", TagValue: "2" },
    ],
  })
  assert.deepEqual((await world.kms("ListResourceTags", { KeyId }))["Tags"], [
    { TagKey: "a", TagValue: "" },
    { TagKey: "b", TagValue: "2" },
  ])
  await world.kms("UntagResource", { KeyId, TagKeys: ["b", "none"] })
  assert.deepEqual((await world.kms("ListResourceTags", { KeyId }))["Tags"], [{ TagKey: "a", TagValue: "" }])
  await world.refused("TagException", "TagResource", { KeyId, Tags: [{ TagKey: "aws:x", TagValue: "" }] })
  await world.refused("SerializationException", "TagResource", { KeyId, Tags: [{ TagKey: "x" }] })
})

test("the usual policy lets identity policies decide", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  const { Policy, PolicyName } = await world.kms("GetKeyPolicy", { KeyId })
  assert.equal(PolicyName, "default")
  assert.match(String(Policy), /"Sid":"Enable IAM User Permissions"/)
  assert.deepEqual((await world.kms("ListKeyPolicies", { KeyId }))["PolicyNames"], ["default"])
  const statement = { Effect: "Allow", Action: "kms:Encrypt", Resource: "*" }
  const ann = await world.iam.user("ann", JSON.stringify({ Version: "2012-10-17", Statement: [statement] }))
  const bob = await world.iam.user("bob")
  const sealed = await world.kms("Encrypt", { KeyId, Plaintext: B64("x") }, ann)
  await world.refused("AccessDeniedException", "Decrypt", { CiphertextBlob: sealed["CiphertextBlob"] }, ann)
  const denied = await world.refused("AccessDeniedException", "Encrypt", { KeyId, Plaintext: B64("x") }, bob)
  assert.equal(denied.status, 403)
  assert.match(denied.text, /user\/bob is not authorized to perform: kms:Encrypt on resource: arn:aws:kms/)
})

test("conditions on the encryption context, and policies that name a user", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  const account = String((await world.metadata(KeyId))["AWSAccountId"])
  const ann = await world.iam.user("ann")
  const own = { Effect: "Allow", Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: "kms:*", Resource: "*" }
  const forAnn = {
    Effect: "Allow",
    Principal: { AWS: `arn:aws:iam::${account}:user/ann` },
    Resource: "*",
    Action: ["kms:Encrypt"],
    Condition: { StringEquals: { "kms:EncryptionContext:Team": "web" } },
  }
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [own, forAnn] })
  await world.kms("PutKeyPolicy", { KeyId, PolicyName: "default", Policy })
  assert.equal((await world.kms("GetKeyPolicy", { KeyId }))["Policy"], Policy, "shown as it was written")
  const message = { KeyId, Plaintext: B64("x") }
  await world.kms("Encrypt", { ...message, EncryptionContext: { Team: "web" } }, ann)
  await world.refused("AccessDeniedException", "Encrypt", { ...message, EncryptionContext: { Team: "ops" } }, ann)
  await world.refused("AccessDeniedException", "Encrypt", message, ann)
})

test("a policy under which its author could not change it again is refused", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  const account = String((await world.metadata(KeyId))["AWSAccountId"])
  const closed = {
    Effect: "Allow",
    Principal: { AWS: `arn:aws:iam::${account}:root` },
    Resource: "*",
    Action: ["kms:Describe*", "kms:Encrypt"],
  }
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [closed] })
  await world.refused("MalformedPolicyDocumentException", "PutKeyPolicy", { KeyId, Policy })
  await world.refused("MalformedPolicyDocumentException", "CreateKey", { Policy })
  for (const wrong of [
    "{}",
    "x",
    Policy.replace("kms:Encrypt", "s3:GetObject"),
    Policy.replace(":root", ":user/none"),
  ]) {
    await world.refused("MalformedPolicyDocumentException", "PutKeyPolicy", { KeyId, Policy: wrong })
  }
  await world.kms("PutKeyPolicy", { KeyId, Policy, BypassPolicyLockoutSafetyCheck: true })
  await world.refused("AccessDeniedException", "DisableKey", { KeyId })
  await world.kms("Encrypt", { KeyId, Plaintext: B64("x") })
})

test("a request that only tries changes nothing", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  await world.refused("DryRunOperationException", "Encrypt", { KeyId, Plaintext: B64("x"), DryRun: true })
  await world.refused("DryRunOperationException", "GenerateDataKey", { KeyId, KeySpec: "AES_256", DryRun: true })
})

test("what is not built is refused by name", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  for (const operation of ["CreateGrant", "ListGrants", "RetireGrant", "Sign", "ImportKeyMaterial"]) {
    const { text } = await world.refused("UnsupportedOperationException", operation)
    assert.match(text, new RegExp(operation))
  }
  await world.refused("UnknownOperationException", "Nothing")
  await world.refused("UnknownOperationException", "toString")
  const refusedMembers: readonly (readonly [string, Members])[] = [
    ["CreateKey", { KeySpec: "RSA_2048" }],
    ["CreateKey", { KeyUsage: "SIGN_VERIFY" }],
    ["CreateKey", { MultiRegion: true }],
    ["CreateKey", { Origin: "EXTERNAL" }],
    ["Encrypt", { KeyId, Plaintext: B64("x"), EncryptionAlgorithm: "RSAES_OAEP_SHA_1" }],
    ["Encrypt", { KeyId, Plaintext: B64("x"), GrantTokens: ["a"] }],
    ["GenerateDataKey", { KeyId, KeySpec: "AES_256", Recipient: {} }],
  ]
  for (const [operation, members] of refusedMembers) {
    await world.refused("UnsupportedOperationException", operation, members)
  }
  await world.refused("ValidationException", "CreateKey", { Unknown: 1 })
})

test("hostile JSON is refused", async () => {
  const world = await KmsApiWorld.open()
  const deep = "[".repeat(20_000) + "]".repeat(20_000)
  const texts = ["{", "[]", "null", "1", '"a"', '{"KeyId":"a","KeyId":"b"}', `{"KeyId":${deep}`, "\u0000", '{"a":1,}']
  for (const text of texts) await world.refused("SerializationException", "DescribeKey", text)
  await world.refused("SerializationException", "DescribeKey", `{"KeyId":${deep}}`)
  const KeyId = await world.key()
  await world.refused("SerializationException", "Encrypt", `{"KeyId":"${KeyId}","EncryptionContext":{"a":"1","a":"2"}}`)
  await world.refused("ValidationException", "DescribeKey", '{"__proto__":{}}')
  for (const value of [1, null, [], { a: 1 }, { a: null }, "x"]) {
    const answer = await world.ask("Encrypt", { KeyId, Plaintext: B64("x"), EncryptionContext: value })
    assert.equal(answer.status === 200, value === null, JSON.stringify(value))
  }
  for (const value of [1, {}, [], true]) await world.refused("SerializationException", "DescribeKey", { KeyId: value })
  await world.refused("RequestEntityTooLargeException", "DescribeKey", { KeyId: "x".repeat(70_000) })
})

test("unsigned requests, and those of unknown keys, learn nothing", async () => {
  const world = await KmsApiWorld.open()
  await world.refused("MissingAuthenticationTokenException", "ListKeys", {}, "unsigned")
  await world.refused("UnrecognizedClientException", "ListKeys", {}, { accessKeyId: "AKIANOBODY", secret: "x" })
  await world.refused("InvalidSignatureException", "ListKeys", {}, { accessKeyId: "HLROOT", secret: "wrong" })
})

test("a key of another account needs both accounts' consent, and is managed by its own", async () => {
  const world = await KmsApiWorld.open()
  const KeyId = await world.key()
  const arn = String((await world.metadata(KeyId))["Arn"])
  const { accounts } = world.iam.access.access
  const other = await accounts.createAccount({ displayName: "other", email: "" })
  const { key, secret } = await accounts.createKey({ accountId: other.id, userName: undefined })
  const guest = { accessKeyId: key.id, secret }
  await world.refused("NotFoundException", "DescribeKey", { KeyId }, guest)
  await world.refused("AccessDeniedException", "DescribeKey", { KeyId: arn }, guest)
  assert.deepEqual((await world.kms("ListKeys", {}, guest))["Keys"], [])
  const about = await world.metadata(KeyId)
  const account = String(about["AWSAccountId"])
  const statements = [account, other.number].map(number => ({
    Effect: "Allow",
    Principal: { AWS: `arn:aws:iam::${number}:root` },
    Action: "kms:*",
    Resource: "*",
  }))
  await world.kms("PutKeyPolicy", { KeyId, Policy: JSON.stringify({ Version: "2012-10-17", Statement: statements }) })
  const sealed = await world.kms("Encrypt", { KeyId: arn, Plaintext: B64("x") }, guest)
  const opened = await world.kms("Decrypt", { CiphertextBlob: sealed["CiphertextBlob"] }, guest)
  assert.equal(opened["Plaintext"], B64("x"))
  await world.refused("AccessDeniedException", "DisableKey", { KeyId: arn }, guest)
})
