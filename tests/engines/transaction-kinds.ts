/** Random transactions: with one operation or several, with tokens that meet, and with their leftovers. */
import { rowKeyOf } from "@hayloft/base/ids.js"
import {
  decodeGuards,
  isGuardsRowKey,
  type TransactionToken,
} from "@hayloft/engine/format/objects/transaction-record.js"
import {
  commitTransaction,
  dropGuards,
  findTransaction,
  overTransactions,
  type TransactionStep,
} from "@hayloft/features/transactions/transaction-commands-core.js"
import { completionIn } from "./multipart-kinds.js"
import { removingOf } from "./object-kinds.js"
import { renameAnywhere } from "./rename-kinds.js"
import { ACCOUNTS, commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const STEPS_MAX = 4

function token(scene: Scene): TransactionToken {
  const digest = new Uint8Array(32).fill(scene.oneIn(3) ? 2 : 1)
  return { account: scene.pick(ACCOUNTS), token: scene.pick(["a", "b", "c", "d", "e", "f"]), digest }
}

/** A place that usually has no object. */
const anywhere = (scene: Scene) => (scene.oneIn(2) ? scene.object() : { bucketId: scene.bucketId(), key: scene.key() })

function step(scene: Scene): TransactionStep | undefined {
  const removing = removingOf(scene)
  switch (scene.random.below(5)) {
    case 0: {
      const check = anywhere(scene)
      return { kind: "check", check: { ...check, conditions: scene.conditions(check) } }
    }
    case 1: {
      const name = anywhere(scene)
      const remove = { ...name, conditions: scene.conditions(name), removing, random: scene.random.bytes(8) }
      return { kind: "delete", remove }
    }
    case 2: {
      const name = anywhere(scene)
      return { kind: "delete", remove: { ...name, conditions: {}, removing, versionId: scene.versionId(name) } }
    }
    case 3:
      return { kind: "put", complete: completionIn(scene) }
    default: {
      const rename = renameAnywhere(scene)
      return rename && { kind: "rename", rename }
    }
  }
}

/** Operations as a caller checks them: each key is in one only. */
function steps(scene: Scene): readonly TransactionStep[] {
  const seen = new Set<string>()
  const all = Array.from({ length: 1 + scene.random.below(STEPS_MAX) }, () => step(scene))
  return all
    .filter(each => each !== undefined)
    .filter(each => {
      const names = namesOf(each)
      const isNew = new Set(names).size === names.length && names.every(name => !seen.has(name))
      if (isNew) for (const name of names) seen.add(name)
      return isNew
    })
}

function namesOf(each: TransactionStep): readonly string[] {
  switch (each.kind) {
    case "put":
      return [`${each.complete.bucketId} ${each.complete.key}`]
    case "delete":
      return [`${each.remove.bucketId} ${each.remove.key}`]
    case "check":
      return [`${each.check.bucketId} ${each.check.key}`]
    case "rename": {
      const { bucketId, fromBucketId = bucketId, from, to } = each.rename
      return [`${fromBucketId} ${from}`, `${bucketId} ${to}`]
    }
  }
}

const guards = (scene: Scene) =>
  scene
    .rows("transactions")
    .filter(([rowKey]) => isGuardsRowKey(rowKey))
    .map(([rowKey, { value }]) => ({ rowKey, keys: decodeGuards(value).keys }))

export const TRANSACTION_COMMANDS: readonly PlayKind[] = [
  commandKind("CommitTransaction", 10, scene => {
    const given = scene.oneIn(3) ? token(scene) : undefined
    return commitTransaction({ steps: steps(scene), token: given, clockMs: removingOf(scene).clockMs })
  }),
  commandKind("DropGuards", 3, scene => {
    const found = guards(scene)
    return found.length === 0 ? undefined : dropGuards(scene.pick(found))
  }),
]

export const TRANSACTION_QUERIES: readonly PlayKind[] = [
  queryKind("FindTransaction", scene => findTransaction(token(scene))),
  queryKind("OverTransactions", scene => overTransactions(rowKeyOf(""), scene.pick([0, 9_000_000_000_000]), 3)),
]
