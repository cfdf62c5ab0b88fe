/** The commands and queries of named keys and their aliases. */
import { parseKmsKeyId, rowKeyOf, type KmsKeyId } from "@hayloft/base/ids.js"
import { decodeKmsKey, type KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import type { KeyChange } from "@hayloft/access/keys/change-key-core.js"
import {
  changeKmsKey,
  checkNewMaterial,
  createKmsKey,
  deleteKmsAlias,
  deleteKmsKey,
  forgetDeletedKmsKey,
  putKmsAlias,
  restoreKmsKey,
  type NewKmsKey,
} from "@hayloft/access/keys/kms-commands-core.js"
import { readDeletedKmsKeys, readKmsAliases, readKmsKey, readKmsKeys } from "@hayloft/access/keys/kms-queries-core.js"
import { ACCOUNTS, commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const KEY_IDS = ["1", "2", "3"].map(digit => parseKmsKeyId(`0000000${digit}-0000-4000-8000-000000000000`))
const ALIASES = ["alias/a", "alias/a/b", "alias/aws/s3"]
const FIRST = rowKeyOf("")

const accountOf = (scene: Scene) => (scene.oneIn(6) ? scene.pick(ACCOUNTS) : ACCOUNTS[0]) ?? scene.pick(ACCOUNTS)
const keysOf = (scene: Scene): readonly KmsKeyRecord[] =>
  scene.rows("kmsKeys").map(([, { value }]) => decodeKmsKey(value))
const idOf = (scene: Scene): KmsKeyId =>
  scene.pickOr(
    keysOf(scene).map(({ id }) => id),
    () => scene.pick(KEY_IDS),
  )

const newKey = (scene: Scene): NewKmsKey => ({
  id: scene.pick(KEY_IDS),
  accountId: accountOf(scene),
  description: "",
  policy: "{}",
  tags: [],
  external: scene.oneIn(4) ? { kind: "vault", name: "orders" } : undefined,
})

const firstAliasOf = (scene: Scene) =>
  scene.oneIn(3) ? { name: scene.pick(ALIASES), isNew: scene.oneIn(2) } : undefined

/** A deletion that is due already is one of the choices. */
function changeOf(scene: Scene, id: KmsKeyId): KeyChange {
  const version = keysOf(scene).find(key => key.id === id)?.versions.length ?? 1
  return scene.pick<KeyChange>([
    { kind: "describe", description: "other" },
    { kind: scene.pick(["enable", "enable", "disable", "cancelDeletion", "cancelDeletion", "stopRotation"]) },
    { kind: "scheduleDeletion", days: scene.pick([-1, 7]) },
    { kind: "startRotation", days: 90 },
    { kind: "rotate", version: scene.oneIn(6) ? version : version + 1, isOnDemand: scene.oneIn(2) },
    { kind: "setPolicy", policy: scene.pick(["{}", "[]"]) },
    { kind: "tag", tags: scene.some([["team", "a"] as const, ["stage", "b"] as const]) },
    { kind: "untag", names: ["team"] },
  ])
}

export const KMS_COMMANDS: readonly PlayKind[] = [
  commandKind("CreateKmsKey", 2, scene => createKmsKey(newKey(scene), firstAliasOf(scene))),
  commandKind("RestoreKmsKey", 1, scene =>
    restoreKmsKey({
      ...newKey(scene),
      state: "enabled",
      deletionMs: undefined,
      rotation: undefined,
      versions: [{ createdMs: 1, isOnDemand: false }],
    }),
  ),
  commandKind("ChangeKmsKey", 3, scene => {
    const id = idOf(scene)
    return changeKmsKey(id, changeOf(scene, id))
  }),
  commandKind("DeleteKmsKey", 1, scene => deleteKmsKey(idOf(scene), 0)),
  commandKind("ForgetDeletedKmsKey", 1, scene => forgetDeletedKmsKey(idOf(scene))),
  commandKind("PutKmsAlias", 2, scene =>
    putKmsAlias(accountOf(scene), scene.pick(ALIASES), idOf(scene), scene.oneIn(2)),
  ),
  commandKind("DeleteKmsAlias", 1, scene => deleteKmsAlias(accountOf(scene), scene.pick(ALIASES))),
]

export const KMS_QUERIES: readonly PlayKind[] = [
  queryKind("ReadKmsKey", scene =>
    readKmsKey(
      scene.oneIn(2)
        ? { kind: "id", id: idOf(scene) }
        : { kind: "alias", accountId: accountOf(scene), name: scene.pick(ALIASES) },
    ),
  ),
  queryKind("CheckNewMaterial", scene => checkNewMaterial(newKey(scene), firstAliasOf(scene))),
  queryKind("ReadDeletedKmsKeys", () => readDeletedKmsKeys()),
  queryKind("ReadKmsKeys", scene => readKmsKeys(scene.oneIn(2) ? FIRST : rowKeyOf(idOf(scene)))),
  queryKind("ReadKmsAliases", scene => readKmsAliases(accountOf(scene), FIRST)),
]
