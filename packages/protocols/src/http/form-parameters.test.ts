/** A form is counted before it is parsed, so that no body of empty parameters keeps the process busy. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { FORM_PARAMETERS_MAX, formParameters } from "./form-parameters.js"

test("a form has parameters, with blanks for pluses, up to the limit", () => {
  assert.deepEqual(
    [...formParameters("a=1+2&b=%2B&&c")],
    [
      ["a", "1 2"],
      ["b", "+"],
      ["c", ""],
    ],
  )
  assert.deepEqual([...formParameters("")], [])
  const most = Array.from({ length: FORM_PARAMETERS_MAX }, (_, at) => `n${at}=1`).join("&")
  assert.equal(formParameters(most).size, FORM_PARAMETERS_MAX)
  for (const more of [`${most}&x=1`, "&".repeat(FORM_PARAMETERS_MAX)])
    assert.throws(
      () => formParameters(more),
      error => isFailure(error, "invalidArgument"),
    )
})
