/** Remote buckets by the admin API for principals: stores are seen by the root account's, pending writes by whom S3 lets list. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseBucketName, type AccountId } from "@hayloft/base/ids.js"
import { ROOT_KEY } from "../access/world.js"
import { Browser, ConsoleWorld } from "./world.js"

const BASE = "/v1/remotes"
const PENDING = "/v1/buckets/remote-1/remote/pending"
const BUCKET = "arn:aws:s3:::remote-1"

interface Options {
  readonly actions: readonly string[]
  readonly resource?: string
  readonly isOfRoot?: boolean
  /** The owner of the remote bucket, if it is not the user's account. */
  readonly owner?: AccountId
}

/** A user with a policy, signed in, of the root account or of another one; and a remote bucket of its account. */
async function statusesOf({ actions, resource = "*", isOfRoot = true, owner }: Options): Promise<readonly number[]> {
  const world = await ConsoleWorld.open()
  const { accounts, identities } = world.access.access
  const accountId = isOfRoot
    ? ROOT_KEY.accountId
    : (await accounts.createAccount({ displayName: "Team", email: "" })).id
  const ref = await world.access.create("user", "ann", undefined, accountId)
  const statement = { Effect: "Allow", Action: actions, Resource: resource }
  await identities.putInline(ref, "own", JSON.stringify({ Version: "2012-10-17", Statement: [statement] }))
  const { key, secret } = await accounts.createKey({ accountId, userName: "ann" })
  const name = parseBucketName("remote-1")
  await world.store.buckets.create({ name, owner: owner ?? accountId, location: "", settings: new Map() })
  const browser = new Browser(world.node())
  await browser.signIn({ accessKeyId: key.id, secretAccessKey: secret })
  const statuses: number[] = []
  for (const path of [BASE, PENDING]) statuses.push((await browser.send("GET", path)).status)
  return statuses
}

test("remote stores take an action of their own, pending writes those of the setting and of versions", async () => {
  const of = async (...actions: readonly string[]) => statusesOf({ actions })
  assert.deepEqual(await of("hayloft:GetRemotes"), [200, 403])
  assert.deepEqual(await of("s3:GetBucketRemote", "s3:ListBucketVersions"), [403, 200])
  assert.deepEqual(await of("s3:GetBucketRemote"), [403, 403])
  assert.deepEqual(await of("s3:ListBucketVersions"), [403, 403])
  assert.deepEqual(await of("iam:*", "coord:*"), [403, 403])
  assert.deepEqual(await of("*"), [200, 200])
})

test("pending writes are those of a bucket that the policy names", async () => {
  const actions = ["s3:*"]
  assert.deepEqual(await statusesOf({ actions, resource: BUCKET }), [403, 200])
  assert.deepEqual(await statusesOf({ actions, resource: "arn:aws:s3:::remote-2" }), [403, 403])
})

test("another account sees no remote stores, and pending writes only of its own buckets", async () => {
  assert.deepEqual(await statusesOf({ actions: ["*"], isOfRoot: false }), [403, 200])
  assert.deepEqual(await statusesOf({ actions: ["*"], isOfRoot: false, owner: ROOT_KEY.accountId }), [403, 403])
})
