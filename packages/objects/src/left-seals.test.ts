/** An upload whose completion fails together with the metadata goes on, without a restart of the process. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { open } from "@hayloft/upkeep/repair/testing-repair.js"
import { plainUpload, sourceOf } from "./bodies/testing-bodies.js"

const signal = new AbortController().signal

// The part list may be frozen although that was not acknowledged.
for (const failing of ["SealUpload", "PutSegment"])
  test(`an upload whose completion fails at ${failing} takes parts again once the metadata works`, async () => {
    const { clock, home: bucket, tablet, services } = await open("replica:2")
    const { multipart } = services
    const key = objectKeyOfText("big")
    const { multipartId } = await clock.runUntil(multipart.create(plainUpload(bucket, key)))
    const upload = { bucket, key, multipartId, conditions: {}, signal }
    const complete = async (text: string): Promise<void> => {
      const body = sourceOf(Buffer.from(text))
      const { etag } = await clock.runUntil(multipart.putPart({ ...upload, partNumber: 1, body }))
      const parts = [{ partNumber: 1, etag, checksum: undefined }]
      const whole = { sizeBytes: undefined, checksum: undefined, checksumType: undefined }
      await clock.runUntil(multipart.complete({ ...upload, parts, ...whole }))
    }
    tablet.haltAt = failing
    await assert.rejects(complete("first"), error => isFailure(error, "indeterminate"))
    tablet.haltAt = undefined
    tablet.recover()
    // Any request on uploads makes up for what could not be done.
    await clock.runUntil(multipart.create(plainUpload(bucket, objectKeyOfText("other"))))
    await clock.advance(1)
    await complete("second")
  })
