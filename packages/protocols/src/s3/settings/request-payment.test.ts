/** Access to a requester-pays bucket, and the header of its answers. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import { requestCharged } from "./request-payment.js"

const [owner, other] = [parseAccountId("owner"), parseAccountId("other")]
const willing = new Map([["x-amz-request-payer", "requester"]])
const silent = new Map<string, string>()

test("other accounts must confirm that they pay, and the answer confirms it; the owner need not", () => {
  assert.deepEqual(requestCharged("Requester", owner, other, willing), [["x-amz-request-charged", "requester"]])
  assert.deepEqual(requestCharged("Requester", owner, owner, willing), [])
  assert.deepEqual(requestCharged("Requester", owner, owner, silent), [])
  assert.deepEqual(requestCharged("BucketOwner", owner, other, willing), [])
  assert.deepEqual(requestCharged(undefined, owner, undefined, silent), [])
})

test("requests without the confirmation and anonymous requests are refused", () => {
  for (const [caller, headers] of [
    [other, silent],
    [other, new Map([["x-amz-request-payer", "bucketowner"]])],
    [undefined, willing],
  ] as const) {
    assert.throws(
      () => requestCharged("Requester", owner, caller, headers),
      error => isFailure(error, "accessDenied"),
    )
  }
})
