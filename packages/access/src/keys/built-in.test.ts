import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseKmsKeyId } from "@hayloft/base/ids.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { BuiltInProvider } from "./built-in.js"
import { keyIdOfCiphertext } from "./ciphertext.js"
import { contextOfPairs, contextOfText, textOfContext, type EncryptionContext } from "./encryption-context.js"
import type { ProviderKey } from "./provider.js"
import { MemoryMaterials } from "./testing-materials.js"

const NO_CONTEXT: EncryptionContext = []

const filled = (length: number, from: number) => Uint8Array.from({ length }, (_, i) => (from + i) & 0xff)
const KEY_ID = parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef")
const keyOf = (version: number): ProviderKey => ({ id: KEY_ID, name: KEY_ID, version })
const isInvalid = (error: unknown): boolean => isFailure(error, "invalidCiphertext")

const VERSIONS = 3

function materialOf(version: number): Uint8Array {
  if (version <= VERSIONS) return filled(32, version)
  throw fail("keysUnavailable")
}

/** A provider whose versions of a key have different materials. */
const realProvider = (): BuiltInProvider =>
  new BuiltInProvider({ get: (_, version) => materialOf(version) }, new SimRandom(1))

/** The provider of the known answers. */
const answering = (salt: Uint8Array): BuiltInProvider =>
  new BuiltInProvider({ get: () => filled(32, 0) }, { bytes: () => salt })

const ANSWERS = readFileSync(
  new URL("../../../../../packages/access/src/keys/known-answers.txt", import.meta.url),
  "utf8",
)
  .split("\n")
  .filter(line => line !== "" && !line.startsWith("#"))
  .map(line => {
    const [version = "", salt = "", context = "", plain = "", ciphertext = ""] = line.split("|")
    const saltBytes = salt === "zero" ? new Uint8Array(16) : filled(16, Number(salt))
    const bytes = (hex: string): Uint8Array => must(bytesOfHex(hex), "hex")
    return { version: Number(version), salt: saltBytes, context, plain: bytes(plain), ciphertext: bytes(ciphertext) }
  })

test("ciphertexts of a built-in key are those of another program", async () => {
  assert.equal(ANSWERS.length, 3)
  for (const { version, salt, context, plain, ciphertext } of ANSWERS) {
    const pairs = contextOfText(context)
    assert.equal(hexOf(await answering(salt).seal(keyOf(version), plain, pairs)), hexOf(ciphertext))
    assert.equal(hexOf(await answering(salt).open(keyOf(version), ciphertext, pairs)), hexOf(plain))
    assert.equal(keyIdOfCiphertext(ciphertext), KEY_ID)
  }
})

test("a ciphertext opens with its own key and context only, and not if a bit of it changes", async () => {
  const provider = realProvider()
  const context = contextOfPairs([["a", "1"]])
  const { plain, ciphertext } = await provider.newDataKey(keyOf(2), context)
  assert.equal(plain.length, 32)
  assert.deepEqual(
    await provider.open(keyOf(3), ciphertext, context),
    Buffer.from(plain),
    "a later version opens earlier ones",
  )
  const other = { ...keyOf(2), id: parseKmsKeyId("11234567-89ab-4def-8123-456789abcdef") }
  assert.throws(() => provider.open(other, ciphertext, context), isInvalid)
  for (const wrong of [NO_CONTEXT, contextOfPairs([["a", "2"]]), contextOfPairs([["a1", ""]])]) {
    assert.throws(() => provider.open(keyOf(2), ciphertext, wrong), isInvalid)
  }
  for (let at = 0; at < ciphertext.length; at += 1) {
    const changed = Uint8Array.from(ciphertext, (byte, i) => (i === at ? byte ^ 1 : byte))
    assert.throws(() => provider.open(keyOf(3), changed, context), isInvalid, `byte ${at}`)
  }
  for (let length = 0; length < ciphertext.length; length += 1) {
    assert.throws(() => provider.open(keyOf(3), ciphertext.subarray(0, length), context), isInvalid, `${length} bytes`)
  }
})

test("a ciphertext opens if its material is there, also where the row has lost the rotation", async () => {
  const materials = new MemoryMaterials()
  const provider = new BuiltInProvider(materials, new SimRandom(1))
  for (const version of [1, 2]) await materials.add(KEY_ID, version)
  const { plain, ciphertext } = await provider.newDataKey(keyOf(2), NO_CONTEXT)
  assert.deepEqual(await provider.open(keyOf(1), ciphertext, NO_CONTEXT), Buffer.from(plain))
  const ofNobody = await realProvider().seal(keyOf(3), plain, NO_CONTEXT)
  assert.throws(() => provider.open(keyOf(1), ofNobody, NO_CONTEXT), isInvalid, "a version that does not exist yet")
  assert.throws(
    () => provider.open(keyOf(3), ofNobody, NO_CONTEXT),
    error => isFailure(error, "keysUnavailable"),
    "the row knows the version, and its material is missing",
  )
  const late = new BuiltInProvider({ get: async (id, version) => materials.get(id, version) }, new SimRandom(1))
  await assert.rejects(
    async () => late.open(keyOf(1), ofNobody, NO_CONTEXT),
    isInvalid,
    "after the record was read again",
  )
})

test("two ciphertexts of one message differ", async () => {
  const provider = realProvider()
  const first = await provider.seal(keyOf(1), filled(5, 0), NO_CONTEXT)
  assert.notEqual(hexOf(first), hexOf(await provider.seal(keyOf(1), filled(5, 0), NO_CONTEXT)))
  assert.deepEqual(await provider.open(keyOf(2), first, NO_CONTEXT), Buffer.from(filled(5, 0)))
})

test("a context is the same in any order, and each pair counts", () => {
  assert.equal(textOfContext(contextOfText('{ "b": "2", "a": "\\"" }')), '{"a":"\\"","b":"2"}')
  const refused = ["[]", "null", "{", '{"a":1}', '{"":"x"}', '{"a":"\\ud800"}', JSON.stringify({ a: "x".repeat(8192) })]
  for (const text of refused) {
    assert.throws(
      () => contextOfText(text),
      error => isFailure(error, "invalidArgument"),
      text.slice(0, 20),
    )
  }
  assert.throws(
    () =>
      contextOfPairs([
        ["a", "1"],
        ["a", "2"],
      ]),
    error => isFailure(error, "invalidArgument"),
  )
})
