/** Named keys that are in Vault or AWS KMS, through the key service of the store. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "../../src/base/assert.js"
import { isFailure } from "../../src/base/failures.js"
import { addExternalKey, KeyService } from "../../src/keys/index.js"
import { textOfContext } from "../../src/keys/encryption-context.js"
import { MemoryMaterials } from "../../src/keys/testing-materials.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { IamWorld } from "../iam/world.js"
import { CONTEXT, KmsWorld, OTHER_CONTEXT } from "./world.js"

const TEXT = textOfContext(CONTEXT)
const OTHER_TEXT = textOfContext(OTHER_CONTEXT)

async function open() {
  const world = await KmsWorld.open()
  const { access, metadata } = (await IamWorld.open()).access
  const { accounts } = access
  const keys = new KeyService({
    ...{ metadata, accounts, random: new SimRandom(5), materials: new MemoryMaterials(), region: "us-east-1" },
    external: kind => world.keys.provider(kind),
  })
  const account = must((await accounts.listAccounts())[0], "the root account exists")
  const holder = { accountId: account.id, accountNumber: account.number }
  const add = (service: "vault" | "aws", keyName: string, alias = "alias/photos") =>
    addExternalKey(keys, world.keys, { holder, service, keyName, alias })
  return { world, keys, holder, add }
}

for (const service of ["vault", "aws"] as const) {
  test(`a key in ${service} is registered, seals and opens by its ARN, and only with its context`, async () => {
    const { world, keys, add } = await open()
    const { arn } = await add(service, world.provider(service).key.name)
    assert.equal((await add(service, world.provider(service).key.name)).arn, arn)
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

test("an alias that names another key, and names that no key can have, are refused", async () => {
  const { world, add } = await open()
  await add("vault", "photos")
  await assert.rejects(add("aws", world.arn), error => isFailure(error, "entityExists"))
  for (const [service, name, alias] of [
    ["vault", "a/b", "alias/other"],
    ["vault", "../../sys/seal", "alias/other"],
    ["aws", "arn:aws:kms:eu-north-1:111122223333:alias/a", "alias/other"],
    ["vault", "photos", "photos"],
    ["vault", "photos", "alias/aws/s3"],
  ] as const) {
    await assert.rejects(add(service, name, alias), error => isFailure(error, "invalidArgument"), `${name} ${alias}`)
  }
})
