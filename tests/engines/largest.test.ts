/**
 * The largest that services accept is stored: what is acknowledged at the limits of queues, items and files is present after
 * a checkpoint and a restart, on the embedded engine and on the SQL engine.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { addAccessKey, createAccount } from "@hayloft/access/accounts/account-commands-core.js"
import {
  createIdentity,
  deleteIdentity,
  detachPolicy,
  leaveGroup,
  removeInline,
  renameUser,
} from "@hayloft/access/identities/identity-commands-core.js"
import { readIdentity, readPolicy } from "@hayloft/access/identities/identity-queries-core.js"
import { IDENTITY_LIMITS } from "@hayloft/access/identities/limits.js"
import { addVersion, createPolicy } from "@hayloft/access/identities/managed-policy-commands-core.js"
import { POLICY_LIMITS } from "@hayloft/access/policy/limits.js"
import { must } from "@hayloft/base/assert.js"
import { parseAccessKeyId, parseAccountId, parseBucketName, parseCoordPath, parseItemKey } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { Coordination } from "@hayloft/features/locks/coordination.js"
import { COORD_LIMITS } from "@hayloft/features/locks/limits.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { BucketService } from "@hayloft/objects/buckets/bucket-service.js"
import { Items } from "@hayloft/features/items/items.js"
import { ITEM_LIMITS } from "@hayloft/features/items/limits.js"
import "@hayloft/objects/testing-features.js"
import { QUEUE_LIMITS } from "@hayloft/features/queues/limits.js"
import { Queues } from "@hayloft/features/queues/queues.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimulatedWorld, SLOW } from "../sql/simulated-world.js"
import { Scene } from "../tablet/scene.js"

const ACCOUNT = parseAccountId("main")
const LONGEST_KEY = parseItemKey("\u00ff".repeat(512))

/** An engine whose rows are those after a checkpoint and a restart, if it has checkpoints. */
interface Engine {
  readonly metadata: Metadata
  restart(): Promise<Metadata>
}

async function onTablet(work: (engine: Engine) => Promise<void>): Promise<void> {
  const scene = new Scene({ devices: 3, segmentBytes: 4 * MIB })
  await scene.open()
  await work({
    metadata: scene.tablet,
    async restart() {
      await scene.tablet.stop()
      for (const device of scene.devices) await device.checkpoint()
      await scene.open()
      return scene.tablet
    },
  })
  await scene.tablet.stop()
}

async function onSql(work: (engine: Engine) => Promise<void>): Promise<void> {
  const world = new SimulatedWorld(TEST_SEED, SLOW)
  await world.run(async () => {
    const metadata = await world.open("node")
    await work({ metadata, restart: () => Promise.resolve(metadata) })
  })
}

/** The services that a client reaches, over one engine. */
function servicesOver(metadata: Metadata) {
  const clock = new SimClock()
  const random = new SimRandom(TEST_SEED)
  const common = { clock, random, metadata, prepare: async () => undefined, isShared: false }
  return {
    buckets: new BucketService(metadata),
    items: new Items(common),
    queues: new Queues({ ...common, storeClock: { shownMs: 0, isDoubtful: false }, node: "0123abcd" }),
    coordination: new Coordination(common),
  }
}

/** Text of as many characters, each of three bytes, which differs from other numbers' text. */
const wide = (characters: number, number: number): string => String(number).padEnd(characters, "\u6f22")

const filled = (lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, "x")

