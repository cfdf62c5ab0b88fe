/** Names of buckets: what may exist, what S3 creates, and what Swift creates. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "./failures.js"
import { parseBucketName, parseNewBucketName, parseNewContainerName } from "./ids.js"

const PARSERS = { existing: parseBucketName, bucket: parseNewBucketName, container: parseNewContainerName }
type Parser = keyof typeof PARSERS

function acceptedBy(name: unknown): readonly Parser[] {
  return (["existing", "bucket", "container"] as const).filter(parser => {
    try {
      return PARSERS[parser](name) === name
    } catch (error) {
      if (isFailure(error, "invalidBucketName")) return false
      throw error
    }
  })
}

test("S3 creates buckets by today's rules, Swift by the older ones, and both are found", () => {
  for (const name of ["abc", "a.b-c", "1x9", "a".repeat(63)])
    assert.deepEqual(acceptedBy(name), ["existing", "bucket", "container"], name)
  const older = ["Photos", "my_container", "a".repeat(64), "A".repeat(255), "-a-", "a..b", ".a.", "192.168.0.1", "..."]
  for (const name of older) assert.deepEqual(acceptedBy(name), ["existing", "container"], name)
  for (const name of ["xn--a", "sthree-a", "a-s3alias", "a--x-s3"])
    assert.deepEqual(acceptedBy(name), ["existing"], name)
})

test("no name reaches a path, a header or a document that it could break", () => {
  const bad = ["", "a", "ab", ".", "..", "a".repeat(256), "a/b", "a b", "a%2Fb", "a\\b", "a:b", "a*b", "a?b", "a$b"]
  for (const name of [...bad, "caf\u00e9", "abc\n", "a\u0000b", 'a"b', "a<b", undefined, 17, ["abc"]])
    assert.deepEqual(acceptedBy(name), [], String(name))
})

test("a refusal says what is wrong with the name", () => {
  const cases: readonly (readonly [Parser, string, RegExp])[] = [
    ["container", "ab", /3 to 255 characters/],
    ["container", "caf\u00e9", /letters, digits, dots, hyphens and underscores only/],
    ["container", "xn--a", /begin with xn-- are reserved/],
    ["bucket", "My_bucket", /lower-case letters, digits, dots and hyphens only/],
    ["bucket", "a".repeat(64), /3 to 63 characters/],
  ]
  for (const [parser, name, message] of cases) assert.throws(() => PARSERS[parser](name), { message })
})
