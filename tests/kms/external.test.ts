/** Named keys that are in Vault or AWS KMS, through the key service of the store. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { defaultPolicy, KeyService } from "@hayloft/access/keys/index.js"
import { textOfContext } from "@hayloft/access/keys/encryption-context.js"
import { MemoryMaterials } from "@hayloft/access/keys/testing-materials.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { IamWorld } from "../iam/world.js"
import { CONTEXT, keyOf, KmsWorld, OTHER_CONTEXT } from "./world.js"

const TEXT = textOfContext(CONTEXT)
const OTHER_TEXT = textOfContext(OTHER_CONTEXT)

async function open() {
  const world = await KmsWorld.open()
  const { access, metadata } = (await IamWorld.open()).access
  const { accounts } = access
  const keys = new KeyService({
    metadata,
    accounts,
    random: new SimRandom(5),
    materials: new MemoryMaterials(),
    region: "us-east-1",
    external: kind => world.keys.provider(kind),
  })
  const account = must((await accounts.listAccounts())[0], "the root account exists")
  const holder = { accountId: account.id, accountNumber: account.number }
  const add = async (service: "vault" | "aws", keyName: string) => {
    await world.keys.tryKey(service, keyOf(keyName))
    const policy = defaultPolicy(holder.accountNumber)
    const external = { kind: service, name: keyName } as const
    return keys.create({ holder, description: "", policy, tags: [], external })
  }
  return { world, keys, holder, add }
}

for (const service of ["vault", "aws"] as const) {
  test(`a key in ${service} is registered, seals and opens by its ARN, and only with its context`, async () => {
    const { world, keys, add } = await open()
    const { arn } = await add(service, world.provider(service).key.name)
    const { plain, ciphertext } = await keys.newDataKey(arn, TEXT)
    assert.deepEqual(Buffer.from(await keys.openDataKey(arn, ciphertext, TEXT)), Buffer.from(plain))
    await assert.rejects(
      async () => keys.openDataKey(arn, ciphertext, OTHER_TEXT),
      error => isFailure(error, "invalidCiphertext"),
    )
  })

  test(`a key that ${service} does not have is not registered`, async () => {
    const { world, keys, add } = await open()
    const name = service === "vault" ? "nothing" : `${world.arn}x`
    await assert.rejects(add(service, name), error => isFailure(error, "noSuchKmsKey", "keyServiceUnavailable"))
    for await (const key of keys.keys()) assert.fail(`registered: ${key.id}`)
  })

  test(`while ${service} is off its keys are unavailable, and built-in ones go on`, async () => {
    const { world, keys, holder, add } = await open()
    const { arn } = await add(service, world.provider(service).key.name)
    const builtIn = await keys.s3Key(holder)
    const { ciphertext } = await keys.newDataKey(arn, TEXT)
    world.disconnect()
    const uses = [
      async () => void (await keys.newDataKey(arn, TEXT)),
      async () => void (await keys.openDataKey(arn, ciphertext, TEXT)),
    ]
    for (const use of uses)
      await assert.rejects(world.clock.runUntil(use()), error => isFailure(error, "keyServiceUnavailable"))
    const before = world.clock.monotonicMs()
    assert.equal((await keys.newDataKey(builtIn.arn, TEXT)).plain.length, 32)
    assert.equal(world.clock.monotonicMs(), before)
  })
}

test("a key that is disabled in the store is refused at once, whatever its service says", async () => {
  const { world, keys, add } = await open()
  const { arn, record } = await add("vault", "photos")
  const { ciphertext } = await keys.newDataKey(arn, TEXT)
  await keys.change(record.id, { kind: "disable" })
  const received = world.vault.received
  await assert.rejects(
    async () => keys.openDataKey(arn, ciphertext, TEXT),
    error => isFailure(error, "kmsKeyDisabled"),
  )
  assert.equal(world.vault.received, received)
})

test("names that no key of a service can have are refused before anything is sent", async () => {
  const { world, add } = await open()
  for (const [service, name] of [
    ["vault", "a/b"],
    ["vault", "../../sys/seal"],
    ["vault", ""],
    ["aws", "arn:aws:kms:eu-north-1:111122223333:alias/a"],
    ["aws", "0a1b2c3d-0000-4000-8000-000000000001"],
  ] as const) {
    await assert.rejects(add(service, name), error => isFailure(error, "invalidArgument"), name)
  }
  assert.equal(world.vault.received + world.aws.received, 0)
})
