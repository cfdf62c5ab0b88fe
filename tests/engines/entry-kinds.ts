/** The commands and queries of entries of an LDAP directory: their policies by DN. */
import { rowKeyOf, type AccountId } from "@hayloft/base/ids.js"
import {
  attachToEntry,
  detachFromEntry,
  entryRow,
  readEntries,
  readEntriesAmong,
} from "@hayloft/access/identities/entry-commands-core.js"
import { policyMembership } from "@hayloft/access/identities/identity-links-core.js"
import { readLinkedEntries } from "@hayloft/access/identities/identity-queries-core.js"
import { readPerson } from "@hayloft/access/accounts/key-records-core.js"
import { decodeDirectoryEntry } from "@hayloft/engine/format/accounts/identity-records.js"
import { accountRange } from "@hayloft/engine/format/row-key.js"
import { ACCOUNTS, commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const DNS = ["uid=ann,dc=example", "cn=josé\\, team,dc=example", "cn=nobody"]
const BUILT_IN = ["AmazonS3ReadOnlyAccess", "AmazonS3FullAccess", "Missing"].map(
  name => `arn:aws:iam::aws:policy/${name}`,
)
const FIRST = rowKeyOf("")

/** The first account mostly: with few accounts, entries meet. */
function accountOf(scene: Scene): AccountId {
  const [first] = ACCOUNTS
  return first === undefined || scene.oneIn(6) ? scene.pick(ACCOUNTS) : first
}

/** An entry and a policy that it mostly has. */
function attachment(scene: Scene): readonly [AccountId, string, string] {
  const accountId = accountOf(scene)
  const found = scene.rows("directoryEntries", accountRange(accountId)).flatMap(([, row]) => {
    const { dn, attached } = decodeDirectoryEntry(row.value)
    return attached.map(arn => [accountId, dn, arn] as const)
  })
  return scene.pickOr(found, () => [accountId, scene.pick(DNS), scene.pick(BUILT_IN)] as const)
}

export const ENTRY_COMMANDS: readonly PlayKind[] = [
  commandKind("AttachToEntry", 2, scene => attachToEntry(accountOf(scene), scene.pick(DNS), scene.pick(BUILT_IN))),
  commandKind("DetachFromEntry", 1, scene => detachFromEntry(...attachment(scene))),
]

export const ENTRY_QUERIES: readonly PlayKind[] = [
  queryKind("ReadEntries", scene => {
    const accountId = accountOf(scene)
    return readEntries(accountId, scene.pick([FIRST, entryRow(accountId, "cn")]))
  }),
  queryKind("ReadEntriesAmong", scene => readEntriesAmong(accountOf(scene), scene.some(DNS))),
  queryKind("ReadPerson", scene => readPerson(accountOf(scene), scene.some(DNS))),
  queryKind("ReadLinkedEntries", scene =>
    readLinkedEntries(accountOf(scene), policyMembership(scene.pick(BUILT_IN)), FIRST),
  ),
]
