/** Named keys as S3 uses them: which key a name leads to. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { KeyPolicies, NamedS3Keys, type KeyCaller } from "@hayloft/access/keys/index.js"
import { KmsApiWorld } from "./api-world.js"

async function open() {
  const { keys, iam } = await KmsApiWorld.open()
  const { accounts } = iam.access.access
  const s3 = new NamedS3Keys(keys, new KeyPolicies())
  const caller = async (displayName: string): Promise<KeyCaller> => {
    const { id, number } = await accounts.createAccount({ displayName, email: "" })
    return {
      principal: {
        kind: "root",
        accountId: id,
        accountNumber: number,
        arn: `arn:aws:iam::${number}:root`,
        userId: number,
        tags: [],
        issuedMs: undefined,
      },
      policies: { identity: [], boundary: undefined, session: undefined },
      context: { valuesOf: () => undefined },
      nowMs: 0,
    }
  }
  return { keys, s3, caller }
}

const S3_ALIAS = "alias/aws/s3"

test("the key of an account for S3 is made by its first use, also if the request names it", async () => {
  const { s3, caller } = await open()
  const arns = new Set<string>()
  for (const how of ["name", "ARN", "no name"]) {
    const who = await caller(how)
    const arn = `arn:aws:kms:us-east-1:${who.principal.accountNumber}:${S3_ALIAS}`
    const name = how === "name" ? S3_ALIAS : how === "ARN" ? arn : undefined
    const made = await s3.forWriting(who, name, "{}", false)
    assert.match(made, new RegExp(`^arn:aws:kms:us-east-1:${who.principal.accountNumber}:key/`))
    for (const again of [S3_ALIAS, arn, undefined]) {
      assert.equal(await s3.forWriting(who, again, "{}", false), made, `${how}, then ${again}`)
    }
    arns.add(made)
  }
  assert.equal(arns.size, 3)
})

test("no request makes the key for S3 of another account or region, nor any other key", async () => {
  const { keys, s3, caller } = await open()
  const [who, other] = [await caller("one"), await caller("two")]
  const { accountNumber } = who.principal
  for (const name of [
    `arn:aws:kms:us-east-1:${other.principal.accountNumber}:${S3_ALIAS}`,
    `arn:aws:kms:eu-west-1:${accountNumber}:${S3_ALIAS}`,
    "alias/aws/ebs",
    "alias/photos",
  ]) {
    await assert.rejects(
      async () => s3.forWriting(who, name, "{}", false),
      error => isFailure(error, "noSuchKmsKey"),
      name,
    )
  }
  for await (const { id } of keys.keys()) assert.fail(`made: ${id}`)
})
