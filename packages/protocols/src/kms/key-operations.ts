/** Operations on the life of keys: making, describing, enabling, deleting and rotating them. */
import type { KmsKeyRecord, KmsKeyState } from "@hayloft/engine/format/accounts/kms-records.js"
import { defaultPolicy, NAMED_KEY_LIMITS, nextRotationMs, type NamedKey } from "@hayloft/access/keys/index.js"
import { KmsRefusal } from "./failures.js"
import { operation, type KmsCall, type Operations, type KmsResult } from "./operation.js"
import { kmsPageOf } from "./pages.js"
import { checkedPolicy } from "./policy-operations.js"
import { secondsOf } from "./times.js"
import type { Tags } from "@hayloft/base/tags.js"

const STATES: Readonly<Record<KmsKeyState, string>> = {
  enabled: "Enabled",
  disabled: "Disabled",
  pendingDeletion: "PendingDeletion",
}
const { deletionDays, rotationDays, descriptionCharactersMax } = NAMED_KEY_LIMITS

function metadataOf({ arn, holder, record }: NamedKey): Readonly<Record<string, unknown>> {
  const { id, state, deletionMs, description, external, versions } = record
  return {
    AWSAccountId: holder.accountNumber,
    KeyId: id,
    Arn: arn,
    CreationDate: secondsOf(versions[0]?.createdMs ?? 0),
    Enabled: state === "enabled",
    Description: description,
    KeyUsage: "ENCRYPT_DECRYPT",
    KeyState: STATES[state],
    ...(deletionMs !== undefined && { DeletionDate: secondsOf(deletionMs) }),
    Origin: external === undefined ? "AWS_KMS" : "EXTERNAL_KEY_STORE",
    KeyManager: "CUSTOMER",
    CustomerMasterKeySpec: "SYMMETRIC_DEFAULT",
    KeySpec: "SYMMETRIC_DEFAULT",
    EncryptionAlgorithms: ["SYMMETRIC_DEFAULT"],
    MultiRegion: false,
  }
}

async function createKey(call: KmsCall): Promise<KmsResult> {
  const { input, services, holder } = call
  input.oneOf("KeySpec", ["SYMMETRIC_DEFAULT"])
  input.oneOf("CustomerMasterKeySpec", ["SYMMETRIC_DEFAULT"])
  input.oneOf("KeyUsage", ["ENCRYPT_DECRYPT"])
  input.oneOf("Origin", ["AWS_KMS"])
  if (input.flag("MultiRegion")) throw new KmsRefusal("UnsupportedOperationException", "MultiRegion is not supported.")
  call.checkIdentity()
  const tags: Tags = input.tags()
  if (tags.length > 0) call.checkIdentity("*", "TagResource")
  const description = input.optional("Description", descriptionCharactersMax) ?? ""
  const text = input.optional("Policy", Infinity)
  const policy = text === undefined ? defaultPolicy(holder.accountNumber) : await checkedPolicy(call, text, undefined)
  return { KeyMetadata: metadataOf(await services.keys.create({ holder, description, policy, tags })) }
}

async function listKeys(call: KmsCall): Promise<KmsResult> {
  call.checkIdentity()
  const { services, holder, input } = call
  const { items, end } = await kmsPageOf(input, ofAccount(call), ({ id }) => id, { usual: 100, most: 1000 })
  const Keys = []
  for (const { id } of items) Keys.push({ KeyId: id, KeyArn: (await services.keys.find(id, holder)).arn })
  return { Keys, ...end }
}

async function* ofAccount({ services, holder }: KmsCall): AsyncGenerator<KmsKeyRecord> {
  for await (const key of services.keys.keys()) if (key.accountId === holder.accountId) yield key
}

