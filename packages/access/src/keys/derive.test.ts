/** Derived keys against known answers. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { derive } from "@hayloft/base/encryption/derive-key.js"
import { objectKeyOfText, parseBucketId, parseUploadId } from "@hayloft/base/ids.js"
import type { SealingKey } from "@hayloft/engine/format/needles/sealing.js"
import { bindKeyOf, bindOf, checkOf, digestKeyOf, extentKeyOf, objectKeyOf, prepareKey } from "./derive.js"

const sha = (text: string): Buffer => createHash("sha256").update(text).digest()
const SECRET = prepareKey(sha("bucket secret"))
const SALT = sha("salt").subarray(0, 16)
const ARN = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
const MODES: readonly SealingKey["mode"][] = ["atRest", "s3", "kms", "client"]

const objectKey = (mode: SealingKey["mode"]): Uint8Array =>
  objectKeyOf(SECRET, mode, SALT, mode === "kms" || mode === "client" ? sha("provided") : undefined)

function bound(key: SealingKey): string {
  const bind = bindOf(
    bindKeyOf(SECRET),
    { key, secret: 4, salt: SALT },
    {
      bucketId: parseBucketId(5_000_000_007),
      key: objectKeyOfText("ké/y"),
      random: sha("random").subarray(0, 8),
      sizeBytes: 2 ** 40 + 5,
      md5: createHash("md5").update("etag").digest(),
      parts: 3,
    },
  )
  return hexOf(bind)
}

test("keys are derived as an independent program derives them", () => {
  const text = readFileSync(
    new URL("../../../../../packages/access/src/keys/derivation-answers.txt", import.meta.url),
    "utf8",
  )
  const answers = text.split("\n").filter(line => /^[a-z]/.test(line))
  const upload = parseUploadId("00000007000000095f3a2b1c0d4e6f80")
  const context = '{"aws:s3:arn":"arn:aws:s3:::b/kéy"}'
  const found = [
    ...MODES.map(mode => `object ${mode} ${hexOf(objectKey(mode))}`),
    ...[1, 10_000].map(part => `extent ${part} ${hexOf(extentKeyOf(objectKey("s3"), upload, part))}`),
    `check client ${hexOf(checkOf(objectKey("client")))}`,
    `bindKey - ${hexOf(derive(sha("bucket secret"), "bind"))}`,
    `bind atRest ${bound({ mode: "atRest" })}`,
    `bind s3 ${bound({ mode: "s3" })}`,
    `bind kmsDataKey ${bound({ mode: "kms", keyArn: ARN, dataKey: sha("ciphertext"), context })}`,
    `bind kmsBucketKey ${bound({ mode: "kms", keyArn: ARN, dataKey: 9, context: undefined })}`,
    `bind client ${bound({ mode: "client", check: checkOf(objectKey("client")) })}`,
    `blocks 0 ${hexOf(digestKeyOf(SECRET, "STANDARD"))}`,
    `blocks 2 ${hexOf(digestKeyOf(SECRET, "STANDARD_IA"))}`,
  ]
  assert.deepEqual(found, answers)
})
