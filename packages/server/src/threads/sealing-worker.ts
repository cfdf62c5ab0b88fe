/**
 * Entry point of the thread that derives keys of sealed bodies by Argon2id, one after the other: each takes 64 MiB and a
 * tenth of a second.
 */
import { parentPort } from "node:worker_threads"
import { argon2id } from "hash-wasm"
import { must } from "@hayloft/base/assert.js"
import { asFailure } from "@hayloft/base/failures.js"
import { parseDerivation, type DerivedKey } from "./sealing-workers.js"

/** MinIO's. */
const TERMS = { parallelism: 4, iterations: 1, memorySize: 65_536, hashLength: 32, outputType: "binary" } as const

const port = must(parentPort, "this is the entry of a thread")
const reply = (answer: DerivedKey): void => port.postMessage(answer)

port.on("message", (message: unknown) => {
  const { password, salt } = parseDerivation(message)
  argon2id({ ...TERMS, password, salt }).then(
    key => reply({ key }),
    (error: unknown) => reply({ reason: asFailure(error).message }),
  )
})
