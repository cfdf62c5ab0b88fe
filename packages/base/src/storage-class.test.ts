import assert from "node:assert/strict"
import { test } from "node:test"
import { isArchive, STORAGE_CLASSES } from "./storage-class.js"

test("the classes that must be restored are GLACIER and DEEP_ARCHIVE, and GLACIER_IR is not one of them", () => {
  assert.deepEqual(STORAGE_CLASSES.filter(isArchive), ["GLACIER", "DEEP_ARCHIVE"])
})
