/** Random access control lists for the twins. */
import { must } from "@hayloft/base/assert.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import { ACL_GROUPS, ACL_PERMISSIONS, type Grant, type ObjectAcl } from "@hayloft/engine/format/objects/acl.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

const oneOf = <T extends NonNullable<unknown>>(random: Random, list: readonly T[]): T =>
  must(list[random.below(list.length)], "the list to draw from is not empty")

const chance = (random: Random, of: number): boolean => random.below(of) === 0

/** Returns undefined if the request states no ACL. */
export function drawAcl(random: Random): ObjectAcl | undefined {
  const owner = chance(random, 2) ? undefined : parseAccountId(`writer${random.below(2)}`)
  const grants = Array.from({ length: oneOf(random, [0, 1, 40]) }, () => drawGrant(random))
  return chance(random, 2) ? undefined : { owner, grants: chance(random, 2) ? undefined : grants }
}

function drawGrant(random: Random): Grant {
  const group = oneOf(random, ACL_GROUPS)
  const id = parseAccountId(`account${random.below(3)}`)
  return {
    grantee: chance(random, 2) ? { kind: "account", id } : { kind: "group", group },
    permission: oneOf(random, ACL_PERMISSIONS),
  }
}
