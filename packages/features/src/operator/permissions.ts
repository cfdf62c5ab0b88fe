/** The actions that operations need, in the terms of access policies. */
import { parseBucketName } from "@hayloft/base/ids.js"
import type { Operation } from "./operation.js"

/** The action of an operation without a `permission`. */
export const actionOf = (id: string): string => `hayloft:${id.charAt(0).toUpperCase()}${id.slice(1)}`

/** The actions of this store alone that these operations may need. */
export const actionsOf = (
  operations: readonly Pick<Operation<never>, "id" | "permission" | "mayNeedOwnAction">[],
): readonly string[] =>
  operations
    .filter(({ permission, mayNeedOwnAction }) => permission === undefined || mayNeedOwnAction === true)
    .map(({ id }) => actionOf(id))

/** All of these actions, on the bucket that the path names. */
export const onBucket =
  (...actions: readonly [string, ...string[]]): NonNullable<Operation["permission"]> =>
  async ({ buckets }, { segment }) => {
    const { name, owner } = await buckets.open(parseBucketName(segment("bucket")))
    return actions.map(action => ({ action, resource: `arn:aws:s3:::${name}`, owner }))
  }
