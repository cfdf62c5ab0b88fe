/** Sealed bodies of MinIO's admin API, against bodies that MinIO's own library has sealed, and opened. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { argon2id } from "hash-wasm"
import { openSealed, sealed, type Argon2id } from "./sealed.js"

const SECRET = "a-secret-of-a-key"
const PLAIN = '{"secretKey":"alice-secret-1","status":"enabled"}'
const START = { salt: Uint8Array.from({ length: 32 }, (_, at) => at), nonce: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }

/** By the id of the algorithms: `PLAIN`, sealed with `SECRET` from `START`. */
const GOLDEN = [
  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwh0YqBYGiFB2E+xAxv0HLj/nYbIyQRL5ypAiV7oi+N0LVA9o3BLDdkoPKKrXv5fW731WV/u/MWOskKWEzipvshFaQ==",
  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8BAQIDBAUGBwhmYZso0DkdVil/vmrbY/duHVLvcUkh3Tkz4DMEd7oFD0CmKFU7ASbnnYTNLn6riOvjEwI0Vp28bU449RvX6Dju9A==",
  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8CAQIDBAUGBwgY0m6IPciIv4XOdaUOda6mXBsfOf/hHNe9qtdSTyxoMkGZ2+Mh87bPtW7lAhPIHLIxJ8So9eVeeEonixAg0CMM0w==",
]
/** Sealed with PBKDF2: bytes of which each is seven times its place. */
const LONG = [
  [16_384, "344b6d45d0799dc84098b8755b19330cee30c39ca2eae8fbf030bfaa4488a966"],
  [16_385, "d5926fd5fadf449ed07051586ac1e7c829c9f0bebfa8b15d8542e5de1e1e30c8"],
  [40_000, "4881299cf684ac24acb8cccce7d9ca8f798377330ab25f6ba6719bef17cffb0a"],
] as const

let derived: Promise<Uint8Array> | undefined
/** All golden bodies have one key. */
const argon: Argon2id = (password, salt) =>
  (derived ??= argon2id({
    password,
    salt,
    parallelism: 4,
    iterations: 1,
    memorySize: 65_536,
    hashLength: 32,
    outputType: "binary",
  }))

test("a body is sealed as MinIO's library does, and opened", async () => {
  for (const [id, text] of GOLDEN.entries()) {
    const golden = Buffer.from(text, "base64")
    assert.equal(Buffer.from(await openSealed(golden, SECRET, argon)).toString(), PLAIN)
    assert.deepEqual(Buffer.from(await sealed(Buffer.from(PLAIN), SECRET, START, argon, id)), golden)
  }
})

test("a body of several fragments is, too", async () => {
  for (const [length, sha256] of LONG) {
    const plain = Uint8Array.from({ length }, (_, at) => at * 7)
    const made = await sealed(plain, SECRET, START, argon, 2)
    assert.equal(createHash("sha256").update(made).digest("hex"), sha256)
    assert.deepEqual(Buffer.from(await openSealed(made, SECRET, argon)), Buffer.from(plain))
  }
})

test("a body that was changed, cut or moved is refused", async () => {
  const [length] = LONG[2]
  const made = await sealed(new Uint8Array(length), SECRET, START, argon, 2)
  const fragment = 16_384 + 16
  const header = made.subarray(0, 41)
  const [first, second, third] = [0, 1, 2].map(at => made.subarray(41 + at * fragment, 41 + (at + 1) * fragment))
  const flipped = Buffer.from(made)
  flipped[100] = (flipped[100] ?? 0) ^ 1
  const faulty = [
    flipped,
    made.subarray(0, 41 + fragment),
    Buffer.concat([header, second ?? header, first ?? header, third ?? header]),
    made.subarray(0, -1),
    made.subarray(0, 41),
    made.subarray(0, 20),
    Buffer.concat([made.subarray(0, 32), Uint8Array.of(3), made.subarray(33)]),
    new Uint8Array(0),
  ]
  for (const body of faulty) {
    await assert.rejects(openSealed(body, SECRET, argon), error => isFailure(error, "invalidRequest"))
  }
  await assert.rejects(openSealed(made, "another-secret", argon), error => isFailure(error, "invalidRequest"))
})