for (const [kind, on] of [
  ["tablet", onTablet],
  ["SQL", onSql],
] as const) {
  test(`${kind}: messages of the largest size, delayed or moved to a dead queue, are kept`, () =>
    on(async engine => {
      const { queues } = servicesOver(engine.metadata)
      const named = (name: string) => ({ account: ACCOUNT, name })
      for (const name of ["q", "dead"]) await queues.create(named(name))
      const attributes = [{ name: "n".repeat(256), type: "String", value: filled(1_000) }] as const
      const sizes = [0, 1, 9, 10, 11, 100].map(less => QUEUE_LIMITS.contentBytesMax - less)
      for (const size of sizes) {
        const content = { body: filled(size), attributes: [], trace: undefined }
        await queues.add(named("q"), [{ content, sender: "arn".repeat(300) }], { copiesNow: 1 })
      }
      const spent = attributes.reduce((sum, { name, type, value }) => sum + name.length + type.length + value.length, 0)
      const body = filled(QUEUE_LIMITS.contentBytesMax - spent)
      const redrive = { maxDeliveries: 1, deadQueue: "dead" }
      const message = { content: { body, attributes, trace: undefined }, sender: "arn", redrive, retrySeconds: 0 }
      await queues.add(named("q"), [{ ...message, delaySeconds: 1 }], { copiesNow: 1 })
      const after = servicesOver(await engine.restart()).queues
      const received = (await after.receive({ account: ACCOUNT, queues: ["q"], count: 1 })) ?? []
      assert.equal(received[0]?.content.body.length, QUEUE_LIMITS.contentBytesMax)
      assert.equal((await after.find(named("q")))?.messages, sizes.length + 1)
    }))

  test(`${kind}: the largest messages move to their dead queue, with all that they have`, () =>
    on(async engine => {
      const { queues } = servicesOver(engine.metadata)
      const named = (name: string) => ({ account: ACCOUNT, name })
      for (const name of ["q", "dead"]) await queues.create(named(name))
      const attributes = Array.from({ length: QUEUE_LIMITS.attributesMax }, (_, i) => ({
        name: `${i}`.padEnd(256, "n"),
        type: "String",
        value: filled(1_000),
      }))
      const spent = attributes.reduce((sum, { name, type, value }) => sum + name.length + type.length + value.length, 0)
      const body = filled(QUEUE_LIMITS.contentBytesMax - spent)
      const redrive = { maxDeliveries: 1, deadQueue: "dead" }
      const content = { body, attributes, trace: undefined }
      for (let i = 0; i < 4; i += 1)
        await queues.add(named("q"), [{ content, sender: "arn".repeat(300), redrive }], { copiesNow: 1 })
      const receive = (from: string) =>
        queues.receive({ account: ACCOUNT, queues: [from], count: 4, visibilitySeconds: 0 })
      for (let left = 4; left > 0;) left -= (await receive("q"))?.length ?? 0
      assert.equal((await receive("q"))?.length ?? 0, 0)
      const after = servicesOver(await engine.restart()).queues
      assert.deepEqual([(await after.find(named("q")))?.messages, (await after.find(named("dead")))?.messages], [0, 4])
      const dead = (await after.receive({ account: ACCOUNT, queues: ["dead"], count: 1 })) ?? []
      assert.deepEqual([dead[0]?.content.body.length, dead[0]?.content.attributes.length], [body.length, 10])
    }))

  test(`${kind}: items of the largest size, with the longest keys and as many values as one may have, are kept`, () =>
    on(async engine => {
      const { buckets, items } = servicesOver(engine.metadata)
      const name = parseBucketName("bucket")
      const bucket = await buckets.create({ name, owner: ACCOUNT, location: "" })
      const at = { partition: LONGEST_KEY, sortKey: LONGEST_KEY, seen: new Map() }
      await items.write(bucket, [{ ...at, bytes: filled(ITEM_LIMITS.valueBytesMax) }])
      const many = { ...at, sortKey: parseItemKey("many") }
      for (let i = 0; i < ITEM_LIMITS.valuesMax; i += 1) {
        await items.write(bucket, [{ ...many, bytes: filled(ITEM_LIMITS.inlineBytesMax).fill(i, 0, 1) }])
      }
      const after = servicesOver(await engine.restart()).items
      const read = await after.read(bucket, LONGEST_KEY, LONGEST_KEY)
      assert.equal(must(read?.values[0], "the value is present").length, ITEM_LIMITS.valueBytesMax)
      assert.equal((await after.read(bucket, LONGEST_KEY, many.sortKey))?.values.length, ITEM_LIMITS.valuesMax)
    }))

  test(`${kind}: files of the largest size are kept`, () =>
    on(async engine => {
      const { coordination } = servicesOver(engine.metadata)
      const of = { account: ACCOUNT, path: parseCoordPath("space/file") }
      await coordination.write(of, filled(COORD_LIMITS.fileBytesMax))
      const after = servicesOver(await engine.restart()).coordination
      assert.equal((await after.file(of))?.content.length, COORD_LIMITS.fileBytesMax)
    }))

  test(`${kind}: users, roles and policies are kept with everything at its limit`, () =>
    on(async ({ metadata, restart }) => {
      const { number } = await metadata.run(createAccount({ id: ACCOUNT, displayName: "Main", email: "" }))
      const [path, name] = [`/${"p".repeat(510)}/`, "n".repeat(125)]
      const tags = Array.from({ length: IDENTITY_LIMITS.tagsMax }, (_, i) => [wide(128, i), wide(256, i)] as const)
      const arns: string[] = []
      for (let i = 0; i < IDENTITY_LIMITS.attachedPoliciesMax; i += 1) {
        const policy = { name: `${name}${i}`, path, id: "id", description: wide(1_000, i), tags }
        await metadata.run(createPolicy(ACCOUNT, policy, wide(POLICY_LIMITS.managedCharactersMax, i)))
        const arn = `arn:aws:iam::${number}:policy${path}${policy.name}`
        for (let version = 1; version < IDENTITY_LIMITS.policyVersionsMax; version += 1)
          await metadata.run(addVersion(ACCOUNT, arn, wide(POLICY_LIMITS.managedCharactersMax, version), true))
        arns.push(arn)
      }
      const trust = wide(POLICY_LIMITS.trustCharactersMax, 0)
      for (const each of ["user", "group", "role"] as const) {
        const role = each === "role" ? { description: wide(1_000, 0), trust, sessionSecondsMax: 3_600 } : undefined
        const inline = [{ name, text: wide(POLICY_LIMITS.roleInlineCharactersMax, 0) }]
        const identity = { kind: each, name, path, id: "id", tags, inline, attached: arns, boundary: arns[0], role }
        await metadata.run(createIdentity(ACCOUNT, { ...identity, groups: each === "user" ? [name] : [], keys: [] }))
      }
      const user = { accountId: ACCOUNT, kind: "user", name } as const
      for (let i = 0; i < IDENTITY_LIMITS.serviceKeysPerUser; i += 1) {
        const service = { description: wide(100, i), expiresMs: undefined, policy: wide(1_000, i) }
        const key = { accountId: ACCOUNT, userName: name, sealedSecret: new Uint8Array(68), service }
        await metadata.run(addAccessKey(parseAccessKeyId(`AKIA${String(i).padStart(16, "0")}`), key))
      }
      const renamed = "m".repeat(128)
      await metadata.run(renameUser(user, renamed, undefined))
      const after = await restart()
      const found = await after.ask(readIdentity({ ...user, name: renamed }))
      assert.deepEqual(
        [found.tags, found.attached, found.keys.length],
        [tags, arns, IDENTITY_LIMITS.serviceKeysPerUser],
      )
      for (const arn of arns) {
        const { versions } = await after.ask(readPolicy(ACCOUNT, arn))
        assert.equal(versions.length, IDENTITY_LIMITS.policyVersionsMax)
      }
      for (const arn of arns) await after.run(detachPolicy({ ...user, name: renamed }, arn))
      await after.run(removeInline({ ...user, name: renamed }, name))
      await after.run(leaveGroup({ ...user, name: renamed }, name))
      await after.run(deleteIdentity({ ...user, name: renamed }))
    }))
}
