/** The default number of front threads follows the cores, as far as memory permits. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { GIB, MIB } from "@hayloft/base/limits.js"
import { frontThreadsFor } from "./front-threads-core.js"

test("front threads leave a core to the thread that decides, and need memory", () => {
  const threads = (cores: number, memoryBytes = 64 * GIB) => frontThreadsFor({ cores, memoryBytes })
  assert.deepEqual(
    [1, 2, 3, 4, 8, 17, 64].map(cores => threads(cores)),
    [0, 0, 2, 3, 7, 16, 16],
  )
  // A small machine with many cores, such as a NAS.
  assert.deepEqual(
    [512 * MIB, GIB, 2 * GIB, 3.9 * GIB, 8 * GIB].map(bytes => threads(4, bytes)),
    [0, 0, 2, 3, 3],
  )
})