async function scheduleDeletion(call: KmsCall): Promise<KmsResult> {
  const days = call.input.whole("PendingWindowInDays", deletionDays) ?? deletionDays.usual
  const { arn, record } = await call.ownKey()
  const { deletionMs } = await call.services.keys.change(record.id, { kind: "scheduleDeletion", days })
  const DeletionDate = secondsOf(deletionMs ?? 0)
  return { KeyId: arn, DeletionDate, KeyState: STATES.pendingDeletion, PendingWindowInDays: days }
}

async function changeState(call: KmsCall, kind: "enable" | "disable" | "stopRotation"): Promise<void> {
  const { record } = await call.ownKey()
  await call.services.keys.change(record.id, { kind })
}

async function startRotation(call: KmsCall): Promise<void> {
  const days = call.input.whole("RotationPeriodInDays", rotationDays)
  const { record } = await call.ownKey()
  await call.services.keys.change(record.id, {
    kind: "startRotation",
    days: days ?? record.rotation?.days ?? rotationDays.usual,
  })
}

async function rotationStatus(call: KmsCall): Promise<KmsResult> {
  const { arn, record } = await call.key()
  const nextMs = nextRotationMs(record)
  if (record.rotation === undefined || nextMs === undefined) return { KeyId: arn, KeyRotationEnabled: false }
  const { days } = record.rotation
  const isWaiting = record.state === "enabled"
  return {
    KeyId: arn,
    KeyRotationEnabled: record.state !== "pendingDeletion",
    RotationPeriodInDays: days,
    ...(isWaiting && { NextRotationDate: secondsOf(nextMs) }),
  }
}

async function listRotations(call: KmsCall): Promise<KmsResult> {
  const { arn, record } = await call.ownKey()
  const rotations = record.versions.map((version, i) => ({ ...version, number: i + 1 })).slice(1)
  const name = ({ number }: { readonly number: number }): string => String(number).padStart(6, "0")
  const { items, end } = await kmsPageOf(call.input, rotations, name, { usual: 100, most: 1000 })
  const Rotations = items.map(({ createdMs, isOnDemand }) => ({
    KeyId: arn,
    RotationDate: secondsOf(createdMs),
    RotationType: isOnDemand ? "ON_DEMAND" : "AUTOMATIC",
  }))
  return { Rotations, ...end }
}

export const KEY_OPERATIONS: Operations = {
  CreateKey: operation(
    "Policy Description KeyUsage CustomerMasterKeySpec KeySpec Origin BypassPolicyLockoutSafetyCheck Tags MultiRegion",
    createKey,
  ),
  DescribeKey: operation("KeyId GrantTokens", async call => {
    call.refuseTokens()
    return { KeyMetadata: metadataOf(await call.key()) }
  }),
  ListKeys: operation("Limit Marker", listKeys),
  UpdateKeyDescription: operation("KeyId Description", async call => {
    const description = call.input.optional("Description", descriptionCharactersMax) ?? ""
    const { record } = await call.ownKey()
    await call.services.keys.change(record.id, { kind: "describe", description })
  }),
  EnableKey: operation("KeyId", call => changeState(call, "enable")),
  DisableKey: operation("KeyId", call => changeState(call, "disable")),
  ScheduleKeyDeletion: operation("KeyId PendingWindowInDays", scheduleDeletion),
  CancelKeyDeletion: operation("KeyId", async call => {
    const { arn, record } = await call.ownKey()
    await call.services.keys.change(record.id, { kind: "cancelDeletion" })
    return { KeyId: arn }
  }),
  EnableKeyRotation: operation("KeyId RotationPeriodInDays", startRotation),
  DisableKeyRotation: operation("KeyId", call => changeState(call, "stopRotation")),
  GetKeyRotationStatus: operation("KeyId", rotationStatus),
  RotateKeyOnDemand: operation("KeyId", async call => {
    const { arn, record } = await call.ownKey()
    await call.services.keys.rotate(record, true)
    return { KeyId: arn }
  }),
  ListKeyRotations: operation("KeyId Limit Marker", listRotations),
}
