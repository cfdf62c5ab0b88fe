/**
 * Changes of named keys, from one record to the next. Pure.
 *
 * Source  "Key states of AWS KMS keys", AWS KMS Developer Guide; the errors of each action, AWS KMS API Reference.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import { DAY_MS, NAMED_KEY_LIMITS } from "./limits.js"
import type { Tags } from "@hayloft/base/tags.js"

export type KeyChange =
  | { readonly kind: "describe"; readonly description: string }
  | { readonly kind: "enable" | "disable" | "cancelDeletion" | "stopRotation" }
  | { readonly kind: "scheduleDeletion" | "startRotation"; readonly days: number }
  | ({ readonly kind: "rotate" } & KeyRotation)
  | { readonly kind: "setPolicy"; readonly policy: string }
  | { readonly kind: "tag"; readonly tags: Tags }
  | { readonly kind: "untag"; readonly names: readonly string[] }

interface KeyRotation {
  /** The new one, whose material has been made. */
  readonly version: number
  readonly isOnDemand: boolean
}

/** Throws `kmsKeyState`, `kmsKeyDisabled`, `limitExceeded`, `conflict`, `notImplemented`. */
export function changeKey(key: KmsKeyRecord, change: KeyChange, nowMs: number): KmsKeyRecord {
  if (change.kind !== "cancelDeletion") checkNotPending(key)
  switch (change.kind) {
    case "describe":
      return { ...key, description: change.description }
    case "enable":
      return { ...key, state: "enabled" }
    case "disable":
      return { ...key, state: "disabled" }
    case "scheduleDeletion":
      return { ...key, state: "pendingDeletion", deletionMs: nowMs + change.days * DAY_MS }
    case "cancelDeletion":
      return cancelDeletion(key)
    case "startRotation":
      return startRotation(key, change.days, nowMs)
    case "stopRotation":
      checkRotatable(key)
      return { ...key, rotation: undefined }
    case "rotate":
      return rotate(key, change, nowMs)
    case "setPolicy":
      return { ...key, policy: change.policy }
    case "tag":
      return { ...key, tags: tagged(key.tags, change.tags) }
    case "untag":
      return { ...key, tags: key.tags.filter(([name]) => !change.names.includes(name)) }
  }
}

export const currentVersionOf = ({ versions }: Pick<KmsKeyRecord, "versions">): number => versions.length

/** When the next rotation is due; undefined: never. */
export const nextRotationMs = ({ rotation }: Pick<KmsKeyRecord, "rotation">): number | undefined =>
  rotation && rotation.sinceMs + rotation.days * DAY_MS

/** Throws `kmsKeyDisabled`, `kmsKeyState` unless messages may be sealed and opened with the key. */
export function checkUsable({ id, state }: Pick<KmsKeyRecord, "id" | "state">, arn: string = id): void {
  if (state === "disabled") throw fail("kmsKeyDisabled", { message: `${arn} is disabled.` })
  if (state === "pendingDeletion") throw fail("kmsKeyState", { message: `${arn} is pending deletion.` })
}

/** Throws what `changeKey` throws for a rotation: before its material is made. */
export function checkRotation(key: KmsKeyRecord, { version, isOnDemand }: KeyRotation): void {
  checkNotPending(key)
  checkRotatable(key)
  if (key.state === "disabled") throw disabled(key)
  if (version !== currentVersionOf(key) + 1) throw fail("conflict", { message: `${key.id} was rotated meanwhile.` })
  const { onDemandRotationsMax } = NAMED_KEY_LIMITS
  if (isOnDemand && key.versions.filter(each => each.isOnDemand).length >= onDemandRotationsMax) {
    throw fail("limitExceeded", { message: `A key is rotated on demand at most ${onDemandRotationsMax} times.` })
  }
}

function checkNotPending({ id, state }: KmsKeyRecord): void {
  if (state === "pendingDeletion") throw fail("kmsKeyState", { message: `${id} is pending deletion.` })
}

function cancelDeletion(key: KmsKeyRecord): KmsKeyRecord {
  if (key.state !== "pendingDeletion") throw fail("kmsKeyState", { message: `${key.id} is not pending deletion.` })
  return { ...key, state: "disabled", deletionMs: undefined }
}

function startRotation(key: KmsKeyRecord, days: number, nowMs: number): KmsKeyRecord {
  checkRotatable(key)
  if (key.state === "disabled") throw disabled(key)
  return { ...key, rotation: { days, sinceMs: key.rotation?.sinceMs ?? nowMs } }
}

function rotate(key: KmsKeyRecord, { version, isOnDemand }: KeyRotation, nowMs: number): KmsKeyRecord {
  checkRotation(key, { version, isOnDemand })
  const versions = [...key.versions, { createdMs: nowMs, isOnDemand }]
  const rotation = isOnDemand || key.rotation === undefined ? key.rotation : { ...key.rotation, sinceMs: nowMs }
  return { ...key, versions, rotation }
}

function checkRotatable({ external }: KmsKeyRecord): void {
  if (external === undefined) return
  throw fail("notImplemented", { message: "The key service that has this key rotates it, not this store." })
}

const disabled = ({ id }: KmsKeyRecord): Failure => fail("kmsKeyDisabled", { message: `${id} is disabled.` })

/** Names of tags are compared with their case. */
function tagged(tags: Tags, added: Tags): Tags {
  const names = new Set(added.map(([name]) => name))
  const all = [...tags.filter(([name]) => !names.has(name)), ...added]
  if (all.length <= NAMED_KEY_LIMITS.tagsMax) return all
  throw fail("limitExceeded", { message: `A key has at most ${NAMED_KEY_LIMITS.tagsMax} tags.` })
}
